// SPDX-License-Identifier: Apache-2.0
package import Logging

package enum LogFormat: String, Sendable, CaseIterable {
    /// One JSON object a line.
    case json
    /// For people.
    case text
}

/// Sends swift-log's events to standard output. Once per process, before the first logger is made.
package func bootstrapLogging(format: LogFormat, level: Logger.Level, node: String) {
    LoggingSystem.bootstrap(
        { label, provider in
            LineLogHandler(
                label: label,
                node: node,
                format: format,
                level: level,
                sink: .standardOutput,
                metadataProvider: provider
            )
        },
        metadataProvider: nil
    )
}

/// Writes each event as one line, in either format.
///
/// The constant keys come first, then the metadata sorted by name. Metadata of the event wins over the logger's own,
/// and that over the provider's.
package struct LineLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let node: String
    private let format: LogFormat
    private let sink: LogSink

    package init(
        label: String,
        node: String,
        format: LogFormat,
        level: Logger.Level,
        sink: LogSink,
        metadataProvider: Logger.MetadataProvider? = nil
    ) {
        self.label = label
        self.node = node
        self.format = format
        self.logLevel = level
        self.sink = sink
        self.metadataProvider = metadataProvider
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var fields = metadataProvider?.get() ?? [:]
        fields.merge(metadata) { _, own in own }
        if let given = event.metadata { fields.merge(given) { _, given in given } }
        if let error = event.error, fields[LogKeys.error] == nil { fields[LogKeys.error] = "\(error)" }
        // Two equal keys in one object mean different things to different readers.
        for key in LogKeys.reserved {
            if let value = fields.removeValue(forKey: key) { fields[key + "_"] = value }
        }
        let sorted = fields.sorted { $0.key < $1.key }
        let message = event.message.description
        switch format {
        case .json: sink.write(jsonLine(event.level, message, sorted))
        case .text: sink.write(textLine(event.level, message, sorted))
        }
    }

    private typealias Fields = [(key: String, value: Logger.MetadataValue)]

    private func jsonLine(_ level: Logger.Level, _ message: String, _ fields: Fields) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(256)
        func append(_ key: String, first: Bool = false, _ value: String) {
            line.append(UInt8(ascii: first ? "{" : ","))
            LogText.appendJSON(key, to: &line)
            line.append(UInt8(ascii: ":"))
            LogText.appendJSON(value, to: &line)
        }
        append(LogKeys.time, first: true, LogText.timestampNow())
        append(LogKeys.level, level.rawValue)
        append(LogKeys.message, message)
        append(LogKeys.logger, label)
        append(LogKeys.node, node)
        for (key, value) in fields {
            line.append(UInt8(ascii: ","))
            LogText.appendJSON(key, to: &line)
            line.append(UInt8(ascii: ":"))
            Self.appendJSON(value, to: &line)
        }
        line.append(contentsOf: "}\n".utf8)
        return line
    }

    private static func appendJSON(_ value: Logger.MetadataValue, to line: inout [UInt8]) {
        switch value {
        case .string(let text): LogText.appendJSON(text, to: &line)
        case .stringConvertible(let convertible): LogText.appendJSON(convertible.description, to: &line)
        case .array(let values):
            line.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { line.append(UInt8(ascii: ",")) }
                appendJSON(value, to: &line)
            }
            line.append(UInt8(ascii: "]"))
        case .dictionary(let values):
            line.append(UInt8(ascii: "{"))
            for (index, pair) in values.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { line.append(UInt8(ascii: ",")) }
                LogText.appendJSON(pair.key, to: &line)
                line.append(UInt8(ascii: ":"))
                appendJSON(pair.value, to: &line)
            }
            line.append(UInt8(ascii: "}"))
        }
    }

    private func textLine(_ level: Logger.Level, _ message: String, _ fields: Fields) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(256)
        line.append(contentsOf: "\(LogText.timestampNow()) \(level.rawValue) ".utf8)
        LogText.appendValue(node, to: &line)
        line.append(contentsOf: " \(label): ".utf8)
        LogText.appendEscaped(message, to: &line)
        for (key, value) in fields {
            line.append(UInt8(ascii: " "))
            LogText.appendValue(key, to: &line)
            line.append(UInt8(ascii: "="))
            LogText.appendValue(value.description, to: &line)
        }
        line.append(UInt8(ascii: "\n"))
        return line
    }
}
