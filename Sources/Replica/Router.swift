// SPDX-License-Identifier: Apache-2.0
import LockCore
package import Primitives
import QueueCore

/// Names one caller of this node; chosen by the shell.
package struct CallerToken: Hashable, Sendable {
    package let rawValue: UInt64

    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

package struct RouterConfiguration: Sendable {
    package var node: NodeID
    /// Different for every start of every node: the origin of its request ids.
    package var origin: UInt64
    /// The nodes that hold each shard; the position is the shard's number.
    package var placement: [[NodeID]]
    /// How long a request without an answer is tried.
    package var requestTimeout = Interval.milliseconds(5_000)
    /// Requests of one shard that wait for an answer; more are refused as busy.
    package var maxPendingPerShard = 1 << 16
    /// Pause before a shard without a known leader is tried again.
    package var retryInterval = Interval.milliseconds(20)
    /// A request that should have been answered by now is sent again after this.
    package var resendInterval = Interval.milliseconds(1_000)
    /// The same for one that waits for a lock.
    package var waitResendInterval = Interval.milliseconds(10_000)

    package init(node: NodeID, origin: UInt64, placement: [[NodeID]]) {
        self.node = node
        self.origin = origin
        self.placement = placement
    }
}

/// What the router asks of its shell, in order.
package struct RouterEffects: Sendable {
    /// To the named node's replica; it may be this node.
    package var send: [(to: NodeID, request: RoutedRequest)] = []
    package var completed: [(caller: CallerToken, response: Response)] = []

    package init() {}

    package mutating func removeAll() {
        send.removeAll(keepingCapacity: true)
        completed.removeAll(keepingCapacity: true)
    }
}

/// Takes a node's requests to the leaders of their shards and brings back each answer exactly once. Retries carry the
/// same `RequestID`, so they are harmless. One shard's requests are sent in the order in which they were submitted,
/// also to the next leader; only one that was lost on the way, and is sent again because no answer came, may arrive
/// after later ones.
package struct Router: Sendable {
    struct Pending: Sendable {
        var caller: CallerToken
        var request: Request
        var mayWait: Bool
        /// When the caller is told that the outcome is unknown or that nothing was done; nil: the wait has no end.
        var deadline: Instant?
        /// Where it was last sent; nil while it waits for a leader to be known.
        var target: NodeID?
        var resendAt: Instant
        /// Sends that nobody has definitely refused: while there are any, the outcome is unknown.
        var openSends = 0
        /// Times it was sent on by a hint; a few are followed at once, then hints are taken with a pause.
        var hops = 0
        var lastReason = "no leader is known"
    }

    struct Shard: Sendable {
        var replicas: [NodeID]
        var leader: NodeID? {
            didSet { if leader != nil { leaderlessSince = nil } }
        }
        /// Set by the first tick that finds requests but no leader.
        var leaderlessSince: Instant?
        var nextReplica = 0
        var nextNumber: UInt64 = 1
        /// Reads and renewals are never in the log; numbers of their own keep those of changes without gaps.
        var nextRead = Router.firstRead
        var pending = OrderedMap<UInt64, Pending>()
        /// How many of `pending` are not sent to anybody now. While there are any, later requests queue behind them.
        var parked = 0
        var retryAt = Instant.zero
        /// Answered changes at or above `floor`, and the number of the request that last told the shard so.
        var unacknowledged: [(number: UInt64, carrier: UInt64?)] = []
        /// Lowest number that may still be without an answer.
        var floor: UInt64 = 1
    }

    /// Numbers from here on are those of reads and renewals.
    private static let firstRead: UInt64 = 1 << 60

    package let configuration: RouterConfiguration
    var shards: [Shard]

    package init(configuration: RouterConfiguration) {
        self.configuration = configuration
        shards = configuration.placement.map { Shard(replicas: $0) }
        for index in shards.indices {
            if let own = shards[index].replicas.firstIndex(of: configuration.node) { shards[index].nextReplica = own }
        }
    }

    package var shardCount: Int { shards.count }

    package func shard(for namespace: Name) -> ShardID { Self.shard(for: namespace, count: shards.count) }

    /// The shard of a namespace: FNV-1a of its name, spread by SplitMix64's finaliser, modulo the shard count.
    package static func shard(for namespace: Name, count: Int) -> ShardID {
        ShardID(UInt16(truncatingIfNeeded: StableHash.mix(StableHash.fnv1a(namespace.text.utf8)) % UInt64(count)))
    }

    package func leader(of shard: ShardID) -> NodeID? {
        Int(shard.rawValue) < shards.count ? shards[Int(shard.rawValue)].leader : nil
    }

    package var pendingCount: Int { shards.reduce(0) { $0 + $1.pending.count } }

    /// - Parameter shard: given for requests whose text does not decide it (a cancellation, a consumer).
    /// - Returns: the request's id, with which it can be cancelled; nil when it was refused at once.
    @discardableResult
    package mutating func submit(
        _ request: Request,
        to shard: ShardID? = nil,
        caller: CallerToken,
        timeout: Interval?,
        now: Instant,
        into effects: inout RouterEffects
    ) -> (ShardID, RequestID)? {
        guard let shardID = shard ?? request.placementKey.map(self.shard(for:)) else {
            invariantFailure("a request without a shard was submitted")
        }
        let index = Int(shardID.rawValue)
        guard shards[index].pending.count < configuration.maxPendingPerShard else {
            effects.completed.append((caller, .busy(reason: "too many requests wait for shard \(shardID.rawValue)")))
            return nil
        }
        let number = request.isMutation ? shards[index].nextNumber : shards[index].nextRead
        if request.isMutation { shards[index].nextNumber += 1 } else { shards[index].nextRead += 1 }
        var pending = Pending(
            caller: caller,
            request: request,
            mayWait: request.mayWait,
            deadline: request.deadline(from: now, timeout: timeout ?? configuration.requestTimeout),
            target: nil,
            resendAt: .distantFuture
        )
        if shards[index].parked == 0, let target = shards[index].leader {
            emit(number, &pending, to: target, shardIndex: index, now, &effects)
        } else {
            shards[index].parked += 1
        }
        shards[index].pending[number] = pending
        return (shardID, RequestID(origin: configuration.origin, number: number))
    }

    package mutating func receive(
        _ reply: RoutedReply,
        shard: ShardID,
        id: RequestID,
        from: NodeID,
        now: Instant,
        into effects: inout RouterEffects
    ) {
        let index = Int(shard.rawValue)
        guard id.origin == configuration.origin, index < shards.count else { return }
        // An answer may come twice, or after its caller was told that the outcome is unknown.
        guard var pending = shards[index].pending[id.number] else { return }
        switch reply {
        case .answer(.busy(let reason)) where pending.request.isMutation && pending.openSends > 1:
            // An earlier leader may have taken it into the log: only that this one did not is known.
            pending.openSends -= 1
            pending.lastReason = reason
            if pending.target == from {
                park(index, id.number, pending, now)
            } else {
                shards[index].pending[id.number] = pending
            }
        case .answer(let response):
            if shards[index].leader != from { shards[index].leader = from }
            finish(index, id.number, pending, response, &effects)
        case .notLeader(let hint):
            if pending.openSends > 0 { pending.openSends -= 1 }
            pending.lastReason = "the shard has no leader that answers"
            pending.hops += 1
            shards[index].pending[id.number] = pending
            // Sent elsewhere in the meantime: what the old target says of leaders is old too.
            guard pending.target == from else { return }
            if shards[index].leader == from { shards[index].leader = nil }
            if let hint, hint != from, shards[index].replicas.contains(hint) {
                shards[index].leader = hint
                parkAll(index, now) { $0.target == from }
                shards[index].retryAt = pending.hops <= 3 ? now : now + configuration.retryInterval
                if pending.hops > 3 { shards[index].leader = nil }
            } else {
                park(index, id.number, pending, now)
            }
        case .interrupted:
            guard pending.target == from else { return }
            pending.lastReason = "the shard's leader changed before it could answer"
            if shards[index].leader == from { shards[index].leader = nil }
            park(index, id.number, pending, now)
        }
        resume(index, now, &effects)
    }

    /// This node's own replica, or a peer, knows who leads.
    package mutating func leaderChanged(
        _ shard: ShardID,
        to leader: NodeID?,
        now: Instant,
        into effects: inout RouterEffects
    ) {
        let index = Int(shard.rawValue)
        guard index < shards.count else { return }
        let old = shards[index].leader
        shards[index].leader = leader
        guard let leader, leader != old else { return }
        parkAll(index, now) { $0.target != leader }
        shards[index].retryAt = now
        resume(index, now, &effects)
    }

    package mutating func peerDisconnected(_ node: NodeID, now: Instant, into effects: inout RouterEffects) {
        for index in shards.indices {
            if shards[index].leader == node { shards[index].leader = nil }
            parkAll(index, now) { $0.target == node }
        }
    }

    /// Due at least every `retryInterval`.
    package mutating func tick(now: Instant, into effects: inout RouterEffects) {
        for index in shards.indices where !shards[index].pending.isEmpty {
            if shards[index].leader == nil && shards[index].leaderlessSince == nil {
                shards[index].leaderlessSince = now
            }
            expire(index, now, &effects)
            resend(index, now, &effects)
            resume(index, now, &effects)
        }
    }

    // MARK: Sending

    /// Whom to ask when no leader is known: the replicas in turn, this node's own first.
    private mutating func guess(_ index: Int) -> NodeID? {
        let replicas = shards[index].replicas
        guard !replicas.isEmpty else { return nil }
        let node = replicas[shards[index].nextReplica % replicas.count]
        shards[index].nextReplica = (shards[index].nextReplica + 1) % replicas.count
        return node
    }

    private mutating func emit(
        _ number: UInt64,
        _ pending: inout Pending,
        to target: NodeID,
        shardIndex: Int,
        _ now: Instant,
        _ effects: inout RouterEffects
    ) {
        pending.target = target
        pending.openSends += 1
        let interval = pending.mayWait ? configuration.waitResendInterval : configuration.resendInterval
        pending.resendAt = now + interval
        let acknowledged = pending.request.isMutation ? acknowledgements(shardIndex, carrier: number) : []
        effects.send.append(
            (
                target,
                RoutedRequest(
                    shard: ShardID(UInt16(shardIndex)),
                    id: RequestID(origin: configuration.origin, number: number),
                    acknowledgedBelow: shards[shardIndex].floor,
                    acknowledged: acknowledged,
                    request: pending.request
                )
            )
        )
    }

    private mutating func acknowledgements(_ index: Int, carrier: UInt64) -> [UInt64] {
        var numbers: [UInt64] = []
        for position in shards[index].unacknowledged.indices
        where numbers.count < RoutedRequest.maxAcknowledged && shards[index].unacknowledged[position].carrier == nil {
            shards[index].unacknowledged[position].carrier = carrier
            numbers.append(shards[index].unacknowledged[position].number)
        }
        return numbers
    }

    /// Sends what is parked, oldest first, once there is somebody to send it to.
    private mutating func resume(_ index: Int, _ now: Instant, _ effects: inout RouterEffects) {
        guard shards[index].parked > 0 else { return }
        var target = shards[index].leader
        if target == nil {
            guard now >= shards[index].retryAt else { return }
            target = guess(index)
            shards[index].retryAt = now + configuration.retryInterval
        }
        guard let target else { return }
        for number in shards[index].pending.keys {
            guard var pending = shards[index].pending[number], pending.target == nil else { continue }
            emit(number, &pending, to: target, shardIndex: index, now, &effects)
            shards[index].pending[number] = pending
        }
        shards[index].parked = 0
    }

    private mutating func resend(_ index: Int, _ now: Instant, _ effects: inout RouterEffects) {
        for number in shards[index].pending.keys {
            guard var pending = shards[index].pending[number], pending.target != nil, pending.resendAt <= now
            else { continue }
            guard let leader = shards[index].leader else {
                // Whom it was sent to may be down: the next replica is asked.
                park(index, number, pending, now)
                continue
            }
            releaseAcknowledgements(index, carrier: number)
            emit(number, &pending, to: leader, shardIndex: index, now, &effects)
            shards[index].pending[number] = pending
        }
    }

    // MARK: Waiting for a leader

    private mutating func park(_ index: Int, _ number: UInt64, _ pending: Pending, _ now: Instant) {
        var pending = pending
        if pending.target != nil { shards[index].parked += 1 }
        pending.target = nil
        shards[index].pending[number] = pending
        releaseAcknowledgements(index, carrier: number)
        shards[index].retryAt = max(shards[index].retryAt, now + configuration.retryInterval)
    }

    private mutating func parkAll(_ index: Int, _ now: Instant, where condition: (Pending) -> Bool) {
        for number in shards[index].pending.keys {
            guard let pending = shards[index].pending[number], pending.target != nil, condition(pending) else {
                continue
            }
            park(index, number, pending, now)
        }
    }

    private mutating func releaseAcknowledgements(_ index: Int, carrier: UInt64) {
        for position in shards[index].unacknowledged.indices
        where shards[index].unacknowledged[position].carrier == carrier {
            shards[index].unacknowledged[position].carrier = nil
        }
    }

    // MARK: Ending

    private mutating func finish(
        _ index: Int,
        _ number: UInt64,
        _ pending: Pending,
        _ response: Response,
        _ effects: inout RouterEffects
    ) {
        if pending.target == nil { shards[index].parked -= 1 }
        shards[index].pending[number] = nil
        if !shards[index].unacknowledged.isEmpty {
            shards[index].unacknowledged.removeAll { $0.carrier == number }
        }
        raiseFloor(index)
        if number >= shards[index].floor && pending.request.isMutation {
            shards[index].unacknowledged.append((number, nil))
        }
        if shards[index].pending.isEmpty { shards[index].leaderlessSince = nil }
        effects.completed.append((pending.caller, response))
    }

    /// The floor follows the oldest request without an answer. What is answered above it is acknowledged one by one, so
    /// that a wait which lasts for hours holds back neither.
    private mutating func raiseFloor(_ index: Int) {
        let floor = min(shards[index].pending.first?.key ?? .max, shards[index].nextNumber)
        guard floor > shards[index].floor else { return }
        shards[index].floor = floor
        shards[index].unacknowledged.removeAll { $0.number < floor }
    }

    private mutating func expire(_ index: Int, _ now: Instant, _ effects: inout RouterEffects) {
        // A wait that has no end of its own still ends when there is nobody to wait at.
        let isAbandoned = shards[index].leaderlessSince.map { now.since($0) >= configuration.requestTimeout } ?? false
        for number in shards[index].pending.keys {
            guard let pending = shards[index].pending[number],
                isAbandoned || (pending.deadline.map { $0 <= now } ?? false)
            else { continue }
            // Nobody may have read what it carried.
            releaseAcknowledgements(index, carrier: number)
            let isUnknown = pending.request.isMutation && pending.openSends > 0
            let response = Response.unavailable(isUnknown ? .unknown : .notDone, reason: pending.lastReason)
            finish(index, number, pending, response, &effects)
        }
    }
}

extension Request {
    /// A wait may last as long as its caller said, and then the usual time for the answer to arrive.
    func deadline(from now: Instant, timeout: Interval) -> Instant? {
        let wait: Wait
        switch self {
        case .command(.acquire(let acquire)): wait = acquire.wait
        case .command(.convert(let convert)): wait = convert.wait
        case .queue(.receive(let receive)) where receive.waitMilliseconds > 0:
            wait = .milliseconds(receive.waitMilliseconds)
        default: wait = .none
        }
        switch wait {
        case .none: return now + timeout
        case .milliseconds(let length): return now + .milliseconds(length) + timeout
        case .forever: return nil
        }
    }
}
