// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The lanes of a queue. Lane 0 is the line of the queue's own name, lane n the line `name#n`. An ordering key picks
/// its lane by jump consistent hash, so raising the number of lanes moves no more keys than it must, and only to the
/// new lanes.
package struct LaneMap: Sendable, Equatable {
    /// What a lane adds to its queue's name, at most.
    package static let suffixBytes = 5

    package let queue: Name
    /// 1 to `QueueLimits.lanes`.
    package let lanes: Int

    package init(queue: Name, lanes: Int) {
        self.queue = queue
        self.lanes = Swift.min(Swift.max(lanes, 1), QueueLimits.lanes)
    }

    /// The line of lane `lane`.
    package func line(_ lane: Int) -> Name { lane == 0 ? queue : Name("\(queue.text)#\(lane)") }

    /// All lines, by lane.
    package var lines: [Name] { (0..<lanes).map { line($0) } }

    package func lane(forKey key: Name) -> Int {
        JumpHash.bucket(for: StableHash.mix(StableHash.fnv1a(key.text.utf8)), count: lanes)
    }

    /// The lane of a message without a key: `turn` is the publisher's own running number.
    package func lane(forTurn turn: UInt64) -> Int { Int(turn % UInt64(lanes)) }

    /// Splits a line's name into its queue and lane; the lane is 0 when the name has none. Nil when what follows the
    /// `#` is no lane.
    package static func parse(_ line: Name) -> (queue: Name, lane: UInt16)? {
        guard let hash = line.text.utf8.firstIndex(of: UInt8(ascii: "#")) else { return (line, 0) }
        let queue = String(line.text[..<hash])
        let number = String(line.text[line.text.utf8.index(after: hash)...])
        guard !queue.isEmpty, let lane = UInt16(number), lane > 0, Int(lane) < QueueLimits.lanes, "\(lane)" == number
        else { return nil }
        return (Name(queue), lane)
    }

    /// What decides a line's shard: its name, of which only what stands in the first braces counts if there is
    /// anything (the hash tag of the Redis Cluster specification), and its lane. So lane n of `{orders}.dead` lives
    /// with lane n of `orders`, and dead letters move from one to the other in one command.
    package static func placementKey(of line: Name) -> Name {
        guard let (queue, lane) = parse(line) else { return line }
        let tag = tag(of: queue)
        return lane == 0 ? tag : Name("\(tag.text)#\(lane)")
    }

    private static func tag(of queue: Name) -> Name {
        let bytes = queue.text.utf8
        guard let open = bytes.firstIndex(of: UInt8(ascii: "{")) else { return queue }
        let start = bytes.index(after: open)
        guard let close = bytes[start...].firstIndex(of: UInt8(ascii: "}")), close > start else { return queue }
        return Name(String(queue.text[start..<close]))
    }

    /// Whether each lane of one queue lives in the shard of the same lane of the other.
    package static func areTogether(_ first: Name, _ second: Name) -> Bool {
        guard let (left, _) = parse(first), let (right, _) = parse(second) else { return false }
        return tag(of: left) == tag(of: right)
    }
}
