// SPDX-License-Identifier: Apache-2.0
import Primitives
import Synchronization

/// Runs a `Journal` on a thread of its own with group commit: everything handed over while one sync runs goes into the
/// next.
///
/// On a full disk what was handed over is refused, as that: its writer has another way. A failed write or sync is
/// reported for everything outstanding, and for whatever comes after.
package final class JournalThread: Sendable {
    /// Called on the thread with the number of the newest batch concerned, and where it and those before it stand that
    /// were not reported yet.
    package typealias Completion = @Sendable (_ batch: UInt64, _ segment: Result<UInt64, StorageError>) -> Void

    /// Called on the thread: whether the segment is gone, or what kept it.
    package typealias Removed = @Sendable (_ segment: UInt64, _ isGone: Result<Bool, StorageError>) -> Void

    private struct Batch: Sendable {
        var number: UInt64
        var bytes: Int
        var bodies: [[UInt8]]
    }

    private struct Removal: Sendable {
        var segment: UInt64
        var records: Int
    }

    private struct Mailbox: Sendable {
        var batches: [Batch] = []
        var removals: [Removal] = []
        var bytes = 0
        var lastNumber: UInt64 = 0
        var isStopping = false
    }

    private enum Work: Sendable {
        case group([Batch])
        case removals([Removal])
    }

    /// Of one sync, at most: nobody's answer should wait for everybody's.
    private static let maxGroupBytes = 4 << 20

    private let journal: Mutex<Journal>
    private let mailbox = Monitor(Mailbox())
    private let thread: Monitor<PosixThread?> = Monitor(nil)
    private let completion: Completion
    private let onRemoval: Removed
    private let size: Atomic<Int>

    package init(
        _ journal: sending Journal,
        onRemoval: @escaping Removed = { _, _ in },
        completion: @escaping Completion
    ) {
        size = Atomic(journal.bytes)
        self.journal = Mutex(journal)
        self.completion = completion
        self.onRemoval = onRemoval
        let started = PosixThread { [self] in run() }
        thread.update { $0 = started }
    }

    /// Hands over records that belong together and returns their number; numbers rise by one. From any thread.
    @discardableResult
    package func submit(_ bodies: [[UInt8]]) -> UInt64 {
        let bytes = bodies.reduce(0) { $0 + $1.count }
        return mailbox.update { mailbox in
            mailbox.lastNumber += 1
            mailbox.bytes += bytes
            mailbox.batches.append(Batch(number: mailbox.lastNumber, bytes: bytes, bodies: bodies))
            return mailbox.lastNumber
        }
    }

    /// Has the segment removed, unless it has other records than the caller knows of.
    package func remove(_ segment: UInt64, records: Int) {
        mailbox.update { $0.removals.append(Removal(segment: segment, records: records)) }
    }

    /// Bytes handed over and not yet written.
    package var queuedBytes: Int { mailbox.read { $0.bytes } }

    /// Bytes of all files.
    package var bytes: Int { size.load(ordering: .relaxed) }

    /// Writes what was handed over, removes what is to be removed, and ends the thread.
    package func shutdown() {
        mailbox.update { $0.isStopping = true }
        thread.update { thread in
            thread?.join()
            thread = nil
        }
    }

    private func run() {
        while let work = next() {
            switch work {
            case .group(let group):
                let result = journal.withLock { journal -> Result<UInt64, StorageError> in
                    do throws(StorageError) {
                        return .success(try journal.append(group.flatMap(\.bodies)))
                    } catch {
                        return .failure(error)
                    }
                }
                noteSize()
                mailbox.update { $0.bytes -= group.reduce(0) { $0 + $1.bytes } }
                if let last = group.last { completion(last.number, result) }
            case .removals(let removals):
                for removal in removals {
                    let result = journal.withLock { journal -> Result<Bool, StorageError> in
                        do throws(StorageError) {
                            return .success(try journal.remove(removal.segment, records: removal.records))
                        } catch {
                            return .failure(error)
                        }
                    }
                    noteSize()
                    onRemoval(removal.segment, result)
                }
            }
        }
    }

    private func noteSize() {
        let bytes = journal.withLock { $0.bytes }
        size.store(bytes, ordering: .relaxed)
    }

    /// What is there, waiting for it; nil when there is nothing and there will be nothing.
    private func next() -> Work? {
        let taken: Work?? = mailbox.wait { mailbox in
            // First, since under steady writes there is always a batch.
            guard mailbox.removals.isEmpty else {
                defer { mailbox.removals = [] }
                return .removals(mailbox.removals)
            }
            guard mailbox.batches.isEmpty else { return .group(Self.take(&mailbox)) }
            return mailbox.isStopping ? .some(nil) : nil
        }
        return taken ?? nil
    }

    private static func take(_ mailbox: inout Mailbox) -> [Batch] {
        var (count, bytes) = (0, 0)
        for batch in mailbox.batches {
            if count > 0, bytes + batch.bytes > maxGroupBytes { break }
            bytes += batch.bytes
            count += 1
        }
        defer { mailbox.batches.removeFirst(count) }
        return Array(mailbox.batches[..<count])
    }
}
