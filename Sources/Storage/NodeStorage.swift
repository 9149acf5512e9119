// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore

/// A node's disk, opened and read: what a process starts from.
package struct NodeStorage: ~Copyable {
    package let log: WriteAheadLog
    package let snapshots: SnapshotDirectory
    /// Each with its snapshot's state and bodies.
    package let shards: [RecoveredShard]
    package let tornTail: TornTail?
    /// Damage that was found and got around: to be told to the operator, for the disk is failing.
    package let warnings: [StorageError]

    /// Reads the log, then each shard's snapshot. When the newest snapshot of a shard is damaged an older one is taken,
    /// if the log still holds every entry after it.
    package static func open(
        _ directory: DataDirectory,
        settings: LogSettings = LogSettings(),
        snapshots snapshotSettings: SnapshotSettings = SnapshotSettings()
    ) throws(StorageError) -> NodeStorage {
        let (log, recovery) = try WriteAheadLog.open(directory, settings: settings)
        let snapshots = SnapshotDirectory(directory, settings: snapshotSettings)
        var warnings: [StorageError] = []
        var shards: [RecoveredShard] = []
        do throws(StorageError) {
            for shard in recovery.shards {
                shards.append(try load(shard, log, snapshots, &warnings))
            }
        } catch {
            try? log.close()
            throw error
        }
        removeOrphans(directory, snapshots, recovery.shards, shards)
        return NodeStorage(
            log: log,
            snapshots: snapshots,
            shards: shards,
            tornTail: recovery.tornTail,
            warnings: warnings
        )
    }

    /// Removes what a crash left half done. Where an older snapshot had to be taken everything stays as it is, for
    /// whoever looks into the damage, until a new snapshot is recorded.
    private static func removeOrphans(
        _ directory: DataDirectory,
        _ snapshots: SnapshotDirectory,
        _ recorded: [RecoveredShard],
        _ chosen: [RecoveredShard]
    ) {
        for number in 0..<min(directory.identity.shardCount, UInt32(UInt16.max) + 1) {
            let shard = ShardID(UInt16(number))
            let newest = recorded.first { $0.shard == shard }?.log.snapshot
            guard chosen.first(where: { $0.shard == shard })?.log.snapshot == newest else { continue }
            // They take room and do no harm; the next start tries again.
            try? snapshots.removeOrphans(shard, keeping: newest)
        }
    }

    private static func load(
        _ recovered: RecoveredShard,
        _ log: WriteAheadLog,
        _ snapshots: SnapshotDirectory,
        _ warnings: inout [StorageError]
    ) throws(StorageError) -> RecoveredShard {
        guard let newest = recovered.log.snapshot else { return recovered }
        var shard = recovered
        let damage: StorageError
        do throws(StorageError) {
            let (state, bodies) = try snapshots.load(shard.shard, newest)
            shard.snapshotBytes = state
            shard.bodies = bodies
            return shard
        } catch .io(let failure) {
            throw .io(failure)
        } catch {
            damage = error
        }
        for older in try snapshots.list(shard.shard) where older.index < newest.index {
            guard let loaded = try? snapshots.load(shard.shard, older),
                var reread = try? log.reread(shard.shard, keepingAbove: older.index)
            else { continue }
            reread.log.snapshot = older
            reread.snapshotBytes = loaded.state
            reread.bodies = loaded.bodies
            log.lowerSnapshot(shard.shard, to: older)
            warnings.append(damage)
            return reread
        }
        // Without any snapshot the log may still begin at its first entry.
        if var reread = try? log.reread(shard.shard, keepingAbove: .zero) {
            reread.log.snapshot = nil
            log.lowerSnapshot(shard.shard, to: nil)
            warnings.append(damage)
            return reread
        }
        throw damage
    }
}
