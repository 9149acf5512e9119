// SPDX-License-Identifier: Apache-2.0
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
    let startedAt: NIODeadline
    let logger: Logger

    package init(
        configuration: RESPServerConfiguration,
        identity: ServerIdentity,
        administration: any NodeAdministration,
        observer: any GatewayObserver,
        logger: Logger,
        startedAt: NIODeadline = .now()
    ) {
        self.configuration = configuration
        self.identity = identity
        self.administration = administration
        self.observer = observer
        registry = ClientRegistry(maximumClients: configuration.maximumClients)
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
}
