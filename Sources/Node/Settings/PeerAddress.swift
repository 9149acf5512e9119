// SPDX-License-Identifier: Apache-2.0

/// One entry of the `peers` setting.
package struct PeerAddress: Sendable, Hashable {
    package var name: String
    package var host: String
    package var port: Int

    package init(name: String, host: String, port: Int) {
        self.name = name
        self.host = host
        self.port = port
    }

    /// `name=host:port`, an IPv6 address in brackets.
    package var text: String { "\(name)=\(HostPort.text(host, port))" }

    /// Reads the whole list, which may be empty; a failure says what is wrong with which entry.
    static func parse(_ text: String) throws(SettingValueError) -> [PeerAddress] {
        guard !text.trimmingSpaces.isEmpty else { return [] }
        var peers: [PeerAddress] = []
        for entry in text.split(separator: ",", omittingEmptySubsequences: false) {
            let entry = entry.trimmingSpaces
            guard !entry.isEmpty else { throw SettingValueError("it has an empty entry", "remove the extra comma") }
            peers.append(try parseEntry(entry))
        }
        for (index, peer) in peers.enumerated() {
            if peers[..<index].contains(where: { $0.name == peer.name }) {
                throw SettingValueError(
                    "\(peer.name) is listed twice",
                    "give each node one entry and a name of its own"
                )
            }
            if let other = peers[..<index].first(where: { $0.host == peer.host && $0.port == peer.port }) {
                throw SettingValueError(
                    "\(other.name) and \(peer.name) have the same address",
                    "give each node an address of its own"
                )
            }
        }
        return peers
    }

    private static func parseEntry(_ entry: String) throws(SettingValueError) -> PeerAddress {
        let remedy = "write each node as name=host:port, for example node-0=10.0.0.1:7702"
        guard let equals = entry.firstIndex(of: "=") else {
            throw SettingValueError("the entry '\(entry)' has no '='", remedy)
        }
        let name = String(entry[..<equals])
        guard NodeName.isValid(name) else { throw SettingValueError("'\(name)' is not a node name", remedy) }
        let address = entry[entry.index(after: equals)...]
        guard let colon = address.lastIndex(of: ":"), !address.hasSuffix("]") else {
            throw SettingValueError("the entry '\(entry)' has no port", remedy)
        }
        let portText = address[address.index(after: colon)...]
        guard let port = Int(portText), (1...65535).contains(port) else {
            throw SettingValueError("'\(portText)' in '\(entry)' is not a port (1–65535)", remedy)
        }
        var host = String(address[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            throw SettingValueError(
                "the IPv6 address in '\(entry)' stands without brackets",
                "write it as name=[::1]:7702"
            )
        }
        guard !host.isEmpty, !host.contains(where: \.isWhitespace) else {
            throw SettingValueError("the entry '\(entry)' has no host", remedy)
        }
        return PeerAddress(name: name, host: host, port: port)
    }
}

/// An address as people and other programs read it.
enum HostPort {
    /// `host:port`, with the brackets that an IPv6 address needs.
    static func text(_ host: String, _ port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

enum NodeName {
    static func isValid(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard let first = bytes.first, bytes.count <= 63, isAlphanumeric(first) else { return false }
        return bytes.allSatisfy {
            isAlphanumeric($0) || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains($0)
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }
}

extension StringProtocol {
    /// Without spaces, tabs and line ends at either end.
    var trimmingSpaces: String {
        guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace })
        else {
            return ""
        }
        return String(self[first...last])
    }
}
