// SPDX-License-Identifier: Apache-2.0
import Replica
import Synchronization

/// Counts the requests that keep their connections for long, those that wait and event streams, against their bound.
/// Safe from any thread.
final class LongRequests: Sendable {
    typealias Place = Allowance.Part

    private let allowance: Allowance

    init(limit: Int) { allowance = Allowance(limit: limit) }

    /// Throws `busy` when all places are taken.
    func take() throws(Problem) -> Place {
        guard let place = allowance.take(1) else {
            throw .busy("\(allowance.limit) requests wait or stream events at this node already")
        }
        return place
    }
}

/// Counts the bytes of request bodies above the ordinary size that are being received or carried out, against their
/// bound: each connection's own limit would let all of them together fill the memory. Safe from any thread.
final class LargeBodies: Sendable {
    private let allowance: Allowance

    /// `limit` in bytes; at least one body of the largest size must fit.
    init(limit: Int) { allowance = Allowance(limit: limit) }

    /// Throws `busy` when that many bytes are not left. The body has not been read then, so the connection closes.
    func take(_ bytes: Int) throws(Problem) -> Allowance.Part {
        guard let part = allowance.take(bytes) else {
            var problem = Problem.busy("\(allowance.limit) bytes of large bodies are on their way at this node already")
            problem.closesConnection = true
            throw problem
        }
        return part
    }
}

/// A bounded amount of something, of which parts are taken for a time.
final class Allowance: Sendable {
    let limit: Int
    private let taken = Mutex(0)

    init(limit: Int) { self.limit = limit }

    /// A taken part; it is free again when the last reference to it has gone.
    final class Part: Sendable {
        private let owner: Allowance
        private let amount: Int

        fileprivate init(_ owner: Allowance, _ amount: Int) {
            self.owner = owner
            self.amount = amount
        }

        deinit { owner.taken.withLock { $0 -= amount } }
    }

    /// Nil when not that much is left.
    func take(_ amount: Int) -> Part? {
        let isTaken = taken.withLock { taken in
            guard amount <= limit - taken else { return false }
            taken += amount
            return true
        }
        return isTaken ? Part(self, amount) : nil
    }
}

extension Problem {
    static func busy(_ reason: String) -> Problem {
        Problem(
            503,
            "busy",
            "Busy",
            "\(reason); nothing was done, try again shortly or at another node"
        ).retrying(afterSeconds: 1)
    }
}
