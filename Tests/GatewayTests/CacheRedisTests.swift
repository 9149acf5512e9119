// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Foundation
import Gateway
import Logging
import NIOCore
import RESP
import Testing

/// The same script to a real Redis and to our server: the same replies, byte for byte.
@Suite("The cache's commands answer as a real Redis does")
struct CacheRedisTests {
    struct Difference {
        var redis: String
        var ours: String
    }

    /// Where we mean to differ, by the script's line; replies with line ends as `/`.
    private static let differences: [String: Difference] = [
        // Redis checks the time only when it has found the key.
        "GETEX missing EX 0": Difference(redis: null, ours: "-ERR invalid expire time in 'getex' command/"),
        "GETEX missing PX x": Difference(redis: null, ours: "-ERR value is not an integer or out of range/"),
        // Keys live in different shards, which change one by one.
        "MSETNX m2 1 m3 2": Difference(redis: ":1/", ours: "-ERR MSETNX of several keys is not supported"),
        // Of Redis 8 and Valkey.
        "SET a 1 IFEQ 2": Difference(redis: "-ERR syntax error/", ours: null),
        "SET a 1 IFNE 2": Difference(redis: "-ERR syntax error/", ours: "+OK/"),
        // Ours alone.
        "SET a 1 IFVERSION 5000": Difference(redis: "-ERR syntax error/", ours: null),
        "SET a 1 DURABILITY local": Difference(redis: "-ERR syntax error/", ours: "+OK/"),
        "SET a 1 LOCK l TOKEN 1": Difference(redis: "-ERR syntax error/", ours: "+OK/"),
        // An empty cursor is a mistake, and cursors have no sign.
        "SCAN \"\"": Difference(redis: "*2/", ours: "-ERR invalid cursor/"),
        "SCAN -1": Difference(redis: "*2/", ours: "-ERR invalid cursor/"),
        // A value may have 8 MiB, not 512.
        "SETRANGE far 8388608 x": Difference(redis: ":8388609/", ours: "-ERR string exceeds maximum allowed size"),
    ]

    /// In both versions of the protocol.
    private static let null = "(null)"

    /// One line of the script.
    private struct Line {
        var text: String
        var words: [[UInt8]]
        var isUnordered = false
        var isNear = false

        /// Nil for a blank line or a comment.
        init?(_ line: Substring) throws {
            guard !line.isEmpty, !line.hasPrefix("#") else { return nil }
            var rest = line
            if rest.hasPrefix("~ ") { isUnordered = true }
            if rest.hasPrefix("@ ") { isNear = true }
            if isUnordered || isNear { rest = rest.dropFirst(2) }
            text = String(rest)
            var parser = RESPCommandParser()
            parser.append(ByteBuffer(string: text + "\r\n"))
            guard let command = try parser.next() else { return nil }
            words = command.arguments
        }
    }

    private static func script() throws -> [Line] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Scripts/cache-commands.txt")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").compactMap { try Line($0) }
    }

    private func withServers(_ body: (RawTalk, RawTalk) async throws -> Void) async throws {
        let redis = try RedisServer()
        defer { redis.stop() }
        let ports = try await LoopPorts()
        let loop = ports.loop
        let cache = try await loop.submit {
            NIOLoopBound(CacheModelPort { UInt64(WallClock.milliseconds) }, eventLoop: loop)
        }.get()
        let server = RESPServer(
            configuration: RESPServerConfiguration(port: 0),
            identity: ServerIdentity(nodeName: "node-0", version: "0.1.0"),
            group: loop,
            administration: FakeAdministration(),
            observer: SilentObserver(),
            logger: Logger(label: "test"),
            cache: { _ in cache.value },
            port: ports.provider
        )
        let port = try #require(try await server.start()?.port)
        do {
            let (one, other) = (try await RawTalk(socket: redis.socket), try await RawTalk(port: port))
            try await body(one, other)
            await one.close()
            await other.close()
        } catch {
            await server.stop(grace: .milliseconds(100))
            throw error
        }
        await server.stop(grace: .milliseconds(100))
    }

    @Test("every command of the script, in RESP2 and RESP3", arguments: ["2", "3"])
    func script(version: String) async throws {
        let lines = try Self.script()
        #expect(lines.count > 500)
        try await withServers { redis, ours in
            let hello = ["HELLO", version].map { Array($0.utf8) }
            _ = try await redis.ask(hello)
            _ = try await ours.ask(hello)
            #expect(Self.differences.keys.allSatisfy { text in lines.contains { $0.text == text } })
            for line in lines {
                let expected = try await redis.ask(line.words)
                let answer = try await ours.ask(line.words)
                if let difference = Self.differences[line.text] {
                    #expect(Self.meets(expected, difference.redis), "redis: \(line.text): \(Self.text(expected))")
                    #expect(Self.meets(answer, difference.ours), "ours: \(line.text): \(Self.text(answer))")
                    #expect(answer != expected, "no longer a difference: \(line.text)")
                } else if line.isUnordered {
                    #expect(try Self.elements(answer) == Self.elements(expected), "\(line.text)")
                } else if line.isNear {
                    let (first, second) = (try #require(Self.number(expected)), try #require(Self.number(answer)))
                    // In milliseconds; of seconds, the two may be asked on either side of one.
                    let limit: Int64 = line.text.hasPrefix("TTL ") ? 2 : 2_000
                    #expect(abs(first - second) < limit, "\(line.text): \(first), \(second)")
                    #expect((first < 0) == (second < 0), "\(line.text): \(first), \(second)")
                } else {
                    #expect(Self.text(answer) == Self.text(expected), "\(line.text)")
                    #expect(answer == expected, "\(line.text)")
                }
            }
        }
    }

    private static func text(_ reply: [UInt8]) -> String {
        String(decoding: reply, as: UTF8.self).replacing("\r\n", with: "/")
    }

    private static func meets(_ reply: [UInt8], _ wanted: String) -> Bool {
        let text = text(reply)
        return wanted == null ? text == "$-1/" || text == "_/" : text.hasPrefix(wanted)
    }

    private static func elements(_ reply: [UInt8]) throws -> [String] {
        var parser = RESPValueParser()
        parser.append(ByteBuffer(bytes: reply))
        let value = try #require(try parser.next())
        return try #require(value.elements).map { "\($0)" }.sorted()
    }

    private static func number(_ reply: [UInt8]) -> Int64? {
        guard reply.first == UInt8(ascii: ":") else { return nil }
        return Int64(String(decoding: reply.dropFirst().dropLast(2), as: UTF8.self))
    }
}
