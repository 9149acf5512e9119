// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Memory
import Primitives
import Testing

@testable import Node

@Suite("Settings")
struct SettingsTests {
    private func resolve(
        _ flags: [String] = [],
        _ environment: [String: String] = [:],
        file: String? = nil
    ) throws(SettingsError) -> Settings {
        try Settings.resolve(
            flags: flags,
            environment: environment,
            file: file.map { SettingsFile(path: "/etc/s.conf", text: $0) }
        )
    }

    private func problems(
        _ flags: [String] = [],
        _ environment: [String: String] = [:],
        file: String? = nil
    ) -> [SettingProblem] {
        do throws(SettingsError) {
            _ = try resolve(flags, environment, file: file)
            return []
        } catch {
            return error.problems
        }
    }

    private func origin(_ settings: Settings, _ key: String) -> SettingOrigin? {
        settings.resolved.first { $0.definition.key == key }?.origin
    }

    @Test(
        "a flag wins over the environment, the environment over the file, the file over the default; each is remembered"
    )
    func precedence() throws {
        let file = "client.port = 1\nhttp.port = 2\npeer-port = 3\n"
        let settings = try resolve(
            ["--client-port", "100"],
            ["SYNCLINE_CLIENT_PORT": "10", "SYNCLINE_HTTP_PORT": "20"],
            file: file
        )
        #expect((settings.clientPort, settings.httpPort, settings.peerPort) == (100, 20, 3))
        #expect(settings.shards == 16)
        #expect(origin(settings, "client-port") == .flag("--client-port"))
        #expect(origin(settings, "http-port") == .environment("SYNCLINE_HTTP_PORT"))
        #expect(origin(settings, "peer-port") == .file(path: "/etc/s.conf"))
        #expect(origin(settings, "shards") == .default)
    }

