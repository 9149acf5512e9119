// SPDX-License-Identifier: Apache-2.0
import Storage

/// Blocks of message bodies that were read lately. A backlog is consumed in the order in which it stands on disk, so
/// one read serves hundreds of small messages.
struct BodyCache {
    private struct Held {
        var block: BodyBlock
        var used: UInt64
    }

    private static let maximumBytes = 8 << 20

    private var blocks: [BodyBlockKey: Held] = [:]
    private var bytes = 0
    private var turn: UInt64 = 0

    mutating func find(_ key: BodyBlockKey) -> BodyBlock? {
        guard var held = blocks[key] else { return nil }
        turn += 1
        held.used = turn
        blocks[key] = held
        return held.block
    }

    mutating func insert(_ block: BodyBlock, _ key: BodyBlockKey) {
        guard blocks[key] == nil else { return }
        turn += 1
        blocks[key] = Held(block: block, used: turn)
        bytes += block.cost
        // There are about a hundred: the oldest is soon found.
        while bytes > Self.maximumBytes, blocks.count > 1 {
            guard let oldest = blocks.min(by: { $0.value.used < $1.value.used }) else { return }
            bytes -= oldest.value.block.cost
            blocks[oldest.key] = nil
        }
    }
}
