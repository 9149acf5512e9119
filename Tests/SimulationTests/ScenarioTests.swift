// SPDX-License-Identifier: Apache-2.0
import Simulator
import Testing

/// Whole clusters under faults. A failure names its seed; `syncline-sim --scenario NAME --seed N --verbose` replays
/// it.
@Suite("Simulation")
struct ScenarioTests {
    private func run(_ name: String, seeds: Range<UInt64>) throws -> Tally {
        let scenario = try #require(Scenario.named(name))
        var probes: Tally?
        for seed in seeds {
            let result = Simulation(SimulationOptions(seed: seed, scenario: scenario)).run()
            if let violation = result.violation {
                Issue.record(
                    "\(name), seed \(seed): \(violation.checker.rawValue) at \(violation.time): \(violation.text)"
                )
                break
            }
            if probes == nil { probes = result.probes } else { probes?.add(result.probes) }
        }
        return try #require(probes)
    }

    @Test("the mix of all faults breaks no rule, and the rare paths are taken")
    func mix() throws {
        let count = SimulatorBinary.number("SYNCLINE_SIM_SEEDS", default: 40)
        let probes = try run("mix", seeds: 1..<(count + 1))
        // With fewer seeds than these a rare path may be missed by chance.
        guard count >= 40 else { return }
        let expected: [Probe] = [
            .leaderElected, .leaderDeposed, .leadershipTransferred, .logConflictTruncated, .oldTermEntryCommitted,
            .snapshotTaken, .snapshotChunkStored, .snapshotInstalled, .recoveredFromSnapshot, .tornTailCut,
            .stalledFramesDelivered, .requestForwarded, .requestRetried, .answerUnknown, .answerNotDone,
            .duplicateCommandApplied, .waitQueued, .waitGranted, .waitTimedOut, .waitCancelled, .multiGranted,
            .converted,
            .deadlockVictim, .semaphoreGranted, .electionWon, .reentrantAcquire, .lockBroken, .lockDelay,
            .sessionExpired, .sessionClosed, .waitEndedBySession, .readAnswered, .digestCompared, .codecRoundTrip,
        ]
        for probe in expected { #expect(probes[probe] > 0, "never: \(probe)") }
    }

    @Test(
        "named traps",
        arguments: [
            "calm", "partitions", "bridge", "datagrams", "crashes", "power-cut", "pause-leader", "slow-disk",
            "full-disk",
            "clock-drift", "transfers", "leases", "stale-read", "figure-8", "deposed-expiry", "sessions",
        ]
    )
    func scenario(_ name: String) throws { _ = try run(name, seeds: 1..<5) }

    @Test("a node whose disk was set back does no harm and catches up")
    func oldDisk() throws {
        let probes = try run("old-disk", seeds: 1..<5)
        #expect(probes[.oldDiskRestored] > 0)
    }

    @Test("damage in the middle of a log is found, and the node does not start")
    func damage() throws {
        let probes = try run("damage", seeds: 1..<7)
        #expect(probes[.damageDetected] > 0)
    }

    @Test("followers far behind are caught up by snapshots, interrupted ones too")
    func snapshots() throws {
        let probes = try run("snapshots", seeds: 1..<9)
        #expect(probes[.snapshotInstalled] > 0 && probes[.recoveredFromSnapshot] > 0)
    }

    @Test("a deadlock of owners across namespaces and shards has one victim and is real")
    func ownerDeadlock() throws {
        let probes = try run("owner-deadlock", seeds: 1..<7)
        #expect(probes[.crossShardVictim] > 0)
    }

    @Test("busy queues lose nothing, and every way of a message is taken")
    func queues() throws {
        let probes = try run("queues", seeds: 1..<13)
        let expected: [Probe] = [
            .messagePublished, .publishRepeated, .publishFenced, .queueFull, .messageDelivered, .messageRedelivered,
            .deliveredToWaiting, .receiveTimedOut, .receiveCancelled, .messageAcked, .settledAgain, .receiptStale,
            .leaseExpired, .keyHeld, .messageDied, .deadLetterMoved, .messageRedriven, .messageExpired,
            .messageDropped, .messageCancelled, .queuePurged, .queueDeleted, .queuePaused, .wrongLanes,
            .consumerOpened, .noCredit, .bodyReadFromDisk, .messageDrained,
        ]
        for probe in expected { #expect(probes[probe] > 0, "never: \(probe)") }
    }

    @Test("messages that have left the log come back with their own bodies")
    func queueSnapshots() throws {
        let probes = try run("queue-snapshots", seeds: 1..<9)
        #expect(probes[.bodyReadFromDisk] > 0 && probes[.snapshotInstalled] > 0)
    }

    @Test("consumers end, expire and resume, and nobody loses a message that is leased to him")
    func queueConsumers() throws {
        let probes = try run("queue-consumers", seeds: 1..<9)
        #expect(probes[.consumerExpired] > 0 && probes[.consumerResumed] > 0 && probes[.notResumed] > 0)
    }

    @Test("lines are coherent while homes move and leases run out")
    func cacheHomes() throws {
        let probes = try run("cache-homes", seeds: 1..<21)
        let expected: [Probe] = [
            .cacheHit, .cacheFilled, .cacheWritten, .cacheConditionFailed, .cacheSynchronised, .cacheLeaseLost,
            .cacheAccused, .cacheEvicted, .cacheNotDone, .cacheUnknown,
        ]
        for probe in expected { #expect(probes[probe] > 0, "never: \(probe)") }
    }

    @Test("lines are coherent under all kinds of fault")
    func cache() throws {
        let probes = try run("cache", seeds: 1..<21)
        #expect(probes[.cacheHit] > 0 && probes[.cacheExpired] > 0 && probes[.cacheEvicted] > 0)
    }

    @Test("owners write without the log, one at a time, and lose nothing while they live")
    func cacheVolatile() throws {
        let probes = try run("cache-volatile", seeds: 1..<21)
        #expect(probes[.cacheSilentWrite] > 0 && probes[.cacheSynchronised] > 0)
    }

    @Test("writes that share an entry of the log take effect one after the other")
    func cacheTogether() throws {
        let probes = try run("cache-together", seeds: 1..<11)
        #expect(probes[.cacheTogether] > 0 && probes[.cacheWritten] > 0 && probes[.cacheConditionFailed] > 0)
    }

    @Test("every scenario has a test")
    func coverage() {
        let tested = [
            "mix", "calm", "partitions", "bridge", "datagrams", "crashes", "power-cut", "pause-leader", "slow-disk",
            "full-disk", "clock-drift", "transfers", "leases", "stale-read", "figure-8", "deposed-expiry", "sessions",
            "old-disk", "damage", "snapshots", "owner-deadlock", "queues", "queue-snapshots", "queue-consumers",
            "cache", "cache-homes", "cache-volatile", "cache-together",
        ]
        #expect(Scenario.all.map(\.name).sorted() == tested.sorted())
    }
}
