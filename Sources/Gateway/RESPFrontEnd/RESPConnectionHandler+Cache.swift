// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore
import RESP

extension RESPConnectionHandler {
    /// What a RESP2 connection may still ask that listens to the channel of invalidations.
    static let allowedWhileListening: [CommandID] = [.subscribe, .unsubscribe, .ping, .quit, .reset]

    // MARK: Straight from the input

    /// Answers GET, and SET without options but DURABILITY, from the node's own lines, as long as each is a hit and
    /// nothing is ahead of it: from the input buffer to the output buffer, without a slot, a copy or an allocation.
    /// What is no such command or no hit stays in the input.
    func takePlainCommands() {
        guard isPlainRead, queue.isEmpty, !isConfined, let cache, let input = parser.freshInput else { return }
        let limits = services.configuration.limits
        var taken = 0
        var position = 0
        input.withUnsafeReadableBytes { bytes in
            while writer.buffer.readableBytes <= Self.flushBytes, !isClosing,
                let command = RESPPlainCommand(bytes, at: position, limits), answer(command, cache)
            {
                position = command.end
                taken += 1
            }
        }
        guard taken > 0 else { return }
        parser.drop(position)
        partialSince = nil
        lastCommand = .get
        headNumber += UInt64(taken)
        let elapsed = (context?.eventLoop.now ?? lastActivity) - lastActivity
        services.observer.commandsFinished(
            .cache,
            count: taken,
            frontEnd: .resp,
            seconds: Double(elapsed.nanoseconds) / 1e9
        )
    }

    /// False, and nothing done, when it is no hit.
    private func answer(_ command: RESPPlainCommand, _ cache: any CachePort) -> Bool {
        guard command.key.count <= CacheLimits.keyBytes else { return false }
        guard let value = command.value else {
            return cache.withHit(command.key) { hit in
                let before = writer.buffer.readableBytes
                if hit.exists { writer.bulk(hit.value) } else { writer.null() }
                solicitedBytes += writer.buffer.readableBytes - before
            }
        }
        var durability: CacheDurability?
        if let option = command.option {
            // The other modes answer later than at once.
            guard option.name.isWord("durability"), option.word.isWord("volatile") else { return false }
            durability = .volatile
        }
        guard isPlainWrite, value.count <= CacheLimits.valueBytes, cache.setHit(command.key, value, durability) else {
            return false
        }
        writer.simple("OK")
        return true
    }

    // MARK: Through the queue

    func mayStart(_ next: Lane, _ call: CacheCall) -> Bool { mayStart(next) && flights.allows(call.request) }

    /// Begins the first slot that has not been started; its state is already "in flight".
    func start(_ call: CacheCall, _ lane: Lane) {
        guard let cacheService else { return }
        let number = headNumber + UInt64(started)
        if lane.bytes > 0 {
            let position = queue.index(queue.startIndex, offsetBy: started)
            queue[position].promisedBytes = lane.bytes
            promisedBytes += lane.bytes
        }
        started += 1
        unanswered += 1
        self.lane = lane
        let request = call.request
        let shape = call.shape
        flights.begin(request)
        if tracking != nil {
            trackReads(request.readKeys, slot: number)
            beginOwnWrites(request)
        }
        cacheService.perform(request) { result in
            self.flights.end(request)
            if self.tracking != nil { self.endOwnWrites(request, result) }
            self.answer(number, .cache(result, shape))
        }
    }

    /// Counts what an answer really weighs while it waits for its turn.
    func keepPromise(_ index: CircularBuffer<Slot>.Index, _ weight: Int) {
        promisedBytes += weight - queue[index].promisedBytes
        queue[index].promisedBytes = weight
    }

    /// Values were asked for, so that many of them are no sign of a slow reader.
    func write(_ result: CacheResult, _ shape: CacheShape) {
        let before = writer.buffer.readableBytes
        if let code = CacheEncoder(clock: services.wallClock).write(result, shape, into: &writer) {
            services.observer.errorReplied(.resp, code: code)
        }
        solicitedBytes += writer.buffer.readableBytes - before
    }
}

extension UnsafeRawBufferPointer {
    /// - Parameter word: lower-case ASCII letters; they are matched in any case.
    fileprivate func isWord(_ word: StaticString) -> Bool {
        guard count == word.utf8CodeUnitCount else { return false }
        return word.withUTF8Buffer { letters in zip(self, letters).allSatisfy { $0 | 0x20 == $1 } }
    }
}
