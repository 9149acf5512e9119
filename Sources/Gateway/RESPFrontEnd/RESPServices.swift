// SPDX-License-Identifier: Apache-2.0
import CacheCore
package import Logging
package import NIOCore

/// What all connections of the RESP front end share.
package struct RESPServices: Sendable {
    let configuration: RESPServerConfiguration
    let identity: ServerIdentity
    let administration: any NodeAdministration
    let observer: any GatewayObserver
    let registry: ClientRegistry
    let queues = QueueServices()
    let tracking: TrackingBudget
    /// Unix time in milliseconds: moments that clients name (EXAT, EXPIREAT) become spans by it.
    let wallClock: @Sendable () -> Int64
    let startedAt: NIODeadline
    let logger: Logger

    package init(
        configuration: RESPServerConfiguration,
        identity: ServerIdentity,
        administration: any NodeAdministration,
        observer: any GatewayObserver,
        logger: Logger,
        wallClock: @escaping @Sendable () -> Int64 = { WallClock.milliseconds },
        startedAt: NIODeadline = .now()
    ) {
        self.configuration = configuration
        self.identity = identity
        self.administration = administration
        self.observer = observer
        registry = ClientRegistry(maximumClients: configuration.maximumClients)
        tracking = TrackingBudget(limit: configuration.trackedKeys)
        self.wallClock = wallClock
        self.startedAt = startedAt
        self.logger = logger
    }
}

/// Events that reach a connection from outside it.
enum ConnectionEvent: Sendable {
    /// End what it waits for, as if its time were up or with an error.
    case unblock(withError: Bool)
    /// The server is stopping: finish what is in flight, wait for nothing, then close.
    case drain
    /// Keys that another connection tracks and this one is told about (`CLIENT TRACKING … REDIRECT`); nil: all keys.
    case invalidated(CacheKey?)
}
