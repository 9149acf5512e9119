// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The lock table, waiting lines and sessions of one shard: a deterministic state machine fed by its log (DESIGN §5).
///
/// **Shape.** Everything is a record in a `Slots` table (LockRecords.swift); lists run through the records; names are
/// found through `SlotIndex`. The same commands give the same slots on every replica, and a snapshot keeps them.
///
/// **Lines.** Each object has one line: conversions in front, then the rest, each first come first served. Only the
/// head is ever granted, so nobody overtakes; neighbouring readers are granted in one go because each becomes the
/// head in its turn. A request for several locks stands in all their lines, and is granted when it is a grantable
/// head in each.
///
/// **Sets do not deadlock each other.** A set enters all its lines in one log entry, at their tails. So of two
/// waiting requests that are not conversions the older stands in front wherever both stand, every such edge of the
/// wait-for graph points to an older request, and the oldest waits for no other. A cycle therefore needs a held lock,
/// and is found by the deadlock search like any other.
///
/// **Tokens.** A grant's token is the index of the entry that caused it. Within one entry holds are only ended before
/// holds are granted, and a hold granted in an entry is not ended by it; so holds granted by one entry on one object
/// are compatible, and of conflicting grants the later has the higher token. A stronger mode is a new grant with a
/// new token; a downgrade keeps its token, which no later conflicting grant can have overtaken.
package struct LockState: Sendable {
    package let limits: LockLimits

    var objects = Slots<ObjectRecord>()
    var objectIndex = SlotIndex()
    var details = Slots<DetailRecord>()
    var holds = Slots<HoldRecord>()
    var sessions = Slots<SessionRecord>()
    var sessionIndex = SlotIndex()
    var waits = Slots<WaitRecord>()
    var waitIndex = SlotIndex()
    var places = Slots<PlaceRecord>()
    var namespaces = Slots<NamespaceRecord>()
    var namespaceIndex = SlotIndex()
    var owners = Slots<OwnerRecord>()
    var ownerIndex = SlotIndex()

    /// Objects whose line may be able to move; empty between commands.
    var dirty: [Slot] = []
    /// Waits of sessions that declared an owner.
    var ownedWaits = 0

    /// A rolling hash over the effects of every command applied so far: replicas compare it (DESIGN §3 rule 8).
    package internal(set) var digest: UInt64 = 0

    /// Changes whenever `ownerWaits()` may have changed, and never while no session with an owner waits. Not part of
    /// the replicated state: a leader's memory only.
    package internal(set) var ownerWaitsVersion: UInt64 = 0

    package init(limits: LockLimits = LockLimits()) { self.limits = limits }

    package var sessionCount: Int { sessions.count }

    /// Locks, semaphores and elections that are held, waited for or delayed.
    package var objectCount: Int { objects.count }

    package var waiterCount: Int { waits.count }

    /// Carries out one command of the log. Total: whatever the command says, it changes the state lawfully or not at
    /// all, and answers `context.request` exactly once: now, or when the wait that it began ends. Commands of
    /// `RequestID.internal` get no answer.
    package mutating func apply(_ command: LockCommand, _ context: ApplyContext, into effects: inout LockEffects) {
        let responsesBefore = effects.responses.count
        let eventsBefore = effects.events.count
        if let refusal = validate(command) {
            respond(.refused(refusal), context, into: &effects)
        } else {
            carryOut(command, context, into: &effects)
            moveLines(context, into: &effects)
        }
        digest = StableHash.combine(digest, context.index.rawValue)
        for answer in effects.responses[responsesBefore...] {
            digest = StableHash.combine(digest, answer.request.number ^ answer.response.fingerprint)
        }
        for event in effects.events[eventsBefore...] { digest = StableHash.combine(digest, event.fingerprint) }
    }

    private mutating func carryOut(
        _ command: LockCommand,
        _ context: ApplyContext,
        into effects: inout LockEffects
    ) {
        switch command {
        case .openSession(let open): openSession(open, context, into: &effects)
        case .closeSession(let session): closeSession(session, context, into: &effects)
        case .acquire(let acquire): self.acquire(acquire, context, into: &effects)
        case .convert(let convert): self.convert(convert, context, into: &effects)
        case .release(let release): self.release(release, context, into: &effects)
        case .breakLock(let namespace, let name, let reason):
            breakLock(namespace, name, reason, context, into: &effects)
        case .cancel(let request): cancel(request, context, into: &effects)
        case .expireSession(let session, let opened, let term):
            expireSession(session, opened: opened, term: term, context, into: &effects)
        case .timeoutWait(let request, let term): timeoutWait(request, term: term, context, into: &effects)
        case .endLockDelay(let namespace, let name, let began, let term):
            endLockDelay(namespace, name, began: began, term: term, context, into: &effects)
        case .abortWait(let request, let cycle): abortWait(request, cycle: cycle, context, into: &effects)
        }
    }

    func respond(_ response: LockResponse, _ context: ApplyContext, into effects: inout LockEffects) {
        guard context.request != .internal else { return }
        effects.responses.append((context.request, response))
    }
}

extension LockResponse {
    /// What the digest takes of an answer: constant work, whatever its size.
    var fingerprint: UInt64 {
        switch self {
        case .sessionOpened(_, let ttl): 1 &+ ttl &* 31
        case .sessionClosed(let released): 2 &+ released &* 31
        case .granted(let tokens, let holds): 3 &+ (tokens.last ?? 0) &* 31 &+ holds &* 1_000_003
        case .notAcquired(let holders): 4 &+ (holders.first?.token ?? 0) &* 31
        case .converted(let token): 5 &+ token &* 31
        case .released(let left): 6 &+ left &* 31
        case .broken(let count): 7 &+ count &* 31
        case .cancelled(let found): found ? 8 : 9
        case .noted: 10
        case .renewed, .session, .sessions, .object, .list, .check, .electionLeader, .noElectionLeader: 11
        case .refused(let refusal): 12 &+ refusal.code &* 31
        }
    }
}

extension Refusal {
    var code: UInt64 {
        switch self {
        case .noSession: 1
        case .sessionExists: 2
        case .notHeld: 3
        case .reentry: 4
        case .deadlock(let cycle): 5 &+ UInt64(cycle.count) &* 64
        case .limit: 6
        case .wrongKind: 7
        case .invalid: 8
        case .cancelled: 9
        case .sessionEnded(let end): 10 &+ UInt64(end.rawValue) &* 64
        case .staleSequence: 11
        }
    }
}

extension LockEvent {
    var fingerprint: UInt64 {
        switch self {
        case .granted(_, _, _, let mode, let token): 101 &+ token &* 31 &+ UInt64(mode.rawValue) &* 1_000_003
        case .released: 102
        case .queued(_, _, _, let mode): 103 &+ UInt64(mode.rawValue) &* 31
        case .broken: 104
        case .deadlock(_, let cycle, let victim): 105 &+ victim.number &* 31 &+ UInt64(cycle.count) &* 1_000_003
        case .sessionOpened: 106
        case .sessionEnded(_, let end): 107 &+ UInt64(end.rawValue) &* 31
        }
    }
}
