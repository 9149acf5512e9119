// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Replica

/// An independent, simple account of one shard's queues, kept from the commands in its log and from what they
/// answered. It has no heaps and no lists of slots: a message is in one place, and whatever the state machine says must
/// be what DESIGN §6 allows after all that was before.
///
/// What time brings is the one thing that no answer tells. After a tick the account asks the state about the messages
/// whose time has come, and only about those: anything else that moves by itself shows as a broken rule later.
struct QueueModel {
    enum End {
        case acked
        /// Its lifetime ran out, or it was dropped to make room.
        case lost
        /// Also cancelled, or deleted with its queue.
        case purged
    }

    enum Place: Equatable {
        case ready
        case delayed
        case inFlight
        case dead
        case gone(End)
    }

    struct Message {
        let id: MessageID
        let content: PublishMessage
        let published: UInt64
        var line: Int
        var place = Place.ready
        /// Delayed: until when; in flight: when the lease ends.
        var due: UInt64 = 0
        /// Zero for never.
        var expires: UInt64 = 0
        var deliveries: UInt32 = 0
        var failures: UInt64 = 0
        var cause = ReturnCause.none
        /// While it is in flight, and after a purge until it is swept.
        var consumer: Int?
        var letter: DeadLetter?
        /// It joined its key's order when it was published, so ids tell the order.
        var isInOrder = true
        /// It stayed in the line that it was published to.
        var isAtHome = true
        /// The entry since which nobody can need its body.
        var swept: LogIndex?
        /// When a client first knew its ack to be done.
        var ackKnown: WorldTime?

        var isLive: Bool { if case .gone = place { false } else { true } }
    }

    struct Consumer {
        var open: OpenConsumer
        var isOpen = true
        /// Its deliveries, swept ones left out.
        var inFlight = 0
    }

    /// A receive without an answer.
    struct Wait {
        var receive: Receive
        var deadline: UInt64
    }

    struct Producer {
        var results: [(sequence: UInt64, ids: [MessageID])] = []
        var floor: UInt64 = 0
    }

    struct Line {
        let name: Name
        let tag: UInt32
        let lane: UInt16
        var settings: QueueSettings
        var exists = true
        var isPublishPaused = false
        var isConsumePaused = false
        /// Positions of its messages.
        var live: [Int] = []
        /// Requests, first come first.
        var waits: [RequestID] = []
        var dedup = LookupTable<Name, (id: MessageID, expires: UInt64)>()
        var producers = LookupTable<Name, Producer>()
        var redrive: (command: Redrive, began: UInt64, moved: UInt64)?
    }

    /// The entry that is being looked at.
    struct Step {
        let outcome: Witness.Outcome
        let command: QueueCommand
        let response: QueueResponse?
        let stamp: UInt64

        func died(_ line: Name, _ id: MessageID) -> (cause: DeadCause, reason: String)? {
            for case .deadLetter(let name, let message, let cause, let reason) in outcome.queueEffects.events
            where name == line && message == id {
                return (cause, reason)
            }
            return nil
        }
    }

    let shard: Int
    let limits: QueueLimits
    /// In the order of their ids.
    var messages: [Message] = []
    var index = LookupTable<MessageID, Int>()
    var lines: [Line] = []
    var lineIndex = LookupTable<Name, Int>()
    var consumers: [Consumer] = []
    var consumerIndex = LookupTable<Name, Int>()
    var waits = LookupTable<RequestID, Wait>()
    /// What this entry delivered that had been delivered before.
    var redelivered: [(id: MessageID, cause: ReturnCause)] = []
    var probes: [Probe] = []

    private(set) var liveCount = 0
    private var unswept = 0
    var published: UInt64 = 0
    var delivered: UInt64 = 0
    var redriven: UInt64 = 0
    private var acked: UInt64 = 0
    private var lost: UInt64 = 0
    private var purged: UInt64 = 0
    private var term = Term.zero
    private(set) var leaseFloor: UInt64 = 0
    private var entries = 0

