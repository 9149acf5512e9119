// SPDX-License-Identifier: Apache-2.0
import LockCore
import NIOCore
import Primitives
import QueueCore
import RESP
import Replica
import Synchronization

extension RESPConnectionHandler {
    // MARK: Commands in

    /// Parses and queues what has arrived, as far as the bounds allow.
    func takeCommands() {
        var hasMore = true
        while hasMore, !isClosing, !isPushingBack {
            do throws(RESPError) {
                while hasMore, !isClosing, !isPushingBack {
                    takePlainCommands()
                    guard writer.buffer.readableBytes <= Self.flushBytes else { break }
                    guard let command = try parser.next() else {
                        hasMore = false
                        break
                    }
                    // What is left of the input belongs to a command that began to arrive later.
                    partialSince = nil
                    accept(command)
                }
            } catch {
                // What came before the violation is good and starts as far as it may.
                hasMore = false
                advance()
                close(afterError: "ERR \(error.message)")
            }
            advance()
            if writer.buffer.readableBytes > Self.flushBytes { flush() }
        }
    }

    /// Answers go out while more commands are taken from a large input.
    static let flushBytes = 256 << 10

    private enum Accepted {
        case unknown
        case wrongArity(CommandID)
        case request(CommandID, Request)
        indirect case operation(CommandID, QueueOperation, QueueShape)
        case cache(CommandID, CacheCall)
        case local(CommandID)
        case mistake(CommandID, CacheMistake)
        case bad(CommandID, BadRequest)
    }

    /// Not by `withArguments`, whose generic result and error cost more than the parsing.
    private func read(_ command: RESPCommand) -> Accepted {
        command.buffer.withUnsafeReadableBytes { bytes in
            let arguments = RESPArguments(bytes: bytes, slots: command.slots)
            guard let id = table.find(arguments[0]) else { return .unknown }
            guard table[id].accepts(count: arguments.count) else { return .wrongArity(id) }
            if isConfined, !Self.allowedWhileListening.contains(id) { return .mistake(id, .confined(id)) }
            guard !id.isCache else { return readCache(id, arguments) }
            do throws(BadRequest) {
                let ttl = services.configuration.sessionTTL
                if id.isQueue {
                    let found = try QueueCommandParser.operation(id, arguments, defaultTTL: ttl)
                    return found.map { .operation(id, $0.0, $0.1) } ?? .local(id)
                }
                guard let request = try LockCommandParser.request(id, arguments, defaultTTL: ttl) else {
                    return .local(id)
                }
                return .request(id, request)
            } catch {
                return .bad(id, error)
            }
        }
    }

    private func readCache(_ id: CommandID, _ arguments: RESPArguments) -> Accepted {
        guard cache != nil else { return .mistake(id, .other(RefusalText(CacheFailure.disabled).line)) }
        do throws(CacheMistake) {
            return .cache(id, try CacheCommandParser(id: id, arguments: arguments, clock: services.wallClock).call())
        } catch {
            return .mistake(id, error)
        }
    }

    /// Starts the command at once where it may, else queues it.
    private func accept(_ command: RESPCommand) {
        let arrived = lastActivity
        switch read(command) {
        case .unknown: append(.ping, arrived, .answered(.error(unknownCommand(command))))
        case .wrongArity(let id) where id.isCache || id == .subscribe:
            append(id, arrived, .answered(.error(CacheMistake.arity(table[id].name.lowercased()).line)))
        case .mistake(let id, let mistake): append(id, arrived, .answered(.error(mistake.line)))
        case .cache(let id, let call): accept(id, call)
        case .wrongArity(let id):
            let bad = BadRequest.wrongArity(command: table[id].name.lowercased(), usage: table[id].usage)
            append(id, arrived, .answered(.error("ERR " + bad.message(.resp))))
        case .bad(let id, let bad): append(id, arrived, .answered(.error("ERR " + bad.message(.resp))))
        case .local(let id):
            lastCommand = id
            guard queue.isEmpty else { return append(id, arrived, .local(command)) }
            headNumber += 1
            startLocal(Slot(id: id, arrived: arrived, state: .inFlight(nil)), command)
        case .request(let id, let request):
            lastCommand = id
            let lane = Lane(request)
            let shape = id == .lockAcquireAll ? ResponseEncoder.Shape.tokens : .plain
            guard started == queue.count, mayStart(lane) else {
                return append(id, arrived, .request(request, lane, shape))
            }
            append(id, arrived, .inFlight(nil))
            // An answer given at once must not begin to advance from within.
            isAdvancing = true
            start(request, lane, shape)
            isAdvancing = false
        case .operation(let id, let operation, let shape):
            lastCommand = id
            let lane = Lane(operation)
            guard started == queue.count, mayStart(lane) else {
                return append(id, arrived, .operation(operation, lane, shape))
            }
            append(id, arrived, .inFlight(nil))
            isAdvancing = true
            start(operation, lane, shape)
            isAdvancing = false
        }
    }

