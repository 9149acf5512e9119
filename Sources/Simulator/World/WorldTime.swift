// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Time as an outside observer of the whole simulated world sees it. Nodes and clients never do: they have a
/// `SimClock`.
package struct WorldTime: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var nanoseconds: UInt64

    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package static let zero = WorldTime(nanoseconds: 0)

    package static func < (left: WorldTime, right: WorldTime) -> Bool { left.nanoseconds < right.nanoseconds }

    package static func + (left: WorldTime, right: Interval) -> WorldTime {
        WorldTime(nanoseconds: left.nanoseconds &+ right.nanoseconds)
    }

    package func since(_ earlier: WorldTime) -> Interval {
        Interval(nanoseconds: nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0)
    }

    package var description: String {
        let micros = nanoseconds / 1_000
        let fraction = String(micros % 1_000_000)
        return "\(micros / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction + "s"
    }
}

/// One machine's monotonic clock: an arbitrary origin and a rate that is off by up to ten per cent.
package struct SimClock: Sendable {
    /// Ticks per thousand of world time.
    package private(set) var permille: UInt64
    private var worldBase: WorldTime
    private var localBase: Instant

    package init(permille: UInt64, origin: Instant, at world: WorldTime) {
        self.permille = permille
        self.worldBase = world
        self.localBase = origin
    }

    package func local(_ world: WorldTime) -> Instant {
        localBase + Interval(nanoseconds: world.since(worldBase).nanoseconds * permille / 1000)
    }

    /// How long the world takes while this clock advances by `interval`.
    package func worldInterval(_ interval: Interval) -> Interval {
        Interval(nanoseconds: interval.nanoseconds / permille * 1000 + 1000)
    }

    /// From `world` on the clock runs at another rate; what it shows does not jump.
    package mutating func setRate(permille: UInt64, at world: WorldTime) {
        localBase = local(world)
        worldBase = world
        self.permille = permille
    }
}
