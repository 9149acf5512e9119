// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Gateway
import Logging
import NIOCore
import NIOEmbedded
import RESP
import Replica

/// A node with a cache on one embedded loop, for any number of connections.
final class CacheWorld {
    let loop = EmbeddedEventLoop()
    let cache: CacheModelPort
    let port: FakePort
    let observer = CountingObserver()
    let services: RESPServices

    /// Milliseconds since 1970, of the node and of its cache.
    static let now: UInt64 = 1_700_000_000_000

    init(_ configuration: RESPServerConfiguration = RESPServerConfiguration()) {
        cache = CacheModelPort { Self.now }
        port = FakePort(eventLoop: loop)
        services = RESPServices(
            configuration: configuration,
            identity: ServerIdentity(nodeName: "node-0", version: "0.1.0"),
            administration: FakeAdministration(),
            observer: observer,
            logger: Logger(label: "test"),
            wallClock: { Int64(Self.now) }
        )
    }
}

/// One RESP connection on an embedded channel, with a cache behind it.
final class CacheTalk {
    let world: CacheWorld
    let channel: EmbeddedChannel

    init(_ world: CacheWorld = CacheWorld(), protocol version: Int = 2, hasCache: Bool = true) throws {
        self.world = world
        channel = EmbeddedChannel(loop: world.loop)
        let handler = RESPConnectionHandler(
            services: world.services,
            port: world.port,
            cache: hasCache ? world.cache : nil
        )
        try channel.pipeline.syncOperations.addHandler(handler)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 9)).wait()
        if version == 3 { _ = try say("HELLO 3") }
    }

    var cache: CacheModelPort { world.cache }

    /// Sends one command, its words parted by blanks, as an array of bulk strings; `""` is an empty word. Several
    /// commands are parted by `|` and sent together. Returns what came back, line ends as `/`.
    @discardableResult
    func say(_ line: String) throws -> String {
        var writer = RESPWriter()
        for command in line.split(separator: "|") {
            let words = command.split(separator: " ").map { $0 == "\"\"" ? "" : String($0) }
            writer.command(words)
        }
        try channel.writeInbound(writer.buffer)
        return try heard()
    }

    @discardableResult
    func say(_ words: [[UInt8]]) throws -> [UInt8] {
        var writer = RESPWriter()
        writer.array(words.count)
        for word in words { writer.bulk(word) }
        try channel.writeInbound(writer.buffer)
        return try bytes()
    }

    func heard() throws -> String {
        String(decoding: try bytes(), as: UTF8.self).replacing("\r\n", with: "/")
    }

    private func bytes() throws -> [UInt8] {
        world.loop.run()
        var bytes: [UInt8] = []
        while let part = try channel.readOutbound(as: ByteBuffer.self) { bytes += part.readableBytesView }
        return bytes
    }

    var isOpen: Bool {
        world.loop.run()
        return channel.isActive
    }

    func close() throws {
        try channel.close().wait()
        world.loop.run()
    }
}
