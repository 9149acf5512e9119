// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import RESP

/// What the answer to a command of the cache looks like.
enum CacheShape: Equatable {
    /// As the kind of the answer says.
    case plain
    // Of a read.
    case value
    case length
    /// Both ends included; negative ones count from the end.
    case range(Int64, Int64)
    case type
    /// What is left of its life: -1 for ever, -2 there is no such key.
    case timeToLive(isSeconds: Bool)
    /// When it ends, in Unix time; -1 and -2 likewise.
    case expiry(isSeconds: Bool)
    // Of several reads.
    case values
    case existing
    // Of a write.
    case ok
    case okOrNull
    case isDone
    case count
    case number
    /// What stood there before.
    case old
    // Of several writes.
    case sum
    case allDone
}

/// Writes the answers of the cache as Redis writes them.
struct CacheEncoder {
    /// Milliseconds since 1970.
    let clock: @Sendable () -> Int64

    /// Returns the first word of the error when it wrote one.
    func write(_ result: CacheResult, _ shape: CacheShape, into writer: inout RESPWriter) -> String? {
        switch result {
        case .read(let value): read(value, shape, into: &writer)
        case .reads(let values) where shape == .existing: writer.integer(values.count { $0.value != nil })
        case .reads(let values):
            writer.array(values.count)
            for value in values { bulk(value.value, into: &writer) }
        case .written(let answer, _): written(answer, shape, into: &writer)
        case .writes(let writes): written(writes, shape, into: &writer)
        case .page(let page):
            writer.array(2)
            writer.bulk(String(page.next))
            keys(page.keys, into: &writer)
        case .keys(let found): keys(found, into: &writer)
        case .count(let count): writer.integer(count)
        case .removedAll: writer.simple("OK")
        case .line(let report): line(report, into: &writer)
        case .statistics(let statistics): self.statistics(statistics, into: &writer)
        case .flushed(let lines): writer.integer(lines)
        case .evicted(let wasHeld): writer.integer(wasHeld ? 1 : 0)
        case .failed(let refusal):
            writer.error(refusal.line)
            return refusal.firstWord
        }
        return nil
    }

    // MARK: Reads

    private func read(_ read: CacheRead, _ shape: CacheShape, into writer: inout RESPWriter) {
        switch shape {
        case .length: writer.integer(read.value?.count ?? 0)
        case .type: writer.simple(read.value == nil ? "none" : "string")
        case .range(let start, let end):
            writer.bulk(read.value.map { Self.range($0, start, end) } ?? [])
        case .timeToLive(let isSeconds): writer.integer(life(read, from: 0, isSeconds))
        case .expiry(let isSeconds): writer.integer(life(read, from: clock(), isSeconds))
        default: bulk(read.value, into: &writer)
        }
    }

    private func life(_ read: CacheRead, from start: Int64, _ isSeconds: Bool) -> Int {
        guard read.value != nil else { return -2 }
        guard let remaining = read.remaining else { return -1 }
        let (sum, overflow) = start.addingReportingOverflow(Int64(clamping: remaining))
        let milliseconds = overflow ? Int64.max : sum
        // Rounded to the nearest second, like Redis.
        return isSeconds ? Int(milliseconds / 1_000 + (milliseconds % 1_000 >= 500 ? 1 : 0)) : Int(milliseconds)
    }

    static func range(_ value: [UInt8], _ start: Int64, _ end: Int64) -> ArraySlice<UInt8> {
        let count = Int64(value.count)
        if start < 0, end < 0, start > end { return [] }
        let first = max(0, start < 0 ? count + start : start)
        let last = min(count - 1, max(0, end < 0 ? count + end : end))
        guard first <= last, count > 0 else { return [] }
        return value[Int(first)...Int(last)]
    }

    private func bulk(_ value: [UInt8]?, into writer: inout RESPWriter) {
        if let value { writer.bulk(value) } else { writer.null() }
    }

    // MARK: Writes

    private func written(_ answer: CacheAnswer, _ shape: CacheShape, into writer: inout RESPWriter) {
        switch (answer, shape) {
        case (.done, .isDone): writer.integer(1)
        case (.notDone, .isDone): writer.integer(0)
        case (.done, _): writer.simple("OK")
        case (.notDone, _): writer.null()
        case (.count(let count), _): writer.integer(Int(count))
        case (.value(let value, _), _): bulk(value, into: &writer)
        case (.number(let text), _): writer.bulk(text)
        case (.refused(let refusal), _): writer.error(RefusalText(refusal).line)
        }
    }

    private func written(_ writes: [CacheWritten], _ shape: CacheShape, into writer: inout RESPWriter) {
        switch shape {
        case .allDone: writer.integer(writes.allSatisfy { $0.answer == .done } ? 1 : 0)
        case .sum:
            let counts = writes.map { if case .count(let count) = $0.answer { Int(count) } else { 0 } }
            writer.integer(counts.reduce(0, +))
        default: writer.simple("OK")
        }
    }

    private func keys(_ keys: [CacheKey], into writer: inout RESPWriter) {
        writer.array(keys.count)
        for key in keys { writer.bulk(key.bytes) }
    }

    // MARK: Views

    private func line(_ report: LineReport, into writer: inout RESPWriter) {
        writer.map(4)
        writer.pair("shard", UInt64(report.shard.rawValue))
        writer.bulk("home")
        writer.optional(report.home)
        writer.pair("epoch", report.epoch)
        writer.bulk("nodes")
        writer.array(report.nodes.count)
        for node in report.nodes {
            writer.map(5)
            writer.pair("node", node.node)
            writer.pair("reachable", node.isReachable ? 1 : 0)
            writer.pair("state", node.state.letter)
            writer.bulk("version")
            writer.optional(node.version?.description)
            writer.bulk("lease_ms")
            if let left = node.leaseRemaining { writer.integer(left) } else { writer.null() }
        }
    }

    private func statistics(_ statistics: CacheStatistics, into writer: inout RESPWriter) {
        let figures = statistics.figures
        writer.map(2 + figures.count)
        for figure in figures { writer.pair(figure.name, figure.value) }
        for (name, group) in [("lines", statistics.linesByState), ("transitions", statistics.moves)] {
            writer.bulk(name)
            writer.map(group.count)
            for figure in group { writer.pair(figure.name, figure.value) }
        }
    }
}
