// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The system calls whose failure matters for durability, as values so that a test can make one fail. Each returns
/// what the call of the same name in libc does, with `errno` set.
package struct FileSystemCalls: Sendable {
    /// File, bytes, offset in the file.
    package var pwrite: @Sendable (Int32, UnsafeRawBufferPointer, Int) -> Int
    package var fdatasync: @Sendable (Int32) -> Int32
    package var fsync: @Sendable (Int32) -> Int32
    /// File, offset, bytes. Returns the error itself, 0 for none, as posix_fallocate(3) does; libc writes
    /// to every block where the filesystem cannot reserve.
    package var fallocate: @Sendable (Int32, Int, Int) -> Int32
    /// From, to.
    package var rename: @Sendable (String, String) -> Int32
    package var unlink: @Sendable (String) -> Int32

    package static let system = FileSystemCalls(
        pwrite: { Glibc.pwrite($0, $1.baseAddress, $1.count, off_t($2)) },
        fdatasync: { Glibc.fdatasync($0) },
        fsync: { Glibc.fsync($0) },
        fallocate: { Glibc.posix_fallocate($0, off_t($1), off_t($2)) },
        rename: { Glibc.rename($0, $1) },
        unlink: { Glibc.unlink($0) }
    )
}

/// An open file; closed when it goes out of scope.
struct File: ~Copyable, Sendable {
    /// For messages.
    private(set) var path: String
    let descriptor: Int32
    private let calls: FileSystemCalls

    /// `flags` as for open(2); O_CLOEXEC is added.
    init(_ path: String, _ flags: Int32, mode: mode_t = 0o600, calls: FileSystemCalls) throws(FileFailure) {
        self.path = path
        self.calls = calls
        descriptor = try retrying("open", path) { open(path, flags | O_CLOEXEC, mode) }
    }

    deinit { close(descriptor) }

    /// Renames the open file and makes its new name durable.
    mutating func renameDurably(to newPath: String) throws(FileFailure) {
        try FileSystem(calls).renameDurably(path, to: newPath)
        path = newPath
    }

    /// Writes all the bytes, however many calls that takes.
    func write(_ bytes: [UInt8], at offset: Int) throws(FileFailure) {
        try write(bytes, 0..<bytes.count, at: offset)
    }

    /// Writes `bytes[range]`.
    func write(_ bytes: [UInt8], _ range: Range<Int>, at offset: Int) throws(FileFailure) {
        var done = 0
        while done < range.count {
            let written = bytes.withUnsafeBytes { whole in
                let rest = whole[(range.lowerBound + done)..<range.upperBound]
                return calls.pwrite(descriptor, UnsafeRawBufferPointer(rebasing: rest), offset + done)
            }
            if written > 0 {
                done += written
            } else if written == 0 {
                // Not allowed for a regular file; better reported than repeated for ever.
                throw FileFailure(operation: "write", path: path, code: EIO)
            } else if errno != EINTR {
                throw FileFailure(operation: "write", path: path, code: errno)
            }
        }
    }

    /// Up to `count` bytes from `offset`; fewer only at the end of the file.
    func read(_ count: Int, at offset: Int) throws(FileFailure) -> [UInt8] {
        var failure: FileFailure?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let room = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
                let got = pread(descriptor, room.baseAddress, room.count, off_t(offset + filled))
                if got > 0 {
                    filled += got
                } else if got == 0 {
                    return
                } else if errno != EINTR {
                    failure = FileFailure(operation: "read", path: path, code: errno)
                    return
                }
            }
        }
        if let failure { throw failure }
        return bytes
    }

    func size() throws(FileFailure) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileFailure(operation: "stat", path: path, code: errno) }
        return Int(status.st_size)
    }

    func truncate(to bytes: Int) throws(FileFailure) {
        _ = try retrying("truncate", path) { ftruncate(descriptor, off_t(bytes)) }
    }

    /// Bytes that are free on the file's disk for everybody; zero when that cannot be found out.
    func freeBytes() -> Int {
        var facts = statvfs()
        guard fstatvfs(descriptor, &facts) == 0 else { return 0 }
        let (bytes, overflow) = UInt64(facts.f_bavail).multipliedReportingOverflow(by: UInt64(facts.f_frsize))
        return overflow ? .max : Int(clamping: bytes)
    }

    /// Reserves blocks, so that later writes below `offset + bytes` cannot run out of space.
    func allocate(_ bytes: Int, from offset: Int = 0) throws(FileFailure) {
        while true {
            let code = calls.fallocate(descriptor, offset, bytes)
            if code == 0 { return }
            if code != EINTR { throw FileFailure(operation: "allocate", path: path, code: code) }
        }
    }

    /// No retry, not even after EINTR: a sync that failed once may "succeed" the second time with the pages lost.
    func syncData() throws(FileFailure) {
        guard calls.fdatasync(descriptor) == 0 else {
            throw FileFailure(operation: "fdatasync", path: path, code: errno)
        }
    }

    func sync() throws(FileFailure) {
        guard calls.fsync(descriptor) == 0 else { throw FileFailure(operation: "fsync", path: path, code: errno) }
    }
}

