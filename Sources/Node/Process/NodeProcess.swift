// SPDX-License-Identifier: Apache-2.0
import Gateway
import LockCore
import Logging
import NIOCore
import NIOPosix
import Primitives
import RaftCore
import Replica
import ServiceLifecycle
import Storage
import Telemetry
import Transport
import Wire

/// One node, from its settings to its end.
package struct NodeProcess: Sendable {
    private let settings: Settings

    package init(settings: Settings) { self.settings = settings }

    /// Runs until SIGTERM or SIGINT, then hands over its leaderships, lets clients finish and closes the log.
    ///
    /// - Throws: what kept it from starting, with the remedy in its description.
    package func run() async throws {
        var logger = Logger(label: "syncline")
        logger.logLevel = Logger.Level(rawValue: settings.logLevel) ?? .info
        let group = MultiThreadedEventLoopGroup(numberOfThreads: settings.loops)
        // One thread: snapshots are written, installed and removed one after the other (`SnapshotDirectory.write`).
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        let readers = NIOThreadPool(numberOfThreads: 1)
        readers.start()
        let metrics = SynclineMetrics()
        let pools = (helper: pool, readers: readers)
        let node = try await Node.build(settings, group: group, pools: pools, metrics: metrics, logger: logger)
        do {
            try await node.run()
        } catch {
            await node.close()
            throw error
        }
        await node.close()
        try await pool.shutdownGracefully()
        try await readers.shutdownGracefully()
        try await group.shutdownGracefully()
    }
}
