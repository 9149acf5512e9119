// SPDX-License-Identifier: Apache-2.0

/// The lock commands on one connection to one node.
final class LockClient {
    let node: TestNode
    let connection: RESPConnection

    init(_ node: TestNode) throws {
        self.node = node
        self.connection = try node.connect()
    }

    /// An error reply to a command of which the test expected an answer.
    struct Refused: Error, CustomStringConvertible {
        let text: String
        var description: String { text }
        var code: String { String(text.prefix { $0 != " " }) }
    }

    private func ask(_ words: [String], within limit: Duration) throws -> RESPReply {
        try TestBudget.check(words.joined(separator: " "))
        let reply = try connection.command(words, within: limit)
        if let text = reply.errorText { throw Refused(text: text) }
        return reply
    }

    func openSession(ttlMilliseconds: Int = 30_000, label: String = "test", within limit: Duration = .seconds(10))
        throws
        -> String
    {
        let words = ["SESSION.OPEN", "TTL", "\(ttlMilliseconds)", "LABEL", label]
        guard let id = try ask(words, within: limit).text else { throw TestFailure("SESSION.OPEN gave no id") }
        return id
    }

    /// nil when the lock was not to be had in time.
    func acquire(
        _ name: String,
        session: String,
        waitMilliseconds: Int = 0,
        mode: String = "EXCLUSIVE",
        within limit: Duration = .seconds(15)
    ) throws -> Int64? {
        let words = ["LOCK.ACQUIRE", name, "SESSION", session, "MODE", mode, "WAIT", "\(waitMilliseconds)"]
        let reply = try ask(words, within: limit)
        if reply == .null { return nil }
        guard let token = reply.integer else { throw TestFailure("LOCK.ACQUIRE gave \(reply)") }
        return token
    }

    @discardableResult
    func release(_ name: String, session: String) throws -> Int64 {
        try ask(["LOCK.RELEASE", name, "SESSION", session], within: .seconds(10)).integer ?? -1
    }

    @discardableResult
    func renew(session: String) throws -> Int64 {
        try ask(["SESSION.RENEW", session], within: .seconds(10)).integer ?? -1
    }

    /// Locks it released.
    @discardableResult
    func closeSession(_ session: String) throws -> Int64 {
        try ask(["SESSION.CLOSE", session], within: .seconds(10)).integer ?? -1
    }

    /// Whether this is the token of a current holder.
    func check(_ name: String, token: Int64) throws -> Bool {
        try ask(["LOCK.CHECK", name, "TOKEN", "\(token)"], within: .seconds(10)).integer == 1
    }
}

/// Repeats an action on any of these nodes until one of them carries it out: what a client does that knows several
/// endpoints. Only for actions that do no harm when an earlier try was carried out unseen.
func onAnyNode<Value>(
    _ nodes: [TestNode],
    _ what: String,
    within limit: Duration = .seconds(15),
    _ action: (LockClient) throws -> Value
) throws -> Value {
    var turn = 0
    return try eventually(what, within: limit, every: .milliseconds(5)) {
        let running = nodes.filter(\.isRunning)
        guard !running.isEmpty else { throw TestFailure("no node runs") }
        turn += 1
        return try action(LockClient(running[turn % running.count]))
    }
}

/// Locks that one session holds and that must stay its own through whatever the test does to the nodes.
struct HeldLocks {
    let session: String
    let tokens: [(name: String, token: Int64)]

    init(_ node: TestNode, count: Int, prefix: String = "held", ttlMilliseconds: Int = 60_000) throws {
        let client = try LockClient(node)
        let session = try client.openSession(ttlMilliseconds: ttlMilliseconds, label: "holder")
        self.session = session
        self.tokens = try (0..<count).map { number in
            let name = "\(prefix)-\(number)"
            guard let token = try client.acquire(name, session: session) else {
                throw TestFailure("\(name) is not free")
            }
            return (name, token)
        }
    }

    /// Requires that every lock is still held with its token.
    func verifyTokens(on nodes: [TestNode]) throws {
        try onAnyNode(nodes, "the held locks' tokens are checked") { client in
            for (name, token) in tokens {
                guard try client.check(name, token: token) else { throw Violation("\(name) lost its token \(token)") }
            }
        }
    }

    /// Requires that every lock is still held with its token, and that nobody else can have it.
    func verify(on nodes: [TestNode]) throws {
        try verifyTokens(on: nodes)
        try onAnyNode(nodes, "the held locks are asked for by another session") { client in
            let stranger = try client.openSession(label: "stranger")
            for (name, token) in tokens.prefix(8) {
                if let second = try client.acquire(name, session: stranger) {
                    throw Violation("\(name), held with \(token), was granted a second time with \(second)")
                }
            }
            try client.closeSession(stranger)
        }
    }

    /// Releases one and requires that the next grant has a higher token.
    func verifyTokensRise(on nodes: [TestNode]) throws {
        guard let (name, token) = tokens.first else { return }
        let next: Int64 = try onAnyNode(nodes, "\(name) is handed on") { client in
            _ = try? client.release(name, session: session)
            let session = try client.openSession(label: "next")
            defer { _ = try? client.closeSession(session) }
            guard let token = try client.acquire(name, session: session) else {
                throw TestFailure("\(name) is not free")
            }
            return token
        }
        guard next > token else { throw TestFailure("token \(next) after \(token)") }
    }
}
