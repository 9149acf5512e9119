// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOPosix
import RESP
import Synchronization

/// A node with one queue in memory, as far as the benchmark asks for it, and with faults to be found out.
final class BenchQueueServer: Sendable {
    struct Faults: Sendable {
        /// Every n-th confirmed message is not kept.
        var losesEvery: Int?
        /// Every n-th message is delivered twice.
        var repeatsEvery: Int?
        /// Every n-th publish is answered with this error, and not done.
        var refusesEvery: Int?
        /// Every n-th acknowledgement of several receipts is carried out, but answered with an error.
        var muddlesEvery: Int?
        var refusal = "BUSY the queue's shard is busy; nothing was done, try again shortly"
    }

    private struct State {
        var lanes: String?
        var ready: [[UInt8]] = []
        var inFlight: [Int: [UInt8]] = [:]
        var published = 0
        var receipts = 0
        var acknowledgements = 0
        var commands: [String] = []
    }

    private let state = Mutex(State())
    private let faults: Faults
    private let listener: any Channel
    let port: Int

    static func start(_ faults: Faults = Faults()) async throws -> BenchQueueServer {
        let shared = Shared()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(shared))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let server = BenchQueueServer(faults, listener)
        shared.set(server)
        return server
    }

    private init(_ faults: Faults, _ listener: any Channel) {
        self.faults = faults
        self.listener = listener
        port = listener.localAddress?.port ?? 0
    }

    func stop() async { try? await listener.close().get() }

    var exists: Bool { state.withLock { $0.lanes != nil } }

    /// Whether a command with these first words was received.
    func received(_ words: String) -> Bool { state.withLock { $0.commands.contains { $0.hasPrefix(words) } } }

    fileprivate func answer(_ command: RESPCommand) -> ByteBuffer {
        state.withLock { state in
            var writer = RESPWriter()
            let verb = command.text(0)
            let declares = verb == "QUEUE.DECLARE" || verb == "QUEUE.STATS" || verb == "QUEUE.DELETE"
            if declares {
                state.commands.append((0..<command.count).map { command.text($0) }.joined(separator: " "))
            }
            switch verb {
            case "QUEUE.DECLARE":
                state.lanes = command.text(3)
                writer.simple("OK" as StaticString)
            case "QUEUE.DELETE":
                state.lanes = nil
                state.ready = []
                state.inFlight = [:]
                writer.integer(0)
            case "QUEUE.STATS": stats(state, &writer)
            case "QUEUE.PUBLISH", "QUEUE.PUBLISHMANY": publish(command, &state, &writer)
            case "QUEUE.RECEIVE": receive(command, &state, &writer)
            case "QUEUE.ACK":
                for index in 2..<command.count {
                    state.inFlight[Int(command.text(index).dropFirst(command.text(index).count - 10)) ?? 0] = nil
                }
                state.acknowledgements += 1
                let isDue = faults.muddlesEvery.map { state.acknowledgements.isMultiple(of: $0) } ?? false
                if isDue, command.count > 3 {
                    writer.error(faults.refusal)
                } else {
                    writer.integer(command.count - 2)
                }
            default: writer.bulk("used_memory_peak:1048576\r\n")
            }
            return writer.buffer
        }
    }

    private func stats(_ state: State, _ writer: inout RESPWriter) {
        guard state.lanes != nil else { return writer.error("NOQUEUE queue 'q' does not exist") }
        writer.map(5)
        writer.bulk("name")
        writer.bulk("q")
        for (name, count) in [
            ("ready", state.ready.count), ("in_flight", state.inFlight.count), ("delayed", 0), ("dead", 0),
        ] {
            writer.bulk(name)
            writer.integer(count)
        }
    }

    private func publish(_ command: RESPCommand, _ state: inout State, _ writer: inout RESPWriter) {
        let isMany = command.text(0) == "QUEUE.PUBLISHMANY"
        let bodies = Array(command.arguments[2...])
        func isDue(_ every: Int?) -> Bool { every.map { state.published.isMultiple(of: $0) } ?? false }
        state.published += 1
        if isDue(faults.refusesEvery) { return writer.error(faults.refusal) }
        if isMany { writer.array(bodies.count) }
        for (index, body) in bodies.enumerated() {
            if index > 0 { state.published += 1 }
            if !isDue(faults.losesEvery) { state.ready.append(body) }
            if isDue(faults.repeatsEvery) { state.ready.append(body) }
            writer.bulk("1-\(state.published)")
        }
    }

    private func receive(_ command: RESPCommand, _ state: inout State, _ writer: inout RESPWriter) {
        let count = min(Int(command.text(3)) ?? 1, state.ready.count)
        writer.array(count)
        for body in state.ready.prefix(count) {
            state.receipts += 1
            state.inFlight[state.receipts] = body
            let digits = String(state.receipts)
            writer.map(4)
            writer.bulk("id")
            writer.bulk("1-1")
            writer.bulk("headers")
            writer.map(1)
            writer.bulk("receipt")
            writer.bulk("not this one")
            writer.bulk("receipt")
            writer.bulk(String(repeating: "0", count: 40 - digits.count) + digits)
            writer.bulk("body")
            writer.bulk(body)
        }
        state.ready.removeFirst(count)
    }

    private final class Shared: Sendable {
        private let box = Mutex<BenchQueueServer?>(nil)

        func set(_ server: BenchQueueServer) { box.withLock { $0 = server } }

        func get() -> BenchQueueServer? { box.withLock { $0 } }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let shared: Shared
        private var parser = RESPCommandParser()

        init(_ shared: Shared) { self.shared = shared }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            parser.append(unwrapInboundIn(data))
            do {
                while let command = try parser.next() {
                    guard let reply = shared.get()?.answer(command) else { continue }
                    // An empty answer takes a while, as a wait does.
                    if reply.readableBytesView.elementsEqual("*0\r\n".utf8) {
                        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
                        context.eventLoop.scheduleTask(in: .milliseconds(5)) {
                            bound.value.1.writeAndFlush(bound.value.0.wrapOutboundOut(reply), promise: nil)
                        }
                    } else {
                        context.writeAndFlush(wrapOutboundOut(reply), promise: nil)
                    }
                }
            } catch {
                context.close(promise: nil)
            }
        }
    }
}
