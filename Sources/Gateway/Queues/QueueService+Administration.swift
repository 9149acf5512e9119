// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import Replica

/// What concerns a queue as a whole. All of it can be repeated: what was done is found done.
extension QueueService {
    // MARK: Declaring

    func declare(
        _ name: Name,
        _ settings: QueueSettings,
        _ timeout: Interval?,
        _ completion: @escaping Completion
    ) {
        port.submit(.queue(.declare(name, settings)), timeout: timeout) { response in
            guard case .declared(let created) = response.queueResponse else {
                return completion(.failed(response.ofQueue))
            }
            self.learn(settings.lanes, of: name)
            let lanes = LaneMap(queue: name, lanes: Int(clamping: settings.lanes))
            // The first lane is there: what fails from here on leaves something behind.
            let begun = Self.begun("the queue's first lane was made", completion)
            self.put(Array(lanes.lines.dropFirst()), settings, timeout, begun) {
                self.provide(deadLettersOf: name, settings, timeout, begun) {
                    completion(.declared(created: created))
                }
            }
        }
    }

    /// Of an operation that has begun to take effect, nobody may be told that nothing was done.
    private static func begun(_ what: String, _ completion: @escaping Completion) -> Completion {
        { result in
            guard case .failed(let response) = result, let text = RefusalText(response) else {
                return completion(result)
            }
            let reason = "\(what), then: \(text.detail); repeat it to complete it"
            completion(.failed(.unavailable(.unknown, reason: reason)))
        }
    }

    /// Makes lines with these settings, or gives them to those that exist.
    private func put(
        _ lines: [Name],
        _ settings: QueueSettings,
        _ timeout: Interval?,
        _ completion: @escaping Completion,
        then: @escaping () -> Void
    ) {
        gather(lines.map { .declare($0, settings) }, timeout) { responses in
            var others: [Name] = []
            var done: [Response] = []
            for (line, response) in zip(lines, responses) {
                if case .exists = response.queueRefusal { others.append(line) } else { done.append(response) }
            }
            if let failure = done.failure(of: "the change") { return completion(.failed(failure)) }
            self.gather(others.map { .update($0, settings) }, timeout) { responses in
                if let failure = responses.failure(of: "the change") { return completion(.failed(failure)) }
                then()
            }
        }
    }

    /// The dead-letter queue has a lane for each of the queue's.
    private func provide(
        deadLettersOf name: Name,
        _ settings: QueueSettings,
        _ timeout: Interval?,
        _ completion: @escaping Completion,
        then: @escaping () -> Void
    ) {
        let other = settings.deadLetter
        // What may not be is refused by the line that is told of it.
        guard other.byteCount > 0, other != name, LaneMap.areTogether(name, other) else { return then() }
        find(other, timeout, completion) { view in
            let carryOn: Completion = { result in
                if case .failed = result { completion(result) } else { then() }
            }
            guard let view else {
                var plain = QueueSettings()
                plain.lanes = settings.lanes
                return self.declare(other, plain, timeout, carryOn)
            }
            guard view.settings.lanes < settings.lanes else { return then() }
            var change = QueueSettingsChange()
            change.lanes = settings.lanes
            self.update(other, change, timeout, depth: 1, carryOn)
        }
    }

    func update(
        _ name: Name,
        _ change: QueueSettingsChange,
        _ timeout: Interval?,
        depth: Int = 0,
        _ completion: @escaping Completion
    ) {
        look(at: name, timeout, completion) { view in
            let settings = change.applied(to: view.settings)
            guard settings.lanes >= view.settings.lanes else {
                let refusal = QueueError.lanesLowered(from: view.settings.lanes)
                return completion(.failed(.queue(QueueAnswer(.refused(refusal)))))
            }
            guard settings.lanes <= UInt64(QueueLimits.lanes) else {
                let refusal = QueueError.invalid("a queue has 1 to \(QueueLimits.lanes) lanes")
                return completion(.failed(.queue(QueueAnswer(.refused(refusal)))))
            }
            let apply = { self.apply(settings, to: name, from: view.settings.lanes, timeout, completion) }
            // A ring of dead-letter queues ends here.
            guard depth < 2 else { return apply() }
            self.provide(deadLettersOf: name, settings, timeout, completion, then: apply)
        }
    }

    /// New lanes first, so that whoever learns of them finds them; the first lane, which tells of them, last.
    private func apply(
        _ settings: QueueSettings,
        to name: Name,
        from old: UInt64,
        _ timeout: Interval?,
        _ completion: @escaping Completion
    ) {
        let lines = LaneMap(queue: name, lanes: Int(clamping: settings.lanes)).lines
        let isOne = old == 1 && settings.lanes == 1
        let begun = isOne ? completion : Self.begun("a part of its lanes was changed", completion)
        put(Array(lines[Int(clamping: old)...]), settings, timeout, completion) {
            self.put(Array(lines[..<Int(clamping: old)].dropFirst()), settings, timeout, begun) {
                self.port.submit(.queue(.update(name, settings)), timeout: timeout) { response in
                    guard case .updated = response.queueResponse else {
                        return begun(.failed(response.ofQueue))
                    }
                    self.learn(settings.lanes, of: name)
                    completion(.updated(settings))
                }
            }
        }
    }

