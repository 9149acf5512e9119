// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP
import Synchronization

extension RESPConnectionHandler {
    private static let clientSubcommands = [
        "ID", "SETNAME", "GETNAME", "SETINFO", "INFO", "LIST", "KILL", "UNBLOCK", "NO-EVICT", "NO-TOUCH", "TRACKING",
        "CACHING", "TRACKINGINFO", "GETREDIR",
    ]

    func client(_ command: RESPCommand) {
        guard let entry else { return writeError("ERR the connection is closing") }
        let subcommand = command.text(1).uppercased()
        // It runs in the slot before the head, and does not use up what CLIENT CACHING said of the next command.
        tracking?.keepCaching(past: headNumber - 1)
        if clientTracking(subcommand, command) { return }
        switch (subcommand, command.count) {
        case ("ID", 2): writer.integer(entry.id)
        case ("GETNAME", 2):
            let name = entry.description.withLock { $0.name }
            if name.isEmpty { writer.null() } else { writer.bulk(name) }
        case ("SETNAME", 3):
            let name = command.text(2)
            guard Self.isPlainName(name) else { return writeError(Self.badName) }
            entry.description.withLock { $0.name = name }
            writer.simple("OK")
        case ("SETINFO", 4): setInfo(entry, attribute: command.text(2).lowercased(), value: command.text(3))
        case ("INFO", 2): writer.verbatim(entry.line(now: loopNow) + "\n")
        case ("LIST", _): list(command)
        case ("KILL", 3...): kill(command, own: entry)
        case ("UNBLOCK", 3), ("UNBLOCK", 4): unblock(command)
        case ("NO-EVICT", 3), ("NO-TOUCH", 3):
            guard ["ON", "OFF"].contains(command.text(2).uppercased()) else { return writeError("ERR syntax error") }
            writer.simple("OK")
        case (let known, _) where Self.clientSubcommands.contains(known): arityError(.client)
        default: unknownSubcommand(command, Self.clientSubcommands)
        }
    }

    private var loopNow: NIODeadline { context?.eventLoop.now ?? .now() }

    private func setInfo(_ entry: ClientEntry, attribute: String, value: String) {
        guard Self.isPlainName(value) else {
            return writeError("ERR \(attribute) cannot contain spaces, newlines or special characters.")
        }
        switch attribute {
        case "lib-name": entry.description.withLock { $0.library = value }
        case "lib-ver": entry.description.withLock { $0.libraryVersion = value }
        default: return writeError("ERR Unrecognized option '\(attribute.prefix(64))'; it must be LIB-NAME or LIB-VER")
        }
        writer.simple("OK")
    }

    /// `CLIENT LIST [ID id …]`; other filters are refused rather than ignored.
    private func list(_ command: RESPCommand) {
        var entries = services.registry.entries
        if command.count > 2 {
            guard command.text(2).uppercased() == "ID", command.count > 3 else {
                return writeError("ERR syntax error; usage: CLIENT LIST [ID id …]")
            }
            let ids = (3..<command.count).map { UInt64(command.text($0)) }
            guard !ids.contains(nil) else { return writeError("ERR Invalid client ID") }
            entries.removeAll { !ids.contains($0.id) }
        }
        let now = loopNow
        writer.verbatim(entries.map { $0.line(now: now) + "\n" }.joined())
    }

    /// The old form `CLIENT KILL addr:port`, or filters ID, ADDR and SKIPME.
    private func kill(_ command: RESPCommand, own: ClientEntry) {
        if command.count == 3 {
            let address = command.text(2)
            guard let victim = services.registry.entries.first(where: { $0.address == address }) else {
                return writeError("ERR No such client")
            }
            writer.simple("OK")
            return end(victim, own: own)
        }
        var id: UInt64?
        var address: String?
        var skipsOwn = true
        for index in stride(from: 2, to: command.count, by: 2) {
            guard index + 1 < command.count else { return writeError("ERR syntax error") }
            let value = command.text(index + 1)
            switch command.text(index).uppercased() {
            case "ID":
                guard let number = UInt64(value) else { return writeError("ERR client-id should be greater than 0") }
                id = number
            case "ADDR": address = value
            case "SKIPME": skipsOwn = value.lowercased() != "no"
            default: return writeError("ERR syntax error; filters are ID, ADDR and SKIPME")
            }
        }
        let victims = services.registry.entries.filter { entry in
            (id == nil || entry.id == id) && (address == nil || entry.address == address)
                && !(skipsOwn && entry.id == own.id)
        }
        writer.integer(victims.count)
        for victim in victims { end(victim, own: own) }
    }

    private func end(_ victim: ClientEntry, own: ClientEntry) {
        if victim.id == own.id { close(afterError: nil) } else { victim.channel.close(promise: nil) }
    }

    /// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`: how one connection ends the waiting of another.
    private func unblock(_ command: RESPCommand) {
        let how = command.count == 4 ? command.text(3).uppercased() : "TIMEOUT"
        guard how == "TIMEOUT" || how == "ERROR" else {
            return writeError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
        }
        guard let id = UInt64(command.text(2)) else { return writeError("ERR value is not an integer or out of range") }
        guard let other = services.registry.entry(id), other.description.withLock({ $0.isBlocked }) else {
            return writer.integer(0)
        }
        other.channel.pipeline.fireUserInboundEventTriggered(ConnectionEvent.unblock(withError: how == "ERROR"))
        writer.integer(1)
    }
}
