// SPDX-License-Identifier: Apache-2.0
import Glibc
import Wire

/// A file of the journal as an earlier life left it.
package struct JournalSegment: Sendable, Equatable {
    package var number: UInt64
    /// In the order of their writing; the first is what `JournalSettings.opening` gave.
    package var bodies: [[UInt8]]
    package var bytes: Int

    /// What `Journal.remove` wants to be told.
    package var count: Int { max(0, bodies.count - 1) }
}

package struct JournalRecovery: Sendable {
    /// Oldest first.
    package var segments: [JournalSegment] = []
    /// What was cut off: nobody had been told that it was durable.
    package var tornTail: TornTail?
}

extension Journal {
    /// Opens the directory's journal and reads all of it. What is written from now on goes into new files.
    ///
    /// - Throws: `.damaged` when bytes that were durable are not valid; the files are then untouched.
    package static func open(
        _ directory: DataDirectory,
        settings: JournalSettings
    ) throws(StorageError) -> (journal: Journal, recovery: JournalRecovery) {
        let files = directory.files
        let names = try io { () throws(FileFailure) in try files.list(directory.journalPath) }
        let numbers = names.compactMap(JournalFile.number(ofName:)).sorted()
        var recovery = JournalRecovery()
        for number in numbers {
            try read(number, isLast: number == numbers.last, directory, &recovery)
        }
        if let torn = recovery.tornTail {
            try io { () throws(FileFailure) in
                let file = try File(torn.path, O_RDWR, calls: files.calls)
                try file.truncate(to: torn.offset)
                try file.sync()
            }
        }
        // Half made as a process ended; they hold nothing.
        for name in names where name.hasSuffix(JournalFile.temporary) {
            try io { () throws(FileFailure) in try files.removeDurably(directory.journalPath + "/" + name) }
        }
        let journal = Journal(directory, settings, recovery.segments, lastNumber: numbers.last ?? 0)
        return (journal, recovery)
    }

    private static func read(
        _ number: UInt64,
        isLast: Bool,
        _ directory: DataDirectory,
        _ recovery: inout JournalRecovery
    ) throws(StorageError) {
        let path = JournalFile.path(number, in: directory)
        let bytes = try io { () throws(FileFailure) in try directory.files.readFile(path) } ?? []
        var reader = try LogSegmentReader(bytes, .journal, of: path, number, directory)
        var segment = JournalSegment(number: number, bodies: [], bytes: 0)
        while let body = reader.nextBody() { segment.bodies.append(body) }
        segment.bytes = reader.offset
        recovery.segments.append(segment)
        switch reader.tail() {
        case .clean: break
        case .torn(let count) where isLast:
            recovery.tornTail = TornTail(path: path, offset: reader.offset, bytes: count)
        case .torn:
            throw .damaged(
                path: path,
                offset: reader.offset,
                reason: "record \(reader.nextSequence) is not valid, but a later segment exists"
            )
        case .damaged(let later):
            throw .damaged(
                path: path,
                offset: reader.offset,
                reason: "record \(reader.nextSequence) is not valid, but \(later), written after it was durable, is"
            )
        }
    }
}
