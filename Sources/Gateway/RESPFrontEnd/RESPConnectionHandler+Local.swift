// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP
import Synchronization

extension RESPConnectionHandler {
    /// Answers a command that needs no other node. A future when the answer comes later.
    func runLocal(_ id: CommandID, _ command: RESPCommand) -> EventLoopFuture<String>? {
        switch id {
        case .ping:
            if command.count > 2 {
                arityError(.ping)
            } else if isConfined {
                writer.array(2)
                writer.bulk("pong")
                if command.count == 2 { writer.bulk(command.argument(1)) } else { writer.bulk("") }
            } else if command.count == 2 {
                writer.bulk(command.argument(1))
            } else {
                writer.simple("PONG")
            }
        case .echo: writer.bulk(command.argument(1))
        case .time:
            let now = WallClock.now()
            writer.array(2)
            writer.bulk(String(now.seconds))
            writer.bulk(String(now.microseconds))
        case .select: select(command)
        case .quit:
            writer.simple("OK")
            close(afterError: nil)
        case .reset: reset()
        case .auth: writeError(Self.noPassword)
        case .hello: hello(command)
        case .client: client(command)
        case .command: describeCommands(command)
        case .config: config(command)
        case .cluster: return cluster(command)
        case .info: return info(command)
        case .subscribe: subscribeToInvalidations(command)
        case .unsubscribe: unsubscribeFromInvalidations(command)
        case .lockWatch: watching(command) { arguments throws(BadRequest) in try watch(arguments) }
        case .lockUnwatch: watching(command) { arguments throws(BadRequest) in try unwatch(arguments) }
        case .queueUnsubscribe: watching(command) { arguments throws(BadRequest) in try unsubscribe(arguments) }
        default: writeError("ERR '\(table[id].name)' cannot be answered here")
        }
        return nil
    }

    static let noPassword =
        "ERR AUTH <password> called without any password configured for the default user. "
        + "Are you sure your configuration is correct?"

    func arityError(_ id: CommandID) {
        let bad = BadRequest.wrongArity(command: table[id].name.lowercased(), usage: table[id].usage)
        writeError("ERR " + bad.message(.resp))
    }

    func unknownSubcommand(_ command: RESPCommand, _ known: [String]) {
        let word = String(command.text(1).prefix(64))
        let name = command.text(0).uppercased()
        let hint = Suggestion.nearest(to: word, among: known).map { "; did you mean '\(name) \($0)'?" } ?? ""
        writeError("ERR unknown subcommand '\(word)' of \(name); it has \(known.joined(separator: ", "))\(hint)")
    }

    private func watching(_ command: RESPCommand, _ body: (RESPArguments) throws(BadRequest) -> Void) {
        do throws(BadRequest) {
            try command.withArguments(body)
        } catch {
            writeError("ERR " + error.message(.resp))
        }
    }

    private func select(_ command: RESPCommand) {
        switch Int(command.text(1)) {
        case 0: writer.simple("OK")
        case .some: writeError("ERR DB index is out of range")
        case nil: writeError("ERR value is not an integer or out of range")
        }
    }

    private func reset() {
        unwatchAll()
        endSubscriptions()
        endTracking()
        endListening()
        writer.version = .two
        entry?.description.withLock {
            $0.name = ""
            $0.protocolVersion = 2
        }
        writer.simple("RESET")
    }

