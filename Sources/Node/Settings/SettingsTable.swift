// SPDX-License-Identifier: Apache-2.0

extension SettingDefinition {
    /// Every setting of a node. Flags, variables, file keys, help, documentation and checks all come from here.
    package static let all: [SettingDefinition] =
        identity + network + raft + storage + limits + cache + memory + logging

    private static let identity: [SettingDefinition] = [
        .init("node-id", .nodeName, default: "node-0", "This node's name: unique in the cluster and never changed."),
        .init(
            "peers",
            .peers,
            default: nil,
            "Every node of the cluster, this one included, with its peer address; empty means a cluster of one."
        ),
        .init(
            "cluster-id",
            .hexadecimal(bytes: 16),
            default: nil,
            "Identity checked whenever two nodes connect; by default random, made up once and kept on disk."
        ),
        .init("shards", .integer(1...1024), default: "16", "Raft groups; chosen when the cluster is first started."),
        .init("replicas", .integer(1...9), default: "3", "Copies of each shard; at most the number of nodes."),
        .init(
            "virtual-nodes",
            .integer(1...10_000),
            default: "150",
            "Points of each node on the consistent-hash ring; chosen when the cluster is first started."
        ),
    ]

    private static let network: [SettingDefinition] = [
        .init("host", .text(maximumBytes: 255), default: "127.0.0.1", "Address that all three ports listen on."),
        .init("client-port", .integer(1...65535), default: "7700", "Port of the Redis protocol."),
        .init("http-port", .integer(1...65535), default: "7701", "Port of HTTP: API, health, metrics."),
        .init(
            "peer-port",
            .integer(1...65535),
            default: "7702",
            "Port for the other nodes; by default the port of this node's entry in `peers`."
        ),
        .init(
            "insecure",
            .boolean,
            default: "false",
            "Listen beyond loopback although clients and peers are not yet authenticated or encrypted."
        ),
        .init(
            "loops",
            .integer(0...64),
            default: "1",
            "Event loops; 0 means one for each core. One needs no hop between threads and is fastest until it is busy."
        ),
        .init(
            "request-timeout-ms",
            .integer(10...600_000),
            default: "5000",
            "How long a request may look for an answer."
        ),
    ]

    private static let raft: [SettingDefinition] = [
        .init("heartbeat-ms", .integer(5...10_000), default: "50", "Time between a leader's heartbeats."),
        .init(
            "election-min-ms",
            .integer(20...60_000),
            default: "150",
            "Shortest election timeout; at least twice `heartbeat-ms`."
        ),
        .init("election-max-ms", .integer(25...120_000), default: "300", "Longest election timeout."),
        .init(
            "lease-reads",
            .boolean,
            default: "false",
            "Answer reads under the leader's lease, without a round to a quorum; trusts clocks to drift less than 10 %."
        ),
    ]

    private static let storage: [SettingDefinition] = [
        .init("data-dir", .text(maximumBytes: 4096), default: "syncline-data", "Folder of the log and snapshots."),
        .init(
            "accept-data-loss",
            .boolean,
            default: "false",
            "For one start of a node whose newest data is lost: its peers let it in again, with what it has."
        ),
        .init(
            "wal-segment-bytes",
            .bytes((1 << 20)...(1 << 30)),
            default: "64MiB",
            "Size of a preallocated log segment."
        ),
        .init(
            "snapshot-log-bytes",
            .bytes((64 << 10)...(16 << 30)),
            default: "16MiB",
            "Bytes of a shard's log after which it takes a snapshot and drops what the snapshot covers."
        ),
    ]

