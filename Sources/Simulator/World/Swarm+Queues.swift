// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import QueueCore

/// The queues of a run and what their clients do.
package struct QueueSwarm: Sendable {
    /// One for each queue: `queue0`, `queue1` and so on. `deadLetter` is empty or `{queue0}.dead`.
    package var settings: [QueueSettings] = []
    /// Clients that use queues only; the others use locks only.
    package var clients = 0
    package var limits = QueueLimits()
    package var consumerTTL: UInt64 = 2_000
    /// A client publishes nothing more to a line with so many messages.
    package var backlog = 60
    package var thinkMin = Interval.milliseconds(20)
    package var thinkMax = Interval.milliseconds(200)
    package var workload = QueueWorkload()
}

/// Relative weights of what clients of queues do, and how many in a hundred messages are of a kind.
package struct QueueWorkload: Sendable {
    package var publish: UInt64 = 30
    package var receive: UInt64 = 30
    package var settle: UInt64 = 40
    package var open: UInt64 = 6
    package var close: UInt64 = 1
    package var abandon: UInt64 = 1
    package var resume: UInt64 = 2
    package var cancelWait: UInt64 = 2
    package var cancelMessage: UInt64 = 2
    package var purge: UInt64 = 1
    package var pause: UInt64 = 2
    package var redrive: UInt64 = 3
    package var change: UInt64 = 1
    package var read: UInt64 = 6
    package var nonsense: UInt64 = 2

    package var keyed: UInt64 = 40
    package var prioritised: UInt64 = 30
    package var delayed: UInt64 = 12
    package var mortal: UInt64 = 10
    package var named: UInt64 = 20
    package var sequenced: UInt64 = 40
    package var tenants: UInt64 = 20
    package var guarded: UInt64 = 5
    /// Of settlements; the rest gives back, extends or rejects.
    package var acks: UInt64 = 60
    package var nacks: UInt64 = 18
    package var waits: UInt64 = 50
    package var withConsumer: UInt64 = 60

    var weights: [UInt64] {
        [
            publish, receive, settle, open, close, abandon, resume, cancelWait, cancelMessage, purge, pause, redrive,
            change, read, nonsense,
        ]
    }
}

extension QueueSwarm {
    static func mixed(_ random: inout SeededRandom) -> QueueSwarm {
        var swarm = QueueSwarm()
        swarm.clients = Int([0, 1, 2, 2, 3][Int(random.below(5))])
        let count = 1 + random.below(3)
        for queue in 0..<count { swarm.settings.append(drawSettings("queue\(queue)", &random)) }
        swarm.consumerTTL = 1_000 + random.below(4_000)
        swarm.thinkMax = .milliseconds(60 << random.below(4))
        swarm.drawLimits(&random)
        swarm.workload.keyed = random.below(80)
        swarm.workload.prioritised = random.below(60)
        swarm.workload.delayed = random.below(25)
        swarm.workload.mortal = random.below(20)
        swarm.workload.named = random.below(40)
        swarm.workload.sequenced = random.below(80)
        swarm.workload.tenants = random.chance(1, in: 2) ? random.below(80) : 0
        swarm.workload.waits = random.below(100)
        swarm.workload.withConsumer = random.below(100)
        swarm.workload.purge = random.below(3)
        swarm.workload.change = random.below(3)
        swarm.workload.nacks = 5 + random.below(30)
        return swarm
    }

    static func drawSettings(_ name: String, _ random: inout SeededRandom) -> QueueSettings {
        var settings = QueueSettings()
        settings.lanes = 1 + random.below(3)
        settings.leaseMilliseconds = 400 + random.below(4_000)
        settings.maxAttempts = [0, 1, 2, 3, 10][Int(random.below(5))]
        if random.chance(1, in: 2) { settings.deadLetter = Name("{\(name)}.dead") }
        if random.chance(1, in: 3) { settings.maxLength = 3 + random.below(20) }
        if random.chance(1, in: 6) { settings.maxBytes = 200 + random.below(2_000) }
        settings.overflow = random.chance(1, in: 2) ? .reject : .dropOldest
        if random.chance(1, in: 5) { settings.ttlMilliseconds = 1_000 + random.below(6_000) }
        settings.dedupMilliseconds = [0, 500, 5_000, 300_000][Int(random.below(4))]
        return settings
    }

    /// Small limits now and then, so that work is left for a later tick and bounds are reached.
    private mutating func drawLimits(_ random: inout SeededRandom) {
        limits.leaseGraceMilliseconds = [0, 300, 2_000][Int(random.below(3))]
        if random.chance(1, in: 3) {
            limits.workPerCommand = 2 + Int(random.below(6))
            limits.workPerQueue = 1 + Int(random.below(3))
        }
        if random.chance(1, in: 6) { limits.deliveriesPerCommand = 1 + Int(random.below(3)) }
        if random.chance(1, in: 8) { limits.inFlightPerQueue = 2 + Int(random.below(4)) }
        if random.chance(1, in: 8) { limits.deadPerQueue = 1 + Int(random.below(3)) }
        if random.chance(1, in: 8) { limits.tenantsPerQueue = 1 }
        if random.chance(1, in: 8) { limits.waitersPerQueue = 1 }
        if random.chance(1, in: 8) { limits.consumers = 1 }
    }
}
