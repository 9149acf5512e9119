// SPDX-License-Identifier: Apache-2.0
import Gateway
import PlacementCore
import Primitives
import Testing
import Wire

@testable import Node

@Suite struct AdministrationTests {
    /// Shard 0 on a and b, shard 1 on b and c, shard 2 on c and a.
    private let map: ClusterMap

    init() throws {
        let (a, b, c) = (NodeID(name: "a"), NodeID(name: "b"), NodeID(name: "c"))
        map = ClusterMap(
            peers: ["a", "b", "c"].map { PeerAddress(name: $0, host: $0, port: 1) },
            table: try PlacementTable(version: 1, members: ["a", "b", "c"], assignments: [[a, b], [b, c], [c, a]]),
            agreement: Agreement(names: ["a", "b", "c"], copies: 2)
        )
    }

    private func id(_ name: String) throws -> NodeID { try #require(map.member(named: name)?.id) }

    @Test("leadership goes only where there is a copy, and not to where it is")
    func transferTargets() throws {
        let (zero, two) = (ShardID(0), ShardID(2))
        let own = try id("a")
        func choose(_ shard: ShardID?, _ target: String?) throws -> [ShardID] {
            try NodeAdministrator.choose(shard, of: [zero, two], for: target.map { try id($0) }, node: own, map: map)
        }
        #expect(try choose(nil, nil) == [zero, two])
        #expect(try choose(nil, "b") == [zero])
        #expect(try choose(two, "c") == [two])
        #expect(throws: AdministrationError.notReplica(two, target: "b")) { try choose(two, "b") }
        #expect(throws: AdministrationError.leadsAlready(target: "a")) { try choose(zero, "a") }
        let c = try id("c")
        #expect(throws: AdministrationError.notReplica(nil, target: "c")) {
            try NodeAdministrator.choose(nil, of: [zero], for: c, node: own, map: map)
        }
        #expect(try NodeAdministrator.choose(nil, of: [], for: c, node: own, map: map) == [])
    }

    @Test("IPv6 addresses are told in brackets")
    func brackets() {
        #expect(HostPort.text("::1", 7700) == "[::1]:7700")
        #expect(HostPort.text("10.0.0.1", 7700) == "10.0.0.1:7700")
        #expect(PeerAddress(name: "a", host: "fe80::1", port: 2).text == "a=[fe80::1]:2")
    }
}
