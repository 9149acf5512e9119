// SPDX-License-Identifier: Apache-2.0
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
    /// For each shard the nodes that hold it; the first is its preferred leader.
    package let placement: [[NodeID]]
    /// What all nodes must see alike.
    package let agreement: Agreement

    /// - Parameters:
    ///   - replicas: copies of each shard; at most the number of members is used.
    ///   - quotas: limits that take part in applying the log.
    package init(peers: [PeerAddress], shards: Int, replicas: Int, quotas: [UInt64] = []) {
        let members = peers.map { Member(id: NodeID(name: $0.name), name: $0.name, host: $0.host, port: $0.port) }
            .sorted { $0.name < $1.name }
        self.members = members
        let copies = min(max(1, replicas), members.count)
        agreement = Agreement(names: members.map(\.name), copies: UInt32(copies), quotas: quotas)
        placement = (0..<shards).map { shard in
            (0..<copies).map { members[(shard + $0) % members.count].id }
        }
    }

    /// The members that the settings name; this node alone when they name none.
    package init(_ settings: Settings) {
        let alone = PeerAddress(name: settings.nodeID, host: settings.host, port: settings.peerPort)
        self.init(
            peers: settings.peers.isEmpty ? [alone] : settings.peers,
            shards: settings.shards,
            replicas: settings.replicas,
            quotas: [settings.maxSessions, settings.maxLocks, settings.maxWaiters].map(UInt64.init)
        )
    }

    package func name(of id: NodeID) -> String? { members.first { $0.id == id }?.name }

    package func member(named name: String) -> Member? { members.first { $0.name == name } }
}
