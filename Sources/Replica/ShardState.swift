// SPDX-License-Identifier: Apache-2.0
package import LockCore
package import Primitives
package import RaftCore

/// The replicated state machine of one shard: everything that applying the log changes, and nothing else.
package struct ShardState: Sendable {
    package private(set) var locks: LockState
    package private(set) var requests = RequestTable()
    /// The latest stamp applied, in milliseconds of cluster time. Never falls.
    package private(set) var stamp: UInt64 = 0
    package private(set) var applied: LogIndex = .zero
    private var history: UInt64 = 0

    package init(limits: LockLimits) { locks = LockState(limits: limits) }

    /// A hash of everything applied so far; equal on all replicas at the same index.
    package var digest: UInt64 { StableHash.combine(history, locks.digest) }

    /// Applies a committed entry. Throws, having changed nothing, when the payload is of an unknown version or kind:
    /// the replica must stop, an entry is never skipped (DESIGN §3 rule 7).
    package mutating func apply(_ entry: Entry, into effects: inout LockEffects) throws(DecodingError) -> RequestID? {
        invariant(entry.index == applied.next, "entry \(entry.index) applied after \(applied)")
        switch entry.kind {
        case .noop:
            applied = entry.index
            return nil
        case .configuration:
            throw .unknownTag(what: "entry kind", value: UInt64(entry.kind.rawValue))
        case .command:
            let envelope = try CommandEnvelope(decoding: entry.payload)
            applied = entry.index
            apply(envelope, entry, into: &effects)
            return envelope.request
        }
    }

    private mutating func apply(_ envelope: CommandEnvelope, _ entry: Entry, into effects: inout LockEffects) {
        stamp = max(stamp, envelope.stamp)
        history = StableHash.combine(history, StableHash.combine(entry.index.rawValue, entry.term.rawValue))
        requests.acknowledge(envelope)
        let id = envelope.request
        if id.origin != 0 {
            switch requests.lookup(id) {
            case .new: break
            case .waiting, .forgotten: return
            case .done(let response):
                effects.responses.append((id, response))
                return
            }
        }
        let mayWait = envelope.command.mayWait
        if mayWait { requests.noteWaiting(id) }
        let first = effects.responses.count
        let context = ApplyContext(index: entry.index, term: entry.term, stamp: stamp, request: id)
        locks.apply(envelope.command, context, into: &effects)
        for (request, response) in effects.responses[first...] {
            requests.noteDone(request, response)
        }
    }
}

extension ShardState {
    private static let version: UInt8 = 1

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 4096)
        writer.u8(Self.version)
        writer.varint(stamp)
        writer.varint(applied.rawValue)
        writer.u64(history)
        requests.encode(into: &writer)
        locks.encode(into: &writer)
        return writer.bytes
    }

    package init(decoding bytes: [UInt8], limits: LockLimits) throws(DecodingError) {
        var reader = ByteReader(bytes)
        let version = try reader.u8()
        guard version == Self.version else { throw .unknownTag(what: "snapshot version", value: UInt64(version)) }
        stamp = try reader.varint()
        applied = LogIndex(try reader.varint())
        history = try reader.u64()
        requests = try RequestTable(decoding: &reader)
        locks = try LockState(decoding: &reader, limits: limits)
        try reader.expectEnd()
    }
}
