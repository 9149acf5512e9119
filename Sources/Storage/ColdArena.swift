// SPDX-License-Identifier: Apache-2.0
import Glibc
package import Primitives
import Synchronization

/// Memory for cold blocks that the kernel may write out: a file without a name in the data directory, mapped shared, so
/// under memory pressure its pages go to the disk and come back when they are read. Nothing in it outlives the process,
/// and nothing is ever synced.
///
/// The file grows by extents whose blocks are reserved on the disk beforehand: a full disk then shows here, and not as
/// a signal at the first write to a page. Without room, and for blocks above 16 KiB, the bytes go to the heap. A disk
/// that fails to read a page back ends the process (SIGBUS), as one that fails to hold the log does.
package final class ColdArena: ColdBlockOwner {
    package struct Usage: Equatable, Sendable {
        /// Length of the file.
        package var fileBytes = 0
        /// What blocks take of it.
        package var usedBytes = 0
        /// Of blocks that are on the heap instead.
        package var heapBytes = 0
    }

    private struct State: Sendable {
        var slabs: ColdSlabs
        var heapBytes = 0
        /// Blocks that go to the heap before the file is asked to grow again.
        var patience = 0
    }

    private static let patience = 1_024

    private let file: File
    private let calls: FileSystemCalls
    private let extentBytes: Int
    private let extentLimit: Int
    // The address range of the file; set once and unmapped in `deinit`, when no block is left.
    nonisolated(unsafe) private let start: UnsafeMutableRawPointer
    private let state: Mutex<State>

    package convenience init(_ directory: DataDirectory) throws(StorageError) {
        try self.init(path: directory.path + "/cold.tmp", calls: directory.files.calls)
    }

    /// - Parameters:
    ///   - path: of the file while it is being opened.
    ///   - extentBytes: a multiple of 64 KiB.
    ///   - extentLimit: above so many extents blocks go to the heap.
    init(
        path: String,
        calls: FileSystemCalls = .system,
        extentBytes: Int = 67_108_864,
        extentLimit: Int = 1_024
    ) throws(StorageError) {
        // One of a process that ended between the next two calls.
        unlink(path)
        file = try io { () throws(FileFailure) in try File(path, O_RDWR | O_CREAT | O_EXCL, calls: calls) }
        unlink(path)
        // Addresses only: memory is behind them once an extent is mapped there, so that an address tells its offset.
        let range = mmap(nil, extentBytes * extentLimit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let range, range != MAP_FAILED else {
            throw .io(FileFailure(operation: "reserve addresses for", path: path, code: errno))
        }
        start = range
        self.calls = calls
        self.extentBytes = extentBytes
        self.extentLimit = extentLimit
        state = Mutex(State(slabs: ColdSlabs(extentBytes: extentBytes)))
    }

    deinit { munmap(start, extentBytes * extentLimit) }

    /// A block with a copy of these bytes. On any thread.
    package func block(_ bytes: UnsafeRawBufferPointer) -> ColdBlock {
        let offset = state.withLock { state in take(bytes.count, &state) }
        let target =
            if let offset {
                UnsafeMutableRawBufferPointer(start: start + offset, count: bytes.count)
            } else {
                UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            }
        target.copyMemory(from: bytes)
        return ColdBlock(UnsafeRawBufferPointer(target), owner: self)
    }

    package func release(_ bytes: UnsafeRawBufferPointer) {
        let offset = bytes.baseAddress.map { $0 - UnsafeRawPointer(start) } ?? -1
        let isInFile = (0..<extentBytes * extentLimit).contains(offset)
        state.withLock { state in
            guard isInFile else {
                state.heapBytes -= bytes.count
                return
            }
            state.slabs.giveBack(offset)
            while state.slabs.shrink() { unmapLast(after: state.slabs.extents) }
        }
        if !isInFile { bytes.deallocate() }
    }

    package var usage: Usage {
        state.withLock { state in
            Usage(
                fileBytes: state.slabs.extents * extentBytes,
                usedBytes: state.slabs.usedBytes,
                heapBytes: state.heapBytes
            )
        }
    }

    /// Nil when the block is to be on the heap.
    private func take(_ bytes: Int, _ state: inout State) -> Int? {
        if bytes <= ColdSlabs.largest {
            if let offset = state.slabs.take(bytes) { return offset }
            if state.patience == 0 {
                if mapNext(after: state.slabs.extents) {
                    state.slabs.grow()
                    return state.slabs.take(bytes)
                }
                state.patience = Self.patience
            }
            state.patience -= 1
        }
        state.heapBytes += bytes
        return nil
    }

    /// As many extents as stay free on the disk.
    private static let sparedExtents = 8

    /// False when there is no room.
    private func mapNext(after extents: Int) -> Bool {
        let offset = extents * extentBytes
        // The log needs the disk's last room more than this does.
        guard extents < extentLimit, file.freeBytes() >= Self.sparedExtents * extentBytes,
            (try? file.allocate(extentBytes, from: offset)) != nil
        else { return false }
        let flags = MAP_SHARED | MAP_FIXED
        let mapped = mmap(
            start + offset,
            extentBytes,
            PROT_READ | PROT_WRITE,
            flags,
            file.descriptor,
            off_t(offset)
        )
        return mapped != MAP_FAILED
    }

    /// Gives the extent back to the disk; its addresses stay reserved.
    private func unmapLast(after extents: Int) {
        let offset = extents * extentBytes
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED
        let mapped = mmap(start + offset, extentBytes, PROT_NONE, flags, -1, 0)
        // A file that stays as long as it was costs disk space and nothing else.
        if mapped != MAP_FAILED { try? file.truncate(to: offset) }
    }
}
