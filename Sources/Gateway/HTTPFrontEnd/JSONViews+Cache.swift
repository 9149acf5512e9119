// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives

/// What the cache tells, as JSON.
extension JSONViews {
    /// A text, or `{"base64": …}` for bytes that are none.
    static func key(_ key: CacheKey) -> JSONValue {
        String(validating: key.bytes, as: UTF8.self).map(JSONValue.string)
            ?? .object(("base64", .string(Base64.encode(key.bytes))))
    }

    static func line(_ report: LineReport, _ key: CacheKey) -> JSONValue {
        .object(
            ("key", self.key(key)),
            ("shard", .number(UInt64(report.shard.rawValue))),
            ("home", .optional(report.home)),
            ("epoch", .number(report.epoch)),
            ("nodes", .array(report.nodes.map(node)))
        )
    }

    private static func node(_ node: NodeLine) -> JSONValue {
        .object(
            ("node", .string(node.node)),
            ("reachable", .bool(node.isReachable)),
            ("state", .string(node.state.letter)),
            ("version", .optional(node.version?.description)),
            ("lease_ms", node.leaseRemaining.map(JSONValue.number) ?? .null)
        )
    }

    static func statistics(_ statistics: CacheStatistics) -> JSONValue {
        let figures = statistics.figures.map { JSONValue.Member($0.name, .number($0.value)) }
        let groups = [("lines", statistics.linesByState), ("transitions", statistics.moves)]
        return .object(
            figures
                + groups.map { name, group in
                    JSONValue.Member(name, .object(group.map { JSONValue.Member($0.name, .number($0.value)) }))
                }
        )
    }
}
