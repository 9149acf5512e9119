// SPDX-License-Identifier: Apache-2.0
import Primitives

// The records of the lock table. They refer to each other by slot; every list is intrusive, so a held lock that nobody
// waits for is one `ObjectRecord`, one `HoldRecord` and one index entry: about 105 bytes beside its name.

/// A lock, semaphore or election that is held, waited for or delayed. Otherwise it does not exist: tokens come from the
/// log, so nothing about an idle name has to be remembered.
struct ObjectRecord: SlotRecord {
    var name: Name
    var namespace: Slot
    /// Holds in the order they were granted; the first one's `previousInObject` is the last.
    var firstHold: Slot = noSlot
    var holdCount: Int32 = 0
    /// What most locks never need; see `DetailRecord`.
    var detail: Slot = noSlot
    var kind: ObjectKind
    /// At most one hold is in mode update, and one in exclusive.
    var hasUpdate = false
    var hasExclusive = false

    static let vacant = ObjectRecord(name: "", namespace: noSlot, kind: .lock)
    var isVacant: Bool { namespace == noSlot }
}

/// The waiting line, the lock-delay, and what semaphores and elections carry. Locks have one only while needed.
struct DetailRecord: SlotRecord {
    var object: Slot
    var firstPlace: Slot = noSlot
    var lastPlace: Slot = noSlot
    /// Conversions stand in front; this is the last of them.
    var lastConversion: Slot = noSlot
    var waiterCount: Int32 = 0
    /// Zero when there is no lock-delay.
    var delayMilliseconds: UInt32 = 0
    var delayBegan: LogIndex = .zero
    /// Semaphores: size and permits out.
    var limit: UInt64 = 1
    var permitsInUse: UInt64 = 0
    /// Elections: what the leader announced.
    var value: [UInt8] = []

    static let vacant = DetailRecord(object: noSlot)
    var isVacant: Bool { object == noSlot }
}

/// One session's hold of one object.
struct HoldRecord: SlotRecord {
    var object: Slot
    var session: Slot
    var nextInObject: Slot = noSlot
    var previousInObject: Slot = noSlot
    var nextInSession: Slot = noSlot
    var previousInSession: Slot = noSlot
    /// Log index of the grant.
    var token: UInt64
    /// Cluster time of the grant in milliseconds.
    var since: UInt64
    /// Times acquired, or permits.
    var count: UInt32
    var mode: LockMode

    static let vacant = HoldRecord(object: noSlot, session: noSlot, token: 0, since: 0, count: 0, mode: .shared)
    var isVacant: Bool { object == noSlot }
}

/// A request that waits. It stands in one line, or in several when it asked for several locks at once.
struct WaitRecord: SlotRecord {
    var request: RequestID
    var session: Slot
    /// Places in the order of the request's items.
    var firstPlace: Slot = noSlot
    var nextInSession: Slot = noSlot
    var previousInSession: Slot = noSlot
    /// Log index at which the wait began: its age in victim selection.
    var index: LogIndex
    var since: UInt64
    var priority: Int64
    /// Zero waits while the session lives.
    var milliseconds: UInt64
    /// Zero when the client gave none.
    var sequence: UInt64
    var permits: UInt32
    var kind: ObjectKind
    var isConversion: Bool
    var value: [UInt8]

    static let vacant = WaitRecord(
        request: .internal,
        session: noSlot,
        index: .zero,
        since: 0,
        priority: 0,
        milliseconds: 0,
        sequence: 0,
        permits: 0,
        kind: .lock,
        isConversion: false,
        value: []
    )
    var isVacant: Bool { session == noSlot }
}

/// One name of a waiting request.
struct PlaceRecord: SlotRecord {
    var wait: Slot
    var object: Slot
    /// The hold that this builds on: of a conversion, or of a name in a set that the session holds already.
    var hold: Slot = noSlot
    var next: Slot = noSlot
    var previous: Slot = noSlot
    var nextInWait: Slot = noSlot
    /// Conversions: the mode wanted.
    var mode: LockMode
    var isConversion: Bool

    /// A name already held stands in no line: its own session would be standing behind requests that wait for it.
    var isInLine: Bool { hold == noSlot || isConversion }

    static let vacant = PlaceRecord(wait: noSlot, object: noSlot, mode: .shared, isConversion: false)
    var isVacant: Bool { wait == noSlot }
}

struct SessionRecord: SlotRecord {
    var id: SessionID
    var label: String
    var namespace: Slot
    var owner: Slot = noSlot
    var nextOfOwner: Slot = noSlot
    var previousOfOwner: Slot = noSlot
    var firstHold: Slot = noSlot
    var holdCount: Int32 = 0
    /// Holds of objects that have a line. Derived, so not in the snapshot: without any, hardly anybody can wait for
    /// this session, and a wait of its own needs no search for deadlocks.
    var contendedHolds: Int32 = 0
    var firstWait: Slot = noSlot
    var waitCount: Int32 = 0
    var ttlMilliseconds: UInt32
    var lockDelayMilliseconds: UInt32
    var opened: LogIndex
    var since: UInt64
    var results = RememberedResults()
    #if PLANTED_BUGS
        /// Ended, but kept because its waits were planted to survive it.
        var isEnded = false
    #endif

    static let vacant = SessionRecord(
        id: SessionID(""),
        label: "",
        namespace: noSlot,
        ttlMilliseconds: 0,
        lockDelayMilliseconds: 0,
        opened: .zero,
        since: 0
    )
    var isVacant: Bool { namespace == noSlot }
}

struct NamespaceRecord: SlotRecord {
    var name: Name
    var sessions: Int32 = 0
    var objects: Int32 = 0
    /// A namespace lives from its first session or object to its last.
    var isInUse = true

    static let vacant = NamespaceRecord(name: "", isInUse: false)
    var isVacant: Bool { !isInUse }
}

/// Sessions that declared the same owner.
struct OwnerRecord: SlotRecord {
    var name: Name
    var firstSession: Slot

    static let vacant = OwnerRecord(name: "", firstSession: noSlot)
    var isVacant: Bool { firstSession == noSlot }
}
