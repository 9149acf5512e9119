// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The results of requests that their origins may still ask for again, so that a retry returns the first result
/// (RIFL, SOSP'15). Part of the replicated state.
///
/// An origin acknowledges answers from below, by number, and one by one above its oldest request without an answer,
/// which may wait for a lock for hours. What is acknowledged is remembered as ranges of numbers, so that a duplicate
/// that travelled slowly is told from a request that never arrived: the one is nothing to do, the other has to be done.
package struct RequestTable: Sendable {
    package enum Lookup: Equatable {
        case new
        /// Applied; its answer is still to come.
        case waiting
        case done(ShardAnswer)
        /// Acknowledged long ago: only a duplicate that travelled slowly can still ask.
        case forgotten
    }

    private enum Slot: Sendable {
        case waiting
        case done(ShardAnswer)
    }

    private struct Origin: Sendable {
        /// All numbers below are acknowledged.
        var floor: UInt64 = 1
        var slots = OrderedMap<UInt64, Slot>()
        var acknowledged = NumberRanges()
        /// Cluster time of its latest command.
        var lastSeen: UInt64 = 0
    }

    /// Results kept for one origin; a well-behaved origin acknowledges long before.
    package static let maxResultsPerOrigin = 1 << 17
    /// An origin that has sent nothing for this long (milliseconds of cluster time) and waits for nothing is forgotten.
    package static let originLifetime: UInt64 = 3_600_000

    private var origins = OrderedMap<UInt64, Origin>()

    package init() {}

    package var resultCount: Int {
        var count = 0
        for (_, origin) in origins { count += origin.slots.count }
        return count
    }

    package func lookup(_ id: RequestID) -> Lookup {
        guard let origin = origins[id.origin] else { return .new }
        switch origin.slots[id.number] {
        case .waiting: return .waiting
        case .done(let response): return .done(response)
        case nil: return id.number < origin.floor || origin.acknowledged.contains(id.number) ? .forgotten : .new
        }
    }

    /// Notes what the origin has acknowledged; called for every command before it is looked up.
    package mutating func acknowledge(_ envelope: CommandEnvelope) {
        let id = envelope.request
        guard id.origin != 0 else { return }
        if origins[id.origin] == nil {
            forgetIdleOrigins(now: envelope.stamp)
            origins[id.origin] = Origin()
        }
        origins.modify(id.origin) { origin in
            origin.lastSeen = max(origin.lastSeen, envelope.stamp)
            for number in envelope.acknowledged where number >= origin.floor {
                origin.slots[number] = nil
                origin.acknowledged.insert(number)
            }
            guard envelope.acknowledgedBelow > origin.floor else { return }
            origin.floor = envelope.acknowledgedBelow
            origin.slots.removePrefix(below: origin.floor)
            origin.acknowledged.removePrefix(below: origin.floor)
        }
    }

    /// The command of this request was applied and its answer is still to come.
    package mutating func noteWaiting(_ id: RequestID) {
        guard id.origin != 0 else { return }
        origins.modify(id.origin) { $0.slots[id.number] = .waiting }
    }

    package mutating func noteDone(_ id: RequestID, _ response: ShardAnswer) {
        guard id.origin != 0 else { return }
        origins.modify(id.origin) { origin in
            guard id.number >= origin.floor, !origin.acknowledged.contains(id.number) else { return }
            origin.slots[id.number] = .done(response)
            guard origin.slots.count > Self.maxResultsPerOrigin, let oldest = origin.slots.first else { return }
            origin.slots[oldest.key] = nil
            origin.acknowledged.insert(oldest.key)
        }
    }

    /// Runs only when a new origin appears, that is when a node starts.
    private mutating func forgetIdleOrigins(now: UInt64) {
        for key in origins.keys {
            guard let origin = origins[key] else { continue }
            let isWaiting = origin.slots.contains { _, slot in if case .waiting = slot { true } else { false } }
            if !isWaiting && origin.lastSeen &+ Self.originLifetime < now { origins[key] = nil }
        }
    }
}

extension RequestTable {
    package func encode(into writer: inout ByteWriter) {
        writer.varint(UInt64(origins.count))
        for (key, origin) in origins {
            writer.u64(key)
            writer.varint(origin.floor)
            writer.varint(origin.lastSeen)
            origin.acknowledged.encode(into: &writer)
            writer.varint(UInt64(origin.slots.count))
            for (number, slot) in origin.slots {
                writer.varint(number)
                switch slot {
                case .waiting: writer.bool(false)
                case .done(let response):
                    writer.bool(true)
                    response.encode(into: &writer)
                }
            }
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let count = try reader.count(limit: reader.remaining, "origins")
        for _ in 0..<count {
            let key = try reader.u64()
            var origin = Origin()
            origin.floor = try reader.varint()
            origin.lastSeen = try reader.varint()
            origin.acknowledged = try NumberRanges(decoding: &reader)
            for _ in 0..<(try reader.count(limit: reader.remaining, "results")) {
                let number = try reader.varint()
                origin.slots[number] = try reader.bool() ? .done(try ShardAnswer(decoding: &reader)) : .waiting
            }
            origins[key] = origin
        }
    }
}
