// SPDX-License-Identifier: Apache-2.0
package import Primitives

// The encodings stand in the log: a tag, once given out, keeps its meaning for ever.
//
// Decoding bounds what it allocates but does not judge: a name too long for `LockState.validate` still decodes, so that
// its sender gets a refusal with a reason and not a broken link.

enum DecodeLimit {
    static let text = 65_536
    static let entries = 65_536
}

extension ByteWriter {
    mutating func name(_ value: Name) { text(value.text) }

    mutating func session(_ value: SessionID) { text(value.name.text) }

    mutating func request(_ value: RequestID) {
        varint(value.origin)
        varint(value.number)
    }

    mutating func signed(_ value: Int64) {
        // Zigzag: small magnitudes of either sign are short.
        varint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    mutating func sequence(_ value: UInt64?) {
        bool(value != nil)
        if let value { varint(value) }
    }

    mutating func wait(_ value: Wait) {
        switch value {
        case .none: u8(0)
        case .milliseconds(let count):
            u8(1)
            varint(count)
        case .forever: u8(2)
        }
    }

    mutating func cycle(_ edges: [CycleEdge]) {
        varint(UInt64(edges.count))
        for edge in edges { edge.encode(into: &self) }
    }
}

extension ByteReader {
    mutating func name() throws(DecodingError) -> Name { Name(try text(limit: DecodeLimit.text, "name")) }

    mutating func session() throws(DecodingError) -> SessionID {
        SessionID(try text(limit: DecodeLimit.text, "session"))
    }

    mutating func request() throws(DecodingError) -> RequestID {
        RequestID(origin: try varint(), number: try varint())
    }

    mutating func index() throws(DecodingError) -> LogIndex { LogIndex(try varint()) }

    mutating func signed() throws(DecodingError) -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    mutating func sequence() throws(DecodingError) -> UInt64? { try bool() ? try varint() : nil }

    mutating func wait() throws(DecodingError) -> Wait {
        switch try u8() {
        case 0: return .none
        case 1: return .milliseconds(try varint())
        case 2: return .forever
        case let tag: throw .unknownTag(what: "wait", value: UInt64(tag))
        }
    }

    mutating func mode() throws(DecodingError) -> LockMode {
        let tag = try u8()
        guard let mode = LockMode(rawValue: tag) else { throw .unknownTag(what: "lock mode", value: UInt64(tag)) }
        return mode
    }

    mutating func kind() throws(DecodingError) -> ObjectKind {
        let tag = try u8()
        guard let kind = ObjectKind(rawValue: tag) else { throw .unknownTag(what: "object kind", value: UInt64(tag)) }
        return kind
    }

    mutating func sessionEnd() throws(DecodingError) -> SessionEnd {
        let tag = try u8()
        guard let end = SessionEnd(rawValue: tag) else { throw .unknownTag(what: "session end", value: UInt64(tag)) }
        return end
    }

    /// Reads a count, then that many elements. Memory grows with what is really there, not with what the count claims.
    mutating func list<Element>(
        _ what: String,
        _ element: (inout ByteReader) throws(DecodingError) -> Element
    ) throws(DecodingError) -> [Element] {
        let total = try count(limit: DecodeLimit.entries, what)
        var elements: [Element] = []
        elements.reserveCapacity(Swift.min(total, remaining))
        for _ in 0..<total { elements.append(try element(&self)) }
        return elements
    }

    mutating func cycle() throws(DecodingError) -> [CycleEdge] {
        try list("cycle") { (reader) throws(DecodingError) in try CycleEdge(decoding: &reader) }
    }
}

extension CycleEdge {
    package func encode(into writer: inout ByteWriter) {
        writer.session(session)
        writer.text(label)
        writer.name(name)
        writer.u8(mode.rawValue)
        writer.request(request)
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            session: try reader.session(),
            label: try reader.text(limit: DecodeLimit.text, "label"),
            name: try reader.name(),
            mode: try reader.mode(),
            request: try reader.request()
        )
    }
}

