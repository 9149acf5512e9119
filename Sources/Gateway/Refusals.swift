// SPDX-License-Identifier: Apache-2.0
package import LockCore
import Primitives
package import QueueCore
package import Replica

/// What a refusal, or an answer that never came, is called and said to be; one source for all front ends.
package struct RefusalText: Equatable, Sendable {
    /// Snake case, as in HTTP problems; upper case without underscores it is the RESP error's first word.
    package var code: String
    /// What happened, what became of the data and what to do next.
    package var detail: String

    /// First word and text, as RESP errors are written.
    package var line: String { firstWord + " " + detail }

    package var firstWord: String { code == "invalid" ? "ERR" : code.uppercased().filter { $0 != "_" } }

    package init(code: String, detail: String) {
        self.code = code
        self.detail = detail
    }

    package init(_ refusal: Refusal) {
        switch refusal {
        case .noSession(let id):
            self.init(
                code: "no_session",
                detail: "session '\(id)' does not exist: it was closed, has expired or was never opened; open a new one"
            )
        case .sessionExists(let id):
            self.init(
                code: "session_exists",
                detail: "session '\(id)' is open already with other settings; close it first or choose another id"
            )
        case .notHeld(let name):
            self.init(code: "not_held", detail: "the session does not hold '\(name)'; nothing was changed")
        case .reentry(let text): self.init(code: "reentry", detail: text)
        case .deadlock(let cycle):
            self.init(
                code: "deadlock",
                detail: "waiting would never end, so this request was given up: \(Self.cycle(cycle)); "
                    + "release what you hold and try again"
            )
        case .limit(let text): self.init(code: "limit", detail: text)
        case .wrongKind(let name, let kind):
            self.init(code: "wrong_kind", detail: "'\(name)' is in use as a \(kind.text); choose another name")
        case .invalid(let text): self.init(code: "invalid", detail: text)
        case .cancelled: self.init(code: "cancelled", detail: "the wait was cancelled; nothing was acquired")
        case .sessionEnded(let end):
            self.init(
                code: "session_ended",
                detail: "the session was \(end.text) while the request waited; open a new one"
            )
        case .staleSequence:
            self.init(
                code: "stale_seq",
                detail: "the sequence number is older than the results kept for this session; nothing was done now"
            )
        }
    }

    package init(_ refusal: QueueError) {
        switch refusal {
        case .noQueue(let name): self.init(code: "no_queue", detail: "queue '\(name)' does not exist")
        case .exists:
            self.init(
                code: "exists",
                detail: "the queue exists with other settings; nothing was changed, update it or leave them out"
            )
        case .lanesLowered(let lanes):
            self.init(code: "invalid", detail: "the queue has \(lanes) lanes; their number can only be raised")
        case .lanes(let lanes):
            self.init(code: "busy", detail: "the queue has \(lanes) lanes by now; nothing was done, try again")
        case .emptyBody: self.init(code: "invalid", detail: "a message has a body of at least one byte")
        case .tooLarge(let limit):
            self.init(code: "too_large", detail: "a message may have \(limit) bytes; nothing was stored")
        case .full(let name): self.init(code: "full", detail: "queue '\(name)' is full; nothing was stored")
        case .paused(let side):
            self.init(
                code: "paused",
                detail: "\(side == .publish ? "publishing to" : "consuming from") the queue is paused; nothing was done"
            )
        case .fenced:
            self.init(code: "fenced", detail: "the lock's token is out of date: another holder may have had it since")
        case .noConsumer(let id):
            self.init(
                code: "no_consumer",
                detail: "consumer '\(ConsumerKey.id(of: id))' does not exist: it was closed, has expired or was "
                    + "never opened"
            )
        case .consumerExists(let id):
            self.init(
                code: "consumer_exists",
                detail: "consumer '\(ConsumerKey.id(of: id))' is open already with other settings"
            )
        case .noCredit(let id):
            self.init(
                code: "no_credit",
                detail: "consumer '\(ConsumerKey.id(of: id))' has as many messages in flight as its credit allows; "
                    + "settle some"
            )
        case .staleSequence:
            self.init(
                code: "stale_seq",
                detail: "the sequence number is older than the results kept for this producer; nothing was done now"
            )
        case .redriving: self.init(code: "busy", detail: "a redrive of this queue is under way")
        case .limit(let text): self.init(code: "limit", detail: text)
        case .invalid(let text): self.init(code: "invalid", detail: text)
        case .cancelled: self.init(code: "cancelled", detail: "the wait was cancelled; nothing was received")
        case .ended: self.init(code: "ended", detail: "the queue was deleted, or its consumer ended, during the wait")
        }
    }

    /// Nil for an answer that is not a refusal.
    package init?(_ response: Response) {
        switch response {
        case .lock(.refused(let refusal)): self.init(refusal)
        case .lock(.session(nil)):
            self.init(
                code: "no_session",
                detail: "the session does not exist: it was closed, has expired or was never opened"
            )
        case .lock: return nil
        case .queue(let answer):
            guard case .refused(let refusal) = answer.response else { return nil }
            self.init(refusal)
        case .cache: return nil
        case .unavailable(.notDone, let reason):
            self.init(code: "unavailable", detail: "\(reason); nothing was done, try again")
        case .unavailable(.unknown, let reason):
            self.init(
                code: "unknown",
                detail:
                    "\(reason); the outcome is unknown: ask again with the same sequence number, or look at the state"
            )
        case .busy(let reason): self.init(code: "busy", detail: "\(reason); nothing was done, try again shortly")
        }
    }

    /// `s1 (label) waits for a exclusive → s2 waits for b exclusive → s1`.
    package static func cycle(_ cycle: [CycleEdge]) -> String {
        var parts = cycle.map { edge in
            let label = edge.label.isEmpty ? "" : " (\(edge.label))"
            return "\(edge.session)\(label) waits for \(edge.name) \(edge.mode.text)"
        }
        if let first = cycle.first { parts.append("\(first.session)") }
        return parts.joined(separator: " → ")
    }
}
