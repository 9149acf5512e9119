// SPDX-License-Identifier: Apache-2.0
import Logging
import NIOCore
import Primitives
import RESP

/// A fence that this node raised, and has no reason to think is not there any more.
struct RaisedFence {
    var epoch: UInt64
    /// See `StoredFence`.
    var generation: UInt32
    /// The connection of this generation.
    var connection: RedisConnection.ID
    /// Of the process that answered for the shard last.
    var runID: String?
    /// Was reported as lost, and not raised since.
    var isLost = false
}

extension RedisClient {
    // MARK: Raising

    func raiseFence(
        _ shard: ShardID,
        epoch: UInt64,
        completion: @escaping (Result<MemoryFence, MemoryError>) -> Void
    ) {
        submit(.raise(shard, epoch: epoch)) { outcome in
            switch outcome {
            case .failed(let error): completion(.failure(error))
            case .answered(let reply, let source): completion(self.raised(shard, epoch, reply, source))
            }
        }
    }

    private func raised(
        _ shard: ShardID,
        _ epoch: UInt64,
        _ reply: RESPValue,
        _ source: RedisRequest.Source
    ) -> Result<MemoryFence, MemoryError> {
        let previous: StoredFence?
        switch reply {
        case .null: previous = nil
        case .bulk(let bytes):
            guard let fence = StoredFence(bytes) else { return .failure(.unexpected(reply)) }
            previous = fence
        default: return .failure(.unexpected(reply))
        }
        if let previous, previous.epoch > epoch { return .failure(.fenced(by: previous.epoch)) }
        let known = fences[shard]
        if known?.epoch == epoch {
            fences[shard]?.isLost = false
            fences[shard]?.runID = source.runID
        } else if known.map({ $0.epoch < epoch }) ?? true {
            fences[shard] = RaisedFence(
                epoch: epoch,
                generation: Self.firstGeneration,
                connection: source.isAsked ? 0 : source.connection,
                runID: source.runID
            )
        }
        return .success(MemoryFence(previous: previous?.epoch, runID: source.runID ?? ""))
    }

    static var firstGeneration: UInt32 { 1 }

    /// The generation that a write carries through this server's connection: a new one when the shard was written
    /// through another connection before.
    func generation(of request: RedisRequest, on server: RedisServer) -> UInt32 {
        let shard: ShardID
        let epoch: UInt64
        switch request.command {
        case .raise(let of, let to): (shard, epoch) = (of, to)
        case .store(let of, let at, _), .remove(let of, let at, _, _): (shard, epoch) = (of, at)
        case .check, .fetch, .scan, .slots, .ping: return 0
        }
        guard var fence = fences[shard], fence.epoch == epoch else { return Self.firstGeneration }
        if !request.isAsking, let connection = server.connection, connection.id != fence.connection {
            fence.connection = connection.id
            fence.generation += 1
            fences[shard] = fence
        }
        return fence.generation
    }

    // MARK: Loss

    /// Looks whether the fences that this server should have are there. Sent at once after a connection was made, so
    /// its answer comes before those of commands; without any fence, whether the server answers at all.
    func check(_ server: RedisServer) {
        guard server.connection != nil else { return }
        let shards = fences.keys.sorted().filter { self.server(of: $0) === server }
        openChecks += max(shards.count, 1)
        guard !shards.isEmpty else { return submit(.ping, to: server, isInternal: true) { _ in self.openChecks -= 1 } }
        for shard in shards {
            submit(.check(shard), to: server, isInternal: true) { outcome in
                self.openChecks -= 1
                guard case .answered(let reply, let source) = outcome else { return }
                switch reply {
                case .null: self.observe(shard, nil, source)
                case .bulk(let bytes):
                    if let fence = StoredFence(bytes) { self.observe(shard, fence.epoch, source) }
                default: break
                }
            }
        }
    }

    /// - Parameter stored: the epoch of the shard's fence as a server has just given it; nil: there is none.
    func observe(_ shard: ShardID, _ stored: UInt64?, _ source: RedisRequest.Source) {
        guard var fence = fences[shard] else { return }
        if stored.map({ $0 < fence.epoch }) ?? true {
            if !fence.isLost { lose(shard, .emptied) }
            fence.isLost = true
        } else {
            fence.isLost = false
            if !source.isAsked, let runID = source.runID, runID != fence.runID {
                if fence.runID != nil { lose(shard, .restarted) }
                fence.runID = runID
            }
        }
        fences[shard] = fence
    }

    /// Losses that are found in one turn of the loop are reported together.
    private func lose(_ shard: ShardID, _ cause: MemoryLoss.Cause) {
        board.count { $0.losses += 1 }
        if let index = losses.firstIndex(where: { $0.cause == cause }) {
            losses[index].shards.append(shard)
            return
        }
        losses.append(MemoryLoss(shards: [shard], cause: cause))
        guard losses.count == 1 else { return }
        eventLoop.assumeIsolated().execute {
            let losses = self.losses
            self.losses = []
            for loss in losses {
                self.logger.warning(
                    "Redis may have lost data",
                    metadata: ["shards": "\(loss.shards)", "cause": "\(loss.cause)"]
                )
                self.onLoss(loss)
            }
        }
    }
}
