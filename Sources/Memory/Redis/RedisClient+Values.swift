// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore
import Primitives
import RESP

extension RedisClient {
    // MARK: Reading

    func fetch(
        _ shard: ShardID,
        _ key: CacheKey,
        completion: @escaping (Result<MemoryEntry?, MemoryError>) -> Void
    ) {
        guard key.bytes.count <= CacheLimits.keyBytes else { return completion(.failure(.tooLarge)) }
        submit(.fetch(shard, key)) { outcome in
            switch outcome {
            case .failed(let error): completion(.failure(error))
            case .answered(let reply, let source): completion(self.fetched(shard, reply, source))
            }
        }
    }

    private func fetched(
        _ shard: ShardID,
        _ reply: RESPValue,
        _ source: RedisRequest.Source
    ) -> Result<MemoryEntry?, MemoryError> {
        guard let parts = reply.elements, parts.count == 3, case .integer(let remaining) = parts[2] else {
            return .failure(.unexpected(reply))
        }
        var stored: StoredFence?
        switch parts[0] {
        case .null: break
        case .bulk(let bytes):
            stored = StoredFence(bytes)
            if stored == nil { return .failure(.refused(text: "the fence of shard \(shard) is not one of Syncline")) }
        default: return .failure(.unexpected(reply))
        }
        observe(shard, stored?.epoch, source)
        // What is absent after a loss was perhaps not absent before.
        if let raised = fences[shard] {
            if raised.isLost { return .failure(.lost) }
            if let stored, stored.epoch > raised.epoch { return .failure(.fenced(by: stored.epoch)) }
        }
        switch parts[1] {
        case .null: return .success(nil)
        case .bulk(let bytes):
            let entry = StoredForm.entry(bytes, remaining: remaining < 0 ? nil : UInt64(remaining))
            return entry.map { .success($0) } ?? .failure(.refused(text: "the value is not one of Syncline"))
        default: return .failure(.unexpected(reply))
        }
    }

    // MARK: Writing

    func store(
        _ shard: ShardID,
        epoch: UInt64,
        _ writes: [MemoryWrite],
        completion: @escaping ([Result<Void, MemoryError>]) -> Void
    ) {
        let batch = Batch(count: writes.count, completion: completion)
        for (index, write) in writes.enumerated() {
            guard write.key.bytes.count <= CacheLimits.keyBytes,
                write.value.map({ $0.count <= CacheLimits.valueBytes }) ?? true
            else {
                batch.set(index, .failure(.tooLarge))
                continue
            }
            submit(.store(shard, epoch: epoch, write)) { outcome in
                switch outcome {
                case .failed(let error): batch.set(index, .failure(error))
                case .answered(let reply, let source):
                    batch.set(index, self.written(shard, epoch, reply, source).map { _ in () })
                }
            }
        }
    }

    /// What a guarded script answered: whether it went on, and how many keys it removed.
    func written(
        _ shard: ShardID,
        _ epoch: UInt64,
        _ reply: RESPValue,
        _ source: RedisRequest.Source
    ) -> Result<UInt64, MemoryError> {
        guard let parts = reply.elements, let word = parts.first?.string else { return .failure(.unexpected(reply)) }
        switch word {
        case "DONE", "OLDER":
            // The fence stood, and was of this epoch.
            observe(shard, epoch, source)
            guard parts.count > 1 else { return .success(0) }
            return parts[1].int.map { .success(UInt64(clamping: $0)) } ?? .failure(.unexpected(reply))
        case "LOST":
            // A write of an epoch that never had a fence has lost nothing.
            if fences[shard]?.epoch == epoch { observe(shard, nil, source) }
            return .failure(.lost)
        case "FENCED":
            guard case .bulk(let digits)? = parts.last, let epoch = Hexadecimal.parse(digits.readableBytesView) else {
                return .failure(.unexpected(reply))
            }
            return .failure(.fenced(by: epoch))
        default: return .failure(.unexpected(reply))
        }
    }
}

/// Results that are complete when each is there.
private final class Batch {
    private var results: [Result<Void, MemoryError>]
    private var missing: Int
    private let completion: ([Result<Void, MemoryError>]) -> Void

    init(count: Int, completion: @escaping ([Result<Void, MemoryError>]) -> Void) {
        results = Array(repeating: .success(()), count: count)
        missing = count
        self.completion = completion
        if count == 0 { completion([]) }
    }

    func set(_ index: Int, _ result: Result<Void, MemoryError>) {
        results[index] = result
        missing -= 1
        if missing == 0 { completion(results) }
    }
}

extension MemoryError {
    /// A reply of a type or form that the command does not have.
    static func unexpected(_ reply: RESPValue) -> MemoryError {
        .refused(text: "an answer that makes no sense: \(String("\(reply)".prefix(200)))")
    }
}
