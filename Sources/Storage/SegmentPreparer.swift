// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Makes the segment after the current one ready ahead of need, and removes dead ones, off the log's path.
final class SegmentPreparer: Sendable {
    private enum Slot: Sendable {
        case empty
        case working
        case ready
        /// Given up, but not renamed yet: making the next one now would put it in the other's place.
        case taken
        case failed(FileFailure)
    }

    private struct State: Sendable {
        var slot = Slot.empty
        /// Someone waits: do not pause between writes.
        var isUrgent = false
        var isStopping = false
        var removals: [String] = []
    }

    private let directory: String
    private let bytes: Int
    private let zeroFill: Bool
    private let files: FileSystem
    private let board: LogStatusBoard
    private let state = Monitor(State())
    private let isBackground: Bool
    private let thread: Monitor<PosixThread?> = Monitor(nil)

    private static let retryNanoseconds: UInt64 = 500_000_000
    private static let chunkBytes = 1 << 20

    var readyPath: String { directory + "/next" }
    private var workPath: String { directory + "/next.tmp" }

    init(directory: String, settings: LogSettings, files: FileSystem, board: LogStatusBoard) {
        self.directory = directory
        bytes = settings.segmentBytes
        zeroFill = settings.zeroFill
        self.files = files
        self.board = board
        isBackground = settings.preparesInBackground
    }

    /// Clears up what an earlier life left, and starts work on the next segment.
    func start() throws(StorageError) {
        // A leftover may hold a header and checkpoint written just before a crash; only zeros may follow a log's end.
        try io { () throws(FileFailure) in
            try files.removeDurably(workPath)
            try files.removeDurably(readyPath)
        }
        guard isBackground else { return }
        let started = PosixThread { [self] in run() }
        thread.update { $0 = started }
    }

    /// Ends the thread; what waits for removal is removed first.
    func stop() {
        state.update { $0.isStopping = true }
        thread.update { thread in
            thread?.join()
            thread = nil
        }
    }

    /// Gives up the prepared segment, waiting for it when it is being made. Call `request` once it is renamed.
    ///
    /// - Parameter minimum: a larger one is made on the spot when one record needs more than a segment.
    /// - Throws: `.full` when there is no room for it.
    func take(minimum: Int) throws(StorageError) -> (path: String, bytes: Int) {
        if minimum > bytes {
            // Beside, not instead of, the one that is being prepared.
            let path = directory + "/large.tmp"
            try attempt { () throws(FileFailure) in try make(path, minimum, urgent: true) }
            return (path, minimum)
        }
        try ensureReady()
        state.update { $0.slot = .taken }
        return (readyPath, bytes)
    }

    /// Returns when a segment is ready.
    func ensureReady() throws(StorageError) {
        if !isBackground { prepareInline() }
        let outcome: FileFailure?? = state.wait { state in
            state.isUrgent = true
            switch state.slot {
            case .ready:
                state.isUrgent = false
                return .some(nil)
            case .failed(let failure):
                state.isUrgent = false
                return .some(failure)
            case .empty, .working, .taken:
                return nil
            }
        }
        if case .some(.some(let failure)) = outcome { throw .full(failure) }
    }

    /// Asks for the next segment after one was taken; without a thread it is made here.
    func request() {
        state.update { state in
            if case .taken = state.slot { state.slot = .empty }
        }
        if !isBackground { prepareInline() }
    }

    /// Called after each sync: without a thread a failed preparation is tried again here.
    func poll() {
        if !isBackground { prepareInline() }
    }

    func remove(_ paths: [String]) {
        state.update { $0.removals += paths }
        guard !isBackground else { return }
        let left = removeAll(state.read { $0.removals })
        state.update { $0.removals = left }
    }

    private func run() {
        enum Work { case prepare, remove([String]), stop }
        // What cannot be removed rests for a while; the next segment must not wait for it.
        var removalsRest = false
        while true {
            let hasFailed = state.read { if case .failed = $0.slot { true } else { false } }
            let pause = hasFailed || removalsRest ? Self.retryNanoseconds : nil
            let work: Work? = state.wait(atMost: pause) { [removalsRest] state in
                if !state.removals.isEmpty, !removalsRest {
                    defer { state.removals = [] }
                    return .remove(state.removals)
                }
                if state.isStopping { return .stop }
                if case .empty = state.slot {
                    state.slot = .working
                    return .prepare
                }
                return nil
            }
            switch work {
            case .stop: return
            case .remove(let paths):
                let left = removeAll(paths)
                removalsRest = !left.isEmpty
                state.exchange { $0.removals = left + $0.removals }
            case .prepare: prepare()
            case .none:
                removalsRest = false
                if hasFailed { prepare() }
            }
        }
    }

    private func prepareInline() {
        let isNeeded = state.read { state in
            switch state.slot {
            case .empty, .failed: true
            case .working, .ready, .taken: false
            }
        }
        if isNeeded { prepare() }
    }

    /// Makes the file and says how that went. A failure stays visible while it is tried again.
    ///
    /// The board never says `.available` while the slot says `.failed`: who is refused finds the reason on the board,
    /// and who reads there that space is back is not refused. Hence the opposite orders.
    private func prepare() {
        do throws(FileFailure) {
            try make(workPath, bytes, urgent: false)
            try files.renameDurably(workPath, to: readyPath)
            state.update { $0.slot = .ready }
            board.update { $0.space = .available }
        } catch {
            unlink(workPath)
            board.update { $0.space = .full(error) }
            state.update { $0.slot = .failed(error) }
        }
    }

    private func attempt(_ body: () throws(FileFailure) -> Void) throws(StorageError) {
        do throws(FileFailure) { try body() } catch { throw .full(error) }
    }

    private func make(_ path: String, _ size: Int, urgent: Bool) throws(FileFailure) {
        let file = try File(path, O_RDWR | O_CREAT | O_TRUNC, calls: files.calls)
        try file.allocate(size)
        if zeroFill { try fill(file, size, urgent: urgent) }
        try file.sync()
    }

    /// Writes in steps with a sync after each and, when nobody waits, a pause as long as the step took, so that the
    /// log's own syncs do not queue behind megabytes of zeros.
    private func fill(_ file: borrowing File, _ size: Int, urgent: Bool) throws(FileFailure) {
        let zeros = [UInt8](repeating: 0, count: min(size, Self.chunkBytes))
        var offset = 0
        while offset < size {
            let began = MonotonicClock.nanoseconds()
            let count = min(size - offset, zeros.count)
            try file.write(count == zeros.count ? zeros : Array(zeros[..<count]), at: offset)
            offset += count
            if urgent { continue }
            let isUrgent = state.read { $0.isUrgent }
            if isUrgent || !isBackground { continue }
            try file.syncData()
            let pause = MonotonicClock.nanoseconds() - began
            let isStopping: Bool? = state.wait(atMost: pause) { $0.isStopping || $0.isUrgent ? $0.isStopping : nil }
            if isStopping == true { throw FileFailure(operation: "prepare", path: file.path, code: ECANCELED) }
        }
    }

    /// One after the other, each durable before the next: a gap in the numbers would look like a lost segment at the
    /// next start. The result is what is left after the first failure, to be tried again before anything later.
    private func removeAll(_ paths: [String]) -> [String] {
        for (count, path) in paths.enumerated() {
            do throws(FileFailure) { try files.removeDurably(path) } catch { return Array(paths[count...]) }
        }
        return []
    }
}
