// SPDX-License-Identifier: Apache-2.0
import LockCore
package import Primitives
import RaftCore

/// Everything that is drawn anew for each seed: the size of the cluster, its limits (small ones, so that rare paths
/// are common), the speed of disks and links, the load, and which faults the nemesis may use.
package struct Swarm: Sendable {
    package var nodes = 3
    package var shards = 2
    package var namespaces = 3
    /// Locks, semaphores and elections per namespace; few, so that clients meet.
    package var names = 4
    package var clients = 5
    package var sessionsPerClient = 1

    package var heartbeat = Interval.milliseconds(50)
    package var electionMin = Interval.milliseconds(150)
    package var electionMax = Interval.milliseconds(300)
    package var leaseReads = false
    package var clockDriftPermille: UInt64 = 250
    package var maxInflightAppends = 256
    package var maxInflightBytes = 8 << 20
    package var maxBatchBytes = 1 << 20
    package var maxUncommittedBytes = 64 << 20
    package var snapshotChunkBytes = 256 << 10
    package var snapshotLogBytes = 16 << 20
    package var compactionTailEntries = 1024
    package var waitersPerLock = 10_000
    package var holdsPerSession = 100_000
    package var digestInterval: UInt64 = 32
    package var preferLeaders = true
    package var requestTimeout = Interval.milliseconds(3_000)
    package var resendInterval = Interval.milliseconds(500)
    package var waitResendInterval = Interval.milliseconds(2_000)

    package var latencyMin = Interval.microseconds(50)
    package var latencyMax = Interval.microseconds(500)
    package var syncMin = Interval.microseconds(80)
    package var syncMax = Interval.milliseconds(2)
    /// A node's mailbox is drained this long after the first input.
    package var turnDelay = Interval.microseconds(20)
    /// Inputs taken in one turn; the rest waits for the next.
    package var turnInputs = Int.max
    /// Clocks run at 1000 plus or minus this many permille.
    package var clockSpread: UInt64 = 100
    /// One frame in so many is encoded and decoded by Wire; 0 for none.
    package var codecEvery: UInt64 = 64

    package var thinkMin = Interval.milliseconds(20)
    package var thinkMax = Interval.milliseconds(400)
    package var sessionTTL: UInt64 = 2_000
    package var workload = Workload()

    package var faults: [FaultKind] = []
    package var calmMin = Interval.milliseconds(100)
    package var calmMax = Interval.milliseconds(3_000)
    package var faultMin = Interval.milliseconds(100)
    package var faultMax = Interval.milliseconds(4_000)
    /// Faults that may overlap.
    package var maxConcurrentFaults = 2
    package var chaos = Interval.milliseconds(30_000)
    /// World time after healing within which everything has to finish.
    package var livenessBudget = Interval.milliseconds(90_000)
    /// A deadlock across shards must be broken within this in calm; zero where faults may delay it.
    package var deadlockBudget = Interval.zero
    /// Elections of a whole run, the first of each shard included, above which leaders are held to be unstable.
    package var maxElections = UInt64.max
    /// A minority stays dead after healing.
    package var leaveMinorityDead = false

    package var queues = QueueSwarm()
    package var cache = CacheSwarm()
}

/// Relative weights of what clients do.
package struct Workload: Sendable {
    package var acquire: UInt64 = 30
    package var release: UInt64 = 25
    package var convert: UInt64 = 5
    package var acquireAll: UInt64 = 5
    package var semaphore: UInt64 = 6
    package var election: UInt64 = 4
    package var read: UInt64 = 10
    package var cancel: UInt64 = 3
    package var close: UInt64 = 1
    package var breakLock: UInt64 = 1
    /// Stop renewing and let the session expire.
    package var abandon: UInt64 = 1
    package var malformed: UInt64 = 1
    /// Of acquires, in a hundred: no wait, wait for a time; the rest waits for ever.
    package var waitNone: UInt64 = 30
    package var waitTimed: UInt64 = 40
    /// In a hundred: sessions that declare an owner shared across namespaces.
    package var owners: UInt64 = 0
    /// In a hundred: sessions with a lock-delay.
    package var lockDelays: UInt64 = 10
    /// In a hundred: reads that accept a lease.
    package var leaseReads: UInt64 = 20

    var weights: [UInt64] {
        [
            acquire, release, convert, acquireAll, semaphore, election, read, cancel, close, breakLock, abandon,
            malformed,
        ]
    }
}

