// SPDX-License-Identifier: Apache-2.0
import RESP

extension Reply {
    static func cacheLine(_ value: RESPValue) throws(SynclineError) -> CacheLine {
        guard let shard = integer(value, "shard"), let items = value["nodes"]?.elements else {
            throw unexpected("LINE")
        }
        var nodes: [CacheLine.Node] = []
        for item in items {
            guard let name = item["node"]?.string,
                let state = item["state"]?.string.flatMap({ CacheLine.State(rawValue: $0) })
            else { throw unexpected("LINE") }
            nodes.append(
                CacheLine.Node(
                    node: name,
                    state: state,
                    version: item["version"]?.string,
                    leaseMilliseconds: integer(item, "lease_ms"),
                    isReachable: isSet(item["reachable"])
                )
            )
        }
        return CacheLine(
            shard: shard,
            home: value["home"]?.string,
            epoch: integer(value, "epoch") ?? 0,
            nodes: nodes
        )
    }

    static func cacheStats(_ value: RESPValue) throws(SynclineError) -> CacheStats {
        guard let pairs = value.pairs, value["hits_total"] != nil else { throw unexpected("CACHE.STATS") }
        return CacheStats(
            figures: figures(pairs),
            lines: figures(value["lines"]?.pairs ?? []),
            transitions: figures(value["transitions"]?.pairs ?? [])
        )
    }

    private static func figures(_ pairs: [RESPValue.Pair]) -> [String: Int] {
        var figures: [String: Int] = [:]
        for pair in pairs {
            guard let name = pair.key.string, let number = pair.value.int.flatMap({ Int(exactly: $0) }) else {
                continue
            }
            figures[name] = number
        }
        return figures
    }
}
