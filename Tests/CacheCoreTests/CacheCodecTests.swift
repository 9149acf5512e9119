// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Testing

@Suite("Codecs of the cache")
struct CacheCodecTests {
    private typealias Decode<Value> = (inout ByteReader) throws(DecodingError) -> Value

    /// Comes back as it was; no beginning of it passes for the whole; changed bytes are another value or an error.
    private func check<Value: Equatable>(
        _ value: Value,
        _ samples: inout CacheSamples,
        encode: (Value, inout ByteWriter) -> Void,
        decode: Decode<Value>
    ) throws {
        var writer = ByteWriter()
        encode(value, &writer)
        var reader = ByteReader(writer.bytes)
        #expect(try decode(&reader) == value)
        #expect(reader.remaining == 0)
        for count in 0..<writer.count {
            var short = ByteReader(Array(writer.bytes.prefix(count)))
            #expect(throws: DecodingError.self) { _ = try decode(&short) }
        }
        for _ in 0..<8 where writer.count > 0 {
            var bytes = writer.bytes
            bytes[Int(samples.below(UInt64(bytes.count)))] ^= UInt8(1 << samples.below(8))
            var tampered = ByteReader(bytes)
            guard let other = try? decode(&tampered) else { continue }
            var again = ByteWriter()
            encode(other, &again)
            var second = ByteReader(again.bytes)
            #expect(try decode(&second) == other)
        }
    }

    @Test("requests, notices, commands and answers come back; what is cut or changed is never taken for them")
    func roundTrips() throws {
        var samples = CacheSamples(seed: 11)
        for _ in 0..<1_500 {
            try check(
                samples.request(),
                &samples,
                encode: { $0.encode(into: &$1) },
                decode: { reader throws(DecodingError) in try HomeRequest(decoding: &reader) }
            )
            try check(
                samples.notice(),
                &samples,
                encode: { $0.encode(into: &$1) },
                decode: { reader throws(DecodingError) in try CacheNotice(decoding: &reader) }
            )
            try check(
                samples.command(),
                &samples,
                encode: { $0.encode(into: &$1) },
                decode: { reader throws(DecodingError) in try CacheCommand(decoding: &reader) }
            )
            try check(
                samples.bool() ? .done : .written(samples.answer(), samples.version(), earlier: samples.outcomes()),
                &samples,
                encode: { $0.encode(into: &$1) },
                decode: { reader throws(DecodingError) in try CacheResponse(decoding: &reader) }
            )
        }
    }

    @Test("a lock's token stands for one operation: several under one are refused, in a command and in a request")
    func tokenOfSeveral() throws {
        func decodes(_ earlier: [CacheOperation], token: UInt64) throws -> (command: Bool, request: Bool) {
            var (command, request) = (ByteWriter(), ByteWriter())
            CacheCommand.write(CacheKey("k"), earlier: earlier, .add(1), data: nil, token: token).encode(into: &command)
            let write = CacheWrite(
                id: RequestID(origin: 1, number: 1),
                floor: 0,
                earlier: earlier,
                operation: .add(1),
                durability: .replicated,
                held: .nothing,
                token: token
            )
            HomeRequest.write(CacheKey("k"), write).encode(into: &request)
            var (commands, requests) = (ByteReader(command.bytes), ByteReader(request.bytes))
            return ((try? CacheCommand(decoding: &commands)) != nil, (try? HomeRequest(decoding: &requests)) != nil)
        }
        #expect(try decodes([], token: 7) == (true, true))
        #expect(try decodes([.add(1)], token: 0) == (true, true))
        #expect(try decodes([.add(1)], token: 7) == (false, false))
    }

    @Test("records of the journal come back; what is cut, longer or changed is never taken for them")
    func journalRecords() throws {
        var samples = CacheSamples(seed: 12)
        for _ in 0..<1_500 {
            let record = samples.record()
            let bytes = record.encoded()
            #expect(try JournalRecord(decoding: bytes) == record)
            for count in 0..<bytes.count {
                #expect(throws: DecodingError.self) { try JournalRecord(decoding: Array(bytes.prefix(count))) }
            }
            #expect(throws: DecodingError.self) { try JournalRecord(decoding: bytes + [0]) }
        }
        #expect(throws: DecodingError.self) { try JournalRecord(decoding: [3]) }
    }

    @Test("no command makes a replica trap, whatever is in it, and two replicas stay equal", arguments: [false, true])
    func anyCommand(isWrittenBack: Bool) throws {
        for seed in UInt64(1)...60 {
            var samples = CacheSamples(seed: seed)
            var (one, other) = (CacheState(isWrittenBack: isWrittenBack), CacheState(isWrittenBack: isWrittenBack))
            for index in UInt64(1)...150 {
                let command = samples.command()
                let stamp = index * 1_000
                var effects = CacheEffects()
                let answer = one.apply(command, index: LogIndex(index), stamp: stamp, into: &effects)
                var others = CacheEffects()
                #expect(other.apply(command, index: LogIndex(index), stamp: stamp, into: &others) == answer)
            }
            var writer = ByteWriter()
            one.encode(into: &writer)
            var reader = ByteReader(writer.bytes)
            let copy = try CacheState(decoding: &reader)
            #expect(copy.digest == one.digest && other.digest == one.digest)
        }
    }
}
