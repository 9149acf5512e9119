// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives

/// Who has which shard.
extension RedisClient {
    func server(of shard: ShardID) -> RedisServer? {
        guard address.isCluster else { return servers[address.hosts[0]] }
        return slots[layout.slot(shard)].flatMap { servers[$0] }
    }

    /// Those that hold keys.
    var primaries: [RedisServer] {
        guard address.isCluster else { return orderedServers }
        return orderedServers.filter { slots.hosts.contains($0.host) }
    }

    var hasServerForEverySlot: Bool {
        guard address.isCluster else { return servers[address.hosts[0]]?.connection != nil }
        return slots.isComplete && slots.hosts.allSatisfy { servers[$0]?.connection != nil }
    }

    /// Learns the slots from any server, soon; not more often than allowed.
    func askSlots() {
        guard address.isCluster, !isStopped, !isAskingSlots, slotsTimer == nil else { return }
        let earliest = lastSlotsRequest.map { $0 + TimeAmount(configuration.topologyInterval) } ?? .now()
        if earliest > .now() {
            slotsTimer = eventLoop.assumeIsolated().scheduleTask(deadline: earliest) {
                self.slotsTimer = nil
                self.askSlots()
            }
            return
        }
        let connected = orderedServers.filter { $0.connection != nil }
        guard !connected.isEmpty else { return }
        // Another one each time: one may know only old news.
        let server = connected[Int(random.below(UInt64(connected.count)))]
        isAskingSlots = true
        lastSlotsRequest = .now()
        submit(.slots, to: server, isInternal: true) { outcome in
            self.isAskingSlots = false
            switch outcome {
            case .answered(let reply, _):
                if let map = SlotMap(reply, asked: server.host) { self.adopt(map) }
            case .failed(let error): server.note(error: "CLUSTER SLOTS: \(error)")
            }
            self.publish()
        }
    }

    private func adopt(_ map: SlotMap) {
        slots = map
        for host in map.hosts { addServer(host) }
        let gone = orderedServers.filter { !map.hosts.contains($0.host) }
        for server in gone {
            servers[server.host] = nil
            server.stop("it no longer holds any slot")
        }
    }
}
