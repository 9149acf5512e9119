// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization

/// Judges what the clients of a load were told: no two hold one lock, and tokens rise.
final class Referee: Sendable {
    private struct State {
        var holders: [String: Int] = [:]
        var lastTokens: [String: Int64] = [:]
        var grants = 0
        var violations: [String] = []
    }

    private let state = Mutex(State())

    func granted(_ name: String, token: Int64, to worker: Int) {
        state.withLock { state in
            if let other = state.holders[name] {
                state.violations.append("\(name) was granted to \(worker) with \(token) while \(other) held it")
            }
            if let last = state.lastTokens[name], token <= last {
                state.violations.append("\(name): token \(token) after \(last)")
            }
            state.holders[name] = worker
            state.lastTokens[name] = max(token, state.lastTokens[name] ?? 0)
            state.grants += 1
        }
    }

    /// Called before the release is sent, since the next grant may be answered before the release is.
    func givesUp(_ name: String, by worker: Int) {
        state.withLock { state in
            if state.holders[name] == worker { state.holders[name] = nil }
        }
    }

    func report(_ violation: String) { state.withLock { $0.violations.append(violation) } }

    var grants: Int { state.withLock { $0.grants } }
    var violations: [String] { state.withLock { $0.violations } }
}

/// Clients that take and release a few contended locks until they are stopped, each through any node that answers.
///
/// An answer that got lost leaves the worker not knowing whether it holds the lock; it then closes its session, which
/// is safe to repeat, and goes on with a new one.
final class LockLoad: Sendable {
    let referee = Referee()
    private let stopping = Atomic(false)
    private let running: Atomic<Int>
    private let endpoints: [Endpoint]
    private let locks: Int

    private struct Endpoint: Sendable {
        let host: String
        let port: Int
    }

    init(_ nodes: [TestNode], workers: Int = 6, locks: Int = 3) {
        self.endpoints = nodes.map { Endpoint(host: $0.host, port: $0.clientPort) }
        self.locks = locks
        self.running = Atomic(workers)
        for number in 0..<workers {
            Thread.detachNewThread { [self] in
                work(number)
                running.subtract(1, ordering: .sequentiallyConsistent)
            }
        }
    }

    /// Ends the load and throws if the referee saw anything wrong.
    func finish(within limit: Duration = .seconds(30)) throws {
        stopping.store(true, ordering: .sequentiallyConsistent)
        try eventually("the load's clients end", within: limit) { running.load(ordering: .sequentiallyConsistent) == 0 }
        let violations = referee.violations
        guard violations.isEmpty else { throw Violation(violations.prefix(10).joined(separator: "\n")) }
    }

    /// Waits for that many grants more than there are now.
    func progress(by count: Int, within limit: Duration = .seconds(20)) throws {
        let goal = referee.grants + count
        try eventually("the load gets \(count) more grants", within: limit) { referee.grants >= goal }
    }

    private var isStopping: Bool { stopping.load(ordering: .sequentiallyConsistent) }

    private func work(_ number: Int) {
        var turn = number
        var lost: String?
        while !isStopping {
            turn += 1
            let endpoint = endpoints[turn % endpoints.count]
            guard let connection = try? RESPConnection(host: endpoint.host, port: endpoint.port, within: .seconds(1))
            else {
                poll(nil, 0, 5)
                continue
            }
            if let session = lost {
                // Once it is closed, nothing this session was granted unseen is held any longer.
                guard let reply = try? connection.command("SESSION.CLOSE", session, within: .seconds(6)),
                    reply.integer != nil || reply.errorCode == "NOSESSION"
                else { continue }
                lost = nil
            }
            lost = serve(number, connection)
        }
    }

    /// Works on one connection until it fails or the load ends; returns the session whose state is not known.
    private func serve(_ number: Int, _ connection: RESPConnection) -> String? {
        let open = ["SESSION.OPEN", "TTL", "30000", "LABEL", "worker-\(number)"]
        guard let session = try? connection.command(open, within: .seconds(6)), session.errorText == nil,
            let session = session.text
        else { return nil }
        while !isStopping {
            let name = "contended-\(Int.random(in: 0..<locks))"
            let acquire = ["LOCK.ACQUIRE", name, "SESSION", session, "WAIT", "1000"]
            guard let reply = try? connection.command(acquire, within: .seconds(8)) else { return session }
            if reply.errorText != nil { return session }
            guard let token = reply.integer else { continue }
            referee.granted(name, token: token, to: number)
            referee.givesUp(name, by: number)
            let release = ["LOCK.RELEASE", name, "SESSION", session]
            guard let left = try? connection.command(release, within: .seconds(8)), left.integer != nil else {
                return session
            }
        }
        _ = try? connection.command("SESSION.CLOSE", session)
        return nil
    }
}
