// SPDX-License-Identifier: Apache-2.0
package import Primitives

// The snapshot of the lock state. Slots and their free lists are part of it, so that a restored replica gives the same
// slots, listing order and digest as one that applied every entry.

extension LockState {
    private static var formatVersion: UInt8 { 1 }

    package func encode(into writer: inout ByteWriter) {
        writer.u8(Self.formatVersion)
        writer.u64(digest)
        writer.table(namespaces) { $0.encode(into: &$1) }
        writer.table(owners) { $0.encode(into: &$1) }
        writer.table(sessions) { $0.encode(into: &$1) }
        writer.table(objects) { $0.encode(into: &$1) }
        writer.table(details) { $0.encode(into: &$1) }
        writer.table(holds) { $0.encode(into: &$1) }
        writer.table(waits) { $0.encode(into: &$1) }
        writer.table(places) { $0.encode(into: &$1) }
    }

    /// Reads a snapshot and checks that it is a state that commands could have led to; damage throws and never traps.
    package init(decoding reader: inout ByteReader, limits: LockLimits = LockLimits()) throws(DecodingError) {
        self.init(limits: limits)
        try reader.version(Self.formatVersion, "lock snapshot")
        digest = try reader.u64()
        namespaces = try reader.table("namespaces") { (reader) throws(DecodingError) in try NamespaceRecord(&reader) }
        owners = try reader.table("owners") { (reader) throws(DecodingError) in try OwnerRecord(&reader) }
        sessions = try reader.table("sessions") { (reader) throws(DecodingError) in try SessionRecord(&reader) }
        objects = try reader.table("objects") { (reader) throws(DecodingError) in try ObjectRecord(&reader) }
        details = try reader.table("details") { (reader) throws(DecodingError) in try DetailRecord(&reader) }
        holds = try reader.table("holds") { (reader) throws(DecodingError) in try HoldRecord(&reader) }
        waits = try reader.table("waits") { (reader) throws(DecodingError) in try WaitRecord(&reader) }
        places = try reader.table("places") { (reader) throws(DecodingError) in try PlaceRecord(&reader) }
        for slot in 0..<waits.end where waits.contains(slot) {
            guard sessions.contains(waits[slot].session) else { throw .invalidValue(what: "lock snapshot: wait") }
            if sessions[waits[slot].session].owner != noSlot { ownedWaits += 1 }
        }
        for slot in 0..<holds.end where holds.contains(slot) {
            guard sessions.contains(holds[slot].session), objects.contains(holds[slot].object),
                objects[holds[slot].object].detail == noSlot || details.contains(objects[holds[slot].object].detail)
            else { throw .invalidValue(what: "lock snapshot: hold") }
            if hasLine(holds[slot].object) { sessions[holds[slot].session].contendedHolds += 1 }
        }
        guard rebuildIndexes() else { throw .invalidValue(what: "lock snapshot: a name stands twice") }
        if let fault = inconsistency() { throw .invalidValue(what: "lock snapshot: \(fault)") }
    }
}

extension ByteReader {
    fileprivate mutating func int32() throws(DecodingError) -> Int32 {
        Int32(try count(limit: Int(Int32.max), "count"))
    }

    fileprivate mutating func uint32() throws(DecodingError) -> UInt32 {
        UInt32(try count(limit: Int(UInt32.max), "number"))
    }
}

extension NamespaceRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.name(name)
        writer.varint(UInt64(sessions))
        writer.varint(UInt64(objects))
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self.init(name: try reader.name(), sessions: try reader.int32(), objects: try reader.int32())
    }
}

extension OwnerRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.name(name)
        writer.slot(firstSession)
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self.init(name: try reader.name(), firstSession: try reader.slot())
    }
}

extension SessionRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.session(id)
        writer.text(label)
        for slot in [namespace, owner, nextOfOwner, previousOfOwner, firstHold, firstWait] { writer.slot(slot) }
        writer.varint(UInt64(holdCount))
        writer.varint(UInt64(waitCount))
        writer.varint(UInt64(ttlMilliseconds))
        writer.varint(UInt64(lockDelayMilliseconds))
        writer.varint(opened.rawValue)
        writer.varint(since)
        results.encode(into: &writer)
        #if PLANTED_BUGS
            writer.bool(isEnded)
        #endif
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self = .vacant
        id = try reader.session()
        label = try reader.text(limit: DecodeLimit.text, "label")
        namespace = try reader.slot()
        owner = try reader.slot()
        nextOfOwner = try reader.slot()
        previousOfOwner = try reader.slot()
        firstHold = try reader.slot()
        firstWait = try reader.slot()
        holdCount = try reader.int32()
        waitCount = try reader.int32()
        ttlMilliseconds = try reader.uint32()
        lockDelayMilliseconds = try reader.uint32()
        opened = try reader.index()
        since = try reader.varint()
        results = try RememberedResults(&reader)
        #if PLANTED_BUGS
            isEnded = try reader.bool()
        #endif
    }
}

