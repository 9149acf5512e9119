// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP
import Testing

@Suite("Commands from bytes")
struct RESPCommandParserTests {
    private func words(_ command: RESPCommand) -> [String] {
        command.arguments.map { String(decoding: $0, as: UTF8.self) }
    }

    /// All commands of `text`, given in pieces of `step` bytes.
    private func parse(_ text: String, step: Int, limits: RESPLimits = RESPLimits()) throws -> [[String]] {
        var parser = RESPCommandParser(limits: limits)
        var found: [[String]] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: step) {
            parser.append(ByteBuffer(bytes: bytes[start..<min(start + step, bytes.count)]))
            while let command = try parser.next() { found.append(words(command)) }
        }
        #expect(parser.bufferedBytes == 0)
        return found
    }

    private func failure(_ text: String, limits: RESPLimits = RESPLimits()) -> RESPError? {
        var parser = RESPCommandParser(limits: limits)
        parser.append(ByteBuffer(string: text))
        do throws(RESPError) {
            while try parser.next() != nil {}
            return nil
        } catch {
            return error
        }
    }

    @Test("every fragmentation of a pipeline gives the same commands")
    func fragmentation() throws {
        let text =
            "*2\r\n$4\r\nECHO\r\n$5\r\na\r\nb\n\r\n*0\r\n*-1\r\nPING\r\n\r\n*1\r\n$4\r\nPING\r\n"
            + "SET 'a b' \"c\\x41\\n\"\n*3\r\n$0\r\n\r\n$1\r\nx\r\n$2\r\nyz\r\n"
        let expected = [["ECHO", "a\r\nb\n"], ["PING"], ["PING"], ["SET", "a b", "cA\n"], ["", "x", "yz"]]
        for step in 1...text.utf8.count { #expect(try parse(text, step: step) == expected) }
    }

    @Test("a command keeps its bytes while the parser takes more")
    func retained() throws {
        var parser = RESPCommandParser()
        parser.append(ByteBuffer(string: "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nEC"))
        let first = try #require(try parser.next())
        #expect(try parser.next() == nil)
        parser.append(ByteBuffer(string: "HO\r\n"))
        let second = try #require(try parser.next())
        #expect(words(first) == ["PING"])
        #expect(words(second) == ["ECHO"])
    }

    @Test("violations are refused from the header, before anything is stored")
    func violations() {
        let limits = RESPLimits(bulkBytes: 100, commandBytes: 150, arguments: 4, lineBytes: 64)
        #expect(failure("*5\r\n", limits: limits) == .tooManyArguments(limit: 4))
        #expect(failure("*1\r\n$101\r\n", limits: limits) == .bulkTooLong(limit: 100))
        #expect(failure("*1\r\n$-1\r\n") == .invalidBulkLength)
        #expect(failure("*1\r\n$9999999999999999999999\r\n") == .invalidBulkLength)
        #expect(failure("*x\r\n") == .invalidArgumentCount)
        #expect(failure("*99999999999999999999\r\n") == .invalidArgumentCount)
        #expect(failure("*1\r\n:5\r\n") == .expectedBulk(got: UInt8(ascii: ":")))
        #expect(failure("*1\r\n$1\r\nabc") == .missingLineEnd)
        #expect(failure("*1" + String(repeating: "0", count: 80), limits: limits) == .lineTooLong(limit: 64))
        #expect(failure(String(repeating: "a", count: 65), limits: limits) == .lineTooLong(limit: 64))
        let long = "$80\r\n" + String(repeating: "b", count: 80) + "\r\n"
        #expect(failure("*2\r\n" + long + long, limits: limits) == .commandTooLong(limit: 150))
        #expect(failure("SET \"a\r\n") == .unbalancedQuotes)
        #expect(failure("SET \"a\"b\r\n") == .unbalancedQuotes)
    }

    @Test("HTTP and TLS are told apart from commands")
    func otherProtocols() throws {
        #expect(failure("GET / HTTP/1.1\r\n") == .httpRequest)
        #expect(failure("POST /v1/locks HTTP/1.1\r\n") == .httpRequest)
        #expect(failure("Host: localhost\r\n") == .httpRequest)
        #expect(failure("\u{16}\u{3}\u{1}") == .tlsHandshake)
        #expect(try parse("GET key\r\n", step: 3) == [["GET", "key"]])
    }
}
