// SPDX-License-Identifier: Apache-2.0
#if PLANTED_BUGS
    import CacheCore
    import LockCore
    import QueueCore
    import RaftCore
#endif

/// Classic bugs that a test build can plant, each with the scenario in which it shows and the checker that has to
/// see it.
package struct PlantedBug: Sendable {
    package let name: String
    package let scenario: String
    package let checker: CheckerName
    /// Seeds within which it has to be found.
    package let seeds: Int

    package static let all: [PlantedBug] = [
        PlantedBug(name: "vote-before-persist", scenario: "crashes", checker: .durableVote, seeds: 20),
        PlantedBug(name: "commit-old-term-by-counting", scenario: "figure-8", checker: .leaderCompleteness, seeds: 100),
        PlantedBug(name: "ack-before-fsync", scenario: "crashes", checker: .durability, seeds: 20),
        PlantedBug(name: "stale-read-index-retry", scenario: "stale-read", checker: .linearizableReads, seeds: 200),
        PlantedBug(name: "grant-without-session-check", scenario: "sessions", checker: .sessionRules, seeds: 50),
        PlantedBug(name: "expiry-from-deposed-leader", scenario: "deposed-expiry", checker: .sessionRules, seeds: 200),
        PlantedBug(name: "token-not-rising", scenario: "calm", checker: .tokenOrder, seeds: 20),
        PlantedBug(name: "stale-receipt-accepted", scenario: "queues", checker: .queueReceipts, seeds: 20),
        PlantedBug(name: "nack-frees-key", scenario: "queues", checker: .queueOrder, seeds: 20),
        PlantedBug(name: "dedup-not-in-snapshot", scenario: "queue-snapshots", checker: .replicaDigest, seeds: 50),
        PlantedBug(name: "consumer-end-forgets", scenario: "queue-consumers", checker: .queueRules, seeds: 20),
        PlantedBug(name: "bodies-of-delayed", scenario: "queue-snapshots", checker: .queueBodies, seeds: 20),
        PlantedBug(name: "extend-ignored", scenario: "queues", checker: .queueLease, seeds: 50),
        PlantedBug(name: "priority-inverted", scenario: "queues", checker: .queueOrder, seeds: 50),
        PlantedBug(name: "no-synchronisation", scenario: "cache-homes", checker: .cacheLines, seeds: 10),
        PlantedBug(name: "no-acknowledgements", scenario: "cache-homes", checker: .cacheLines, seeds: 10),
        PlantedBug(name: "hit-without-lease", scenario: "cache-homes", checker: .cacheLines, seeds: 20),
        PlantedBug(name: "any-epoch", scenario: "cache-homes", checker: .cacheLines, seeds: 60),
        PlantedBug(name: "keep-lines", scenario: "cache-homes", checker: .cacheLines, seeds: 10),
        PlantedBug(name: "keep-line-in-put", scenario: "cache-homes", checker: .cacheLines, seeds: 20),
        PlantedBug(name: "hints-without-number", scenario: "cache-homes", checker: .cacheLines, seeds: 30),
        PlantedBug(name: "join-after-invalidation", scenario: "cache", checker: .cacheHistory, seeds: 60),
        PlantedBug(name: "install-below-floor", scenario: "cache", checker: .cacheLines, seeds: 60),
        PlantedBug(name: "keep-older-line", scenario: "cache", checker: .cacheLines, seeds: 60),
        PlantedBug(name: "remove-before-expiry", scenario: "cache-homes", checker: .cacheLines, seeds: 40),
        PlantedBug(name: "drop-sent-data", scenario: "cache-volatile", checker: .cacheLines, seeds: 80),
        PlantedBug(name: "one-answer-for-all", scenario: "cache-together", checker: .cacheHistory, seeds: 5),
        PlantedBug(name: "answer-before-acknowledgements", scenario: "cache", checker: .cacheLines, seeds: 60),
        PlantedBug(name: "forgotten-verdicts", scenario: "cache", checker: .cacheHistory, seeds: 60),
    ]

    package static func named(_ name: String) -> PlantedBug? { all.first { $0.name == name } }

    /// Whether this build can plant anything.
    package static var isAvailable: Bool {
        #if PLANTED_BUGS
            true
        #else
            false
        #endif
    }
}

#if PLANTED_BUGS
    extension SimulationOptions {
        var plantedRaftBug: PlantedRaftBug? {
            switch planted {
            case "vote-before-persist": .voteBeforePersist
            case "commit-old-term-by-counting": .commitOldTermByCounting
            case "ack-before-fsync": .ackBeforeFsync
            case "stale-read-index-retry": .staleReadIndexRetry
            default: nil
            }
        }

        var plantedLockBug: PlantedLockBug? {
            switch planted {
            case "grant-without-session-check": .grantWithoutSessionCheck
            case "expiry-from-deposed-leader": .expiryFromDeposedLeader
            case "token-not-rising": .tokenNotRising
            default: nil
            }
        }

        var plantedCacheBug: PlantedCacheBug? {
            guard let planted else { return nil }
            return PlantedCacheBug.allCases.first { $0.name == planted }
        }

        var plantedQueueBug: PlantedQueueBug? {
            switch planted {
            case "stale-receipt-accepted": .staleReceiptAccepted
            case "nack-frees-key": .nackFreesKey
            case "dedup-not-in-snapshot": .dedupNotInSnapshot
            case "consumer-end-forgets": .consumerEndForgetsDeliveries
            case "bodies-of-delayed": .bodiesOfDelayedDropped
            case "extend-ignored": .extendIgnored
            case "priority-inverted": .priorityInverted
            default: nil
            }
        }
    }

    extension PlantedCacheBug {
        /// In the words of the command line: `keepLines` is `keep-lines`.
        var name: String {
            var name = ""
            for letter in rawValue { name += letter.isUppercase ? "-" + letter.lowercased() : String(letter) }
            return name
        }
    }
#endif
