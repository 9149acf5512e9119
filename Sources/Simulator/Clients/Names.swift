// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import Replica

/// The namespaces and names of a run, made once so that the run itself builds no strings.
struct NameTable {
    let namespaces: [Name]
    let locks: [Name]
    let semaphores: [Name]
    let elections: [Name]
    let shards: [Int]

    init(swarm: Swarm) {
        namespaces = (0..<swarm.namespaces).map { $0 == 0 ? Name.defaultNamespace : Name("space\($0)") }
        locks = (0..<swarm.names).map { Name("lock\($0)") }
        semaphores = (0..<max(1, swarm.names / 2)).map { Name("semaphore\($0)") }
        elections = (0..<max(1, swarm.names / 3)).map { Name("election\($0)") }
        shards = namespaces.map { Int(Router.shard(for: $0, count: swarm.shards).rawValue) }
    }

    /// Semaphores have a size that follows from their name, so that all clients agree on it.
    func limit(ofSemaphore position: Int) -> UInt64 { UInt64(position % 3 + 1) }
}

/// The lines of a run's queues and of their dead-letter queues.
struct LineTable {
    struct Line {
        var name: Name
        var queue: Int
        var lane: Int
        var shard: Int
        var settings: QueueSettings
        var isDeadLetter: Bool
    }

    /// By queue, then lane; a queue's dead-letter lines follow its own.
    let lines: [Line]
    /// Where each queue's lines begin.
    private let starts: [Int]
    private let maps: [LaneMap]
    let keys: [Name] = ["key-a", "key-b", "key-c", "key-d"]
    let tenants: [Name] = ["tenant-a", "tenant-b", "tenant-c"]
    let dedups: [Name] = (0..<24).map { Name("id-\($0)") }

    init(swarm: Swarm) {
        var lines: [Line] = []
        var starts: [Int] = []
        var maps: [LaneMap] = []
        for (queue, settings) in swarm.queues.settings.enumerated() {
            let own = LaneMap(queue: Name("queue\(queue)"), lanes: Int(settings.lanes))
            starts.append(lines.count)
            maps.append(own)
            var dead = QueueSettings()
            dead.lanes = settings.lanes
            dead.leaseMilliseconds = 1_000
            let deadLines = LaneMap(queue: Name("{queue\(queue)}.dead"), lanes: Int(settings.lanes))
            for (map, settings, isDead) in [(own, settings, false), (deadLines, dead, true)] {
                for (lane, name) in map.lines.enumerated() {
                    let shard = Int(QueuePlacement.shard(ofLine: name, count: swarm.shards).rawValue)
                    lines.append(
                        Line(
                            name: name,
                            queue: queue,
                            lane: lane,
                            shard: shard,
                            settings: settings,
                            isDeadLetter: isDead
                        )
                    )
                }
            }
        }
        self.lines = lines
        self.starts = starts
        self.maps = maps
    }

    var queueCount: Int { maps.count }

    func line(ofQueue queue: Int, key: Name) -> Int { starts[queue] + maps[queue].lane(forKey: key) }

    func line(ofQueue queue: Int, turn: UInt64) -> Int { starts[queue] + maps[queue].lane(forTurn: turn) }
}
