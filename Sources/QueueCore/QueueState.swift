// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The queues, messages and deliveries of one shard: a deterministic state machine fed by its log (DESIGN §6).
///
/// **Bodies** are not here. A publish stands whole in the log, a message's id says where, and the state keeps at most
/// 24 bytes about it in a table ordered by id (`MessageTable`). `QueueEffects.deadBodies` says which bodies nobody will
/// ask for again, `forEachLiveBody` which are still needed.
///
/// **Order.** A queue shares itself out among its tenants by deficit round robin over bytes (Shreedhar and Varghese,
/// SIGCOMM'95); a tenant's messages go by priority, and within a priority by id. What comes back takes its old place.
///
/// **Keys.** Of each ordering key only the first message stands in a line, and none while one is in flight or held
/// back by a nack or return with a delay. A message joins the end of its key's order when it first becomes ready, so
/// one published with a delay holds nobody up; priority counts between keys, never within one.
///
/// **Fencing.** Every delivery of a message has a higher number, which its receipt carries. A settled message is
/// removed, so a receipt whose message is not found is answered `gone`: ids are never reused, so the message existed
/// and is finished, and an ack that is repeated needs no memory of the first.
///
/// **Time** passes only by the stamps of commands. Any number of messages may fall due at once, so what time brings is
/// carried out by `tick` in bounded steps, each queue in turn; a lifetime that has run out is noticed at delivery too.
///
/// **Purge and delete** are one step whatever the queue holds: the name goes to a new record, or to none, and the old
/// one is *doomed*, swept by ticks, and invisible.
package struct QueueState: Sendable {
    package let limits: QueueLimits
    package let shard: ShardID

    var store: MessageStore
    var queues = Slots<QueueRecord>()
    var queueIndex = LookupTable<Name, Slot>()
    var queueNames = OrderedMap<Name, Slot>()
    var groupIndex = LookupTable<GroupKey, Slot>()
    var deads = Slots<DeadRecord>()
    var consumers = Slots<ConsumerRecord>()
    var consumerIndex = LookupTable<Name, Slot>()
    var waits = Slots<WaitRecord>()
    var waitIndex = LookupTable<RequestID, Slot>()
    var waitTimers = DeadlineHeap()
    /// Queues that a tick has something to do for, by when.
    var dueQueues = DeadlineHeap()
    var turn: UInt64 = 0
    /// Of the latest command, in milliseconds of cluster time. Never falls.
    package internal(set) var stamp: UInt64 = 0
    /// The term of the latest command, and the stamp before which no lease runs out in it: a leader that was away
    /// may have kept consumers from settling.
    var term: Term = .zero
    var leaseFloor: UInt64 = 0
    /// Counts of the shard, deleted queues included.
    package internal(set) var totals = QueueTotals()

    /// Queues that changed in this command; empty between commands.
    var dirty: [Slot] = []
    /// Deliveries that this command may still make.
    var budget = 0

    /// A rolling hash over the effects of every command applied so far: replicas compare it (DESIGN §3 rule 8).
    package internal(set) var digest: UInt64 = 0

    /// What the timekeeper was told last. A leader's memory only, no part of the replicated state.
    private var announced: UInt64?

    package init(shard: ShardID, limits: QueueLimits = QueueLimits(), index: IndexLayout = IndexLayout()) {
        self.shard = shard
        self.limits = limits
        store = MessageStore(index)
    }

    package var queueCount: Int { queueNames.count }

    package var consumerCount: Int { consumers.count }

    package var waiterCount: Int { waits.count }

    /// Messages in all states; those of purged and deleted queues until they are swept.
    package var messageCount: Int { store.table.count }

    /// The first stamp at which a tick has something to do; nil when nothing is pending.
    package var nextDue: UInt64? {
        switch (dueQueues.first?.due, waitTimers.first?.due) {
        case (nil, let due), (let due, nil): due
        case (let queue?, let wait?): min(queue, wait)
        }
    }

    /// Carries out one command of the log. Total: whatever the command says, it changes the state lawfully or not at
    /// all, and answers `context.request` exactly once: now, or when the wait that it began ends. Commands of
    /// `RequestID.internal` get no answer.
    package mutating func apply(_ command: QueueCommand, _ context: QueueContext, into effects: inout QueueEffects) {
        var context = context
        context.stamp = max(stamp, min(context.stamp, QueueLimits.stamp))
        stamp = context.stamp
        let responses = effects.responses.count
        let events = effects.events.count
        let bodies = effects.deadBodies.count
        beginCommand(context)
        if let refusal = validate(command) {
            if case .publish(let publish) = command { dropBodies(publish, context, into: &effects) }
            respond(.refused(refusal), context, into: &effects)
        } else {
            carryOut(command, context, into: &effects)
            settleDirty(context, into: &effects)
        }
        if announced != nextDue {
            announced = nextDue
            effects.timers.append(.due(nextDue))
        }
        digest = StableHash.combine(digest, context.index.rawValue)
        for answer in effects.responses[responses...] {
            digest = StableHash.combine(digest, answer.request.number ^ answer.response.fingerprint)
        }
        for event in effects.events[events...] { digest = StableHash.combine(digest, event.fingerprint) }
        // The last range from before may have grown.
        for range in effects.deadBodies[max(0, bodies - 1)...] {
            digest = StableHash.combine(digest, range.first.rawValue ^ UInt64(range.count) << 48)
        }
        digest = StableHash.combine(digest, UInt64(store.table.count) ^ totals.delivered << 32)
    }

    private mutating func beginCommand(_ context: QueueContext) {
        budget = limits.deliveriesPerCommand
        guard context.term > term else { return }
        // Before the first command of all there was nobody to protect.
        if term != .zero { leaseFloor = context.stamp + limits.leaseGraceMilliseconds }
        term = context.term
    }

    private mutating func carryOut(
        _ command: QueueCommand,
        _ context: QueueContext,
        into effects: inout QueueEffects
    ) {
        switch command {
        case .declare(let name, let settings): declare(name, settings, context, into: &effects)
        case .update(let name, let settings): update(name, settings, context, into: &effects)
        case .delete(let name): delete(name, context, into: &effects)
        case .publish(let publish): self.publish(publish, context, into: &effects)
        case .receive(let receive): self.receive(receive, context, into: &effects)
        case .settle(let settle): self.settle(settle, context, into: &effects)
        case .openConsumer(let open): openConsumer(open, context, into: &effects)
        case .closeConsumer(let id): closeConsumer(id, context, into: &effects)
        case .resumeConsumer(let id, let receipts): resumeConsumer(id, receipts, context, into: &effects)
        case .cancelMessage(let name, let id): cancelMessage(name, id, context, into: &effects)
        case .purge(let name): purge(name, context, into: &effects)
        case .pause(let name, let side): setPaused(name, side, true, context, into: &effects)
        case .resume(let name, let side): setPaused(name, side, false, context, into: &effects)
        case .redrive(let redrive): startRedrive(redrive, context, into: &effects)
        case .cancelRedrive(let name): cancelRedrive(name, context, into: &effects)
        case .cancelWait(let request): cancelWait(request, context, into: &effects)
        case .tick(let term): tick(term, context, into: &effects)
        case .expireConsumer(let id, let opened, let term):
            expireConsumer(id, opened: opened, term: term, context, into: &effects)
        }
    }

    func respond(_ response: QueueResponse, _ context: QueueContext, into effects: inout QueueEffects) {
        guard context.request != .internal else { return }
        effects.responses.append((context.request, response))
    }

    /// The queue may have something to deliver, or its next time due may have changed.
    mutating func mark(_ queue: Slot) {
        guard !queues[queue].isDirty else { return }
        queues[queue].isDirty = true
        dirty.append(queue)
    }

    private mutating func settleDirty(_ context: QueueContext, into effects: inout QueueEffects) {
        var next = 0
        // Serving one may change another: a consumer whose credit is used up leaves its other lines.
        while next < dirty.count {
            let queue = dirty[next]
            next += 1
            // Swept away in this command; the record itself is large and not to be copied to ask.
            guard queues[queue].declared != .zero else { continue }
            serve(queue, context, into: &effects)
            updateDue(queue, context, takesTurn: false)
            queues[queue].isDirty = false
        }
        dirty.removeAll(keepingCapacity: true)
    }
}
