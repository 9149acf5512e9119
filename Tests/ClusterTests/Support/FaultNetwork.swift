// SPDX-License-Identifier: Apache-2.0

/// What lies between the nodes of a cluster and can be cut, one way or both, while clients still reach every node.
protocol FaultNetwork: AnyObject {
    /// The address that node number `node` listens on.
    func address(_ node: Int) -> String
    /// What stands before the node's command.
    func launcher(_ node: Int) -> [String]
    /// Told once, before any node starts.
    func prepare(_ nodes: [TestNode]) throws
    /// The `--peers` of this node, when it is not the same for all.
    func peers(of node: Int, _ nodes: [TestNode]) -> String?
    /// From now on nothing that `source` sends arrives at `target`; the other way stays as it is.
    func drop(from source: Int, to target: Int) throws
    /// Ends all faults.
    func heal() throws
}

extension FaultNetwork {
    func cut(_ one: Int, _ other: Int) throws {
        try drop(from: one, to: other)
        try drop(from: other, to: one)
    }

    /// Cuts the node off from all others.
    func isolate(_ node: Int, of count: Int = 3) throws {
        for other in 0..<count where other != node { try cut(node, other) }
    }
}

/// The kinds of network that a partition test runs on.
enum NetworkKind: String, CaseIterable {
    /// Hosts of their own by Linux network namespaces; packets are dropped. Needs root.
    case namespaces
    /// A TCP proxy on every link; bytes are held back. Needs nothing.
    case proxies

    /// What this machine permits; the proxies always.
    static let permitted: [NetworkKind] = Installation.hasNamespaces ? [.namespaces, .proxies] : [.proxies]

    func make(nodes count: Int = 3) throws -> any FaultNetwork {
        switch self {
        case .namespaces: try NamespaceNetwork(nodes: count)
        case .proxies: try ProxyNetwork(nodes: count)
        }
    }
}
