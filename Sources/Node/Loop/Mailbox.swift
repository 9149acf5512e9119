// SPDX-License-Identifier: Apache-2.0
import LockCore
import NIOCore
import Primitives
import Replica
import Synchronization

/// What other threads and loops send to a shard loop.
enum Mail: Sendable {
    case step(ShardID, ReplicaInput)
    case peer([PeerMessage], from: NodeID)
    case reply(ShardID, RequestID, RoutedReply, from: NodeID)
    case leader(ShardID, NodeID?)
    case events(ShardID, [LockEvent])
    case outbox(NodeID, [PeerMessage])
    case peerConnected(NodeID)
    case peerDisconnected(NodeID)
    case durable(batch: UInt64)
    case perform(@Sendable (ShardLoop) -> Void)

    /// Losing it would lose a promise; everything else is asked for again by whoever misses it.
    var mustArrive: Bool {
        switch self {
        case .durable, .perform, .peerConnected, .peerDisconnected, .leader: true
        case .step, .peer, .reply, .events, .outbox: false
        }
    }
}

/// A bounded mailbox that wakes its loop once, however much is posted before the loop comes round.
final class Mailbox: Sendable {
    private struct Box {
        var mail: [Mail] = []
        var isScheduled = false
    }

    static let limit = 1 << 16

    private let box = Mutex(Box())
    let dropped = Atomic<Int>(0)

    func post(_ mail: Mail, wake: () -> Void) {
        let mustWake = box.withLock { box in
            guard mail.mustArrive || box.mail.count < Self.limit else {
                dropped.wrappingAdd(1, ordering: .relaxed)
                return false
            }
            box.mail.append(mail)
            defer { box.isScheduled = true }
            return !box.isScheduled
        }
        if mustWake { wake() }
    }

    func takeAll() -> [Mail] {
        box.withLock { box in
            box.isScheduled = false
            defer { box.mail = [] }
            return box.mail
        }
    }
}
