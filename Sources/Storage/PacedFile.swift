// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A new file that is written from its beginning to its end in bounded pieces, and synced on the way.
struct PacedFile: ~Copyable {
    private let file: File
    private let pieceBytes: Int
    private let syncBytes: Int
    private var buffer: [UInt8] = []
    private var written = 0
    private var unsynced = 0

    /// Bytes given so far.
    var length: Int { written + buffer.count }

    init(_ path: String, _ settings: SnapshotSettings, calls: FileSystemCalls) throws(FileFailure) {
        file = try File(path, O_WRONLY | O_CREAT | O_TRUNC, calls: calls)
        pieceBytes = settings.pieceBytes
        syncBytes = settings.syncBytes
    }

    mutating func append(_ bytes: [UInt8]) throws(FileFailure) {
        if buffer.count + bytes.count > pieceBytes { try flush() }
        guard bytes.count > pieceBytes else {
            buffer.append(contentsOf: bytes)
            return
        }
        var start = 0
        while start < bytes.count {
            let end = min(start + pieceBytes, bytes.count)
            try write(bytes, start..<end)
            start = end
        }
    }

    /// Everything is durable on return, except the file's name.
    mutating func finish() throws(FileFailure) {
        try flush()
        try file.sync()
    }

    private mutating func flush() throws(FileFailure) {
        guard !buffer.isEmpty else { return }
        try write(buffer, 0..<buffer.count)
        buffer.removeAll(keepingCapacity: true)
    }

    private mutating func write(_ bytes: [UInt8], _ range: Range<Int>) throws(FileFailure) {
        try file.write(bytes, range, at: written)
        written += range.count
        unsynced += range.count
        if unsynced >= syncBytes {
            try file.syncData()
            unsynced = 0
        }
    }
}
