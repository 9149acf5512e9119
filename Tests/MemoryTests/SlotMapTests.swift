// SPDX-License-Identifier: Apache-2.0
import Memory
import NIOCore
import RESP
import Testing

@testable import Memory

@Suite("Slots and redirections")
struct SlotMapTests {
    private let asked = RedisAddress.Host("10.0.0.9", 1)

    private func node(_ name: String?, _ port: Int64) -> RESPValue {
        .array([name.map { .bulk(ByteBuffer(string: $0)) } ?? .null, .integer(port), .bulk(ByteBuffer(string: "id"))])
    }

    @Test("the answer of CLUSTER SLOTS says who has which slot")
    func map() throws {
        let reply = RESPValue.array([
            .array([.integer(0), .integer(5_000), node("10.0.0.1", 1), node("10.0.0.2", 1)]),
            .array([.integer(5_001), .integer(16_382), node("", 2)]),
        ])
        var map = try #require(SlotMap(reply, asked: asked))
        #expect(map[0] == RedisAddress.Host("10.0.0.1", 1) && map[5_000] == RedisAddress.Host("10.0.0.1", 1))
        // A server that does not know its own name is the one that was asked.
        #expect(map[5_001] == RedisAddress.Host("10.0.0.9", 2))
        #expect(map[16_383] == nil && !map.isComplete)
        map.move(16_383, to: RedisAddress.Host("10.0.0.3", 3))
        #expect(map[16_383] == RedisAddress.Host("10.0.0.3", 3) && map.isComplete)
        #expect(map.hosts.count == 3 && map.replicas == [RedisAddress.Host("10.0.0.2", 1)])
    }

    @Test("an answer that is no map is none")
    func refusals() {
        let bad: [RESPValue] = [
            .null, .integer(1), .array([]), .array([.integer(1)]),
            .array([.array([.integer(0), .integer(16_384), node("a", 1)])]),
            .array([.array([.integer(-1), .integer(1), node("a", 1)])]),
            .array([.array([.integer(2), .integer(1), node("a", 1)])]),
            .array([.array([.integer(0), .integer(1), node("a", 65_536)])]),
            .array([.array([.integer(0), .integer(1)])]),
            .array([.array([.integer(0), .integer(1), .array([])])]),
        ]
        for reply in bad { #expect(SlotMap(reply, asked: asked) == nil, "\(reply)") }
    }

    @Test("MOVED, ASK, TRYAGAIN and CLUSTERDOWN are told apart from other errors")
    func redirections() {
        #expect(
            Redirection(reply: "MOVED 3999 127.0.0.1:6381", asked: asked)
                == .moved(slot: 3_999, RedisAddress.Host("127.0.0.1", 6_381))
        )
        #expect(Redirection(reply: "ASK 1 ::1:6381", asked: asked) == .ask(RedisAddress.Host("::1", 6_381)))
        #expect(Redirection(reply: "MOVED 1 :7", asked: asked) == .moved(slot: 1, RedisAddress.Host("10.0.0.9", 7)))
        #expect(Redirection(reply: "TRYAGAIN Multiple keys request", asked: asked) == .tryAgain)
        #expect(Redirection(reply: "CLUSTERDOWN Hash slot not served", asked: asked) == .tryAgain)
        for text in ["MOVED", "MOVED 16384 a:1", "MOVED x a:1", "MOVED 1 a", "MOVED 1 a:0", "ERR MOVED 1 a:1", ""] {
            #expect(Redirection(reply: text, asked: asked) == nil, "\(text)")
        }
    }

    @Test("each error of Redis has its kind, also inside the text of a script's error")
    func errors() {
        let oom = "OOM command not allowed when used memory > 'maxmemory'."
        #expect(MemoryError(reply: oom + " script: 1f, on @user_script:9.") == .outOfMemory)
        #expect(MemoryError(reply: "ERR Error running script (call to f_1f): @user_script:9: -\(oom)") == .outOfMemory)
        #expect(MemoryError(reply: "READONLY You can't write against a read only replica.") == .readOnly)
        #expect(MemoryError(reply: "LOADING Redis is loading the dataset in memory") == .loading)
        #expect(MemoryError(reply: "MISCONF Redis is configured to save RDB snapshots") == .misconfigured)
        for text in ["BUSY Redis is busy running a script.", "CLUSTERDOWN x", "MASTERDOWN x", "NOREPLICAS x"] {
            #expect(MemoryError(reply: text) == .down(reason: text))
        }
        for text in ["ERR unknown command", "NOPERM no permissions", "WRONGTYPE x", "", "ERR a - b"] {
            #expect(MemoryError(reply: text) == .refused(text: text))
        }
    }
}
