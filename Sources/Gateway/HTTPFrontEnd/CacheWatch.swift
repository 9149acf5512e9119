// SPDX-License-Identifier: Apache-2.0
import CacheCore

/// The `cache` events of `/v1/events`: what an operator wants to know of this node's cache as it happens, found by
/// comparing its statistics from time to time.
struct CacheWatch {
    private var last: CacheStatistics
    /// The memory (Redis) has failed since it last served.
    private var isMemoryFailing = false

    init(_ statistics: CacheStatistics) { last = statistics }

    /// What has happened since the last call.
    mutating func changes(_ now: CacheStatistics) -> [JSONValue] {
        defer { last = now }
        var events: [JSONValue] = []
        let (had, has) = (last.leaseRemaining > 0, now.leaseRemaining > 0)
        // A lease that was lost and won again in between has taken all lines with it all the same.
        if now.leaseLosses > last.leaseLosses || had && !has {
            events.append(.object(("kind", .string("lease_lost")), ("losses", .number(now.leaseLosses))))
        }
        if has, !had || now.leaseLosses > last.leaseLosses {
            events.append(.object(("kind", .string("lease_granted")), ("lines", .number(now.lines.reduce(0, +)))))
        }
        let failures = now.memory.failures &- last.memory.failures
        if failures > 0, !isMemoryFailing {
            isMemoryFailing = true
            events.append(.object(("kind", .string("memory_failing")), ("dirty_keys", .number(now.memory.dirtyKeys))))
        } else if failures == 0, isMemoryFailing, now.memory.successes > last.memory.successes {
            isMemoryFailing = false
            events.append(.object(("kind", .string("memory_serving")), ("dirty_keys", .number(now.memory.dirtyKeys))))
        }
        if now.memory.quarantinedKeys != last.memory.quarantinedKeys {
            events.append(.object(("kind", .string("quarantine")), ("keys", .number(now.memory.quarantinedKeys))))
        }
        return events
    }
}

extension CacheStatistics.Memory {
    fileprivate var failures: UInt64 { writeFailures &+ fetchFailures }
    fileprivate var successes: UInt64 { writes &+ fetches }
}
