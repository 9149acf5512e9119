// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives

/// Watches one connection for silence, its own and the peer's.
struct LinkClock {
    enum Duty: Equatable {
        case none
        case ping
        case close(LinkFailure)
    }

    private let opened: Instant
    private var lastRead: Instant
    private var lastWritten: Instant

    init(now: Instant) {
        opened = now
        lastRead = now
        lastWritten = now
    }

    mutating func didRead(_ now: Instant) { lastRead = now }

    mutating func didWrite(_ now: Instant) { lastWritten = now }

    /// The loop itself did not run for a while: what the peer sent meanwhile is still unread, so its silence says
    /// nothing.
    mutating func forgive(_ now: Instant) { lastRead = now }

    func age(_ now: Instant) -> Interval { now.since(opened) }

    func duty(_ now: Instant, isHandshaking: Bool, _ configuration: TransportConfiguration) -> Duty {
        if isHandshaking {
            return now.since(opened) >= configuration.handshakeTimeout ? .close(.handshakeTimeout) : .none
        }
        let silence = now.since(lastRead)
        if silence >= configuration.pingInterval * configuration.missedPings {
            return .close(.silent(milliseconds: silence.milliseconds))
        }
        return now.since(lastWritten) >= configuration.pingInterval ? .ping : .none
    }
}

extension Instant {
    /// Event loops and links go by the same monotonic clock.
    static var current: Instant { Instant(nanoseconds: NIODeadline.now().uptimeNanoseconds) }
}

extension TimeAmount {
    init(_ interval: Interval) { self = .nanoseconds(Int64(clamping: interval.nanoseconds)) }
}

/// Lets one message pass each second and counts the rest: strangers must not be able to fill the log.
struct LogThrottle {
    private var last: Instant?
    private var held: UInt64 = 0

    /// How many were held back since the last one that passed; nil when this one is held back too.
    mutating func pass(_ now: Instant) -> UInt64? {
        if let last, now.since(last) < .milliseconds(1_000) {
            held += 1
            return nil
        }
        last = now
        defer { held = 0 }
        return held
    }
}
