// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import RaftCore
import Replica

extension QueueService {
    func stats(_ name: Name, _ timeout: Interval?, _ completion: @escaping Completion) {
        find(name, timeout, completion) { view in
            guard var view else { return completion(.stats(nil)) }
            let lines = LaneMap(queue: name, lanes: Int(clamping: view.settings.lanes)).lines.dropFirst()
            self.views(of: Array(lines), timeout, completion) { others in
                for other in others { view.add(other) }
                completion(.stats(view))
            }
        }
    }

    /// The lines that exist, in the order asked for.
    private func views(
        of lines: [Name],
        _ timeout: Interval?,
        _ completion: @escaping Completion,
        then: @escaping ([QueueView]) -> Void
    ) {
        ask(lines.map { .queue($0) }, timeout, completion) { answers in
            then(answers.compactMap { if case .queue(let view) = $0.response { view } else { nil } })
        }
    }

    /// All answers, or the first failure.
    private func ask(
        _ queries: [QueueQuery],
        to shards: [ShardID]? = nil,
        _ timeout: Interval?,
        _ completion: @escaping Completion,
        then: @escaping ([QueueAnswer]) -> Void
    ) {
        let requests = queries.enumerated().map { position, query in
            (request: Request.queueQuery(query, .readIndex), shard: shards?[position])
        }
        gather(requests, timeout) { responses in
            var answers: [QueueAnswer] = []
            for response in responses {
                guard response.queueResponse != nil, case .queue(let answer) = response else {
                    return completion(.failed(response.ofQueue))
                }
                answers.append(answer)
            }
            then(answers)
        }
    }

    // MARK: Messages

    /// In the order of a queue of one lane: ready ones by id, others by when they are due or died.
    func peek(
        _ name: Name,
        _ state: MessageState,
        _ limit: Int,
        _ timeout: Interval?,
        _ completion: @escaping Completion
    ) {
        look(at: name, timeout, completion) { view in
            let lines = LaneMap(queue: name, lanes: Int(clamping: view.settings.lanes)).lines
            self.peek(Peek(lines: lines, state: state, limit: max(0, limit), timeout: timeout), completion)
        }
    }

    private struct Peek {
        let lines: [Name]
        let state: MessageState
        let limit: Int
        let timeout: Interval?
        var asked = 0
        /// The first of those that have been asked.
        var found: [PeekedMessage] = []
    }

    /// Lanes whose answers, each with its bodies, are in memory together.
    private static let lanesPeekedTogether = 4

    /// A few lanes after the other, and of what they show only the first is kept: a queue may have a thousand lanes.
    private func peek(_ peek: Peek, _ completion: @escaping Completion) {
        guard peek.asked < peek.lines.count else { return completion(.messages(peek.found)) }
        let first = peek.asked
        let lines = peek.lines[first..<min(first + Self.lanesPeekedTogether, peek.lines.count)]
        let queries = lines.map { QueueQuery.peek($0, peek.state, limit: peek.limit) }
        ask(queries, peek.timeout, completion) { answers in
            var next = peek
            next.asked += queries.count
            next.found += answers.enumerated().flatMap { $1.peeked(in: first + $0) }
            if peek.lines.count > 1 { next.found.sort { $0.view.place < $1.view.place } }
            next.found = Self.page(of: next.found, limit: peek.limit)
            self.peek(next, completion)
        }
    }

    /// As many as one answer may carry.
    private static func page(of messages: [PeekedMessage], limit: Int) -> [PeekedMessage] {
        var bytes = 0
        var count = 0
        for message in messages.prefix(limit) {
            bytes += message.content?.body.count ?? 0
            guard count == 0 || bytes <= QueueAnswer.maxBytes else { break }
            count += 1
        }
        return Array(messages.prefix(count))
    }

    func message(_ name: Name, _ id: QueueMessageID, _ timeout: Interval?, _ completion: @escaping Completion) {
        look(at: name, timeout, completion) { view in
            guard UInt64(id.lane) < view.settings.lanes else { return completion(.message(nil)) }
            let line = LaneMap(queue: name, lanes: Int(clamping: view.settings.lanes)).line(Int(id.lane))
            self.ask([.message(line, id.id)], timeout, completion) { answers in
                completion(.message(answers.first?.peeked(in: Int(id.lane)).first))
            }
        }
    }

    // MARK: The list

    /// Every shard is asked for its lines. What all have told of is sure; the rest is left to the next page.
    func list(
        _ prefix: String,
        _ after: Name,
        _ limit: Int,
        _ timeout: Interval?,
        _ completion: @escaping Completion
    ) {
        let limit = max(1, min(limit, QueueLimits.pageEntries))
        let shards = (0..<port.shardCount).map { ShardID(UInt16(truncatingIfNeeded: $0)) }
        let query = QueueQuery.queues(prefix: prefix, after: after, limit: limit)
        ask(shards.map { _ in query }, to: shards, timeout, completion) { answers in
            var views: [QueueView] = []
            var horizon: Name?
            for case .queues(let page, let next) in answers.map(\.response) {
                views += page
                if next.byteCount > 0 { horizon = min(horizon ?? next, next) }
            }
            if let horizon { views.removeAll { $0.name > horizon } }
            var queues = views.filter { $0.name.queue == $0.name }.sorted { $0.name < $1.name }
            var next = horizon ?? ""
            if queues.count > limit {
                queues = Array(queues.prefix(limit))
                next = queues[limit - 1].name
            }
            if queues.isEmpty, let horizon { return self.list(prefix, horizon, limit, timeout, completion) }
            self.fold(views, into: queues, timeout, completion) { completion(.list($0, next: next)) }
        }
    }

    /// Adds the lanes to their queues: those at hand, and those on other pages, which are asked for.
    private func fold(
        _ views: [QueueView],
        into queues: [QueueView],
        _ timeout: Interval?,
        _ completion: @escaping Completion,
        then: @escaping ([QueueView]) -> Void
    ) {
        var lanes: [Name: QueueView] = [:]
        for view in views where view.name.queue != view.name { lanes[view.name] = view }
        let wanted = queues.flatMap { view in
            LaneMap(queue: view.name, lanes: Int(clamping: view.settings.lanes)).lines.dropFirst()
        }
        self.views(of: wanted.filter { lanes[$0] == nil }, timeout, completion) { missing in
            for view in missing { lanes[view.name] = view }
            then(
                queues.map { queue in
                    var whole = queue
                    let lines = LaneMap(queue: queue.name, lanes: Int(clamping: queue.settings.lanes)).lines
                    for line in lines.dropFirst() { if let lane = lanes[line] { whole.add(lane) } }
                    return whole
                }
            )
        }
    }
}

extension MessageView {
    /// Its place among those of other lanes in the same state.
    fileprivate var place: (UInt64, UInt64) {
        switch state {
        case .ready: (0, id.rawValue)
        case .inFlight, .delayed: (due ?? 0, id.rawValue)
        case .dead: (deadLetter?.died ?? 0, id.rawValue)
        }
    }
}
