// SPDX-License-Identifier: Apache-2.0

/// Every metric of the server, by the part that updates it. Made once per process; safe from any thread.
package struct SynclineMetrics: Sendable {
    package let registry: MetricsRegistry
    package let raft: RaftMetrics
    package let wal: WriteAheadLogMetrics
    package let transport: TransportMetrics
    package let gateway: GatewayMetrics
    package let locks: LockMetrics
    package let queues: QueueMetrics
    package let cache: CacheMetrics

    package init(registry: MetricsRegistry = MetricsRegistry()) {
        self.registry = registry
        registry.gauge(
            "syncline_build_info",
            help: "Always 1; the label names the version.",
            labels: [MetricLabel("version", SynclineVersion.current)]
        ).set(1)
        raft = RaftMetrics(registry)
        wal = WriteAheadLogMetrics(registry)
        transport = TransportMetrics(registry)
        gateway = GatewayMetrics(registry)
        locks = LockMetrics(registry)
        queues = QueueMetrics(registry)
        cache = CacheMetrics(registry)
        ProcessStatistics.register(in: registry)
    }
}

/// Elections, replication and snapshots, over all shards of this node.
package struct RaftMetrics: Sendable {
    package let electionsStarted: Counter
    package let electionsWon: Counter
    package let stepDowns: Counter
    /// The highest term of any shard of this node.
    package let term: Gauge
    package let shards: Gauge
    /// Shards that this node leads.
    package let leaders: Gauge
    /// Shards of this node without a known leader.
    package let leaderless: Gauge
    package let proposals: Counter
    package let proposalsRefused: Counter
    package let committed: Counter
    /// Entries applied in one turn of a shard.
    package let applyBatch: Histogram
    /// From proposal to commit, at the leader.
    package let commitTime: Histogram
    package let readRounds: Counter
    package let snapshotsTaken: Counter
    package let snapshotsInstalled: Counter
    package let snapshotBytesSent: Counter
    package let transfers: Counter
    package let halted: Gauge

    package init(_ registry: MetricsRegistry) {
        electionsStarted = registry.counter(
            "syncline_raft_elections_started_total",
            help: "Elections that a shard of this node stood for."
        )
        electionsWon = registry.counter("syncline_raft_elections_won_total", help: "Elections won by this node.")
        stepDowns = registry.counter(
            "syncline_raft_step_downs_total",
            help: "Times that a shard of this node stopped leading."
        )
        term = registry.gauge("syncline_raft_term", help: "Highest Raft term of any shard of this node.")
        shards = registry.gauge("syncline_raft_shards", help: "Shards with a replica on this node.")
        leaders = registry.gauge("syncline_raft_leader_shards", help: "Shards that this node leads.")
        leaderless = registry.gauge(
            "syncline_raft_leaderless_shards",
            help: "Shards of this node without a known leader."
        )
        proposals = registry.counter("syncline_raft_proposals_total", help: "Commands proposed to shards led here.")
        proposalsRefused = registry.counter(
            "syncline_raft_proposals_refused_total",
            help: "Proposals refused as busy or for want of leadership."
        )
        committed = registry.counter(
            "syncline_raft_committed_entries_total",
            help: "Log entries committed and applied."
        )
        applyBatch = registry.histogram(
            "syncline_raft_apply_batch_entries",
            help: "Entries applied in one turn of a shard.",
            buckets: .sizes
        )
        commitTime = registry.histogram(
            "syncline_raft_commit_seconds",
            help: "Time from proposal to commit at the leader."
        )
        readRounds = registry.counter("syncline_raft_reads_total", help: "Reads whose leadership was confirmed.")
        snapshotsTaken = registry.counter("syncline_raft_snapshots_taken_total", help: "Snapshots written here.")
        snapshotsInstalled = registry.counter(
            "syncline_raft_snapshots_installed_total",
            help: "Snapshots received from a leader and installed."
        )
        snapshotBytesSent = registry.counter(
            "syncline_raft_snapshot_sent_bytes_total",
            help: "Bytes of snapshot chunks sent to followers."
        )
        transfers = registry.counter(
            "syncline_raft_transfers_total",
            help: "Leadership transfers begun by this node."
        )
        halted = registry.gauge(
            "syncline_raft_halted_shards",
            help: "Replicas stopped because their state cannot be trusted."
        )
    }
}

