// SPDX-License-Identifier: Apache-2.0
import Gateway
import LockCore
import Primitives
import Replica

/// The watches of one loop's connections, by shard. Shards that this node holds are watched in its own replicas;
/// for others a node that does is asked, again and again, since it forgets after a while.
struct WatchTable {
    fileprivate struct Watch {
        var shard: ShardID
        var namespace: Name
        /// Empty: every name.
        var names: Set<Name>
        var sink: (LockEvent) -> Void
    }

    static let renewalInterval = Interval.milliseconds(5_000)

    private var watches: [WatchHandle: Watch] = [:]
    private var shards: [ShardID: Int] = [:]
    private var nextHandle: UInt64 = 1
    private var renewAt = Instant.zero

    mutating func add(
        namespace: Name,
        names: [Name],
        shard: ShardID,
        sink: @escaping (LockEvent) -> Void,
        _ loop: ShardLoop
    ) -> WatchHandle {
        let handle = WatchHandle(nextHandle)
        nextHandle += 1
        watches[handle] = Watch(shard: shard, namespace: namespace, names: Set(names), sink: sink)
        shards[shard, default: 0] += 1
        loop.context.watchersChanged(by: 1)
        subscribe(shard, loop)
        return handle
    }

    mutating func remove(_ handle: WatchHandle, _ loop: ShardLoop) {
        guard let watch = watches.removeValue(forKey: handle) else { return }
        loop.context.watchersChanged(by: -1)
        shards[watch.shard, default: 1] -= 1
        if shards[watch.shard] == 0 { shards[watch.shard] = nil }
    }

    mutating func tick(_ loop: ShardLoop) {
        guard !shards.isEmpty else { return }
        let now = NodeClock.now()
        guard now >= renewAt else { return }
        renewAt = now + Self.renewalInterval
        for shard in shards.keys { subscribe(shard, loop) }
    }

    func deliver(_ events: [LockEvent], of shard: ShardID) {
        guard shards[shard] != nil else { return }
        for watch in watches.values where watch.shard == shard {
            for event in events where watch.wants(event) { watch.sink(event) }
        }
    }

    private func subscribe(_ shard: ShardID, _ loop: ShardLoop) {
        let holders = loop.context.map.placement[Int(shard.rawValue)]
        guard !holders.contains(loop.context.node) else { return }
        guard let source = loop.router.leader(of: shard) ?? holders.first else { return }
        loop.enqueue(.watch(shard, true), to: source)
        loop.scheduleTurn()
    }
}

extension WatchTable.Watch {
    fileprivate func wants(_ event: LockEvent) -> Bool {
        switch event {
        case .granted(let namespace, let name, _, _, _), .released(let namespace, let name, _),
            .queued(let namespace, let name, _, _), .broken(let namespace, let name, _):
            namespace == self.namespace && (names.isEmpty || names.contains(name))
        case .deadlock(let namespace, let cycle, _):
            namespace == self.namespace && (names.isEmpty || cycle.contains { names.contains($0.name) })
        case .sessionOpened(let session), .sessionEnded(let session, _):
            names.isEmpty && session.namespace == self.namespace
        }
    }
}
