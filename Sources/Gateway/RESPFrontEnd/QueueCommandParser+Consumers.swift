// SPDX-License-Identifier: Apache-2.0
import Primitives
import QueueCore
import RESP

extension QueueCommandParser {
    private static let consumerCommands = ["OPEN", "RENEW", "CLOSE", "RESUME", "INFO"]

    /// `QUEUE.CONSUMER` and its subcommands.
    static func consumer(_ arguments: RESPArguments, defaultTTL: UInt64) throws(BadRequest) -> QueueOperation {
        let word = String(decoding: arguments[1].prefix(32), as: UTF8.self).uppercased()
        guard consumerCommands.contains(word) else {
            throw .unknownOption(word, suggestion: Suggestion.nearest(to: word, among: consumerCommands))
        }
        let name = try queue(arguments, 2)
        let id = try RequestBuilder.name(Argument.text(arguments[3], .message), .message)
        switch word {
        case "OPEN": return .openConsumer(name, try open(id, arguments, defaultTTL: defaultTTL))
        case "RESUME":
            var receipts: [Receipt] = []
            for position in 4..<arguments.count { receipts.append(try receipt(arguments[position])) }
            guard receipts.count <= QueueLimits.receipts else { throw .tooMany(.receipt, limit: QueueLimits.receipts) }
            return .resumeConsumer(name, id, receipts)
        default: break
        }
        var options = QueueOptionReader(arguments, from: 4, .ack)
        _ = try options.next()
        switch word {
        case "RENEW": return .renewConsumer(name, id)
        case "CLOSE": return .closeConsumer(name, id)
        default: return .consumer(name, id)
        }
    }

    private static func open(
        _ id: Name,
        _ arguments: RESPArguments,
        defaultTTL: UInt64
    ) throws(BadRequest) -> OpenConsumer {
        var open = OpenConsumer(id: id, ttlMilliseconds: defaultTTL)
        var options = QueueOptionReader(arguments, from: 4, .consumer)
        while let (option, place) = try options.next() {
            switch option {
            case .ttl: open.ttlMilliseconds = try options.number(place, option, QueueLimits.ttlMilliseconds)
            case .credit: open.credit = try options.number(place, option, 1...QueueLimits.credit)
            case .label: open.label = try options.text(place, option, limit: QueueLimits.labelBytes)
            default: break
            }
        }
        return open
    }
}