extension FileFailure: Error {}

private func retrying(_ operation: String, _ path: String, _ call: () -> Int32) throws(FileFailure) -> Int32 {
    while true {
        let result = call()
        if result >= 0 { return result }
        if errno != EINTR { throw FileFailure(operation: operation, path: path, code: errno) }
    }
}

/// Whole-file and directory operations.
struct FileSystem: Sendable {
    let calls: FileSystemCalls

    init(_ calls: FileSystemCalls) { self.calls = calls }

    /// Nil when there is no such file.
    func readFile(_ path: String) throws(FileFailure) -> [UInt8]? { try readStart(of: path, nil) }

    /// The first `limit` bytes, or all; nil when there is no such file.
    func readStart(of path: String, _ limit: Int?) throws(FileFailure) -> [UInt8]? {
        do throws(FileFailure) {
            let file = try File(path, O_RDONLY, calls: calls)
            let size = try file.size()
            return try file.read(min(size, limit ?? size), at: 0)
        } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
    }

    /// Replaces `path` so that after a crash it holds either the old bytes or the new ones, and after return the new.
    func replaceFile(_ path: String, with bytes: [UInt8]) throws(FileFailure) {
        let temporary = path + ".tmp"
        do throws(FileFailure) {
            let file = try File(temporary, O_WRONLY | O_CREAT | O_TRUNC, calls: calls)
            try file.write(bytes, at: 0)
            try file.sync()
        } catch {
            _ = calls.unlink(temporary)
            throw error
        }
        try renameDurably(temporary, to: path)
    }

    /// Renames within one directory and makes the new name durable.
    func renameDurably(_ from: String, to path: String) throws(FileFailure) {
        try rename(from, to: path)
        try syncDirectory(parent(of: path))
    }

    /// Not durable before the directory is synced.
    func rename(_ from: String, to path: String) throws(FileFailure) {
        guard calls.rename(from, path) == 0 else { throw FileFailure(operation: "rename", path: path, code: errno) }
    }

    func syncDirectory(_ path: String) throws(FileFailure) {
        let directory = try File(path, O_RDONLY | O_DIRECTORY, calls: calls)
        try directory.sync()
    }

    /// Removes a file durably; not an error when it is gone already.
    func removeDurably(_ path: String) throws(FileFailure) {
        try remove(path)
        try syncDirectory(parent(of: path))
    }

    /// Not an error when it is gone already. Not durable before the directory is synced.
    func remove(_ path: String) throws(FileFailure) {
        guard calls.unlink(path) == 0 || errno == ENOENT else {
            throw FileFailure(operation: "remove", path: path, code: errno)
        }
    }

    /// Makes `path` and what is missing above it, each durable in its parent.
    func makeDirectories(_ path: String) throws(FileFailure) {
        if mkdir(path, 0o700) == 0 { return try syncDirectory(parent(of: path)) }
        switch errno {
        case EEXIST:
            return
        case ENOENT where parent(of: path) != path:
            try makeDirectories(parent(of: path))
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
                throw FileFailure(operation: "make directory", path: path, code: errno)
            }
            try syncDirectory(parent(of: path))
        default:
            throw FileFailure(operation: "make directory", path: path, code: errno)
        }
    }

    /// Names of the entries, in byte order, without `.` and `..`.
    func list(_ path: String) throws(FileFailure) -> [String] {
        guard let stream = opendir(path) else { throw FileFailure(operation: "list", path: path, code: errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

/// Runs a step whose failure leaves earlier promises intact.
func io<Result: ~Copyable>(_ body: () throws(FileFailure) -> Result) throws(StorageError) -> Result {
    do throws(FileFailure) { return try body() } catch { throw .io(error) }
}

/// Random bytes from the kernel, for identities and salts.
func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
}
