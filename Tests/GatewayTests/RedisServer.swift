// SPDX-License-Identifier: Apache-2.0
import Foundation
import NIOCore
import NIOPosix
import RESP
import Synchronization

/// A real `redis-server` on a socket file, for the length of a test.
final class RedisServer {
    struct Missing: Error, CustomStringConvertible {
        var description: String {
            "no redis-server in PATH; scripts/setup.sh test installs it (Debian package redis-server)"
        }
    }

    let socket: String
    private let folder: URL
    private let process = Process()

    init() throws {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        guard
            let program = folders.map({ "\($0)/redis-server" })
                .first(where: { FileManager.default.isExecutableFile(atPath: $0) })
        else { throw Missing() }
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("redis-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        socket = folder.appendingPathComponent("s").path
        process.executableURL = URL(fileURLWithPath: program)
        process.currentDirectoryURL = folder
        process.arguments = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    /// By the signal that cannot be blocked: a child inherits the mask of the thread that starts it, and those of a
    /// task pool block all others.
    func stop() {
        kill(process.processIdentifier, SIGKILL)
        try? FileManager.default.removeItem(at: folder)
    }
}

/// A connection that says one command at a time and gives the reply's bytes as they came.
final class RawTalk: Sendable {
    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer

        let bytes = Mutex<[UInt8]>([])

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let part = unwrapInboundIn(data)
            bytes.withLock { $0 += part.readableBytesView }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private let channel: any Channel
    private let collector: Collector

    init(port: Int) async throws {
        let collector = Collector()
        self.collector = collector
        channel = try await Self.bootstrap(collector).connect(host: "127.0.0.1", port: port).get()
    }

    /// Tries until the server is there.
    init(socket: String) async throws {
        let collector = Collector()
        self.collector = collector
        let deadline = NIODeadline.now() + .seconds(20)
        while true {
            do {
                channel = try await Self.bootstrap(collector).connect(unixDomainSocketPath: socket).get()
                return
            } catch {
                guard NIODeadline.now() < deadline else { throw error }
                try await MultiThreadedEventLoopGroup.singleton.any()
                    .scheduleTask(in: .milliseconds(5)) {}.futureResult.get()
            }
        }
    }

    private static func bootstrap(_ collector: Collector) -> ClientBootstrap {
        ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(collector) }
        }
    }

    func ask(_ words: [[UInt8]], replies: Int = 1) async throws -> [UInt8] {
        var writer = RESPWriter()
        writer.array(words.count)
        for word in words { writer.bulk(word) }
        try await channel.writeAndFlush(writer.buffer)
        try await eventually({ self.count >= replies }, else: { RawConnection.TimedOut(received: "\(words)") })
        return collector.bytes.withLock { bytes in
            defer { bytes = [] }
            return bytes
        }
    }

    /// Whole values received; broken ones count as none, so that the test times out.
    private var count: Int {
        let bytes = collector.bytes.withLock { $0 }
        var parser = RESPValueParser()
        parser.append(ByteBuffer(bytes: bytes))
        var count = 0
        while let value = try? parser.next() {
            _ = value
            count += 1
        }
        return count
    }

    func close() async { try? await channel.close() }
}
