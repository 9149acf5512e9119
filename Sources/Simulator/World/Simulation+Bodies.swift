// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import RaftCore
import Replica

/// The shell's part in keeping messages that have left the log, and in reading them back.
extension Simulation {
    /// What stands beside the snapshot before, and what the log since then holds, of messages that are still there.
    func gatherBodies(_ job: SnapshotJob, _ node: SimNode, _ shard: Int) -> SnapshotBodies {
        var before = SnapshotBodies()
        let base = job.entries.first?.index.previous ?? job.index
        if base > .zero {
            guard let file = node.disk.newestSnapshot(of: shard, where: { $0.index == base }) else {
                violations.report(
                    .queueBodies,
                    "node \(node.index) keeps entries of shard \(shard) after \(base), but no snapshot there"
                )
                return before
            }
            before = file.bodies
        }
        var fresh = SnapshotBodies()
        job.forEachFreshBody { id, body in fresh.append(id, body) }
        var kept = SnapshotBodies()
        job.forEachLiveBody(from: 0) { id in
            guard let body = before.find(id) ?? fresh.find(id) else {
                violations.report(
                    .queueBodies,
                    "message \(MessageID(rawValue: id)) of shard \(shard) is neither beside node \(node.index)'s "
                        + "snapshot \(base) nor in the log up to \(job.index)"
                )
                return false
            }
            kept.append(id, body)
            return true
        }
        let expected = checkers.queues[shard].bodies(at: job.index)
        violations.expect(
            kept.ids == expected,
            .queueBodies,
            "node \(node.index) keeps the bodies of \(kept.ids.count) messages beside snapshot \(job.index) of shard "
                + "\(shard), there are \(expected.count)"
        )
        return kept
    }

    /// Bodies travel with a snapshot's state. They are the same on every node, so the receiver takes them from any that
    /// had this snapshot.
    func bodies(of metadata: SnapshotMetadata, _ shard: Int) -> SnapshotBodies {
        let key = SnapshotKey(shard: shard, index: metadata.index, term: metadata.term)
        guard let bodies = snapshotBodies[key] else {
            violations.report(.queueBodies, "snapshot \(metadata.index) of shard \(shard) was sent without bodies")
            return SnapshotBodies()
        }
        return bodies
    }

    func remember(_ bodies: SnapshotBodies, of metadata: SnapshotMetadata, _ shard: Int, _ node: SimNode) {
        let key = SnapshotKey(shard: shard, index: metadata.index, term: metadata.term)
        if let known = snapshotBodies[key] {
            violations.expect(
                known == bodies,
                .queueBodies,
                "node \(node.index) has other bodies beside snapshot \(metadata.index) of shard \(shard)"
            )
        } else {
            snapshotBodies[key] = bodies
        }
    }

    /// A process starts: every message of its state has to have its body beside the snapshot.
    func checkBodies(_ snapshot: SimDisk.Snapshot?, _ replica: Replica, _ node: SimNode, _ shard: Int) {
        replica.state.queues.forEachLiveBody { range in
            let first = range.first.rawValue
            let isThere = (0..<UInt64(range.count)).allSatisfy { snapshot?.bodies.find(first + $0) != nil }
            violations.expect(
                isThere,
                .queueBodies,
                "node \(node.index) starts shard \(shard) without the body of message \(range.first)"
            )
            return isThere
        }
    }

    // MARK: Reading

    func carryOutReads(_ effects: ReplicaEffects, _ node: SimNode, _ host: SimReplica) {
        for read in effects.bodyReads {
            checkers.reads.answers(
                read.id,
                shard: host.shard,
                applied: host.replica.state.applied,
                node: node.index,
                &violations
            )
            let delay = random.interval(from: .microseconds(50), to: .milliseconds(20)) + node.syncDelay
            queue.schedule(
                .bodiesRead(node: node.index, life: node.life, shard: host.shard, read),
                at: now + delay
            )
        }
    }

    func bodiesRead(_ node: SimNode, _ life: UInt32, _ shard: Int, _ read: BodyRead) {
        guard node.life == life, node.isUp else { return }
        post(.bodiesRead(shard: shard, read), to: node)
    }

    /// A message may have gone since the answer was made; one that is there has to have its body.
    func answerRead(_ read: BodyRead, _ node: SimNode, _ shard: Int, _ local: Instant) {
        var answer = read.answer
        for missing in read.missing {
            let file = node.disk.newestSnapshot(of: shard) { _ in true }
            if let file, let body = file.bodies.find(missing.message) {
                probes.hit(.bodyReadFromDisk)
                answer.contents[missing.place] = StoredMessage(bytes: body)
                continue
            }
            let older = node.disk.body(of: missing.message, shard: shard)
            answer.contents[missing.place] = older.map { StoredMessage(bytes: $0) }
            guard older == nil else { continue }
            probes.hit(.bodyGoneMeanwhile)
            let id = MessageID(rawValue: missing.message)
            violations.expect(
                !node.replicas[shard].replica.state.queues.isLive(id),
                .queueBodies,
                "node \(node.index) has lost the body of message \(id) of shard \(shard)"
            )
        }
        let reply = RoutedReply.answer(.queue(answer))
        let shardID = ShardID(UInt16(shard))
        if read.to == node.id {
            node.router?.receive(
                reply,
                shard: shardID,
                id: read.id,
                from: node.id,
                now: local,
                into: &node.routerEffects
            )
        } else {
            node.outgoing[SimNode.index(of: read.to)].append(.reply(shardID, read.id, reply))
        }
    }
}

struct SnapshotKey: Hashable {
    var shard: Int
    var index: LogIndex
    var term: Term
}
