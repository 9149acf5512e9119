// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import RaftCore
import Replica

/// A consumer lives in each shard that has a lane of its queue. Its lanes are asked for each time: a guess that is too
/// low would let it expire in the shards left out.
///
/// Its id belongs to its queue: two queues that happen to share a shard must not share their consumers.
struct ConsumerKey {
    /// What the shard knows the consumer by: a queue's name has no NUL.
    let name: Name

    init(_ queue: Name, _ id: Name) { name = Name("\(queue.text)\0\(id.text)") }

    /// The consumer's own id.
    static func id(of name: Name) -> Name {
        name.text.utf8.lastIndex(of: 0).map { Name(String(name.text[name.text.utf8.index(after: $0)...])) } ?? name
    }
}

extension QueueService {
    func openConsumer(
        _ name: Name,
        _ open: OpenConsumer,
        _ timeout: Interval?,
        _ completion: @escaping Completion
    ) {
        var keyed = open
        keyed.id = ConsumerKey(name, open.id).name
        let command = Request.queue(.openConsumer(keyed))
        onEveryShard(of: name, timeout, completion, { _ in command }) { _, responses in
            if let failure = responses.failure(of: "it") { return .failed(failure) }
            return .consumerOpened(open.id, ttlMilliseconds: open.ttlMilliseconds)
        }
    }

    /// Unknown to one of the shards, as after a raise of the lanes, it is to be opened again: that leaves it in place
    /// where it is known.
    func renewConsumer(_ name: Name, _ id: Name, _ timeout: Interval?, _ completion: @escaping Completion) {
        let renewal = Request.renewConsumer(ConsumerKey(name, id).name)
        onEveryShard(of: name, timeout, completion, { _ in renewal }) { _, responses in
            var granted = UInt64.max
            for response in responses {
                guard case .renewed(let milliseconds) = response.queueResponse else {
                    return .failed(response.ofQueue)
                }
                granted = min(granted, milliseconds)
            }
            return .consumerRenewed(ttlMilliseconds: granted)
        }
    }

    func closeConsumer(_ name: Name, _ id: Name, _ timeout: Interval?, _ completion: @escaping Completion) {
        let close = Request.queue(.closeConsumer(ConsumerKey(name, id).name))
        onEveryShard(of: name, timeout, completion, { _ in close }) { _, responses in
            var returned: UInt64 = 0
            for case .consumerClosed(let count) in responses.compactMap(\.queueResponse) { returned += count }
            let strangers = responses.filter { if case .noConsumer = $0.queueRefusal { true } else { false } }
            if strangers.count == responses.count, let first = strangers.first { return .failed(first.ofQueue) }
            let others = responses.filter { if case .noConsumer = $0.queueRefusal { false } else { true } }
            return others.failure(of: "it").map { .failed($0) } ?? .consumerClosed(returned: returned)
        }
    }

    func resumeConsumer(
        _ name: Name,
        _ id: Name,
        _ receipts: [Receipt],
        _ timeout: Interval?,
        _ completion: @escaping Completion
    ) {
        let command: (ShardID) -> Request = { shard in
            .queue(.resumeConsumer(ConsumerKey(name, id).name, receipts.filter { $0.shard == shard }))
        }
        onEveryShard(of: name, timeout, completion, command) { shards, responses in
            if let failure = responses.failure(of: "it") { return .failed(failure) }
            var outcomes = [SettleOutcome](repeating: .foreign, count: receipts.count)
            var returned: UInt64 = 0
            for (shard, response) in zip(shards, responses) {
                guard case .consumerResumed(let found, let count) = response.queueResponse else { continue }
                returned += count
                let positions = receipts.indices.filter { receipts[$0].shard == shard }
                for (position, outcome) in zip(positions, found) { outcomes[position] = outcome }
            }
            return .consumerResumed(outcomes, returned: returned)
        }
    }

    func consumer(_ name: Name, _ id: Name, _ timeout: Interval?, _ completion: @escaping Completion) {
        let query = Request.queueQuery(.consumer(ConsumerKey(name, id).name), .readIndex)
        onEveryShard(of: name, timeout, completion, { _ in query }) { _, responses in
            if let failure = responses.failure(of: "it") { return .failed(failure) }
            var whole: ConsumerView?
            for case .consumer(.some(var view)) in responses.compactMap(\.queueResponse) {
                view.id = id
                guard var sum = whole else {
                    whole = view
                    continue
                }
                sum.inFlight += view.inFlight
                sum.waiting += view.waiting
                sum.ageMilliseconds = max(sum.ageMilliseconds, view.ageMilliseconds)
                if let remaining = view.remainingMilliseconds {
                    sum.remainingMilliseconds = min(sum.remainingMilliseconds ?? remaining, remaining)
                }
                whole = sum
            }
            return .consumer(whole)
        }
    }

    private func onEveryShard(
        of name: Name,
        _ timeout: Interval?,
        _ completion: @escaping Completion,
        _ request: @escaping (ShardID) -> Request,
        result: @escaping ([ShardID], [Response]) -> QueueResult
    ) {
        look(at: name, timeout, completion) { view in
            let shards = self.shards(of: LaneMap(queue: name, lanes: Int(clamping: view.settings.lanes)))
            self.gather(shards.map { (request($0), $0) }, timeout) { responses in
                completion(result(shards, responses))
            }
        }
    }
}
