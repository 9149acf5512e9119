// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore

/// What time brings, and redrives, which go on by themselves.
extension QueueModel {
    /// After a tick: which of the messages that are due did it move? It may leave some for the next.
    mutating func passTime(_ step: Step, _ state: QueueState, _ violations: inout ViolationLog) {
        for line in lines.indices where lines[line].exists {
            for position in lines[line].live {
                switch messages[position].place {
                case .inFlight: lapse(position, line, step, state, &violations)
                case .delayed where messages[position].due <= step.stamp: wake(position, line, state)
                default: break
                }
            }
        }
    }

    private mutating func lapse(
        _ position: Int,
        _ line: Int,
        _ step: Step,
        _ state: QueueState,
        _ violations: inout ViolationLog
    ) {
        let message = messages[position]
        let view = Self.view(of: message.id, in: lines[line].name, state)
        if let view, view.state == .inFlight, view.deliveries == UInt64(message.deliveries) { return }
        violations.expect(
            message.due <= step.stamp && leaseFloor <= step.stamp,
            .queueLease,
            "entry \(step.outcome.index) of shard \(shard) ends the lease of message \(message.id) at "
                + "\(step.stamp), it was to last until \(max(message.due, leaseFloor))"
        )
        probes.append(.leaseExpired)
        comeBack(position, .leaseExpired, step, state, &violations)
    }

    private mutating func wake(_ position: Int, _ line: Int, _ state: QueueState) {
        let message = messages[position]
        guard let view = Self.view(of: message.id, in: lines[line].name, state), view.state != .delayed else { return }
        messages[position].place = .ready
    }

    // MARK: Redrives

    mutating func noteRedrive(_ step: Step, _ violations: inout ViolationLog) {
        switch (step.command, step.response) {
        case (.redrive(let redrive), .redrive):
            guard let line = line(redrive.queue), lines[line].redrive == nil else {
                return expect(false, "no redrive of it can begin", step, &violations)
            }
            lines[line].redrive = (redrive, step.stamp, 0)
        case (.redrive(let redrive), .refused(.redriving)):
            expect(line(redrive.queue).map { lines[$0].redrive != nil } ?? false, "none is", step, &violations)
        case (.cancelRedrive(let name), .redrive(let moved, _)):
            guard let line = line(name) else { return }
            expect(moved == lines[line].redrive?.moved ?? 0, "other messages were moved", step, &violations)
            lines[line].redrive = nil
        default: break
        }
    }

    /// Which dead letters did the redrives that are under way move in this entry?
    mutating func resolveRedrives(_ step: Step, _ state: QueueState, _ violations: inout ViolationLog) {
        for line in lines.indices {
            guard lines[line].exists, let job = lines[line].redrive else { continue }
            let letters = lines[line].live.filter { messages[$0].letter != nil }
            for position in letters { resolve(position, job.command, line, step, state, &violations) }
            // Moved, and dropped by its new queue in the same entry: only the count of the shard tells.
            for position in letters
            where redriven < state.totals.redriven && messages[position].line == line
                && !state.isLive(messages[position].id) && messages[position].letter != nil
            {
                redrive(position, job.command, line, step, &violations)
            }
            guard let moved = lines[line].redrive?.moved else { continue }
            let rate = job.command.rate
            let allowed = rate == 0 ? UInt64.max : (step.stamp - job.began + 1) * rate / 1_000 + 1
            expect(
                moved <= allowed && (job.command.count == 0 || moved <= job.command.count),
                "\(moved) messages were redriven since \(job.began)",
                step,
                &violations
            )
            if case .redrive(let redrive) = step.command, redrive.queue == lines[line].name,
                case .redrive(let told, _) = step.response
            {
                expect(told == moved, "\(moved) were redriven", step, &violations)
            }
            for case .redriveEnded(let name, let told) in step.outcome.queueEffects.events
            where name == lines[line].name {
                expect(told == moved, "\(moved) were redriven", step, &violations)
                lines[line].redrive = nil
            }
        }
    }

    private mutating func resolve(
        _ position: Int,
        _ job: Redrive,
        _ line: Int,
        _ step: Step,
        _ state: QueueState,
        _ violations: inout ViolationLog
    ) {
        let message = messages[position]
        guard let letter = message.letter, message.place == .dead || message.place == .ready else { return }
        guard state.isLive(message.id) else { return }
        if let view = Self.view(of: message.id, in: lines[line].name, state), view.deadLetter != nil { return }
        redrive(position, job, line, step, &violations)
        expect(
            Self.view(of: message.id, in: lines[messages[position].line].name, state)?.deadLetter == nil,
            "message \(message.id) of \(letter.origin) is lost",
            step,
            &violations
        )
    }

    private mutating func redrive(
        _ position: Int,
        _ job: Redrive,
        _ line: Int,
        _ step: Step,
        _ violations: inout ViolationLog
    ) {
        let message = messages[position]
        guard let letter = message.letter else { return }
        guard let target = self.line(job.target.byteCount > 0 ? job.target : letter.origin) else {
            return expect(false, "message \(message.id) cannot be moved to \(letter.origin)", step, &violations)
        }
        expect(
            job.cause == nil || job.cause == letter.cause,
            "message \(message.id) died of \(letter.cause)",
            step,
            &violations
        )
        probes.append(.messageRedriven)
        redriven += 1
        lines[line].redrive?.moved += 1
        move(position, to: target, step)
        messages[position].letter = nil
        messages[position].failures = 0
        messages[position].cause = .redriven
    }
}
