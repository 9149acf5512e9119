// SPDX-License-Identifier: Apache-2.0

/// A RESP value as a client sees it; a decoder of the tests' own, so that the server's is not its own judge.
indirect enum RESPReply: Equatable {
    case simple(String)
    case error(String)
    case integer(Int64)
    case bulk(String)
    case null
    case array([RESPReply])
    case map([(RESPReply, RESPReply)])
    case push([RESPReply])
    case boolean(Bool)
    case double(String)

    static func == (left: RESPReply, right: RESPReply) -> Bool { "\(left)" == "\(right)" }

    var text: String? {
        switch self {
        case .simple(let text), .bulk(let text), .double(let text): text
        case .integer(let number): String(number)
        default: nil
        }
    }

    var integer: Int64? {
        switch self {
        case .integer(let number): number
        case .bulk(let text), .simple(let text): Int64(text)
        default: nil
        }
    }

    var elements: [RESPReply]? {
        switch self {
        case .array(let elements), .push(let elements): elements
        case .map(let pairs): pairs.flatMap { [$0.0, $0.1] }
        default: nil
        }
    }

    var errorText: String? { if case .error(let text) = self { text } else { nil } }

    /// The first word of an error.
    var errorCode: String? { errorText.map { String($0.prefix { $0 != " " }) } }

    /// A field of a map, whether it came as a RESP3 map or as a flat array.
    func field(_ name: String) -> RESPReply? {
        guard let elements else { return nil }
        for at in stride(from: 0, to: elements.count - 1, by: 2) where elements[at].text == name {
            return elements[at + 1]
        }
        return nil
    }
}

/// One client connection: a request, then its reply; or several of each.
final class RESPConnection {
    let socket: TCPSocket
    private var buffer: [UInt8] = []
    private var position = 0
    /// RESP3 push messages met while replies were read.
    private(set) var pushes: [RESPReply] = []

    init(host: String = "127.0.0.1", port: Int, within limit: Duration = .seconds(5)) throws {
        socket = try TCPSocket(host: host, port: port, within: limit)
    }

    static func encode(_ words: [String]) -> [UInt8] {
        var bytes = Array("*\(words.count)\r\n".utf8)
        for word in words {
            let content = Array(word.utf8)
            bytes += Array("$\(content.count)\r\n".utf8) + content + [13, 10]
        }
        return bytes
    }

    func send(_ words: [String]) throws { try socket.send(Self.encode(words)) }

    @discardableResult
    func command(_ words: String..., within limit: Duration = .seconds(10)) throws -> RESPReply {
        try command(words, within: limit)
    }

    @discardableResult
    func command(_ words: [String], within limit: Duration = .seconds(10)) throws -> RESPReply {
        try send(words)
        return try reply(within: limit)
    }

    /// Whether something has arrived that is not read yet.
    var hasInput: Bool { position < buffer.count || socket.isReadable }

    /// The next reply that is not a push message.
    func reply(within limit: Duration = .seconds(10)) throws -> RESPReply {
        let deadline = Deadline(within: limit)
        while true {
            let value = try value(deadline)
            guard case .push = value else { return value }
            pushes.append(value)
        }
    }

    /// The next push message, of those already read or on its way.
    func push(within limit: Duration = .seconds(10)) throws -> RESPReply {
        if !pushes.isEmpty { return pushes.removeFirst() }
        let value = try value(Deadline(within: limit))
        guard case .push = value else { throw TestFailure("expected a push message, got \(value)") }
        return value
    }

    private func value(_ deadline: Deadline) throws -> RESPReply {
        let line = try line(deadline)
        guard let kind = line.first else { throw TestFailure("an empty RESP line") }
        let rest = String(line.dropFirst())
        switch kind {
        case "+": return .simple(rest)
        case "-": return .error(rest)
        case ":": return .integer(try number(rest))
        case "_": return .null
        case "#": return .boolean(rest == "t")
        case ",", "(": return .double(rest)
        case "$", "=", "!": return try bulk(kind, try number(rest), deadline)
        case "*", "~", ">":
            let count = try number(rest)
            if count < 0 { return .null }
            let elements = try (0..<count).map { _ in try value(deadline) }
            return kind == ">" ? .push(elements) : .array(elements)
        case "%":
            let count = try number(rest)
            return .map(try (0..<count).map { _ in (try value(deadline), try value(deadline)) })
        default: throw TestFailure("not RESP: \(line)")
        }
    }

    private func bulk(_ kind: Character, _ count: Int64, _ deadline: Deadline) throws -> RESPReply {
        if count < 0 { return .null }
        let bytes = try take(Int(count) + 2, deadline)
        let text = String(decoding: bytes.dropLast(2), as: UTF8.self)
        switch kind {
        case "!": return .error(text)
        case "=": return .bulk(String(text.dropFirst(4)))
        default: return .bulk(text)
        }
    }

    private func number(_ text: String) throws -> Int64 {
        guard let number = Int64(text) else { throw TestFailure("not a RESP number: \(text)") }
        return number
    }

    private func line(_ deadline: Deadline) throws -> String {
        while true {
            if let end = buffer[position...].firstIndex(of: 10) {
                defer { position = end + 1 }
                return String(decoding: buffer[position..<max(position, end - 1)], as: UTF8.self)
            }
            try fill(deadline)
        }
    }

    private func take(_ count: Int, _ deadline: Deadline) throws -> [UInt8] {
        while buffer.count - position < count { try fill(deadline) }
        defer { position += count }
        return Array(buffer[position..<position + count])
    }

    private func fill(_ deadline: Deadline) throws {
        if position > 0 {
            buffer.removeFirst(position)
            position = 0
        }
        let bytes = try socket.receive(deadline: deadline)
        if bytes.isEmpty { throw TCPSocket.Fault.closed }
        buffer += bytes
    }
}
