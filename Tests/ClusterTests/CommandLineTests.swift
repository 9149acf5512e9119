// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

extension RealProcesses {
    @Suite("The command line", .serialized)
    struct CommandLineTool {
        private func endpoints(_ cluster: TestCluster) -> [String] {
            cluster.nodes.flatMap { ["--endpoint", $0.clientEndpoint] }
        }

        @Test("syncline demo --no-stay shows everything and exits with 0, leaving no process behind")
        func demo() throws {
            let folder = try TemporaryDirectory()
            let (ending, output) = try run(
                [Installation.binary, "demo", "--no-stay", "--data-dir", folder.path + "/demo"],
                within: .seconds(90)
            )
            #expect(ending == .exited(0), "\(output)")
            for word in ["token", "deadlock", "kill", "redis has everything again"] {
                #expect(output.lowercased().contains(word), "\(output)")
            }
            #expect(try run(["pgrep", "-f", folder.path + "/demo"]).output.isEmpty)
        }

        @Test("syncline demo stays up after its tour until Ctrl-C, then leaves no process and no data behind")
        func demoStays() throws {
            let folder = try TemporaryDirectory()
            let demo = try ChildProcess([Installation.binary, "demo"], outputPath: folder.path + "/output")
            try eventually("the tour ends", within: .seconds(90), every: .milliseconds(100)) {
                if let ending = demo.ending { throw Violation("it ended with \(ending): \(demo.output)") }
                return demo.output.contains("stay up until Ctrl-C")
            }
            let children = try run(["pgrep", "-P", "\(demo.pid)"]).output.split(separator: "\n").compactMap {
                pid_t($0)
            }
            #expect(children.count == 3, "\(children)")
            demo.signal(SIGINT)
            #expect(try demo.wait(within: .seconds(30)) == .exited(0), "\(demo.output)")
            for child in children { #expect(kill(child, 0) != 0, "process \(child) is left") }
        }

        @Test("syncline lock holds the lock while its command runs, gives it the token, and passes its exit code on")
        func lock() throws {
            try withCluster { cluster in
                let folder = try TemporaryDirectory()
                let script = "env; touch \(folder.path)/started; while [ ! -e \(folder.path)/go ]; do :; done; exit 7"
                let command = try ChildProcess(
                    [Installation.binary, "lock", "job"] + endpoints(cluster) + ["--", "sh", "-c", script],
                    outputPath: folder.path + "/output"
                )
                try eventually("the command runs") { FileManager.default.fileExists(atPath: folder.path + "/started") }

                let client = try LockClient(cluster.nodes[0])
                let session = try client.openSession()
                #expect(try client.acquire("job", session: session) == nil)
                let variables = Self.variables(command.output)
                let token = try #require(variables["SYNCLINE_TOKEN"].flatMap { Int64($0) }, "\(command.output)")
                #expect(variables["SYNCLINE_SESSION"]?.isEmpty == false)
                #expect(try client.check("job", token: token))

                let rival = try run(
                    [Installation.binary, "lock", "job"] + endpoints(cluster) + ["--wait", "200ms", "--", "true"]
                )
                #expect(rival.ending != .exited(0) && rival.ending != .exited(7), "\(rival)")

                try Data().write(to: URL(fileURLWithPath: folder.path + "/go"))
                #expect(try command.wait() == .exited(7))
                #expect(try client.acquire("job", session: session, waitMilliseconds: 1_000) ?? 0 > token)
            }
        }

        private static func variables(_ output: String) -> [String: String] {
            var variables: [String: String] = [:]
            for line in output.split(separator: "\n") {
                let parts = line.split(separator: "=", maxSplits: 1)
                if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
            }
            return variables
        }

        @Test("a signal ends a syncline lock that still waits, and its place in the line goes with it")
        func lockInterrupted() throws {
            try withCluster { cluster in
                let folder = try TemporaryDirectory()
                let client = try LockClient(cluster.nodes[0])
                let session = try client.openSession()
                _ = try client.acquire("job", session: session)
                let tool = try ChildProcess(
                    [Installation.binary, "lock", "job", "--wait", "60s"] + endpoints(cluster) + ["--", "true"],
                    outputPath: folder.path + "/output"
                )
                let waiters = "\"waiters\":[]"
                try eventually("it stands in line") {
                    let text = try cluster.nodes[1].http("GET", "/v1/locks/job").text
                    return text.contains(session) && !text.contains(waiters)
                }
                tool.signal(SIGTERM)
                #expect(try tool.wait() == .exited(128 + SIGTERM), "\(tool.output)")
                try eventually("its place is free") {
                    try cluster.nodes[1].http("GET", "/v1/locks/job").text.contains(waiters)
                }
            }
        }

        @Test("with the cluster gone, syncline lock ends its command before the session can expire")
        func lockKillsInTime() throws {
            try withCluster { cluster in
                let folder = try TemporaryDirectory()
                // A command that will not hear TERM must be killed.
                let script = """
                    trap 'touch \(folder.path)/term' TERM
                    echo $$ > \(folder.path)/pid; mv \(folder.path)/pid \(folder.path)/started
                    while :; do :; done
                    """
                let ttl = Duration.seconds(4)
                let tool = try ChildProcess(
                    [Installation.binary, "lock", "job", "--ttl", "4s"] + endpoints(cluster) + [
                        "--", "sh", "-c", script,
                    ],
                    outputPath: folder.path + "/output"
                )
                let pid = try eventually("the command runs") {
                    let text = try String(contentsOfFile: folder.path + "/started", encoding: .utf8)
                    return pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines))
                }
                // From here no renewal is answered: the session may expire `ttl` after the last one, which was before.
                let paused = ContinuousClock.now
                for node in cluster.nodes { node.pause() }
                try eventually("the command is ended", within: .seconds(20)) { kill(pid, 0) != 0 }
                let took = ContinuousClock.now - paused
                #expect(took < ttl, "the command lived for \(took) after the last answer: \(tool.output)")
                #expect(FileManager.default.fileExists(atPath: folder.path + "/term"), "no TERM before KILL")
                #expect(try tool.wait(within: .seconds(20)) == .exited(122), "\(tool.output)")
                for node in cluster.nodes { node.resume() }
            }
        }

