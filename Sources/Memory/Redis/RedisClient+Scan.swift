// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore
import Primitives
import RESP

/// SCAN's position, and which server it is a position of: another one numbers its keys differently, so there a walk
/// begins anew. Keeps the upper sixteen bits free for the front end.
struct ScanCursor: Equatable {
    private static let positionBits: UInt64 = 42
    private static let tagBits: UInt64 = 6

    let raw: UInt64

    /// Nil: more than any table of Redis has.
    init?(position: UInt64, runID: String?) {
        guard position < 1 << Self.positionBits else { return nil }
        raw = position == 0 ? 0 : Self.tag(runID) << Self.positionBits | position
    }

    init(raw: UInt64) { self.raw = raw }

    func position(at runID: String?) -> UInt64 {
        raw >> Self.positionBits == Self.tag(runID) ? raw & (1 << Self.positionBits - 1) : 0
    }

    private static func tag(_ runID: String?) -> UInt64 {
        guard let runID else { return 0 }
        return StableHash.fnv1a(runID.utf8) & (1 << tagBits - 1)
    }
}

extension RedisClient {
    private typealias Found = (shard: ShardID, key: CacheKey)

    private static let sweepCount = 512

    func scan(
        _ shard: ShardID,
        cursor: UInt64,
        count: Int,
        completion: @escaping (Result<MemoryPage, MemoryError>) -> Void
    ) {
        guard let server = server(of: shard), let connection = server.connection else {
            return completion(.failure(.down(reason: "not connected to the server of shard \(shard)")))
        }
        let position = ScanCursor(raw: cursor).position(at: connection.info.runID)
        let limit = min(max(count, 1), 10_000)
        page(server, layout.pattern(shard), position, limit) { result in
            let runID = server.connection?.info.runID
            completion(
                result.flatMap { found, next in
                    guard let cursor = ScanCursor(position: next, runID: runID) else {
                        return .failure(.refused(text: "a cursor of SCAN beyond any table: \(next)"))
                    }
                    let keys = found.compactMap { $0.shard == shard ? $0.key : nil }
                    return .success(MemoryPage(keys: keys, next: cursor.raw))
                }
            )
        }
    }

    func count(_ shards: [ShardID], completion: @escaping (Result<[UInt64], MemoryError>) -> Void) {
        var counts: [ShardID: UInt64] = [:]
        sweep(primaries, layout.patternOfAllShards()) { found, resume in
            for (shard, _) in found { counts[shard, default: 0] += 1 }
            resume(nil)
        } completion: { error in
            completion(error.map { .failure($0) } ?? .success(shards.map { counts[$0] ?? 0 }))
        }
    }

    func removeAll(
        _ shard: ShardID,
        epoch: UInt64,
        through: CacheVersion,
        completion: @escaping (Result<UInt64, MemoryError>) -> Void
    ) {
        // A slot in migration is on two servers, and its keys only go from its owner to another.
        let owner = server(of: shard)
        let order = primaries.filter { $0 === owner } + primaries.filter { $0 !== owner }
        var removed: UInt64 = 0
        // With no key at all the fence is tried all the same.
        remove(shard, epoch, through, []) { result in
            if case .failure(let error) = result { return completion(.failure(error)) }
            self.sweep(order, self.layout.pattern(shard)) { found, resume in
                let keys = found.compactMap { $0.shard == shard ? $0.key : nil }
                guard !keys.isEmpty else { return resume(nil) }
                self.remove(shard, epoch, through, keys) { result in
                    switch result {
                    case .success(let count):
                        removed += count
                        resume(nil)
                    case .failure(let error): resume(error)
                    }
                }
            } completion: { error in
                completion(error.map { .failure($0) } ?? .success(removed))
            }
        }
    }

    private func remove(
        _ shard: ShardID,
        _ epoch: UInt64,
        _ through: CacheVersion,
        _ keys: [CacheKey],
        completion: @escaping (Result<UInt64, MemoryError>) -> Void
    ) {
        submit(.remove(shard, epoch: epoch, through: through, keys)) { outcome in
            switch outcome {
            case .failed(let error): completion(.failure(error))
            case .answered(let reply, let source): completion(self.written(shard, epoch, reply, source))
            }
        }
    }

    /// Visits all keys of the pattern, server by server, page by page; the visitor says when to go on.
    private func sweep(
        _ servers: [RedisServer],
        _ pattern: [UInt8],
        from position: UInt64 = 0,
        visit: @escaping ([Found], @escaping (MemoryError?) -> Void) -> Void,
        completion: @escaping (MemoryError?) -> Void
    ) {
        guard let server = servers.first else { return completion(nil) }
        page(server, pattern, position, Self.sweepCount) { result in
            switch result {
            case .failure(let error): completion(error)
            case .success(let (found, next)):
                visit(found) { error in
                    if let error { return completion(error) }
                    let rest = next == 0 ? Array(servers.dropFirst()) : servers
                    self.sweep(rest, pattern, from: next, visit: visit, completion: completion)
                }
            }
        }
    }

    private func page(
        _ server: RedisServer,
        _ pattern: [UInt8],
        _ position: UInt64,
        _ count: Int,
        completion: @escaping (Result<([Found], UInt64), MemoryError>) -> Void
    ) {
        submit(.scan(pattern: pattern, position: position, count: count), to: server) { outcome in
            switch outcome {
            case .failed(let error): completion(.failure(error))
            case .answered(let reply, _):
                guard let parts = reply.elements, parts.count == 2, let next = parts[0].string.flatMap({ UInt64($0) }),
                    let keys = parts[1].elements
                else { return completion(.failure(.unexpected(reply))) }
                let found: [Found] = keys.compactMap { key in
                    guard case .bulk(let bytes) = key else { return nil }
                    return self.layout.parse(bytes.readableBytesView)
                }
                completion(.success((found, next)))
            }
        }
    }
}
