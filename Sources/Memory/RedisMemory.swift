// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import Logging
package import NIOCore
import NIOSSL
package import Primitives

/// Redis as the memory of the cache: one server or a Redis Cluster. One for each node; its connections live on one
/// event loop. Begins to connect when it is made and connects again whenever it must, until it is stopped.
package final class RedisMemory: CacheMemory {
    struct Settings: Sendable {
        let address: RedisAddress
        let cluster: UInt64
        let configuration: RedisConfiguration
        let tls: NIOSSLContext?
        let logger: Logger
        let onLoss: @Sendable (MemoryLoss) -> Void
    }

    private let eventLoop: any EventLoop
    private let client: NIOLoopBoundBox<RedisClient?>
    private let board = StateBoard()

    /// - Parameters:
    ///   - cluster: the id of the Syncline cluster; those that share a Redis must differ in it.
    ///   - onLoss: called on the event loop; the caller writes back what it has and raises the fences anew.
    package init(
        _ address: RedisAddress,
        cluster: UInt64,
        configuration: RedisConfiguration,
        eventLoop: any EventLoop,
        logger: Logger,
        onLoss: @escaping @Sendable (MemoryLoss) -> Void
    ) throws(RedisConfigurationError) {
        let settings = Settings(
            address: address,
            cluster: cluster,
            configuration: configuration,
            tls: address.usesTLS ? try configuration.tls.context() : nil,
            logger: logger,
            onLoss: onLoss
        )
        self.eventLoop = eventLoop
        client = .makeEmptyBox(eventLoop: eventLoop)
        let (client, board) = (client, board)
        eventLoop.execute {
            let made = RedisClient(settings, eventLoop: eventLoop, board: board)
            client.value = made
            made.start()
        }
    }

    /// Everything under way fails; nothing may be asked of it afterwards but its state.
    package func stop() -> EventLoopFuture<Void> {
        let client = client
        return eventLoop.submit {
            client.value?.stop()
            client.value = nil
        }
    }

    package var state: MemoryState { board.current }

    /// Always by way of the loop's queue: so calls are carried out in their order, and no completion comes early.
    private func onLoop(_ body: @escaping @Sendable (RedisClient?) -> Void) {
        let client = client
        eventLoop.execute { body(client.value) }
    }

    private static let stopped = MemoryError.down(reason: "the node is shutting down")

    package func raiseFence(
        _ shard: ShardID,
        epoch: UInt64,
        completion: @escaping @Sendable (Result<MemoryFence, MemoryError>) -> Void
    ) {
        onLoop { client in
            guard let client else { return completion(.failure(Self.stopped)) }
            client.raiseFence(shard, epoch: epoch, completion: completion)
        }
    }

    package func fetch(
        _ shard: ShardID,
        _ key: CacheKey,
        completion: @escaping @Sendable (Result<MemoryEntry?, MemoryError>) -> Void
    ) {
        onLoop { client in
            guard let client else { return completion(.failure(Self.stopped)) }
            client.fetch(shard, key, completion: completion)
        }
    }

    package func store(
        _ shard: ShardID,
        epoch: UInt64,
        _ writes: [MemoryWrite],
        completion: @escaping @Sendable ([Result<Void, MemoryError>]) -> Void
    ) {
        onLoop { client in
            guard let client else { return completion(writes.map { _ in .failure(Self.stopped) }) }
            client.store(shard, epoch: epoch, writes, completion: completion)
        }
    }

    package func scan(
        _ shard: ShardID,
        cursor: UInt64,
        count: Int,
        completion: @escaping @Sendable (Result<MemoryPage, MemoryError>) -> Void
    ) {
        onLoop { client in
            guard let client else { return completion(.failure(Self.stopped)) }
            client.scan(shard, cursor: cursor, count: count, completion: completion)
        }
    }

    package func count(
        _ shards: [ShardID],
        completion: @escaping @Sendable (Result<[UInt64], MemoryError>) -> Void
    ) {
        onLoop { client in
            guard let client else { return completion(.failure(Self.stopped)) }
            client.count(shards, completion: completion)
        }
    }

    package func removeAll(
        _ shard: ShardID,
        epoch: UInt64,
        through: CacheVersion,
        completion: @escaping @Sendable (Result<UInt64, MemoryError>) -> Void
    ) {
        onLoop { client in
            guard let client else { return completion(.failure(Self.stopped)) }
            client.removeAll(shard, epoch: epoch, through: through, completion: completion)
        }
    }
}

/// What an operator has to mend before there can be a connection.
package enum RedisConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    case file(path: String, reason: String)
    case certificateWithoutKey
    case tls(reason: String)

    package var description: String {
        switch self {
        case .file(let path, let reason): "cannot use \(path): \(reason)"
        case .certificateWithoutKey: "a certificate needs its key, and a key its certificate"
        case .tls(let reason): "cannot set up TLS: \(reason)"
        }
    }
}

extension RedisConfiguration.TLS {
    fileprivate func context() throws(RedisConfigurationError) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        if !verifiesServer { configuration.certificateVerification = .none }
        if let authorityFile {
            configuration.trustRoots = .certificates(
                try Self.read(authorityFile) { try NIOSSLCertificate.fromPEMFile(authorityFile) }
            )
        }
        switch (certificateFile, keyFile) {
        case (nil, nil): break
        case (let certificate?, let key?):
            configuration.certificateChain = try Self.read(certificate) {
                try NIOSSLCertificate.fromPEMFile(certificate)
            }.map { .certificate($0) }
            configuration.privateKey = .privateKey(try Self.read(key) { try NIOSSLPrivateKey(file: key, format: .pem) })
        default: throw .certificateWithoutKey
        }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw .tls(reason: "\(error)")
        }
    }

    private static func read<Value>(
        _ path: String,
        _ body: () throws -> Value
    ) throws(RedisConfigurationError) -> Value {
        do {
            return try body()
        } catch {
            throw .file(path: path, reason: ConnectError.text(error))
        }
    }
}
