// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore

/// Queues come and go, and messages are published to them.
extension QueueModel {
    /// Lines that this entry made: declared, published to, or the first dead letter's.
    mutating func noteLines(_ step: Step) {
        for case .declared(let name) in step.outcome.queueEffects.events {
            var settings = QueueSettings()
            if case .declare(let declared, let given) = step.command, declared == name {
                settings = given
            } else if let origin = lines.first(where: { $0.exists && Self.deadLetterLine(of: $0) == name }) {
                settings.lanes = origin.settings.lanes
            }
            let line = Line(
                name: name,
                tag: Receipt.tag(of: name),
                lane: LaneMap.parse(name)?.lane ?? 0,
                settings: settings
            )
            lineIndex[name] = lines.count
            lines.append(line)
        }
    }

    static func deadLetterLine(of line: Line) -> Name? {
        guard line.settings.deadLetter.byteCount > 0 else { return nil }
        return LaneMap(queue: line.settings.deadLetter, lanes: Int(line.settings.lanes)).line(Int(line.lane))
    }

    mutating func changeLine(_ step: Step, _ violations: inout ViolationLog) {
        switch (step.command, step.response) {
        case (.declare(let name, let settings), .declared(created: false)):
            let isSame = line(name).map { lines[$0].settings == settings } ?? false
            expect(isSame, "the queue has other settings", step, &violations)
        case (.update(let name, let settings), .updated):
            guard let line = line(name) else { return }
            expect(settings.lanes >= lines[line].settings.lanes, "lanes were lowered", step, &violations)
            lines[line].settings = settings
        case (.delete(let name), .deleted(let messages)):
            probes.append(.queueDeleted)
            guard let line = line(name) else { return }
            endAll(line, messages, step, &violations)
            lines[line].exists = false
        case (.purge(let name), .purged(let messages)):
            probes.append(.queuePurged)
            guard let line = line(name) else { return }
            endAll(line, messages, step, &violations)
        case (.pause(let name, let side), .pausedOrResumed): setPaused(name, side, true)
        case (.resume(let name, let side), .pausedOrResumed): setPaused(name, side, false)
        case (.cancelMessage(let name, let id), .messageCancelled(let outcome)):
            cancel(id, name, outcome, step, &violations)
        case (_, .refused(.noQueue(let name))): expect(line(name) == nil, "\(name) is there", step, &violations)
        default: break
        }
    }

    private mutating func endAll(_ line: Int, _ count: UInt64, _ step: Step, _ violations: inout ViolationLog) {
        let live = lines[line].live
        expect(UInt64(live.count) == count, "\(live.count) messages were there", step, &violations)
        for position in live { end(position, .purged) }
        if lines[line].redrive != nil { lines[line].redrive = nil }
    }

    private mutating func setPaused(_ name: Name, _ side: QueueSide, _ isPaused: Bool) {
        guard let line = line(name) else { return }
        if isPaused { probes.append(.queuePaused) }
        switch side {
        case .publish: lines[line].isPublishPaused = isPaused
        case .consume: lines[line].isConsumePaused = isPaused
        }
    }

    private mutating func cancel(
        _ id: MessageID,
        _ name: Name,
        _ outcome: CancelOutcome,
        _ step: Step,
        _ violations: inout ViolationLog
    ) {
        let position = index[id].flatMap { messages[$0].isLive && lines[messages[$0].line].name == name ? $0 : nil }
        let expected: CancelOutcome =
            position.map { messages[$0].place == .inFlight ? .inFlight : .cancelled } ?? .notFound
        expect(outcome == expected, "the message is \(expected)", step, &violations)
        guard outcome == .cancelled, let position else { return }
        probes.append(.messageCancelled)
        end(position, .purged)
    }

    func expect(_ condition: Bool, _ what: @autoclosure () -> String, _ step: Step, _ violations: inout ViolationLog) {
        violations.expect(condition, .queueRules, report(what(), step))
    }

    func report(_ what: String, _ step: Step) -> String {
        "entry \(step.outcome.index) of shard \(shard), \(step.command), was answered "
            + "\(step.response.map { "\($0)" } ?? "nothing"), but \(what)"
    }

    // MARK: Publishing

    mutating func publish(_ publish: Publish, _ step: Step, _ violations: inout ViolationLog) {
        let line = line(publish.queue)
        switch step.response {
        case .published(let ids): stored(publish, ids, line, step, &violations)
        case .refused(let refusal): refused(publish, refusal, line, step, &violations)
        default: expect(step.response == nil, "it was a publish", step, &violations)
        }
    }

    private mutating func stored(
        _ publish: Publish,
        _ ids: [Published],
        _ line: Int?,
        _ step: Step,
        _ violations: inout ViolationLog
    ) {
        guard let line else { return violations.report(.queueRules, report("there is no such queue", step)) }
        expect(!(publish.guardedBy?.isStale ?? false), "its lock token is stale", step, &violations)
        expect(
            publish.lanes == 0 || publish.lanes == lines[line].settings.lanes,
            "the queue has \(lines[line].settings.lanes) lanes",
            step,
            &violations
        )
        if let key = publish.producer, let known = result(key, line) {
            probes.append(.publishRepeated)
            let expected = known.map { Published(id: $0, isDuplicate: true) }
            violations.expect(ids == expected, .queueDedup, report("this sequence was \(expected)", step))
            return
        }
        expect(!lines[line].isPublishPaused, "publishing is paused", step, &violations)
        let expected = identify(publish, line, step)
        violations.expect(ids == expected, .queueDedup, report("it should be \(expected)", step))
        for (message, published) in zip(publish.messages, ids) {
            if published.isDuplicate {
                probes.append(.publishRepeated)
            } else {
                store(message, published.id, line, step)
            }
        }
        if let key = publish.producer { remember(key, ids.map(\.id), line) }
    }

