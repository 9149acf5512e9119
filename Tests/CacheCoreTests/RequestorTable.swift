// SPDX-License-Identifier: Apache-2.0
import Primitives

@testable import CacheCore

/// A node's side of one line, brought into each state of the table in docs/CACHE.md by the messages that lead there.
final class RequestorTable {
    enum State: String, CaseIterable {
        case invalid = "I"
        case shared = "S"
        /// Shared, and the last to write was this node.
        case sharedAfterWriting = "S*"
        case exclusive = "E"
        case modified = "M"
        case unlogged = "M, not logged"
        case reading = "IS"
        case readingInvalidated = "IS_I"
        case writing = "IM"
        case upgrading = "SM"
        case writingOwned = "MW"
        case leaving = "MI_A"
    }

    enum Event: String, CaseIterable {
        case read, write, silent, evict
        case invalidate, recall, recallToShared
        /// The home's version is newer than the line's.
        case recallToSharedNewer
        case data, written, writtenNothing, putDone
        /// Granted before the latest invalidation or recall of these events.
        case dataGrantedBefore, writtenGrantedBefore
        case synchronise
    }

    static let key = CacheKey("k")
    static let home = NodeID(2)
    static let member = CacheMember(node: NodeID(1), incarnation: 1)
    static let view = CacheView(version: 1, members: [member, CacheMember(node: home, incarnation: 1)])
    /// The number of the grant that the line came with.
    static let gid: UInt64 = 10
    static let version = CacheVersion(index: 5)

    var requestor: CacheRequestor
    var effects = RequestorEffects()
    private var token: UInt64 = 0
    private let now = Instant.zero + .milliseconds(1_000)

    init() {
        requestor = CacheRequestor(configuration: RequestorConfiguration(origin: 1))
        let end = Instant.zero + .milliseconds(1_000_000)
        requestor.membership(Self.view, own: Self.member, leaseEnd: end, now: now, into: &effects)
        receive(.synchronise(view: Self.view))
        effects.removeAll()
    }

    convenience init(_ state: State) {
        self.init()
        reach(state)
        effects.removeAll()
    }

    private func reach(_ state: State) {
        switch state {
        case .invalid: break
        case .shared: fill(.shared)
        case .exclusive: fill(.exclusive)
        case .modified: own(isSilent: false)
        case .unlogged:
            own(isSilent: true)
            carryOut(.silent)
        case .sharedAfterWriting:
            own(isSilent: false)
            receive(.recall(Self.key, gid: Self.gid + 1, toShared: true, Self.version))
        case .reading: carryOut(.read)
        case .readingInvalidated:
            carryOut(.read)
            carryOut(.invalidate)
        case .writing: carryOut(.write)
        case .upgrading:
            reach(.sharedAfterWriting)
            carryOut(.write)
        case .writingOwned:
            own(isSilent: false)
            carryOut(.write)
        case .leaving:
            reach(.unlogged)
            carryOut(.evict)
        }
    }

    private func fill(_ state: LineState) {
        carryOut(.read)
        let data = LineData(value: [1], version: Self.version)
        receive(.data(Self.key, number: lastRead, LineGrant(gid: Self.gid, state: state), data))
    }

    private func own(isSilent: Bool) {
        carryOut(.write)
        let grant = LineGrant(gid: Self.gid, state: .modified, isSilent: isSilent)
        receive(.written(Self.key, number: lastWrite, grant, .done, Self.version, data: nil))
    }

    private var lastRead: UInt64 { requestor.nextRead - 1 }
    private var lastWrite: UInt64 { requestor.nextWrite - 1 }

    // MARK: Events

