// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import LockCore
package import PlacementCore
package import Primitives
package import QueueCore
package import RaftCore

/// The replicated state machine of one shard: everything that applying the log changes, and nothing else.
package struct ShardState: Sendable {
    package private(set) var locks: LockState
    package private(set) var queues: QueueState
    package private(set) var cache: CacheState
    /// Which nodes hold each shard: in the system shard once its first leader has proposed a table, nil in all others.
    package private(set) var placement: PlacementTable?
    package private(set) var requests = RequestTable()
    /// The latest stamp applied, in milliseconds of cluster time. Never falls.
    package private(set) var stamp: UInt64 = 0
    package private(set) var applied: LogIndex = .zero
    private var history: UInt64 = 0

    package init(shard: ShardID, limits: ShardLimits, index: IndexLayout = IndexLayout()) {
        locks = LockState(limits: limits.locks)
        queues = QueueState(shard: shard, limits: limits.queues, index: index)
        cache = CacheState(isWrittenBack: limits.isCacheWrittenBack)
    }

    /// A hash of everything applied so far; equal on all replicas at the same index.
    package var digest: UInt64 {
        StableHash.combine(
            StableHash.combine(history, cache.digest),
            StableHash.combine(locks.digest, queues.digest)
        )
    }

    /// Applies a committed entry. Throws, having changed nothing, when the payload is of an unknown version or kind:
    /// the replica must stop, an entry is never skipped (DESIGN §3 rule 7).
    package mutating func apply(
        _ entry: Entry,
        into effects: inout ShardEffects
    ) throws(DecodingError) -> CommandEnvelope? {
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
            return envelope
        }
    }

    private mutating func apply(_ envelope: CommandEnvelope, _ entry: Entry, into effects: inout ShardEffects) {
        stamp = max(stamp, envelope.stamp)
        history = StableHash.combine(history, StableHash.combine(entry.index.rawValue, entry.term.rawValue))
        requests.acknowledge(envelope)
        let id = envelope.request
        if id.origin != 0 {
            switch requests.lookup(id) {
            case .new: break
            case .waiting: return
            case .forgotten:
                // A home waits for what became of every entry of its own.
                if case .cache = envelope.command { effects.cache.responses.append((entry.index.rawValue, .done)) }
                return
            case .done(let answer):
                effects.answers.append((id, answer))
                if case .cache(let response) = answer {
                    effects.cache.responses.append((entry.index.rawValue, response))
                }
                return
            }
        }
        if envelope.command.mayWait { requests.noteWaiting(id) }
        switch envelope.command {
        case .lock(let command):
            let context = ApplyContext(index: entry.index, term: entry.term, stamp: stamp, request: id)
            let first = effects.locks.responses.count
            locks.apply(command, context, into: &effects.locks)
            for (request, response) in effects.locks.responses[first...] {
                finish(request, .lock(response), into: &effects)
            }
        case .queue(let command):
            let context = QueueContext(index: entry.index, term: entry.term, stamp: stamp, request: id)
            let first = effects.queues.responses.count
            queues.apply(command, context, into: &effects.queues)
            for (request, response) in effects.queues.responses[first...] {
                finish(request, .queue(response), into: &effects)
            }
        case .cache(let command):
            let response = cache.apply(command, index: entry.index, stamp: stamp, into: &effects.cache)
            effects.cache.responses.append((entry.index.rawValue, response))
            finish(id, .cache(response), into: &effects)
        case .placement(let table):
            if table.version == (placement?.version ?? 0) &+ 1 { placement = table }
        }
    }

    private mutating func finish(_ request: RequestID, _ answer: ShardAnswer, into effects: inout ShardEffects) {
        requests.noteDone(request, answer)
        effects.answers.append((request, answer))
    }

    /// Why the command can never be carried out; nil when it may be.
    package func validate(_ command: ShardCommand) -> ShardAnswer? {
        switch command {
        case .lock(let command): locks.validate(command).map { .lock(.refused($0)) }
        case .queue(let command):
            (queues.validate(command) ?? QueuePlacement.refusal(of: command)).map { .queue(.refused($0)) }
        case .cache, .placement: nil
        }
    }

    /// A copy for nothing but `encoded`, while this state goes on.
    var encodable: ShardState {
        var copy = self
        copy.queues = queues.encodable
        return copy
    }
}

extension ShardState {
    private static let version: UInt8 = 2

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 4096)
        writer.u8(Self.version)
        writer.varint(stamp)
        writer.varint(applied.rawValue)
        writer.u64(history)
        requests.encode(into: &writer)
        locks.encode(into: &writer)
        queues.encode(into: &writer)
        cache.encode(into: &writer)
        writer.bool(placement != nil)
        placement?.encode(into: &writer)
        return writer.bytes
    }

    package init(
        decoding bytes: [UInt8],
        shard: ShardID,
        limits: ShardLimits,
        index: IndexLayout = IndexLayout()
    ) throws(DecodingError) {
        var reader = ByteReader(bytes)
        try reader.version(Self.version, "snapshot")
        stamp = try reader.varint()
        applied = LogIndex(try reader.varint())
        history = try reader.u64()
        requests = try RequestTable(decoding: &reader)
        locks = try LockState(decoding: &reader, limits: limits.locks)
        queues = try QueueState(decoding: &reader, limits: limits.queues, index: index, applied: applied)
        guard queues.shard == shard else { throw .invalidValue(what: "shard") }
        cache = try CacheState(decoding: &reader)
        guard cache.store.isWrittenBack == limits.isCacheWrittenBack else {
            throw .invalidValue(what: "memory of the cache")
        }
        placement = try reader.bool() ? try PlacementTable(decoding: &reader) : nil
        try reader.expectEnd()
    }
}
