// SPDX-License-Identifier: Apache-2.0
import CacheCore
import LockCore
import Primitives
import QueueCore
import RaftCore
import Replica

/// Counts which rare paths a run has taken, and puts messages into words for a verbose one.
extension Simulation {
    func countProbes(_ outcome: Witness.Outcome) {
        if outcome.isDuplicate { probes.hit(.duplicateCommandApplied) }
        if case .cache(.expire) = outcome.envelope.command { probes.hit(.cacheExpired) }
        for event in outcome.effects.events {
            switch event {
            case .queued: probes.hit(.waitQueued)
            case .deadlock:
                probes.hit(.deadlockVictim)
                if case .lock(.abortWait) = outcome.envelope.command { probes.hit(.crossShardVictim) }
            case .broken: probes.hit(.lockBroken)
            case .sessionEnded(_, .expired): probes.hit(.sessionExpired)
            case .granted, .released, .sessionOpened, .sessionEnded: break
            }
        }
        for timer in outcome.effects.timers {
            if case .lockDelayBegan = timer { probes.hit(.lockDelay) }
        }
        for (request, response) in outcome.effects.responses {
            count(response, isOwn: request == outcome.envelope.request, outcome.lock)
        }
        if case .expireSession = outcome.lock, outcome.effects.events.isEmpty { probes.hit(.expiryRefuted) }
    }

    private func count(_ response: LockResponse, isOwn: Bool, _ command: LockCommand?) {
        switch response {
        case .granted(let tokens, let holds):
            if !isOwn { probes.hit(.waitGranted) }
            if tokens.count > 1 { probes.hit(.multiGranted) }
            guard isOwn, case .acquire(let acquire) = command else { return }
            if acquire.kind == .semaphore { probes.hit(.semaphoreGranted) }
            if acquire.kind == .election { probes.hit(.electionWon) }
            if acquire.kind == .lock && holds > 1 { probes.hit(.reentrantAcquire) }
        case .converted: probes.hit(.converted)
        case .cancelled(let found): probes.hit(found ? .waitCancelled : .cancelTooLate)
        case .notAcquired: if !isOwn { probes.hit(.waitTimedOut) }
        case .refused(.deadlock): if case .convert = command { probes.hit(.conversionDeadlock) }
        case .refused(.limit): probes.hit(.quotaRefused)
        case .refused(.staleSequence): probes.hit(.staleSequence)
        case .refused(.sessionEnded): probes.hit(.waitEndedBySession)
        default: break
        }
    }

    static func summary(_ outcome: Witness.Outcome, _ shard: Int) -> String {
        let answers = outcome.effects.responses.map { "\($0.request) → \($0.response)" }.joined(separator: "; ")
        let queues = outcome.queueEffects.responses.map { "\($0.request) → \($0.response)" }
            .joined(separator: "; ")
        let events =
            outcome.effects.events.map { "\($0)" }.joined(separator: "; ")
            + outcome.queueEffects.events.map { "\($0)" }.joined(separator: "; ")
        let text =
            "shard \(shard) entry \(outcome.index)/\(outcome.term) "
            + "\(outcome.envelope.request)\(outcome.isDuplicate ? " again" : ""): "
            + "\(outcome.envelope.command) ⇒ \(answers)\(queues) | \(events)"
        return text.replacing("LockCore.", with: "").replacing("QueueCore.", with: "").replacing(
            "Primitives.",
            with: ""
        )
    }

    static func summary(_ message: RaftMessage) -> String {
        switch message {
        case .append(let request):
            "append term \(request.term) after \(request.previousIndex)/\(request.previousTerm), "
                + "\(request.entries.count) entries, commit \(request.commit)"
        case .snapshotChunk(let chunk):
            "snapshot \(chunk.snapshot.index) term \(chunk.term) offset \(chunk.offset), \(chunk.bytes.count) bytes"
        default: "\(message)"
        }
    }
}
