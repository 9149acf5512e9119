// SPDX-License-Identifier: Apache-2.0
import QueueCore

/// How front ends name the states and causes of messages.
extension MessageState {
    var word: String {
        switch self {
        case .ready: "ready"
        case .inFlight: "in_flight"
        case .delayed: "delayed"
        case .dead: "dead"
        }
    }
}

extension ReturnCause {
    var word: String {
        switch self {
        case .none: "none"
        case .nacked: "nacked"
        case .givenBack: "returned"
        case .leaseExpired: "lease_expired"
        case .consumerClosed: "consumer_closed"
        case .consumerExpired: "consumer_expired"
        case .notResumed: "not_resumed"
        case .redriven: "redriven"
        }
    }
}

extension DeadCause {
    var word: String {
        switch self {
        case .attempts: "attempts"
        case .rejected: "rejected"
        }
    }
}

extension SettleOutcome {
    var word: String {
        switch self {
        case .done: "done"
        case .gone: "gone"
        case .stale: "stale"
        case .foreign: "other_queue"
        case .forged: "forged"
        }
    }

    /// Why a receipt was refused; nil when its message was settled, or had been: to settle twice is no mistake.
    var mistake: String? {
        switch self {
        case .done, .gone: nil
        case .stale: "the delivery has ended: its lease ran out, or it was settled or given back"
        case .foreign: "the receipt is of another queue"
        case .forged: "no delivery ever had the receipt"
        }
    }
}

extension Overflow {
    var word: String {
        switch self {
        case .reject: "reject"
        case .dropOldest: "drop_oldest"
        }
    }
}
