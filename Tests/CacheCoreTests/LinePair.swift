// SPDX-License-Identifier: Apache-2.0
import Primitives

@testable import CacheCore

/// One node's side of a shard and its home, with nothing between them but what a test holds back.
final class LinePair {
    static let member = CacheMember(node: NodeID(1), incarnation: 1)

    var requestor: CacheRequestor
    var home = CacheHome()
    var state: CacheState
    /// What Redis has, where it is the memory.
    var memory: [CacheKey: LineData] = [:]
    var maxBytes = Int.max
    var maxDirtyBytes = Int.max
    /// Milliseconds since the world began.
    var time: UInt64 = 1_000_000
    /// Puts are kept in `puts` instead of being delivered.
    var holdsPuts = false
    var puts: [HomeRequest] = []
    private var index: UInt64 = 0
    private var results: [UInt64: CacheCallResult] = [:]
    private var calls: UInt64 = 0

    init(isWrittenBack: Bool = false) {
        var configuration = RequestorConfiguration(origin: 7)
        // Nothing is written back but what a test asks for.
        configuration.flushInterval = .milliseconds(3_600_000)
        requestor = CacheRequestor(configuration: configuration)
        state = CacheState(isWrittenBack: isWrittenBack)
        let view = CacheView(version: 1, members: [Self.member])
        var effects = RequestorEffects()
        requestor.membership(view, own: Self.member, leaseEnd: .distantFuture, now: now, into: &effects)
        var homeEffects = HomeEffects()
        home.lead(term: 1)
        home.membership(view, own: Self.member, leaseEnd: .distantFuture, now: now, into: &homeEffects)
        home.confirmed(home.ticket, context, into: &homeEffects)
        deliver(homeEffects)
    }

    var now: Instant { .zero + .milliseconds(time) }

    private var context: HomeContext {
        HomeContext(state: state, now: now, stamp: time, maxBytes: maxBytes, maxDirtyBytes: maxDirtyBytes)
    }

    // MARK: Calls

    func step(_ body: (inout CacheRequestor, Instant, inout RequestorEffects) -> Void) {
        var effects = RequestorEffects()
        body(&requestor, now, &effects)
        for (token, result) in effects.completed { results[token] = result }
        for request in effects.send {
            if holdsPuts, case .put = request { puts.append(request) } else { send(request) }
        }
    }

    func read(_ key: String) -> CacheCallResult? {
        call(.read) { $0.read(CacheKey(key), $1, now: $2, into: &$3) }
    }

    func set(_ key: String, _ value: String, _ mode: CacheDurability = .volatile) -> CacheCallResult? {
        let operation = CacheOperation.set(
            value: Array(value.utf8),
            expiry: .never,
            condition: .always,
            wantsOld: false
        )
        return call(.write(operation, mode, token: 0)) { $0.write(CacheKey(key), $1, now: $2, into: &$3) }
    }

    private func call(
        _ kind: CacheCall.Kind,
        _ body: (inout CacheRequestor, CacheCall, Instant, inout RequestorEffects) -> Void
    ) -> CacheCallResult? {
        calls += 1
        let call = CacheCall(token: calls, kind: kind, deadline: .distantFuture)
        step { body(&$0, call, $1, &$2) }
        return results[call.token]
    }

    func evict(_ key: String) {
        step { requestor, now, effects in
            guard let slot = requestor.lines.find(CacheKey(key)) else { return }
            requestor.evict(slot, now: now, into: &effects)
        }
    }

    /// What the node answers a read of the key from its own line; nil: it holds none.
    func line(_ key: String) -> LineData? {
        requestor.lines.find(CacheKey(key)).map { requestor.data($0, now) }
    }

    /// Whether the log may lack something that was written up to the mark.
    func lacks(_ mark: UInt32) -> Bool { requestor.hasUnlogged(through: mark) }

    // MARK: Between them

    func send(_ request: HomeRequest) {
        var effects = HomeEffects()
        home.receive(Self.member, request, context, into: &effects)
        // One message is a turn.
        home.proposeGathered(into: &effects)
        deliver(effects)
    }

    private func deliver(_ effects: HomeEffects) {
        for (key, number) in effects.fills {
            var later = HomeEffects()
            let found = state.current(found: memory[key], stamp: time)
            home.filled(key, number: number, found, context, into: &later)
            deliver(later)
        }
        for proposal in effects.proposals {
            index += 1
            var later = HomeEffects()
            home.placed(proposal, at: index, context, into: &later)
            var changes = CacheEffects()
            let response = state.apply(proposal.command, index: LogIndex(index), stamp: time, into: &changes)
            home.applied(index, response, context, into: &later)
            deliver(later)
        }
        let epoch = home.epoch
        for (_, notice) in effects.send {
            step {
                $0.receive(notice, from: Self.member.node, epoch: epoch, to: Self.member, now: $1, into: &$2)
            }
        }
    }
}
