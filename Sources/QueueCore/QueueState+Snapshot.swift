// SPDX-License-Identifier: Apache-2.0
package import Primitives

// The snapshot of the queue state. Slots and their free lists are part of it, and so is every order that commands made;
// lines, heaps and indexes follow from the records and are built anew. Bodies are not in it: `forEachLiveBody` names
// those that a snapshot needs beside it.

extension QueueState {
    private static var formatVersion: UInt8 { 1 }

    package func encode(into writer: inout ByteWriter) {
        writer.u8(Self.formatVersion)
        writer.u16(shard.rawValue)
        writer.u64(digest)
        writer.varint(stamp)
        writer.varint(term.rawValue)
        writer.varint(leaseFloor)
        writer.varint(turn)
        totals.encode(into: &writer)
        writer.table(consumers) { $0.encode(into: &$1) }
        #if PLANTED_BUGS
            let isForgetful = limits.plantedBug == .dedupNotInSnapshot
            writer.table(queues) { isForgetful ? $0.withoutDedup.encode(into: &$1) : $0.encode(into: &$1) }
        #else
            writer.table(queues) { $0.encode(into: &$1) }
        #endif
        writer.table(store.groups) { $0.encode(into: &$1) }
        writer.table(store.extras) { $0.encode(into: &$1) }
        writer.table(deads) { $0.encode(into: &$1) }
        writer.table(waits) { $0.encode(into: &$1) }
        store.table.encode(into: &writer)
    }

    /// A copy for nothing but `encode`, while this state goes on. It lacks the indexes: they are not in a snapshot, and
    /// sharing them would have the next command copy them whole.
    package var encodable: QueueState {
        var copy = self
        copy.queueIndex = LookupTable()
        copy.queueNames = OrderedMap()
        copy.groupIndex = LookupTable()
        copy.consumerIndex = LookupTable()
        copy.waitIndex = LookupTable()
        copy.waitTimers = DeadlineHeap()
        copy.dueQueues = DeadlineHeap()
        return copy
    }

    /// Reads a snapshot and checks that it is a state that commands up to `applied` could have led to; damage throws
    /// and never traps.
    package init(
        decoding reader: inout ByteReader,
        limits: QueueLimits = QueueLimits(),
        index: IndexLayout = IndexLayout(),
        applied: LogIndex = LogIndex(.max)
    ) throws(DecodingError) {
        try reader.version(Self.formatVersion, "queue snapshot")
        self.init(shard: ShardID(try reader.u16()), limits: limits, index: index)
        digest = try reader.u64()
        stamp = try reader.varint()
        term = Term(try reader.varint())
        leaseFloor = try reader.varint()
        turn = try reader.varint()
        totals = try QueueTotals(&reader)
        consumers = try reader.table("consumers") { (reader) throws(DecodingError) in try ConsumerRecord(&reader) }
        queues = try reader.table("queues") { (reader) throws(DecodingError) in try QueueRecord(&reader) }
        store.groups = try reader.table("groups") { (reader) throws(DecodingError) in try GroupRecord(&reader) }
        store.extras = try reader.table("extras") { (reader) throws(DecodingError) in try ExtraRecord(&reader) }
        deads = try reader.table("deads") { (reader) throws(DecodingError) in try DeadRecord(&reader) }
        waits = try reader.table("waits") { (reader) throws(DecodingError) in try WaitRecord(&reader) }
        guard queues.end <= Slot(UInt16.max), turn < UInt64.max / 2, leaseFloor <= UInt64.max / 2,
            stamp <= QueueLimits.stamp
        else {
            throw .limitExceeded(what: "queues")
        }
        for slot in 0..<queues.end where queues.contains(slot) {
            let redrive = queues[slot].redrive.flatMap { validate(.redrive($0.redrive)) }
            guard validate(.declare(queues[slot].name, queues[slot].settings)) == nil, redrive == nil else {
                throw .invalidValue(what: "queue snapshot: settings")
            }
        }
        store.table = try MessageTable(decoding: &reader, layout: index, stamp: stamp)
        guard store.table.lastID >> 12 <= applied.rawValue else {
            throw .invalidValue(what: "queue snapshot: a message of a later entry")
        }
        if let fault = faultyReference() { throw .invalidValue(what: "queue snapshot: \(fault)") }
        guard rebuild() else { throw .invalidValue(what: "queue snapshot: a name stands twice") }
        if let fault = inconsistency() { throw .invalidValue(what: "queue snapshot: \(fault)") }
    }

    /// Builds what follows from the records. False when a name or key stands twice.
    private mutating func rebuild() -> Bool {
        for slot in 0..<queues.end where queues.contains(slot) {
            for (place, tenant) in queues[slot].tenants.enumerated() where place > 0 && tenant.name.byteCount > 0 {
                guard queues[slot].tenantIndex[tenant.name] == nil else { return false }
                queues[slot].tenantIndex[tenant.name] = place
            }
            if queues[slot].heapPlace >= 0 {
                let (due, order) = (queues[slot].dueAt, queues[slot].dueTurn)
                dueQueues.insert(slot, due: due, order: order, &queues)
            }
            guard !queues[slot].isDoomed else { continue }
            guard queueIndex[queues[slot].name] == nil else { return false }
            queueIndex[queues[slot].name] = slot
            queueNames[queues[slot].name] = slot
        }
        for slot in 0..<consumers.end where consumers.contains(slot) {
            guard consumerIndex[consumers[slot].id] == nil else { return false }
            consumerIndex[consumers[slot].id] = slot
        }
        for slot in 0..<store.groups.end where store.groups.contains(slot) {
            let key = GroupKey(queue: store.groups[slot].queue, key: store.groups[slot].key)
            guard groupIndex[key] == nil else { return false }
            groupIndex[key] = slot
        }
        for slot in 0..<waits.end where waits.contains(slot) {
            guard waitIndex[waits[slot].request] == nil else { return false }
            waitIndex[waits[slot].request] = slot
            let (due, order) = (waits[slot].deadline, waits[slot].index)
            waitTimers.insert(slot, due: due, order: order, &waits)
        }
        let table = store.table
        table.forEach { record in
            stand(record)
            return true
        }
        return true
    }

