// SPDX-License-Identifier: Apache-2.0
import Primitives

// The records of the queue state. They refer to each other by slot and to messages by id; every list is intrusive.

/// A record that may stand in a `DeadlineHeap`; its place there, -1 in none.
protocol HeapRecord: SlotRecord {
    var heapPlace: Int32 { get set }
}

extension Slots: HeapSlots where Record: HeapRecord {
    mutating func setHeapPlace(_ place: Int32, of slot: Slot) { self[slot].heapPlace = place }
}

/// What a plain queued message does not need: it has one from its first delivery on, or when it has a key, a lifetime
/// or a delay.
struct ExtraRecord: HeapRecord {
    /// `MessageID.rawValue`; zero is vacant.
    var id: UInt64
    /// In flight: when the lease runs out. Delayed: when it becomes ready.
    var due: UInt64 = 0
    /// Zero never.
    var expires: UInt64 = 0
    /// Stamp of the latest delivery.
    var delivered: UInt64 = 0
    var bytes: UInt32
    var deliveries: UInt32 = 0
    var failures: UInt32 = 0
    var returns: UInt32 = 0
    var consumer: Slot = noSlot
    var nextOfConsumer: Slot = noSlot
    var previousOfConsumer: Slot = noSlot
    /// In flight, of one queue, in the order of delivery.
    var nextInFlight: Slot = noSlot
    var previousInFlight: Slot = noSlot
    var group: Slot = noSlot
    /// Ready, of one group, in the order of the key.
    var nextInGroup: Slot = noSlot
    var previousInGroup: Slot = noSlot
    var dead: Slot = noSlot
    /// In the queue's `leases`, `delays` or `expiries`, as its state says.
    var heapPlace: Int32 = -1
    var cause = ReturnCause.none

    mutating func countFailure() {
        if failures < .max { failures += 1 }
    }

    static let vacant = ExtraRecord(id: 0, bytes: 0)
    var isVacant: Bool { id == 0 }
}

/// The messages of one ordering key in one queue.
struct GroupRecord: SlotRecord {
    var key: Name
    var queue: Slot
    /// Ready messages in order. Only the first can be delivered, and only while there is no blocker.
    var first: Slot = noSlot
    var last: Slot = noSlot
    var ready: Int32 = 0
    var readyBytes: UInt64 = 0
    /// The message that is in flight, or held back by a nack or return with a delay.
    var blocker: Slot = noSlot
    /// Messages in any state that have this key.
    var live: Int32 = 0

    static let vacant = GroupRecord(key: "", queue: noSlot)
    var isVacant: Bool { queue == noSlot }
}

struct GroupKey: Hashable {
    var queue: Slot
    var key: Name
}

/// Why a message died, and where.
struct DeadRecord: SlotRecord {
    var extra: Slot
    var letter: DeadLetter
    /// Stands in its queue's list of dead letters: those in state dead, and those ready in a dead-letter queue.
    var isListed = false
    var next: Slot = noSlot
    var previous: Slot = noSlot

    static let vacant = DeadRecord(
        extra: noSlot,
        letter: DeadLetter(cause: .attempts, reason: "", origin: "", attempts: 0, died: 0)
    )
    var isVacant: Bool { extra == noSlot }
}

struct ConsumerRecord: SlotRecord {
    var id: Name
    var label: String
    var ttlMilliseconds: UInt32
    var credit: UInt32
    /// Zero is vacant.
    var opened: LogIndex
    var since: UInt64
    var firstInFlight: Slot = noSlot
    var lastInFlight: Slot = noSlot
    var inFlight: Int32 = 0
    var firstWait: Slot = noSlot
    var waits: Int32 = 0

    static let vacant = ConsumerRecord(id: "", label: "", ttlMilliseconds: 0, credit: 0, opened: .zero, since: 0)
    var isVacant: Bool { opened == .zero }
}

/// A receive that waits for a message.
struct WaitRecord: HeapRecord {
    var request: RequestID
    var queue: Slot
    var consumer: Slot
    var count: UInt64
    var maxBytes: UInt64
    var leaseMilliseconds: UInt64
    var deadline: UInt64
    /// Log index at which it began: orders equal deadlines.
    var index: UInt64
    var next: Slot = noSlot
    var previous: Slot = noSlot
    var nextOfConsumer: Slot = noSlot
    var previousOfConsumer: Slot = noSlot
    var heapPlace: Int32 = -1

    static let vacant = WaitRecord(
        request: .internal,
        queue: noSlot,
        consumer: noSlot,
        count: 0,
        maxBytes: 0,
        leaseMilliseconds: 0,
        deadline: 0,
        index: 0
    )
    var isVacant: Bool { queue == noSlot }
}

