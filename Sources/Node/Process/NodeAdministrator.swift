// SPDX-License-Identifier: Apache-2.0
import Gateway
import LockCore
import NIOCore
import Primitives
import RaftCore
import Replica
import Synchronization
import Telemetry
import Transport

/// What the front ends may ask of the node: gathered from the loops, each on its own thread.
final class NodeAdministrator: NodeAdministration {
    struct Identity: Sendable {
        var name: String
        var clusterID: String
        var incarnation: UInt64
        var dataDirectory: String
    }

    private let context: NodeContext
    private let identity: Identity
    private let startedAt: Instant
    private let addresses: MemberAddresses

    init(context: NodeContext, identity: Identity, addresses: MemberAddresses) {
        self.context = context
        self.identity = identity
        self.addresses = addresses
        startedAt = NodeClock.now()
    }

    func status() async -> NodeStatus {
        var shards: [ShardStatus] = []
        for loop in context.loops {
            shards += (try? await loop.loop.submit { loop.shardStatuses() }.get()) ?? []
        }
        shards.sort { $0.shard < $1.shard }
        return NodeStatus(
            name: identity.name,
            version: SynclineVersion.current,
            clusterID: identity.clusterID,
            incarnation: identity.incarnation,
            uptimeMilliseconds: NodeClock.now().since(startedAt).milliseconds,
            dataDirectory: identity.dataDirectory,
            members: members(),
            shards: shards,
            notReady: notReady(shards)
        )
    }

    private func members() -> [MemberStatus] {
        context.map.members.map { member in
            let isSelf = member.id == context.node
            let known = addresses.find(member.id)
            return MemberStatus(
                name: member.name,
                address: HostPort.text(member.host, member.port),
                clientAddress: known?.client,
                httpAddress: known?.http,
                isSelf: isSelf,
                isConnected: isSelf || (known?.isConnected ?? false)
            )
        }
    }

    /// Ready: every shard of this node has a leader, is not halted, and has applied what was committed.
    private func notReady(_ shards: [ShardStatus]) -> [String] {
        var reasons: [String] = []
        for shard in shards {
            if shard.role == "halted" {
                reasons.append("shard \(shard.shard.rawValue) is halted; see the log")
            } else if shard.leader == nil {
                reasons.append("shard \(shard.shard.rawValue) has no leader")
            } else if shard.appliedIndex < shard.commitIndex {
                reasons.append("shard \(shard.shard.rawValue) is still applying its log")
            }
        }
        return reasons
    }

    func transferLeadership(
        shard: ShardID?,
        to target: String?
    ) async throws(AdministrationError) -> [ShardID] {
        var targetID: NodeID?
        if let target {
            guard let member = context.map.member(named: target) else { throw .unknownNode(target) }
            targetID = member.id
        }
        let led = context.board.led
        if let shard {
            guard Int(shard.rawValue) < context.map.placement.count else { throw .unknownShard(shard) }
            guard led.contains(shard) else {
                throw .notLeader(shard, leader: context.board.leader(of: shard).flatMap { context.map.name(of: $0) })
            }
        }
        let wanted = try Self.choose(shard, of: led, for: targetID, node: context.node, map: context.map)
        for shard in wanted { begin(shard, targetID) }
        return wanted
    }

    /// Which of the shards that `node` leads to hand over: `shard`, or all that `target` can lead.
    static func choose(
        _ shard: ShardID?,
        of led: [ShardID],
        for target: NodeID?,
        node: NodeID,
        map: ClusterMap
    ) throws(AdministrationError) -> [ShardID] {
        let asked = shard.map { [$0] } ?? led
        guard let target, !asked.isEmpty else { return asked }
        let name = map.name(of: target) ?? "\(target)"
        guard target != node else { throw .leadsAlready(target: name) }
        let able = asked.filter { map.placement[Int($0.rawValue)].contains(target) }
        guard !able.isEmpty else { throw .notReplica(shard, target: name) }
        return able
    }

    private func begin(_ shard: ShardID, _ target: NodeID?) {
        guard let loop = context.loop(ofShard: shard) else { return }
        context.metrics.raft.transfers.increment()
        loop.post(.perform { $0.step(shard, .transferLeadership(to: target)) })
    }

    /// Hands over everything this node leads and waits until others lead, or the deadline has passed.
    func handOver(within limit: Interval) async {
        let deadline = NodeClock.now() + limit
        _ = try? await transferLeadership(shard: nil, to: nil)
        while !context.board.led.isEmpty && NodeClock.now() < deadline {
            try? await Task.sleep(for: .milliseconds(10))
        }
    }
}

extension ShardLoop {
    func shardStatuses() -> [ShardStatus] {
        loop.preconditionInEventLoop()
        return hosted.compactMap { hosted in
            guard let replica = hosted?.replica else { return nil }
            let raft = replica.raft
            return ShardStatus(
                shard: replica.shard,
                role: replica.halted == nil ? "\(raft.role)" : "halted",
                term: raft.term.rawValue,
                leader: raft.leader.flatMap { context.map.name(of: $0) },
                replicas: replica.configuration.raft.voters.compactMap { context.map.name(of: $0) },
                firstIndex: raft.firstIndex.rawValue,
                lastIndex: raft.lastIndex.rawValue,
                commitIndex: raft.commitIndex.rawValue,
                appliedIndex: replica.state.applied.rawValue,
                sessions: replica.state.locks.sessionCount,
                objects: replica.state.locks.objectCount
            )
        }
    }
}

/// Where the members' clients go, as each told when it was met.
final class MemberAddresses: Sendable {
    struct Known: Sendable {
        var client: String?
        var http: String?
        var isConnected: Bool
    }

    private let table = Mutex<[NodeID: Known]>([:])

    func find(_ node: NodeID) -> Known? { table.withLock { $0[node] } }

    func note(_ node: NodeID, client: String, http: String) {
        table.withLock {
            $0[node] = Known(
                client: client.isEmpty ? nil : client,
                http: http.isEmpty ? nil : http,
                isConnected: true
            )
        }
    }

    func lost(_ node: NodeID) { table.withLock { $0[node]?.isConnected = false } }
}
