// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A stopped node's files, to be damaged.
struct DataFolder {
    let path: String

    init(_ node: TestNode) { path = node.dataDirectory }

    /// The log's segments that hold anything, oldest first. Segments are preallocated: what was never written is zero.
    func segments() throws -> [Segment] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: path).filter {
            $0.hasPrefix("wal/") && $0.hasSuffix(".log")
        }
        .sorted()
        let segments = try names.map { try Segment(path: path + "/" + $0) }.filter { $0.used > 0 }
        guard !segments.isEmpty else { throw TestFailure("no log segments under \(path)") }
        return segments
    }

    struct Segment {
        let path: String
        /// Bytes up to the last one that is not zero.
        let used: Int

        init(path: String) throws {
            self.path = path
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? file.close() }
            var end = Int(try file.seekToEnd())
            let block = 1 << 18
            let zeros = Data(count: block)
            // From the end, a block at a time: nearly all of a preallocated segment is zeros.
            while end > 0 {
                let start = max(0, end - block)
                try file.seek(toOffset: UInt64(start))
                let bytes = try file.read(upToCount: end - start) ?? Data()
                if bytes != zeros.prefix(bytes.count), let last = bytes.lastIndex(where: { $0 != 0 }) {
                    end = start + last + 1
                    break
                }
                end = start
            }
            self.used = end
        }

        func read(at offset: Int, count: Int) throws -> [UInt8] {
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? file.close() }
            try file.seek(toOffset: UInt64(offset))
            return Array(try file.read(upToCount: count) ?? Data())
        }

        func write(_ bytes: [UInt8], at offset: Int) throws {
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
            defer { try? file.close() }
            try file.seek(toOffset: UInt64(offset))
            try file.write(contentsOf: Data(bytes))
            try file.synchronize()
        }
    }
}
