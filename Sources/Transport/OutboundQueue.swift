// SPDX-License-Identifier: Apache-2.0
import Primitives
import RaftCore
import Replica

/// Frames that wait until the socket takes them, in two lanes.
///
/// With a snapshot or a long catch-up in the socket's way, heartbeats and votes of other shards would come too late and
/// start elections. They overtake; Raft is safe under any reordering. Within a lane the order is kept.
struct OutboundQueue {
    struct Frame {
        var bytes: [UInt8]
        var messages: Int
    }

    private var urgent = FrameLane()
    private var bulk = FrameLane()
    private(set) var bytes = 0

    var isEmpty: Bool { urgent.isEmpty && bulk.isEmpty }

    mutating func append(_ frame: Frame, urgent isUrgent: Bool) {
        bytes += frame.bytes.count
        if isUrgent { urgent.append(frame) } else { bulk.append(frame) }
    }

    mutating func popFirst() -> Frame? {
        guard let frame = urgent.popFirst() ?? bulk.popFirst() else { return nil }
        bytes -= frame.bytes.count
        return frame
    }

    /// The messages that were waiting.
    mutating func removeAll() -> Int {
        var messages = 0
        while let frame = popFirst() { messages += frame.messages }
        return messages
    }
}

/// First in, first out; its bound is the byte limit of the link.
private struct FrameLane {
    private var frames: [OutboundQueue.Frame?] = []
    private var head = 0

    var isEmpty: Bool { head == frames.count }

    mutating func append(_ frame: OutboundQueue.Frame) { frames.append(frame) }

    mutating func popFirst() -> OutboundQueue.Frame? {
        guard head < frames.count else { return nil }
        let frame = frames[head]
        frames[head] = nil
        head += 1
        if head == frames.count || head > 1024 {
            frames.removeFirst(head)
            head = 0
        }
        return frame
    }
}

extension PeerMessage {
    /// Small messages whose delay costs an election.
    var isUrgent: Bool {
        guard case .raft(_, let message) = self else { return false }
        switch message {
        case .heartbeat, .heartbeatReply, .preVote, .preVoteReply, .vote, .voteReply, .timeoutNow: return true
        case .append, .appendReply, .snapshotChunk, .snapshotReply: return false
        }
    }
}
