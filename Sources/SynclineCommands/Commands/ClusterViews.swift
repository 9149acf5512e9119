// SPDX-License-Identifier: Apache-2.0

/// What `GET /v1/cluster` answers.
struct ClusterView: Codable, Sendable {
    struct Member: Codable, Sendable {
        var name: String
        var address: String
        var clientAddress: String?
        var httpAddress: String?
        var isSelf: Bool
        var isConnected: Bool

        enum CodingKeys: String, CodingKey {
            case name, address
            case clientAddress = "client_address"
            case httpAddress = "http_address"
            case isSelf = "self"
            case isConnected = "connected"
        }
    }

    var clusterID: String
    var node: String
    var isReady: Bool
    var notReady: [String]
    var shards: Int
    var nodes: [Member]

    enum CodingKeys: String, CodingKey {
        case node, shards, nodes
        case clusterID = "cluster_id"
        case isReady = "ready"
        case notReady = "not_ready"
    }
}

/// One row of `GET /v1/cluster/shards`, as the node that was asked sees it.
struct ShardView: Codable, Sendable {
    var shard: Int
    var role: String
    var term: UInt64
    var leader: String?
    var replicas: [String]
    var commitIndex: UInt64
    var appliedIndex: UInt64
    var lastIndex: UInt64
    var sessions: Int
    var objects: Int

    enum CodingKeys: String, CodingKey {
        case shard, role, term, leader, replicas, sessions, objects
        case commitIndex = "commit_index"
        case appliedIndex = "applied_index"
        case lastIndex = "last_index"
    }
}

struct ShardsView: Codable, Sendable {
    var shards: [ShardView]
}

/// What `POST /v1/cluster/transfer` answers: the shards whose leadership is being handed over.
struct TransferView: Codable, Sendable {
    var shards: [Int]
}

/// An RFC 9457 problem document.
struct ProblemView: Codable, Sendable {
    var title: String?
    var detail: String?
    var code: String?
    /// Of `not_leader`: who leads.
    var leader: String?
}
