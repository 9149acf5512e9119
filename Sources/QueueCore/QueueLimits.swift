// SPDX-License-Identifier: Apache-2.0

/// The bounds of a queue state machine. They decide what a command does, so every replica of a shard must run with the
/// same values; a difference shows in the digest.
package struct QueueLimits: Sendable, Equatable {
    /// Lines of one shard, those still being swept included; at most 65,535.
    package var queues = 16_384
    /// Bytes of one body.
    package var bodyBytes = 1_048_576
    /// Bodies, headers and keys of one publish together.
    package var publishBytes = 8_388_608
    /// Messages of one shard in all states.
    package var messages = 100_000_000
    package var inFlightPerQueue = 1_000_000
    package var waitersPerQueue = 10_000
    package var consumers = 100_000
    /// Tenants of one queue that have messages in it.
    package var tenantsPerQueue = 256
    /// Application ids remembered by one queue.
    package var dedupPerQueue = 1_000_000
    /// Producers whose sequences one queue remembers.
    package var producersPerQueue = 10_000
    /// Dead letters that stay in their own queue; the oldest is dropped above it.
    package var deadPerQueue = 1_000_000
    /// Messages that one tick moves, over all queues, and how many of those may be of one queue.
    package var workPerCommand = 1_024
    package var workPerQueue = 256
    /// Messages that one command hands to waiting receives.
    package var deliveriesPerCommand = 4_096
    /// How long no lease runs out after the term of a new leader began, in milliseconds.
    package var leaseGraceMilliseconds: UInt64 = 5_000

    #if PLANTED_BUGS
        package var plantedBug: PlantedQueueBug?
    #endif

    package init() {}

    // Bounds of single values; see `QueueState.validate`.
    package static let nameBytes = 512
    package static let keyBytes = 512
    /// A front end may put the queue's name in front of its users' ids.
    package static let consumerBytes = 1_100
    package static let tenantBytes = 128
    package static let dedupBytes = 512
    package static let reasonBytes = 1_024
    package static let labelBytes = 256
    package static let headers = 64
    package static let headerBytes = 65_536
    package static let lanes = 1_024
    package static let receiveCount: UInt64 = 1_024
    package static let receipts = 4_096
    /// A consumer's credit. It bounds what the end of a consumer moves in one command.
    package static let credit: UInt64 = 4_096
    package static let priorities = 10
    package static let maxAttempts: UInt64 = 1_000_000
    /// Twelve hours.
    package static let leaseMilliseconds: ClosedRange<UInt64> = 1...43_200_000
    package static let ttlMilliseconds: ClosedRange<UInt64> = 1_000...3_600_000
    /// One hour.
    package static let waitMilliseconds: UInt64 = 3_600_000
    /// 366 days: delays, schedules and lifetimes of messages.
    package static let delayMilliseconds: UInt64 = 31_622_400_000
    /// One day.
    package static let dedupMilliseconds: UInt64 = 86_400_000
    package static let redriveRate: UInt64 = 1_000_000
    package static let length: UInt64 = 1_000_000_000_000
    /// Cluster time stays below this; a stamp takes 48 bits of a message's record.
    static let stamp: UInt64 = 1 << 48 - 1

    // Bounds of answers.
    /// Results remembered per producer.
    package static let rememberedResults = 64
    package static let pageEntries = 1_000
    /// Records looked at for one page.
    package static let pageVisits = 8_192
    package static let dwellBuckets = 40

    /// Deficit round robin: what a tenant may take in one round, and what a message costs at least.
    static let tenantQuantum: Int64 = 16_384
    static let messageCost: Int64 = 512
}

#if PLANTED_BUGS
    /// Classic faults of queue services that the simulator must find. Test builds only.
    package enum PlantedQueueBug: Sendable, Equatable, CaseIterable {
        /// A receipt is good as long as its message is in flight, whichever delivery it was for.
        case staleReceiptAccepted
        /// A message that was put off lets the next of its key overtake it.
        case nackFreesKey
        /// A restarted replica has forgotten the application ids it saw.
        case dedupNotInSnapshot
        /// The deliveries of a consumer that ended stay where they are until their leases run out.
        case consumerEndForgetsDeliveries
        /// Snapshots leave out the bodies of messages that wait for their time.
        case bodiesOfDelayedDropped
        /// An extension is answered, and the lease runs out when it would have.
        case extendIgnored
        /// The lowest priority goes first once there are three.
        case priorityInverted
    }
#endif
