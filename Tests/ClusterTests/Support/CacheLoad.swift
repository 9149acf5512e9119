// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Foundation
import Simulator
import Synchronization

/// Clients that read and write a few keys through all nodes, each through one of its own, and what they were told: the
/// history in which a stale read or a lost write would show.
///
/// Keys are given up after a while and new ones begun, so that the search for an order stays small.
final class CacheLoad: Sendable {
    private static let keys = 3
    private static let operationsPerRound = 600

    private let isRunning = Atomic(true)
    private let clients: Atomic<Int>
    private let begun = Atomic(0)
    private let answered = Atomic(0)
    private let history = Mutex<[CacheHistoryOperation]>([])
    private let endpoints: [(host: String, port: Int)]
    private let start = ContinuousClock.now

    init(_ nodes: [TestNode], clientsPerNode: Int = 2) {
        endpoints = nodes.map { ($0.host, $0.clientPort) }
        clients = Atomic(nodes.count * clientsPerNode)
        for number in 0..<nodes.count * clientsPerNode {
            Thread.detachNewThread { [self] in
                run(number)
                clients.subtract(1, ordering: .sequentiallyConsistent)
            }
        }
    }

    var answeredCount: Int { answered.load(ordering: .sequentiallyConsistent) }

    func progress(by count: Int, within limit: Duration = .seconds(30)) throws {
        let goal = answeredCount + count
        try eventually("the cache answers \(count) more", within: limit) { answeredCount >= goal }
    }

    /// Ends the clients, and throws if the answers have no order that explains them.
    func finish(within limit: Duration = .seconds(30)) throws -> String {
        isRunning.store(false, ordering: .sequentiallyConsistent)
        try eventually("the clients end", within: limit) { clients.load(ordering: .sequentiallyConsistent) == 0 }
        let operations = history.withLock { $0 }
        switch LinearizabilityChecker().check(operations) {
        case .linearizable: break
        case .violation(let violation): throw Violation(violation.text)
        case .tooLarge(let key): throw Violation("the history of \(key) is too large to be judged")
        }
        let unknown = operations.count { $0.returnedAt == nil }
        return
            "\(operations.count) operations on \(Set(operations.map(\.key)).count) keys, \(unknown) of unknown outcome"
    }

    // MARK: Clients

    private var nanoseconds: UInt64 {
        let time = (ContinuousClock.now - start).components
        return UInt64(time.seconds) * 1_000_000_000 + UInt64(time.attoseconds / 1_000_000_000)
    }

    private func run(_ number: Int) {
        let endpoint = endpoints[number % endpoints.count]
        var random = SystemRandomNumberGenerator()
        var connection: RESPConnection?
        var count = 0
        while isRunning.load(ordering: .sequentiallyConsistent) {
            guard
                let open = connection
                    ?? (try? RESPConnection(host: endpoint.host, port: endpoint.port, within: .seconds(1)))
            else {
                poll(nil, 0, 20)
                continue
            }
            connection = open
            count += 1
            let round = begun.add(1, ordering: .sequentiallyConsistent).newValue / Self.operationsPerRound
            let key = "load-\(round)-\(Int.random(in: 0..<Self.keys, using: &random))"
            let value = "\(number * 100_000_000 + count * 100)"
            if !carryOut(choose(key, value, &random), number, key, open) { connection = nil }
        }
    }

    private struct Choice {
        var words: [String]
        var action: CacheHistoryOperation.Action
    }

    private func choose(_ key: String, _ value: String, _ random: inout SystemRandomNumberGenerator) -> Choice {
        func set(_ condition: CacheCondition) -> CacheHistoryOperation.Action {
            .change(.set(value: Array(value.utf8), expiry: .never, condition: condition, wantsOld: false))
        }
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<12: return Choice(words: ["GET", key], action: .read)
        case 12..<16: return Choice(words: ["SET", key, value], action: set(.always))
        case 16..<18: return Choice(words: ["INCR", key], action: .change(.add(1)))
        case 18: return Choice(words: ["SET", key, value, "NX"], action: set(.absent))
        default: return Choice(words: ["DEL", key], action: .change(.remove(condition: .always, wantsOld: false)))
        }
    }

    /// - Returns: whether the connection can be used again.
    private func carryOut(_ choice: Choice, _ number: Int, _ key: String, _ connection: RESPConnection) -> Bool {
        var operation = CacheHistoryOperation(
            client: number,
            key: CacheKey(key),
            action: choice.action,
            invokedAt: nanoseconds,
            returnedAt: nil,
            outcome: .unseen
        )
        guard let reply = try? connection.command(choice.words, within: .seconds(12)) else {
            if choice.action != .read { note(operation) }
            return false
        }
        if let code = reply.errorCode {
            // Nothing was done, or nobody knows.
            if code == "UNKNOWN", choice.action != .read { note(operation) }
            return true
        }
        operation.returnedAt = nanoseconds
        switch choice.action {
        case .read: operation.outcome = .value(reply == .null ? nil : reply.text.map { Array($0.utf8) })
        case .change(.set): operation.outcome = .answer(reply == .null ? .notDone : .done)
        case .change: operation.outcome = .answer(.count(reply.integer ?? -1))
        }
        note(operation)
        answered.add(1, ordering: .sequentiallyConsistent)
        return true
    }

    private func note(_ operation: CacheHistoryOperation) { history.withLock { $0.append(operation) } }
}