    init(shard: Int, limits: QueueLimits) {
        self.shard = shard
        self.limits = limits
    }

    func message(_ id: MessageID) -> Message? { index[id].map { messages[$0] } }

    func line(_ name: Name) -> Int? { lineIndex[name].flatMap { lines[$0].exists ? $0 : nil } }

    /// `state` is that after the entry.
    mutating func apply(_ outcome: Witness.Outcome, _ state: QueueState, _ violations: inout ViolationLog) {
        redelivered.removeAll(keepingCapacity: true)
        probes.removeAll(keepingCapacity: true)
        let effects = outcome.queueEffects
        guard case .queue(let command) = outcome.envelope.command, !outcome.isDuplicate else {
            violations.expect(
                effects.events.isEmpty && effects.deadBodies.isEmpty,
                .exactlyOnce,
                "the retry of request \(outcome.envelope.request) took effect again at entry \(outcome.index)"
            )
            return
        }
        let response = effects.responses.first { $0.request == outcome.envelope.request }?.response
        let step = Step(outcome: outcome, command: command, response: response, stamp: outcome.stamp)
        if outcome.term > term {
            if term != .zero { leaseFloor = step.stamp + limits.leaseGraceMilliseconds }
            term = outcome.term
        }
        noteLines(step)
        carryOut(step, state, &violations)
        removeBodies(step, &violations)
        answer(step, &violations)
        checkNobodyStarves(step, &violations)
        account(step, state, &violations)
    }

    private mutating func carryOut(_ step: Step, _ state: QueueState, _ violations: inout ViolationLog) {
        switch step.command {
        case .publish(let publish): self.publish(publish, step, &violations)
        case .settle(let settle): self.settle(settle, step, state, &violations)
        case .openConsumer, .closeConsumer, .resumeConsumer, .expireConsumer:
            changeConsumer(step, state, &violations)
        case .tick:
            passTime(step, state, &violations)
            resolveRedrives(step, state, &violations)
        case .redrive, .cancelRedrive:
            noteRedrive(step, &violations)
            resolveRedrives(step, state, &violations)
        case .declare, .update, .delete, .purge, .pause, .resume, .cancelMessage:
            changeLine(step, &violations)
        case .receive, .cancelWait: break
        }
    }

    // MARK: Ends

    /// The message is no more, though its body may be swept later.
    mutating func end(_ position: Int, _ why: End) {
        let line = messages[position].line
        if let place = lines[line].live.firstIndex(of: position) { lines[line].live.remove(at: place) }
        messages[position].place = .gone(why)
        liveCount -= 1
        unswept += 1
        switch why {
        case .acked: acked += 1
        case .lost: lost += 1
        case .purged: purged += 1
        }
    }

    mutating func begin(_ message: Message) {
        index[message.id] = messages.count
        lines[message.line].live.append(messages.count)
        messages.append(message)
        liveCount += 1
        published += 1
    }

    mutating func leaveConsumer(_ position: Int) {
        guard let consumer = messages[position].consumer else { return }
        consumers[consumer].inFlight -= 1
        messages[position].consumer = nil
    }

    /// Whatever the entry removed had to end in it, or had ended before.
    private mutating func removeBodies(_ step: Step, _ violations: inout ViolationLog) {
        for range in step.outcome.queueEffects.deadBodies {
            for ordinal in 0..<UInt64(range.count) {
                let id = MessageID(rawValue: range.first.rawValue + ordinal)
                guard let position = index[id] else {
                    violations.expect(
                        id.entry == step.outcome.index,
                        .queueAccounting,
                        "entry \(step.outcome.index) of shard \(shard) ends message \(id), which never was"
                    )
                    continue
                }
                if messages[position].isLive { lose(position, step, &violations) }
                violations.expect(
                    messages[position].swept == nil,
                    .queueAccounting,
                    "entry \(step.outcome.index) of shard \(shard) ends message \(id) for the second time"
                )
                messages[position].swept = step.outcome.index
                leaveConsumer(position)
                unswept -= 1
            }
        }
    }

