// SPDX-License-Identifier: Apache-2.0
import RESP
import Synchronization

/// Chooses which node to talk to: the last one that answered, and on failure the next in turn, with a growing pause
/// after each full round.
final class EndpointSelector: Sendable {
    private let endpoints: [Endpoint]
    private let connectTimeout: Duration
    private let refusalTimeout: Duration?
    private let current: Mutex<Int>
    private let hasConnected = Atomic(false)

    /// - Parameter refusalTimeout: see ``SynclineClient/Configuration/refusalTimeout``.
    init(
        _ endpoints: [Endpoint],
        connectTimeout: Duration,
        refusalTimeout: Duration? = nil,
        beginsWithFirst: Bool = false
    ) {
        self.endpoints = endpoints
        self.connectTimeout = connectTimeout
        self.refusalTimeout = refusalTimeout
        // Clients that start together should not all sit on the first node.
        self.current = Mutex(endpoints.isEmpty || beginsWithFirst ? 0 : Int.random(in: 0..<endpoints.count))
    }

    /// Turns away from an endpoint that failed; no effect when another caller has done so already.
    func avoid(_ endpoint: Endpoint) {
        current.withLock { index in
            if !endpoints.isEmpty, endpoints[index] == endpoint { index = (index + 1) % endpoints.count }
        }
    }

    /// A fresh connection to the first endpoint that answers before `deadline`.
    func connect(
        deadline: ContinuousClock.Instant,
        onPush: @escaping @Sendable ([RESPValue]) -> Void = { _ in }
    ) async throws(SynclineError) -> Connection {
        let began = ContinuousClock.now
        var failures = 0
        // Endpoints in a row that refused the connection.
        var refusals = 0
        var lastMessage = "no endpoint was tried"
        guard !endpoints.isEmpty else {
            throw SynclineError(code: .unreachable, message: "the client was given no endpoint")
        }
        while true {
            let remaining = ContinuousClock.now.duration(to: deadline)
            let isRefused = refusals >= endpoints.count && !hasConnected.load(ordering: .relaxed)
            let isHopeless = isRefused && refusalTimeout.map { began.duration(to: .now) >= $0 } ?? false
            guard remaining > .zero, !isHopeless else {
                let names = endpoints.map(\.description).joined(separator: ", ")
                throw SynclineError(code: .unreachable, message: "no node answers at \(names); last: \(lastMessage)")
            }
            let endpoint = current.withLock { endpoints[$0] }
            do throws(ConnectionFailure) {
                let timeout = min(remaining, connectTimeout)
                let connection = try await Connection.open(to: endpoint, timeout: timeout, onPush: onPush)
                hasConnected.store(true, ordering: .relaxed)
                return connection
            } catch {
                lastMessage = error.message
                refusals = error.isRefusal ? refusals + 1 : 0
                avoid(endpoint)
                failures += 1
            }
            if failures % endpoints.count == 0 {
                try await Backoff.pause(round: failures / endpoints.count, deadline: deadline)
            }
        }
    }
}

enum Backoff {
    /// 25 ms doubling to 800 ms, less up to half of it by chance, and never past the deadline.
    static func pause(round: Int, deadline: ContinuousClock.Instant) async throws(SynclineError) {
        let full = Duration.milliseconds(25) * (1 << min(max(round, 1) - 1, 5))
        let pause = full * Double.random(in: 0.5...1)
        do {
            try await Task.sleep(until: min(ContinuousClock.now + pause, deadline), clock: .continuous)
        } catch {
            throw SynclineError(code: .cancelled, message: "the task was cancelled")
        }
    }
}
