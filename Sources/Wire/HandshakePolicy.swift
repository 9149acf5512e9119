// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Decides from a peer's hello whether to talk to it. Both sides check: the one that accepted before its reply,
/// the one that dialled when the reply comes.
package struct HandshakePolicy: Sendable {
    /// Peer protocol versions that this build speaks, both inclusive.
    package static let minVersion: UInt16 = 1
    package static let maxVersion: UInt16 = 1

    package var own: Hello
    /// The nodes of the cluster, this one included or not.
    package var knownNodes: [NodeID]
    /// The newest life of each peer that this node has ever met.
    package private(set) var met: [PeerLife]

    package init(own: Hello, knownNodes: [NodeID], met: [PeerLife] = []) {
        self.own = own
        self.knownNodes = knownNodes
        self.met = met
    }

    /// Remembers a peer whose hello has passed. True when that is news, to be kept on disk.
    package mutating func meet(_ hello: Hello) -> Bool {
        let life = PeerLife(node: hello.node, incarnation: hello.incarnation, life: hello.life)
        guard !met.contains(life) else { return false }
        met.removeAll { $0.node == life.node }
        met.append(life)
        return true
    }

    /// The highest version that both speak.
    ///
    /// The cluster comes first: what a stranger's other fields mean is not known.
    package func check(_ hello: Hello) throws(HandshakeRefusal) -> UInt16 {
        guard hello.clusterID == own.clusterID else { throw .wrongCluster(own: own.clusterID) }
        let version = min(hello.maxVersion, own.maxVersion)
        guard version >= max(hello.minVersion, own.minVersion) else {
            throw .wrongVersion(min: own.minVersion, max: own.maxVersion)
        }
        guard hello.node != own.node else { throw .sameNode(name: own.nodeName) }
        guard knownNodes.contains(hello.node) else { throw .unknownNode(name: hello.nodeName) }
        guard hello.shardCount == own.shardCount else { throw .shardCountDiffers(own.shardCount) }
        guard hello.agreement == own.agreement else { throw .agreementDiffers }
        let life = PeerLife(node: hello.node, incarnation: hello.incarnation, life: hello.life)
        if let last = met.first(where: { $0.node == hello.node }), life.isOlder(than: last) {
            throw .staleData(lastMet: last.incarnation)
        }
        return version
    }

    /// The dialling side's check of an accepting reply: the peer it meant, and a version that it offered.
    package func check(_ reply: HelloReply, from expected: NodeID) throws(HandshakeRefusal) -> (UInt16, Hello) {
        switch reply {
        case .refused(let refusal):
            throw refusal
        case .accepted(let version, let hello):
            guard version == (try check(hello)) else { throw .wrongVersion(min: own.minVersion, max: own.maxVersion) }
            guard hello.node == expected else { throw .unknownNode(name: hello.nodeName) }
            return (version, hello)
        }
    }
}
