// SPDX-License-Identifier: Apache-2.0
import Gateway
import Logging
import NIOCore
import NIOEmbedded
import Primitives
import QueueCore
import RESP

/// One RESP connection on an embedded channel, with queues behind it. Replies are read as values.
final class QueueTalk {
    let channel = EmbeddedChannel()
    let port: QueuePort
    let observer = CountingObserver()
    private var replies = RESPValueParser()

    init(protocol version: Int = 2, _ configuration: RESPServerConfiguration = RESPServerConfiguration()) throws {
        port = QueuePort(eventLoop: channel.embeddedEventLoop)
        let services = RESPServices(
            configuration: configuration,
            identity: ServerIdentity(nodeName: "node-0", version: "0.1.0"),
            administration: FakeAdministration(),
            observer: observer,
            logger: Logger(label: "test")
        )
        try channel.pipeline.syncOperations.addHandler(RESPConnectionHandler(services: services, port: port))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 9)).wait()
        if version == 3 { _ = try ask("HELLO", "3") }
    }

    func write(_ words: [[UInt8]]) throws {
        var writer = RESPWriter()
        writer.array(words.count)
        for word in words { writer.bulk(word) }
        try channel.writeInbound(writer.buffer)
    }

    func write(_ words: String...) throws { try write(words.map { Array($0.utf8) }) }

    /// Everything that has come back since, pushes included.
    func read() throws -> [RESPValue] {
        channel.embeddedEventLoop.run()
        while let part = try channel.readOutbound(as: ByteBuffer.self) { replies.append(part) }
        var values: [RESPValue] = []
        while let value = try replies.next() { values.append(value) }
        return values
    }

    /// The one reply to a command.
    func ask(_ words: [[UInt8]]) throws -> RESPValue {
        try write(words)
        let values = try read()
        return values.count == 1 ? values[0] : .array(values)
    }

    func ask(_ words: String...) throws -> RESPValue { try ask(words.map { Array($0.utf8) }) }

    func advance(milliseconds: Int64) { channel.embeddedEventLoop.advanceTime(by: .milliseconds(milliseconds)) }

    func close() throws {
        try channel.close().wait()
        channel.embeddedEventLoop.run()
    }
}