    private static let limits: [SettingDefinition] = [
        .init(
            "session-ttl-ms",
            .integer(1_000...3_600_000),
            default: "10000",
            "Time to live of a session whose client names none."
        ),
        .init("max-clients", .integer(1...1_000_000), default: "10000", "Client connections; one more is refused."),
        .init(
            "pipeline-depth",
            .integer(1...1_000_000),
            default: "1024",
            "Unanswered requests of one connection; beyond it the node stops reading from that connection."
        ),
        .init(
            "idle-timeout-ms",
            .integer(0...86_400_000),
            default: "0",
            "Closes a client connection silent for so long while nothing of it is pending; 0 means never."
        ),
        .init(
            "max-sessions",
            .integer(1...10_000_000),
            default: "100000",
            "Sessions of one namespace; chosen when the cluster is first started."
        ),
        .init(
            "max-locks",
            .integer(1...100_000_000),
            default: "1000000",
            "Locks, semaphores and elections of one namespace; chosen when the cluster is first started."
        ),
        .init(
            "max-waiters",
            .integer(1...1_000_000),
            default: "10000",
            "Requests waiting for one lock, semaphore or election; chosen when the cluster is first started."
        ),
        .init(
            "max-message-bytes",
            .integer(1_024...16_777_216),
            default: "1048576",
            "Size of a queue message's body; chosen when the cluster is first started."
        ),
    ]

    private static let cache: [SettingDefinition] = [
        .init(
            "cache-bytes",
            .bytes((1 << 20)...(1 << 40)),
            default: "256MiB",
            "Memory for the lines that this node holds; the least useful are let go of above it."
        ),
        .init(
            "cache-eviction",
            .choice(["lru", "s3-fifo"]),
            default: "lru",
            "Which lines are let go of first: the least recently used, or by S3-FIFO."
        ),
        .init(
            "cache-durability",
            .choice(["replicated", "through", "local", "volatile"]),
            default: "replicated",
            "When a write is acknowledged if its key's namespace and the writer say nothing else."
        ),
        .init(
            "cache-namespaces",
            .text(maximumBytes: 4096),
            default: nil,
            "Durability by prefix of the key, as `session:=volatile,price:=replicated`; the longest prefix counts."
        ),
        .init(
            "cache-flush-ms",
            .integer(100...3_600_000),
            default: "1000",
            "Age at which what was written in mode local or volatile is written back."
        ),
        .init(
            "cache-store-bytes",
            .bytes((1 << 20)...(1 << 40)),
            default: "1GiB",
            "What the shards that this node leads may hold as memory of the cache, together; more is refused. With "
                + "`memory` redis: what they keep beside Redis."
        ),
    ]

    private static let memory: [SettingDefinition] = [
        .init(
            "memory",
            .choice(["cluster", "redis"]),
            default: "cluster",
            "Where the cache's values are kept: in the cluster's own replicated store, or in a Redis that the cluster "
                + "writes back to; chosen when the cluster is first started."
        ),
        .init(
            "redis-url",
            .text(maximumBytes: 4096),
            default: nil,
            secret: true,
            "Redis as `redis://[user:password@]host[:port]`, with TLS `rediss://`; a Redis Cluster as "
                + "`redis+cluster://host[:port],…` or `rediss+cluster://`."
        ),
        .init(
            "redis-password",
            .text(maximumBytes: 4096),
            default: nil,
            secret: true,
            "Password for Redis, when `redis-url` has none."
        ),
        .init(
            "redis-timeout-ms",
            .integer(10...60_000),
            default: "1000",
            "How long Redis may take to answer a command, or to accept a connection."
        ),
        .init(
            "redis-tls-ca",
            .text(maximumBytes: 4096),
            default: nil,
            "PEM file of the authority that signed Redis' certificate; by default those that the system trusts."
        ),
        .init(
            "redis-tls-cert",
            .text(maximumBytes: 4096),
            default: nil,
            "PEM file of this node's certificate for Redis."
        ),
        .init("redis-tls-key", .text(maximumBytes: 4096), default: nil, "PEM file of the key to `redis-tls-cert`."),
        .init(
            "redis-tls-verify",
            .boolean,
            default: "true",
            "Check Redis' certificate; without, anybody may pretend to be Redis."
        ),
        .init(
            "cache-dirty-bytes",
            .bytes((1 << 20)...(1 << 40)),
            default: "256MiB",
            "What may wait to be written back to Redis, of all shards together; above its shard's part a write is "
                + "refused as busy."
        ),
    ]

    private static let logging: [SettingDefinition] = [
        .init(
            "log-level",
            .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]),
            default: "info",
            "The least severe level that is logged."
        ),
        .init(
            "log-format",
            .choice(["auto", "text", "json"]),
            default: "auto",
            "How log lines are written to standard output; `auto` is text on a terminal and JSON elsewhere."
        ),
    ]
}
