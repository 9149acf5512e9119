// SPDX-License-Identifier: Apache-2.0
import Primitives

extension ByteWriter {
    private mutating func slot(_ slot: Slot) { varint(UInt64(UInt32(bitPattern: slot &+ 1))) }

    fileprivate mutating func heads(_ slots: [Slot]) {
        for slot in slots { self.slot(slot) }
    }
}

extension ByteReader {
    fileprivate mutating func head() throws(DecodingError) -> Slot {
        Slot(try count(limit: Int(Slot.max), "slot")) - 1
    }

    fileprivate mutating func number() throws(DecodingError) -> UInt64 {
        let value = try varint()
        guard value < 1 << 62 else { throw .limitExceeded(what: "number") }
        return value
    }
}

extension QueueRecord {
    func encode(into writer: inout ByteWriter) {
        writer.name(name)
        settings.encode(into: &writer)
        writer.varint(declared.rawValue)
        writer.u8((isDoomed ? 1 : 0) | (isPublishPaused ? 2 : 0) | (isConsumePaused ? 4 : 0) | (heapPlace >= 0 ? 8 : 0))
        depth.encode(into: &writer)
        for number in [bytes, readyBytes, held, heldBytes, listed, dueAt, dueTurn] { writer.varint(number) }
        totals.encode(into: &writer)
        writer.varint(UInt64(tenants.count))
        for tenant in tenants {
            writer.name(tenant.name)
            writer.signed(tenant.deficit)
            writer.varint(tenant.live)
        }
        writer.varint(UInt64(active.count))
        for tenant in active { writer.varint(UInt64(tenant)) }
        writer.heads([firstInFlight, lastInFlight, firstDead, lastDead, firstWait, lastWait])
        writer.varint(UInt64(waits))
        writer.varint(UInt64(dwell.count))
        for count in dwell { writer.varint(count) }
        writer.bool(redrive != nil)
        redrive?.encode(into: &writer)
        dedup.encode(into: &writer)
        producers.encode(into: &writer)
    }

    init(_ reader: inout ByteReader) throws(DecodingError) {
        let name = try reader.name()
        let settings = try QueueSettings(decoding: &reader)
        self.init(name: name, settings: settings, declared: try reader.index())
        let flags = try reader.u8()
        guard flags < 16 else { throw .invalidValue(what: "queue flags") }
        isDoomed = flags & 1 != 0
        isPublishPaused = flags & 2 != 0
        isConsumePaused = flags & 4 != 0
        heapPlace = flags & 8 != 0 ? 0 : -1
        depth = try QueueDepth(decoding: &reader)
        bytes = try reader.number()
        readyBytes = try reader.number()
        held = try reader.number()
        heldBytes = try reader.number()
        listed = try reader.number()
        dueAt = try reader.number()
        dueTurn = try reader.number()
        totals = try QueueTotals(&reader)
        tenants = try reader.list("tenants") { (reader) throws(DecodingError) in
            var tenant = TenantRecord(name: try reader.name())
            tenant.deficit = try reader.signed()
            tenant.live = try reader.number()
            guard (0...2 * QueueLimits.tenantQuantum).contains(tenant.deficit) else {
                throw .limitExceeded(what: "deficit")
            }
            return tenant
        }
        active = try reader.list("ring") { (reader) throws(DecodingError) in
            try reader.count(limit: Int(UInt16.max), "tenant")
        }
        firstInFlight = try reader.head()
        lastInFlight = try reader.head()
        firstDead = try reader.head()
        lastDead = try reader.head()
        firstWait = try reader.head()
        lastWait = try reader.head()
        waits = Int32(try reader.count(limit: Int(Int32.max), "waits"))
        dwell = try reader.list("dwell") { (reader) throws(DecodingError) in try reader.number() }
        guard dwell.count <= QueueLimits.dwellBuckets else { throw .limitExceeded(what: "dwell") }
        redrive = try reader.bool() ? try RedriveJob(&reader) : nil
        dedup = try DedupWindow(&reader)
        producers = try ProducerTable(&reader)
    }
}

#if PLANTED_BUGS
    extension QueueRecord {
        var withoutDedup: QueueRecord {
            var copy = self
            copy.dedup = DedupWindow()
            return copy
        }
    }
#endif

extension RedriveJob {
    fileprivate func encode(into writer: inout ByteWriter) {
        redrive.encode(into: &writer)
        for number in [examine, left, moved, began] { writer.varint(number) }
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self.init(
            redrive: try Redrive(decoding: &reader),
            examine: try reader.number(),
            left: try reader.number(),
            moved: try reader.number(),
            began: try reader.number()
        )
    }
}

extension DedupWindow {
    fileprivate func encode(into writer: inout ByteWriter) {
        let entries = entries
        writer.varint(UInt64(entries.count))
        for entry in entries {
            writer.name(entry.name)
            writer.varint(entry.message.rawValue)
            writer.varint(entry.expires)
        }
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self.init()
        for _ in 0..<(try reader.varint()) {
            let name = try reader.name()
            insert(Entry(name: name, message: MessageID(rawValue: try reader.varint()), expires: try reader.number()))
        }
    }
}

extension ProducerTable {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.varint(sweepAfter)
        writer.varint(UInt64(producers.count))
        for (name, producer) in producers {
            writer.name(name)
            writer.varint(producer.floor)
            writer.varint(producer.lastUsed)
            writer.varint(UInt64(producer.results.count))
            for result in producer.results {
                writer.varint(result.sequence)
                writer.varint(result.first.rawValue)
                writer.varint(UInt64(result.count))
                writer.varint(UInt64(result.ids.count))
                for id in result.ids { writer.varint(id.rawValue) }
            }
        }
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        let sweepAfter = try reader.varint()
        var producers = OrderedMap<Name, Producer>()
        for _ in 0..<(try reader.varint()) {
            let name = try reader.name()
            let floor = try reader.varint()
            var producer = Producer(floor: floor, lastUsed: try reader.number())
            producer.results = try reader.list("results") { (reader) throws(DecodingError) in
                Result(
                    sequence: try reader.varint(),
                    first: MessageID(rawValue: try reader.varint()),
                    count: try reader.count(limit: MessageID.perEntry, "result"),
                    ids: try reader.list("ids") { (reader) throws(DecodingError) in
                        MessageID(rawValue: try reader.varint())
                    }
                )
            }
            guard producer.results.count <= QueueLimits.rememberedResults else { throw .limitExceeded(what: "results") }
            producers[name] = producer
        }
        self.init(producers: producers, sweepAfter: sweepAfter)
    }
}