extension Swarm {
    /// The default mix: everything random.
    static func mixed(_ random: inout SeededRandom) -> Swarm {
        var swarm = Swarm()
        swarm.nodes = [3, 3, 3, 3, 3, 3, 5, 5, 5, 1][Int(random.below(10))]
        swarm.shards = 1 + Int(random.below(4))
        swarm.namespaces = 1 + Int(random.below(4))
        swarm.names = 2 + Int(random.below(4))
        swarm.clients = 2 + Int(random.below(6))
        swarm.sessionsPerClient = random.chance(1, in: 4) ? 2 : 1
        swarm.drawRaft(&random)
        swarm.drawSpeeds(&random)
        swarm.drawLoad(&random)
        for kind in FaultKind.mix where random.chance(kind.costsNode ? 1 : 5, in: 10) { swarm.faults.append(kind) }
        swarm.maxConcurrentFaults = 1 + Int(random.below(3))
        swarm.leaveMinorityDead = random.chance(1, in: 4)
        // Numbers of its own: what is drawn for queues changes nothing of what is drawn for the rest.
        var queueRandom = SeededRandom(seed: StableHash.combine(random.state, 1))
        swarm.queues = .mixed(&queueRandom)
        var cacheRandom = SeededRandom(seed: StableHash.combine(random.state, 2))
        swarm.cache = .mixed(clockSpread: swarm.clockSpread, &cacheRandom)
        return swarm
    }

    private mutating func drawRaft(_ random: inout SeededRandom) {
        heartbeat = .milliseconds([20, 50, 50, 50, 100][Int(random.below(5))])
        electionMin = heartbeat * (3 + random.below(3))
        electionMax = electionMin + heartbeat * (2 + random.below(5))
        leaseReads = random.chance(1, in: 4)
        if random.chance(1, in: 2) {
            maxInflightAppends = 1 + Int(random.below(8))
            maxInflightBytes = 256 << Int(random.below(8))
            maxBatchBytes = 64 << Int(random.below(8))
        }
        if random.chance(1, in: 6) { maxUncommittedBytes = 512 << Int(random.below(6)) }
        if random.chance(2, in: 3) {
            snapshotLogBytes = 2048 << Int(random.below(6))
            snapshotChunkBytes = 64 << Int(random.below(8))
            compactionTailEntries = Int(random.below(64))
        }
        digestInterval = 4 << random.below(6)
        preferLeaders = random.chance(2, in: 3)
        requestTimeout = .milliseconds(1_000 + random.below(4_000))
        resendInterval = .milliseconds(100 + random.below(1_000))
        waitResendInterval = .milliseconds(300 + random.below(4_000))
    }

    private mutating func drawSpeeds(_ random: inout SeededRandom) {
        latencyMax = .microseconds(200 << random.below(7))
        syncMax = .microseconds(200 << random.below(6))
        turnDelay = .microseconds([5, 20, 100, 500][Int(random.below(4))])
        turnInputs = [1, 4, 32, .max][Int(random.below(4))]
        clockSpread = random.chance(2, in: 3) ? 100 : 5
        codecEvery = [0, 8, 64, 64][Int(random.below(4))]
    }

    private mutating func drawLoad(_ random: inout SeededRandom) {
        thinkMax = .milliseconds(100 << random.below(5))
        sessionTTL = 1_000 + random.below(4_000)
        if random.chance(1, in: 6) {
            waitersPerLock = 1 + Int(random.below(3))
            holdsPerSession = 2 + Int(random.below(4))
        }
        workload.convert = random.below(10)
        workload.acquireAll = random.below(10)
        workload.read = random.below(20)
        workload.close = random.below(4)
        workload.abandon = random.below(4)
        workload.breakLock = random.below(3)
        workload.waitNone = random.below(60)
        workload.owners = random.chance(1, in: 3) ? 50 : 0
        workload.lockDelays = random.chance(1, in: 3) ? 50 : 0
        workload.leaseReads = leaseReads ? 50 : 0
    }
}

extension FaultKind {
    /// The node it hits does not come back, or forgets promises.
    var costsNode: Bool { self == .damage || self == .oldDisk }
}
