// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import Replica
import Wire

/// What a connected peer said about itself.
package struct PeerInfo: Sendable, Equatable {
    package var name: String
    package var incarnation: UInt64
    /// `host:port`, or empty when it serves none.
    package var clientAddress: String
    package var httpAddress: String

    package init(name: String, incarnation: UInt64, clientAddress: String, httpAddress: String) {
        self.name = name
        self.incarnation = incarnation
        self.clientAddress = clientAddress
        self.httpAddress = httpAddress
    }

    init(_ hello: Hello) {
        self.init(
            name: hello.nodeName,
            incarnation: hello.incarnation,
            clientAddress: hello.clientAddress,
            httpAddress: hello.httpAddress
        )
    }
}

/// Whom the transport tells. Called on its event loop, synchronously; nothing is called after `shutdown`.
package protocol PeerTransportDelegate: AnyObject {
    /// Everything that one pass of reading brought, in the order it was sent (but see `OutboundQueue`). Never empty.
    func peerMessages(_ messages: [PeerMessage], from peer: NodeID)

    /// The links in both directions are up.
    func peerConnected(_ peer: NodeID, info: PeerInfo)

    /// After `peerConnected`: the link in either direction has ended. The other one may still carry messages.
    func peerDisconnected(_ peer: NodeID, reason: LinkFailure)

    /// A handshake was refused, by this side or the other, or the peer broke the protocol. `peer` is nil as long as
    /// the other side has not proved to be one.
    func peerRejected(_ peer: NodeID?, address: String, reason: LinkFailure)
}