/// The node's one write-ahead log.
package struct WriteAheadLogMetrics: Sendable {
    package let sync: Histogram
    package let bytes: Counter
    package let batches: Counter
    package let records: Counter
    /// Records made durable by one fdatasync.
    package let batchRecords: Histogram
    package let segments: Gauge
    package let segmentBytes: Gauge
    /// Records waiting for the writer.
    package let queued: Gauge

    package init(_ registry: MetricsRegistry) {
        sync = registry.histogram("syncline_wal_fsync_seconds", help: "Time taken by one fdatasync of the log.")
        bytes = registry.counter("syncline_wal_written_bytes_total", help: "Bytes written to the log.")
        batches = registry.counter("syncline_wal_batches_total", help: "Group commits, each one write and fdatasync.")
        records = registry.counter("syncline_wal_records_total", help: "Records written to the log.")
        batchRecords = registry.histogram(
            "syncline_wal_batch_records",
            help: "Records made durable by one fdatasync.",
            buckets: .sizes
        )
        segments = registry.gauge("syncline_wal_segments", help: "Segment files of the log.")
        segmentBytes = registry.gauge("syncline_wal_segment_bytes", help: "Size of all segment files.")
        queued = registry.gauge("syncline_wal_queued_records", help: "Records waiting for the log's writer.")
    }
}

/// Links between the nodes.
package struct TransportMetrics: Sendable {
    package let bytesIn: Counter
    package let bytesOut: Counter
    package let framesIn: Counter
    package let framesOut: Counter
    package let messagesIn: Counter
    package let messagesOut: Counter
    package let connectedPeers: Gauge
    package let pendingBytes: Gauge
    /// Messages not sent, by cause: see `TransportMetrics.dropCauses`.
    package let dropped: LabelledCounters
    /// Links refused or closed for a violation.
    package let rejected: Counter
    package let connectAttempts: Counter
    package let disconnects: Counter

    package static let dropCauses = ["not_connected", "too_much_pending", "too_large"]

    package init(_ registry: MetricsRegistry) {
        let input = [MetricLabel("direction", "in")]
        let output = [MetricLabel("direction", "out")]
        let bytes = "syncline_transport_bytes_total"
        bytesIn = registry.counter(bytes, help: "Bytes exchanged with peers.", labels: input)
        bytesOut = registry.counter(bytes, help: "Bytes exchanged with peers.", labels: output)
        let frames = "syncline_transport_frames_total"
        framesIn = registry.counter(frames, help: "Frames exchanged with peers.", labels: input)
        framesOut = registry.counter(frames, help: "Frames exchanged with peers.", labels: output)
        let messages = "syncline_transport_messages_total"
        messagesIn = registry.counter(messages, help: "Messages exchanged with peers.", labels: input)
        messagesOut = registry.counter(messages, help: "Messages exchanged with peers.", labels: output)
        connectedPeers = registry.gauge(
            "syncline_transport_connected_peers",
            help: "Peers with a working link in both directions."
        )
        pendingBytes = registry.gauge(
            "syncline_transport_pending_bytes",
            help: "Bytes accepted for peers and not yet handed to the system."
        )
        dropped = registry.counters(
            "syncline_transport_dropped_messages_total",
            help: "Messages to peers that were not sent.",
            label: "cause",
            values: Self.dropCauses
        )
        rejected = registry.counter(
            "syncline_transport_rejected_links_total",
            help: "Peer links refused or closed for a violation."
        )
        connectAttempts = registry.counter("syncline_transport_connect_attempts_total", help: "Peers dialled.")
        disconnects = registry.counter("syncline_transport_disconnects_total", help: "Peers lost.")
    }
}

