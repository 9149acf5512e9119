// SPDX-License-Identifier: Apache-2.0
import CacheCore
import ClientTestSupport
import Logging
import Memory
import NIOCore
import NIOPosix
import Primitives
import Synchronization

/// The memory under test, with its answers to wait for.
final class TestMemory: Sendable {
    static let cluster: UInt64 = 0x00c0_ffee_0000_0001

    let memory: RedisMemory
    private let noted: Losses

    init(
        _ url: String,
        cluster: UInt64 = TestMemory.cluster,
        _ change: (inout RedisConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = RedisConfiguration(seed: 7)
        // Two cores run many tests at once: only those of deadlines have short ones.
        configuration.commandTimeout = .milliseconds(10_000)
        configuration.handshakeTimeout = .milliseconds(10_000)
        configuration.backoffMax = .milliseconds(100)
        change(&configuration)
        let noted = Losses()
        self.noted = noted
        memory = try RedisMemory(
            RedisAddress(url),
            cluster: cluster,
            configuration: configuration,
            eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            onLoss: { noted.add($0) }
        )
    }

    deinit { _ = memory.stop() }

    /// Connected to the server, or all servers of the cluster.
    static func connected(
        _ url: String,
        cluster: UInt64 = TestMemory.cluster,
        _ change: (inout RedisConfiguration) -> Void = { _ in }
    ) async throws -> TestMemory {
        let memory = try TestMemory(url, cluster: cluster, change)
        guard await eventually({ memory.state.isConnected }) else {
            throw TestFailure("not connected: \(memory.state)")
        }
        return memory
    }

    var state: MemoryState { memory.state }

    var losses: [MemoryLoss] { noted.all }

    func raise(_ shard: ShardID, _ epoch: UInt64) async -> Result<MemoryFence, MemoryError> {
        await withCheckedContinuation { continuation in
            memory.raiseFence(shard, epoch: epoch) { continuation.resume(returning: $0) }
        }
    }

    func fetch(_ shard: ShardID, _ key: CacheKey) async -> Result<MemoryEntry?, MemoryError> {
        await withCheckedContinuation { continuation in
            memory.fetch(shard, key) { continuation.resume(returning: $0) }
        }
    }

    func fetch(_ shard: ShardID, _ key: String) async -> Result<MemoryEntry?, MemoryError> {
        await fetch(shard, CacheKey(key))
    }

    func store(_ shard: ShardID, _ epoch: UInt64, _ writes: [MemoryWrite]) async -> [Result<Void, MemoryError>] {
        await withCheckedContinuation { continuation in
            memory.store(shard, epoch: epoch, writes) { continuation.resume(returning: $0) }
        }
    }

    /// One write; nil: it succeeded.
    func store(_ shard: ShardID, _ epoch: UInt64, _ write: MemoryWrite) async -> MemoryError? {
        switch await store(shard, epoch, [write])[0] {
        case .success: nil
        case .failure(let error): error
        }
    }

    func scan(_ shard: ShardID, _ cursor: UInt64, _ count: Int) async -> Result<MemoryPage, MemoryError> {
        await withCheckedContinuation { continuation in
            memory.scan(shard, cursor: cursor, count: count) { continuation.resume(returning: $0) }
        }
    }

    func count(_ shards: [ShardID]) async -> Result<[UInt64], MemoryError> {
        await withCheckedContinuation { continuation in
            memory.count(shards) { continuation.resume(returning: $0) }
        }
    }

    func removeAll(_ shard: ShardID, _ epoch: UInt64, _ through: CacheVersion) async -> Result<UInt64, MemoryError> {
        await withCheckedContinuation { continuation in
            memory.removeAll(shard, epoch: epoch, through: through) { continuation.resume(returning: $0) }
        }
    }
}

private final class Losses: Sendable {
    private let noted = Mutex<[MemoryLoss]>([])

    var all: [MemoryLoss] { noted.withLock { $0 } }

    func add(_ loss: MemoryLoss) { noted.withLock { $0.append(loss) } }
}

extension MemoryWrite {
    /// A value of text, or a deletion.
    init(_ key: String, _ version: UInt64, _ text: String?, remaining: UInt64? = nil) {
        self.init(
            key: CacheKey(key),
            version: CacheVersion(index: version),
            value: text.map { Array($0.utf8) },
            remaining: remaining
        )
    }
}

extension MemoryEntry {
    init(_ text: String, _ version: UInt64) {
        self.init(value: Array(text.utf8), version: CacheVersion(index: version))
    }
}

extension Result where Failure == MemoryError {
    var error: MemoryError? {
        if case .failure(let error) = self { return error }
        return nil
    }
}

extension MemoryError {
    var isDown: Bool {
        if case .down = self { return true }
        return false
    }
}
