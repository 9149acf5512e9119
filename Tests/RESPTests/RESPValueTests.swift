// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP
import Testing

@Suite("Values to and from bytes")
struct RESPValueTests {
    private func parse(_ text: String, step: Int) throws -> [RESPValue] {
        var parser = RESPValueParser()
        var found: [RESPValue] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: step) {
            parser.append(ByteBuffer(bytes: bytes[start..<min(start + step, bytes.count)]))
            while let value = try parser.next() { found.append(value) }
        }
        return found
    }

    private func failure(_ text: String, limits: RESPLimits = RESPLimits()) -> RESPError? {
        var parser = RESPValueParser(limits: limits)
        parser.append(ByteBuffer(string: text))
        do throws(RESPError) {
            while try parser.next() != nil {}
            return nil
        } catch {
            return error
        }
    }

    private func text(_ version: RESPVersion, _ write: (inout RESPWriter) -> Void) -> String {
        var writer = RESPWriter(version: version)
        write(&writer)
        return String(buffer: writer.buffer)
    }

    @Test("every type, at every fragmentation")
    func everyType() throws {
        let text =
            "+OK\r\n-ERR no\r\n:-42\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n_\r\n#t\r\n,1.5\r\n,inf\r\n"
            + "(12345678901234567890123\r\n=7\r\ntxt:abc\r\n!5\r\nERR x\r\n"
            + "*2\r\n:1\r\n*1\r\n$0\r\n\r\n%1\r\n+k\r\n~1\r\n:2\r\n>2\r\n+lock\r\n_\r\n"
            + "|1\r\n+ttl\r\n:3\r\n*0\r\n"
        let expected: [RESPValue] = [
            .simple("OK"), .error("ERR no"), .integer(-42), .bulk(ByteBuffer(string: "a\r\n")), .null, .null, .null,
            .bool(true), .double(1.5), .double(.infinity), .bigNumber("12345678901234567890123"),
            .verbatim(format: "txt", "abc"), .error("ERR x"), .array([.integer(1), .array([.bulk(ByteBuffer())])]),
            .map([.init(key: .simple("k"), value: .set([.integer(2)]))]), .push([.simple("lock"), .null]), .array([]),
        ]
        for step in 1...text.utf8.count { #expect(try parse(text, step: step) == expected) }
    }

    @Test("violations are typed errors")
    func violations() {
        let limits = RESPLimits(bulkBytes: 10, lineBytes: 20, elements: 3, depth: 2)
        #expect(failure("?\r\n") == .unknownType(UInt8(ascii: "?")))
        #expect(failure("$11\r\n", limits: limits) == .bulkTooLong(limit: 10))
        #expect(failure("*4\r\n", limits: limits) == .tooManyElements(limit: 3))
        #expect(failure("*1\r\n*1\r\n*1\r\n", limits: limits) == .nestedTooDeep(limit: 2))
        #expect(failure(":12x\r\n") == .invalidNumber)
        #expect(failure("+OK\n") == .missingLineEnd)
        #expect(failure(String(repeating: "+", count: 30), limits: limits) == .lineTooLong(limit: 20))
        #expect(failure("$-2\r\n") == .invalidBulkLength)
        #expect(failure("$1\r\nab\r\n") == .missingLineEnd)
    }

    @Test("the writer speaks both versions")
    func writer() {
        #expect(text(.two) { $0.null() } == "$-1\r\n")
        #expect(text(.three) { $0.null() } == "_\r\n")
        #expect(text(.two) { $0.map(2) } == "*4\r\n")
        #expect(text(.three) { $0.map(2) } == "%2\r\n")
        #expect(text(.two) { $0.bool(true) } == ":1\r\n")
        #expect(text(.three) { $0.bool(false) } == "#f\r\n")
        #expect(text(.two) { $0.double(2.5) } == "$3\r\n2.5\r\n")
        #expect(text(.three) { $0.double(3) } == ",3\r\n")
        #expect(text(.three) { $0.verbatim("hi") } == "=6\r\ntxt:hi\r\n")
        #expect(text(.three) { $0.push(1) } == ">1\r\n")
        #expect(text(.two) { $0.error("ERR a\r\nb") } == "-ERR a  b\r\n")
        #expect(text(.two) { $0.integer(Int.min) } == ":-9223372036854775808\r\n")
        #expect(text(.two) { $0.integer(UInt64.max) } == ":9223372036854775807\r\n")
        #expect(text(.two) { $0.command(["PING", "é"]) } == "*2\r\n$4\r\nPING\r\n$2\r\né\r\n")
    }

    @Test("maps are read alike in both versions")
    func maps() throws {
        for flat in ["%1\r\n+a\r\n:1\r\n", "*2\r\n+a\r\n:1\r\n"] {
            #expect(try parse(flat, step: 100).first?["a"]?.int == 1)
        }
    }
}