extension RememberedResults {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.varint(floor)
        writer.varint(UInt64(oldest))
        writer.varint(UInt64(entries.count))
        for entry in entries {
            writer.varint(entry.sequence)
            entry.result.response.encode(into: &writer)
        }
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        let floor = try reader.varint()
        let oldest = try reader.count(limit: LockLimits.rememberedResults, "oldest result")
        let total = try reader.count(limit: LockLimits.rememberedResults, "results")
        guard oldest == 0 || oldest < total else { throw .invalidValue(what: "oldest result") }
        var entries: [Entry] = []
        for _ in 0..<total {
            let sequence = try reader.varint()
            entries.append(Entry(sequence: sequence, result: Result(try LockResponse(decoding: &reader))))
        }
        self.init(entries: entries, oldest: oldest, floor: floor)
    }
}

extension ObjectRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.name(name)
        for slot in [namespace, firstHold, detail] { writer.slot(slot) }
        writer.varint(UInt64(holdCount))
        writer.u8(kind.rawValue)
        writer.u8((hasUpdate ? 1 : 0) | (hasExclusive ? 2 : 0))
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self.init(name: try reader.name(), namespace: try reader.slot(), kind: .lock)
        firstHold = try reader.slot()
        detail = try reader.slot()
        holdCount = try reader.int32()
        kind = try reader.kind()
        let flags = try reader.u8()
        guard flags < 4 else { throw .invalidValue(what: "mode flags") }
        hasUpdate = flags & 1 != 0
        hasExclusive = flags & 2 != 0
    }
}

extension DetailRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        for slot in [object, firstPlace, lastPlace, lastConversion] { writer.slot(slot) }
        writer.varint(UInt64(waiterCount))
        writer.varint(UInt64(delayMilliseconds))
        writer.varint(delayBegan.rawValue)
        writer.varint(limit)
        writer.varint(permitsInUse)
        writer.blob(value)
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self.init(object: try reader.slot())
        firstPlace = try reader.slot()
        lastPlace = try reader.slot()
        lastConversion = try reader.slot()
        waiterCount = try reader.int32()
        delayMilliseconds = try reader.uint32()
        delayBegan = try reader.index()
        limit = UInt64(try reader.count(limit: Int(LockLimits.semaphoreLimit), "semaphore limit"))
        permitsInUse = UInt64(try reader.count(limit: Int(LockLimits.semaphoreLimit), "permits"))
        value = try reader.blob(limit: LockLimits.valueBytes, "value")
    }
}

extension HoldRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        for slot in [object, session, nextInObject, previousInObject, nextInSession, previousInSession] {
            writer.slot(slot)
        }
        writer.varint(token)
        writer.varint(since)
        writer.varint(UInt64(count))
        writer.u8(mode.rawValue)
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self = .vacant
        object = try reader.slot()
        session = try reader.slot()
        nextInObject = try reader.slot()
        previousInObject = try reader.slot()
        nextInSession = try reader.slot()
        previousInSession = try reader.slot()
        token = try reader.varint()
        since = try reader.varint()
        count = try reader.uint32()
        mode = try reader.mode()
    }
}

extension WaitRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.request(request)
        for slot in [session, firstPlace, nextInSession, previousInSession] { writer.slot(slot) }
        writer.varint(index.rawValue)
        writer.varint(since)
        writer.signed(priority)
        writer.varint(milliseconds)
        writer.varint(sequence)
        writer.varint(UInt64(permits))
        writer.u8(kind.rawValue)
        writer.bool(isConversion)
        writer.blob(value)
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self = .vacant
        request = try reader.request()
        session = try reader.slot()
        firstPlace = try reader.slot()
        nextInSession = try reader.slot()
        previousInSession = try reader.slot()
        index = try reader.index()
        since = try reader.varint()
        priority = try reader.signed()
        milliseconds = try reader.varint()
        sequence = try reader.varint()
        permits = try reader.uint32()
        kind = try reader.kind()
        isConversion = try reader.bool()
        value = try reader.blob(limit: LockLimits.valueBytes, "value")
    }
}

extension PlaceRecord {
    fileprivate func encode(into writer: inout ByteWriter) {
        for slot in [wait, object, hold, next, previous, nextInWait] { writer.slot(slot) }
        writer.u8(mode.rawValue)
        writer.bool(isConversion)
    }

    fileprivate init(_ reader: inout ByteReader) throws(DecodingError) {
        self = .vacant
        wait = try reader.slot()
        object = try reader.slot()
        hold = try reader.slot()
        next = try reader.slot()
        previous = try reader.slot()
        nextInWait = try reader.slot()
        mode = try reader.mode()
        isConversion = try reader.bool()
    }
}
