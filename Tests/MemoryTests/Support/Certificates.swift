// SPDX-License-Identifier: Apache-2.0
import ClientTestSupport
import Foundation
import RESP

/// An authority made for one test, and what it signed for the server of that test.
final class Certificates: Sendable {
    private let folder: TemporaryFolder

    init(names: String = "DNS:localhost,IP:127.0.0.1") async throws {
        folder = try TemporaryFolder()
        let path = folder.path
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        try await Self.openssl(
            ["req", "-x509", "-subj", "/CN=Syncline test authority"] + curve
                + ["-keyout", "\(path)/authority.key", "-out", "\(path)/authority.pem"]
        )
        try await Self.openssl(
            ["req", "-subj", "/CN=redis"] + curve.dropLast(2)
                + ["-keyout", "\(path)/server.key", "-out", "\(path)/server.csr"]
        )
        try "subjectAltName=\(names)\n".write(toFile: "\(path)/names", atomically: true, encoding: .utf8)
        try await Self.openssl([
            "x509", "-req", "-days", "2", "-in", "\(path)/server.csr", "-CA", "\(path)/authority.pem",
            "-CAkey", "\(path)/authority.key", "-CAcreateserial", "-extfile", "\(path)/names",
            "-out", "\(path)/server.pem",
        ])
    }

    var authority: String { folder.path + "/authority.pem" }
    var certificate: String { folder.path + "/server.pem" }
    var key: String { folder.path + "/server.key" }

    func options(asksClient: Bool) -> [String] {
        [
            "--tls-ca-cert-file", authority, "--tls-cert-file", certificate, "--tls-key-file", key,
            "--tls-auth-clients", asksClient ? "yes" : "no",
        ]
    }

    /// Opens the port for TLS, next to the plain one that the test looks through.
    func tlsPort(of redis: RedisProcess) async throws -> Int {
        for _ in 0..<20 {
            let port = RedisProcess.freePort()
            if try await redis.send("CONFIG", "SET", "tls-port", "\(port)").string == "OK" { return port }
        }
        throw TestFailure("no free port for TLS")
    }

    private static func openssl(_ arguments: [String]) async throws { try await run(["openssl"] + arguments) }
}
