// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension RealProcesses {
    @Suite("The cache's front ends on three nodes", .serialized)
    struct CacheFrontEnds {
        @Test("a value put at one node is read at another by HTTP, and set only while it is that one")
        func http() throws {
            try withCluster { cluster in
                let nodes = cluster.nodes
                try eventually("the cache serves") {
                    try nodes[0].http("PUT", "/v1/cache/a%2Fb", body: "1").status == 200
                }
                let read = try nodes[1].http("GET", "/v1/cache/a%2Fb")
                #expect(read.status == 200 && read.text == "1" && read.headers["syncline-state"] == "E")
                let tag = try #require(read.headers["etag"])
                let set = try nodes[2].http("PUT", "/v1/cache/a%2Fb", body: "2", headers: ["If-Match": tag])
                #expect(set.status == 200, "\(set.text)")
                let late = try nodes[0].http("PUT", "/v1/cache/a%2Fb", body: "3", headers: ["If-Match": tag])
                #expect(late.status == 412 && late.code == "condition_failed")
                for node in nodes { #expect(try node.http("GET", "/v1/cache/a%2Fb").text == "2") }
                let line = try nodes[0].http("GET", "/v1/cache/a%2Fb/line").object["nodes"] as? [[String: Any]] ?? []
                #expect(line.map { $0["state"] as? String } == ["S", "S", "S"])
                let newer = try #require(set.headers["etag"])
                let again = try nodes[0].http("GET", "/v1/cache/a%2Fb", headers: ["If-None-Match": newer])
                #expect(again.status == 304 && again.body.isEmpty)
                #expect(try nodes[0].http("DELETE", "/v1/cache/a%2Fb").object["removed"] as? Bool == true)
                #expect(try nodes[1].http("GET", "/v1/cache/a%2Fb").status == 404)
            }
        }

        @Test("syncline cache sets, reads, counts and shows, whichever node it asks")
        func commandLine() throws {
            try withCluster { cluster in
                func cache(_ node: Int, _ words: String...) throws -> (ending: ChildProcess.Ending, output: String) {
                    try run(
                        [Installation.binary, "cache"] + words + ["--endpoint", cluster.nodes[node].clientEndpoint]
                    )
                }
                try eventually("the cache serves") { try cache(0, "set", "k", "v").ending == .exited(0) }
                #expect(try cache(1, "get", "k").output == "v")
                #expect(try cache(1, "get", "none").ending == .exited(125))
                #expect(try cache(2, "set", "k", "w", "--if-absent").ending == .exited(125))
                #expect(try cache(2, "incr", "n", "--by", "-3").output == "-3\n")
                #expect(try cache(0, "line", "k").output.contains("home"))
                #expect(try cache(0, "scan").output.split(separator: "\n").sorted() == ["k", "n"])
                #expect(try cache(0, "del", "k", "none").output == "removed 1 of 2\n")
            }
        }

        @Test("what a home's own node owns is fetched at once, not when the home asks again")
        func ownedAtHome() throws {
            try withCluster { cluster in
                let connections = try cluster.nodes.map { try $0.connect() }
                try eventually("the cache serves") { try connections[0].command("SET", "k", "1").text == "OK" }
                var times: [Duration] = []
                for number in 0..<60 where times.count < 15 {
                    let key = "key-\(number)"
                    let home = try connections[0].command("LINE", key).field("home")?.text
                    guard let owner = cluster.nodes.firstIndex(where: { $0.name == home }) else { continue }
                    _ = try connections[owner].command("GET", key)
                    #expect(try connections[owner].command("SET", key, "v", "DURABILITY", "volatile").text == "OK")
                    let began = ContinuousClock.now
                    #expect(try connections[(owner + 1) % 3].command("GET", key).text == "v")
                    times.append(began.duration(to: .now))
                }
                try #require(times.count == 15)
                // Homes ask again after half a second.
                #expect(times.sorted()[7] < .milliseconds(250), "\(times)")
            }
        }
    }
}
