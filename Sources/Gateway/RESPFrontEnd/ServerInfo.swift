// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The machine's wall clock, for answering `TIME` and for moments that clients name.
package enum WallClock {
    static func now() -> (seconds: Int, microseconds: Int) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return (Int(time.tv_sec), Int(time.tv_nsec) / 1_000)
    }

    /// Since 1970.
    package static var milliseconds: Int64 {
        let time = now()
        return Int64(time.seconds) * 1_000 + Int64(time.microseconds / 1_000)
    }
}

/// The text of `INFO`, in Redis' form: tools read `redis_version` and `redis_mode` from it.
enum ServerInfo {
    struct Facts: Sendable {
        var services: RESPServices
        var protocolPort: Int
        /// Nil: the node does not serve the cache.
        var cache: CacheStatistics?
        var now: NIODeadline
    }

    static func info(_ wanted: [String], _ facts: Facts, _ status: NodeStatus) -> String {
        let sections: [(String, [(String, String)])] = [
            ("Server", server(facts, status)), ("Clients", clients(facts)), ("Memory", memory()),
            ("Stats", stats(facts)), ("Replication", replication(status)), ("Cluster", cluster(status)),
        ]
        let all = wanted.isEmpty || wanted.contains { ["all", "everything", "default"].contains($0) }
        return
            sections
            .filter { section in all || wanted.contains(section.0.lowercased()) }
            .map { section in
                "# \(section.0)\r\n" + section.1.map { "\($0.0):\($0.1)\r\n" }.joined()
            }
            .joined(separator: "\r\n")
    }

    static func clusterInfo(_ status: NodeStatus) -> String {
        cluster(status).map { "\($0.0):\($0.1)\r\n" }.joined()
    }

    private static func server(_ facts: Facts, _ status: NodeStatus) -> [(String, String)] {
        let uptime = max(0, (facts.now - facts.services.startedAt).nanoseconds / 1_000_000_000)
        return [
            ("redis_version", ServerIdentity.redisVersion), ("redis_mode", "standalone"),
            ("syncline_version", facts.services.identity.version), ("syncline_node", facts.services.identity.nodeName),
            ("os", "Linux"), ("arch_bits", String(Int.bitWidth)), ("process_id", String(getpid())),
            ("run_id", status.clusterID), ("tcp_port", String(facts.protocolPort)),
            ("uptime_in_seconds", String(uptime)), ("uptime_in_days", String(uptime / 86_400)),
            ("executable", "syncline"), ("config_file", ""),
        ]
    }

    private static func clients(_ facts: Facts) -> [(String, String)] {
        let entries = facts.services.registry.entries
        let blocked = entries.count { entry in entry.description.withLock { $0.isBlocked } }
        return [
            ("connected_clients", String(entries.count)),
            ("maxclients", String(facts.services.configuration.maximumClients)), ("blocked_clients", String(blocked)),
            ("watching_clients", String(entries.count { entry in entry.description.withLock { $0.watches > 0 } })),
        ]
    }

    /// Peak resident memory as the kernel counts it; Linux counts in KiB.
    private static func memory() -> [(String, String)] {
        var usage = rusage()
        // 0 is RUSAGE_SELF, which C libraries declare with different types.
        getrusage(0, &usage)
        let peak = Int(usage.ru_maxrss) * 1_024
        return [("used_memory_peak", String(peak)), ("maxmemory", "0"), ("maxmemory_policy", "noeviction")]
    }

    private static func stats(_ facts: Facts) -> [(String, String)] {
        let totals = facts.services.registry.totals
        let cache = facts.cache ?? CacheStatistics()
        return [
            ("total_connections_received", String(totals.accepted)), ("rejected_connections", String(totals.rejected)),
            ("keyspace_hits", String(cache.hits)), ("keyspace_misses", String(cache.misses)),
            ("evicted_keys", String(cache.evictions)), ("expired_keys", String(cache.expirations)),
            ("tracking_total_keys", String(facts.services.tracking.count)),
        ]
    }

    private static func replication(_ status: NodeStatus) -> [(String, String)] {
        [("role", "master"), ("connected_slaves", String(status.members.count { !$0.isSelf && $0.isConnected }))]
    }

    private static func cluster(_ status: NodeStatus) -> [(String, String)] {
        let leads = status.shards.count { $0.leader == status.name }
        return [
            ("cluster_enabled", "0"), ("syncline_cluster_id", status.clusterID),
            ("syncline_ready", status.notReady.isEmpty ? "1" : "0"),
            ("syncline_nodes", String(status.members.count)),
            ("syncline_nodes_connected", String(status.members.count { $0.isSelf || $0.isConnected })),
            ("syncline_shards", String(status.shards.count)), ("syncline_shards_led", String(leads)),
        ]
    }
}
