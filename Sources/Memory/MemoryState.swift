// SPDX-License-Identifier: Apache-2.0

/// How the memory is doing, for metrics and people.
package struct MemoryState: Sendable, Equatable {
    package enum Breaker: UInt8, Sendable, Comparable {
        case closed = 0
        /// Connected again; one command finds out whether the others may go.
        case halfOpen = 1
        /// Commands fail at once.
        case open = 2

        package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    package struct Server: Sendable, Equatable {
        package var address: String
        package var isConnected: Bool
        package var breaker: Breaker
        package var runID: String?
        package var version: String?
        /// A policy that removes values when the server is full. The cache would take a removed value for an absent
        /// one: the server should run with `noeviction`.
        package var evictionPolicy: String?
        package var lastError: String?
    }

    /// Every shard has a server that is connected.
    package var isConnected: Bool
    /// The worst of all servers.
    package var breaker: Breaker
    /// Of a single server; nil for a cluster.
    package var runID: String?
    package var lastError: String?
    package var servers: [Server]
    package var counts: MemoryCounts
}

/// Since the start, and what is under way.
package struct MemoryCounts: Sendable, Equatable {
    package var commands: UInt64 = 0
    /// Commands that ended with an error of any kind.
    package var failures: UInt64 = 0
    package var timeouts: UInt64 = 0
    /// Handshakes that succeeded.
    package var connections: UInt64 = 0
    /// MOVED and ASK.
    package var redirects: UInt64 = 0
    /// Shards reported as `MemoryLoss`.
    package var losses: UInt64 = 0
    package var inFlight: UInt64 = 0
}
