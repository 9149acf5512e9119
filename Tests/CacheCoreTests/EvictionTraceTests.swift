// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Foundation
import Primitives
import Testing

@Suite("Eviction by traces")
struct EvictionTraceTests {
    struct Trace: CustomStringConvertible {
        var description: String
        var keys: [UInt32]
    }

    private static let generated = [
        Trace(description: "zipf", keys: Traces.zipf(100_000, keys: 20_000, seed: 1)),
        Trace(description: "loop", keys: Traces.loop(60_000, keys: 5_000)),
        Trace(description: "scans", keys: Traces.scans(100_000, keys: 10_000, seed: 2)),
        Trace(description: "drift", keys: Traces.drift(100_000, keys: 10_000, seed: 3)),
    ]

    /// Public traces are not ours to carry along: a folder of them, each keys of four bytes, little-endian (`*.u32`).
    private static let folder = ProcessInfo.processInfo.environment["SYNCLINE_TRACES"]

    private static func published() throws -> [Trace] {
        let folder = try #require(folder)
        return try FileManager.default.contentsOfDirectory(atPath: folder).sorted().filter { $0.hasSuffix(".u32") }.map
        {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: folder).appendingPathComponent($0))
            let keys = bytes.withUnsafeBytes { bytes in
                (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self) }
            }
            return Trace(description: String($0.dropLast(4)), keys: keys)
        }
    }

    private static func requests(_ trace: Trace, sizes: Bool) -> [TraceRequest] {
        // A key's value has the same size each time.
        trace.keys.map { TraceRequest(key: $0, valueCount: sizes ? Int(StableHash.mix(UInt64($0)) % 700) : 20) }
    }

    /// Per cent.
    private static func ratio(_ cache: inout some TraceCache, _ requests: [TraceRequest], _ costs: [Int]) -> Double {
        var hits = 0
        for (request, cost) in zip(requests, costs) where cache.request(request, cost: cost) { hits += 1 }
        return 100 * Double(hits) / Double(requests.count)
    }

    /// Ratios of the reference and of the real tables, one and sixteen of them.
    private static func compare(_ policy: EvictionPolicy, _ trace: Trace, share: Double, sizes: Bool) -> [Double] {
        let requests = requests(trace, sizes: sizes)
        let meter = LineTable(policy: policy)
        let costs = requests.map { meter.cost(keyCount: 4, valueCount: $0.valueCount, LineCache.fields) }
        var distinct: [UInt32: Int] = [:]
        for (request, cost) in zip(requests, costs) { distinct[request.key] = cost }
        let limit = Int(Double(distinct.values.reduce(0, +)) * share)

        var victims: [UInt32]
        var ratios: [Double]
        if policy == .leastRecentlyUsed {
            var reference = ReferenceLRU(limit: limit)
            ratios = [ratio(&reference, requests, costs)]
            victims = reference.victims
        } else {
            var reference = ReferenceS3FIFO(limit: limit)
            ratios = [ratio(&reference, requests, costs)]
            victims = reference.victims
        }
        for tables in [1, 16] {
            var cache = LineCache(policy, tables: tables, limit: limit)
            ratios.append(ratio(&cache, requests, costs))
            #expect(cache.greatest <= limit, "\(trace)")
            #expect(cache.bytes == cache.planner.bytes)
            // Least recently used is exact, down to the victims and their order.
            if policy == .leastRecentlyUsed { #expect(cache.victims == victims, "\(trace) \(tables)") }
            // Each victim takes few looks at tables.
            #expect(cache.orders <= cache.victims.count * 3 + 16, "\(trace) \(tables): \(cache.orders)")
        }
        return ratios
    }

    @Test(
        "hit ratios are those of a simple simulation, with one table and with sixteen",
        arguments: EvictionPolicy.allCases,
        generated
    )
    func generatedTraces(policy: EvictionPolicy, trace: Trace) {
        for (share, sizes) in [(0.01, false), (0.1, false), (0.1, true)] {
            let ratios = Self.compare(policy, trace, share: share, sizes: sizes)
            for ratio in ratios { #expect(abs(ratio - ratios[0]) <= 0.1, "\(trace) \(share): \(ratios)") }
        }
    }

    @Test("hit ratios on public traces are those of a simple simulation", .enabled(if: folder != nil))
    func publishedTraces() throws {
        for trace in try Self.published() {
            for policy in EvictionPolicy.allCases {
                for share in [0.01, 0.1] {
                    let ratios = Self.compare(policy, trace, share: share, sizes: false)
                    for ratio in ratios { #expect(abs(ratio - ratios[0]) <= 0.1, "\(trace) \(share): \(ratios)") }
                    Self.note("\(trace) \(policy) \(share): \(ratios)")
                }
            }
        }
    }

    private static func note(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

    @Test("S3-FIFO keeps a loop that is too long for the cache in part, least recently used keeps nothing of it")
    func loops() {
        let trace = Self.generated[1]
        let recent = Self.compare(.leastRecentlyUsed, trace, share: 0.8, sizes: false)
        let fifo = Self.compare(.s3fifo, trace, share: 0.8, sizes: false)
        #expect(recent[2] == 0)
        #expect(fifo[2] > 40, "\(fifo)")
    }
}
