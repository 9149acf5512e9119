// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Glibc
import Logging
import NIOCore
import Primitives
import Storage
import Synchronization
import Telemetry

/// What this node has acknowledged in mode `local` and the log may lack, on its disk. Writes of all loops share its
/// syncs; each loop is told when its own are on disk.
final class CacheJournal: Sendable {
    /// Of all files. Above it writes go through the log until some can be removed: the homes cannot be reached, or
    /// take less than is written.
    private static let maxBytes = 32 << 20
    private static let maxQueuedBytes = 8 << 20
    /// A full disk is tried again after this.
    private static let patience = Interval.milliseconds(1_000)

    private let ledger: SharedLedger
    private let counts: JournalCounts
    private let outstanding: OutstandingJournalWrites
    private let thread: JournalThread
    /// No write is taken before.
    private let opensAt: Atomic<UInt64>

    /// - Parameter onFailure: a write or sync failed: what is on disk is unknown, and the process ends.
    static func open(
        _ directory: DataDirectory,
        metrics: JournalMetrics,
        logger: Logger,
        onFailure: @escaping @Sendable (StorageError) -> Never
    ) throws(StorageError) -> (journal: CacheJournal, replay: JournalReplay) {
        let counts = JournalCounts()
        var settings = JournalSettings { JournalRecord.clock(.now()).encoded() }
        settings.onSync = { nanoseconds, bytes in
            metrics.syncTime.observe(nanoseconds)
            counts.syncs.wrappingAdd(1, ordering: .relaxed)
            counts.bytes.wrappingAdd(UInt64(bytes), ordering: .relaxed)
        }
        let (journal, recovery) = try Journal.open(directory, settings: settings)
        if let torn = recovery.tornTail {
            logger.notice(
                "an incomplete record at the journal's end was cut; it had not been confirmed to anybody",
                metadata: ["file": "\(torn.path)", "offset": "\(torn.offset)", "bytes": "\(torn.bytes)"]
            )
        }
        var replay = JournalReplay(now: .now())
        var ledger = JournalLedger()
        for segment in recovery.segments {
            ledger.adopt(segment.number, records: segment.count)
            for body in segment.bodies {
                do throws(DecodingError) {
                    try replay.read(body, segment: segment.number)
                } catch {
                    let detail = "segment \(segment.number) has a record that is unknown: \(error)"
                    throw .newerFormat(path: directory.path + "/journal", detail: detail)
                }
            }
        }
        for key in replay.keys {
            if let found = replay[key] { ledger.adopt(key, found.data.version, in: found.segment) }
        }
        if !replay.keys.isEmpty {
            logger.notice(
                "values that this node had acknowledged by itself are put back, unless they were written over",
                metadata: ["keys": "\(replay.keys.count)"]
            )
        }
        return (CacheJournal(journal, ledger, counts, logger, onFailure), replay)
    }

    private init(
        _ journal: sending Journal,
        _ ledger: JournalLedger,
        _ counts: JournalCounts,
        _ logger: Logger,
        _ onFailure: @escaping @Sendable (StorageError) -> Never
    ) {
        self.counts = counts
        let shared = SharedLedger(ledger)
        self.ledger = shared
        opensAt = Atomic(0)
        let outstanding = OutstandingJournalWrites()
        self.outstanding = outstanding
        thread = JournalThread(
            journal,
            onRemoval: { segment, result in
                switch result {
                case .success(true): shared.withLock { $0.removed(segment) }
                case .success(false): shared.withLock { $0.kept(segment) }
                case .failure(let error):
                    logger.warning("a file of the journal could not be removed", metadata: ["error": "\(error)"])
                }
            },
            completion: { number, result in
                switch result {
                case .success(let segment): outstanding.completed(number, segment)
                case .failure(.full): outstanding.completed(number, nil)
                case .failure(let error): onFailure(error)
                }
            }
        )
    }

    // MARK: Writing

    /// Whether a write may be answered on the strength of this journal now; otherwise it goes through the log.
    var isTaking: Bool {
        thread.bytes < Self.maxBytes && thread.queuedBytes < Self.maxQueuedBytes
            && NodeClock.now().nanoseconds >= opensAt.load(ordering: .relaxed)
    }

    /// The loop is told by `LoopCache.journalled`.
    func write(_ writes: [JournalledWrite], of stripe: CacheStripe, for loop: ShardLoop) {
        let now = JournalClock.uptime
        let bodies = writes.map { write in
            JournalRecord.write(
                write.key,
                value: write.data.value,
                write.data.version,
                expiresAt: write.data.remaining.map { now &+ $0 }
            ).encoded()
        }
        outstanding.add(OutstandingJournalWrites.Item(writes: writes, stripe: stripe, loop: loop)) {
            thread.submit(bodies)
        }
    }

