import Glibc
// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// A system call that failed.
package struct FileFailure: Equatable, Sendable, CustomStringConvertible {
    package var operation: String
    package var path: String
    /// `errno`
    package var code: Int32

    package init(operation: String, path: String, code: Int32) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    /// Whether the disk, or the quota on it, is used up.
    package var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }

    package var description: String { "\(operation) \(path): \(Self.text(of: code))" }

    static func text(of code: Int32) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            guard let base = buffer.baseAddress, strerror_r(code, base, buffer.count) == 0 else {
                return "error \(code)"
            }
            return String(cString: base)
        }
    }
}

/// Why the disk cannot serve. Every description ends with what to do next.
package enum StorageError: Error, Equatable, Sendable {
    /// A system call failed; nothing that was acknowledged is affected.
    case io(FileFailure)
    /// A write or sync of the log failed: what is on disk is unknown, and asking again would hide it (the kernel may
    /// have dropped the dirty pages and marked them clean). The process must end; the next start reads what is there.
    case fatal(FileFailure)
    /// No room for another log segment. Nothing of the refused call was written.
    case full(FileFailure)
    /// Another process, with this id if it is known, has the data directory open.
    case locked(path: String, pid: Int32?)
    case wrongIdentity(path: String, what: String, onDisk: String, given: String)
    case newerFormat(path: String, detail: String)
    case damagedIdentity(path: String, reason: String)
    /// Bytes that were durable are not what was written. `offset` is in the file.
    case damaged(path: String, offset: Int, reason: String)
    /// The directory had a log and has none now.
    case logMissing(path: String)
    case damagedSnapshot(path: String, shard: ShardID, reason: String)
    /// A chunk that does not belong to the snapshot it names, or whose checksum is wrong: the sender's fault.
    case badChunk(shard: ShardID, reason: String)
    /// A message that the shard's state holds has its body neither in a segment nor in the log.
    case missingBody(shard: ShardID, id: UInt64)
    /// A single record above what the format can hold, in bytes.
    case recordTooLarge(bytes: UInt64)
    case closed
}

extension StorageError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .io(let failure):
            "\(failure). Check that the path exists, that this user may write it, and the disk's health."
        case .fatal(let failure):
            "\(failure). The log cannot be trusted past this point, so the process ends; check the disk, then restart."
        case .full(let failure):
            "\(failure). No space for the log: new work is refused until space is freed on that disk."
        case .locked(let path, let pid):
            "\(path) is in use by \(pid.map { "process \($0)" } ?? "another process"). "
                + "Stop it, or give this node another data directory."
        case .wrongIdentity(let path, let what, let onDisk, let given):
            "\(path) belongs to \(what) \(onDisk), not \(given). Point the node at its own data directory, or correct "
                + "its configuration."
        case .newerFormat(let path, let detail):
            "\(path): \(detail). Start the newer version that wrote it."
        case .damagedIdentity(let path, let reason):
            "\(path) is damaged (\(reason)). Restore it from a copy of this disk, or replace this node by a new one."
        case .damaged(let path, let offset, let reason):
            "\(path) is damaged at byte \(offset): \(reason). Nothing was changed. Restore the directory from a copy "
                + "of this disk, or replace this node by a new one: what it had promised may be lost here."
        case .logMissing(let path):
            "\(path) holds no log although this node has written one. Restore it, or replace this node by a new one: "
                + "starting empty could break promises it made."
        case .damagedSnapshot(let path, let shard, let reason):
            "\(path), the snapshot of shard \(shard), is damaged (\(reason)), and the log does not reach back to an "
                + "older one. Restore it from a copy of this disk, or replace this node by a new one."
        case .badChunk(let shard, let reason):
            "a snapshot chunk of shard \(shard) was refused: \(reason). The sender starts over."
        case .missingBody(let shard, let id):
            "the body of message \(id) of shard \(shard) is in no segment and not in the log. No snapshot was taken, "
                + "so the log goes on growing. Replace this node by a new one, and keep a copy of its disk to report."
        case .recordTooLarge(let bytes):
            "a record of \(bytes) bytes is above what the format can hold. Lower the batch or message limits."
        case .closed:
            "the log is closed."
        }
    }
}
