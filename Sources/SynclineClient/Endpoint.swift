// SPDX-License-Identifier: Apache-2.0

/// Where a node listens for clients.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    /// A name or a numeric address.
    public let host: String
    /// 1–65535.
    public let port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// The port nodes listen on for clients unless they are told otherwise.
    public static let defaultPort = 7700

    /// Reads `host:port`, `[ipv6]:port`, or a host alone, which means port 7700. Nil for anything else.
    public init?(_ text: String) {
        var host = Substring(text)
        var port = Self.defaultPort
        let colons = text.utf8.filter { $0 == UInt8(ascii: ":") }.count
        if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]"), colons == 1 || text.hasPrefix("[") {
            guard let number = Int(text[text.index(after: colon)...]), (1...65535).contains(number) else { return nil }
            host = text[..<colon]
            port = number
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, !host.contains(where: { $0.isWhitespace || $0 == "[" || $0 == "]" || $0 == "/" }) else {
            return nil
        }
        self.host = String(host)
        self.port = port
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
