// SPDX-License-Identifier: Apache-2.0
import PlacementCore
import Primitives
import Replica
import Testing

@Suite("ShardMap")
struct ShardMapTests {
    @Test(
        "names' shards are fixed",
        arguments: [
            ("", 11, 59_547), ("a", 8, 8_440), ("orders", 9, 29_225), ("orders#3", 11, 11_883),
            ("default", 14, 10_126), ("größe", 8, 45_032),
        ] as [(String, UInt16, UInt16)]
    )
    func vectors(name: String, of16: UInt16, of65536: UInt16) throws {
        #expect(try ShardMap(count: 16).shard(for: Name(name)) == ShardID(of16))
        #expect(try ShardMap(count: 65_536).shard(for: Name(name)) == ShardID(of65536))
    }

    @Test("agrees with the router", arguments: [1, 2, 16, 271, 65_535, 65_536])
    func router(count: Int) throws {
        let map = try ShardMap(count: count)
        for number in 0..<500 {
            let name = Name("tenant/\(number)#\(number % 7)")
            #expect(map.shard(for: name) == Router.shard(for: name, count: count))
        }
    }

    @Test("counts that a shard id cannot name are refused", arguments: [0, -1, 65_537, Int.min, Int.max])
    func refusals(count: Int) { #expect(throws: PlacementError.self) { try ShardMap(count: count) } }
}
