// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// How a leader feeds one follower.
package enum ReplicationState: UInt8, Sendable {
    /// Where the logs agree is not known: one append in flight at a time.
    case probe
    /// The logs agree up to `match`: appends are pipelined within the window.
    case replicate
    /// The entries it needs are gone: it is being sent a snapshot.
    case snapshot
}

/// What status pages show of a follower.
package struct ProgressView: Sendable, Equatable {
    package var id: NodeID
    package var state: ReplicationState
    package var match: LogIndex
    package var next: LogIndex
    package var connected: Bool
    /// The time since its last reply.
    package var silentFor: Interval
}

/// A leader's view of one follower (dissertation §3.5, §10.2.1). Always `match < next`.
struct Progress: Sendable {
    private struct Append: Sendable {
        var lastIndex: LogIndex
        var bytes: Int
    }

    let id: NodeID
    private(set) var state = ReplicationState.probe
    /// Everything up to here is known to equal the leader's log and to be on the follower's disk.
    private(set) var match = LogIndex.zero
    /// The first entry of the next append.
    private(set) var next: LogIndex
    var connected: Bool
    /// When the last reply of the current term came.
    var lastHeard: Instant
    /// By its last heartbeat reply.
    var declinesLeadership = false
    /// The newest read round it has answered.
    var confirmedRound: UInt64 = 0
    /// When `match` last rose, something was first put in flight, or a lost message was last suspected.
    var lastAdvance: Instant
    /// In probe: an append is in flight.
    private(set) var probeSent = false
    /// In replicate: an empty append is due, to find out whether appends were lost.
    private(set) var nudgeDue = false
    var transfer: SnapshotTransfer?

    private var inFlight: BoundedQueue<Append>
    private(set) var inFlightBytes = 0

    init(id: NodeID, next: LogIndex, connected: Bool, now: Instant, window: Int) {
        self.id = id
        self.next = next
        self.connected = connected
        self.lastHeard = now
        self.lastAdvance = now
        self.inFlight = BoundedQueue(limit: window)
    }

    var inFlightCount: Int { inFlight.count }

    /// Some append has not been answered.
    var isWaiting: Bool { match < next.previous }

    func hasRoom(maximumBytes: Int) -> Bool { !inFlight.isFull && inFlightBytes < maximumBytes }

    /// It is there, something is due from it, and it has not moved for this long.
    func isOverdue(_ patience: Interval, now: Instant) -> Bool {
        (state != .replicate || isWaiting) && lastHeard > lastAdvance && now.since(lastAdvance) >= patience
    }

    // MARK: Transitions

    /// any → probe: an append was refused, the connection broke, or a snapshot is in place.
    mutating func becomeProbe(next: LogIndex) {
        state = .probe
        self.next = max(next, match.next)
        probeSent = false
        nudgeDue = false
        transfer = nil
        dropWindow()
    }

    /// probe or snapshot → replicate: the follower's log agrees up to `match`.
    mutating func becomeReplicate(now: Instant) {
        state = .replicate
        next = match.next
        probeSent = false
        nudgeDue = false
        transfer = nil
        lastAdvance = now
        dropWindow()
    }

    /// any → snapshot: the entry before `next` is no longer in memory.
    mutating func becomeSnapshot(_ snapshot: SnapshotMetadata, now: Instant) {
        state = .snapshot
        probeSent = false
        nudgeDue = false
        transfer = SnapshotTransfer(snapshot: snapshot)
        lastAdvance = now
        dropWindow()
    }

    // MARK: Events

    mutating func sentProbe(now: Instant) {
        probeSent = true
        lastAdvance = now
    }

    /// A probe or a nudge may have been lost.
    mutating func retry(now: Instant) {
        lastAdvance = now
        switch state {
        case .probe: probeSent = false
        case .replicate: nudgeDue = true
        case .snapshot: transfer?.probeSent = false
        }
    }

    mutating func sentNudge() { nudgeDue = false }

    mutating func sentAppend(through last: LogIndex, bytes: Int, now: Instant) {
        if !isWaiting { lastAdvance = now }
        let taken = inFlight.append(Append(lastIndex: last, bytes: bytes))
        invariant(taken, "an append was sent beyond the window")
        inFlightBytes += bytes
        next = last.next
    }

    /// The follower has everything up to `index`.
    mutating func accepted(_ index: LogIndex, now: Instant) {
        while let first = inFlight.first, first.lastIndex <= index {
            _ = inFlight.popFirst()
            inFlightBytes -= first.bytes
        }
        guard index > match else { return }
        match = index
        next = max(next, index.next)
        lastAdvance = now
    }

    /// The follower lost what it had once acknowledged (an older disk was put back): count it no longer.
    mutating func forget(above index: LogIndex) { match = min(match, index) }

    func checkInvariants(lastIndex: LogIndex) {
        invariant(match < next, "progress of \(id): match \(match) is not below next \(next)")
        invariant(next.previous <= lastIndex || state == .snapshot, "progress of \(id) is past the log")
        invariant(match <= lastIndex, "progress of \(id): match is past the log")
        invariant((state == .snapshot) == (transfer != nil), "snapshot transfer outside the snapshot state")
        invariant(state == .replicate || inFlight.isEmpty, "a window outside the replicate state")
        invariant(inFlightBytes >= 0 && (!inFlight.isEmpty || inFlightBytes == 0), "window bytes are miscounted")
    }

    private mutating func dropWindow() {
        if !inFlight.isEmpty { inFlight.removeAll() }
        inFlightBytes = 0
    }
}

extension [Progress] {
    /// By index and not by `firstIndex(where:)`, which copies each element to look at it.
    func position(of id: NodeID) -> Int? {
        for position in indices where self[position].id == id { return position }
        return nil
    }
}

/// One snapshot on its way to one follower, chunk by chunk.
struct SnapshotTransfer: Sendable {
    /// Chunks read or sent and not yet stored by the follower.
    static let windowChunks: UInt64 = 4

    let snapshot: SnapshotMetadata
    /// The follower has stored everything before this byte.
    private(set) var stored: UInt64 = 0
    /// The next byte to read and send.
    private(set) var cursor: UInt64 = 0
    /// The question how far the follower has come is in flight.
    var probeSent = false
    /// No chunk is read before the first answer to that question.
    private(set) var answered = false

    init(snapshot: SnapshotMetadata) { self.snapshot = snapshot }

    /// Sends the question again and then goes on from the answer, wherever that is.
    mutating func probe() {
        probeSent = true
        answered = false
    }

    /// True when the follower came further.
    mutating func followerStored(_ offset: UInt64) -> Bool {
        if !answered {
            answered = true
            stored = offset
            cursor = offset
            return true
        }
        guard offset > stored else { return false }
        stored = offset
        cursor = max(cursor, offset)
        return true
    }

    /// The next piece to read; nil while the window is full or everything was read.
    mutating func nextRead(chunkBytes: Int) -> (offset: UInt64, limit: Int)? {
        let chunk = UInt64(clamping: chunkBytes)
        let (window, overflow) = chunk.multipliedReportingOverflow(by: Self.windowChunks)
        guard answered, cursor < snapshot.size, overflow || cursor - stored < window else { return nil }
        let offset = cursor
        let limit = min(chunk, snapshot.size - cursor)
        cursor += limit
        return (offset, Int(clamping: limit))
    }
}
