// SPDX-License-Identifier: Apache-2.0
import Replica
import Synchronization

/// Counts the requests that keep their connections for long, those that wait and event streams, against their bound.
/// Safe from any thread.
final class LongRequests: Sendable {
    private let limit: Int
    private let count = Mutex(0)

    init(limit: Int) { self.limit = limit }

    /// One of the places; it is free again when the last reference to it has gone.
    final class Place: Sendable {
        private let owner: LongRequests

        fileprivate init(_ owner: LongRequests) { self.owner = owner }

        deinit { owner.count.withLock { $0 -= 1 } }
    }

    /// Throws `busy` when all places are taken.
    func take() throws(Problem) -> Place {
        let isTaken = count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
        guard isTaken else {
            throw Problem(
                503,
                "busy",
                "Busy",
                "\(limit) requests wait or stream events at this node already; nothing was done, try again shortly "
                    + "or at another node"
            ).retrying(afterSeconds: 1)
        }
        return Place(self)
    }
}
