// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Synchronization

/// What other connections may see of a connection; safe from any thread.
final class ClientEntry: Sendable {
    struct Description: Sendable {
        var name = ""
        var library = ""
        var libraryVersion = ""
        var protocolVersion: UInt8 = 2
        var lastCommand: CommandID?
        var lastActivity: NIODeadline
        var isBlocked = false
        var watches = 0
        /// It tracks keys, or takes the invalidations of others.
        var isTracking = false
        var isListening = false
    }

    let id: UInt64
    let address: String
    let localAddress: String
    let connectedAt: NIODeadline
    let channel: any Channel
    let description: Mutex<Description>

    init(id: UInt64, channel: any Channel, now: NIODeadline) {
        self.id = id
        self.channel = channel
        address = Self.text(channel.remoteAddress)
        localAddress = Self.text(channel.localAddress)
        connectedAt = now
        description = Mutex(Description(lastActivity: now))
    }

    private static func text(_ address: SocketAddress?) -> String {
        guard let address, let host = address.ipAddress, let port = address.port else { return "?:0" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// One line in the form of Redis' `CLIENT LIST`.
    func line(now: NIODeadline) -> String {
        let seen = description.withLock { $0 }
        let age = (now - connectedAt).nanoseconds / 1_000_000_000
        let idle = max(0, (now - seen.lastActivity).nanoseconds / 1_000_000_000)
        let flags =
            (seen.isBlocked ? "b" : "") + (seen.watches > 0 || seen.isListening ? "P" : "")
            + (seen.isTracking ? "t" : "")
        let command = seen.lastCommand.map { CommandTable.shared[$0].name.lowercased() } ?? "NULL"
        return "id=\(id) addr=\(address) laddr=\(localAddress) name=\(seen.name) age=\(age) idle=\(idle) "
            + "flags=\(flags.isEmpty ? "N" : flags) db=0 sub=\(seen.watches) cmd=\(command) "
            + "user=default resp=\(seen.protocolVersion) lib-name=\(seen.library) lib-ver=\(seen.libraryVersion)"
    }
}

/// All RESP connections of this node; counts them against the cap. Safe from any thread.
package final class ClientRegistry: Sendable {
    private struct State: Sendable {
        var entries: [UInt64: ClientEntry] = [:]
        var nextID: UInt64 = 1
        var accepted: UInt64 = 0
        var rejected: UInt64 = 0
    }

    private let state = Mutex(State())
    package let maximumClients: Int

    package init(maximumClients: Int) { self.maximumClients = maximumClients }

    /// Nil when the cap is reached.
    func admit(_ channel: any Channel, now: NIODeadline) -> ClientEntry? {
        state.withLock { state in
            guard state.entries.count < maximumClients else {
                state.rejected += 1
                return nil
            }
            let entry = ClientEntry(id: state.nextID, channel: channel, now: now)
            state.nextID += 1
            state.accepted += 1
            state.entries[entry.id] = entry
            return entry
        }
    }

    func remove(_ entry: ClientEntry) {
        state.withLock { _ = $0.entries.removeValue(forKey: entry.id) }
    }

    func entry(_ id: UInt64) -> ClientEntry? { state.withLock { $0.entries[id] } }

    /// Oldest first.
    var entries: [ClientEntry] { state.withLock { $0.entries.values.sorted { $0.id < $1.id } } }

    package var count: Int { state.withLock { $0.entries.count } }

    var totals: (accepted: UInt64, rejected: UInt64) { state.withLock { ($0.accepted, $0.rejected) } }
}
