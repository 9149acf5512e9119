// SPDX-License-Identifier: Apache-2.0
package import PlacementCore
package import Primitives
package import Wire

/// The members of a cluster with a fixed start, and which of them hold which shard.
package struct ClusterMap: Sendable {
    package struct Member: Sendable, Equatable {
        package let id: NodeID
        package let name: String
        package let host: String
        package let port: Int
    }

    /// Sorted by name, so that every node computes the same placement from the same `peers` setting.
    package let members: [Member]
    /// What the consistent-hash ring proposes, the same on every node: version 1 of the table, which the system shard
    /// keeps from its first leader on.
    package let table: PlacementTable
    /// For each shard the nodes that hold it; the first is its preferred leader.
    package var placement: [[NodeID]] { table.assignments }
    /// What all nodes must see alike.
    package let agreement: Agreement

    /// - Parameters:
    ///   - replicas: copies of each shard; at most the number of members is used.
    ///   - virtualNodes: points of each node on the ring.
    ///   - quotas: limits that take part in applying the log.
    /// - Throws: for more members or shards than a cluster may have.
    package init(
        peers: [PeerAddress],
        shards: Int,
        replicas: Int,
        virtualNodes: Int = HashRing.defaultVirtualNodes,
        quotas: [UInt64] = []
    ) throws(PlacementError) {
        let copies = min(max(1, replicas), peers.count)
        let names = peers.map(\.name).sorted()
        self.init(
            peers: peers,
            table: try PlacementPlanner.initial(
                members: names.map { Name($0) },
                shards: shards,
                replicas: copies,
                virtualNodes: virtualNodes
            ),
            agreement: Agreement(names: names, copies: UInt32(copies), quotas: [UInt64(virtualNodes)] + quotas)
        )
    }

    init(peers: [PeerAddress], table: PlacementTable, agreement: Agreement) {
        members = peers.map { Member(id: NodeID(name: $0.name), name: $0.name, host: $0.host, port: $0.port) }
            .sorted { $0.name < $1.name }
        self.table = table
        self.agreement = agreement
    }

    /// The members that the settings name; this node alone when they name none.
    package init(_ settings: Settings) throws(PlacementError) {
        let alone = PeerAddress(name: settings.nodeID, host: settings.host, port: settings.peerPort)
        try self.init(
            peers: settings.peers.isEmpty ? [alone] : settings.peers,
            shards: settings.shards,
            replicas: settings.replicas,
            virtualNodes: settings.virtualNodes,
            quotas: [settings.maxSessions, settings.maxLocks, settings.maxWaiters, settings.maxMessageBytes]
                .map(UInt64.init) + (settings.redis.isMemory ? [Agreement.redisMemory] : [])
        )
    }

    package func name(of id: NodeID) -> String? { members.first { $0.id == id }?.name }

    package func member(named name: String) -> Member? { members.first { $0.name == name } }
}
