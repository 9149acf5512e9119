// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Replica

extension QueueService {
    func settle(_ settle: Settle, _ timeout: Interval?, _ completion: @escaping Completion) {
        let first = settle.receipts.first?.lane ?? 0
        guard first == 0, settle.receipts.allSatisfy({ $0.lane == 0 }) else {
            return settleLanes(settle, timeout, completion)
        }
        port.submit(.queue(.settle(settle)), timeout: timeout) { response in
            if case .settled(let outcomes) = response.queueResponse {
                completion(.settled(outcomes))
            } else {
                completion(.failed(response))
            }
        }
    }

    private func settleLanes(_ settle: Settle, _ timeout: Interval?, _ completion: @escaping Completion) {
        let map = LaneMap(queue: settle.queue, lanes: QueueLimits.lanes)
        var outcomes = [SettleOutcome](repeating: .foreign, count: settle.receipts.count)
        var groups: [UInt16: [Int]] = [:]
        for (position, receipt) in settle.receipts.enumerated() { groups[receipt.lane, default: []].append(position) }
        var parts: [(positions: [Int], command: QueueCommand)] = []
        for (lane, positions) in groups.sorted(by: { $0.key < $1.key }) where Int(lane) < QueueLimits.lanes {
            var part = settle
            part.queue = map.line(Int(lane))
            let tag = Receipt.tag(of: part.queue)
            // The first lane is asked in any case: it knows whether there is such a queue.
            let own = lane == 0 ? positions : positions.filter { settle.receipts[$0].line == tag }
            guard !own.isEmpty else { continue }
            part.receipts = own.map { settle.receipts[$0] }
            parts.append((own, .settle(part)))
        }
        gather(parts.map(\.command), timeout) { responses in
            if let failure = responses.failure(of: "the settlement") { return completion(.failed(failure)) }
            for (part, response) in zip(parts, responses) {
                guard case .settled(let found) = response.queueResponse else { continue }
                for (position, outcome) in zip(part.positions, found) { outcomes[position] = outcome }
            }
            completion(.settled(outcomes))
        }
    }

    /// Nobody takes these deliveries: they return at once.
    func giveBack(_ deliveries: [Delivery], of queue: Name, _ timeout: Interval?) {
        guard !deliveries.isEmpty else { return }
        let receipts = deliveries.map(\.receipt)
        settle(Settle(queue: queue, receipts: receipts, settlement: .giveBack(delayMilliseconds: 0)), timeout) { _ in }
    }
}
