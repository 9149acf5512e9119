// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore
import RESP
import Synchronization

// `CLIENT TRACKING` and its kin, and the one channel of SUBSCRIBE, with Redis' replies.

extension RESPConnectionHandler {
    /// Nil: none of these. The texts on wrong arity are Redis', unlike those of our own commands.
    func clientTracking(_ subcommand: String, _ command: RESPCommand) -> Bool {
        switch (subcommand, command.count) {
        case ("TRACKING", 3...): changeTracking(command)
        case ("CACHING", 3): changeCaching(command.text(2).uppercased())
        case ("TRACKINGINFO", 2): describeTracking()
        case ("GETREDIR", 2): writer.integer(tracking.map { Int($0.terms.redirect) } ?? -1)
        case ("TRACKING", _), ("CACHING", _), ("TRACKINGINFO", _), ("GETREDIR", _):
            writeError("ERR wrong number of arguments for 'client|\(subcommand.lowercased())' command")
        default: return false
        }
        return true
    }

    private func changeTracking(_ command: RESPCommand) {
        do throws(CacheMistake) {
            let terms = try trackingTerms(command)
            switch command.text(2).uppercased() {
            case "ON":
                try check(terms)
                beginTracking(terms)
            case "OFF":
                endTracking()
                writer.simple("OK")
            default: throw .syntax
            }
        } catch {
            writeError(error.line)
        }
    }

    private func trackingTerms(_ command: RESPCommand) throws(CacheMistake) -> TrackingTerms {
        var terms = TrackingTerms()
        var index = 3
        while index < command.count {
            let hasMore = index + 1 < command.count
            switch command.text(index).uppercased() {
            case "REDIRECT" where hasMore:
                guard terms.redirect == 0 else {
                    throw .other("ERR A client can only redirect to a single other client")
                }
                index += 1
                guard let id = StrictInteger.parse([UInt8](buffer: command.argument(index))) else {
                    throw .notInteger
                }
                guard let target = UInt64(exactly: id), services.registry.entry(target) != nil else {
                    throw .other("ERR The client ID you want redirect to does not exist")
                }
                terms.redirect = target
            case "BCAST": terms.isBroadcast = true
            case "OPTIN": terms.isOptIn = true
            case "OPTOUT": terms.isOptOut = true
            case "NOLOOP": terms.isNoLoop = true
            case "PREFIX" where hasMore:
                index += 1
                terms.prefixes.append([UInt8](buffer: command.argument(index)))
            default: throw .syntax
            }
            index += 1
        }
        return terms
    }

    /// Whether the options go together, and with what is on already.
    private func check(_ terms: TrackingTerms) throws(CacheMistake) {
        guard terms.isBroadcast || terms.prefixes.isEmpty else {
            throw .other("ERR PREFIX option requires BCAST mode to be enabled")
        }
        let again = "before disabling tracking for this client, and then re-enabling it with a different mode."
        if let known = tracking?.terms, known.isBroadcast != terms.isBroadcast {
            throw .other("ERR You can't switch BCAST mode on/off \(again)")
        }
        guard !terms.isBroadcast || !(terms.isOptIn || terms.isOptOut) else {
            throw .other("ERR OPTIN and OPTOUT are not compatible with BCAST")
        }
        guard !(terms.isOptIn && terms.isOptOut) else {
            throw .other("ERR You can't specify both OPTIN mode and OPTOUT mode")
        }
        if let known = tracking?.terms,
            terms.isOptIn && known.isOptOut || terms.isOptOut && known.isOptIn
        {
            throw .other("ERR You can't switch OPTIN/OPTOUT mode \(again)")
        }
        try checkPrefixes(terms.prefixes)
    }

