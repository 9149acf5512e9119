// SPDX-License-Identifier: Apache-2.0
import Primitives

/// A named kind of run: what is drawn for a seed, and what the nemesis may do.
package struct Scenario: Sendable {
    package let name: String
    package let summary: String
    private let tune: @Sendable (inout Swarm, inout SeededRandom) -> Void

    init(_ name: String, _ summary: String, _ tune: @escaping @Sendable (inout Swarm, inout SeededRandom) -> Void) {
        self.name = name
        self.summary = summary
        self.tune = tune
    }

    func configure(_ random: inout SeededRandom) -> Swarm {
        var swarm = Swarm.mixed(&random)
        tune(&swarm, &random)
        return swarm
    }

    package static func named(_ name: String) -> Scenario? { all.first { $0.name == name } }

    /// The default.
    package static let mix = Scenario("mix", "everything random, all kinds of fault") { _, _ in }

    package static let all: [Scenario] = [
        mix,
        Scenario("calm", "no faults at all") { swarm, _ in swarm.faults = [] },
        only("partitions", "full, one-way, partial and flapping partitions") {
            [.partition, .isolateNode, .isolateLeader, .oneWay, .bridge, .flapping]
        },
        Scenario("bridge", "A–B–C with A–C cut: one leader stays, terms do not inflate") { swarm, _ in
            swarm.queues.clients = 0
            swarm.nodes = 3
            swarm.faults = [.bridge]
            // Two at once cut a node off altogether.
            swarm.maxConcurrentFaults = 1
            swarm.preferLeaders = false
            // Time for the last one's connections to come back.
            swarm.calmMin = .milliseconds(5_000)
            swarm.calmMax = .milliseconds(8_000)
            // Nobody's turn takes so long that a heartbeat is missed.
            swarm.latencyMax = .milliseconds(2)
            swarm.leaveMinorityDead = false
            swarm.maxElections = UInt64(swarm.shards)
        },
        only("datagrams", "loss, duplication, reordering and delay") { [.loss, .duplication, .reordering, .delay] },
        only("crashes", "processes are killed, machines lose power") { [.kill, .killLeader, .powerCut, .tornWrite] },
        only("power-cut", "the whole cluster loses power again and again") { [.clusterPowerCut] },
        only("pause-leader", "the leader stops and goes on after its time is over", nodes: 3) { [.pauseLeader] },
        only("slow-disk", "a disk takes up to two seconds for a sync") { [.slowDisk] },
        only("full-disk", "a disk has no space left for a while") { [.fullDisk] },
        only("clock-drift", "clocks change their rate within ten per cent") {
            [.clockDrift, .pauseLeader, .isolateLeader]
        },
        only("old-disk", "a node comes back with an older image of its disk", nodes: 3) { [.oldDisk, .killLeader] },
        only("damage", "a bit flips in the middle of a log", nodes: 3) { [.damage, .kill] },
        only("transfers", "leadership is handed around") { [.transferLeadership, .kill] },
        Scenario("snapshots", "tiny logs: followers are caught up by snapshots") { swarm, random in
            swarm.faults = [.isolateNode, .kill, .powerCut, .connectionReset, .pause]
            swarm.nodes = 3
            swarm.snapshotLogBytes = 2048
            swarm.snapshotChunkBytes = 64 << Int(random.below(4))
            swarm.compactionTailEntries = 0
        },
        Scenario("leases", "reads from the leader's lease under drifting clocks") { swarm, _ in
            swarm.faults = [.isolateLeader, .pauseLeader, .clockDrift, .oneWay, .delay]
            swarm.leaseReads = true
            swarm.workload.read = 60
            swarm.workload.leaseReads = 80
        },
        Scenario("stale-read", "reads while leaders are cut off and old replies are on their way") { swarm, _ in
            swarm.queues.clients = 0
            swarm.nodes = 3
            swarm.faults = [.isolateLeader, .pauseLeader, .pauseLeader, .oneWay, .delay, .swizzle]
            swarm.latencyMax = .milliseconds(5)
            swarm.turnInputs = 1
            swarm.faultMax = .milliseconds(1_500)
            swarm.workload.read = 80
            swarm.thinkMax = .milliseconds(60)
            swarm.clients = 6
        },
        Scenario("figure-8", "leaders change with entries of old terms in flight (Raft figure 8)") { swarm, random in
            swarm.queues.clients = 0
            swarm.nodes = random.chance(1, in: 2) ? 3 : 5
            swarm.faults = [.isolateLeader, .killLeader, .oneWay, .slowDisk]
            swarm.faultMin = .milliseconds(50)
            swarm.faultMax = .milliseconds(700)
            swarm.calmMin = .milliseconds(20)
            swarm.calmMax = .milliseconds(400)
            swarm.thinkMax = .milliseconds(50)
            swarm.preferLeaders = false
        },
        Scenario("deposed-expiry", "leaders come and go within a session's time to live") { swarm, random in
            swarm.queues.clients = 0
            swarm.nodes = 3
            swarm.faults = [.isolateLeader, .pauseLeader, .transferLeadership]
            swarm.sessionTTL = 1_000 + random.below(500)
            swarm.faultMin = .milliseconds(300)
            swarm.faultMax = .milliseconds(1_200)
            swarm.calmMax = .milliseconds(800)
            swarm.workload.abandon = 5
            swarm.preferLeaders = true
        },
        Scenario("sessions", "sessions end while they wait, and are granted nothing") { swarm, _ in
            swarm.queues.clients = 0
            swarm.workload.abandon = 10
            swarm.workload.close = 6
            swarm.workload.waitNone = 5
            swarm.workload.waitTimed = 30
            swarm.names = 2
            swarm.clients = 6
            swarm.thinkMax = .milliseconds(100)
        },
        Scenario("owner-deadlock", "owners wait for themselves across namespaces and shards") { swarm, random in
            swarm.faults = []
            swarm.nodes = 3
            swarm.shards = 2 + Int(random.below(3))
            swarm.namespaces = 4
            swarm.names = 2
            swarm.clients = 6
            swarm.sessionsPerClient = 2
            swarm.thinkMax = .milliseconds(60)
            swarm.workload = Workload()
            swarm.workload.owners = 100
            swarm.workload.waitNone = 0
            swarm.workload.waitTimed = 5
            swarm.workload.semaphore = 0
            swarm.workload.breakLock = 0
            swarm.workload.abandon = 0
            swarm.deadlockBudget = .milliseconds(5_000)
            swarm.queues.clients = 0
        },
        Scenario("queues", "busy queues under all kinds of fault") { swarm, _ in
            swarm.clients = 1
            swarm.queues.clients = 4
            swarm.queues.thinkMax = .milliseconds(120)
        },
        Scenario("queue-snapshots", "messages leave the log and are read back") { swarm, random in
            swarm.faults = [.isolateNode, .kill, .powerCut, .clusterPowerCut, .transferLeadership, .slowDisk]
            swarm.nodes = 3
            swarm.clients = 1
            swarm.snapshotLogBytes = 1_024 << Int(random.below(3))
            swarm.snapshotChunkBytes = 1_024
            swarm.compactionTailEntries = 0
            swarm.queues.clients = 3
            swarm.queues.thinkMax = .milliseconds(120)
            swarm.queues.workload.named = 40
            swarm.queues.workload.delayed = 20
        },
        Scenario("queue-consumers", "consumers come, go, are cut off and resume") { swarm, _ in
            swarm.faults = [
                .killLeader, .isolateLeader, .pauseLeader, .connectionReset, .transferLeadership, .clientPause,
            ]
            swarm.nodes = 3
            swarm.clients = 1
            swarm.queues.clients = 4
            swarm.queues.thinkMax = .milliseconds(120)
            swarm.queues.consumerTTL = 1_000
            swarm.queues.workload.withConsumer = 95
            swarm.queues.workload.open = 15
            swarm.queues.workload.close = 4
            swarm.queues.workload.abandon = 3
            swarm.queues.workload.resume = 6
        },
        cache("cache", "busy lines under all kinds of fault") { _, _ in },
        cache("cache-homes", "homes move, and nodes lose their leases") { swarm, random in
            swarm.nodes = 3
            swarm.shards = 1 + Int(random.below(2))
            swarm.faults = [
                .isolateLeader, .pauseLeader, .transferLeadership, .killLeader, .isolateNode, .oneWay, .pause,
            ]
            swarm.faultMin = .milliseconds(300)
            swarm.faultMax = .milliseconds(5_000)
            swarm.cache.volatile = 0
        },
        cache("cache-volatile", "owners write without the log, and write back") { swarm, random in
            swarm.cache.volatile = 80
            swarm.cache.workload.set = 40
            // In half of the runs no owner is lost, so that everything is kept.
            if random.chance(1, in: 2) { swarm.faults = [.transferLeadership, .delay, .reordering, .duplication] }
        },
        cache("cache-together", "many clients of a node write the same keys at the same time") { swarm, random in
            swarm.nodes = 3
            swarm.cache.clients = 9
            swarm.cache.texts = 1
            swarm.cache.numbers = 1
            swarm.cache.hot = 2
            swarm.cache.thinkMax = .milliseconds(10)
            swarm.cache.volatile = random.chance(1, in: 3) ? 50 : 0
            swarm.cache.workload.get = 20
            swarm.cache.workload.set = 40
            swarm.cache.workload.add = 40
            swarm.cache.workload.append = 10
        },
    ]

    private static func cache(
        _ name: String,
        _ summary: String,
        _ tune: @escaping @Sendable (inout Swarm, inout SeededRandom) -> Void
    ) -> Scenario {
        Scenario(name, summary) { swarm, random in
            swarm.clients = 1
            swarm.queues.clients = 0
            swarm.cache.crowd()
            tune(&swarm, &random)
        }
    }

    private static func only(
        _ name: String,
        _ summary: String,
        nodes: Int? = nil,
        _ faults: @escaping @Sendable () -> [FaultKind]
    ) -> Scenario {
        Scenario(name, summary) { swarm, _ in
            swarm.faults = faults()
            if let nodes { swarm.nodes = nodes } else if swarm.nodes == 1 { swarm.nodes = 3 }
        }
    }
}
