// SPDX-License-Identifier: Apache-2.0

/// Rare paths whose visits are counted, so that a test can require that the simulator really goes there.
package enum Probe: Int, Sendable, CaseIterable {
    case leaderElected, leaderDeposed, leadershipTransferred
    case logConflictTruncated, oldTermEntryCommitted
    case snapshotTaken, snapshotChunkStored, snapshotInstalled, snapshotRestarted, recoveredFromSnapshot
    case tornTailCut, unsyncedRecordSurvived, damageDetected, stalledFramesDelivered
    case requestForwarded, requestRetried, answerUnknown, answerNotDone, answerBusy
    case duplicateCommandApplied, staleSequence
    case waitQueued, waitGranted, waitTimedOut, waitCancelled, cancelTooLate, multiGranted
    case converted, conversionDeadlock, deadlockVictim, crossShardVictim
    case semaphoreGranted, electionWon, reentrantAcquire, lockBroken, lockDelay, quotaRefused
    case sessionExpired, expiryRefuted, sessionClosed, waitEndedBySession, sessionLostByClient
    case readAnswered
    case oldDiskRestored, digestCompared, codecRoundTrip
    case messagePublished, publishRepeated, publishFenced, queueFull
    case messageDelivered, messageRedelivered, deliveredToWaiting, receiveTimedOut, receiveCancelled
    case messageAcked, settledAgain, receiptStale, leaseExpired, keyHeld
    case messageDied, deadLetterMoved, messageRedriven, messageExpired, messageDropped, messageCancelled
    case queuePurged, queueDeleted, queuePaused, wrongLanes
    case consumerOpened, consumerExpired, consumerResumed, notResumed, noCredit
    case bodyReadFromDisk, bodyGoneMeanwhile, messageDrained
    case cacheHit, cacheFilled, cacheWritten, cacheConditionFailed, cacheSilentWrite, cacheExpired
    case cacheEvicted, cacheSynchronised, cacheLeaseLost, cacheAccused, cacheNotDone, cacheUnknown, cacheTogether
}

/// How often each probe, or fault, was hit.
package struct Tally: Sendable, Equatable {
    package private(set) var counts: [UInt64]

    package init(size: Int) { counts = Array(repeating: 0, count: size) }

    package mutating func hit(_ index: Int) { counts[index] += 1 }

    package mutating func add(_ other: Tally) {
        for index in counts.indices { counts[index] += other.counts[index] }
    }
}

extension Tally {
    static var probes: Tally { Tally(size: Probe.allCases.count) }

    static var faults: Tally { Tally(size: FaultKind.allCases.count) }

    @inline(__always)
    mutating func hit(_ probe: Probe) { hit(probe.rawValue) }

    mutating func hit(_ fault: FaultKind) { hit(fault.rawValue) }

    package subscript(_ probe: Probe) -> UInt64 { counts[probe.rawValue] }

    package subscript(_ fault: FaultKind) -> UInt64 { counts[fault.rawValue] }
}