    /// The writes are on disk. - Parameter isOwed: what only this node may have of a key.
    func note(_ write: JournalledWrite, in segment: UInt64, isOwed: Bool) {
        counts.records.wrappingAdd(1, ordering: .relaxed)
        ledger.withLock {
            $0.note(write.key, write.data.version, in: segment, isOwed: isOwed, now: NodeClock.now())
        }
    }

    func wasFull() {
        opensAt.store((NodeClock.now() + Self.patience).nanoseconds, ordering: .relaxed)
    }

    // MARK: Letting go

    func settle(_ key: CacheKey, upTo version: CacheVersion, isStored: Bool) {
        guard ledger.withLock({ $0.settle(key, upTo: version) }) == .old else { return }
        if isStored {
            counts.restored.wrappingAdd(1, ordering: .relaxed)
        } else {
            counts.superseded.wrappingAdd(1, ordering: .relaxed)
        }
    }

    var wantsFlush: Bool { ledger.withLock { $0.wantsFlush } }

    /// Due on each tick of one loop.
    func removeUnneeded() { remove(ledger.withLock { $0.removable(now: NodeClock.now()) }) }

    private func remove(_ removals: [JournalLedger.Removal]) {
        for removal in removals { thread.remove(removal.segment, records: removal.records) }
    }

    /// Writes what is left and ends; nothing remains on disk of what the log has.
    func close() {
        remove(ledger.withLock { $0.removable(now: nil) })
        thread.shutdown()
    }

    var statistics: CacheStatistics.Journal {
        var sum = CacheStatistics.Journal()
        sum.records = counts.records.load(ordering: .relaxed)
        sum.syncs = counts.syncs.load(ordering: .relaxed)
        sum.writtenBytes = counts.bytes.load(ordering: .relaxed)
        sum.restored = counts.restored.load(ordering: .relaxed)
        sum.superseded = counts.superseded.load(ordering: .relaxed)
        sum.keys = UInt64(ledger.withLock { $0.keyCount })
        sum.bytes = UInt64(clamping: thread.bytes)
        return sum
    }
}

/// Used by the loops and by the journal's thread.
private final class SharedLedger: Sendable {
    private let ledger: Mutex<JournalLedger>

    init(_ ledger: JournalLedger) { self.ledger = Mutex(ledger) }

    func withLock<Result: Sendable>(_ body: (inout JournalLedger) -> Result) -> Result {
        ledger.withLock { value in body(&value) }
    }
}

private final class JournalCounts: Sendable {
    let records = Atomic<UInt64>(0)
    let syncs = Atomic<UInt64>(0)
    let bytes = Atomic<UInt64>(0)
    let restored = Atomic<UInt64>(0)
    let superseded = Atomic<UInt64>(0)
}

/// Whose writes have which number of the journal's thread.
private final class OutstandingJournalWrites: Sendable {
    struct Item: Sendable {
        var writes: [JournalledWrite]
        var stripe: CacheStripe
        var loop: ShardLoop
    }

    private let items = Mutex(CircularBuffer<(number: UInt64, item: Item)>())

    /// The number stands in the list before the thread can report it.
    func add(_ item: Item, submit: () -> UInt64) {
        items.withLock { list in list.append((submit(), item)) }
    }

    /// - Parameter segment: nil: they are not on disk, for want of room.
    func completed(_ number: UInt64, _ segment: UInt64?) {
        let done = items.withLock { list in
            var done: [Item] = []
            while let first = list.first, first.number <= number {
                list.removeFirst()
                done.append(first.item)
            }
            return done
        }
        for item in done {
            item.loop.post(.perform { $0.cache?.journalled(item.writes, of: item.stripe, in: segment) })
        }
    }
}

extension JournalClock {
    private static let bootPath = "/proc/sys/kernel/random/boot_id"

    static var uptime: UInt64 { NodeClock.now().nanoseconds / 1_000_000 }

    /// What the node's clock and the wall clock show.
    static func now() -> JournalClock {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let wall = UInt64(max(0, time.tv_sec)) * 1_000 + UInt64(max(0, time.tv_nsec)) / 1_000_000
        return JournalClock(boot: boot, uptime: uptime, wall: wall)
    }

    /// Empty where the kernel has no name for the machine's latest start.
    private static let boot: [UInt8] = {
        let file = Glibc.open(bootPath, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { Glibc.close(file) }
        return [UInt8](unsafeUninitializedCapacity: maxBootBytes) { buffer, count in
            count = max(0, Glibc.read(file, buffer.baseAddress, buffer.count))
        }
    }()
}
