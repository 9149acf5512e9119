// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import RaftCore
import Wire

/// Rebuilds the shards' logs from records in order. Pure.
struct LogReplay: Sendable {
    fileprivate struct Shard: Sendable {
        var hardState = HardState()
        var snapshot: SnapshotMetadata?
        var entries: [Entry] = []
        /// Entries above this are kept although a later snapshot covers them.
        var keepAbove: LogIndex?

        var floor: LogIndex { keepAbove ?? snapshot?.index ?? .zero }
    }

    private var shards = OrderedMap<ShardID, Shard>()
    private var keepAbove: (shard: ShardID, index: LogIndex)?

    init() {}

    /// Keeps a shard's entries above `index` whatever snapshots the log names: for starting from an older snapshot.
    init(shard: ShardID, keepingAbove index: LogIndex) { keepAbove = (shard, index) }

    /// The reason is set when the record does not follow from what came before.
    mutating func apply(_ record: LogRecord) -> String? {
        switch record {
        case .hardState(let shard, let state):
            modify(shard) { $0.hardState = state }
        case .entries(let shard, let entries):
            return modify(shard) { $0.append(entries) }
        case .snapshot(let shard, let metadata):
            modify(shard) { $0.compact(metadata) }
        case .reset(let shard, let metadata):
            modify(shard) { $0.reset(metadata) }
        case .checkpoint(let checkpoints):
            for checkpoint in checkpoints {
                let isKnown = shards[checkpoint.shard] != nil
                let reason = modify(checkpoint.shard) { shard -> String? in
                    if isKnown, shard.hardState != checkpoint.hardState {
                        return "the checkpoint's term and vote of shard \(checkpoint.shard) differ from the log's"
                    }
                    shard.hardState = checkpoint.hardState
                    if let snapshot = checkpoint.snapshot { shard.compact(snapshot) }
                    return nil
                }
                if let reason { return reason }
            }
        case .closed:
            break
        }
        return nil
    }

    /// The shards in order, or why they make no log.
    func finish() -> Result<[RecoveredShard], Problem> {
        var recovered: [RecoveredShard] = []
        for (id, shard) in shards {
            if let first = shard.entries.first, first.index > shard.floor.next {
                return .failure(
                    Problem(
                        shard: id,
                        reason: "shard \(id) has a snapshot up to \(shard.floor) and entries only from \(first.index)"
                    )
                )
            }
            if shard.keepAbove != nil, shard.entries.last?.index ?? .zero < shard.snapshot?.index ?? .zero {
                return .failure(Problem(shard: id, reason: "shard \(id) has no entries up to its snapshot"))
            }
            let log = RecoveredLog(hardState: shard.hardState, snapshot: shard.snapshot, entries: shard.entries)
            recovered.append(RecoveredShard(shard: id, log: log))
        }
        return .success(recovered)
    }

    struct Problem: Error, Equatable, Sendable {
        var shard: ShardID
        var reason: String
    }

    @discardableResult
    private mutating func modify<Result>(_ id: ShardID, _ body: (inout Shard) -> Result) -> Result {
        if shards[id] == nil {
            var shard = Shard()
            if let keepAbove, keepAbove.shard == id { shard.keepAbove = keepAbove.index }
            shards[id] = shard
        }
        guard let result = shards.modify(id, body) else { invariantFailure("a shard just added is there") }
        return result
    }
}

/// What one shard starts from.
package struct RecoveredShard: Sendable {
    package var shard: ShardID
    package var log: RecoveredLog
    /// The state of `log.snapshot`, checked; nil when there is none, or before it was loaded.
    package var snapshotBytes: [UInt8]?
    /// Where the bodies of the messages in that state are.
    package var bodies = BodyManifest.empty
}

extension LogReplay.Shard {
    fileprivate mutating func append(_ added: [Entry]) -> String? {
        let floor = floor
        guard let start = added.firstIndex(where: { $0.index > floor }) else { return nil }
        let live = added[start...]
        let first = added[start].index
        guard let oldFirst = entries.first?.index, let oldLast = entries.last?.index else {
            // A gap after the snapshot may still close: the segments between went because of a snapshot that a
            // later record names. `finish` checks it.
            entries = Array(live)
            return nil
        }
        guard first <= oldLast.next else {
            return "entries go on at \(first) after \(oldLast)"
        }
        if first <= oldFirst {
            entries = Array(live)
        } else {
            entries.removeLast(entries.count - Int(first - oldFirst))
            entries.append(contentsOf: live)
        }
        return nil
    }

    fileprivate mutating func compact(_ metadata: SnapshotMetadata) {
        guard metadata.index > snapshot?.index ?? .zero else { return }
        snapshot = metadata
        guard let first = entries.first?.index, let last = entries.last?.index else { return }
        if metadata.index > last {
            entries = []
        } else if keepAbove == nil, metadata.index >= first {
            entries.removeFirst(Int(metadata.index - first) + 1)
        }
    }

    fileprivate mutating func reset(_ metadata: SnapshotMetadata) {
        guard metadata.index > snapshot?.index ?? .zero else { return }
        snapshot = metadata
        entries = []
    }
}
