// SPDX-License-Identifier: Apache-2.0
import Foundation
import Logging
import Telemetry
import Testing

@Suite("Log lines")
struct LogTests {
    /// What one logger wrote, one string for each line.
    private func lines(
        _ format: LogFormat,
        _ level: Logger.Level = .trace,
        _ body: (Logger) -> Void
    ) throws -> [String] {
        let pipe = Pipe()
        let sink = LogSink(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        let logger = Logger(label: "syncline.test") {
            LineLogHandler(label: $0, node: "node-0", format: format, level: level, sink: sink)
        }
        body(logger)
        try pipe.fileHandleForWriting.close()
        let text = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        #expect(text.isEmpty || text.hasSuffix("\n"))
        return text.split(separator: "\n").map(String.init)
    }

    private func object(_ line: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test("a JSON line is one object with the constant keys first")
    func json() throws {
        let lines = try lines(.json) { logger in
            logger.warning("link lost", metadata: ["peer": "node-1", "count": "\(3)", "path": ["a", ["b": "c"]]])
        }
        let line = try #require(lines.first)
        #expect(lines.count == 1)
        let keys = ["ts", "level", "msg", "logger", "node", "count", "path", "peer"]
        let positions = try keys.map { try #require(line.range(of: "\"\($0)\":")).lowerBound }
        #expect(positions == positions.sorted())
        let object = try object(line)
        #expect(object["level"] as? String == "warning")
        #expect(object["msg"] as? String == "link lost")
        #expect(object["logger"] as? String == "syncline.test")
        #expect(object["node"] as? String == "node-0")
        let path = try #require(object["path"] as? [Any])
        #expect(path[0] as? String == "a" && (path[1] as? [String: String]) == ["b": "c"])
        let time = try #require(object["ts"] as? String)
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        let date = try #require(formatter.date(from: time), "\(time)")
        #expect(abs(date.timeIntervalSinceNow) < 60)
    }

    @Test("nothing that a client sends can break a line or forge a key")
    func escaping() throws {
        var nasty = "quote \" backslash \\ newline \n return \r tab \t é 漢 🔒 \u{2028} "
        for code in 0..<0x20 { nasty.unicodeScalars.append(Unicode.Scalar(UInt8(code))) }
        nasty.unicodeScalars.append("\u{7f}")
        let lines = try lines(.json) { logger in
            logger.info("\(nasty)", metadata: ["k\"\n": "\(nasty)", "ts": "forged", "level": "forged"])
        }
        #expect(lines.count == 1)
        let object = try object(try #require(lines.first))
        #expect(object["msg"] as? String == nasty)
        #expect(object["k\"\n"] as? String == nasty)
        #expect(object["level"] as? String == "info")
        #expect(object["level_"] as? String == "forged")
        #expect(object["ts_"] as? String == "forged")
        let text = try self.lines(.text) { $0.info("a\nb", metadata: ["k": "c d", "e": "f=g", "h": "i", "j": ""]) }
        #expect(text.count == 1)
        #expect(text[0].hasSuffix(#" info node-0 syncline.test: a\nb e="f=g" h=i j="" k="c d""#), "\(text[0])")
    }

    @Test("metadata of the event wins over the logger's; an error is a field; levels filter")
    func precedence() throws {
        struct Failure: Error {}
        let lines = try lines(.json, .info) { logger in
            var logger = logger
            logger[metadataKey: "shard"] = "1"
            logger[metadataKey: "term"] = "7"
            logger.debug("not written")
            logger.error("failed", error: Failure(), metadata: ["shard": "2"])
        }
        #expect(lines.count == 1)
        let object = try object(try #require(lines.first))
        #expect(object["shard"] as? String == "2")
        #expect(object["term"] as? String == "7")
        #expect(object["error"] as? String == "Failure()")
    }

    @Test("lines of many threads do not mix")
    func concurrency() throws {
        let long = String(repeating: "x", count: 1000)
        let path = NSTemporaryDirectory() + "syncline-log-\(UUID().uuidString)"
        #expect(FileManager.default.createFile(atPath: path, contents: nil))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = try #require(FileHandle(forWritingAtPath: path))
        let sink = LogSink(descriptor: file.fileDescriptor)
        DispatchQueue.concurrentPerform(iterations: 8) { worker in
            let logger = Logger(label: "w\(worker)") {
                LineLogHandler(label: $0, node: "n", format: .json, level: .info, sink: sink)
            }
            for _ in 0..<50 { logger.info("\(long)") }
        }
        try file.close()
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
        #expect(lines.count == 400)
        for line in lines { _ = try object(line) }
    }
}
