// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore
import Primitives
import RESP

/// One command on its way, through redirections and repetitions, until its answer or its deadline.
final class RedisRequest {
    enum Command {
        case raise(ShardID, epoch: UInt64)
        /// Reads the fence.
        case check(ShardID)
        case fetch(ShardID, CacheKey)
        case store(ShardID, epoch: UInt64, MemoryWrite)
        case remove(ShardID, epoch: UInt64, through: CacheVersion, [CacheKey])
        /// Of one server.
        case scan(pattern: [UInt8], position: UInt64, count: Int)
        case slots
        case ping
    }

    /// What an answer came from.
    struct Source {
        let connection: RedisConnection.ID
        let runID: String?
        let host: RedisAddress.Host
        /// An exception made for this command: the shard is served by another.
        let isAsked: Bool
    }

    enum Outcome {
        case answered(RESPValue, Source)
        case failed(MemoryError)
    }

    let command: Command
    let deadline: NIODeadline
    /// Our own housekeeping: it passes the breaker and the limits, and is not counted.
    let isInternal: Bool
    /// Estimated bytes in the buffers of the connection.
    let cost: Int
    /// MOVED and ASK that it went through.
    var redirects = 0
    /// Repetitions because of a slot in migration, or of a generation that was overtaken.
    var repetitions: UInt64 = 0
    /// The server does not know the script.
    var carriesScript = false
    /// Sent to a server that only holds the slot in part.
    var isAsking = false
    /// Where its answer is to come from; nil: it waits to be sent again.
    var server: RedisServer?
    private var completion: ((Outcome) -> Void)?

    init(_ command: Command, deadline: NIODeadline, isInternal: Bool, completion: @escaping (Outcome) -> Void) {
        self.command = command
        self.deadline = deadline
        self.isInternal = isInternal
        self.completion = completion
        cost = Self.cost(command)
    }

    var isDone: Bool { completion == nil }

    func finish(_ outcome: Outcome) {
        guard let completion else { return }
        self.completion = nil
        server = nil
        completion(outcome)
    }

    /// Nil: of one server, not of one shard.
    var shard: ShardID? {
        switch command {
        case .raise(let shard, _), .check(let shard), .fetch(let shard, _), .store(let shard, _, _),
            .remove(let shard, _, _, _):
            shard
        case .scan, .slots, .ping: nil
        }
    }

    /// Goes on only under its fence.
    var isGuarded: Bool {
        switch command {
        case .store, .remove: true
        case .raise, .check, .fetch, .scan, .slots, .ping: false
        }
    }

    private static func cost(_ command: Command) -> Int {
        // Names of script and fence, version, lengths.
        let frame = 256
        return switch command {
        case .fetch(_, let key): frame + key.bytes.count
        case .store(_, _, let write): frame + write.key.bytes.count + (write.value?.count ?? 0)
        case .remove(_, _, _, let keys): keys.reduce(frame) { $0 + $1.bytes.count + 64 }
        case .raise, .check, .scan, .slots, .ping: frame
        }
    }
}

extension RedisRequest {
    /// - Parameter generation: of the fence that a write carries.
    func encode(into writer: inout RESPWriter, layout: KeyLayout, generation: UInt32) {
        switch command {
        case .raise(let shard, let epoch):
            begin(.raise, keys: 1, arguments: 1, &writer)
            writer.bulk(layout.fence(shard))
            writer.bulk(StoredFence(epoch: epoch, generation: generation).bytes)
        case .check(let shard):
            writer.array(2)
            writer.bulk("GET")
            writer.bulk(layout.fence(shard))
        case .fetch(let shard, let key):
            begin(.fetch, keys: 2, arguments: 1, &writer)
            writer.bulk(layout.fence(shard))
            writer.bulk(layout.key(shard, key))
            writer.bulk(Self.longestForm)
        case .store(let shard, let epoch, let write):
            begin(.store, keys: 2, arguments: 4, &writer)
            writer.bulk(layout.fence(shard))
            writer.bulk(layout.key(shard, write.key))
            writer.bulk(StoredFence(epoch: epoch, generation: generation).bytes)
            encode(write, into: &writer)
        case .remove(let shard, let epoch, let through, let keys):
            begin(.remove, keys: keys.count + 1, arguments: 2, &writer)
            writer.bulk(layout.fence(shard))
            for key in keys { writer.bulk(layout.key(shard, key)) }
            writer.bulk(StoredFence(epoch: epoch, generation: generation).bytes)
            writer.bulk(StoredForm.version(through))
        case .scan(let pattern, let position, let count):
            writer.array(6)
            for word in ["SCAN", "\(position)", "MATCH"] { writer.bulk(word) }
            writer.bulk(pattern)
            for word in ["COUNT", "\(count)"] { writer.bulk(word) }
        case .slots: writer.command(["CLUSTER", "SLOTS"])
        case .ping: writer.command(["PING"])
        }
    }

    private static let longestForm = "\(CacheLimits.valueBytes + StoredForm.versionDigits)"

    private func encode(_ write: MemoryWrite, into writer: inout RESPWriter) {
        let version = StoredForm.version(write.version)
        writer.bulk(version)
        guard let value = write.value, write.remaining != 0 else {
            writer.bulk([])
            writer.bulk([])
            return
        }
        writer.bulk(version + value)
        // Beyond this, some thousand years, Redis could not add the time of day.
        writer.bulk(write.remaining.map { "\(min($0, 1 << 46))" } ?? "")
    }

    private func begin(_ script: Script, keys: Int, arguments: Int, _ writer: inout RESPWriter) {
        writer.array(3 + keys + arguments)
        writer.bulk(carriesScript ? "EVAL" : "EVALSHA")
        writer.bulk(carriesScript ? script.text : script.digest)
        writer.bulk("\(keys)")
    }
}
