// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import NIOCore
import NIOPosix
import SynclineClient

struct HTTPError: Error, Equatable {
    var message: String
    var remedy: String
    var isUnreachable = false
}

struct HTTPResponse: Sendable {
    var status: Int
    var body: String

    func decoded<Value: Decodable>(_ type: Value.Type) throws(HTTPError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(body.utf8))
        } catch {
            throw HTTPError(
                message: "the node's answer is not what this version expects: \(error)",
                remedy: "compare syncline version with the version the node prints at its start"
            )
        }
    }
}

/// As much HTTP/1.1 as asking a node takes: one request a connection, and an answer of known length, chunked, or
/// until close.
enum HTTPRequest {
    static let maximumBytes = 16 << 20

    /// Asks each address in turn until one answers.
    static func send(
        _ path: String,
        method: String = "GET",
        body: String? = nil,
        to addresses: [Endpoint],
        timeout: Duration = .seconds(5)
    ) async throws(HTTPError) -> HTTPResponse {
        var failures: [String] = []
        for address in addresses {
            do {
                return try await exchange(method, path, body, with: address, timeout: timeout)
            } catch {
                failures.append("\(address): \((error as? HTTPError)?.message ?? ConnectionCause.text(error))")
            }
        }
        throw HTTPError(
            message: "no node answers over HTTP (\(failures.joined(separator: "; ")))",
            remedy: "name a node's HTTP address with --http HOST:PORT, or start a cluster with: syncline demo",
            isUnreachable: true
        )
    }

    private static func exchange(
        _ method: String,
        _ path: String,
        _ body: String?,
        with address: Endpoint,
        timeout: Duration
    ) async throws -> HTTPResponse {
        let group = MultiThreadedEventLoopGroup.singleton
        let loop = group.next()
        let answer = loop.makePromise(of: HTTPResponse.self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop)
                .connectTimeout(TimeAmount(timeout))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(HTTPAnswerHandler(answer))
                    }
                }
                .connect(host: address.host, port: address.port).get()
        } catch {
            answer.fail(error)
            throw error
        }
        let timer = loop.scheduleTask(in: TimeAmount(timeout)) {
            answer.fail(HTTPError(message: "no answer in time", remedy: ""))
            channel.close(promise: nil)
        }
        defer { timer.cancel() }
        var head = "\(method) \(path) HTTP/1.1\r\nHost: \(address)\r\nConnection: close\r\nAccept: application/json\r\n"
        if let body { head += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
        try await channel.writeAndFlush(ByteBuffer(string: head + "\r\n" + (body ?? "")))
        return try await answer.futureResult.get()
    }
}

/// Collects one answer and closes.
private final class HTTPAnswerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var collected = ByteBuffer()
    private let answer: EventLoopPromise<HTTPResponse>

    init(_ answer: EventLoopPromise<HTTPResponse>) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        collected.writeImmutableBuffer(unwrapInboundIn(data))
        if collected.readableBytes > HTTPRequest.maximumBytes {
            answer.fail(HTTPError(message: "the answer is too large", remedy: ""))
            context.close(promise: nil)
        } else if let response = HTTPAnswer.parse(collected, isComplete: false) {
            answer.succeed(response)
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let response = HTTPAnswer.parse(collected, isComplete: true) {
            answer.succeed(response)
        } else {
            answer.fail(HTTPError(message: "this is not an HTTP port, or it closed the connection", remedy: ""))
        }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer.fail(error)
        context.close(promise: nil)
    }
}

enum HTTPAnswer {
    /// Nil while more is to come, or when the bytes are no HTTP answer.
    static func parse(_ bytes: ByteBuffer, isComplete: Bool) -> HTTPResponse? {
        let text = String(decoding: bytes.readableBytesView, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else { return nil }
        let lines = text[..<end.lowerBound].split(separator: "\r\n")
        guard let first = lines.first, first.hasPrefix("HTTP/1."),
            let status = Int(first.split(separator: " ").dropFirst().first ?? "")
        else { return nil }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingPrefix(" ").lowercased()
        }
        let body = text[end.upperBound...]
        if headers["transfer-encoding"] == "chunked" {
            return dechunked(body).map { HTTPResponse(status: status, body: $0) }
        }
        if let length = headers["content-length"].flatMap({ Int($0) }) {
            guard body.utf8.count >= length else { return nil }
            return HTTPResponse(status: status, body: String(decoding: body.utf8.prefix(length), as: UTF8.self))
        }
        return isComplete ? HTTPResponse(status: status, body: String(body)) : nil
    }

    private static func dechunked(_ body: Substring) -> String? {
        var rest = body.utf8[...]
        var collected: [UInt8] = []
        while let lineEnd = rest.firstIndex(of: 0x0d) {
            let header = String(decoding: rest[..<lineEnd].prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self)
            guard let size = Int(header, radix: 16), size >= 0 else { return nil }
            rest = rest[lineEnd...].dropFirst(2)
            if size == 0 { return String(decoding: collected, as: UTF8.self) }
            guard rest.count >= size + 2 else { return nil }
            collected.append(contentsOf: rest.prefix(size))
            rest = rest.dropFirst(size + 2)
        }
        return nil
    }
}
