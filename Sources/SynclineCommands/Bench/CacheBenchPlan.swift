// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import NIOCore
import Primitives
import SynclineClient

enum CacheBenchWorkload: String, ExpressibleByArgument, CaseIterable, Sendable {
    case suite
    case get
    case set
    case mix
    case miss
}

/// One measurement.
struct CacheBenchCell: Sendable {
    var workload: CacheBenchWorkload
    var clients = 50
    var pipeline = 1
    /// Bytes of a value.
    var size = 100
    var keys = 100_000
    /// Nil: plain SET, as the nodes' settings say.
    var durability: Cache.Durability?
    var seconds = 10
    var warmup = 1
    var threads = 1

    static let writePercent: UInt64 = 5
    static let exponent = 0.99

    var name: String {
        let mode = durability.map { " \($0.rawValue)" } ?? ""
        switch workload {
        case .mix: return "mix 95/5\(mode)"
        case .miss, .suite, .get: return workload.rawValue
        case .set: return "set\(mode)"
        }
    }

    /// What is compared with others: reads and writes at each depth, the mix over all nodes, and with several nodes the
    /// miss.
    static func suite(_ pattern: CacheBenchCell, nodes: Int) -> [CacheBenchCell] {
        var cells: [CacheBenchCell] = []
        let rows: [(CacheBenchWorkload, Cache.Durability?)] = [
            (.get, nil), (.set, nil), (.set, .volatile), (.set, .replicated),
        ]
        for (workload, durability) in rows {
            for pipeline in [1, 16, 64] {
                var cell = pattern
                (cell.workload, cell.durability, cell.pipeline) = (workload, durability, pipeline)
                cells.append(cell)
            }
        }
        for workload in nodes > 1 ? [CacheBenchWorkload.mix, .miss] : [.mix] {
            var cell = pattern
            cell.workload = workload
            cells.append(cell)
        }
        return cells
    }
}

/// Commands about numbered keys, of which only the number is written each time.
struct CacheBenchCommands: Sendable {
    private let get: [UInt8]
    private let setHead: [UInt8]
    private let setTail: [UInt8]

    init(size: Int, durability: Cache.Durability?) {
        let key = "$14\r\nbench:"
        get = Array("*2\r\n$3\r\nGET\r\n\(key)".utf8)
        setHead = Array("*\(durability == nil ? 3 : 5)\r\n$3\r\nSET\r\n\(key)".utf8)
        var tail = "\r\n$\(size)\r\n\(String(repeating: "v", count: size))\r\n"
        if let word = durability?.rawValue { tail += "$10\r\nDURABILITY\r\n$\(word.utf8.count)\r\n\(word)\r\n" }
        setTail = Array(tail.utf8)
    }

    func writeGet(_ key: Int, into buffer: inout ByteBuffer) {
        buffer.writeBytes(get)
        buffer.writeInteger(Self.digits(key))
        buffer.writeInteger(0x0d0a as UInt16)
    }

    func writeSet(_ key: Int, into buffer: inout ByteBuffer) {
        buffer.writeBytes(setHead)
        buffer.writeInteger(Self.digits(key))
        buffer.writeBytes(setTail)
    }

    /// Eight decimal digits in the order they are written.
    static func digits(_ number: Int) -> UInt64 {
        var rest = UInt64(number)
        var packed: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            packed |= (0x30 + rest % 10) << shift
            rest /= 10
        }
        return packed
    }
}
