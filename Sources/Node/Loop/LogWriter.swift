// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives
import RaftCore
import Storage
import Synchronization
import Telemetry

/// The node's one log, as its loops see it: batches go in, each loop is told when its own are durable.
///
/// In line, the loop itself writes and syncs at the end of its turn: no thread is woken, which on busy cores costs more
/// than the sync. On a thread, a slow disk holds up nothing but what waits for it, and several loops share each sync.
final class LogWriter: @unchecked Sendable {
    private struct Waiting {
        var operations: [ShardPersist]
        var batch: UInt64
        var loop: ShardLoop
    }

    let board: LogStatusBoard
    private let metrics: WriteAheadLogMetrics
    private let onFailure: @Sendable (StorageError) -> Never
    /// Set in line only, and then used on the one loop there is.
    private var log: WriteAheadLog?
    /// In line, on a full disk: batches in order, to be tried again.
    private var stalled = CircularBuffer<Waiting>()
    private var thread: LogWriterThread?
    /// On a thread: whose batch has which number of the writer's.
    private let outstanding = Mutex(CircularBuffer<(number: UInt64, batch: UInt64, loop: ShardLoop)>())

    init(
        log: sending WriteAheadLog,
        isInline: Bool,
        metrics: WriteAheadLogMetrics,
        onFailure: @escaping @Sendable (StorageError) -> Never
    ) {
        board = log.board
        self.metrics = metrics
        self.onFailure = onFailure
        if isInline {
            self.log = log
        } else {
            thread = LogWriterThread(log) { [weak self] number, result in self?.completed(number, result) }
        }
    }

    func write(_ operations: [ShardPersist], batch: UInt64, for loop: ShardLoop) {
        metrics.records.increment(by: operations.reduce(0) { $0 + $1.operations.count })
        if let thread {
            // The number must stand in the list before the thread can report it.
            outstanding.withLock { list in
                let number = thread.submit(operations)
                list.append((number, batch, loop))
            }
            return
        }
        stalled.append(Waiting(operations: operations, batch: batch, loop: loop))
        retry()
    }

    /// In line: writes what waits, as far as there is room. Called again on every tick while something does.
    func retry() {
        guard let log, !stalled.isEmpty else { return }
        do throws(StorageError) {
            while let next = stalled.first {
                do throws(StorageError) {
                    // All or nothing: what was appended before a refusal would be appended twice.
                    try log.ensureRoom(next.operations.reduce(0) { $0 + WriteAheadLog.estimate($1.operations) })
                } catch .full {
                    return
                }
                for write in next.operations { try log.append(shard: write.shard, write.operations) }
                try log.sync()
                stalled.removeFirst()
                next.loop.batchIsDurable(next.batch)
            }
        } catch {
            onFailure(error)
        }
    }

    private func completed(_ number: UInt64, _ result: Result<Void, StorageError>) {
        switch result {
        case .failure(.full), .failure(.closed):
            // Only while stopping: what is left was never confirmed.
            return
        case .failure(let error): onFailure(error)
        case .success:
            let done = outstanding.withLock { list in
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

    var isFull: Bool { board.current.space != .available }

    /// Writes what is left and closes the log. Nothing may be written afterwards.
    func close() {
        thread?.shutdown()
        try? log?.close()
    }
}
