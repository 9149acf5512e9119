// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import ClientTestSupport
import NIOCore
import Primitives
import Synchronization
import Testing

@testable import SynclineClient
@testable import SynclineCommands

@Suite("bench cache", .timeLimit(.minutes(1)))
struct BenchCacheTests {
    /// Keys and values of one node or several.
    private final class Store: Sendable {
        private let values = Mutex<[String: String]>([:])
        let lies = Mutex(false)
        let refusal = Mutex<String?>(nil)
        let isForgetful = Mutex(false)

        func answer(_ words: [String]) -> LoopbackServer.Answer {
            if let refusal = refusal.withLock({ $0 }) { return .error(refusal) }
            return values.withLock { values in
                guard words[0] == "GET" else {
                    values[words[1]] = words[2]
                    return .ok
                }
                if lies.withLock({ $0 }) { return .bulk("something else") }
                if isForgetful.withLock({ $0 }) { return .bytes("$-1\r\n") }
                return values[words[1]].map { .bulk($0) } ?? .bytes("$-1\r\n")
            }
        }
    }

    private func cell(_ workload: CacheBenchWorkload) -> CacheBenchCell {
        var cell = CacheBenchCell(workload: workload)
        (cell.clients, cell.pipeline, cell.keys, cell.size) = (5, 4, 200, 9)
        (cell.seconds, cell.warmup) = (1, 0)
        return cell
    }

    private func withNodes(
        _ store: Store,
        _ body: ([Endpoint], [LoopbackServer]) async throws -> Void
    ) async throws {
        let first = try await LoopbackServer.start { words, _ in store.answer(words) }
        let second = try await LoopbackServer.start { words, _ in store.answer(words) }
        try await body([first, second].map { Endpoint(host: "127.0.0.1", port: $0.port) }, [first, second])
        await first.stop()
        await second.stop()
    }

    @Test("every key is set once and read once at each node, then reads and writes are counted", arguments: [1, 2])
    func measures(threads: Int) async throws {
        try await withNodes(Store()) { endpoints, servers in
            var cell = cell(.get)
            cell.threads = threads
            let reads = try await CacheBenchRun(cell: cell, endpoints: endpoints).run()
            #expect(reads.operations > 0 && reads.errors == 0 && reads.isSound && reads.operationsPerSecond > 0)
            #expect(reads.latenciesMicroseconds.map(\.measure) == ["batch"])
            let keys = Set((0..<cell.keys).map { "bench:" + "\(100_000_000 + $0)".dropFirst() })
            let sets = servers.flatMap { $0.received("SET") }
            #expect(sets.count == cell.keys && Set(sets.map { $0[1] }) == keys)
            #expect(sets.allSatisfy { $0.count == 3 && $0[2] == "vvvvvvvvv" })
            for server in servers { #expect(Set(server.received("GET").map { $0[1] }) == keys) }
        }
    }

    @Test("writes say their durability, and the mix has one in twenty")
    func writes() async throws {
        try await withNodes(Store()) { endpoints, servers in
            var cell = cell(.set)
            (cell.durability, cell.pipeline) = (.volatile, 1)
            let writes = try await CacheBenchRun(cell: cell, endpoints: endpoints).run()
            #expect(writes.operations > 0 && writes.name == "set volatile")
            #expect(writes.latenciesMicroseconds.map(\.measure) == ["operation"])
            let sets = servers.flatMap { $0.received("SET") }
            #expect(sets.count > 2 * cell.keys && sets.allSatisfy { $0.suffix(2) == ["DURABILITY", "volatile"] })
        }
        try await withNodes(Store()) { endpoints, servers in
            let mix = try await CacheBenchRun(cell: cell(.mix), endpoints: endpoints).run()
            #expect(mix.isSound)
            let sets = servers.reduce(0) { $0 + $1.received("SET").count } - 200
            let gets = servers.reduce(0) { $0 + $1.received("GET").count } - 400
            #expect(sets > 0 && (10...40).contains(gets / sets), "\(gets) reads, \(sets) writes")
        }
    }

    @Test("a value written at one node is read at another; another value is found out")
    func miss() async throws {
        let store = Store()
        try await withNodes(store) { endpoints, servers in
            let result = try await CacheBenchMiss(cell: cell(.miss), endpoints: endpoints).run()
            #expect(result.operations > 0 && result.isSound && result.errors == 0)
            #expect(result.latenciesMicroseconds.map(\.measure) == ["read", "write"])
            #expect(servers.allSatisfy { !$0.received("GET").isEmpty && !$0.received("SET").isEmpty })
            // Each is read where it is written, then at the other node.
            #expect(servers[0].received.prefix(2).map { $0[0] } == ["GET", "SET"])
            #expect(servers[1].received.first == ["GET", "bench:miss:0"])
            #expect(servers[0].received("SET").first?.suffix(2) == ["DURABILITY", "volatile"])
            store.lies.withLock { $0 = true }
            let lies = try await CacheBenchMiss(cell: cell(.miss), endpoints: endpoints).run()
            #expect(lies.stale > 0 && !lies.isSound && lies.firstError?.contains("is not what was written") == true)
            await #expect(throws: SynclineError.self) {
                try await CacheBenchMiss(cell: cell(.miss), endpoints: [endpoints[0]]).run()
            }
        }
    }

