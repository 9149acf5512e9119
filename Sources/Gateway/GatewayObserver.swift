// SPDX-License-Identifier: Apache-2.0

/// The front end a client came through.
package enum FrontEnd: String, Sendable, CaseIterable {
    case resp
    case http
}

/// What a command is about; the label its figures are kept under.
package enum CommandFamily: String, Sendable, CaseIterable {
    case connection
    case session
    case lock
    case semaphore
    case election
    case queue
    case cache
    case cluster
}

/// Told what happens at the front ends, for metrics. Called from any event loop; must not block.
package protocol GatewayObserver: Sendable {
    func connectionOpened(_ frontEnd: FrontEnd)
    func connectionClosed(_ frontEnd: FrontEnd)
    /// A command was answered, well or badly, `seconds` after it had arrived.
    func commandFinished(_ family: CommandFamily, frontEnd: FrontEnd, seconds: Double)
    /// The same of several commands that were answered together, each `seconds` after it had arrived.
    func commandsFinished(_ family: CommandFamily, count: Int, frontEnd: FrontEnd, seconds: Double)
    /// An error went out: its first word (`DEADLOCK`, `ERR`) or its HTTP problem code (`deadlock`).
    func errorReplied(_ frontEnd: FrontEnd, code: String)
}

extension GatewayObserver {
    package func commandsFinished(_ family: CommandFamily, count: Int, frontEnd: FrontEnd, seconds: Double) {
        for _ in 0..<count { commandFinished(family, frontEnd: frontEnd, seconds: seconds) }
    }
}

/// Keeps no figures.
package struct SilentObserver: GatewayObserver {
    package init() {}
    package func connectionOpened(_ frontEnd: FrontEnd) {}
    package func connectionClosed(_ frontEnd: FrontEnd) {}
    package func commandFinished(_ family: CommandFamily, frontEnd: FrontEnd, seconds: Double) {}
    package func commandsFinished(_ family: CommandFamily, count: Int, frontEnd: FrontEnd, seconds: Double) {}
    package func errorReplied(_ frontEnd: FrontEnd, code: String) {}
}
