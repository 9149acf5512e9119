// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import RaftCore
import Synchronization

/// What one shard wants on disk.
package struct ShardPersist: Sendable {
    package var shard: ShardID
    package var operations: [PersistOperation]

    package init(shard: ShardID, operations: [PersistOperation]) {
        self.shard = shard
        self.operations = operations
    }
}

/// Runs a `WriteAheadLog` on a thread of its own with group commit: everything submitted while one sync runs goes
/// into the next.
///
/// While the thread has nothing to do, a caller may write a batch itself (`writeHere`): no thread is woken, which on
/// busy cores costs more than a fast disk's sync.
///
/// A full disk makes it wait, with `board` saying so, until there is room: nothing is dropped, nothing is
/// acknowledged. A failed write or sync is reported once for everything outstanding, and for whatever comes after.
package final class LogWriterThread: Sendable {
    /// Called on the writer's thread with the number of the newest batch concerned: it and all before it are durable,
    /// or will never be known to be.
    package typealias Completion = @Sendable (_ batch: UInt64, _ result: Result<Void, StorageError>) -> Void

    struct Batch: Sendable {
        var number: UInt64
        var bytes: Int
        var writes: [ShardPersist]
    }

    struct Mailbox: Sendable {
        var batches: [Batch] = []
        var bytes = 0
        var lastNumber: UInt64 = 0
        /// A group is being written, by the thread or by a caller.
        var isWriting = false
        var isStopping = false

        var isIdle: Bool { batches.isEmpty && !isWriting && !isStopping }
    }

    /// Batches of one group, at most, in bytes: one sync must not grow without bound, nor span three segments.
    private let maxGroupBytes: Int
    private let log: Mutex<WriteAheadLog>
    let mailbox = Monitor(Mailbox())
    private let thread: Monitor<PosixThread?> = Monitor(nil)
    private let completion: Completion
    package let board: LogStatusBoard

    private static let retryNanoseconds: UInt64 = 100_000_000

    package init(_ log: sending WriteAheadLog, completion: @escaping Completion) {
        board = log.board
        maxGroupBytes = log.settings.segmentBytes / 4
        self.log = Mutex(log)
        self.completion = completion
        let started = PosixThread { [self] in run() }
        thread.update { $0 = started }
    }

    /// Hands over a batch and returns its number; numbers rise by one. From any thread.
    @discardableResult
    package func submit(_ writes: [ShardPersist]) -> UInt64 {
        let bytes = writes.reduce(0) { $0 + WriteAheadLog.estimate($1.operations) }
        return mailbox.update { mailbox in
            mailbox.lastNumber += 1
            mailbox.bytes += bytes
            mailbox.batches.append(Batch(number: mailbox.lastNumber, bytes: bytes, writes: writes))
            return mailbox.lastNumber
        }
    }

    /// Writes and syncs on the calling thread, if that can be done at once; nil when it cannot: earlier batches are
    /// being written, or the batch needs the next segment. Then `submit` it.
    ///
    /// - Returns: nothing once the batch is durable, or the failure that ended the log.
    package func writeHere(_ writes: [ShardPersist]) -> Result<Void, StorageError>? {
        let isMine = mailbox.exchange { mailbox in
            guard mailbox.isIdle else { return false }
            mailbox.isWriting = true
            return true
        }
        guard isMine else { return nil }
        let result = log.withLock { log -> Result<Void, StorageError>? in
            guard log.hasRoom(writes.reduce(0) { $0 + WriteAheadLog.estimate($1.operations) }) else { return nil }
            return Self.write(writes, to: log)
        }
        // The thread sleeps on, unless it was given something meanwhile.
        let isAwaited = mailbox.exchange { mailbox in
            mailbox.isWriting = false
            return !mailbox.isIdle
        }
        if isAwaited { mailbox.update { _ in } }
        return result
    }

    /// Bytes handed over and not yet taken to disk. What bounds them is the caller: Raft's window of uncommitted
    /// bytes, or refusing work while this is high.
    package var queuedBytes: Int { mailbox.read { $0.bytes } }

    /// Writes what was submitted, closes the log and ends the thread. On a full disk what is left is reported as such.
    package func shutdown() {
        mailbox.update { $0.isStopping = true }
        thread.update { thread in
            thread?.join()
            thread = nil
        }
    }

    private func run() {
        var failure: StorageError?
        while let group = nextGroup() {
            let result: Result<Void, StorageError> = failure.map { .failure($0) } ?? write(group)
            if case .failure(let error) = result { failure = error }
            mailbox.update { mailbox in
                mailbox.bytes -= group.reduce(0) { $0 + $1.bytes }
                mailbox.isWriting = false
            }
            if let last = group.last { completion(last.number, result) }
        }
        // Nothing can be done about a failure here that the batches' own results did not say.
        log.withLock { log in try? log.close() }
    }

    /// The batches that are there, waiting for one; nil when there are none and there will be none.
    private func nextGroup() -> [Batch]? {
        let taken: [Batch]?? = mailbox.wait { [maxGroupBytes] mailbox in
            guard !mailbox.isWriting else { return nil }
            guard !mailbox.batches.isEmpty else { return mailbox.isStopping ? .some(nil) : nil }
            mailbox.isWriting = true
            var count = 0
            var bytes = 0
            for batch in mailbox.batches {
                if count > 0, bytes + batch.bytes > maxGroupBytes { break }
                bytes += batch.bytes
                count += 1
            }
            if count == mailbox.batches.count {
                defer { mailbox.batches = [] }
                return mailbox.batches
            }
            defer { mailbox.batches.removeFirst(count) }
            return Array(mailbox.batches[..<count])
        }
        return taken ?? nil
    }

    private func write(_ group: [Batch]) -> Result<Void, StorageError> {
        let bytes = group.reduce(0) { $0 + $1.bytes }
        while true {
            let result = log.withLock { log -> Result<Void, StorageError> in
                do throws(StorageError) { try log.ensureRoom(bytes) } catch { return .failure(error) }
                return Self.write(group.lazy.flatMap(\.writes), to: log)
            }
            guard case .failure(.full) = result else { return result }
            let isStopping: Bool? = mailbox.wait(atMost: Self.retryNanoseconds) { $0.isStopping ? true : nil }
            if isStopping == true { return result }
        }
    }

    private static func write(
        _ writes: some Sequence<ShardPersist>,
        to log: WriteAheadLog
    ) -> Result<Void, StorageError> {
        do throws(StorageError) {
            for write in writes { try log.append(shard: write.shard, write.operations) }
            try log.sync()
            return .success(())
        } catch {
            return .failure(error)
        }
    }
}