    // MARK: Every lane

    /// The first lane goes last: as long as it is there, an interrupted deletion can be repeated.
    func delete(_ name: Name, _ timeout: Interval?, _ completion: @escaping Completion) {
        look(at: name, timeout, completion) { view in
            let lines = LaneMap(queue: name, lanes: Int(clamping: view.settings.lanes)).lines
            self.gather(lines.dropFirst().map { .delete($0) }, timeout) { responses in
                let present = responses.filter { !$0.isNoQueue }
                if let failure = present.failure(of: "the deletion") { return completion(.failed(failure)) }
                self.port.submit(.queue(.delete(name)), timeout: timeout) { response in
                    let all = present + [response]
                    if let failure = all.failure(of: "the deletion") { return completion(.failed(failure)) }
                    self.forget(name)
                    completion(.deleted(messages: all.reduce(0) { $0 + $1.removed }))
                }
            }
        }
    }

    func purge(_ name: Name, _ timeout: Interval?, _ completion: @escaping Completion) {
        onEveryLane(name, "the purge", timeout, completion, { .purge($0) }) { responses in
            .purged(messages: responses.reduce(0) { $0 + $1.removed })
        }
    }

    func setPaused(
        _ name: Name,
        _ timeout: Interval?,
        _ completion: @escaping Completion,
        command: @escaping (Name) -> QueueCommand
    ) {
        onEveryLane(name, "it", timeout, completion, command) { _ in .pausedOrResumed }
    }

    func cancelRedrive(_ name: Name, _ timeout: Interval?, _ completion: @escaping Completion) {
        onEveryLane(name, "it", timeout, completion, { .cancelRedrive($0) }) { $0.redrive }
    }

    private func onEveryLane(
        _ name: Name,
        _ what: String,
        _ timeout: Interval?,
        _ completion: @escaping Completion,
        _ command: @escaping (Name) -> QueueCommand,
        result: @escaping ([Response]) -> QueueResult
    ) {
        look(at: name, timeout, completion) { view in
            let lanes = LaneMap(queue: name, lanes: Int(clamping: view.settings.lanes))
            self.gather(lanes.lines.map(command), timeout) { responses in
                completion(responses.failure(of: what).map { .failed($0) } ?? result(responses))
            }
        }
    }

    // MARK: Redrive

    /// All lanes at once when all dead letters are meant; lane by lane when only so many are.
    func redrive(_ redrive: Redrive, _ timeout: Interval?, _ completion: @escaping Completion) {
        look(at: redrive.queue, timeout, completion) { view in
            let lanes = LaneMap(queue: redrive.queue, lanes: Int(clamping: view.settings.lanes))
            let parts = (0..<lanes.lanes).map { lane in
                var part = redrive
                part.queue = lanes.line(lane)
                if redrive.target.byteCount > 0 {
                    part.target = LaneMap(queue: redrive.target, lanes: lanes.lanes).line(lane)
                }
                if redrive.rate > 0 { part.rate = max(1, redrive.rate / UInt64(lanes.lanes)) }
                return part
            }
            if redrive.count > 0 { return self.redrive(parts[...], [], timeout, completion) }
            self.gather(parts.map { .redrive($0) }, timeout) { responses in
                completion(responses.failure(of: "the redrive").map { .failed($0) } ?? responses.redrive)
            }
        }
    }

    private func redrive(
        _ parts: ArraySlice<Redrive>,
        _ before: [Response],
        _ timeout: Interval?,
        _ completion: @escaping Completion
    ) {
        let total = before.reduce(0) { $0 + $1.redriven.moved + $1.redriven.left }
        guard var part = parts.first, total < part.count else { return completion(before.redrive) }
        part.count -= total
        port.submit(.queue(.redrive(part)), timeout: timeout) { response in
            let responses = before + [response]
            if let failure = responses.failure(of: "the redrive") { return completion(.failed(failure)) }
            self.redrive(parts.dropFirst(), responses, timeout, completion)
        }
    }

    // MARK: One message

    func cancel(_ name: Name, _ id: QueueMessageID, _ timeout: Interval?, _ completion: @escaping Completion) {
        look(at: name, timeout, completion) { view in
            guard UInt64(id.lane) < view.settings.lanes else { return completion(.cancelled(.notFound)) }
            let line = LaneMap(queue: name, lanes: Int(clamping: view.settings.lanes)).line(Int(id.lane))
            self.port.submit(.queue(.cancelMessage(line, id.id)), timeout: timeout) { response in
                guard case .messageCancelled(let outcome) = response.queueResponse else {
                    return completion(.failed(response.ofQueue))
                }
                completion(.cancelled(outcome))
            }
        }
    }
}

extension Response {
    /// Messages that a purge or a deletion removed.
    fileprivate var removed: UInt64 {
        switch queueResponse {
        case .purged(let messages), .deleted(let messages): messages
        default: 0
        }
    }

    fileprivate var redriven: (moved: UInt64, left: UInt64) {
        if case .redrive(let moved, let left) = queueResponse { (moved, left) } else { (0, 0) }
    }
}

extension [Response] {
    fileprivate var redrive: QueueResult {
        .redrive(moved: reduce(0) { $0 + $1.redriven.moved }, left: reduce(0) { $0 + $1.redriven.left })
    }
}
