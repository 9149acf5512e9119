// SPDX-License-Identifier: Apache-2.0
import Primitives

// What the digest takes of answers and events: little work, whatever their size.

extension QueueResponse {
    var fingerprint: UInt64 {
        switch self {
        case .declared(let created): created ? 1 : 2
        case .updated: 3
        case .deleted(let messages): 4 &+ messages &* 31
        case .published(let published):
            5 &+ (published.last?.id.rawValue ?? 0) &* 31
                &+ UInt64(published.reduce(0) { $0 + ($1.isDuplicate ? 1 : 0) }) &* 1_000_003
        case .received(let deliveries):
            deliveries.reduce(6) { StableHash.combine($0, $1.id.rawValue ^ UInt64($1.receipt.delivery) << 40) }
        case .settled(let outcomes): outcomes.reduce(7) { $0 &* 31 &+ UInt64($1.rawValue) }
        case .consumerOpened(_, let ttl): 8 &+ ttl &* 31
        case .consumerClosed(let returned): 9 &+ returned &* 31
        case .consumerResumed(let outcomes, let returned):
            outcomes.reduce(10 &+ returned &* 1_000_003) { $0 &* 31 &+ UInt64($1.rawValue) }
        case .messageCancelled(let outcome): 11 &+ UInt64(outcome.rawValue) &* 31
        case .purged(let messages): 12 &+ messages &* 31
        case .pausedOrResumed: 13
        case .redrive(let moved, let left): 14 &+ moved &* 31 &+ left &* 1_000_003
        case .waitCancelled(let found): found ? 15 : 16
        case .noted: 17
        case .renewed, .queue, .queues, .messages, .message, .consumer: 18
        case .refused(let error): 19 &+ error.code &* 31
        }
    }
}

extension QueueError {
    var code: UInt64 {
        switch self {
        case .noQueue: 1
        case .exists: 2
        case .lanesLowered(let lanes): 3 &+ lanes &* 64
        case .emptyBody: 4
        case .tooLarge: 5
        case .full: 6
        case .paused(let side): 7 &+ UInt64(side.rawValue) &* 64
        case .fenced: 8
        case .noConsumer: 9
        case .consumerExists: 10
        case .noCredit: 11
        case .staleSequence: 12
        case .redriving: 13
        case .limit: 14
        case .invalid: 15
        case .cancelled: 16
        case .ended: 17
        case .lanes(let lanes): 18 &+ lanes &* 64
        }
    }
}

extension QueueEvent {
    var fingerprint: UInt64 {
        switch self {
        case .declared: 101
        case .deleted(_, let messages): 102 &+ messages &* 31
        case .purged(_, let messages): 103 &+ messages &* 31
        case .paused(_, let side): 104 &+ UInt64(side.rawValue) &* 31
        case .resumed(_, let side): 105 &+ UInt64(side.rawValue) &* 31
        case .deadLetter(_, let id, let cause, _): 106 &+ id.rawValue &* 31 &+ UInt64(cause.rawValue) &* 1_000_003
        case .redriveEnded(_, let moved): 107 &+ moved &* 31
        case .consumerOpened: 108
        case .consumerEnded(_, let end, let returned): 109 &+ returned &* 31 &+ UInt64(end.rawValue) &* 1_000_003
        }
    }
}
