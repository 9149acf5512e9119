// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What a leader remembers about handing its leadership over.
struct Handover: Sendable {
    struct Transfer: Sendable {
        var target: NodeID
        /// Given up then, and proposals are accepted again.
        var deadline: Instant
        var asked = false
    }

    /// The pause between two automatic attempts; doubled after each that did not last.
    static let shortestPause = Interval.milliseconds(10_000)
    static let longestPause = Interval.milliseconds(300_000)

    private(set) var transfer: Transfer?
    /// Somebody was asked to take over in this term.
    private(set) var timeoutNowSent = false
    /// Since when the preferred leader has been fit to lead.
    var preferredFitSince: Instant?
    /// The commit index at the previous check.
    var lastCommit = LogIndex.zero
    private var lastAutomatic: Instant?
    private var pause = Self.shortestPause

    mutating func began(_ now: Instant) {
        timeoutNowSent = false
        ended()
    }

    mutating func ended() {
        transfer = nil
        preferredFitSince = nil
    }

    mutating func start(_ target: NodeID, deadline: Instant) {
        transfer = Transfer(target: target, deadline: deadline)
    }

    mutating func asked() {
        transfer?.asked = true
        timeoutNowSent = true
    }

    func automaticAllowed(_ now: Instant) -> Bool {
        guard let lastAutomatic else { return true }
        return now.since(lastAutomatic) >= pause
    }

    mutating func startedAutomatically(_ now: Instant) {
        if let lastAutomatic, now.since(lastAutomatic) < pause * 4 {
            pause = min(pause * 2, Self.longestPause)
        } else {
            pause = Self.shortestPause
        }
        lastAutomatic = now
        preferredFitSince = nil
    }
}

// Leadership transfer (dissertation §3.10), asked for or towards the preferred leader.
extension Raft {
    /// Ignored unless this replica leads: whoever asked learns of it by the role.
    mutating func transferLeadership(to target: NodeID?, _ now: Instant, _ effects: inout RaftEffects) {
        guard role == .leader, let target = target ?? mostCaughtUpFollower(),
            let position = followerPosition(target), !followers[position].declinesLeadership,
            handover.transfer?.target != target
        else { return }
        handover.start(target, deadline: now + configuration.electionMax)
        continueTransfer(&effects)
    }

    /// Asks the target to stand for election once it has the whole log.
    mutating func continueTransfer(_ effects: inout RaftEffects) {
        guard let transfer = handover.transfer, !transfer.asked, let position = followerPosition(transfer.target),
            followers[position].match == log.lastIndex
        else { return }
        handover.asked()
        effects.sendNow.append(Envelope(to: transfer.target, message: .timeoutNow(term: term)))
    }

    /// Stands for election without waiting for the timeout and without PreVote: the leader itself wants it.
    mutating func handleTimeoutNow(from sender: NodeID, _ now: Instant, _ effects: inout RaftEffects) {
        guard role == .follower, leader == sender else { return }
        campaign(transfer: true, now, &effects)
    }

    // MARK: The leader's clock

    mutating func tickLeader(_ now: Instant, _ effects: inout RaftEffects) {
        checkQuorum(now, &effects)
        guard role == .leader else { return }
        if let transfer = handover.transfer, now >= transfer.deadline { handover.ended() }
        guard now >= nextHeartbeat else { return }
        // On the multiples of the interval, so that all shards of a node beat in one turn and share their frames.
        let interval = configuration.heartbeatInterval.nanoseconds
        nextHeartbeat = now + Interval(nanoseconds: interval - now.nanoseconds % interval)
        beginRound(now, &effects)
        retryLostMessages(now)
        considerHandover(now, &effects)
    }

    /// A leader that declines hands over as soon as somebody else is fit. Otherwise leaders are spread over the nodes
    /// by handing each shard to its preferred leader, once that has kept up for a while. Attempts are far apart, so
    /// that a node which cannot hold leadership does not make it wander.
    private mutating func considerHandover(_ now: Instant, _ effects: inout RaftEffects) {
        let commitBefore = handover.lastCommit
        handover.lastCommit = commitIndex
        guard handover.transfer == nil, isReadyLeader, let target = betterLeader(commitBefore, now) else {
            handover.preferredFitSince = nil
            return
        }
        let since = handover.preferredFitSince ?? now
        handover.preferredFitSince = since
        guard declinesLeadership || now.since(since) >= configuration.electionMax * 3, handover.automaticAllowed(now)
        else { return }
        handover.startedAutomatically(now)
        transferLeadership(to: target, now, &effects)
    }

    private func betterLeader(_ commitBefore: LogIndex, _ now: Instant) -> NodeID? {
        let isFit = { (follower: Progress) in
            follower.connected && !follower.declinesLeadership && follower.state == .replicate
                && follower.match >= commitBefore && now.since(follower.lastHeard) < configuration.electionMin
        }
        if let preferred = configuration.preferredLeader, let position = followerPosition(preferred),
            isFit(followers[position])
        {
            return preferred
        }
        return declinesLeadership ? followers.first(where: isFit)?.id : nil
    }

    private func mostCaughtUpFollower() -> NodeID? {
        var best: Progress?
        for follower in followers
        where follower.connected && follower.state != .snapshot && !follower.declinesLeadership {
            if let best, best.match >= follower.match { continue }
            best = follower
        }
        return best?.id
    }
}
