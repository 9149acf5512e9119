// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import NIOCore
import SynclineClient
import Testing

@testable import SynclineCommands

@Suite("What users type and read")
struct ArgumentTests {
    @Test(
        "times",
        arguments: [
            ("500ms", Duration.milliseconds(500)), ("30s", .seconds(30)), ("5m", .seconds(300)), ("2h", .seconds(7200)),
            ("7", .seconds(7)), ("0s", .zero), ("0", .zero),
        ]
    )
    func times(text: String, expected: Duration) throws {
        #expect(TimeSpan(argument: text)?.duration == expected)
    }

    @Test(
        "what is no time",
        arguments: [
            "", "s", "-1s", "1.5s", "5 s", "10d", "99999999999999999999s", "9223372036854775807h", "ever", "٣s",
        ]
    )
    func noTimes(text: String) { #expect(TimeSpan(argument: text) == nil) }

    @Test("forever and zero are waits of their own")
    func waits() {
        #expect(TimeSpan(argument: "forever")?.wait == .forever)
        #expect(TimeSpan(argument: "0s")?.wait == LockWait.none)
        #expect(TimeSpan(argument: "2s")?.wait == .upTo(.seconds(2)))
        #expect(TimeSpan(argument: "90s")?.text == "90s" && TimeSpan(argument: "5ms")?.text == "5ms")
    }

    @Test("endpoints: flags before the environment before this machine")
    func endpoints() throws {
        let given = try ConnectionOptions.parse(["--endpoint", "a:1", "--endpoint", "[::1]:2"])
        #expect(
            try given.endpoints(environment: ["SYNCLINE_ENDPOINTS": "x:9"]).map(\.description) == ["a:1", "[::1]:2"]
        )
        let none = try ConnectionOptions.parse([])
        #expect(
            try none.endpoints(environment: ["SYNCLINE_ENDPOINTS": "x:9, y"]).map(\.description) == ["x:9", "y:7700"]
        )
        #expect(try none.endpoints(environment: [:]).map(\.description) == ["127.0.0.1:7700"])
        #expect(throws: ValidationError.self) { try none.endpoints(environment: ["SYNCLINE_ENDPOINTS": "x:zero"]) }
        let http = try HTTPOptions.parse([])
        #expect(try http.addresses(given, environment: [:]).map(\.description) == ["a:2", "[::1]:3"])
    }

    @Test("lock: the command stands after --, and a command is needed")
    func lockArguments() throws {
        let parsed = try LockCommand.parse([
            "a b", "--mode", "shared", "--wait", "forever", "--", "sh", "-c", "x", "--ttl", "1",
        ])
        #expect(parsed.name == "a b" && parsed.mode == .shared && parsed.wait.duration == nil)
        #expect(parsed.command == ["sh", "-c", "x", "--ttl", "1"])
        for wrong in [["a"], ["a", "--ttl", "500ms", "--", "x"], ["a", "--mode", "total", "--", "x"], ["--", "x"]] {
            #expect(throws: (any Error).self) { try LockCommand.parse(wrong) }
        }
    }

    @Test("bench: ranges, and no pipeline for workloads that wait")
    func benchArguments() throws {
        #expect(try BenchCommand.Locks.parse(["contended", "--clients", "8"]).workload == .contended)
        for wrong in [["--clients", "0"], ["contended", "--pipeline", "2"], ["fast"], ["--seconds", "0"]] {
            #expect(throws: (any Error).self) { try BenchCommand.Locks.parse(wrong) }
        }
    }

    @Test("exit statuses are different from each other, and all are in the help")
    func statuses() {
        let all = SynclineCommands.ExitStatus.allCases
        #expect(Set(all.map(\.rawValue)).count == all.count)
        for status in SynclineCommands.ExitStatus.allCases {
            #expect(SynclineCommands.ExitStatus.discussion.contains("\(status.rawValue)"))
        }
        func status(_ code: SynclineError.Code) -> SynclineCommands.ExitStatus {
            Failure.status(SynclineError(code: code, message: ""))
        }
        #expect(status(.notAcquired) == .notAcquired && status(.deadlock) == .notAcquired)
        #expect(status(.sessionLost) == .lost && status(.unreachable) == .unreachable && status(.limit) == .failure)
    }

    @Test("a failure says what became of it and what to do next")
    func failureText() {
        let text = Failure.text(SynclineError(code: .timeout, message: "no answer", outcome: .unknown))
        #expect(text.contains("no answer") && text.contains("unknown") && text.contains("→"))
    }

    @Test("tables line up, ages read well, the bar has its length")
    func layout() {
        let table = TextTable.render(["A", "LONG"], [["abc", "x"], ["d", "y"]], style: Style(isOn: false))
        #expect(table == "A    LONG\nabc  x\nd    y")
        #expect([LockTable.age(1_540), LockTable.age(90_000), LockTable.age(3_700_000)] == ["1.5s", "1m30s", "1h1m"])
        let bar = ProgressBar(label: "b", total: 10).line(5, note: "n")
        #expect(bar.contains("50 %") && bar.count { $0 == "█" } == bar.count { $0 == "░" })
        #expect(Style(isOn: false).red("x") == "x" && Style(isOn: true).red("x") != "x")
    }
}

@Suite("The HTTP answers the tool reads")
struct HTTPAnswerTests {
    private func parse(_ text: String, isComplete: Bool = false) -> HTTPResponse? {
        HTTPAnswer.parse(ByteBuffer(string: text), isComplete: isComplete)
    }

    @Test("with a length, in chunks, until close")
    func bodies() {
        let sized = parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        #expect(sized?.status == 200 && sized?.body == "hi")
        let chunked = parse("HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
        #expect(chunked?.status == 503 && chunked?.body == "abcde")
        #expect(parse("HTTP/1.1 200 OK\r\n\r\nall of it", isComplete: true)?.body == "all of it")
    }

    @Test(
        "incomplete or something else",
        arguments: [
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "-ERR unknown command\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ]
    )
    func incomplete(text: String) { #expect(parse(text) == nil) }
}
