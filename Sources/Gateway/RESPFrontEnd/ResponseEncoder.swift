// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import RESP
import Replica

/// Writes the cluster's answers as RESP.
enum ResponseEncoder {
    /// What an answer looks like beyond its kind.
    enum Shape: Sendable {
        case plain
        /// Tokens as an array, one per lock (`LOCK.ACQUIREALL`).
        case tokens
    }

    /// Returns the first word of the error when it wrote one.
    static func write(_ response: Response, _ shape: Shape, into writer: inout RESPWriter) -> String? {
        if case .lock(let answer) = response, write(answer, shape, into: &writer) { return nil }
        guard let refusal = RefusalText(response) else {
            writer.null()
            return nil
        }
        writer.error(refusal.line)
        return refusal.firstWord
    }

    /// False when the answer is a refusal.
    private static func write(_ answer: LockResponse, _ shape: Shape, into writer: inout RESPWriter) -> Bool {
        switch answer {
        case .granted(let tokens, _):
            if shape == .plain, tokens.count == 1 {
                writer.integer(tokens[0])
            } else {
                writer.array(tokens.count)
                for token in tokens { writer.integer(token) }
            }
        case .released(let left): writer.integer(left)
        case .renewed(let milliseconds): writer.integer(milliseconds)
        case .sessionOpened(let id, _): writer.bulk(id.name.text)
        case .sessionClosed(let count): writer.integer(count)
        case .notAcquired, .noElectionLeader, .object(nil): writer.null()
        case .converted(let token): writer.integer(token)
        case .broken(let count): writer.integer(count)
        case .cancelled(let found): writer.integer(found ? 1 : 0)
        case .check(let isCurrent): writer.integer(isCurrent ? 1 : 0)
        case .noted: writer.simple("OK")
        case .session(.some(let view)): session(view, into: &writer)
        case .object(.some(let view)): object(view, into: &writer)
        case .sessions(let views, let cursor):
            page("sessions", count: views.count, cursor: cursor, into: &writer)
            for view in views { session(view, into: &writer) }
        case .list(let views, let cursor):
            page("locks", count: views.count, cursor: cursor, into: &writer)
            for view in views { object(view, into: &writer) }
        case .electionLeader(let id, let value, let token):
            writer.map(3)
            writer.bulk("session")
            writer.bulk(id.name.text)
            writer.bulk("value")
            writer.bulk(value)
            writer.bulk("token")
            writer.integer(token)
        case .refused, .session(nil): return false
        }
        return true
    }

    private static func page(_ key: String, count: Int, cursor: UInt64, into writer: inout RESPWriter) {
        writer.map(2)
        writer.bulk("cursor")
        writer.integer(cursor)
        writer.bulk(key)
        writer.array(count)
    }

    private static func session(_ view: SessionView, into writer: inout RESPWriter) {
        writer.map(10)
        writer.pair("id", view.id.name.text)
        writer.pair("label", view.label)
        writer.pair("owner", view.owner)
        writer.pair("ttl", view.ttlMilliseconds)
        writer.pair("lock-delay", view.lockDelayMilliseconds)
        writer.bulk("remaining")
        if let remaining = view.remainingMilliseconds { writer.integer(remaining) } else { writer.null() }
        writer.pair("age", view.ageMilliseconds)
        writer.pair("held-count", view.heldCount)
        writer.bulk("held")
        writer.array(view.held.count)
        for name in view.held { writer.bulk(name.text) }
        writer.bulk("waiting")
        writer.array(view.waiting.count)
        for name in view.waiting { writer.bulk(name.text) }
    }

    private static func object(_ view: ObjectView, into writer: inout RESPWriter) {
        writer.map(10)
        writer.pair("namespace", view.namespace.text)
        writer.pair("name", view.name.text)
        writer.pair("kind", view.kind.text)
        writer.pair("limit", view.limit)
        writer.bulk("value")
        writer.bulk(view.value)
        writer.pair("delayed", view.isDelayed ? 1 : 0)
        writer.pair("holder-count", view.holderCount)
        writer.pair("waiter-count", view.waiterCount)
        writer.bulk("holders")
        writer.array(view.holders.count)
        for holder in view.holders {
            writer.map(6)
            writer.pair("session", holder.session.name.text)
            writer.pair("label", holder.label)
            writer.pair("mode", holder.mode.text)
            writer.pair("token", holder.token)
            writer.pair("count", holder.count)
            writer.pair("age", holder.ageMilliseconds)
        }
        writer.bulk("waiters")
        writer.array(view.waiters.count)
        for waiter in view.waiters {
            writer.map(5)
            writer.pair("session", waiter.session.name.text)
            writer.pair("label", waiter.label)
            writer.pair("mode", waiter.mode.text)
            writer.pair("conversion", waiter.isConversion ? 1 : 0)
            writer.pair("age", waiter.ageMilliseconds)
        }
    }

    /// Pushes one event of a watched lock: `lock`, event, namespace, name, session, mode, token; what an event lacks is
    /// null. `broken` carries its reason as one more element.
    static func push(_ event: LockEvent, into writer: inout RESPWriter) {
        let text = EventText(event)
        writer.push(text.reason == nil ? 7 : 8)
        writer.bulk(text.kind)
        writer.bulk(text.event)
        writer.bulk(text.namespace)
        writer.optional(text.name)
        writer.optional(text.session)
        writer.optional(text.mode)
        if let token = text.token { writer.integer(token) } else { writer.null() }
        if let reason = text.reason { writer.bulk(reason) }
    }
}

extension RESPWriter {
    mutating func pair(_ key: String, _ value: String) {
        bulk(key)
        bulk(value)
    }

    mutating func pair(_ key: String, _ value: UInt64) {
        bulk(key)
        integer(value)
    }

    mutating func optional(_ text: String?) {
        if let text { bulk(text) } else { null() }
    }
}
