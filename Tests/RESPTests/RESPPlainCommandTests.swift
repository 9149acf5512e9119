// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Testing

@testable import RESP

@Suite("GET and SET recognised at one look")
struct RESPPlainCommandTests {
    private func look(_ text: String, _ limits: RESPLimits = RESPLimits()) -> [String]? {
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBytes { bytes in
            guard let command = RESPPlainCommand(bytes, at: 0, limits) else { return nil }
            var words = [String(decoding: command.key, as: UTF8.self)]
            if let value = command.value { words.append(String(decoding: value, as: UTF8.self)) }
            if let (name, word) = command.option {
                words += [String(decoding: name, as: UTF8.self), String(decoding: word, as: UTF8.self)]
            }
            return words + ["\(command.end)"]
        }
    }

    @Test("whole commands in any case of the name")
    func whole() {
        #expect(look("*2\r\n$3\r\nGET\r\n$1\r\na\r\n") == ["a", "20"])
        #expect(look("*2\r\n$3\r\ngEt\r\n$0\r\n\r\n*1") == ["", "19"])
        #expect(look("*3\r\n$3\r\nset\r\n$2\r\nab\r\n$10\r\n0123456789\r\n") == ["ab", "0123456789", "38"])
        #expect(look("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n") == ["a", "", "26"])
        #expect(look("*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n") == ["\r\n", "21"])
        let option = "*5\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nPX\r\n$1\r\n7\r\n*1"
        #expect(look(option) == ["a", "b", "PX", "7", "42"])
    }

    @Test("everything else is left alone")
    func others() {
        for text in [
            "", "*2\r\n$3\r\nGET\r\n$1\r\na\r", "*2\r\n$3\r\nGET\r\n$2\r\na\r\n",
            "*3\r\n$3\r\nGET\r\n$1\r\na\r\n$1\r\nb\r\n",
            "*2\r\n$3\r\nSET\r\n$1\r\na\r\n", "*2\r\n$3\r\nDEL\r\n$1\r\na\r\n", "*2\n$3\nGET\n$1\na\n              ",
            "GET a\r\n                     ", "*2\r\n$3\r\nGET\r\n$-1\r\n        ",
            "*2\r\n$3\r\nGET\r\n$01x\r\na\r\n  ",
            "*2\r\n$3\r\nGET\r\n$1\r\na\r\r\n", "*2\r\n$3\r\nGET\r\n$99999999999999999999\r\n",
            "*3\r\n$3\r\nSET\r\n$1\r\na\r\n:1\r\n     ", "*2\r\n$3\r\n\u{7}ET\r\n$1\r\na\r\n",
            "*4\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nNX\r\n",
            "*5\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nPX\r\n",
            "*5\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nPX\r\n:7\r\n",
            "*5\r\n$3\r\nGET\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nPX\r\n$1\r\n7\r\n",
        ] { #expect(look(text) == nil, "\(text.debugDescription)") }
    }

    @Test("limits of the parser hold")
    func limits() {
        let limits = RESPLimits(bulkBytes: 4, commandBytes: 28)
        #expect(look("*2\r\n$3\r\nGET\r\n$4\r\nabcd\r\n", limits) != nil)
        #expect(look("*2\r\n$3\r\nGET\r\n$5\r\nabcde\r\n", limits) == nil)
        #expect(look("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\nab\r\n", limits) != nil)
        #expect(look("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\nabc\r\n", limits) == nil)
    }

    @Test("it agrees with the parser on every input that it takes, however the bytes were changed")
    func agreement() throws {
        var random = Xorshift()
        let seeds = [
            "*2\r\n$3\r\nGET\r\n$3\r\nabc\r\n", "*3\r\n$3\r\nSET\r\n$2\r\nk1\r\n$4\r\nabcd\r\n",
            "*5\r\n$3\r\nSET\r\n$2\r\nk1\r\n$4\r\nabcd\r\n$2\r\nPX\r\n$1\r\n7\r\n",
        ]
        var taken = 0
        for _ in 0..<40_000 {
            var bytes = Array(seeds[Int.random(in: 0..<3, using: &random)].utf8)
            for _ in 0..<Int.random(in: 0..<3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                bytes[place] =
                    Bool.random(using: &random) ? UInt8.random(in: 0...255, using: &random) : UInt8(ascii: "3")
            }
            bytes += Array("*1\r\n".utf8)
            let words: ([[UInt8]], Int)? = bytes.withUnsafeBytes { bytes in
                guard let command = RESPPlainCommand(bytes, at: 0, RESPLimits()) else { return nil }
                let option = command.option.map { [$0.name, $0.word] } ?? []
                let words = [command.key] + (command.value.map { [$0] } ?? []) + option
                return (words.map { [UInt8]($0) }, command.end)
            }
            guard let words else { continue }
            taken += 1
            var parser = RESPCommandParser()
            parser.append(ByteBuffer(bytes: bytes))
            let command = try #require(try parser.next())
            #expect(Array(command.arguments.dropFirst()) == words.0)
            #expect(parser.bufferedBytes == bytes.count - words.1)
        }
        #expect(taken > 5_000)
    }
}

private struct Xorshift: RandomNumberGenerator {
    private var state: UInt64 = 0x2545_f491_4f6c_dd1d

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