    private mutating func store(_ message: PublishMessage, _ id: MessageID, _ line: Int, _ step: Step) {
        let settings = lines[line].settings
        var stored = Message(id: id, content: message, published: step.stamp, line: line)
        switch message.schedule {
        case .immediately: break
        case .after(let milliseconds): stored.due = step.stamp + UInt64(clamping: milliseconds)
        case .at(let stamp): stored.due = stamp
        }
        if stored.due > step.stamp {
            stored.place = .delayed
            stored.isInOrder = false
        }
        let ttl = message.ttlMilliseconds > 0 ? message.ttlMilliseconds : settings.ttlMilliseconds
        if ttl > 0 { stored.expires = step.stamp + ttl }
        if message.dedup.byteCount > 0, settings.dedupMilliseconds > 0 {
            lines[line].dedup[message.dedup] = (id, step.stamp + settings.dedupMilliseconds)
        }
        probes.append(.messagePublished)
        begin(stored)
    }

    /// What the ids have to be: new ones, but for application ids that are known.
    private func identify(_ publish: Publish, _ line: Int, _ step: Step) -> [Published] {
        var own: [(name: Name, id: MessageID)] = []
        return publish.messages.enumerated().map { ordinal, message in
            let id = MessageID(entry: step.outcome.index, ordinal: ordinal)
            guard message.dedup.byteCount > 0, lines[line].settings.dedupMilliseconds > 0 else {
                return Published(id: id)
            }
            if let known = lines[line].dedup[message.dedup], known.expires > step.stamp {
                return Published(id: known.id, isDuplicate: true)
            }
            if let earlier = own.first(where: { $0.name == message.dedup }) {
                return Published(id: earlier.id, isDuplicate: true)
            }
            own.append((message.dedup, id))
            return Published(id: id)
        }
    }

    private func result(_ key: ProducerSequence, _ line: Int) -> [MessageID]? {
        lines[line].producers[key.producer]?.results.first { $0.sequence == key.sequence }?.ids
    }

    private mutating func remember(_ key: ProducerSequence, _ ids: [MessageID], _ line: Int) {
        var producer = lines[line].producers[key.producer] ?? Producer()
        producer.results.append((key.sequence, ids))
        if producer.results.count > QueueLimits.rememberedResults {
            producer.floor = max(producer.floor, producer.results.removeFirst().sequence)
        }
        lines[line].producers[key.producer] = producer
    }

    private mutating func refused(
        _ publish: Publish,
        _ refusal: QueueError,
        _ line: Int?,
        _ step: Step,
        _ violations: inout ViolationLog
    ) {
        switch refusal {
        case .fenced:
            probes.append(.publishFenced)
            expect(publish.guardedBy?.isStale ?? false, "its lock token is good", step, &violations)
        case .noQueue: expect(line == nil, "the queue is there", step, &violations)
        case .lanes(let lanes):
            probes.append(.wrongLanes)
            expect(line.map { lines[$0].settings.lanes == lanes } ?? false, "that is wrong", step, &violations)
        case .paused: expect(line.map { lines[$0].isPublishPaused } ?? false, "it is not paused", step, &violations)
        case .full:
            probes.append(.queueFull)
            guard let line, lines[line].settings.overflow == .reject else { return }
            let fresh = zip(publish.messages, identify(publish, line, step)).filter { !$1.isDuplicate }.map(\.0)
            let held = undelivered(line)
            let isFull =
                (lines[line].settings.maxLength > 0
                    && held.count + UInt64(fresh.count) > lines[line].settings.maxLength)
                || (lines[line].settings.maxBytes > 0
                    && held.bytes + fresh.reduce(0) { $0 + UInt64($1.storedBytes) } > lines[line].settings.maxBytes)
            expect(isFull, "there are only \(held)", step, &violations)
        case .staleSequence:
            let floor = publish.producer.flatMap { key in line.flatMap { lines[$0].producers[key.producer]?.floor } }
            expect((publish.producer?.sequence ?? 0) <= floor ?? 0, "the sequence is not old", step, &violations)
        case .limit, .invalid, .emptyBody, .tooLarge: break
        default: expect(false, "a publish cannot be refused so", step, &violations)
        }
    }

    /// What counts against a queue's length and bytes.
    func undelivered(_ line: Int) -> (count: UInt64, bytes: UInt64) {
        var held: (count: UInt64, bytes: UInt64) = (0, 0)
        for position in lines[line].live where messages[position].place != .dead {
            held.count += 1
            held.bytes += UInt64(messages[position].content.storedBytes)
        }
        return held
    }

    /// A publish that was let in has to fit.
    func isOverfull(_ line: Int) -> Bool {
        let settings = lines[line].settings
        guard settings.maxLength > 0 || settings.maxBytes > 0 else { return false }
        let held = undelivered(line)
        return (settings.maxLength > 0 && held.count > settings.maxLength)
            || (settings.maxBytes > 0 && held.bytes > settings.maxBytes)
    }
}
