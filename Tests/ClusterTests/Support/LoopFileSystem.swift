// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// A small ext4 file system in a file, to be filled up.
final class LoopFileSystem: Sendable {
    let path: String
    private let directory: TemporaryDirectory
    private let image: String

    /// - Parameter isDirect: what the file system has on its disk is in the image at once, and nothing else is: a copy
    ///   of the image is what a power cut would have left.
    init(mebibytes: Int, isDirect: Bool = false) throws {
        directory = try TemporaryDirectory()
        path = directory.path + "/mounted"
        image = directory.path + "/image"
        try require(["truncate", "-s", "\(mebibytes)M", image])
        // No reserved blocks: root would be served from them long after the disk is full for a service.
        try require(["mkfs.ext4", "-q", "-m", "0", image])
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try mount(isDirect: isDirect)
    }

    private init(copyOf other: LoopFileSystem) throws {
        directory = try TemporaryDirectory()
        path = directory.path + "/mounted"
        image = directory.path + "/image"
        try require(["cp", "--sparse=always", other.image, image])
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try mount(isDirect: false)
    }

    /// The file system as it would be found if the power failed now. It stays in use meanwhile.
    func copyAsItStands() throws -> LoopFileSystem { try LoopFileSystem(copyOf: self) }

    private func mount(isDirect: Bool) throws {
        guard isDirect else {
            try require(["mount", "-o", "loop", image, path])
            return
        }
        let device = try require(["losetup", "--find", "--show", "--direct-io=on", image])
            .trimmingCharacters(in: .whitespacesAndNewlines)
        try require(["mount", device, path])
        // The device goes with the mount.
        try require(["losetup", "--detach", device])
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
