// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Limits and times of the way to Redis.
package struct RedisConfiguration: Sendable, Equatable {
    package struct TLS: Sendable, Equatable {
        /// PEM files. Nil authority: those that the system trusts.
        package var authorityFile: String?
        /// What this side shows of itself; Redis asks for it by default. Both or none.
        package var certificateFile: String?
        package var keyFile: String?
        /// Off, anybody may pretend to be the server.
        package var verifiesServer = true

        package init() {}
    }

    package var connectTimeout = Interval.milliseconds(1_000)
    /// From the connection to the end of the handshake, that of TLS included.
    package var handshakeTimeout = Interval.milliseconds(2_000)
    /// A command that was not answered for this long has failed.
    package var commandTimeout = Interval.milliseconds(1_000)
    package var backoffMin = Interval.milliseconds(20)
    package var backoffMax = Interval.milliseconds(2_000)
    /// Failures in succession that open the breaker.
    package var breakerThreshold = 5
    /// Of one server, commands and their bytes that are not answered; more are refused.
    package var inFlightLimit = 4_096
    package var inFlightBytes = 64 << 20
    /// How often the fences are looked at.
    package var heartbeat = Interval.milliseconds(2_000)
    /// Between two looks at a cluster's slots.
    package var topologyInterval = Interval.milliseconds(100)
    package var tls = TLS()
    /// Seeds the jitter of reconnection.
    package var seed: UInt64

    package init(seed: UInt64) { self.seed = seed }
}
