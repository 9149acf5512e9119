// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// A change of a shard's cache state, in its log. All but `join` and `remove` are proposed by the shard's home.
package enum CacheCommand: Sendable, Equatable {
    /// A client's write, after earlier ones of the same node. `data` is what the line's owner had written without the
    /// log.
    indirect case write(CacheKey, earlier: [CacheOperation] = [], CacheOperation, data: LineData?, token: UInt64)
    /// Owners' unlogged data reaches the log.
    case persist([CacheKeyData])
    /// Those that still have these versions and whose time has come.
    case expire([CacheKeyVersion])
    /// FLUSHALL.
    case removeAll
    /// The memory has these versions.
    case flushed([CacheKeyVersion])
    /// What the memory has and the state need not keep any longer.
    case released([CacheKeyVersion])
    /// The memory is not what it was: it was met for the first time, has lost data, or another process answers. All
    /// that is still held has to reach it again.
    case memoryChanged(MemoryMark)
    /// A leader has raised its fence in the memory, and found what was confirmed to be there.
    case memoryFenced(MemoryMark)
    /// What stood in the memory before the removal of everything (FLUSHALL) with this version is gone from it.
    case memoryCleared(CacheVersion)
    /// To the system shard: who may hold lines.
    case join(CacheMember)
    case remove(CacheMember)

    /// Entries of one `persist`, `expire`, `flushed` or `released`.
    package static let maxBatch = 1_024
    /// Keys and values of one `persist`, beyond which the next one goes into another.
    package static let maxBatchBytes = 64 << 10
}

package struct CacheKeyData: Sendable, Equatable {
    package var key: CacheKey
    package var data: LineData

    package init(_ key: CacheKey, _ data: LineData) {
        self.key = key
        self.data = data
    }
}

package struct CacheKeyVersion: Sendable, Equatable {
    package var key: CacheKey
    package var version: CacheVersion

    package init(_ key: CacheKey, _ version: CacheVersion) {
        self.key = key
        self.version = version
    }
}

/// The state machine's answer to a command.
package enum CacheResponse: Sendable, Equatable {
    /// With the key's version after it. The operations that changed something are numbered in their order: the first
    /// makes the version of the entry's index, each further one the next minor.
    case written(CacheAnswer, CacheVersion, earlier: [CacheOutcome] = [])
    case done
}

extension CacheCommand {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .write(let key, let earlier, let operation, let data, let token):
            writer.u8(1)
            writer.blob(key.bytes)
            writer.earlier(earlier)
            operation.encode(into: &writer)
            writer.bool(data != nil)
            data?.encode(into: &writer)
            writer.varint(token)
        case .persist(let entries):
            writer.u8(2)
            writer.varint(UInt64(entries.count))
            for entry in entries {
                writer.blob(entry.key.bytes)
                entry.data.encode(into: &writer)
            }
        case .expire(let entries):
            writer.u8(3)
            writer.keyVersions(entries)
        case .removeAll: writer.u8(4)
        case .flushed(let entries):
            writer.u8(5)
            writer.keyVersions(entries)
        case .join(let member):
            writer.u8(6)
            member.encode(into: &writer)
        case .remove(let member):
            writer.u8(7)
            member.encode(into: &writer)
        case .released(let entries):
            writer.u8(8)
            writer.keyVersions(entries)
        case .memoryChanged(let mark):
            writer.u8(9)
            mark.encode(into: &writer)
        case .memoryCleared(let version):
            writer.u8(10)
            version.encode(into: &writer)
        case .memoryFenced(let mark):
            writer.u8(11)
            mark.encode(into: &writer)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 1:
            let key = try reader.cacheKey()
            let earlier = try reader.earlierOperations()
            self = .write(
                key,
                earlier: earlier,
                try CacheOperation(decoding: &reader),
                data: try reader.bool() ? try LineData(decoding: &reader) : nil,
                token: try reader.token(after: earlier)
            )
        case 2: self = .persist(try reader.keyData())
        case 3: self = .expire(try reader.keyVersions())
        case 4: self = .removeAll
        case 5: self = .flushed(try reader.keyVersions())
        case 6: self = .join(try CacheMember(decoding: &reader))
        case 7: self = .remove(try CacheMember(decoding: &reader))
        case 8: self = .released(try reader.keyVersions())
        case 9: self = .memoryChanged(try MemoryMark(decoding: &reader))
        case 10: self = .memoryCleared(try CacheVersion(decoding: &reader))
        case 11: self = .memoryFenced(try MemoryMark(decoding: &reader))
        case let tag: throw .unknownTag(what: "cache command", value: UInt64(tag))
        }
    }

    /// Whether a full disk refuses it.
    package var needsRoom: Bool {
        switch self {
        case .write(_, _, let operation, _, _):
            if case .remove = operation { false } else { true }
        case .persist, .expire, .removeAll, .flushed, .released, .memoryChanged, .memoryFenced, .memoryCleared, .join,
            .remove:
            false
        }
    }
}

extension CacheResponse {
    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .written(let answer, let version, let earlier):
            writer.u8(1)
            answer.encode(into: &writer)
            version.encode(into: &writer)
            writer.earlier(earlier)
        case .done: writer.u8(2)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 1:
            self = .written(
                try CacheAnswer(decoding: &reader),
                try CacheVersion(decoding: &reader),
                earlier: try reader.earlierOutcomes()
            )
        case 2: self = .done
        case let tag: throw .unknownTag(what: "cache response", value: UInt64(tag))
        }
    }
}

extension ByteWriter {
    fileprivate mutating func keyVersions(_ entries: [CacheKeyVersion]) {
        varint(UInt64(entries.count))
        for entry in entries {
            blob(entry.key.bytes)
            entry.version.encode(into: &self)
        }
    }
}

extension ByteReader {
    fileprivate mutating func keyVersions() throws(DecodingError) -> [CacheKeyVersion] {
        var entries: [CacheKeyVersion] = []
        for _ in 0..<(try count(limit: CacheCommand.maxBatch, "cache entries")) {
            entries.append(CacheKeyVersion(try cacheKey(), try CacheVersion(decoding: &self)))
        }
        return entries
    }

    fileprivate mutating func keyData() throws(DecodingError) -> [CacheKeyData] {
        var entries: [CacheKeyData] = []
        for _ in 0..<(try count(limit: CacheCommand.maxBatch, "cache entries")) {
            entries.append(CacheKeyData(try cacheKey(), try LineData(decoding: &self)))
        }
        return entries
    }
}
