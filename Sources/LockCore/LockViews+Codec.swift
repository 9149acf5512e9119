// SPDX-License-Identifier: Apache-2.0
package import Primitives

extension HolderView {
    func encode(into writer: inout ByteWriter) {
        writer.session(session)
        writer.text(label)
        writer.u8(mode.rawValue)
        writer.varint(token)
        writer.varint(count)
        writer.varint(ageMilliseconds)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            session: try reader.session(),
            label: try reader.text(limit: DecodeLimit.text, "label"),
            mode: try reader.mode(),
            token: try reader.varint(),
            count: try reader.varint(),
            ageMilliseconds: try reader.varint()
        )
    }
}

extension WaiterView {
    func encode(into writer: inout ByteWriter) {
        writer.session(session)
        writer.text(label)
        writer.u8(mode.rawValue)
        writer.request(request)
        writer.bool(isConversion)
        writer.varint(ageMilliseconds)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            session: try reader.session(),
            label: try reader.text(limit: DecodeLimit.text, "label"),
            mode: try reader.mode(),
            request: try reader.request(),
            isConversion: try reader.bool(),
            ageMilliseconds: try reader.varint()
        )
    }
}

extension ObjectView {
    func encode(into writer: inout ByteWriter) {
        writer.name(namespace)
        writer.name(name)
        writer.u8(kind.rawValue)
        writer.varint(limit)
        writer.blob(value)
        writer.varint(UInt64(holders.count))
        for holder in holders { holder.encode(into: &writer) }
        writer.varint(UInt64(waiters.count))
        for waiter in waiters { waiter.encode(into: &writer) }
        writer.bool(isDelayed)
        writer.varint(holderCount)
        writer.varint(waiterCount)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            namespace: try reader.name(),
            name: try reader.name(),
            kind: try reader.kind(),
            limit: try reader.varint(),
            value: try reader.blob(limit: DecodeLimit.text, "value"),
            holders: try reader.list("holders") { (reader) throws(DecodingError) in try HolderView(decoding: &reader) },
            waiters: try reader.list("waiters") { (reader) throws(DecodingError) in try WaiterView(decoding: &reader) },
            isDelayed: try reader.bool(),
            holderCount: try reader.varint(),
            waiterCount: try reader.varint()
        )
    }
}

extension SessionView {
    func encode(into writer: inout ByteWriter) {
        writer.session(id)
        writer.text(label)
        writer.text(owner)
        writer.varint(ttlMilliseconds)
        writer.varint(lockDelayMilliseconds)
        writer.varint(UInt64(held.count))
        for name in held { writer.name(name) }
        writer.varint(UInt64(waiting.count))
        for name in waiting { writer.name(name) }
        writer.varint(ageMilliseconds)
        writer.sequence(remainingMilliseconds)
        writer.varint(heldCount)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        self.init(
            id: try reader.session(),
            label: try reader.text(limit: DecodeLimit.text, "label"),
            owner: try reader.text(limit: DecodeLimit.text, "owner"),
            ttlMilliseconds: try reader.varint(),
            lockDelayMilliseconds: try reader.varint(),
            held: try reader.list("held") { (reader) throws(DecodingError) in try reader.name() },
            waiting: try reader.list("waiting") { (reader) throws(DecodingError) in try reader.name() },
            ageMilliseconds: try reader.varint(),
            remainingMilliseconds: try reader.sequence(),
            heldCount: try reader.varint()
        )
    }
}

extension LockEvent {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .granted(let namespace, let name, let session, let mode, let token):
            writer.u8(1)
            writer.name(namespace)
            writer.name(name)
            writer.session(session)
            writer.u8(mode.rawValue)
            writer.varint(token)
        case .released(let namespace, let name, let session):
            writer.u8(2)
            writer.name(namespace)
            writer.name(name)
            writer.session(session)
        case .queued(let namespace, let name, let session, let mode):
            writer.u8(3)
            writer.name(namespace)
            writer.name(name)
            writer.session(session)
            writer.u8(mode.rawValue)
        case .broken(let namespace, let name, let reason):
            writer.u8(4)
            writer.name(namespace)
            writer.name(name)
            writer.text(reason)
        case .deadlock(let namespace, let cycle, let victim):
            writer.u8(5)
            writer.name(namespace)
            writer.cycle(cycle)
            writer.request(victim)
        case .sessionOpened(let session):
            writer.u8(6)
            writer.session(session)
        case .sessionEnded(let session, let end):
            writer.u8(7)
            writer.session(session)
            writer.u8(end.rawValue)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 1:
            self = .granted(
                namespace: try reader.name(),
                name: try reader.name(),
                session: try reader.session(),
                mode: try reader.mode(),
                token: try reader.varint()
            )
        case 2:
            self = .released(namespace: try reader.name(), name: try reader.name(), session: try reader.session())
        case 3:
            self = .queued(
                namespace: try reader.name(),
                name: try reader.name(),
                session: try reader.session(),
                mode: try reader.mode()
            )
        case 4:
            self = .broken(
                namespace: try reader.name(),
                name: try reader.name(),
                reason: try reader.text(limit: DecodeLimit.text, "reason")
            )
        case 5:
            self = .deadlock(namespace: try reader.name(), cycle: try reader.cycle(), victim: try reader.request())
        case 6: self = .sessionOpened(try reader.session())
        case 7: self = .sessionEnded(try reader.session(), try reader.sessionEnd())
        case let tag: throw .unknownTag(what: "lock event", value: UInt64(tag))
        }
    }
}
