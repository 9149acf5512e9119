// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The lanes of a queue. A queue of one lane is the line of its own name; lane n of a queue with more is the line
/// `name#n`, from 0 on. An ordering key picks its lane by jump consistent hash, so raising the number of lanes moves
/// no more keys than it must, and only to the new lanes.
package struct LaneMap: Sendable, Equatable {
    package let queue: Name
    /// 1 to `QueueLimits.lanes`.
    package let lanes: Int

    package init(queue: Name, lanes: Int) {
        self.queue = queue
        self.lanes = Swift.min(Swift.max(lanes, 1), QueueLimits.lanes)
    }

    /// The line of lane `lane`.
    package func line(_ lane: Int) -> Name { lanes == 1 ? queue : Name("\(queue.text)#\(lane)") }

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
        guard !queue.isEmpty, let lane = UInt16(number), Int(lane) < QueueLimits.lanes, "\(lane)" == number else {
            return nil
        }
        return (Name(queue), lane)
    }
}
