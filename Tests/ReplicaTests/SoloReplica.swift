// SPDX-License-Identifier: Apache-2.0
import LockCore
import PlacementCore
import Primitives
import QueueCore
import RaftCore
import Replica
import Testing

/// A shard with one replica, and a disk that is always quick.
struct SoloReplica {
    static let node = NodeID(1)

    private(set) var replica: Replica
    private var now = Instant.zero
    private var number: UInt64 = 0

    init(configure: (inout ReplicaConfiguration) -> Void = { _ in }) throws {
        var raft = RaftConfiguration(id: Self.node, voters: [Self.node])
        raft.compactionTailEntries = 0
        var configuration = ReplicaConfiguration(shard: .system, raft: raft)
        configure(&configuration)
        replica = try Replica(
            configuration: configuration,
            recovered: RecoveredLog(),
            snapshot: nil,
            seed: 1,
            now: now
        )
        for _ in 0..<1_000 where !replica.isReadyLeader { _ = pass(milliseconds: 10) }
        try #require(replica.isReadyLeader)
    }

    /// Takes the effects of one input through the disk until nothing more follows.
    @discardableResult
    mutating func step(_ input: ReplicaInput) -> ReplicaEffects {
        var all = ReplicaEffects()
        var next: ReplicaInput? = input
        while let current = next {
            var effects = ReplicaEffects()
            replica.step(current, now: now, into: &effects)
            replica.flush(now: now, into: &effects)
            next = effects.persistMark.map { .persisted(mark: $0) }
            all.replies += effects.replies
            all.bodyReads += effects.bodyReads
            all.queueEvents += effects.queueEvents
            all.cacheNotices += effects.cacheNotices
            all.cacheFills += effects.cacheFills
            all.memoryWalks += effects.memoryWalks
            all.dirtyKeys += effects.dirtyKeys
            if let job = effects.snapshotJob { all.snapshotJob = job }
        }
        return all
    }

    @discardableResult
    mutating func pass(milliseconds: UInt64) -> ReplicaEffects {
        now = now + .milliseconds(milliseconds)
        return step(.tick)
    }

    mutating func ask(_ request: Request) -> ReplicaEffects {
        number += 1
        let id = RequestID(origin: 9, number: number)
        return step(
            .request(
                from: Self.node,
                RoutedRequest(shard: .system, id: id, acknowledgedBelow: number, request: request)
            )
        )
    }

    /// Hands over without waiting for the disk, as within one turn.
    mutating func askWithoutDisk(_ request: Request) -> ReplicaEffects {
        number += 1
        var effects = ReplicaEffects()
        let id = RequestID(origin: 9, number: number)
        let routed = RoutedRequest(shard: .system, id: id, acknowledgedBelow: number, request: request)
        replica.step(.request(from: Self.node, routed), now: now, into: &effects)
        return effects
    }

    mutating func answer(_ request: Request) throws -> Response {
        let effects = ask(request)
        let reply = try #require(effects.replies.first?.reply, "no reply to \(request)")
        guard case .answer(let response) = reply else { throw UnexpectedReply(reply: reply) }
        return response
    }

    mutating func queue(_ command: QueueCommand) throws -> QueueAnswer {
        guard case .queue(let answer) = try answer(.queue(command)) else { throw UnexpectedReply(reply: nil) }
        return answer
    }

    struct UnexpectedReply: Error {
        var reply: RoutedReply?
    }
}
