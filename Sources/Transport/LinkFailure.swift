// SPDX-License-Identifier: Apache-2.0
package import Wire

/// Why a link between two nodes ended or did not come up.
package enum LinkFailure: Error, Equatable, Sendable, CustomStringConvertible {
    case connectFailed(String)
    case handshakeTimeout
    /// Nothing was received for this long.
    case silent(milliseconds: UInt64)
    case closedByPeer
    /// The system's error, such as a reset.
    case socket(String)
    /// This node turned the peer away.
    case refused(HandshakeRefusal)
    /// The peer turned this node away.
    case refusedByPeer(HandshakeRefusal)
    /// The peer broke the protocol.
    case violation(WireError)
    /// Messages on a link that carries none in this direction.
    case unexpectedMessages
    /// A newer link from the same peer took its place.
    case replaced
    case tooManyHandshakes(limit: Int)
    case shutdown

    package var description: String {
        switch self {
        case .connectFailed(let error): "cannot connect: \(error)"
        case .handshakeTimeout: "no handshake in time"
        case .silent(let milliseconds): "nothing heard for \(milliseconds) ms"
        case .closedByPeer: "closed by the peer"
        case .socket(let error): error
        case .refused(let refusal): "refused: \(Self.ownSide(refusal))"
        case .refusedByPeer(let refusal): "refused by the peer: \(refusal)"
        case .violation(let error): "protocol violation: \(error)"
        case .unexpectedMessages: "protocol violation: messages on a link that carries none this way"
        case .replaced: "replaced by a newer link"
        case .tooManyHandshakes(let limit): "refused: \(limit) connections have not finished their handshake"
        case .shutdown: "this node shuts down"
        }
    }

    /// Broke a rule, as opposed to a network that failed.
    package var isRejection: Bool {
        switch self {
        case .refused, .refusedByPeer, .violation, .unexpectedMessages, .tooManyHandshakes: true
        case .connectFailed, .handshakeTimeout, .silent, .closedByPeer, .socket, .replaced, .shutdown: false
        }
    }

    /// Only a changed configuration or version helps: no use in trying again soon.
    var needsOperator: Bool {
        switch self {
        case .refused, .refusedByPeer: true
        default: false
        }
    }

    /// The refusal's own text is written for the one who is refused.
    private static func ownSide(_ refusal: HandshakeRefusal) -> String {
        switch refusal {
        case .wrongCluster: "the peer belongs to another cluster"
        case .wrongVersion(let min, let max): "no common protocol version; this node speaks \(min) to \(max)"
        case .unknownNode(let name): "node \(name) is not the peer expected here"
        case .sameNode(let name): "the peer is called \(name), as this node is"
        case .shardCountDiffers(let count): "the peer's number of shards is not \(count)"
        case .agreementDiffers: "the peer's members, copies or quotas are others"
        case .staleData(let last): "the peer's data is older than in start number \(last), when it was last met"
        }
    }
}