        @Test("syncline cluster status and locks list work through any node, also as JSON")
        func listing() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 3)
                for node in cluster.nodes {
                    let endpoint = ["--endpoint", node.clientEndpoint]
                    let http = ["--http", "\(node.host):\(node.httpPort)"]
                    let status = try run([Installation.binary, "cluster", "status"] + endpoint + http)
                    #expect(status.ending == .exited(0), "\(status.output)")
                    for other in cluster.nodes { #expect(status.output.contains(other.name), "\(status.output)") }
                    let list = try run([Installation.binary, "locks", "list", "--output", "json"] + endpoint)
                    #expect(list.ending == .exited(0), "\(list.output)")
                    #expect((try? JSONSerialization.jsonObject(with: Data(list.output.utf8))) != nil, "\(list.output)")
                    for (name, _) in held.tokens { #expect(list.output.contains(name)) }
                }
            }
        }

        @Test("what is wrong on the command line or unreachable is said, with another exit code than 0")
        func errors() throws {
            let port = try #require(try FreePorts.take(1).first)
            for words in [
                ["node", "--no-such-flag"], ["node", "--client-port", "99999"], ["lock"], ["no-such-command"],
                ["node", "--host", "0.0.0.0", "--data-dir", "/nonexistent/none"],
                ["locks", "list", "--endpoint", "127.0.0.1:\(port)"],
            ] {
                let (ending, output) = try run([Installation.binary] + words, within: .seconds(20))
                #expect(ending != .exited(0), "\(words)")
                #expect(!output.isEmpty && !output.contains("Fatal error"), "\(words): \(output)")
            }
        }
    }
}
