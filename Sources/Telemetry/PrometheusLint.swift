// SPDX-License-Identifier: Apache-2.0

/// Checks an exposition against the format and against this server's naming rules; for tests.
///
/// Rules: prefix `syncline_`; HELP and TYPE once, before the samples; counters and only they end in `_total`; base
/// units only (seconds, bytes); no series twice; histograms cumulative, with `+Inf` equal to `_count`.
package struct PrometheusLint {
    private var problems: [String] = []
    private var help: [String] = []
    private var types: [String: String] = [:]
    private var seen: Set<String> = []
    private var buckets: [String: [(bound: String, count: Double)]] = [:]
    private var counts: [String: Double] = [:]

    private init() {}

    /// Empty when nothing is wrong; otherwise one sentence for each fault.
    package static func problems(in text: String) -> [String] {
        var lint = PrometheusLint()
        if !text.isEmpty, text.utf8.last != UInt8(ascii: "\n") {
            lint.problems.append("the last line does not end")
        }
        for line in text.split(separator: "\n", omittingEmptySubsequences: true) { lint.check(String(line)) }
        lint.checkHistograms()
        return lint.problems
    }

    private mutating func check(_ line: String) {
        if line.hasPrefix("# HELP ") {
            let words = line.dropFirst(7).split(separator: " ", maxSplits: 1)
            guard words.count == 2 else { return problems.append("HELP without a text: \(line)") }
            if help.contains(String(words[0])) { problems.append("HELP twice: \(words[0])") }
            help.append(String(words[0]))
        } else if line.hasPrefix("# TYPE ") {
            let words = line.dropFirst(7).split(separator: " ").map(String.init)
            guard words.count == 2 else { return problems.append("bad TYPE line: \(line)") }
            checkFamily(words[0], type: words[1])
        } else if !line.hasPrefix("#") {
            checkSample(line)
        }
    }

    private mutating func checkFamily(_ name: String, type: String) {
        if types[name] != nil { problems.append("TYPE twice: \(name)") }
        types[name] = type
        if help.last != name { problems.append("TYPE without HELP before it: \(name)") }
        if !["counter", "gauge", "histogram"].contains(type) { problems.append("unknown type \(type) of \(name)") }
        if !name.hasPrefix("syncline_") { problems.append("name without the prefix syncline_: \(name)") }
        if !Self.isName(name) { problems.append("bad name: \(name)") }
        if (type == "counter") != name.hasSuffix("_total") {
            problems.append("counters, and only they, end in _total: \(name)")
        }
        let banned: Set<Substring> = [
            "ms", "milliseconds", "us", "microseconds", "ns", "nanoseconds", "minutes", "kb", "kib", "mb", "mib",
            "percent", "bits",
        ]
        for word in name.split(separator: "_") where banned.contains(word) {
            problems.append("unit \(word) is not a base unit: \(name)")
        }
    }

    private mutating func checkSample(_ line: String) {
        guard let sample = Sample(line) else { return problems.append("bad sample: \(line)") }
        if !seen.insert(sample.name + sample.labelText).inserted { problems.append("series twice: \(line)") }
        let suffix = ["_bucket", "_sum", "_count"].first {
            sample.name.hasSuffix($0) && types[String(sample.name.dropLast($0.count))] == "histogram"
        }
        guard let suffix else {
            guard let type = types[sample.name], type != "histogram" else {
                return problems.append("sample without its TYPE: \(line)")
            }
            if type == "counter", sample.value < 0 { problems.append("counter below zero: \(line)") }
            return
        }
        let others = sample.labels.filter { $0.name != "le" }.map { "\($0.name)=\($0.value)" }
        let series = "\(sample.name.dropLast(suffix.count)){\(others.joined(separator: ","))}"
        if suffix == "_bucket" {
            guard let bound = sample.labels.first(where: { $0.name == "le" }) else {
                return problems.append("bucket without le: \(line)")
            }
            buckets[series, default: []].append((bound.value, sample.value))
        } else if suffix == "_count" {
            counts[series] = sample.value
        }
    }

    private mutating func checkHistograms() {
        for (series, buckets) in buckets.sorted(by: { $0.key < $1.key }) {
            if buckets.last?.bound != "+Inf" { problems.append("no +Inf bucket: \(series)") }
            if buckets.last?.count != counts[series] { problems.append("_count differs from +Inf: \(series)") }
            for (low, high) in zip(buckets, buckets.dropFirst()) {
                if low.count > high.count { problems.append("buckets not cumulative: \(series)") }
                if let left = Double(low.bound), let right = Double(high.bound), left >= right {
                    problems.append("bounds do not rise: \(series)")
                }
            }
        }
    }

    static func isName(_ name: some StringProtocol) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return name.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
            default: false
            }
        }
    }
}

extension PrometheusLint {
    /// One line `name{label="value",…} number`.
    struct Sample {
        var name: String
        var labels: [MetricLabel] = []
        var labelText = ""
        var value: Double

        init?(_ line: String) {
            guard let space = line.lastIndex(of: " ") else { return nil }
            let number = String(line[line.index(after: space)...])
            switch number {
            case "+Inf": value = .infinity
            case "-Inf": value = -.infinity
            case "NaN": value = .nan
            default:
                guard let parsed = Double(number) else { return nil }
                value = parsed
            }
            let series = line[..<space]
            guard let brace = series.firstIndex(of: "{") else {
                name = String(series)
                if !PrometheusLint.isName(name) { return nil }
                return
            }
            name = String(series[..<brace])
            labelText = String(series[brace...])
            guard PrometheusLint.isName(name), let labels = Self.labels(labelText) else { return nil }
            self.labels = labels
        }

        private static func labels(_ text: String) -> [MetricLabel]? {
            guard text.hasPrefix("{"), text.hasSuffix("}") else { return nil }
            var rest = text.dropFirst().dropLast()
            var labels: [MetricLabel] = []
            while !rest.isEmpty {
                guard let equals = rest.firstIndex(of: "="), PrometheusLint.isName(rest[..<equals]) else { return nil }
                let name = String(rest[..<equals])
                rest = rest[rest.index(after: equals)...]
                guard rest.first == "\"", let value = quoted(&rest) else { return nil }
                labels.append(MetricLabel(name, value))
                if rest.isEmpty { break }
                guard rest.removeFirst() == ",", !rest.isEmpty else { return nil }
            }
            return labels
        }

        /// Takes a quoted value off the front and undoes its escapes.
        private static func quoted(_ rest: inout Substring) -> String? {
            rest.removeFirst()
            var value = ""
            while let character = rest.popFirst() {
                switch character {
                case "\"": return value
                case "\\":
                    switch rest.popFirst() {
                    case "n": value += "\n"
                    case "\\": value += "\\"
                    case "\"": value += "\""
                    default: return nil
                    }
                default: value.append(character)
                }
            }
            return nil
        }
    }
}