    private func checkPrefixes(_ prefixes: [[UInt8]]) throws(CacheMistake) {
        let limit = RequestLimits.watches
        guard prefixes.count <= limit, prefixes.allSatisfy({ $0.count <= CacheLimits.keyBytes }) else {
            throw .other("ERR at most \(limit) prefixes of at most \(CacheLimits.keyBytes) bytes")
        }
        let only = "Prefixes for a single client must not overlap."
        func overlap(_ first: [UInt8], _ second: [UInt8]) -> Bool {
            first.starts(with: second) || second.starts(with: first)
        }
        func text(_ prefix: [UInt8]) -> String { String(decoding: prefix, as: UTF8.self) }
        for (index, prefix) in prefixes.enumerated() {
            for known in tracking?.terms.prefixes ?? [] where overlap(prefix, known) {
                throw .other("ERR Prefix '\(text(prefix))' overlaps with an existing prefix '\(text(known))'. \(only)")
            }
            for other in prefixes[(index + 1)...] where overlap(prefix, other) {
                throw .other(
                    "ERR Prefix '\(text(prefix))' overlaps with another provided prefix '\(text(other))'. \(only)"
                )
            }
        }
    }

    private func changeCaching(_ word: String) {
        guard let terms = tracking?.terms, terms.isOptIn || terms.isOptOut else {
            return writeError(
                "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
                    + "enabled"
            )
        }
        switch word {
        case "YES":
            guard terms.isOptIn else {
                return writeError("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
            }
        case "NO":
            guard terms.isOptOut else {
                return writeError("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
            }
        default: return writeError(CacheMistake.syntax.line)
        }
        // The head of the queue has moved on from this command to the next.
        tracking?.setCaching(word == "YES", slot: headNumber)
        writer.simple("OK")
    }

    private func describeTracking() {
        var flags = [tracking == nil ? "off" : "on"]
        if let tracking {
            let terms = tracking.terms
            let isCaching = tracking.caching?.slot == headNumber
            if terms.isBroadcast { flags.append("bcast") }
            if terms.isOptIn { flags += ["optin"] + (isCaching ? ["caching-yes"] : []) }
            if terms.isOptOut { flags += ["optout"] + (isCaching ? ["caching-no"] : []) }
            if terms.isNoLoop { flags.append("noloop") }
            if tracking.isRedirectBroken { flags.append("broken_redirect") }
        }
        writer.map(3)
        writer.bulk("flags")
        writer.set(flags.count)
        for flag in flags { writer.bulk(flag) }
        writer.bulk("redirect")
        writer.integer(tracking.map { Int($0.terms.redirect) } ?? -1)
        writer.bulk("prefixes")
        let prefixes = tracking?.terms.prefixes ?? []
        writer.array(prefixes.count)
        for prefix in prefixes { writer.bulk(prefix) }
    }

    // MARK: The channel of invalidations

    func subscribeToInvalidations(_ command: RESPCommand) {
        let channels = (1..<command.count).map { command.text($0) }
        guard channels.allSatisfy({ $0 == Self.invalidationChannel }) else {
            return writeError("ERR the one channel that can be subscribed to is \(Self.invalidationChannel)")
        }
        isListening = true
        for channel in channels { writeSubscription("subscribe", channel) }
        noteListening()
    }

    func unsubscribeFromInvalidations(_ command: RESPCommand) {
        let named = (1..<command.count).map { command.text($0) }
        let channels = named.isEmpty && isListening ? [Self.invalidationChannel] : named
        guard !channels.isEmpty else { return writeSubscription("unsubscribe", nil) }
        for channel in channels {
            if channel == Self.invalidationChannel { isListening = false }
            writeSubscription("unsubscribe", channel)
        }
        noteListening()
    }

    private func writeSubscription(_ word: String, _ channel: String?) {
        writer.push(3)
        writer.bulk(word)
        writer.optional(channel)
        writer.integer(isListening ? 1 : 0)
    }

    /// A RESP2 connection that listens could not tell a reply from a message, so little else is allowed to it.
    var isConfined: Bool { isListening && writer.version == .two }

    private func noteListening() {
        let isListening = isListening
        entry?.description.withLock { $0.isListening = isListening }
    }

    func endListening() {
        guard isListening else { return }
        isListening = false
        noteListening()
    }
}
