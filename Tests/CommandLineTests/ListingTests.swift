// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import ClientTestSupport
import FoundationEssentials
import Testing

@testable import SynclineClient
@testable import SynclineCommands

@Suite("What the tool shows of locks, sessions and nodes", .timeLimit(.minutes(1)))
struct ListingTests {
    @Test("pages are asked for until there is no more, or enough")
    func pages() async {
        let entries = Array(0..<25)
        func page(_ cursor: UInt64, _ count: Int) -> ([Int], UInt64) {
            let start = Int(cursor)
            let end = min(start + min(count, 10), entries.count)
            return (Array(entries[start..<end]), end == entries.count ? 0 : UInt64(end))
        }
        let all = await Paging.collect(limit: 1000) { page($0, $1) }
        #expect(all.entries == entries && !all.hasMore)
        let some = await Paging.collect(limit: 12) { page($0, $1) }
        #expect(some.entries == Array(0..<12) && some.hasMore)
    }

    @Test("the numbers are those of all, not of the few that are listed; an election shows its value")
    func counts() {
        let holder = LockHolder(session: "s", label: "", mode: .exclusive, token: 1, count: 1, ageMilliseconds: 0)
        func info(_ value: [UInt8]) -> LockInfo {
            LockInfo(
                name: "e",
                namespace: "default",
                kind: .election,
                limit: 1,
                holders: [holder],
                holderCount: 30,
                waiters: [],
                waiterCount: 40,
                isDelayed: false,
                value: value
            )
        }
        #expect(LockTable.holders(info([])) == "s +29")
        let shown = LockTable.show(info(Array("10.0.0.1:80".utf8)))
        #expect(shown.contains("30 holding, 40 waiting") && shown.contains("value: 10.0.0.1:80"))
        #expect(LockTable.show(info([0x1b, 0x0a])).contains("value: 0x1b0a"))
        #expect(SessionTable.names(["a", "b"], count: 2) == "a b")
        #expect(SessionTable.names(["a", "b"], count: 20) == "a +19")
        #expect(SessionTable.names([], count: 0) == "-")
    }

    @Test("health in JSON: what was asked, whether it is so, and what is wrong")
    func health() throws {
        func report(_ isReady: Bool, _ status: Int, _ body: String) throws -> HealthReport {
            let text = JSONText.encode(HealthReport(isReady: isReady, HTTPResponse(status: status, body: body)))
            return try JSONDecoder().decode(HealthReport.self, from: Data(text.utf8))
        }
        let well = try report(false, 200, "ok\n")
        #expect(well.check == "live" && well.ok && well.status == 200 && well.detail == nil)
        let ill = try report(true, 503, #"{"detail": "shard 3 has no leader", "code": "not_ready"}"#)
        #expect(ill.check == "ready" && !ill.ok && ill.detail == "shard 3 has no leader")
    }

    @Test("closing a session that is not there is a failure, not the loss of a lock")
    func closeUnknownSession() async throws {
        let server = try await LoopbackServer.start { _, _ in .error("NOSESSION session 'x' does not exist") }
        let command = try SessionsCommand.Close.parse(["x", "--endpoint", "127.0.0.1:\(server.port)"])
        await #expect(throws: SynclineCommands.ExitStatus.failure) { try await command.run() }
        await server.stop()
    }

    @Test("commands do not wait long for a port that nobody listens at")
    func refusedPort() async throws {
        let server = try await LoopbackServer.start { _, _ in .ok }
        await server.stop()
        let command = try SessionsCommand.List.parse(["--endpoint", "127.0.0.1:\(server.port)"])
        let began = ContinuousClock.now
        await #expect(throws: SynclineCommands.ExitStatus.unreachable) { try await command.run() }
        #expect(ContinuousClock.now - began < .seconds(9))
    }
}
