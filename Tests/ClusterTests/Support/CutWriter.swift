// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization

/// Publishes through one node from a few threads, and remembers what was confirmed, until it is stopped.
final class CutWriter: Sendable {
    private struct State {
        var confirmed: Set<String> = []
        var isStopping = false
    }

    private let state = Mutex(State())

    init(_ node: TestNode, threads: Int = 4) {
        let (host, port) = (node.host, node.clientPort)
        for thread in 0..<threads {
            Thread.detachNewThread { [self] in
                guard let connection = try? RESPConnection(host: host, port: port) else { return }
                var number = 0
                while !state.withLock({ $0.isStopping }) {
                    number += 1
                    let body = "\(thread)-\(number)-" + String(repeating: "x", count: number % 200)
                    guard let reply = try? connection.command("QUEUE.PUBLISH", "cut", body), reply.errorText == nil
                    else { return }
                    state.withLock { _ = $0.confirmed.insert(body) }
                }
            }
        }
    }

    var confirmed: Set<String> { state.withLock { $0.confirmed } }

    func stop() { state.withLock { $0.isStopping = true } }
}
