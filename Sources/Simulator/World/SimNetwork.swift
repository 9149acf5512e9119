// SPDX-License-Identifier: Apache-2.0
import Primitives
import Replica

/// The simulated network between nodes.
///
/// Two nodes talk over one connection, as over TCP: frames of one direction arrive in order, and a connection that
/// goes down takes what is on the way with it. A cut link either holds frames back until it heals (TCP resends) or
/// loses them. Loss, duplication and reordering break the TCP promise on purpose: Raft must not depend on it.
struct SimNetwork {
    struct Link {
        /// How many faults cut this direction now.
        var cuts = 0
        /// Frames that meet a cut are kept and arrive after it; otherwise they are lost.
        var holds = false
        var held: [[PeerMessage]] = []
        var lastArrival = WorldTime.zero
        /// World time the receiver last got something.
        var lastHeard = WorldTime.zero
    }

    struct Connection {
        var isUp = false
        var generation: UInt32 = 0
        /// A `connect` event is under way.
        var isPending = false
        /// Nanoseconds after which silence closes it.
        var idleLimit: Interval = .milliseconds(2000)
    }

    /// Chances in ten thousand, and extra delay.
    struct Weather {
        var loss: UInt64 = 0
        var duplication: UInt64 = 0
        var reordering: UInt64 = 0
        var extraDelay: Interval = .zero
    }

    enum Passage {
        /// Arrives then.
        case arrives(WorldTime)
        /// Arrives twice.
        case twice(WorldTime, WorldTime)
        /// Lost, or held by the link.
        case none
    }

    let nodeCount: Int
    private(set) var links: [Link]
    var connections: [Connection]
    var weather = Weather()
    var random: SeededRandom
    /// Latency of a healthy link.
    let latencyMin: Interval
    let latencyMax: Interval

    init(nodeCount: Int, random: SeededRandom, latencyMin: Interval, latencyMax: Interval) {
        self.nodeCount = nodeCount
        self.random = random
        self.latencyMin = latencyMin
        self.latencyMax = latencyMax
        links = Array(repeating: Link(), count: nodeCount * nodeCount)
        connections = Array(repeating: Connection(), count: nodeCount * nodeCount)
    }

    @inline(__always)
    private func position(_ from: Int, _ to: Int) -> Int { from * nodeCount + to }

    /// One number for the two directions.
    func pair(_ one: Int, _ other: Int) -> Int { min(one, other) * nodeCount + max(one, other) }

    func ends(ofPair pair: Int) -> (low: Int, high: Int) { (pair / nodeCount, pair % nodeCount) }

    func isCut(from: Int, to: Int) -> Bool { links[position(from, to)].cuts > 0 }

    func lastHeard(from: Int, to: Int) -> WorldTime { links[position(from, to)].lastHeard }

    mutating func heard(from: Int, to: Int, at time: WorldTime) { links[position(from, to)].lastHeard = time }

    mutating func cut(from: Int, to: Int, holding: Bool) {
        let index = position(from, to)
        if links[index].cuts == 0 { links[index].holds = holding }
        links[index].cuts += 1
    }

    /// Ends one cut; gives the frames to deliver now when it was the last.
    mutating func heal(from: Int, to: Int) -> [[PeerMessage]] {
        let index = position(from, to)
        guard links[index].cuts > 0 else { return [] }
        links[index].cuts -= 1
        guard links[index].cuts == 0 else { return [] }
        let held = links[index].held
        links[index].held = []
        return held
    }

    mutating func dropHeld(pair: Int) {
        let (low, high) = ends(ofPair: pair)
        links[position(low, high)].held = []
        links[position(high, low)].held = []
    }

    /// Decides what becomes of a frame sent now. The caller has checked that the connection is up.
    mutating func pass(_ frame: [PeerMessage], from: Int, to: Int, now: WorldTime) -> Passage {
        let index = position(from, to)
        if links[index].cuts > 0 {
            if links[index].holds && links[index].held.count < 4096 { links[index].held.append(frame) }
            return .none
        }
        if weather.loss > 0 && random.chance(weather.loss, in: 10_000) { return .none }
        let arrival = now + random.interval(from: latencyMin, to: latencyMax) + weather.extraDelay
        if weather.reordering > 0 && random.chance(weather.reordering, in: 10_000) {
            return .arrives(arrival + random.interval(from: .zero, to: .milliseconds(80)))
        }
        let ordered = max(arrival, links[index].lastArrival)
        links[index].lastArrival = ordered
        if weather.duplication > 0 && random.chance(weather.duplication, in: 10_000) {
            return .twice(ordered, ordered + random.interval(from: .zero, to: .milliseconds(50)))
        }
        return .arrives(ordered)
    }
}