/// The front ends.
package struct GatewayMetrics: Sendable {
    package let respConnections: Gauge
    package let httpConnections: Gauge
    package let accepted: Counter
    package let refusedConnections: Counter
    package let commands: LabelledCounters
    package let httpRequests: LabelledCounters
    package let errors: LabelledCounters
    /// From the request's last byte to the answer's first, waits for locks left out.
    package let requestTime: Histogram

    package static let commandFamilies = [
        "connection", "session", "lock", "semaphore", "election", "queue", "cache", "cluster", "server",
    ]
    package static let httpRoutes = ["sessions", "locks", "queues", "cluster", "health", "metrics"]
    package static let errorCodes = [
        "BACKENDDOWN", "BUSY", "DEADLOCK", "ERR", "EXISTS", "FENCED", "FULL", "LIMIT", "NOAUTH", "NOCONSUMER",
        "NOCREDIT", "NOPROTO",
        "NOQUEUE", "NOSESSION", "NOTHELD", "OOM", "PAUSED", "REENTRY", "STALE", "TOOLARGE", "UNAVAILABLE", "UNKNOWN",
        "WRONGTYPE",
    ]

    package init(_ registry: MetricsRegistry) {
        let connections = "syncline_gateway_connections"
        let help = "Client connections that are open."
        respConnections = registry.gauge(connections, help: help, labels: [MetricLabel("protocol", "resp")])
        httpConnections = registry.gauge(connections, help: help, labels: [MetricLabel("protocol", "http")])
        accepted = registry.counter("syncline_gateway_accepted_connections_total", help: "Client connections accepted.")
        refusedConnections = registry.counter(
            "syncline_gateway_refused_connections_total",
            help: "Client connections refused at the limit."
        )
        commands = registry.counters(
            "syncline_gateway_commands_total",
            help: "RESP commands, by family.",
            label: "family",
            values: Self.commandFamilies
        )
        httpRequests = registry.counters(
            "syncline_gateway_http_requests_total",
            help: "HTTP requests, by the first part of their path.",
            label: "route",
            values: Self.httpRoutes
        )
        errors = registry.counters(
            "syncline_gateway_errors_total",
            help: "Requests answered with an error, by its code.",
            label: "code",
            values: Self.errorCodes
        )
        requestTime = registry.histogram(
            "syncline_gateway_request_seconds",
            help: "Time to answer a request, waits for locks left out."
        )
    }
}

/// The lock service, over the shards that this node leads.
package struct LockMetrics: Sendable {
    package let grants: Counter
    package let releases: Counter
    package let waits: Counter
    package let waitTimeouts: Counter
    package let deadlocks: Counter
    package let breaks: Counter
    package let sessionsOpened: Counter
    package let sessionsClosed: Counter
    package let sessionsExpired: Counter
    package let renewals: Counter
    package let sessions: Gauge
    package let objects: Gauge
    package let waiters: Gauge
    /// From joining a waiting line to the grant.
    package let waitTime: Histogram

    package init(_ registry: MetricsRegistry) {
        grants = registry.counter("syncline_lock_grants_total", help: "Locks, permits and elections granted.")
        releases = registry.counter("syncline_lock_releases_total", help: "Holds released or taken back.")
        waits = registry.counter("syncline_lock_waits_total", help: "Requests that joined a waiting line.")
        waitTimeouts = registry.counter("syncline_lock_wait_timeouts_total", help: "Waits that ended without a grant.")
        deadlocks = registry.counter("syncline_lock_deadlocks_total", help: "Deadlocks found and broken.")
        breaks = registry.counter("syncline_lock_breaks_total", help: "Forced releases by an operator.")
        sessionsOpened = registry.counter("syncline_sessions_opened_total", help: "Sessions opened.")
        sessionsClosed = registry.counter("syncline_sessions_closed_total", help: "Sessions closed by their client.")
        sessionsExpired = registry.counter("syncline_sessions_expired_total", help: "Sessions that expired.")
        renewals = registry.counter("syncline_sessions_renewals_total", help: "Session renewals answered.")
        sessions = registry.gauge("syncline_sessions", help: "Live sessions of the shards led here.")
        objects = registry.gauge(
            "syncline_lock_objects",
            help: "Locks, semaphores and elections of the shards led here."
        )
        waiters = registry.gauge("syncline_lock_waiters", help: "Requests in waiting lines of the shards led here.")
        waitTime = registry.histogram(
            "syncline_lock_wait_seconds",
            help: "Time from joining a waiting line to the grant."
        )
    }
}
