// SPDX-License-Identifier: Apache-2.0
package import Primitives
import Wire

/// Where a peer listens for its fellows.
package struct PeerAddress: Sendable, Equatable {
    package var id: NodeID
    package var name: String
    /// A name or an address; resolved anew at each attempt to connect.
    package var host: String
    package var port: Int

    package init(id: NodeID, name: String, host: String, port: Int) {
        self.id = id
        self.name = name
        self.host = host
        self.port = port
    }
}

/// Limits and times of the links between nodes.
package struct TransportConfiguration: Sendable {
    package var connectTimeout = Interval.milliseconds(1_000)
    /// From the connection to the end of the handshake.
    package var handshakeTimeout = Interval.milliseconds(5_000)
    /// A link over which nothing was sent for this long carries a ping.
    package var pingInterval = Interval.milliseconds(500)
    /// A link over which nothing was received for this many ping intervals is closed.
    package var missedPings: UInt64 = 3
    package var backoffMin = Interval.milliseconds(20)
    package var backoffMax = Interval.milliseconds(1_000)
    /// Bytes accepted for one peer and not yet handed to the system; more are dropped.
    package var maxOutboundBytes = 64 << 20
    /// What votes, heartbeats and their answers may take beyond `maxOutboundBytes`.
    package var urgentReserveBytes = 1 << 20
    /// The largest body of a frame that is sent or accepted.
    package var maxFrameBytes = PeerFrame.defaultMaxFrameBytes
    /// Inbound connections that have not finished their handshake.
    package var maxPendingHandshakes = 64
    /// Seeds the jitter of reconnection.
    package var seed: UInt64

    package init(seed: UInt64) { self.seed = seed }
}

/// Waiting times between attempts to connect: doubling from `min` to `max`, each drawn from its upper half so that
/// nodes that lost each other at the same moment do not try in step.
struct Backoff {
    private let min: Interval
    private let max: Interval
    private var attempts: UInt64 = 0

    init(min: Interval, max: Interval) {
        self.min = min
        self.max = max
    }

    mutating func reset() { attempts = 0 }

    /// The wait before the next attempt; a refusal that only an operator can mend waits the longest time at once.
    mutating func next(_ random: inout SeededRandom) -> Interval {
        let full = Swift.min(min * (1 << Swift.min(attempts, 20)), max)
        attempts += 1
        return random.interval(from: full / 2, to: full + Interval(nanoseconds: 1))
    }

    mutating func exhaust() { attempts = 20 }
}