    /// Puts a message into the line and heap that its state asks for.
    private mutating func stand(_ record: MessageRecord) {
        let line = IDLine.Key(queue: Slot(record.queue), tenant: Int(record.tenant), priority: record.priority)
        if store.isOffered(record) {
            while queues[line.queue].tenants[line.tenant].lines.count <= line.priority {
                queues[line.queue].tenants[line.tenant].lines.append(IDLine())
            }
            queues[line.queue].tenants[line.tenant].lines[line.priority].insert(record.id, store)
            queues[line.queue].tenants[line.tenant].mask |= 1 << UInt16(line.priority)
        }
        guard record.extra != noSlot else { return }
        let extra = store.extras[record.extra]
        switch record.state {
        case .ready where extra.expires > 0:
            queues[line.queue].expiries.insert(record.extra, due: extra.expires, order: record.id, &store.extras)
        case .inFlight: queues[line.queue].leases.insert(record.extra, due: extra.due, order: record.id, &store.extras)
        case .delayed:
            let wake = extra.expires > 0 ? min(extra.due, extra.expires) : extra.due
            queues[line.queue].delays.insert(record.extra, due: wake, order: record.id, &store.extras)
        default: break
        }
    }
}

extension ByteReader {
    fileprivate mutating func int32() throws(DecodingError) -> Int32 {
        Int32(try count(limit: Int(Int32.max), "count"))
    }

    fileprivate mutating func uint32() throws(DecodingError) -> UInt32 {
        UInt32(try count(limit: Int(UInt32.max), "number"))
    }

    /// A count or stamp: far below where sums of two would overflow.
    fileprivate mutating func amount() throws(DecodingError) -> UInt64 {
        let value = try varint()
        guard value < 1 << 62 else { throw .limitExceeded(what: "amount") }
        return value
    }
}

extension ConsumerRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.name(id)
        writer.text(label)
        for number in [UInt64(ttlMilliseconds), UInt64(credit), opened.rawValue, since] { writer.varint(number) }
        writer.slots([firstInFlight, lastInFlight, firstWait])
        writer.varint(UInt64(inFlight))
        writer.varint(UInt64(waits))
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self.init(
            id: try reader.name(),
            label: try reader.text(limit: DecodeLimit.text, "label"),
            ttlMilliseconds: try reader.uint32(),
            credit: try reader.uint32(),
            opened: try reader.index(),
            since: try reader.amount()
        )
        firstInFlight = try reader.slot()
        lastInFlight = try reader.slot()
        firstWait = try reader.slot()
        inFlight = try reader.int32()
        waits = try reader.int32()
    }
}

extension GroupRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.name(key)
        writer.slots([queue, first, last, blocker])
        writer.varint(UInt64(ready))
        writer.varint(readyBytes)
        writer.varint(UInt64(live))
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self.init(key: try reader.name(), queue: try reader.slot())
        first = try reader.slot()
        last = try reader.slot()
        blocker = try reader.slot()
        ready = try reader.int32()
        readyBytes = try reader.amount()
        live = try reader.int32()
    }
}

extension ExtraRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        for number in [id, due, expires, delivered] { writer.varint(number) }
        for number in [bytes, deliveries, failures, returns] { writer.varint(UInt64(number)) }
        writer.slots([
            consumer, nextOfConsumer, previousOfConsumer, nextInFlight, previousInFlight, group, nextInGroup,
            previousInGroup, dead,
        ])
        writer.u8(cause.rawValue)
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self = .vacant
        id = try reader.varint()
        due = try reader.amount()
        expires = try reader.amount()
        delivered = try reader.amount()
        bytes = try reader.uint32()
        deliveries = try reader.uint32()
        failures = try reader.uint32()
        returns = try reader.uint32()
        consumer = try reader.slot()
        nextOfConsumer = try reader.slot()
        previousOfConsumer = try reader.slot()
        nextInFlight = try reader.slot()
        previousInFlight = try reader.slot()
        group = try reader.slot()
        nextInGroup = try reader.slot()
        previousInGroup = try reader.slot()
        dead = try reader.slot()
        cause = try reader.returnCause()
    }
}

extension DeadRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.slots([extra, next, previous])
        writer.bool(isListed)
        letter.encode(into: &writer)
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self = .vacant
        extra = try reader.slot()
        next = try reader.slot()
        previous = try reader.slot()
        isListed = try reader.bool()
        letter = try DeadLetter(decoding: &reader)
    }
}

extension WaitRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.request(request)
        writer.slots([queue, consumer, next, previous, nextOfConsumer, previousOfConsumer])
        for number in [count, maxBytes, leaseMilliseconds, deadline, index] { writer.varint(number) }
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self = .vacant
        request = try reader.request()
        queue = try reader.slot()
        consumer = try reader.slot()
        next = try reader.slot()
        previous = try reader.slot()
        nextOfConsumer = try reader.slot()
        previousOfConsumer = try reader.slot()
        count = try reader.amount()
        maxBytes = try reader.varint()
        leaseMilliseconds = try reader.amount()
        deadline = try reader.amount()
        index = try reader.varint()
    }
}
