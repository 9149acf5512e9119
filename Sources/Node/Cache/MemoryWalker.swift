// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Memory
import Primitives
import Replica

/// A page of the keys that Redis has of a shard, or their number: of those that the state does not hold.
final class MemoryWalker: Sendable {
    private static let pageCount = 1_000

    private let loop: ShardLoop
    private let shard: ShardID
    private let epoch: UInt64
    private let walk: MemoryWalk

    init(_ loop: ShardLoop, _ shard: ShardID, _ epoch: UInt64, _ walk: MemoryWalk) {
        self.loop = loop
        self.shard = shard
        self.epoch = epoch
        self.walk = walk
    }

    func begin(_ owner: LoopMemory) {
        switch walk.kind {
        case .count: count(owner, 0, 0)
        case .scan(let cursor, let count):
            // What stands there from before a FLUSHALL is not named; what has been written since is still held.
            guard owner.state(shard)?.isMemoryToClear != true else { return end(owner, .page([], next: 0)) }
            owner.memory.scan(shard, cursor: cursor, count: count) { [self] result in
                loop.later(shard, epoch) { found in
                    switch result {
                    case .success(let page): self.end(found.owner, .page(page.keys, next: page.next))
                    case .failure(let error): self.end(found.owner, .failed(reason: "Redis: \(error)"))
                    }
                }
            }
        }
    }

    /// Exact while nothing changes; a key that SCAN names twice is counted twice.
    private func count(_ owner: LoopMemory, _ cursor: UInt64, _ sum: UInt64) {
        guard let state = owner.state(shard), !state.isMemoryToClear else { return end(owner, .count(0)) }
        owner.memory.scan(shard, cursor: cursor, count: Self.pageCount) { [self] result in
            loop.later(shard, epoch) { found in
                switch result {
                case .failure(let error): self.end(found.owner, .failed(reason: "Redis: \(error)"))
                case .success(let page):
                    guard let state = found.owner.state(self.shard) else { return }
                    let sum = sum + UInt64(page.keys.count { !state.holds($0) })
                    if page.next == 0 {
                        self.end(found.owner, .count(sum))
                    } else {
                        self.count(found.owner, page.next, sum)
                    }
                }
            }
        }
    }

    private func end(_ owner: LoopMemory, _ result: MemoryWalk.Result) { owner.step(shard, .walked(walk, result)) }
}
