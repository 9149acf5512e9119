// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Testing

@Suite("Lanes")
struct LaneMapTests {
    @Test("jump hash gives the values of the paper's code (Lamping and Veach 2014)")
    func vectors() {
        // The vectors that implementations of the algorithm check each other by.
        let vectors: [(key: UInt64, buckets: Int, bucket: Int)] = [
            (1, 1, 0), (42, 57, 43), (0xdead_10cc, 1, 0), (0xdead_10cc, 666, 361), (256, 1_024, 520),
        ]
        for vector in vectors {
            #expect(JumpHash.bucket(for: vector.key, count: vector.buckets) == vector.bucket, "\(vector.key)")
        }
        #expect(LaneMap(queue: "a", lanes: 0).lane(forKey: "k") == 0)
    }

    @Test("raising the lanes moves only keys that go to the new lane, and no more than their share")
    func growth() {
        let before = LaneMap(queue: "q", lanes: 8)
        let after = LaneMap(queue: "q", lanes: 9)
        var moved = 0
        var counts = Array(repeating: 0, count: 9)
        for number in 0..<9_000 {
            let key = Name("key-\(number)")
            let lane = after.lane(forKey: key)
            counts[lane] += 1
            if before.lane(forKey: key) != lane {
                moved += 1
                #expect(lane == 8)
            }
        }
        #expect((850...1_150).contains(moved), "\(moved)")
        #expect(counts.allSatisfy { (850...1_150).contains($0) }, "\(counts)")
    }

    @Test("lines are named, and names read back")
    func names() {
        let map = LaneMap(queue: "orders", lanes: 3)
        #expect(map.lines == ["orders", "orders#1", "orders#2"])
        #expect(LaneMap(queue: "orders", lanes: 1).lines == ["orders"])
        #expect(LaneMap(queue: "q", lanes: -4).lanes == 1)
        #expect((0..<6).map { map.lane(forTurn: UInt64($0)) } == [0, 1, 2, 0, 1, 2])
        for (lane, line) in map.lines.enumerated() {
            let parsed = LaneMap.parse(line)
            #expect(parsed?.queue == "orders" && parsed?.lane == UInt16(lane))
        }
        #expect(LaneMap.parse("plain")?.lane == 0)
        #expect(LaneMap.parse("a#b") == nil)
        #expect(LaneMap.parse("orders#0") == nil)
    }

    @Test("a hash tag puts the lanes of two queues together, lane by lane")
    func tags() {
        #expect(LaneMap.placementKey(of: "{orders}.dead") == "orders")
        #expect(LaneMap.placementKey(of: "{orders}.dead#3") == LaneMap.placementKey(of: "orders#3"))
        #expect(LaneMap.placementKey(of: "{orders}.dead#3") != LaneMap.placementKey(of: "orders"))
        // As in the specification of Redis Cluster: the first braces, if there is anything between them.
        #expect(LaneMap.placementKey(of: "a{b}{c}") == "b")
        #expect(LaneMap.placementKey(of: "a{}{c}") == "a{}{c}")
        #expect(LaneMap.placementKey(of: "a{{b}}") == "{b")
        #expect(LaneMap.placementKey(of: "a}b{") == "a}b{")
        #expect(LaneMap.areTogether("orders", "{orders}.dead"))
        #expect(!LaneMap.areTogether("orders", "orders.dead"))
    }
}
