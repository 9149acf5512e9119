// SPDX-License-Identifier: Apache-2.0
import Logging
import Primitives
import Replica
import Transport

/// Passes what the links bring to the loops. Lives on the first loop, as the links do.
final class PeerRelay: PeerTransportDelegate, Sendable {
    private let loops: [ShardLoop]
    private let addresses: MemberAddresses
    private let log: Logger

    init(loops: [ShardLoop], addresses: MemberAddresses, log: Logger) {
        self.loops = loops
        self.addresses = addresses
        self.log = log
    }

    func peerMessages(_ messages: [PeerMessage], from peer: NodeID) { loops[0].peerMessages(messages, from: peer) }

    func peerConnected(_ peer: NodeID, info: PeerInfo) {
        addresses.note(peer, client: info.clientAddress, http: info.httpAddress)
        log.info("peer connected", metadata: ["peer": "\(info.name)", "incarnation": "\(info.incarnation)"])
        tellAll(peer, isUp: true)
    }

    func peerDisconnected(_ peer: NodeID, reason: LinkFailure) {
        addresses.lost(peer)
        log.notice("peer disconnected", metadata: ["peer": "\(peer)", "reason": "\(reason)"])
        tellAll(peer, isUp: false)
    }

    func peerRejected(_ peer: NodeID?, address: String, reason: LinkFailure) {
        log.warning("peer refused", metadata: ["address": "\(address)", "reason": "\(reason)"])
    }

    private func tellAll(_ peer: NodeID, isUp: Bool) {
        loops[0].connectionChanged(peer, isUp: isUp)
        for loop in loops.dropFirst() { loop.post(isUp ? .peerConnected(peer) : .peerDisconnected(peer)) }
    }
}
