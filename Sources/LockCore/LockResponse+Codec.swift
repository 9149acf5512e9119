// SPDX-License-Identifier: Apache-2.0
package import Primitives

extension LockResponse {
    private enum Tag: UInt8 {
        case sessionOpened = 1
        case sessionClosed
        case granted
        case notAcquired
        case converted
        case released
        case broken
        case cancelled
        case noted
        case renewed
        case session
        case sessions
        case object
        case list
        case check
        case electionLeader
        case noElectionLeader
        case refused
    }

    private var tag: Tag {
        switch self {
        case .sessionOpened: .sessionOpened
        case .sessionClosed: .sessionClosed
        case .granted: .granted
        case .notAcquired: .notAcquired
        case .converted: .converted
        case .released: .released
        case .broken: .broken
        case .cancelled: .cancelled
        case .noted: .noted
        case .renewed: .renewed
        case .session: .session
        case .sessions: .sessions
        case .object: .object
        case .list: .list
        case .check: .check
        case .electionLeader: .electionLeader
        case .noElectionLeader: .noElectionLeader
        case .refused: .refused
        }
    }

    package func encode(into writer: inout ByteWriter) {
        writer.u8(tag.rawValue)
        switch self {
        case .sessionOpened(let session, let ttl):
            writer.session(session)
            writer.varint(ttl)
        case .granted(let tokens, let holds):
            writer.varint(UInt64(tokens.count))
            for token in tokens { writer.varint(token) }
            writer.varint(holds)
        case .notAcquired(let holders):
            writer.varint(UInt64(holders.count))
            for holder in holders { holder.encode(into: &writer) }
        case .sessionClosed(let value), .converted(let value), .released(let value), .broken(let value),
            .renewed(let value):
            writer.varint(value)
        case .cancelled(let value), .check(let value): writer.bool(value)
        case .noted, .noElectionLeader: break
        case .session(let view):
            writer.bool(view != nil)
            view?.encode(into: &writer)
        case .sessions(let views, let cursor):
            writer.varint(UInt64(views.count))
            for view in views { view.encode(into: &writer) }
            writer.varint(cursor)
        case .object(let view):
            writer.bool(view != nil)
            view?.encode(into: &writer)
        case .list(let views, let cursor):
            writer.varint(UInt64(views.count))
            for view in views { view.encode(into: &writer) }
            writer.varint(cursor)
        case .electionLeader(let session, let value, let token):
            writer.session(session)
            writer.blob(value)
            writer.varint(token)
        case .refused(let refusal): refusal.encode(into: &writer)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let raw = try reader.u8()
        guard let tag = Tag(rawValue: raw) else { throw .unknownTag(what: "lock response", value: UInt64(raw)) }
        switch tag {
        case .sessionOpened: self = .sessionOpened(try reader.session(), ttlMilliseconds: try reader.varint())
        case .sessionClosed: self = .sessionClosed(locksReleased: try reader.varint())
        case .granted:
            let tokens = try reader.list("tokens") { (reader) throws(DecodingError) in try reader.varint() }
            self = .granted(tokens: tokens, holds: try reader.varint())
        case .notAcquired:
            let holders = try reader.list("holders") { (reader) throws(DecodingError) in
                try HolderView(decoding: &reader)
            }
            self = .notAcquired(holders: holders)
        case .converted: self = .converted(token: try reader.varint())
        case .released: self = .released(left: try reader.varint())
        case .broken: self = .broken(holders: try reader.varint())
        case .cancelled: self = .cancelled(found: try reader.bool())
        case .noted: self = .noted
        case .renewed: self = .renewed(milliseconds: try reader.varint())
        case .session: self = .session(try reader.bool() ? try SessionView(decoding: &reader) : nil)
        case .sessions:
            let views = try reader.list("sessions") { (reader) throws(DecodingError) in
                try SessionView(decoding: &reader)
            }
            self = .sessions(views, cursor: try reader.varint())
        case .object: self = .object(try reader.bool() ? try ObjectView(decoding: &reader) : nil)
        case .list:
            let views = try reader.list("objects") { (reader) throws(DecodingError) in
                try ObjectView(decoding: &reader)
            }
            self = .list(views, cursor: try reader.varint())
        case .check: self = .check(try reader.bool())
        case .electionLeader:
            self = .electionLeader(
                try reader.session(),
                value: try reader.blob(limit: DecodeLimit.text, "value"),
                token: try reader.varint()
            )
        case .noElectionLeader: self = .noElectionLeader
        case .refused: self = .refused(try Refusal(decoding: &reader))
        }
    }
}

extension Refusal {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .noSession(let session):
            writer.u8(1)
            writer.session(session)
        case .sessionExists(let session):
            writer.u8(2)
            writer.session(session)
        case .notHeld(let name):
            writer.u8(3)
            writer.name(name)
        case .reentry(let text):
            writer.u8(4)
            writer.text(text)
        case .deadlock(let edges):
            writer.u8(5)
            writer.cycle(edges)
        case .limit(let text):
            writer.u8(6)
            writer.text(text)
        case .wrongKind(let name, let kind):
            writer.u8(7)
            writer.name(name)
            writer.u8(kind.rawValue)
        case .invalid(let text):
            writer.u8(8)
            writer.text(text)
        case .cancelled: writer.u8(9)
        case .sessionEnded(let end):
            writer.u8(10)
            writer.u8(end.rawValue)
        case .staleSequence: writer.u8(11)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 1: self = .noSession(try reader.session())
        case 2: self = .sessionExists(try reader.session())
        case 3: self = .notHeld(try reader.name())
        case 4: self = .reentry(try reader.text(limit: DecodeLimit.text, "reason"))
        case 5: self = .deadlock(try reader.cycle())
        case 6: self = .limit(try reader.text(limit: DecodeLimit.text, "reason"))
        case 7: self = .wrongKind(try reader.name(), try reader.kind())
        case 8: self = .invalid(try reader.text(limit: DecodeLimit.text, "reason"))
        case 9: self = .cancelled
        case 10: self = .sessionEnded(try reader.sessionEnd())
        case 11: self = .staleSequence
        case let tag: throw .unknownTag(what: "refusal", value: UInt64(tag))
        }
    }
}