    /// Nobody asked for the end of this message: it has to have outlived its time, or to have made room.
    private mutating func lose(_ position: Int, _ step: Step, _ violations: inout ViolationLog) {
        let message = messages[position]
        let line = lines[message.line]
        let isWaiting = message.place == .ready || message.place == .delayed
        let isExpired = isWaiting && message.expires > 0 && message.expires <= step.stamp
        // A tick may wake it and drop it at once, for a redrive.
        let isReady = message.place == .ready || (message.place == .delayed && message.due <= step.stamp)
        var mayDrop = isReady && line.settings.overflow == .dropOldest
        if message.place == .dead {
            let dead = line.live.reduce(0) { $0 + (messages[$1].place == .dead ? 1 : 0) }
            mayDrop = dead > limits.deadPerQueue || line.redrive != nil
        }
        violations.expect(
            isExpired || mayDrop,
            .queueAccounting,
            "entry \(step.outcome.index) of shard \(shard) loses message \(message.id) of \(line.name), which is "
                + "\(message.place) and neither expired nor dropped by a queue that may"
        )
        probes.append(isExpired ? .messageExpired : .messageDropped)
        end(position, .lost)
    }

    /// Bodies that a snapshot at `index` has to have: ascending.
    func bodies(at index: LogIndex) -> [UInt64] {
        var ids: [UInt64] = []
        for message in messages {
            guard message.id.entry <= index else { break }
            if message.swept.map({ $0 > index }) ?? true { ids.append(message.id.rawValue) }
        }
        return ids
    }

    // MARK: The books

    /// ready + in flight + delayed + dead = confirmed − acked − expired − purged − dropped (DESIGN §6): both count.
    private mutating func account(_ step: Step, _ state: QueueState, _ violations: inout ViolationLog) {
        entries += 1
        let totals = state.totals
        let isEqual =
            totals.published == published && totals.acked == acked && totals.purged == purged
            && totals.expired + totals.dropped == lost && totals.delivered == delivered
            && totals.redriven == redriven
        violations.expect(
            isEqual && totals.balance == UInt64(liveCount) && state.messageCount == liveCount + unswept,
            .queueAccounting,
            "after entry \(step.outcome.index) shard \(shard) counts \(totals) and \(state.messageCount) messages; "
                + "\(published) were confirmed, \(acked) acked, \(purged) purged, \(lost) expired or dropped, "
                + "\(delivered) delivered, \(liveCount) are there and \(unswept) to be swept"
        )
        guard entries % 16 == 0 else { return }
        if let name = step.command.line, let line = line(name) { compareDepth(line, step, state, &violations) }
        guard entries % 64 == 0 else { return }
        if let fault = state.inconsistency() {
            violations.report(.queueAccounting, "after entry \(step.outcome.index) of shard \(shard): \(fault)")
        }
    }

    private func compareDepth(_ line: Int, _ step: Step, _ state: QueueState, _ violations: inout ViolationLog) {
        guard case .queue(.some(let view)) = state.query(.queue(lines[line].name), stamp: step.stamp) else {
            return violations.report(.queueRules, "\(lines[line].name) of shard \(shard) is not there")
        }
        var depth = QueueDepth()
        for position in lines[line].live {
            switch messages[position].place {
            case .ready: depth.ready += 1
            case .delayed: depth.delayed += 1
            case .inFlight: depth.inFlight += 1
            case .dead: depth.dead += 1
            case .gone: break
            }
        }
        violations.expect(
            view.depth == depth && view.totals.balance == depth.total && view.settings == lines[line].settings
                && view.waiters == UInt64(lines[line].waits.count),
            .queueAccounting,
            "after entry \(step.outcome.index) of shard \(shard) \(view) should have \(depth) and "
                + "\(lines[line].waits.count) waiting receives"
        )
    }
}