    /// `HELLO [protover [AUTH username password] [SETNAME name]]`. Nothing changes unless all of it is right.
    private func hello(_ command: RESPCommand) {
        var version = writer.version
        var name: String?
        if command.count > 1 {
            guard let number = Int(command.text(1)) else {
                return writeError("ERR Protocol version is not an integer or out of range")
            }
            guard let wanted = UInt8(exactly: number).flatMap(RESPVersion.init(rawValue:)) else {
                return writeError("NOPROTO unsupported protocol version; this server speaks 2 and 3")
            }
            if wanted == .two, !watches.isEmpty || !subscriptions.isEmpty {
                return writeError("ERR pushes need RESP3; LOCK.UNWATCH and QUEUE.UNSUBSCRIBE first, then HELLO 2")
            }
            version = wanted
        }
        var index = 2
        while index < command.count {
            let option = command.text(index).uppercased()
            if option == "AUTH", index + 2 < command.count { return writeError(Self.noPassword) }
            guard option == "SETNAME", index + 1 < command.count else {
                return writeError("ERR Syntax error in HELLO option '\(command.text(index).prefix(64))'")
            }
            let text = command.text(index + 1)
            guard Self.isPlainName(text) else { return writeError(Self.badName) }
            name = text
            index += 2
        }
        writer.version = version
        entry?.description.withLock {
            $0.protocolVersion = version.rawValue
            if let name { $0.name = name }
        }
        writer.map(7)
        // Client libraries keep copies of keys only of a server by this name (redis-py).
        writer.pair("server", cache == nil ? "syncline" : "redis")
        writer.pair("version", ServerIdentity.redisVersion)
        writer.pair("proto", UInt64(version.rawValue))
        writer.pair("id", entry?.id ?? 0)
        writer.pair("mode", "standalone")
        writer.pair("role", "master")
        writer.bulk("modules")
        writer.array(0)
    }

    static let badName = "ERR Client names cannot contain spaces, newlines or special characters."

    /// Redis' rule: printable ASCII without blanks.
    static func isPlainName(_ text: String) -> Bool {
        text.utf8.count <= RequestLimits.nameBytes && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }

    /// What `redis-benchmark` and client libraries ask before they begin.
    private func config(_ command: RESPCommand) {
        guard command.text(1).uppercased() == "GET", command.count > 2 else {
            return writeError("ERR CONFIG has only GET; settings are given at start-up (syncline config docs)")
        }
        let configuration = services.configuration
        let known: [(String, String)] = [
            ("appendfsync", "always"), ("appendonly", "yes"), ("databases", "1"),
            ("maxclients", String(configuration.maximumClients)),
            ("proto-max-bulk-len", String(configuration.limits.bulkBytes)), ("save", ""),
            ("timeout", String((configuration.idleTimeout?.nanoseconds ?? 0) / 1_000_000_000)),
        ]
        let wanted = (2..<command.count).map { command.text($0).lowercased() }
        let found = known.filter { pair in wanted.contains { $0 == "*" || $0 == pair.0 } }
        writer.map(found.count)
        for pair in found { writer.pair(pair.0, pair.1) }
    }

    /// Redis' cluster clients learn that there is nothing to redirect: any node serves any request.
    private func cluster(_ command: RESPCommand) -> EventLoopFuture<String>? {
        guard command.text(1).uppercased() == "INFO" else {
            writeError("ERR This instance has cluster support disabled; any node serves any request")
            return nil
        }
        return status { status in ServerInfo.clusterInfo(status) }
    }

    private func info(_ command: RESPCommand) -> EventLoopFuture<String>? {
        let sections = (1..<command.count).map { command.text($0).lowercased() }
        let facts = ServerInfo.Facts(
            services: services,
            protocolPort: context?.channel.localAddress?.port ?? services.configuration.port,
            cache: cache?.statistics,
            now: context?.eventLoop.now ?? .now()
        )
        return status { status in ServerInfo.info(sections, facts, status) }
    }

    private func status(_ text: @escaping @Sendable (NodeStatus) -> String) -> EventLoopFuture<String>? {
        guard let context else { return nil }
        let administration = services.administration
        return context.eventLoop.makeFutureWithTask { text(await administration.status()) }
    }
}

extension RESPCommand {
    /// One argument's bytes, sharing the command's storage.
    func argument(_ index: Int) -> ByteBuffer {
        let slot = slots[index]
        return buffer.getSlice(at: buffer.readerIndex + slot.offset, length: slot.count) ?? ByteBuffer()
    }
}
