// SPDX-License-Identifier: Apache-2.0
package import Primitives

extension LockQuery {
    private enum Tag: UInt8 {
        case session = 1
        case sessions
        case object
        case list
        case check
        case electionLeader
    }

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .session(let session):
            writer.u8(Tag.session.rawValue)
            writer.session(session)
        case .sessions(let namespace, let cursor, let limit):
            writer.u8(Tag.sessions.rawValue)
            writer.name(namespace)
            writer.varint(cursor)
            writer.signed(Int64(limit))
        case .object(let namespace, let name):
            writer.u8(Tag.object.rawValue)
            writer.name(namespace)
            writer.name(name)
        case .list(let namespace, let prefix, let cursor, let limit):
            writer.u8(Tag.list.rawValue)
            writer.name(namespace)
            writer.text(prefix)
            writer.varint(cursor)
            writer.signed(Int64(limit))
        case .check(let namespace, let name, let token):
            writer.u8(Tag.check.rawValue)
            writer.name(namespace)
            writer.name(name)
            writer.varint(token)
        case .electionLeader(let namespace, let name):
            writer.u8(Tag.electionLeader.rawValue)
            writer.name(namespace)
            writer.name(name)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let raw = try reader.u8()
        guard let tag = Tag(rawValue: raw) else { throw .unknownTag(what: "lock query", value: UInt64(raw)) }
        switch tag {
        case .session: self = .session(try reader.session())
        case .sessions:
            self = .sessions(
                namespace: try reader.name(),
                cursor: try reader.varint(),
                limit: Int(try reader.signed())
            )
        case .object: self = .object(namespace: try reader.name(), name: try reader.name())
        case .list:
            self = .list(
                namespace: try reader.name(),
                prefix: try reader.text(limit: DecodeLimit.text, "prefix"),
                cursor: try reader.varint(),
                limit: Int(try reader.signed())
            )
        case .check:
            self = .check(namespace: try reader.name(), name: try reader.name(), token: try reader.varint())
        case .electionLeader: self = .electionLeader(namespace: try reader.name(), name: try reader.name())
        }
    }
}

extension OwnerWait {
    package func encode(into writer: inout ByteWriter) {
        writer.name(waiter)
        writer.name(holder)
        writer.session(holderSession)
        writer.request(request)
        writer.varint(since)
        writer.signed(priority)
        edge.encode(into: &writer)
        writer.cycle(through)
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            waiter: try reader.name(),
            holder: try reader.name(),
            holderSession: try reader.session(),
            request: try reader.request(),
            since: try reader.varint(),
            priority: try reader.signed(),
            edge: try CycleEdge(decoding: &reader),
            through: try reader.cycle()
        )
    }
}
