// SPDX-License-Identifier: Apache-2.0
import CacheCore
import ClientTestSupport
import Foundation
import Memory
import Primitives
import RESP
import Testing

private let shard = ShardID(3)

@Suite("Getting into a real Redis")
struct AccessTests {
    private func works(_ memory: TestMemory) async -> Bool {
        guard await memory.raise(shard, 1).error == nil else { return false }
        guard await memory.store(shard, 1, MemoryWrite("a", 1, "x")) == nil else { return false }
        return await memory.fetch(shard, "a") == .success(MemoryEntry("x", 1))
    }

    /// Waits until a connection has failed, and gives the reason.
    private func refusal(_ memory: TestMemory) async -> String {
        #expect(await eventually { memory.state.lastError != nil })
        #expect(!memory.state.isConnected && memory.state.runID == nil)
        return memory.state.lastError ?? ""
    }

    @Test("with the password of the default user, and not without it or with another")
    func password() async throws {
        let redis = try await RedisProcess.start("--requirepass", "p@ss word")
        let address = "127.0.0.1:\(redis.port)"
        #expect(await works(try await TestMemory.connected("redis://:p%40ss%20word@\(address)")))
        #expect(await refusal(try TestMemory("redis://\(address)")).contains("NOAUTH"))
        let wrong = await refusal(try TestMemory("redis://:hush@\(address)"))
        #expect(wrong.contains("WRONGPASS") && !wrong.contains("hush"))
    }

    @Test("as a user who may do no more than what is needed")
    func user() async throws {
        let redis = try await RedisProcess.start()
        try await redis.send(
            "ACL",
            "SETUSER",
            "cache",
            "on",
            ">secret",
            "~syncline:*",
            "-@all",
            "+evalsha",
            "+eval",
            "+get",
            "+set",
            "+del",
            "+strlen",
            "+pttl",
            "+getrange",
            "+scan",
            "+ping",
            "+hello",
            "+info"
        )
        let memory = try await TestMemory.connected("redis://cache:secret@127.0.0.1:\(redis.port)")
        #expect(await works(memory))
        #expect(await memory.count([shard]) == .success([1]))
        #expect(await memory.removeAll(shard, 1, .zero) == .success(0))
        // Without INFO the run id is unknown, and everything else works.
        try await redis.send("ACL", "SETUSER", "cache", "-info")
        let blind = try await TestMemory.connected("redis://cache:secret@127.0.0.1:\(redis.port)")
        #expect(await works(blind) && blind.state.runID == nil)
        #expect(await blind.raise(shard, 1).map(\.runID) == .success(""))
        try await redis.send("ACL", "SETUSER", "cache", "resetkeys", "~other:*")
        guard case .failure(.refused(let text)) = await memory.fetch(shard, "a"), text.hasPrefix("NOPERM") else {
            Issue.record("a forbidden key was read")
            return
        }
    }

    @Test("a server without HELLO is spoken to in RESP2, with AUTH as a command of its own")
    func oldProtocol() async throws {
        let redis = try await RedisProcess.start("--rename-command", "HELLO", "", "--requirepass", "old")
        let memory = try await TestMemory.connected("redis://:old@127.0.0.1:\(redis.port)")
        #expect(await works(memory))
        #expect(await memory.fetch(shard, "none") == .success(nil))
        #expect(await memory.raise(ShardID(4), 1).map(\.previous) == .success(nil))
        #expect(await memory.scan(shard, 0, 10).map(\.keys.count) == .success(1))
        #expect(await refusal(try TestMemory("redis://:wrong@127.0.0.1:\(redis.port)")).contains("AUTH was refused"))
        let open = try await RedisProcess.start("--rename-command", "HELLO", "")
        #expect(await works(try await TestMemory.connected(open.url)))
    }

    @Test("over TLS, when the certificate was signed for this address by the given authority")
    func tls() async throws {
        let certificates = try await Certificates()
        let redis = try await RedisProcess.start(certificates.options(asksClient: false))
        let url = "rediss://127.0.0.1:\(try await certificates.tlsPort(of: redis))"
        #expect(await works(try await TestMemory.connected(url) { $0.tls.authorityFile = certificates.authority }))
        // By name, which must be in the certificate too.
        let named = url.replacing("127.0.0.1", with: "localhost")
        #expect(await works(try await TestMemory.connected(named) { $0.tls.authorityFile = certificates.authority }))

        let unknown = try TestMemory(url)
        #expect(await refusal(unknown).contains("TLS"))
        #expect(await works(try await TestMemory.connected(url) { $0.tls.verifiesServer = false }))
        // A plain client at the port of TLS, and the other way round.
        for wrong in [url.replacing("rediss", with: "redis"), "rediss://127.0.0.1:\(redis.port)"] {
            let memory = try TestMemory(wrong) {
                $0.tls.verifiesServer = false
                $0.handshakeTimeout = .milliseconds(300)
            }
            _ = await refusal(memory)
        }
    }

    @Test("a certificate for another address is not accepted")
    func wrongName() async throws {
        let certificates = try await Certificates(names: "DNS:elsewhere.example,IP:10.9.9.9")
        let redis = try await RedisProcess.start(certificates.options(asksClient: false))
        let url = "rediss://127.0.0.1:\(try await certificates.tlsPort(of: redis))"
        _ = await refusal(try TestMemory(url) { $0.tls.authorityFile = certificates.authority })
        let named = url.replacing("127.0.0.1", with: "localhost")
        _ = await refusal(try TestMemory(named) { $0.tls.authorityFile = certificates.authority })
        #expect(await works(try await TestMemory.connected(url) { $0.tls.verifiesServer = false }))
    }

    @Test("over TLS with a certificate of its own, where the server asks for one")
    func clientCertificate() async throws {
        let certificates = try await Certificates()
        let redis = try await RedisProcess.start(certificates.options(asksClient: true))
        let url = "rediss://127.0.0.1:\(try await certificates.tlsPort(of: redis))"
        let memory = try await TestMemory.connected(url) {
            $0.tls.authorityFile = certificates.authority
            $0.tls.certificateFile = certificates.certificate
            $0.tls.keyFile = certificates.key
        }
        #expect(await works(memory))
        _ = await refusal(try TestMemory(url) { $0.tls.authorityFile = certificates.authority })
    }

    @Test("files that cannot be used are named before anything is connected")
    func files() throws {
        let folder = try TemporaryFolder()
        let empty = folder.path + "/empty.pem"
        try "".write(toFile: empty, atomically: true, encoding: .utf8)
        for path in [empty, folder.path + "/none.pem"] {
            #expect {
                try TestMemory("rediss://127.0.0.1:1") { $0.tls.authorityFile = path }
            } throws: { error in
                if case .file(path, _)? = error as? RedisConfigurationError { true } else { false }
            }
        }
        #expect(throws: RedisConfigurationError.certificateWithoutKey) {
            try TestMemory("rediss://127.0.0.1:1") { $0.tls.keyFile = empty }
        }
    }

    @Test("a server of a cluster is not taken for a single one, nor the other way round")
    func mode() async throws {
        let member = try await RedisProcess.start("--cluster-enabled", "yes", "--cluster-port", "0")
        #expect(await refusal(try TestMemory(member.url)).contains("redis+cluster://"))
        let single = try await RedisProcess.start()
        let asCluster = single.url.replacing("redis:", with: "redis+cluster:")
        #expect(await refusal(try TestMemory(asCluster)).contains("no Redis Cluster"))
    }
}
