// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The answer to one HTTP request.
struct HTTPAnswer {
    var status: Int
    var headers: [String: String]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    var json: Any? { try? JSONSerialization.jsonObject(with: Data(body)) }

    var object: [String: Any] { json as? [String: Any] ?? [:] }

    /// RFC 9457: the media type, and a stable code.
    var isProblem: Bool {
        headers["content-type"]?.hasPrefix("application/problem+json") == true && object["code"] is String
            && object["title"] is String && (object["status"] as? Int) == status
    }

    var code: String? { object["code"] as? String }
}

/// One request on a connection of its own.
enum HTTPExchange {
    static func request(
        _ method: String,
        _ path: String,
        body: String? = nil,
        headers: [String: String] = [:],
        host: String = "127.0.0.1",
        port: Int,
        within limit: Duration = .seconds(10)
    ) throws -> HTTPAnswer {
        var head = "\(method) \(path) HTTP/1.1\r\nHost: \(host):\(port)\r\nConnection: close\r\n"
        if let body {
            head += "Content-Length: \(body.utf8.count)\r\n"
            if headers["Content-Type"] == nil { head += "Content-Type: application/json\r\n" }
        }
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        return try raw(Array((head + "\r\n" + (body ?? "")).utf8), host: host, port: port, within: limit)
    }

    /// Sends these bytes as they are and reads an answer to the end of the connection.
    static func raw(
        _ bytes: [UInt8],
        host: String = "127.0.0.1",
        port: Int,
        within limit: Duration = .seconds(10)
    ) throws -> HTTPAnswer {
        let socket = try TCPSocket(host: host, port: port, within: limit)
        try socket.send(bytes)
        return try parse(try socket.receiveToEnd(within: limit))
    }

    static func parse(_ bytes: [UInt8]) throws -> HTTPAnswer {
        let mark = Data([13, 10, 13, 10])
        guard let split = Data(bytes).range(of: mark) else {
            throw TestFailure("no HTTP answer: \(String(decoding: bytes.prefix(200), as: UTF8.self))")
        }
        let lines = String(decoding: bytes[..<split.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        let parts = lines[0].split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1]) else {
            throw TestFailure("no HTTP status line: \(lines[0])")
        }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(
                in: .whitespaces
            )
        }
        var body = Array(bytes[split.upperBound...])
        if headers["transfer-encoding"]?.lowercased() == "chunked" { body = try dechunk(body) }
        return HTTPAnswer(status: status, headers: headers, body: body)
    }

    private static func dechunk(_ bytes: [UInt8]) throws -> [UInt8] {
        var rest = bytes[...]
        var body: [UInt8] = []
        while let end = rest.firstIndex(of: 10) {
            let line = String(decoding: rest[rest.startIndex..<end], as: UTF8.self).trimmingCharacters(in: .whitespaces)
            guard let size = Int(line.prefix { $0 != ";" }, radix: 16) else { throw TestFailure("bad chunk: \(line)") }
            if size == 0 { break }
            let start = end + 1
            guard start + size <= rest.endIndex else { throw TestFailure("a chunk is cut short") }
            body += rest[start..<start + size]
            rest = rest[min(start + size + 2, rest.endIndex)...]
        }
        return body
    }
}
