// SPDX-License-Identifier: Apache-2.0
import Testing

extension RealProcesses {
    @Suite("Data on disk", .serialized)
    struct Storage {
        @Test("a torn tail is cut: garbage after the last record costs nothing that was acknowledged")
        func garbageTail() throws {
            try withCluster(nodes: 1) { cluster in
                let node = cluster.nodes[0]
                let held = try HeldLocks(node, count: 30)
                try node.kill()
                let newest = try #require(try DataFolder(node).segments().last)
                // A record may end in zeros of its own; the gap keeps clear of those.
                let garbage = (0..<53).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) }
                try newest.write(garbage, at: newest.used + 64)
                try cluster.startAll()
                try held.verify(on: [node])
                try held.verifyTokensRise(on: [node])
            }
        }

        @Test("a last record of which the end is missing: the node starts and is brought up to date by the others")
        func tornRecord() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 30)
                let leader = try cluster.leader()
                let follower = try #require(cluster.others(than: leader).first)
                try follower.kill()
                let newest = try #require(try DataFolder(follower).segments().last)
                try newest.write([0, 0, 0, 0, 0], at: newest.used - 5)
                let load = LockLoad(cluster.others(than: follower))
                try load.progress(by: 50)
                try cluster.start(follower)
                try follower.waitUntilReady()
                try load.finish()
                try cluster.waitUntilEqual()
                try held.verify(on: [follower])
            }
        }

        @Test("damage in the middle of the log is reported, never cut: the node does not serve, the cluster goes on")
        func damagedMiddle() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 30)
                let leader = try cluster.leader()
                let follower = try #require(cluster.others(than: leader).first)
                try follower.kill()
                let oldest = try #require(try DataFolder(follower).segments().first)
                let middle = oldest.used / 2
                let byte = try #require(try oldest.read(at: middle, count: 1).first)
                try oldest.write([byte ^ 0x40], at: middle)

                let before = follower.log.utf8.count
                try cluster.start(follower)
                let ending = try follower.waitForEnd()
                #expect(ending != .exited(0))
                let said = String(follower.log.utf8.dropFirst(before)) ?? ""
                #expect(said.contains(".log"), "the message names no file: \(said)")
                #expect(said.lowercased().contains("damage"), "\(said)")
                #expect(try DataFolder(follower).segments().first?.used == oldest.used, "damage was cut away")
                try held.verify(on: cluster.others(than: follower))
                let load = LockLoad(cluster.others(than: follower))
                try load.progress(by: 50)
                try load.finish()
            }
        }

        @Test("a second process on the same data folder ends at once and says why; the first goes on")
        func secondProcess() throws {
            try withCluster(nodes: 1) { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 3)
                let second = try TestCluster(nodes: 1)
                second.nodes[0].dataDirectory = cluster.nodes[0].dataDirectory
                try second.start(second.nodes[0])
                #expect(try second.nodes[0].waitForEnd() != .exited(0))
                let said = second.nodes[0].log
                #expect(said.contains(cluster.nodes[0].dataDirectory) && said.lowercased().contains("use"), "\(said)")
                try held.verify(on: cluster.nodes)
            }
        }

        @Test("a node started with another id on old data ends at once and names both ids")
        func otherIdentity() throws {
            try withCluster(nodes: 1) { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 3)
                try cluster.nodes[0].stop()
                let old = cluster.nodes[0]
                let other = TestNode(
                    name: "impostor",
                    host: old.host,
                    ports: [old.clientPort, old.httpPort, old.peerPort],
                    dataDirectory: old.dataDirectory,
                    logPath: cluster.directory.path + "/impostor.log"
                )
                try other.start(peers: "impostor=\(old.peerAddress)")
                #expect(try other.waitForEnd() != .exited(0))
                #expect(other.log.contains("impostor") && other.log.contains("n0"), "\(other.log)")
                try cluster.startAll()
                try held.verify(on: cluster.nodes)
            }
        }

        @Test("old data in another cluster: a node with another cluster id ends at once")
        func otherCluster() throws {
            try withCluster(nodes: 1, settings: ["--cluster-id", "000000000000000000000000000000aa"]) { cluster in
                let node = cluster.nodes[0]
                let held = try HeldLocks(node, count: 3)
                try node.stop()
                node.settings = ["--cluster-id", "000000000000000000000000000000bb"]
                try cluster.start(node)
                #expect(try node.waitForEnd() != .exited(0))
                #expect(node.log.lowercased().contains("cluster"), "\(node.log)")
                node.settings = ["--cluster-id", "000000000000000000000000000000aa"]
                try cluster.startAll()
                try held.verify(on: cluster.nodes)
            }
        }

        @Test("a node whose disk is lost is kept out until its operator accepts the loss; then it gets everything back")
        func lostDisk() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 5, ttlMilliseconds: 120_000)
                // Not the first by name, which would found a cluster of its own.
                let victim = cluster.nodes[2]
                let others = cluster.others(than: victim)
                try victim.kill()
                try require(["rm", "-rf", victim.dataDirectory])
                try cluster.start(victim)
                try eventually("it is told why it is kept out, and how to go on") {
                    victim.log.contains("newer data") && victim.log.contains("--accept-data-loss")
                }
                #expect(!victim.isReady)
                try held.verify(on: others)

                try victim.kill()
                victim.settings.append("--accept-data-loss")
                try cluster.start(victim)
                try victim.waitUntilReady()
                try cluster.waitUntilEqual()
                try held.verify(on: cluster.nodes)
                #expect(victim.log.contains("without accept-data-loss next time"))
            }
        }

        @Test("other members, copies or quotas than the data's are refused: two majorities could not see each other")
        func otherMembers() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 5, ttlMilliseconds: 120_000)
                let victim = cluster.nodes[1]
                let settings = victim.settings
                try victim.kill()
                victim.settings = settings + ["--replicas", "1"]
                try cluster.start(victim)
                try eventually("it ends") { !victim.isRunning }
                #expect(victim.log.contains("3 copies") && victim.log.contains("1 copies"), "\(victim.log.suffix(500))")
                victim.settings = settings + ["--max-locks", "17"]
                try cluster.start(victim)
                try eventually("it ends") { !victim.isRunning }
                #expect(victim.log.contains("quotas"), "\(victim.log.suffix(500))")
                victim.settings = settings
                try cluster.start(victim)
                try victim.waitUntilReady()
                try held.verify(on: cluster.nodes)
            }
        }
    }
}