    @Test("keys that cannot be set end it, keys that are gone are counted, a peer is compared")
    func faults() async throws {
        let store = Store()
        try await withNodes(store) { endpoints, _ in
            store.refusal.withLock { $0 = "OOM no room" }
            let error = await #expect(throws: SynclineError.self) {
                try await CacheBenchRun(cell: cell(.get), endpoints: endpoints).run()
            }
            #expect(error?.message.contains("OOM no room") == true)
            store.refusal.withLock { $0 = nil }
            store.isForgetful.withLock { $0 = true }
            var empty = try await CacheBenchRun(cell: cell(.get), endpoints: endpoints).run()
            #expect(empty.missing == empty.operations && !empty.isSound)
            store.isForgetful.withLock { $0 = false }
            empty.missing = 0
            empty.compare(with: try await CacheBenchRun(cell: cell(.get), endpoints: [endpoints[1]]).run())
            let ratio = try #require(empty.peer?.ratio)
            #expect(ratio > 0 && empty.isSound)
            let table = CacheBenchResult.table([empty], style: Style(isOn: false))
            #expect(table.contains("PEER") && table.contains(" ×"))
        }
    }

    @Test("replies are counted however they are cut")
    func counter() {
        let text = "+OK\r\n$3\r\na\r\n\r\n$-1\r\n_\r\n:5\r\n-BUSY no\r\n$0\r\n\r\n-ERR second\r\n"
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            var counter = ReplyCounter()
            bytes[..<cut].withUnsafeBytes { counter.read($0) }
            bytes[cut...].withUnsafeBytes { counter.read($0) }
            #expect(counter.replies == 8 && counter.nulls == 2 && counter.errors == 2 && !counter.isLost)
            #expect(counter.firstError == "BUSY no")
        }
        for wrong in ["*1\r\n:1\r\n", "$x\r\n", "HTTP/1.1 400\r\n", "$99999999999\r\n"] {
            var counter = ReplyCounter()
            Array(wrong.utf8).withUnsafeBytes { counter.read($0) }
            #expect(counter.isLost && counter.firstError != nil, "\(wrong)")
        }
    }

    @Test("Zipf's law: the first rank has its share, and ranks in the distance still come")
    func zipf() {
        let sampler = ZipfSampler(count: 1_000, exponent: 0.99)
        var random = SeededRandom(seed: 7)
        var counts = [Int](repeating: 0, count: 1_000)
        for _ in 0..<200_000 { counts[sampler.sample(&random)] += 1 }
        // 1 / Σ i^-0.99 for i in 1...1000 is 0.1298.
        #expect((25_000...27_000).contains(counts[0]), "\(counts[0])")
        #expect((12_400...13_800).contains(counts[1]), "\(counts[1])")
        #expect(counts[500...].reduce(0, +) > 15_000 && counts.allSatisfy { $0 > 0 })
    }

    @Test("options are checked, and the suite holds the measurements that are compared")
    func options() throws {
        for wrong in [
            ["get", "--clients", "0"], ["suite", "--pipeline", "16"], ["suite", "--durability", "volatile"], ["miss"],
            ["get", "--size", "0"], ["get", "--threads", "0"], ["none"],
            ["miss", "--endpoint", "a:1", "--endpoint", "b:1", "--peer", "c:1"],
            ["get", "--clients", "1", "--endpoint", "a:1", "--endpoint", "b:1"],
        ] {
            #expect(throws: (any Error).self) { try BenchCommand.Caches.parse(wrong) }
        }
        let cell = try BenchCommand.Caches.parse(["set", "--durability", "replicated", "--seconds", "3"]).cell
        #expect(cell.name == "set replicated" && cell.clients == 50 && cell.size == 100 && cell.keys == 100_000)
        let pattern = try BenchCommand.Caches.parse(["--seconds", "3"]).cell
        let suite = CacheBenchCell.suite(pattern, nodes: 3)
        #expect(suite.count == 14 && suite.allSatisfy { $0.seconds == 3 } && suite.last?.workload == .miss)
        #expect(Set(suite.map { "\($0.name) \($0.pipeline)" }).count == 14)
        #expect(CacheBenchCell.suite(pattern, nodes: 1).allSatisfy { $0.workload != .miss })
        #expect(CacheBenchCommands.digits(12_345_678) == 0x3132_3334_3536_3738)
    }
}
