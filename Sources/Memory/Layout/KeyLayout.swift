// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives

/// Names in Redis. All of a shard have the same hash tag, so Redis Cluster keeps them together and scripts may touch
/// several; the cluster's id keeps apart clusters that share a Redis.
struct KeyLayout {
    private let prefix: [UInt8]

    init(cluster: UInt64) { prefix = Array("syncline:\(Hexadecimal.text(cluster, digits: 16)):{".utf8) }

    func fence(_ shard: ShardID) -> [UInt8] { prefix + Array("\(shard.rawValue)}:fence".utf8) }

    func key(_ shard: ShardID, _ key: CacheKey) -> [UInt8] { keyPrefix(shard) + key.bytes }

    /// For SCAN; the prefix has no character that means something in a pattern.
    func pattern(_ shard: ShardID) -> [UInt8] { keyPrefix(shard) + [UInt8(ascii: "*")] }

    func patternOfAllShards() -> [UInt8] { prefix + Array("*}:k:*".utf8) }

    func slot(_ shard: ShardID) -> UInt16 { HashSlot.of("\(shard.rawValue)".utf8) }

    /// Nil: not one of the keys in this layout.
    func parse(_ stored: some Collection<UInt8>) -> (shard: ShardID, key: CacheKey)? {
        guard stored.starts(with: prefix) else { return nil }
        let rest = stored.dropFirst(prefix.count)
        let digits = rest.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        let tail = rest.dropFirst(digits.count)
        guard tail.starts(with: "}:k:".utf8), let number = UInt16(String(decoding: digits, as: UTF8.self)) else {
            return nil
        }
        return (ShardID(number), CacheKey(Array(tail.dropFirst(4))))
    }

    private func keyPrefix(_ shard: ShardID) -> [UInt8] { prefix + Array("\(shard.rawValue)}:k:".utf8) }
}
