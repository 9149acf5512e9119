// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore
import Replica
import Wire

/// The shell's part in taking, sending and receiving snapshots.
extension Simulation {
    func carryOutSnapshots(_ effects: ReplicaEffects, _ node: SimNode, _ shard: Int) {
        if let job = effects.snapshotJob {
            probes.hit(.snapshotTaken)
            let bytes = job.encode()
            let metadata = SnapshotMetadata(
                index: job.index,
                term: job.term,
                voters: job.voters,
                size: UInt64(bytes.count),
                checksum: Checksum.crc32c(bytes)
            )
            let bodies = gatherBodies(job, node, shard)
            remember(bodies, of: metadata, shard, node)
            node.replicas[shard].snapshotJob = SimDisk.Snapshot(metadata: metadata, bytes: bytes, bodies: bodies)
            let delay = random.interval(from: .milliseconds(1), to: .milliseconds(60)) + node.syncDelay
            queue.schedule(.snapshotWritten(node: node.index, life: node.life, shard: shard), at: now + delay)
        }
        // File work is not done in the turn that asks for it.
        for read in effects.snapshotReads { post(.snapshotRead(shard: shard, read), to: node) }
        for store in effects.snapshotChunks { post(.snapshotStored(shard: shard, store), to: node) }
    }

    func answerSnapshotRead(_ read: SnapshotRead, _ node: SimNode, _ shard: Int, _ local: Instant) {
        var bytes: [UInt8] = []
        if let file = node.disk.snapshot(read.snapshot, shard: shard), read.offset <= file.metadata.size {
            let start = Int(read.offset)
            bytes = Array(file.bytes[start..<min(start + read.limit, file.bytes.count)])
        } else {
            probes.hit(.snapshotRestarted)
        }
        let checksum = Checksum.crc32c(bytes)
        step(
            .snapshotChunkRead(to: read.to, read.snapshot, offset: read.offset, bytes: bytes, checksum: checksum),
            node,
            shard,
            local
        )
    }

    func storeChunk(_ store: SnapshotStore, _ node: SimNode, _ shard: Int, _ local: Instant) {
        guard node.replicas[shard].installing == nil else { return }
        let chunk = store.chunk
        probes.hit(.snapshotChunkStored)
        if node.disk.receiving[shard]?.metadata != chunk.snapshot {
            node.disk.receiving[shard] = SimDisk.Receiving(metadata: chunk.snapshot, bytes: [])
        }
        var held = UInt64(node.disk.receiving[shard]?.bytes.count ?? 0)
        if chunk.offset == held && Checksum.crc32c(chunk.bytes) == chunk.checksum && !chunk.bytes.isEmpty {
            node.disk.receiving[shard]?.bytes.append(contentsOf: chunk.bytes)
            held += UInt64(chunk.bytes.count)
        }
        guard held == chunk.snapshot.size, let bytes = node.disk.receiving[shard]?.bytes else {
            step(
                .snapshotChunkStored(from: store.from, chunk.snapshot, nextOffset: held),
                node,
                shard,
                local
            )
            return
        }
        node.disk.receiving[shard] = nil
        guard Checksum.crc32c(bytes) == chunk.snapshot.checksum else {
            violations.report(
                .durability,
                "the bytes of a snapshot of shard \(shard) changed on their way to node \(node.index)"
            )
            return
        }
        let snapshot = SimDisk.Snapshot(
            metadata: chunk.snapshot,
            bytes: bytes,
            bodies: bodies(of: chunk.snapshot, shard)
        )
        node.replicas[shard].installing = (store.from, snapshot)
        // On the helper thread, behind whatever else is there: much may change meanwhile.
        let delay = random.interval(from: .milliseconds(1), to: .milliseconds(400)) + node.syncDelay
        queue.schedule(.snapshotInPlace(node: node.index, life: node.life, shard: shard), at: now + delay)
    }

    func snapshotInPlace(_ node: SimNode, _ life: UInt32, _ shard: Int) {
        guard node.life == life, node.isUp, let (from, snapshot) = node.replicas[shard].installing else { return }
        node.replicas[shard].installing = nil
        node.disk.install(snapshot, shard: shard)
        post(.snapshotInstalled(shard: shard, from: from, snapshot), to: node)
    }
}
