// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Writes that go to the home as one: the first of a line's queue, and those behind it that can share its entry of the
/// log. Where many clients of a node write one key, a commit is for all that came during the one before.
///
/// Reads in between are answered after the group. Nobody has an answer yet, and a client that wants its read to come
/// before a write of its own waits for the read's answer first, as the front ends do for it.
struct CallGroup {
    private(set) var calls: [CacheCall?]
    private(set) var earlier: [CacheOperation] = []
    private(set) var operation: CacheOperation
    let durability: CacheDurability
    let token: UInt64

    /// - Parameters:
    ///   - first: a write.
    ///   - queue: what came after it; what joins it is taken out.
    ///   - max: of operations.
    init(_ first: CacheCall, _ queue: inout [CacheCall], max: Int) {
        guard case .write(let operation, let durability, let token) = first.kind else {
            invariantFailure("a read was started as a write")
        }
        calls = [first]
        (self.operation, self.durability, self.token) = (operation, durability, token)
        if !queue.isEmpty, token == 0, let bytes = operation.sharedBytes { gather(&queue, max, bytes) }
    }

    private mutating func gather(_ queue: inout [CacheCall], _ max: Int, _ bytes: Int) {
        var bytes = bytes
        var left: [CacheCall] = []
        for (place, call) in queue.enumerated() {
            guard case .write(let next, let durability, let token) = call.kind else {
                left.append(call)
                continue
            }
            // A plain SET need not wait for a value that only the memory has, so it does not go behind what must.
            let mayFollow = next.needsCurrent || !(earlier.first ?? operation).needsCurrent
            guard token == 0, durability == self.durability, mayFollow, calls.count < max,
                let more = next.sharedBytes, bytes + more <= CacheWrite.maxGroupBytes
            else {
                left += queue[place...]
                break
            }
            bytes += more
            earlier.append(operation)
            operation = next
            calls.append(call)
        }
        queue = left
    }
}
