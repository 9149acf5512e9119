// SPDX-License-Identifier: Apache-2.0

/// Where the bytes of blocks come from when it is not the heap.
package protocol ColdBlockOwner: AnyObject, Sendable {
    /// Takes back the range of one of its blocks, to which nobody refers any longer. Called on any thread.
    func release(_ bytes: UnsafeRawBufferPointer)
}

/// Bytes that are written once and seldom read. Values share a block by reference, so a copy of a value goes on
/// reading what the original has let go; the bytes are freed with the last reference.
package final class ColdBlock: Sendable {
    // Never written after `init`, and valid until `deinit`.
    nonisolated(unsafe) private let bytes: UnsafeRawBufferPointer
    private let owner: (any ColdBlockOwner)?

    /// A copy on the heap.
    package init(copying bytes: UnsafeRawBufferPointer) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        copy.copyMemory(from: bytes)
        self.bytes = UnsafeRawBufferPointer(copy)
        owner = nil
    }

    /// Takes over bytes that stay as they are until `owner` is told that they are no longer needed.
    package init(_ bytes: UnsafeRawBufferPointer, owner: any ColdBlockOwner) {
        self.bytes = bytes
        self.owner = owner
    }

    deinit {
        if let owner { owner.release(bytes) } else { bytes.deallocate() }
    }

    package var count: Int { bytes.count }

    /// The pointer is valid only inside `body`.
    package func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withExtendedLifetime(self) { () throws(Failure) in try body(bytes) }
    }
}