extension LockCommand {
    private enum Tag: UInt8 {
        case openSession = 1
        case closeSession
        case acquire
        case convert
        case release
        case breakLock
        case cancel
        case expireSession
        case timeoutWait
        case endLockDelay
        case abortWait
    }

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .openSession(let open):
            writer.u8(Tag.openSession.rawValue)
            open.encode(into: &writer)
        case .closeSession(let session):
            writer.u8(Tag.closeSession.rawValue)
            writer.session(session)
        case .acquire(let acquire):
            writer.u8(Tag.acquire.rawValue)
            acquire.encode(into: &writer)
        case .convert(let convert):
            writer.u8(Tag.convert.rawValue)
            convert.encode(into: &writer)
        case .release(let release):
            writer.u8(Tag.release.rawValue)
            release.encode(into: &writer)
        case .breakLock(let namespace, let name, let reason):
            writer.u8(Tag.breakLock.rawValue)
            writer.name(namespace)
            writer.name(name)
            writer.text(reason)
        case .cancel(let request):
            writer.u8(Tag.cancel.rawValue)
            writer.request(request)
        case .expireSession(let session, let opened, let term):
            writer.u8(Tag.expireSession.rawValue)
            writer.session(session)
            writer.varint(opened.rawValue)
            writer.varint(term.rawValue)
        case .timeoutWait(let request, let term):
            writer.u8(Tag.timeoutWait.rawValue)
            writer.request(request)
            writer.varint(term.rawValue)
        case .endLockDelay(let namespace, let name, let began, let term):
            writer.u8(Tag.endLockDelay.rawValue)
            writer.name(namespace)
            writer.name(name)
            writer.varint(began.rawValue)
            writer.varint(term.rawValue)
        case .abortWait(let request, let cycle):
            writer.u8(Tag.abortWait.rawValue)
            writer.request(request)
            writer.cycle(cycle)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let raw = try reader.u8()
        guard let tag = Tag(rawValue: raw) else { throw .unknownTag(what: "lock command", value: UInt64(raw)) }
        switch tag {
        case .openSession: self = .openSession(try OpenSession(decoding: &reader))
        case .closeSession: self = .closeSession(try reader.session())
        case .acquire: self = .acquire(try Acquire(decoding: &reader))
        case .convert: self = .convert(try Convert(decoding: &reader))
        case .release: self = .release(try Release(decoding: &reader))
        case .breakLock:
            self = .breakLock(
                namespace: try reader.name(),
                name: try reader.name(),
                reason: try reader.text(limit: DecodeLimit.text, "reason")
            )
        case .cancel: self = .cancel(try reader.request())
        case .expireSession:
            self = .expireSession(try reader.session(), opened: try reader.index(), term: Term(try reader.varint()))
        case .timeoutWait: self = .timeoutWait(try reader.request(), term: Term(try reader.varint()))
        case .endLockDelay:
            self = .endLockDelay(
                namespace: try reader.name(),
                name: try reader.name(),
                began: try reader.index(),
                term: Term(try reader.varint())
            )
        case .abortWait: self = .abortWait(try reader.request(), cycle: try reader.cycle())
        }
    }
}

extension OpenSession {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.session(id)
        writer.varint(ttlMilliseconds)
        writer.text(label)
        writer.text(owner)
        writer.varint(lockDelayMilliseconds)
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            id: try reader.session(),
            ttlMilliseconds: try reader.varint(),
            label: try reader.text(limit: DecodeLimit.text, "label"),
            owner: try reader.text(limit: DecodeLimit.text, "owner"),
            lockDelayMilliseconds: try reader.varint()
        )
    }
}

extension Acquire {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.session(session)
        writer.u8(kind.rawValue)
        writer.varint(UInt64(items.count))
        for item in items {
            writer.name(item.name)
            writer.u8(item.mode.rawValue)
        }
        writer.wait(wait)
        writer.signed(priority)
        writer.varint(permits)
        writer.varint(limit)
        writer.blob(value)
        writer.sequence(sequence)
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        let session = try reader.session()
        let kind = try reader.kind()
        let items = try reader.list("items") { (reader) throws(DecodingError) in
            AcquireItem(name: try reader.name(), mode: try reader.mode())
        }
        self.init(
            session: session,
            kind: kind,
            items: items,
            wait: try reader.wait(),
            priority: try reader.signed(),
            permits: try reader.varint(),
            limit: try reader.varint(),
            value: try reader.blob(limit: DecodeLimit.text, "value"),
            sequence: try reader.sequence()
        )
    }
}

extension Convert {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.session(session)
        writer.name(name)
        writer.u8(mode.rawValue)
        writer.wait(wait)
        writer.sequence(sequence)
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            session: try reader.session(),
            name: try reader.name(),
            mode: try reader.mode(),
            wait: try reader.wait(),
            sequence: try reader.sequence()
        )
    }
}

extension Release {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.session(session)
        writer.u8(kind.rawValue)
        writer.name(name)
        writer.varint(permits)
        writer.sequence(sequence)
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            session: try reader.session(),
            kind: try reader.kind(),
            name: try reader.name(),
            permits: try reader.varint(),
            sequence: try reader.sequence()
        )
    }
}
