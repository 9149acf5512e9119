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
