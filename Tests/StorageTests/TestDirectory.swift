// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Synchronization
import Testing
import Wire

@testable import Storage

/// A folder of its own for one test, removed afterwards.
final class TestDirectory: Sendable {
    let path: String

    init(in parent: String = "/tmp") {
        var template = Array("\(parent)/syncline-storage-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress, mkdtemp(base) != nil else { return "" }
            return String(cString: base)
        }
        invariant(!path.isEmpty, "a test folder can be made in \(parent)")
    }

    deinit { Self.remove(path) }

    var data: String { path + "/data" }

    func open(
        nodeName: String = "node-0",
        clusterID: [UInt8]? = nil,
        shardCount: UInt32 = 4,
        agreement: Agreement? = nil,
        acceptsLoss: Bool = false,
        calls: FileSystemCalls = .system
    ) throws(StorageError) -> DataDirectory {
        try DataDirectory.open(
            path: data,
            nodeName: nodeName,
            clusterID: clusterID,
            shardCount: shardCount,
            agreement: agreement,
            acceptsLoss: acceptsLoss,
            calls: calls
        )
    }

    /// What a power cut would leave if all writes had reached the disk: the process's locks are not copied.
    func copy() throws -> TestDirectory {
        let copy = TestDirectory()
        try Self.copy(data, to: copy.data)
        return copy
    }

    static func remove(_ path: String) {
        for name in (try? FileSystem(.system).list(path)) ?? [] {
            let child = path + "/" + name
            if unlink(child) != 0 { remove(child) }
        }
        rmdir(path)
    }

    private static func copy(_ from: String, to: String) throws {
        mkdir(to, 0o700)
        for name in try FileSystem(.system).list(from) {
            let source = from + "/" + name
            var status = stat()
            stat(source, &status)
            if status.st_mode & S_IFMT == S_IFDIR {
                try copy(source, to: to + "/" + name)
            } else if let bytes = try FileSystem(.system).readFile(source) {
                try overwrite(to + "/" + name, bytes)
            }
        }
    }

    static func overwrite(_ path: String, _ bytes: [UInt8]) throws {
        let file = try File(path, O_WRONLY | O_CREAT | O_TRUNC, calls: .system)
        try file.write(bytes, at: 0)
    }

    func folder(_ shard: ShardID) -> ShardFolder {
        ShardFolder(shard: shard, path: data + "/snapshots/\(shard.rawValue)", files: FileSystem(.system))
    }

    func segment(_ number: UInt64) -> String { data + "/wal/" + SegmentFile.name(number) }

    func bytes(of path: String) throws -> [UInt8] { try #require(try FileSystem(.system).readFile(path)) }
}

extension FileSystemCalls {
    /// For tests in which nothing crashes for real: thousands of logs in seconds.
    static var unsynced: FileSystemCalls {
        var calls = FileSystemCalls.system
        calls.fsync = { _ in 0 }
        calls.fdatasync = { _ in 0 }
        return calls
    }
}

extension LogSettings {
    /// Small segments, everything within the calls.
    static func small(_ bytes: Int = 8 << 10) -> LogSettings {
        var settings = LogSettings()
        settings.segmentBytes = bytes
        settings.preparesInBackground = false
        return settings
    }
}

/// Builds the log's content of one shard.
func entries(_ range: ClosedRange<UInt64>, term: UInt64 = 1, bytes: Int = 40) -> [Entry] {
    range.map { index in
        Entry(
            term: Term(term),
            index: LogIndex(index),
            kind: .command,
            payload: (0..<bytes).map { UInt8(truncatingIfNeeded: index &+ UInt64($0) &+ term) }
        )
    }
}

func metadata(_ index: UInt64, term: UInt64 = 1, bytes: [UInt8] = []) -> SnapshotMetadata {
    SnapshotMetadata(
        index: LogIndex(index),
        term: Term(term),
        voters: [NodeID(1), NodeID(2), NodeID(3)],
        size: UInt64(bytes.count),
        checksum: Checksum.crc32c(bytes)
    )
}

extension SnapshotDirectory {
    /// A snapshot without messages.
    func take(
        _ shard: ShardID,
        _ index: UInt64,
        term: UInt64 = 1,
        _ state: [UInt8]
    ) throws(StorageError) -> SnapshotMetadata {
        try write(
            shard,
            index: LogIndex(index),
            term: Term(term),
            voters: metadata(index).voters,
            previous: .empty,
            SnapshotContents(state: state)
        ).metadata
    }
}

func state(_ term: UInt64, vote: UInt64? = nil) -> HardState {
    HardState(term: Term(term), vote: vote.map { NodeID($0) })
}

extension LogRecovery {
    func log(_ shard: UInt16) -> RecoveredLog? { shards.first { $0.shard == ShardID(shard) }?.log }
}

extension RecoveredLog {
    var indexes: [UInt64] { entries.map(\.index.rawValue) }
}

/// Waits for a condition that another thread brings about.
func eventually(_ what: String, within seconds: UInt64 = 20, _ condition: () -> Bool) -> Bool {
    let deadline = MonotonicClock.nanoseconds() + seconds * 1_000_000_000
    while !condition() {
        if MonotonicClock.nanoseconds() > deadline {
            Issue.record("not within \(seconds) s: \(what)")
            return false
        }
        sched_yield()
    }
    return true
}

/// A switch that makes a system call fail from some moment on.
final class FaultSwitch: Sendable {
    private let code = Mutex<Int32?>(nil)

    func fail(with error: Int32?) { code.withLock { $0 = error } }

    /// Sets `errno` when the call is to fail.
    var trips: Bool {
        guard let error = code.withLock({ $0 }) else { return false }
        errno = error
        return true
    }

    var error: Int32 { code.withLock { $0 } ?? 0 }
}

extension WriteAheadLog {
    /// Bytes of the current segment that are in use.
    var writtenBytes: Int { offset }
}

extension LogWriterThread {
    /// Whether the thread has taken everything that was submitted.
    var takenAll: Bool { mailbox.read { $0.batches.isEmpty } }
}
