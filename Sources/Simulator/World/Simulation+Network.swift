// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import RaftCore
import Replica
import Wire

/// Connections between nodes, and the frames on them.
extension Simulation {
    // MARK: Sending

    /// Sends what the turn has gathered, one frame per peer.
    func sendFrames(_ node: SimNode) {
        for peer in node.outgoing.indices where !node.outgoing[peer].isEmpty {
            let frame = node.outgoing[peer]
            node.outgoing[peer].removeAll(keepingCapacity: false)
            inspect(frame, from: node, to: peer)
            send(frame, from: node.index, to: peer)
        }
    }

    private func send(_ messages: [PeerMessage], from: Int, to: Int) {
        let pair = network.pair(from, to)
        guard network.connections[pair].isUp else { return }
        var frame = messages
        if swarm.codecEvery > 0 && eventCount % swarm.codecEvery == 0 { frame = throughCodec(frame) }
        let generation = network.connections[pair].generation
        switch network.pass(frame, from: from, to: to, now: now) {
        case .none: break
        case .arrives(let time):
            queue.schedule(.deliver(from: from, to: to, generation: generation, frame: frame), at: time)
        case .twice(let first, let second):
            queue.schedule(.deliver(from: from, to: to, generation: generation, frame: frame), at: first)
            queue.schedule(.deliver(from: from, to: to, generation: generation, frame: frame), at: second)
        }
    }

    /// What a frame is after it was real bytes.
    private func throughCodec(_ messages: [PeerMessage]) -> [PeerMessage] {
        probes.hit(.codecRoundTrip)
        var writer = ByteWriter()
        do {
            try PeerFrame.encode(messages, into: &writer)
            var decoded: [PeerMessage] = []
            var offset = 0
            while let header = try PeerFrame.header(writer.bytes, at: offset) {
                let start = offset + FrameHeader.byteCount
                decoded += try PeerFrame.decode(header, body: Array(writer.bytes[start..<(start + header.bodyBytes)]))
                offset = start + header.bodyBytes
            }
            violations.expect(decoded == messages, .replies, "a frame decodes to other messages than were encoded")
            return decoded
        } catch {
            violations.report(.replies, "a frame cannot be decoded: \(error)")
            return messages
        }
    }

    /// Looks at what leaves a node: promises must be on its disk.
    private func inspect(_ frame: [PeerMessage], from node: SimNode, to peer: Int) {
        trace.note(4, UInt64(node.index) << 8 | UInt64(peer), UInt64(frame.count))
        for message in frame {
            if case .cacheRequest(_, _, _, let request) = message, case .write(_, let write) = request,
                !write.earlier.isEmpty
            {
                probes.hit(.cacheTogether)
            }
            guard case .raft(let id, let raft) = message else { continue }
            let shard = Int(id.rawValue)
            switch raft {
            case .heartbeat, .heartbeatReply: continue
            default: note(node.index, "sends to \(peer), shard \(shard): \(Self.summary(raft))")
            }
            switch raft {
            case .voteReply(let reply) where reply.granted:
                checkers.durableVote.sends(
                    grant: reply.term,
                    to: nodes[peer].id,
                    node: node.index,
                    shard: shard,
                    durable: node.disk.durable[shard].hardState,
                    generation: node.diskGeneration,
                    &violations
                )
            case .appendReply(let reply):
                Durability.acknowledges(
                    reply,
                    durable: node.disk.durable[shard],
                    node: node.index,
                    shard: shard,
                    &violations
                )
            default: break
            }
        }
    }

    // MARK: Receiving

    func deliver(_ frame: [PeerMessage], from: Int, to: Int, _ generation: UInt32) {
        let pair = network.pair(from, to)
        let node = nodes[to]
        guard network.connections[pair].isUp, network.connections[pair].generation == generation, node.isUp else {
            return
        }
        network.heard(from: from, to: to, at: now)
        trace.note(5, UInt64(from) << 8 | UInt64(to), now.nanoseconds)
        post(.frame(from: from, frame), to: node)
    }

    // MARK: Connections

    /// Somebody dials: at once after a start, later again and again until it works.
    func requestConnection(_ one: Int, _ other: Int) {
        let pair = network.pair(one, other)
        guard !network.connections[pair].isUp, !network.connections[pair].isPending else { return }
        network.connections[pair].isPending = true
        let wait = random.interval(from: .milliseconds(1), to: .milliseconds(100))
        queue.schedule(.connect(pair: pair), at: now + wait)
    }

    func connect(_ pair: Int) {
        let (low, high) = network.ends(ofPair: pair)
        network.connections[pair].isPending = false
        // A stopped process does not answer the handshake; its kernel would only hold it back.
        guard nodes[low].condition == .running, nodes[high].condition == .running,
            !network.isCut(from: low, to: high), !network.isCut(from: high, to: low)
        else {
            if nodes[low].isUp && nodes[high].isUp {
                network.connections[pair].isPending = true
                queue.schedule(.connect(pair: pair), at: now + .milliseconds(150))
            }
            return
        }
        network.connections[pair].isUp = true
        network.connections[pair].generation += 1
        network.heard(from: low, to: high, at: now)
        network.heard(from: high, to: low, at: now)
        trace.note(6, UInt64(pair), now.nanoseconds)
        post(.peerConnected(high), to: nodes[low])
        post(.peerConnected(low), to: nodes[high])
        scheduleIdleCheck(pair)
    }

    private func scheduleIdleCheck(_ pair: Int) {
        let connection = network.connections[pair]
        queue.schedule(.connectionIdle(pair: pair, generation: connection.generation), at: now + connection.idleLimit)
    }

    func checkIdle(_ pair: Int, _ generation: UInt32) {
        guard network.connections[pair].isUp, network.connections[pair].generation == generation else { return }
        let (low, high) = network.ends(ofPair: pair)
        let silence = max(
            now.since(network.lastHeard(from: low, to: high)),
            now.since(network.lastHeard(from: high, to: low))
        )
        let hasStopped = nodes[low].condition == .paused || nodes[high].condition == .paused
        if silence >= network.connections[pair].idleLimit && !hasStopped {
            breakConnection(low, high)
        } else {
            scheduleIdleCheck(pair)
        }
    }

    /// Both ends learn of it; what is on the way is lost.
    func breakConnection(_ one: Int, _ other: Int) {
        let pair = network.pair(one, other)
        guard network.connections[pair].isUp else { return }
        network.connections[pair].isUp = false
        network.dropHeld(pair: pair)
        trace.note(7, UInt64(pair), now.nanoseconds)
        if nodes[one].isUp { post(.peerDisconnected(other), to: nodes[one]) }
        if nodes[other].isUp { post(.peerDisconnected(one), to: nodes[other]) }
        if nodes[one].isUp && nodes[other].isUp { requestConnection(one, other) }
    }

    /// Ends one cut of a direction.
    func heal(from: Int, to: Int) {
        let frames = network.heal(from: from, to: to)
        guard !frames.isEmpty else { return }
        probes.hit(.stalledFramesDelivered)
        let generation = network.connections[network.pair(from, to)].generation
        for frame in frames {
            queue.schedule(.deliver(from: from, to: to, generation: generation, frame: frame), at: now)
        }
    }
}
