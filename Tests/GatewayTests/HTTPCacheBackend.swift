// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore

@testable import Gateway

/// A cache of one node on one event loop, reachable from any thread.
final class HTTPCacheBackend: Sendable {
    let ports: LoopPorts
    private let port: NIOLoopBound<CacheModelPort>

    init() async throws {
        let ports = try await LoopPorts()
        self.ports = ports
        let loop = ports.loop
        port = try await loop.submit { NIOLoopBound(CacheModelPort(), eventLoop: loop) }.get()
    }

    /// For the server; called on the loop.
    var provider: @Sendable (any EventLoop) -> (any CachePort)? { { _ in self.port.value } }

    /// Looks at or acts on the cache, on its loop.
    @discardableResult
    func with<Value: Sendable>(_ body: @escaping @Sendable (CacheModelPort) -> Value) async throws -> Value {
        try await ports.loop.submit { body(self.port.value) }.get()
    }
}

extension HTTPTests {
    func withCache(_ body: @escaping @Sendable (CacheCalls, HTTPCacheBackend) async throws -> Void) async throws {
        let backend = try await HTTPCacheBackend()
        try await withServer(ports: backend.ports, cache: backend.provider) { port in
            try await body(CacheCalls(port: port), backend)
        }
    }

    struct CacheCalls: Sendable {
        var port: Int

        func callAsFunction(
            _ method: String,
            _ path: String,
            _ headers: String...,
            body: [UInt8] = []
        ) async throws -> Reply {
            let connection = try await RawConnection(port: port)
            let lines = headers.map { $0 + "\r\n" }.joined()
            var bytes = ByteBuffer(
                string: "\(method) /v1\(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(lines)"
                    + "Content-Length: \(body.count)\r\n\r\n"
            )
            bytes.writeBytes(body)
            // The server may close before it has read all.
            connection.channel.writeAndFlush(bytes, promise: nil)
            let reply = Reply(try await connection.untilClosed())
            await connection.close()
            return reply
        }

        func put(_ path: String, _ text: String, _ header: String? = nil) async throws -> Reply {
            let body = Array(text.utf8)
            guard let header else { return try await self("PUT", "/cache/\(path)", body: body) }
            return try await self("PUT", "/cache/\(path)", header, body: body)
        }

        func json(_ method: String, _ path: String, _ text: String) async throws -> Reply {
            try await self(method, path, "Content-Type: application/json", body: Array(text.utf8))
        }
    }
}

extension HTTPTests.Reply {
    /// A header field's value; names are compared without case.
    func field(_ name: String) -> String? {
        let wanted = name.lowercased() + ":"
        guard let line = head.split(separator: "\r\n").first(where: { $0.lowercased().hasPrefix(wanted) }) else {
            return nil
        }
        return String(line.dropFirst(wanted.count).drop { $0 == " " })
    }
}