/// One tenant's share of a queue.
struct TenantRecord: Sendable {
    var name: Name
    /// By priority; as many as were needed.
    var lines: [IDLine] = []
    /// Bit n: there is something in line n.
    var mask: UInt16 = 0
    /// What it may still take in this round, in bytes.
    var deficit: Int64 = 0
    /// Messages in any state.
    var live: UInt64 = 0

    var topPriority: Int { 15 - mask.leadingZeroBitCount }
}

struct RedriveJob: Sendable, Equatable {
    var redrive: Redrive
    /// Dead letters still to be looked at, and to be moved at most.
    var examine: UInt64
    var left: UInt64
    var moved: UInt64 = 0
    var began: UInt64
}

struct QueueRecord: HeapRecord {
    var name: Name
    var settings: QueueSettings
    var lane: UInt16
    var tag: UInt32
    /// Log index; zero is vacant.
    var declared: LogIndex
    /// Deleted or purged: only being swept, and found by nobody.
    var isDoomed = false
    var depth = QueueDepth()
    /// Of messages ready, in flight and delayed.
    var bytes: UInt64 = 0
    var readyBytes: UInt64 = 0
    /// Ready messages behind a blocker of their key.
    var held: UInt64 = 0
    var heldBytes: UInt64 = 0
    var totals = QueueTotals()
    var isPublishPaused = false
    var isConsumePaused = false
    /// The first has no name and is always there.
    var tenants = [TenantRecord(name: "")]
    var tenantIndex = LookupTable<Name, Int>()
    /// Tenants that have something to deliver, in the order of their turns.
    var active: [Int] = []
    var leases = DeadlineHeap()
    var delays = DeadlineHeap()
    /// Ready messages that have a lifetime.
    var expiries = DeadlineHeap()
    var firstInFlight: Slot = noSlot
    var lastInFlight: Slot = noSlot
    var firstDead: Slot = noSlot
    var lastDead: Slot = noSlot
    /// Dead letters in that list.
    var listed: UInt64 = 0
    var firstWait: Slot = noSlot
    var lastWait: Slot = noSlot
    var waits: Int32 = 0
    var redrive: RedriveJob?
    var dedup = DedupWindow()
    var producers = ProducerTable()
    var dwell: [UInt64] = []
    /// Its key in the shard's heap of queues.
    var dueAt: UInt64 = 0
    var dueTurn: UInt64 = 0
    var heapPlace: Int32 = -1
    var isDirty = false

    init(name: Name, settings: QueueSettings, declared: LogIndex) {
        self.name = name
        self.settings = settings
        self.declared = declared
        lane = LaneMap.parse(name)?.lane ?? 0
        tag = Receipt.tag(of: name)
    }

    static let vacant = QueueRecord(name: "", settings: QueueSettings(), declared: .zero)
    var isVacant: Bool { declared == .zero }

    /// Whether a message of this many bytes and as many others fit without dropping anything.
    func hasRoom(messages: UInt64, bytes more: UInt64) -> Bool {
        (settings.maxLength == 0 || depth.undelivered + messages <= settings.maxLength)
            && (settings.maxBytes == 0 || bytes + more <= settings.maxBytes)
    }

    /// Whether they would fit after every message that may be dropped was.
    func couldMakeRoom(messages: UInt64, bytes more: UInt64) -> Bool {
        let kept = depth.undelivered - (depth.ready - held)
        let keptBytes = bytes - (readyBytes - heldBytes)
        return (settings.maxLength == 0 || kept + messages <= settings.maxLength)
            && (settings.maxBytes == 0 || keptBytes + more <= settings.maxBytes)
    }
}

/// Everything that says whether a message can be delivered, apart from the queues so that a queue's lines can ask.
struct MessageStore: Sendable {
    var table: MessageTable
    var extras = Slots<ExtraRecord>()
    var groups = Slots<GroupRecord>()

    init(_ layout: IndexLayout) { table = MessageTable(layout: layout) }

    /// The message is ready, not behind another of its key, and belongs in this line.
    func isOffered(_ id: UInt64, _ line: IDLine.Key) -> Bool {
        guard let position = table.find(id) else { return false }
        let record = table[position]
        return Slot(record.queue) == line.queue && Int(record.tenant) == line.tenant
            && record.priority == line.priority && isOffered(record)
    }

    /// The message is ready, and not behind another of its key.
    func isOffered(_ record: MessageRecord) -> Bool {
        guard record.state == .ready else { return false }
        guard record.extra != noSlot else { return true }
        let group = extras[record.extra].group
        return group == noSlot || (groups[group].first == record.extra && groups[group].blocker == noSlot)
    }

    func bytes(_ record: MessageRecord) -> UInt64 {
        UInt64(record.extra == noSlot ? record.plainBytes : extras[record.extra].bytes)
    }
}
