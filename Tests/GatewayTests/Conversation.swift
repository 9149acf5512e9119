// SPDX-License-Identifier: Apache-2.0
import Gateway
import Logging
import NIOCore
import NIOEmbedded
import Primitives
import RESP
import Replica

/// One RESP connection on an embedded channel.
final class Conversation {
    let channel: EmbeddedChannel
    let port: FakePort
    let observer = CountingObserver()

    init(
        _ configuration: RESPServerConfiguration = RESPServerConfiguration(),
        answer: @escaping (Request) -> Response? = { _ in nil }
    ) throws {
        channel = EmbeddedChannel()
        port = FakePort(eventLoop: channel.embeddedEventLoop, answer: answer)
        let services = RESPServices(
            configuration: configuration,
            identity: ServerIdentity(nodeName: "node-0", version: "0.1.0"),
            administration: FakeAdministration(),
            observer: observer,
            logger: Logger(label: "test")
        )
        try channel.pipeline.syncOperations.addHandler(RESPConnectionHandler(services: services, port: port))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 9)).wait()
    }

    /// Sends bytes and returns what came back so far.
    @discardableResult
    func send(_ text: String) throws -> String {
        try channel.writeInbound(ByteBuffer(string: text))
        return try received()
    }

    /// Sends one command as an array of bulk strings.
    @discardableResult
    func command(_ words: String...) throws -> String {
        var writer = RESPWriter()
        writer.command(words)
        return try send(String(buffer: writer.buffer))
    }

    func received() throws -> String {
        channel.embeddedEventLoop.run()
        var text = ""
        while let part = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: part) }
        return text
    }

    var isOpen: Bool {
        channel.embeddedEventLoop.run()
        return channel.isActive
    }

    func advance(seconds: Int64) { channel.embeddedEventLoop.advanceTime(by: .seconds(seconds)) }
}