    private func accept(_ id: CommandID, _ call: CacheCall) {
        lastCommand = id
        let lane = Lane(call.request)
        guard started == queue.count, mayStart(lane, call) else {
            return append(id, lastActivity, .cache(call, lane))
        }
        append(id, lastActivity, .inFlight(nil))
        isAdvancing = true
        start(call, lane)
        isAdvancing = false
    }

    func append(_ id: CommandID, _ arrived: NIODeadline, _ state: SlotState) {
        queue.append(Slot(id: id, arrived: arrived, state: state))
    }

    private func unknownCommand(_ command: RESPCommand) -> String {
        let name = String(command.text(0).prefix(128))
        let arguments = (1..<min(command.count, 5)).map { "'\(command.text($0).prefix(64))' " }.joined()
        var text = "ERR unknown command '\(name)', with args beginning with: \(arguments)"
        if let near = Suggestion.nearest(to: name, among: table.commands.lazy.map(\.name)) {
            text += "; did you mean '\(near)'?"
        }
        return text
    }

    // MARK: The queue

    /// Writes the answers whose turn has come and starts what may start, until neither is possible.
    func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        defer { isAdvancing = false }
        while true {
            writeAnswered()
            guard started < queue.count, startNext() else { break }
        }
        if isClosing, queue.isEmpty, entry != nil { closeNow() }
    }

    private func writeAnswered() {
        while let head = queue.first, case .answered(let reply) = head.state {
            if case .cache = reply, !hasRoom() { return }
            queue.removeFirst()
            promisedBytes -= head.promisedBytes
            headNumber += 1
            if started > 0 { started -= 1 }
            write(reply)
            finish(head)
        }
        if tracking != nil { tellDelayed() }
    }

    /// False when the client has to take what was answered before anything more is written: values may be large.
    private func hasRoom() -> Bool {
        guard writer.buffer.readableBytes > services.configuration.outboundBytes else { return true }
        flush()
        return writer.buffer.readableBytes == 0
    }

    private func finish(_ slot: Slot) {
        let elapsed = (context?.eventLoop.now ?? slot.arrived) - slot.arrived
        services.observer.commandFinished(
            table[slot.id].family,
            frontEnd: .resp,
            seconds: Double(elapsed.nanoseconds) / 1e9
        )
    }

    private func write(_ reply: Reply) {
        switch reply {
        case .response(let response, let shape):
            if let code = ResponseEncoder.write(response, shape, into: &writer) {
                services.observer.errorReplied(.resp, code: code)
            }
        case .queue(let result, let shape): write(result, shape)
        case .cache(let result, let shape): write(result, shape)
        case .error(let line), .fatal(let line): writeError(line)
        case .text(let text): writer.verbatim(text)
        }
    }

    private func write(_ result: QueueResult, _ shape: QueueShape) {
        if case .stats(let view) = result, case .subscribe(let terms) = shape { return subscribe(terms, view) }
        let before = writer.buffer.readableBytes
        if let code = QueueEncoder.write(result, shape, into: &writer) {
            services.observer.errorReplied(.resp, code: code)
        }
        switch (result, shape) {
        case (.received, _), (.messages, _), (.message, _): solicitedBytes += writer.buffer.readableBytes - before
        case (.settled(let outcomes), .settle(let settle)): settled(settle, outcomes)
        default: break
        }
    }

    func writeError(_ line: String) {
        writer.error(line)
        services.observer.errorReplied(
            .resp,
            code: line.split(separator: " ", maxSplits: 1).first.map(String.init) ?? "ERR"
        )
    }

    /// Starts the first slot that has not been started; false when it must wait for others.
    private func startNext() -> Bool {
        let index = queue.index(queue.startIndex, offsetBy: started)
        switch queue[index].state {
        case .answered, .inFlight:
            started += 1
            return true
        case .request(let request, let lane, let shape):
            guard mayStart(lane) else { return false }
            queue[index].state = .inFlight(nil)
            start(request, lane, shape)
            return true
        case .operation(let operation, let lane, let shape):
            guard mayStart(lane) else { return false }
            queue[index].state = .inFlight(nil)
            start(operation, lane, shape)
            return true
        case .cache(let call, let lane):
            guard mayStart(lane, call) else { return false }
            queue[index].state = .inFlight(nil)
            start(call, lane)
            return true
        case .local(let command):
            guard started == 0 else { return false }
            headNumber += 1
            startLocal(queue.removeFirst(), command)
            return true
        }
    }

    /// Runs a command of the connection itself, whose slot has just left the head of the queue: it may clear the queue.
    private func startLocal(_ slot: Slot, _ command: RESPCommand) {
        guard let pending = runLocal(slot.id, command) else { return finish(slot) }
        headNumber -= 1
        let number = headNumber
        queue.prepend(Slot(id: slot.id, arrived: slot.arrived, state: .inFlight(nil)))
        started += 1
        unanswered += 1
        lane = nil
        pending.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let text): self.answer(number, .text(text))
            case .failure(let error): self.answer(number, .error("ERR \(error)"))
            }
        }
    }

    func mayStart(_ next: Lane) -> Bool {
        // Answers that the client does not read must not bring more.
        guard writer.buffer.readableBytes <= services.configuration.outboundBytes,
            context?.channel.isWritable ?? true
        else { return false }
        guard unanswered > 0 else { return true }
        guard let lane else { return false }
        return !lane.mayWait && !lane.isExclusive && lane.kind == next.kind && lane.namespace == next.namespace
            && promisedBytes + next.bytes <= Self.maxPromisedBytes
    }

    /// Bytes that the receives of one connection may answer together; more of them wait their turn.
    static let maxPromisedBytes = 64 << 20

    /// Submits the first slot that has not been started; its state is already "in flight".
    private func start(_ request: Request, _ lane: Lane, _ shape: ResponseEncoder.Shape) {
        let number = headNumber + UInt64(started)
        started += 1
        unanswered += 1
        self.lane = lane
        let handle = port.submit(request, timeout: services.configuration.requestTimeout) { response in
            self.answer(number, .response(response, shape))
        }
        // It may have been answered before `submit` returned.
        guard number >= headNumber, number - headNumber < UInt64(queue.count) else { return }
        let position = queue.index(queue.startIndex, offsetBy: Int(number - headNumber))
        if lane.mayWait, case .inFlight = queue[position].state {
            queue[position].state = .inFlight(.wait(handle))
            entry?.description.withLock { $0.isBlocked = true }
            if isClosing { port.cancel(handle) }
        }
    }

    private func start(_ operation: QueueOperation, _ lane: Lane, _ shape: QueueShape) {
        let number = headNumber + UInt64(started)
        started += 1
        unanswered += 1
        self.lane = lane
        let call = queues.perform(operation, timeout: services.configuration.requestTimeout) { result in
            self.answer(number, .queue(result, shape))
        }
        guard call.isTentative || call.isCancellable, number >= headNumber, number - headNumber < UInt64(queue.count)
        else { return }
        let position = queue.index(queue.startIndex, offsetBy: Int(number - headNumber))
        guard case .inFlight = queue[position].state else { return }
        if call.isTentative { self.lane?.isExclusive = true }
        guard call.isCancellable else { return }
        queue[position].state = .inFlight(.receive(call, mayWait: lane.mayWait))
        queue[position].promisedBytes = lane.bytes
        promisedBytes += lane.bytes
        guard lane.mayWait else { return }
        entry?.description.withLock { $0.isBlocked = true }
        if isClosing { queues.cancel(call) }
    }

    // MARK: Answers

    /// An answer for slot `number`; of no interest once the connection has gone.
    func answer(_ number: UInt64, _ reply: Reply) {
        guard number >= headNumber, number - headNumber < UInt64(queue.count), context != nil else { return }
        let index = queue.index(queue.startIndex, offsetBy: Int(number - headNumber))
        guard case .inFlight(let cancellable) = queue[index].state else { return }
        unanswered -= 1
        var reply = reply
        switch cancellable {
        case .wait: reply = waitEnded(reply)
        case .receive(_, let mayWait):
            if mayWait { reply = waitEnded(reply) }
        case nil: break
        }
        if number == headNumber {
            let slot = queue.removeFirst()
            promisedBytes -= slot.promisedBytes
            headNumber += 1
            started -= 1
            write(reply)
            finish(slot)
            if tracking != nil { tellDelayed() }
        } else {
            queue[index].state = .answered(reply)
            if case .cache(let result, _) = reply { keepPromise(index, result.weight) }
        }
        guard !isAdvancing else { return }
        advance()
        if !isReading { resume() }
        flushSoon()
    }

    /// The connection waits no longer. `CLIENT UNBLOCK` makes a timeout of a cancelled wait, of this one only.
    private func waitEnded(_ reply: Reply) -> Reply {
        entry?.description.withLock { $0.isBlocked = false }
        let isTimeout = unblockAsTimeout
        unblockAsTimeout = false
        switch reply {
        case .response(.lock(.refused(.cancelled)), let shape) where isTimeout:
            return .response(.lock(.notAcquired(holders: [])), shape)
        case .queue(.failed(let response), let shape) where isTimeout && response.queueRefusal == .cancelled:
            return .queue(.received([]), shape)
        default: return reply
        }
    }

    func cancelWaiting(asTimeout: Bool = false) {
        // The queue changes when a wait is answered at once.
        let waiting = queue.compactMap { slot -> Cancellable? in
            switch slot.state {
            case .inFlight(.receive(_, mayWait: false)): nil
            case .inFlight(let cancellable): cancellable
            default: nil
            }
        }
        unblockAsTimeout = asTimeout && !waiting.isEmpty
        for cancellable in waiting {
            switch cancellable {
            case .wait(let handle): port.cancel(handle)
            case .receive(let call, _): queues.cancel(call)
            }
        }
    }

    // MARK: Output

    /// At once when nothing else is in flight, else at the end of the loop's turn, so that answers which arrive
    /// together leave together.
    func flushSoon() {
        guard !isReading else { return }
        if unanswered == 0 { return flush() }
        guard !isFlushScheduled, writer.buffer.readableBytes > 0, let context else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolated().execute {
            self.isFlushScheduled = false
            self.flush()
        }
    }

    func flush() {
        guard let context, writer.buffer.readableBytes > 0 else { return }
        guard context.channel.isWritable else {
            let unasked = writer.buffer.readableBytes - solicitedBytes
            if unasked > services.configuration.outboundBytes { cutOff("reads too slowly") }
            return
        }
        solicitedBytes = 0
        // Gone from the writer before the channel has it: the channel may become writable while it takes this, and that
        // calls here again. A large storage is let go, another is used again once the socket took it all.
        let output = writer.buffer
        writer.buffer = ByteBuffer()
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        if writer.buffer.capacity == 0, output.capacity <= 64 << 10 {
            writer.buffer = output
            writer.buffer.clear()
        }
        // What was held back until there is room again.
        if started < queue.count { advance() }
    }

    // MARK: Closing

    /// Takes no more commands, cancels what waits and closes once everything in flight is answered.
    func close(afterError line: String?) {
        guard !isClosing else { return }
        isClosing = true
        // What was queued but not started was never begun and stays so.
        while queue.count > started { queue.removeLast() }
        if let line { queue.append(Slot(id: .quit, arrived: lastActivity, state: .answered(.fatal(line)))) }
        cancelWaiting()
        advance()
    }

    private func closeNow() {
        flush()
        context?.close(promise: nil)
    }
}
