// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives
import RaftCore
import Storage
import Synchronization
import Telemetry

/// The node's one log, as its loops see it: batches go in, each loop is told when its own are durable.
///
/// A batch is synced by the loop itself, or by the log's thread while the loop goes on; `SyncPlan` says which.
final class LogWriter: Sendable {
    let board: LogStatusBoard
    private let metrics: WriteAheadLogMetrics
    private let onFailure: @Sendable (StorageError) -> Never
    private let hasOneLoop: Bool
    private let thread: LogWriterThread
    /// Batches with the thread: whose has which of its numbers.
    private let outstanding: OutstandingBatches

    /// - Parameter hasOneLoop: several share the log's syncs, which only its thread can do for them.
    init(
        log: sending WriteAheadLog,
        hasOneLoop: Bool,
        metrics: WriteAheadLogMetrics,
        onFailure: @escaping @Sendable (StorageError) -> Never
    ) {
        board = log.board
        self.metrics = metrics
        self.onFailure = onFailure
        self.hasOneLoop = hasOneLoop
        let outstanding = OutstandingBatches()
        self.outstanding = outstanding
        thread = LogWriterThread(log) { number, result in
            switch result {
            case .failure(.full), .failure(.closed): return  // Only while stopping: what is left was never confirmed.
            case .failure(let error): onFailure(error)
            case .success: outstanding.completed(number)
            }
        }
    }

    /// Writes the batch and tells the loop when it is durable: before this returns, or later by its mailbox.
    func write(_ operations: [ShardPersist], batch: UInt64, for loop: ShardLoop) {
        metrics.records.increment(by: operations.reduce(0) { $0 + $1.operations.count })
        if hasOneLoop, isFast, SyncPlan.isSmall(operations) {
            switch thread.writeHere(operations) {
            case .success: return loop.batchIsDurable(batch)
            case .failure(let error): onFailure(error)
            case nil: break
            }
        }
        outstanding.add(batch, of: loop) { thread.submit(operations) }
    }

    /// Whether the last sync was so short that waiting for one costs less than working round it.
    var isFast: Bool { board.current.lastSyncNanoseconds < SyncPlan.slowNanoseconds }

    var isFull: Bool { board.current.space != .available }

    /// Writes what is left and closes the log. Nothing may be written afterwards.
    func close() { thread.shutdown() }
}

/// Where a batch is synced.
///
/// On the loop nothing is woken and nothing handed over, but the loop stands still: right for the few entries of a
/// quiet cluster, whose next step waits for this sync anyway. With more of them there is other work to do meanwhile,
/// and on a slow disk heartbeats must not wait for it.
enum SyncPlan {
    static let maxEntries = 4
    static let slowNanoseconds: UInt64 = 2_000_000

    static func isSmall(_ operations: [ShardPersist]) -> Bool {
        var entries = 0
        for operation in operations.lazy.flatMap(\.operations) {
            switch operation {
            case .entries(let added): entries += added.count
            case .hardState: entries += 1
            case .snapshot, .reset: return false
            }
            if entries > maxEntries { return false }
        }
        return true
    }
}

/// Which loop's batch has which number of the log's thread.
private final class OutstandingBatches: Sendable {
    private let batches = Mutex(CircularBuffer<(number: UInt64, batch: UInt64, loop: ShardLoop)>())

    /// The number stands in the list before the thread can report it.
    func add(_ batch: UInt64, of loop: ShardLoop, submit: () -> UInt64) {
        batches.withLock { list in list.append((submit(), batch, loop)) }
    }

    func completed(_ number: UInt64) {
        let done = batches.withLock { list in
            var done: [(batch: UInt64, loop: ShardLoop)] = []
            while let first = list.first, first.number <= number {
                list.removeFirst()
                done.append((first.batch, first.loop))
            }
            return done
        }
        for (batch, loop) in done { loop.post(.durable(batch: batch)) }
    }
}