    @Test("the defaults in the table are the defaults of Settings()")
    func defaults() throws {
        let resolved = try resolve()
        let plain = Settings()
        #expect(resolved.nodeID == plain.nodeID && resolved.dataDirectory == plain.dataDirectory)
        #expect(
            resolved.host == plain.host && resolved.peerPort == plain.peerPort && resolved.replicas == plain.replicas
        )
        #expect(resolved.heartbeat == plain.heartbeat && resolved.electionMax == plain.electionMax)
        #expect(
            resolved.walSegmentBytes == plain.walSegmentBytes && resolved.snapshotLogBytes == plain.snapshotLogBytes
        )
        #expect(resolved.maxLocks == plain.maxLocks && resolved.requestTimeout == plain.requestTimeout)
        #expect(resolved.idleTimeout == nil && resolved.clusterID == nil && !resolved.leaseReads)
        #expect(resolved.loops == plain.loops)
    }

    @Test("flags are written --key value, --key=value, --switch, --no-switch")
    func flagForms() throws {
        #expect(try resolve(["--shards=4", "--lease-reads", "--data-dir", "/d"]).leaseReads)
        #expect(try resolve(["--lease-reads", "--no-lease-reads"]).leaseReads == false)
        #expect(try resolve(["--lease-reads", "false"]).leaseReads == false)
        #expect(try resolve(["--wal-segment-bytes", "16MiB"]).walSegmentBytes == 16 << 20)
        #expect(problems(["--shards"]).first?.cause == "its value is missing")
        #expect(problems(["stray"]).first?.cause == "it is not a flag")
    }

    @Test(
        "an unknown flag, variable or file key fails with the nearest known one",
        arguments: [
            (["--clint-port", "1"], [:], nil, "did you mean --client-port?"),
            ([], ["SYNCLINE_HEARTBEATMS": "1"], nil, "did you mean SYNCLINE_HEARTBEAT_MS?"),
            ([], [:], "data.dri = x", "did you mean data.dir?"),
            ([], [:], #"{"lease": {"read": true}}"#, "did you mean lease.reads?"),
        ] as [([String], [String: String], String?, String)]
    )
    func typos(flags: [String], environment: [String: String], file: String?, suggestion: String) throws {
        let problem = try #require(problems(flags, environment, file: file).first)
        #expect(problem.remedy.hasPrefix(suggestion))
    }

    @Test("variables of the command line and of Kubernetes service links are not taken for slips")
    func foreignVariables() throws {
        _ = try resolve(
            [],
            [
                "SYNCLINE_ENDPOINTS": "a:1", "SYNCLINE_LOCK": "x", "SYNCLINE_SERVICE_HOST": "10.0.0.1",
                "SYNCLINE_PORT": "tcp://10.0.0.1:7700", "SYNCLINE_PORT_7700_TCP_ADDR": "10.0.0.1",
                "SYNCLINE_LB_SERVICE_PORT_HTTP": "1", "PATH": "/bin",
            ]
        )
        let link = problems([], ["SYNCLINE_CLIENT_PORT": "tcp://10.0.0.1:7700"]).first
        #expect(link?.remedy.contains("enableServiceLinks") == true)
    }

    @Test(
        "values outside their range or form are refused, all of them in one run",
        arguments: [
            ["--client-port", "70000"], ["--client-port", "-1"], ["--shards", "0"], ["--shards", "many"],
            ["--wal-segment-bytes", "1KiB"], ["--wal-segment-bytes", "9999999999999999999GiB"], ["--loops", "-1"],
            ["--node-id", "a b"], ["--cluster-id", "xyz"], ["--cluster-id", "00000000000000000000000000000000"],
            ["--insecure=perhaps"], ["--host", ""],
            ["--session-ttl-ms", "999"], ["--heartbeat-ms", "99999999999999999999"], ["--election-min-ms", "60"],
            ["--election-max-ms", "150"], ["--http-port", "7700"], ["--replicas", "3"],
        ]
    )
    func refused(flags: [String]) {
        #expect(problems(flags).count == 1)
        #expect(problems(flags + ["--max-clients", "0"]).isEmpty == false)
    }

    @Test("an empty list of peers means none")
    func noPeers() throws {
        #expect(try resolve(["--peers", ""]).peers.isEmpty)
        #expect(try resolve([], ["SYNCLINE_PEERS": " "]).peers.isEmpty)
        #expect(problems(["--peers", "a=b:1,"]).count == 1)
    }

    @Test("several mistakes are reported together")
    func together() {
        #expect(problems(["--client-port", "x", "--shards", "0"], ["SYNCLINE_REPLICAS": "x"]).count == 3)
        #expect(problems(["--nope", "1"], ["SYNCLINE_NOPE": "x"], file: "nope = 1").count == 3)
    }

    @Test("peers: names, addresses, IPv6, this node among them; the peer port follows its entry")
    func peers() throws {
        let list = "node-0=127.0.0.1:8001, node-1=[::1]:8002,node-2=host.example:8003"
        let settings = try resolve(["--peers", list, "--node-id", "node-1"])
        #expect(settings.peers.map(\.host) == ["127.0.0.1", "::1", "host.example"])
        #expect(settings.peers[1].text == "node-1=[::1]:8002")
        #expect(settings.peerPort == 8002 && origin(settings, "peer-port") == .derived(from: "peers"))
        #expect(settings.replicas == 3)
        #expect(try resolve(["--peers", list, "--peer-port", "9"]).peerPort == 9)
        #expect(try resolve(["--peers", "node-0=127.0.0.1:1,b=127.0.0.1:2"]).replicas == 2)

        let absent = try #require(problems(["--peers", list, "--node-id", "node-7"]).first)
        #expect(absent.cause == "it does not name this node, node-7" && absent.remedy.contains("--node-id node-0"))
    }

    @Test(
        "malformed peers are refused",
        arguments: [
            "node-0", "node-0=h", "node-0=h:0", "node-0=h:x", "=h:1", "node-0=:1", "node-0=::1:7", "node-0=[::1]",
            "node-0=h:1,node-0=g:1", "node-0=h:1,node-1=h:1", "node-0=h:1,", "no de=h:1",
        ]
    )
    func malformedPeers(text: String) {
        #expect(problems(["--peers", text]).map(\.subject) == ["--peers"])
    }

    @Test("listening beyond loopback is refused with the command that mends it")
    func exposure() throws {
        let flags = ["--host", "0.0.0.0", "--shards", "4"]
        let problem = try #require(problems(flags).first)
        #expect(problem.remedy.contains("syncline node --host 0.0.0.0 --shards 4 --insecure"))
        #expect(try resolve(flags + ["--insecure"]).insecure)
        for host in ["localhost", "127.0.0.53", "::1"] { #expect(problems(["--host", host]).isEmpty) }
        #expect(problems(["--host", "127.example.org"]).count == 1)
        #expect(
            problems(["--peers", "node-0=10.0.0.1:7702"]).first?.remedy.contains("--host 10.0.0.1 --insecure") == true
        )
    }

    @Test("files: comments, quotes, JSON with nesting and lists; duplicates and broken text are refused")
    func files() throws {
        let flat = "# c\n\nlog.level = debug\nnode-id = \"n1\"\n"
        #expect(try resolve(file: flat).logLevel == "debug")
        #expect(try resolve(file: flat).nodeID == "n1")
        let json =
            #"{"client": {"port": 9}, "insecure": true, "peers": ["node-0=a:1", "b=c:2"], "#
            + #""cluster-id": "00000000000000000000000000000fF0"}"#
        let settings = try resolve(file: json)
        #expect(
            settings.clientPort == 9 && settings.insecure && settings.peers.count == 2
                && settings.clusterID == [UInt8](repeating: 0, count: 14) + [0x0f, 0xf0]
        )
        for bad in [
            "shards 4", "shards = 1\nshards = 2", "{\"shards\": ", "{\"shards\": null}", "{\"peers\": [{}]}",
            "shards = x",
        ] {
            #expect(problems(file: bad).count == 1)
        }
    }

    @Test("the settings file is named by --config or SYNCLINE_CONFIG, and a missing one is an error")
    func fileNames() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "syncline-settings-\(UUID().uuidString)").path
        try Data("shards = 7".utf8).write(to: URL(filePath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(try SettingsFile.load(flags: ["--config", path], environment: [:])?.text == "shards = 7")
        #expect(try SettingsFile.load(flags: [], environment: ["SYNCLINE_CONFIG": path])?.path == path)
        #expect(try SettingsFile.load(flags: [], environment: [:]) == nil)
        #expect(throws: SettingsError.self) {
            try SettingsFile.load(flags: ["--config", path + "x"], environment: [:])
        }
    }

    @Test("secrets are hidden, are read from the file of their _FILE variable, and never stand in a message")
    func secrets() throws {
        let table = [
            SettingDefinition("redis-password", .hexadecimal(bytes: 2), default: nil, secret: true, "A secret.")
        ]
        func resolution(_ flags: [String], _ environment: [String: String]) throws(SettingsError) -> SettingsResolution
        {
            let sources = try SettingsSources(flags: flags, environment: environment, file: nil, table: table)
            return try SettingsResolution(sources, table: table)
        }
        let path = FileManager.default.temporaryDirectory.appending(path: "syncline-secret-\(UUID().uuidString)").path
        try Data("beef\n".utf8).write(to: URL(filePath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }

        let fromFile = try resolution([], ["SYNCLINE_REDIS_PASSWORD_FILE": path])
        #expect(fromFile.hexadecimal("redis-password") == [0xbe, 0xef])
        #expect(fromFile.resolved.first?.origin == .environment("SYNCLINE_REDIS_PASSWORD_FILE"))
        let text = SettingsReport.table(fromFile.resolved)
        #expect(text.contains("(hidden)") && !text.contains("beef"))
        #expect(
            try resolution(["--redis-password", "0001"], ["SYNCLINE_REDIS_PASSWORD_FILE": path]).hexadecimal(
                "redis-password"
            ) == [0, 1]
        )

        let error = #expect(throws: SettingsError.self) { try resolution(["--redis-password", "hunter2"], [:]) }
        #expect(error.map { !"\($0)".contains("hunter2") } == true)
        #expect(problems([], ["SYNCLINE_SHARDS_FILE": path]).first?.cause.contains("only secrets") == true)
    }

    @Test("Redis as memory: what contradicts itself is refused, and no message shows a password")
    func memory() throws {
        let redis = ["--memory", "redis"]
        let wrong: [([String], String)] = [
            (redis, "redis-url"),
            (["--redis-url", "redis://h"], "memory"),
            (redis + ["--redis-url", "http://h"], "redis-url"),
            (redis + ["--redis-url", "redis://:hunter2@h", "--redis-password", "hunter2"], "redis-password"),
            (redis + ["--redis-url", "redis://h", "--redis-tls-ca", "ca.pem"], "redis-url"),
            (redis + ["--redis-url", "rediss://h", "--redis-tls-key", "key.pem"], "redis-tls-cert"),
            (redis + ["--redis-url", "redis://h", "--cache-dirty-bytes", "2GiB"], "cache-dirty-bytes"),
            (redis + ["--redis-url", "redis://:hunter2@h:x"], "redis-url"),
            (redis + ["--redis-url", "redis://h", "--redis-password=hunter2", "--host", "10.0.0.1"], "host"),
            (redis + ["--redis-url", "redis://:hunter2@h", "--host", "10.0.0.1"], "host"),
        ]
        for (flags, subject) in wrong {
            let found = problems(flags, [:])
            #expect(found.map(\.subject) == [subject], "\(flags): \(found)")
            #expect(!"\(found)".contains("hunter2"))
        }
        let settings = try Settings.resolve(
            flags: redis + ["--redis-url", "rediss+cluster://a,b:7000"],
            environment: ["SYNCLINE_REDIS_PASSWORD": "hunter2"]
        )
        #expect(settings.redis.address?.description == "rediss+cluster://:***@a:6379,b:7000")
        #expect(settings.redis.address?.password == "hunter2")
        #expect(!SettingsReport.table(settings.resolved).contains("hunter2"))
        #expect(try ClusterMap(settings).agreement != ClusterMap(Settings()).agreement)
    }

    @Test("docs/CONFIGURATION.md is the table")
    func documentation() throws {
        let page = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "docs/CONFIGURATION.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        #expect(text == SettingsReport.markdown(), "run: syncline config docs > docs/CONFIGURATION.md")
        for row in SettingDefinition.all { #expect(SettingsReport.help().contains(row.flag)) }
    }

    @Test("edit distance counts a swap of neighbours as one")
    func distance() {
        #expect(Suggestion.distance("shards", "shrads") == 1)
        #expect(Suggestion.distance("", "abc") == 3)
        #expect(Suggestion.nearest(to: "zzzzzz", in: ["shards", "host"]) == nil)
    }
}
