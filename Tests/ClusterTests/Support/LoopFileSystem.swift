// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// A small ext4 file system in a file, to be filled up.
final class LoopFileSystem: Sendable {
    let path: String
    private let directory: TemporaryDirectory

    init(mebibytes: Int) throws {
        directory = try TemporaryDirectory()
        path = directory.path + "/mounted"
        let image = directory.path + "/image"
        try require(["truncate", "-s", "\(mebibytes)M", image])
        // No reserved blocks: root would be served from them long after the disk is full for a service.
        try require(["mkfs.ext4", "-q", "-m", "0", image])
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try require(["mount", "-o", "loop", image, path])
    }

    deinit { _ = try? run(["umount", "-l", path]) }

    var freeBytes: Int {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0 else { return 0 }
        return Int(facts.f_bavail) * Int(facts.f_frsize)
    }

    /// Takes all the space that is left, but for `spared` bytes.
    func fill(sparing spared: Int = 0) throws {
        let file = open(path + "/filler", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        guard file >= 0 else { throw TestFailure("cannot fill \(path): errno \(errno)") }
        defer { close(file) }
        let block = [UInt8](repeating: 0x55, count: 4_096)
        while freeBytes > spared {
            if write(file, block, block.count) < 0 {
                guard errno == ENOSPC else { throw TestFailure("filling \(path): errno \(errno)") }
                return
            }
        }
    }

    func release() throws { try FileManager.default.removeItem(atPath: path + "/filler") }
}
