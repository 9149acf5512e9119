// SPDX-License-Identifier: Apache-2.0

/// Where Redis is and how to get in, from a URL:
/// `redis://[user:password@]host[:port][/0]`, `redis+cluster://[user:password@]host[:port],host[:port]…`; with
/// `rediss` for TLS. Reserved characters of user and password are percent-encoded.
package struct RedisAddress: Sendable, Equatable {
    package struct Host: Sendable, Hashable, CustomStringConvertible {
        /// A name or an address; IPv6 without brackets.
        package var name: String
        package var port: Int

        package init(_ name: String, _ port: Int) {
            self.name = name
            self.port = port
        }

        package var description: String { name.contains(":") ? "[\(name)]:\(port)" : "\(name):\(port)" }
    }

    package static let defaultPort = 6379

    /// Of a cluster: some of its nodes, any.
    package var hosts: [Host]
    package var isCluster: Bool
    package var usesTLS: Bool
    /// Nil: Redis' default user.
    package var user: String?
    package var password: String?
}

package enum RedisAddressError: Error, Sendable, Equatable, CustomStringConvertible {
    case scheme(String)
    case noHost
    case severalHosts
    case port(String)
    case brackets(String)
    case noPassword
    case percent(String)
    case database(String)
    case parameters

    package var description: String {
        switch self {
        case .scheme(let text):
            "'\(text)' is not redis://, rediss://, redis+cluster:// or rediss+cluster:// with an address after it"
        case .noHost: "the address has no host"
        case .severalHosts: "several hosts are a Redis Cluster: redis+cluster://"
        case .port(let text): "'\(text)' is not a port, 1 to 65535"
        case .brackets(let text): "'\(text)' is not a host; an IPv6 address stands in brackets"
        case .noPassword: "user and password are written user:password@, or :password@ for the default user"
        case .percent(let text): "'\(text)' is not percent-encoded UTF-8"
        case .database(let text): "database '\(text)': only 0 is supported"
        case .parameters: "the address takes no parameters and no fragment"
        }
    }
}

extension RedisAddress {
    package init(_ url: String) throws(RedisAddressError) {
        var rest = Substring(url)
        let scheme = rest.prefix { $0 != ":" }
        rest = rest.dropFirst(scheme.count)
        // What may be a secret is not shown.
        guard rest.hasPrefix("://") else { throw .scheme(String(rest.isEmpty ? "…" : scheme)) }
        rest = rest.dropFirst(3)
        switch scheme {
        case "redis": (isCluster, usesTLS) = (false, false)
        case "rediss": (isCluster, usesTLS) = (false, true)
        case "redis+cluster": (isCluster, usesTLS) = (true, false)
        case "rediss+cluster": (isCluster, usesTLS) = (true, true)
        default: throw .scheme(String(scheme))
        }

        if let at = rest.lastIndex(of: "@") {
            let credentials = rest[..<at]
            rest = rest[rest.index(after: at)...]
            guard let colon = credentials.firstIndex(of: ":") else { throw .noPassword }
            let user = try Self.decoded(credentials[..<colon], what: "user")
            let password = try Self.decoded(credentials[credentials.index(after: colon)...], what: "password")
            guard !password.isEmpty else { throw .noPassword }
            self.user = user.isEmpty ? nil : user
            self.password = password
        }

        guard !rest.contains(where: { $0 == "?" || $0 == "#" }) else { throw .parameters }
        let authority = rest.prefix { $0 != "/" }
        let database = rest.dropFirst(authority.count).dropFirst()
        guard database.isEmpty || database == "0" else { throw .database(String(database)) }
        hosts = []
        for part in authority.split(separator: ",", omittingEmptySubsequences: false) {
            hosts.append(try Self.host(part))
        }
        guard isCluster || hosts.count == 1 else { throw .severalHosts }
    }

    private static func host(_ text: Substring) throws(RedisAddressError) -> Host {
        var name = text.prefix { $0 != ":" }
        var rest = text.dropFirst(name.count)
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { throw .brackets(String(text)) }
            name = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
            guard name.contains(":") else { throw .brackets(String(text)) }
        }
        guard !name.isEmpty else { throw .noHost }
        guard !rest.isEmpty else { return Host(String(name), defaultPort) }
        guard rest.first == ":" else { throw .brackets(String(text)) }
        let digits = rest.dropFirst()
        guard !digits.contains(":") else { throw .brackets(String(text)) }
        guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let port = Int(digits), (1...65_535).contains(port)
        else { throw .port(String(digits)) }
        return Host(String(name), port)
    }

    private static func decoded(_ text: Substring, what: String) throws(RedisAddressError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2).map { $0 | 0x20 }
            guard digits.count == 2, let value = Hexadecimal.parse(digits) else { throw .percent(what) }
            bytes.append(UInt8(truncatingIfNeeded: value))
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else { throw .percent(what) }
        return decoded
    }
}

extension RedisAddress: CustomStringConvertible {
    /// Without the password.
    package var description: String {
        let scheme = (usesTLS ? "rediss" : "redis") + (isCluster ? "+cluster" : "")
        let user = password == nil ? "" : "\(user ?? ""):***@"
        return "\(scheme)://\(user)\(hosts.map { "\($0)" }.joined(separator: ","))"
    }
}
