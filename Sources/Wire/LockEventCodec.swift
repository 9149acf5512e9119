// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives

private enum Tag {
    static let granted: UInt8 = 1
    static let released: UInt8 = 2
    static let queued: UInt8 = 3
    static let broken: UInt8 = 4
    static let deadlock: UInt8 = 5
    static let sessionOpened: UInt8 = 6
    static let sessionEnded: UInt8 = 7
}

/// Events as they travel to a node that has watchers but no replica of their shard.
enum LockEventCodec {
    static func encode(_ event: LockEvent, into writer: inout ByteWriter) {
        switch event {
        case .granted(let namespace, let name, let session, let mode, let token):
            writer.object(Tag.granted, namespace, name)
            writer.text(session.name.text)
            writer.u8(mode.rawValue)
            writer.varint(token)
        case .released(let namespace, let name, let session):
            writer.object(Tag.released, namespace, name)
            writer.text(session.name.text)
        case .queued(let namespace, let name, let session, let mode):
            writer.object(Tag.queued, namespace, name)
            writer.text(session.name.text)
            writer.u8(mode.rawValue)
        case .broken(let namespace, let name, let reason):
            writer.object(Tag.broken, namespace, name)
            writer.text(reason)
        case .deadlock(let namespace, let cycle, let victim):
            writer.u8(Tag.deadlock)
            writer.text(namespace.text)
            writer.varint(UInt64(cycle.count))
            for edge in cycle { edge.encode(into: &writer) }
            writer.requestID(victim)
        case .sessionOpened(let session):
            writer.u8(Tag.sessionOpened)
            writer.text(session.name.text)
        case .sessionEnded(let session, let end):
            writer.u8(Tag.sessionEnded)
            writer.text(session.name.text)
            writer.u8(end.rawValue)
        }
    }

    static func decode(_ reader: inout ByteReader) throws(DecodingError) -> LockEvent {
        let tag = try reader.u8()
        switch tag {
        case Tag.granted:
            let (namespace, name) = try reader.object()
            let session = try reader.session()
            let mode = try reader.mode()
            return .granted(namespace: namespace, name: name, session: session, mode: mode, token: try reader.varint())
        case Tag.released:
            let (namespace, name) = try reader.object()
            return .released(namespace: namespace, name: name, session: try reader.session())
        case Tag.queued:
            let (namespace, name) = try reader.object()
            let session = try reader.session()
            return .queued(namespace: namespace, name: name, session: session, mode: try reader.mode())
        case Tag.broken:
            let (namespace, name) = try reader.object()
            return .broken(namespace: namespace, name: name, reason: try reader.text("reason"))
        case Tag.deadlock:
            let namespace = Name(try reader.text("namespace"))
            let edges = try cycle(from: &reader)
            return .deadlock(namespace: namespace, cycle: edges, victim: try reader.requestID())
        case Tag.sessionOpened:
            return .sessionOpened(try reader.session())
        case Tag.sessionEnded:
            let session = try reader.session()
            let value = try reader.u8()
            guard let end = SessionEnd(rawValue: value) else {
                throw .unknownTag(what: "session end", value: UInt64(value))
            }
            return .sessionEnded(session, end)
        default:
            throw .unknownTag(what: "lock event", value: UInt64(tag))
        }
    }

    static func cycle(from reader: inout ByteReader) throws(DecodingError) -> [CycleEdge] {
        let count = try reader.elementCount("cycle")
        var edges: [CycleEdge] = []
        for _ in 0..<count { edges.append(try CycleEdge(decoding: &reader)) }
        return edges
    }
}

extension ByteWriter {
    fileprivate mutating func object(_ tag: UInt8, _ namespace: Name, _ name: Name) {
        u8(tag)
        text(namespace.text)
        text(name.text)
    }
}

extension ByteReader {
    fileprivate mutating func object() throws(DecodingError) -> (namespace: Name, name: Name) {
        (Name(try text("namespace")), Name(try text("name")))
    }

    fileprivate mutating func session() throws(DecodingError) -> SessionID { SessionID(try text("session")) }

    fileprivate mutating func mode() throws(DecodingError) -> LockMode {
        let value = try u8()
        guard let mode = LockMode(rawValue: value) else { throw .unknownTag(what: "lock mode", value: UInt64(value)) }
        return mode
    }
}
