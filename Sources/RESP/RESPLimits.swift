// SPDX-License-Identifier: Apache-2.0

/// What a parser accepts. Every bound is checked against a frame's header, before anything is stored for it.
package struct RESPLimits: Sendable, Equatable {
    /// Bytes of one bulk string.
    package var bulkBytes: Int
    /// Bytes of one command, all arguments and headers together.
    package var commandBytes: Int
    /// Arguments of one command, its name included.
    package var arguments: Int
    /// Bytes of one inline (telnet style) command, and of any header or simple line.
    package var lineBytes: Int
    /// Elements of one aggregate in a reply.
    package var elements: Int
    /// Aggregates inside each other in a reply.
    package var depth: Int

    package init(
        bulkBytes: Int = 1 << 20,
        commandBytes: Int = 4 << 20,
        arguments: Int = 8_192,
        lineBytes: Int = 64 << 10,
        elements: Int = 1 << 20,
        depth: Int = 8
    ) {
        self.bulkBytes = bulkBytes
        self.commandBytes = commandBytes
        self.arguments = arguments
        self.lineBytes = lineBytes
        self.elements = elements
        self.depth = depth
    }
}

/// The protocol a connection speaks: 2 until it says `HELLO 3`.
package enum RESPVersion: UInt8, Sendable {
    case two = 2
    case three = 3
}

/// A violation of the protocol by the other side. The connection cannot go on after one: its framing is lost.
package enum RESPError: Error, Equatable, Sendable {
    case lineTooLong(limit: Int)
    case invalidArgumentCount
    case tooManyArguments(limit: Int)
    case invalidBulkLength
    case bulkTooLong(limit: Int)
    case commandTooLong(limit: Int)
    /// A command's argument did not begin with `$`.
    case expectedBulk(got: UInt8)
    case missingLineEnd
    case unbalancedQuotes
    case invalidNumber
    case unknownType(UInt8)
    case tooManyElements(limit: Int)
    case nestedTooDeep(limit: Int)
    /// An HTTP request was sent to the RESP port.
    case httpRequest
    /// A TLS handshake was sent to a plain port.
    case tlsHandshake

    /// One line for the other side, in Redis' words where Redis has the same error.
    package var message: String {
        switch self {
        case .lineTooLong(let limit): "Protocol error: too big inline request (limit \(limit) bytes)"
        case .invalidArgumentCount: "Protocol error: invalid multibulk length"
        case .tooManyArguments(let limit): "Protocol error: invalid multibulk length (limit \(limit) arguments)"
        case .invalidBulkLength: "Protocol error: invalid bulk length"
        case .bulkTooLong(let limit): "Protocol error: invalid bulk length (limit \(limit) bytes)"
        case .commandTooLong(let limit): "Protocol error: command too long (limit \(limit) bytes)"
        case .expectedBulk(let got): "Protocol error: expected '$', got '\(Self.printable(got))'"
        case .missingLineEnd: "Protocol error: expected CR LF"
        case .unbalancedQuotes: "Protocol error: unbalanced quotes in request"
        case .invalidNumber: "Protocol error: invalid number"
        case .unknownType(let byte): "Protocol error: unknown type '\(Self.printable(byte))'"
        case .tooManyElements(let limit): "Protocol error: too many elements (limit \(limit))"
        case .nestedTooDeep(let limit): "Protocol error: nested too deep (limit \(limit))"
        case .httpRequest: "this is the RESP port and it does not speak HTTP; use the HTTP port (7701 by default)"
        case .tlsHandshake: "this port does not speak TLS; connect without TLS"
        }
    }

    private static func printable(_ byte: UInt8) -> String {
        guard byte < 0x20 || byte > 0x7e else { return String(UnicodeScalar(byte)) }
        return "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}