    func carryOut(_ event: Event) {
        let later = CacheVersion(index: Self.version.index + 1)
        let data = LineData(value: [2], version: later)
        switch event {
        case .read: requestor.read(Self.key, call(.read), now: now, into: &effects)
        case .write: requestor.write(Self.key, call(.write(set, .replicated, token: 0)), now: now, into: &effects)
        case .silent: requestor.write(Self.key, call(.write(set, .volatile, token: 0)), now: now, into: &effects)
        case .evict:
            guard let slot = requestor.lines.find(Self.key) else { return }
            requestor.evict(slot, now: now, into: &effects)
            requestor.sendHints(into: &effects)
        case .invalidate: receive(.invalidate(Self.key, gid: 30))
        case .recall: receive(.recall(Self.key, gid: 30, toShared: false, Self.version))
        case .recallToShared: receive(.recall(Self.key, gid: 30, toShared: true, Self.version))
        case .recallToSharedNewer: receive(.recall(Self.key, gid: 30, toShared: true, later))
        case .data: receive(.data(Self.key, number: lastRead, LineGrant(gid: 40, state: .shared), data))
        case .written: written(LineGrant(gid: 40, state: .modified), later)
        case .dataGrantedBefore:
            receive(.data(Self.key, number: lastRead, LineGrant(gid: 20, state: .shared), data))
        case .writtenGrantedBefore: written(LineGrant(gid: 20, state: .modified), later)
        case .writtenNothing: written(LineGrant(gid: 40, state: .invalid), later)
        case .putDone:
            let stored = CacheVersion(index: Self.version.index, minor: 1)
            receive(.putDone(Self.key, gid: Self.gid, stored, isStored: true))
        case .synchronise: receive(.synchronise(view: Self.view), CacheEpoch(term: 2, round: 1))
        }
    }

    private func written(_ grant: LineGrant, _ version: CacheVersion) {
        receive(.written(Self.key, number: lastWrite, grant, .done, version, data: nil))
    }

    private func receive(_ notice: CacheNotice, _ epoch: CacheEpoch = CacheEpoch(term: 1, round: 1)) {
        requestor.receive(notice, from: Self.home, epoch: epoch, to: Self.member, now: now, into: &effects)
    }

    private var set: CacheOperation { .set(value: [7], expiry: .never, condition: .always, wantsOld: false) }

    private func call(_ kind: CacheCall.Kind) -> CacheCall {
        token += 1
        return CacheCall(token: token, kind: kind, deadline: .distantFuture)
    }

    // MARK: What is seen

    var state: String {
        let line = requestor.lines.find(Self.key)
        guard let transaction = requestor.transactions[Self.key] else {
            guard let line else { return "I" }
            return switch requestor.lines.state(line) {
            case .invalid: "I"
            case .shared: "S"
            case .exclusive: "E"
            case .modified: requestor.isUnlogged(line) ? "M, not logged" : "M"
            }
        }
        switch transaction.kind {
        case .reading: return transaction.isInvalidated ? "IS_I" : "IS"
        case .writing:
            guard let line else { return "IM" }
            return requestor.lines.state(line) == .shared ? "SM" : "MW"
        // With its line still here and shared, the data is only kept until the log has it.
        case .putting: return line == nil ? "MI_A" : "S, keeping data"
        }
    }

    /// The line is not offered for eviction.
    var isPinned: Bool {
        let line = requestor.lines.find(Self.key)
        return line.map { requestor.lines.flags($0).contains(.pinned) } ?? false
    }

    /// What was sent and answered since the state was reached.
    var output: String {
        let sent = effects.send.map { request in
            switch request {
            case .read: "read"
            case .write(_, let write): "write from \(["I", "S", "M"][Int(write.held.rawValue)])"
            case .hints: "hint"
            case .put(_, _, let reason, _): "put to \(["evict", "flush", "restore"][Int(reason.rawValue)])"
            case .ack(_, _, let data, let isKept): "ack\(data == nil ? "" : " with data")\(isKept ? ", kept" : "")"
            case .synchronised: "synchronised"
            }
        }
        let answers = effects.completed.map { completed in
            switch completed.result {
            case .read(let data, _): "read \(data.value.map { "\($0[0])" } ?? "nothing")"
            case .written: "done"
            case .failed: "failed"
            }
        }
        return (sent + answers.map { "answer: \($0)" }).joined(separator: "; ")
    }
}
