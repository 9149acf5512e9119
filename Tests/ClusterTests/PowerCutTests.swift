// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension RealProcesses {
    @Suite(
        "A power cut of the whole cluster",
        .serialized,
        .enabled(if: Installation.hasLoopMounts, "needs root, mkfs.ext4 and a loop device to copy a disk as it stands")
    )
    struct PowerCut {
        /// Copies of the disks' images, taken while everything runs, hold what was synced and nothing that was not:
        /// what a power cut leaves. Whatever was confirmed before the first copy began must be in them.
        @Test("every message confirmed before it is delivered after it, none acked before it comes back")
        func powerCut() throws {
            let disks = try (0..<3).map { _ in try LoopFileSystem(mebibytes: 96, isDirect: true) }
            let settings = ["--snapshot-log-bytes", "64KiB", "--wal-segment-bytes", "1MiB"]
            try withCluster(settings: settings, start: false) { cluster in
                for (node, disk) in zip(cluster.nodes, disks) { node.dataDirectory = disk.path + "/data" }
                try cluster.startAll()
                let client = try cluster.nodes[0].connect()
                // A long lease: what is in flight at the cut must not come back for another reason than being unacked.
                _ = try client.command("QUEUE.DECLARE", "cut", "LEASE", "1000", "DEDUP", "600000")
                let writer = CutWriter(cluster.nodes[1])
                try eventually("messages are published", within: .seconds(20)) { writer.confirmed.count >= 1_500 }
                var acked: Set<String> = []
                for _ in 0..<10 {
                    let reply = try client.command("QUEUE.RECEIVE", "cut", "COUNT", "40")
                    for message in reply.elements ?? [] {
                        let body = try #require(message.field("body")?.text)
                        let receipt = try #require(message.field("receipt")?.text)
                        if try client.command("QUEUE.ACK", "cut", receipt).integer == 1 { acked.insert(body) }
                    }
                }
                let confirmed = writer.confirmed
                let copies = try disks.map { try $0.copyAsItStands() }
                writer.stop()
                try cluster.killAll()

                for (node, copy) in zip(cluster.nodes, copies) { node.dataDirectory = copy.path + "/data" }
                try cluster.startAll()
                // A disk is unmounted with its last use.
                let found = try withExtendedLifetime((disks, copies)) { try drain(cluster.nodes[2]) }
                let lost = confirmed.subtracting(acked).subtracting(found)
                #expect(lost.isEmpty, "\(lost.count) of \(confirmed.count) confirmed were lost, as \(lost.first ?? "")")
                let back = acked.intersection(found)
                #expect(back.isEmpty, "\(back.count) of \(acked.count) acked messages came back")
                #expect(confirmed.count >= 1_500 && acked.count >= 100)
            }
        }

        private func drain(_ node: TestNode) throws -> Set<String> {
            let client = try node.connect()
            var found: Set<String> = []
            var isEmpty = 0
            while isEmpty < 2 {
                let receive = ["QUEUE.RECEIVE", "cut", "COUNT", "200", "WAIT", "6000"]
                let reply = try client.command(receive, within: .seconds(20))
                let messages = try #require(reply.elements, "\(reply)")
                isEmpty = messages.isEmpty ? isEmpty + 1 : 0
                for message in messages { found.insert(try #require(message.field("body")?.text)) }
                let receipts = messages.compactMap { $0.field("receipt")?.text }
                if !receipts.isEmpty { _ = try client.command(["QUEUE.ACK", "cut"] + receipts) }
            }
            return found
        }
    }
}
