// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import Wire

package struct JournalSettings: Sendable {
    /// A segment that is as long as this is followed by another one.
    package var segmentBytes = 4 << 20
    /// The first record of each new segment.
    package var opening: @Sendable () -> [UInt8]
    /// Told of every sync: its time in nanoseconds, the write included, and its bytes.
    package var onSync: (@Sendable (_ nanoseconds: UInt64, _ bytes: Int) -> Void)?

    package init(opening: @escaping @Sendable () -> [UInt8]) { self.opening = opening }
}

/// What a node's cache has acknowledged on the strength of this disk alone, until the cluster's log has it too:
/// records that mean nothing here, in a few small files. Each file is removed as a whole.
///
/// ```
/// journal/0000000000000003.journal   a segment: header and records as in the log (`SegmentHeader`)
/// journal/0000000000000004.journal   the one that is written
/// ```
///
/// A batch is written and synced before the next, so a torn write can be told from damage as in the log. Not for
/// concurrent use; `JournalThread` gives it a thread of its own.
package final class Journal {
    private let directory: DataDirectory
    let settings: JournalSettings
    private var active: ActiveSegment?
    private var lastNumber: UInt64
    private(set) var sizes: [UInt64: Int]
    /// Records of the segments, without the first of each.
    private var counts: [UInt64: Int]
    private var failure: StorageError?

    private final class ActiveSegment {
        let file: File
        let number: UInt64
        let framer: LogRecordFramer
        var offset: Int
        var nextSequence: UInt64 = 1

        init(_ file: consuming File, _ header: SegmentHeader, offset: Int) {
            self.file = file
            self.number = header.number
            framer = LogRecordFramer(header)
            self.offset = offset
        }
    }

    init(_ directory: DataDirectory, _ settings: JournalSettings, _ found: [JournalSegment], lastNumber: UInt64) {
        self.directory = directory
        self.settings = settings
        self.lastNumber = lastNumber
        sizes = Dictionary(uniqueKeysWithValues: found.map { ($0.number, $0.bytes) })
        counts = Dictionary(uniqueKeysWithValues: found.map { ($0.number, $0.count) })
    }

    /// Of all files.
    var bytes: Int { sizes.values.reduce(0, +) }

    /// Writes and syncs the records together.
    ///
    /// - Returns: the number of the segment that has them.
    /// - Throws: `.full` when there is no room, and then nothing of them remains; `.fatal` when a write or sync failed,
    ///   now or before.
    package func append(_ bodies: [[UInt8]]) throws(StorageError) -> UInt64 {
        if let failure { throw failure }
        let begun = MonotonicClock.nanoseconds()
        if let active, active.offset >= settings.segmentBytes { self.active = nil }
        let segment: ActiveSegment
        if let active { segment = active } else { segment = try begin() }
        var writer = ByteWriter(capacity: bodies.reduce(0) { $0 + $1.count + 32 })
        var (place, sequence) = (UInt32(0), segment.nextSequence)
        // The first record goes with the first batch.
        for body in (segment.nextSequence == 1 ? [settings.opening()] : []) + bodies {
            do throws(WireError) {
                try segment.framer.append(body: body, sequence: sequence, placeInBatch: place, to: &writer)
            } catch {
                throw .recordTooLarge(bytes: UInt64(body.count))
            }
            place += 1
            sequence += 1
        }
        try write(writer.bytes, to: segment)
        segment.nextSequence = sequence
        sizes[segment.number] = segment.offset
        counts[segment.number, default: 0] += bodies.count
        settings.onSync?(MonotonicClock.nanoseconds() &- begun, writer.count)
        return segment.number
    }

    private func write(_ bytes: [UInt8], to segment: ActiveSegment) throws(StorageError) {
        do throws(FileFailure) {
            try segment.file.write(bytes, at: segment.offset)
        } catch {
            guard error.isOutOfSpace else { throw fail(error) }
            // What did get there must not be found behind the records that come next.
            do throws(FileFailure) { try segment.file.truncate(to: segment.offset) } catch { throw fail(error) }
            throw .full(error)
        }
        do throws(FileFailure) { try segment.file.syncData() } catch { throw fail(error) }
        segment.offset += bytes.count
    }

    /// A new file gets its name when its header is durable: one that has its name has a header.
    private func begin() throws(StorageError) -> ActiveSegment {
        let number = lastNumber + 1
        let header = SegmentHeader(
            kind: .journal,
            number: number,
            firstSequence: 1,
            node: directory.identity.node,
            clusterID: directory.identity.clusterID,
            salt: randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) }
        )
        let path = JournalFile.path(number, in: directory)
        do throws(FileFailure) {
            let bytes = header.encoded()
            var file = try File(
                path + JournalFile.temporary,
                O_RDWR | O_CREAT | O_TRUNC,
                calls: directory.files.calls
            )
            try file.write(bytes, at: 0)
            try file.syncData()
            try file.renameDurably(to: path)
            let made = ActiveSegment(file, header, offset: bytes.count)
            active = made
            lastNumber = number
            sizes[number] = bytes.count
            counts[number] = 0
            return made
        } catch {
            _ = directory.files.calls.unlink(path + JournalFile.temporary)
            if error.isOutOfSpace { throw .full(error) }
            throw fail(error)
        }
    }

    /// Removes a segment if it has as many records as the caller knows of, and is needed no longer.
    ///
    /// - Returns: false when it has more.
    package func remove(_ number: UInt64, records: Int) throws(StorageError) -> Bool {
        guard let count = counts[number] else { return true }
        guard count == records else { return false }
        if active?.number == number { active = nil }
        try io { () throws(FileFailure) in
            try directory.files.removeDurably(JournalFile.path(number, in: directory))
        }
        counts[number] = nil
        sizes[number] = nil
        return true
    }

    private func fail(_ cause: FileFailure) -> StorageError {
        let error = StorageError.fatal(cause)
        failure = error
        return error
    }
}

/// Names of the journal's files.
enum JournalFile {
    private static let suffix = ".journal"
    private static let digits = 16
    static let temporary = ".new"

    static func path(_ number: UInt64, in directory: DataDirectory) -> String {
        let text = "\(number)"
        let zeros = String(repeating: "0", count: max(0, digits - text.utf8.count))
        return directory.journalPath + "/" + zeros + text + suffix
    }

    /// Nil for a file that is not a segment.
    static func number(ofName name: String) -> UInt64? {
        guard name.utf8.count == digits + suffix.utf8.count, name.hasSuffix(suffix) else { return nil }
        return UInt64(name.dropLast(suffix.utf8.count))
    }
}
