// SPDX-License-Identifier: Apache-2.0
import Logging
import NIOCore
import Primitives
import RaftCore
import Replica
import Storage
import Telemetry

/// Snapshot files. Writing and installing wait for the disk, so they run on the helper thread; reading a chunk and
/// storing one are a single call on a file in the page cache and stay on the loop.
extension ShardLoop {
    func takeSnapshot(_ job: SnapshotJob, _ shard: ShardID) {
        guard let hosted = hosted[Int(shard.rawValue)] else { return }
        let previous = hosted.bodies.manifest
        let context = context
        context.background { [self] in
            do throws(StorageError) {
                let written = try context.snapshots.write(
                    shard,
                    index: job.index,
                    term: job.term,
                    voters: job.voters,
                    previous: previous,
                    SnapshotContents(job)
                )
                context.metrics.raft.snapshotsTaken.increment()
                post(.perform { $0.snapshotIsWritten(written.metadata, written.bodies, shard) })
            } catch {
                log.error(
                    "a snapshot could not be written",
                    metadata: ["shard": "\(shard.rawValue)", "error": "\(error)"]
                )
                switch error {
                case .damaged, .missingBody:
                    // Trying again would not help, and meanwhile nothing of the log could go.
                    post(.perform { $0.step(shard, .bodiesDamaged("a snapshot cannot be written: \(error)")) })
                default:
                    // The log still has everything; the next threshold tries again.
                    post(.perform { $0.step(shard, .snapshotFailed) })
                }
            }
        }
    }

    private func snapshotIsWritten(_ metadata: SnapshotMetadata, _ bodies: BodyManifest, _ shard: ShardID) {
        hosted[Int(shard.rawValue)]?.adopt(bodies, at: metadata.index)
        step(shard, .snapshotTaken(metadata))
    }

    func readSnapshot(_ read: SnapshotRead, _ shard: ShardID) {
        var bytes: [UInt8] = []
        var checksum: UInt32 = 0
        do {
            (bytes, checksum) = try context.snapshots.readChunk(
                shard,
                read.snapshot,
                offset: read.offset,
                limit: read.limit
            )
            context.metrics.raft.snapshotBytesSent.increment(by: bytes.count)
        } catch {
            // Compacted away meanwhile, or damaged: empty bytes make the leader start over with the newest.
            log.warning(
                "a snapshot could not be read",
                metadata: ["shard": "\(shard.rawValue)", "error": "\(error)"]
            )
        }
        let (chunk, chunkChecksum) = (bytes, checksum)
        post(
            .perform {
                $0.step(
                    shard,
                    .snapshotChunkRead(
                        to: read.to,
                        read.snapshot,
                        offset: read.offset,
                        bytes: chunk,
                        checksum: chunkChecksum
                    )
                )
            }
        )
    }

    func storeSnapshot(_ store: SnapshotStore, _ shard: ShardID) {
        guard let replica = hosted[Int(shard.rawValue)], !replica.isInstalling else { return }
        let metadata = store.chunk.snapshot
        let next: UInt64
        do {
            next = try context.snapshots.store(shard, store.chunk)
        } catch {
            // Damaged on the way, or no room: forget it and ask again from the start.
            log.warning(
                "a snapshot chunk was refused",
                metadata: ["shard": "\(shard.rawValue)", "error": "\(error)"]
            )
            next = 0
        }
        guard next == metadata.size, next > 0 else {
            post(.perform { $0.step(shard, .snapshotChunkStored(from: store.from, metadata, nextOffset: next)) })
            return
        }
        replica.isInstalling = true
        let context = context
        context.background { [self] in
            defer { post(.perform { $0.hosted[Int(shard.rawValue)]?.isInstalling = false }) }
            do {
                let installed = try context.snapshots.install(shard, metadata)
                context.metrics.raft.snapshotsInstalled.increment()
                post(
                    .perform {
                        $0.hosted[Int(shard.rawValue)]?.adopt(installed.bodies, at: metadata.index)
                        $0.step(shard, .snapshotInstalled(from: store.from, metadata, bytes: installed.state))
                    }
                )
            } catch {
                // Damaged on the way: forget it and ask for it from the start.
                log.warning(
                    "a received snapshot was refused",
                    metadata: ["shard": "\(shard.rawValue)", "error": "\(error)"]
                )
                post(.perform { $0.step(shard, .snapshotChunkStored(from: store.from, metadata, nextOffset: 0)) })
            }
        }
    }
}

extension SnapshotContents {
    fileprivate init(_ job: SnapshotJob) {
        self.init(
            state: job.encode(),
            forEachFresh: { (take) throws(StorageError) in
                try job.forEachFreshBody { (id, bytes) throws(StorageError) in
                    var failure: StorageError?
                    bytes.withUnsafeBytes { buffer in
                        do throws(StorageError) { try take(id, buffer) } catch { failure = error }
                    }
                    if let failure { throw failure }
                }
            },
            forEachLive: { job.forEachLiveBody(from: $0, $1) }
        )
    }
}
