// SPDX-License-Identifier: Apache-2.0
package import Primitives

package enum Overflow: UInt8, Sendable, CaseIterable {
    /// A publish that does not fit is refused whole.
    case reject = 1
    /// The oldest ready messages make room; what is in flight or delayed does not.
    case dropOldest = 2
}

/// How a queue behaves. Limits of zero are none.
package struct QueueSettings: Sendable, Equatable {
    /// Lines that the queue is spread over; may be raised, never lowered.
    package var lanes: UInt64 = 1
    /// How long a delivery is leased when the receive does not say.
    package var leaseMilliseconds: UInt64 = 30_000
    /// Failed attempts after which a message is a dead letter; zero tries for ever.
    package var maxAttempts: UInt64 = 10
    /// The line of the same shard that dead letters move to, made with defaults when there is none; empty keeps them
    /// in this queue in state dead.
    package var deadLetter: Name = ""
    /// Messages ready, in flight and delayed.
    package var maxLength: UInt64 = 0
    /// Bytes of those: body, headers and key.
    package var maxBytes: UInt64 = 0
    package var overflow = Overflow.reject
    /// Lifetime of a message that brings none of its own.
    package var ttlMilliseconds: UInt64 = 0
    /// How long an application id is remembered; also how long an idle producer's sequences are.
    package var dedupMilliseconds: UInt64 = 300_000

    package init() {}
}
