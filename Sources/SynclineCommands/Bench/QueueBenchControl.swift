// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import NIOCore
import RESP
import SynclineClient

/// A connection for what is asked before and after a measurement.
struct QueueBenchControl: Sendable {
    private static let answerTimeout = TimeAmount.seconds(60)

    private let loop: any EventLoop
    private let worker: NIOLoopBound<Worker>

    static func connect(to endpoint: Endpoint, on loop: any EventLoop) async throws -> QueueBenchControl {
        let tally = try await loop.submit { NIOLoopBound(QueueBenchTally(queue: ""), eventLoop: loop) }.get()
        let worker = try await loop.submit { NIOLoopBound(Worker(), eventLoop: loop) }.get()
        try await QueueBenchLink.connect(to: endpoint, tally, on: loop) { _ in worker.value }
        try await loop.submit { tally.value.begin() }.get()
        return QueueBenchControl(loop: loop, worker: worker)
    }

    /// The answer to one command.
    /// - Throws: `SynclineError` when the server answers with an error, closes the connection or does not answer.
    func ask(_ words: String...) async throws -> RESPValue {
        let answer = try await loop.flatSubmit { [loop, worker] in
            let promise = loop.makePromise(of: RESPValue.self)
            worker.value.ask(words, promise)
            let deadline = NIODeadline.now() + Self.answerTimeout
            let timeout = loop.scheduleTask(deadline: deadline) { worker.value.giveUp() }
            promise.futureResult.whenComplete { _ in timeout.cancel() }
            return promise.futureResult
        }.get()
        if case .error(let text) = answer {
            let code = SynclineError.Code(rawValue: String(text.prefix { $0 != " " }))
            throw SynclineError(code: code, message: String(text.dropFirst(code.rawValue.count + 1)))
        }
        return answer
    }

    func close() async { try? await loop.submit { [worker] in worker.value.giveUp() }.get() }

    /// Creates the queue.
    /// - Throws: when it is there already: its messages would spoil the account.
    func declare(_ queue: String, lanes: Int) async throws {
        if let stats = try? await ask("QUEUE.STATS", queue), stats["ready"] != nil {
            throw SynclineError(code: .invalid, message: "queue '\(queue)' exists; choose another name with --queue")
        }
        _ = try await ask("QUEUE.DECLARE", queue, "LANES", "\(lanes)")
    }

    func delete(_ queue: String) async throws { _ = try await ask("QUEUE.DELETE", queue) }

    /// Messages in the queue, in all states.
    func depth(of queue: String) async throws -> Int {
        let stats = try await ask("QUEUE.STATS", queue)
        return try ["ready", "in_flight", "delayed", "dead"].reduce(0) { sum, state in
            guard let count = stats[state]?.int else {
                throw SynclineError(code: .invalid, message: "the answer to QUEUE.STATS names no '\(state)'")
            }
            return sum + Int(count)
        }
    }

    private final class Worker: QueueBenchWorker {
        private var link: QueueBenchLink?
        private var promises = CircularBuffer<EventLoopPromise<RESPValue>>()

        func opened(_ link: QueueBenchLink) { self.link = link }

        func ask(_ words: [String], _ promise: EventLoopPromise<RESPValue>) {
            guard let link else {
                promise.fail(Self.gone)
                return
            }
            promises.append(promise)
            link.out.writeImmutableBuffer(BenchWorkload.encode([words]))
            link.flush()
        }

        func received(_ reply: ByteBuffer, _ link: QueueBenchLink) {
            guard let promise = promises.popFirst() else { return }
            var parser = RESPValueParser()
            parser.append(reply)
            do {
                guard let value = try parser.next() else { throw RESPError.missingLineEnd }
                promise.succeed(value)
            } catch {
                promise.fail(error)
            }
        }

        func closed(_ link: QueueBenchLink) {
            self.link = nil
            while let promise = promises.popFirst() { promise.fail(Self.gone) }
        }

        func giveUp() { link?.close() }

        private static var gone: SynclineError {
            SynclineError(code: .unreachable, message: "the node closed the connection or does not answer")
        }
    }
}

/// How much memory the nodes use.
struct QueueBenchMemory: Codable, Sendable, Equatable {
    var endpoint: String
    /// Resident, in bytes; of a node on another machine the most that it ever was.
    var resident: Int
    /// The part that no file backs; nil for a node on another machine.
    var anonymous: Int?

    /// Asks each endpoint's node who it is, and the kernel about those that run on this machine.
    static func sample(_ endpoints: [Endpoint], on loop: any EventLoop) async throws -> [QueueBenchMemory] {
        var samples: [QueueBenchMemory] = []
        for endpoint in endpoints {
            let control = try await QueueBenchControl.connect(to: endpoint, on: loop)
            let facts = try await control.ask("INFO").string ?? ""
            await control.close()
            samples.append(sample(endpoint, facts: facts))
        }
        return samples
    }

    private static func sample(_ endpoint: Endpoint, facts: String) -> QueueBenchMemory {
        func fact(_ name: String) -> Int? {
            facts.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + ":") }
                .flatMap { Int($0.dropFirst(name.count + 1)) }
        }
        let isLocal = endpoint.host == "localhost" || endpoint.host.hasPrefix("127.") || endpoint.host == "::1"
        if isLocal, let process = fact("process_id"),
            let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
            let memory = parse(status: status)
        {
            return QueueBenchMemory(
                endpoint: endpoint.description,
                resident: memory.resident,
                anonymous: memory.anonymous
            )
        }
        return QueueBenchMemory(
            endpoint: endpoint.description,
            resident: fact("used_memory_peak") ?? 0,
            anonymous: nil
        )
    }

    /// `VmRSS` and `RssAnon` of /proc/pid/status (proc_pid_status(5)), which counts in KiB.
    static func parse(status: String) -> (resident: Int, anonymous: Int)? {
        func value(_ name: String) -> Int? {
            status.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + ":") }
                .flatMap { Int($0.drop { !$0.isNumber }.prefix { $0.isNumber }) }
        }
        guard let resident = value("VmRSS"), let anonymous = value("RssAnon") else { return nil }
        return (resident * 1_024, anonymous * 1_024)
    }
}
