// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// How a shard's index of messages lies in memory: chunks that nothing has changed for a while are packed, to a few
/// bytes or bits per message, in blocks that may live outside the heap. No part of the replicated state: it decides
/// nothing that a command does, and replicas may differ in it.
package struct IndexLayout: Sendable {
    /// Keeps packed bytes; the block is read from any thread that has a copy of the state.
    package var makeBlock: @Sendable (UnsafeRawBufferPointer) -> ColdBlock
    /// Message records in one chunk, 1 to `PackedRecords.limit`.
    package var chunkRecords = 512
    /// Chunks that stay unpacked, at least two; one in `hotShare` of them all when that is more.
    package var hotChunks = 128
    /// Changed records that a packed chunk has beside it; with one more it is unpacked.
    package var looseRecords = 16
    /// Ids at the end of a line that stay unpacked, 1 to `PackedRecords.limit`.
    package var lineIDs = 256

    /// Enough that a hundred delivery fronts in a large backlog do not unpack each other's chunks, and few enough that
    /// they cost less than half a byte per message.
    static let hotShare = 64

    package init(
        makeBlock: @escaping @Sendable (UnsafeRawBufferPointer) -> ColdBlock = { ColdBlock(copying: $0) }
    ) {
        self.makeBlock = makeBlock
    }
}
