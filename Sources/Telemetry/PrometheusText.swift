// SPDX-License-Identifier: Apache-2.0

/// Writes families in Prometheus text exposition format 0.0.4.
struct PrometheusText {
    private(set) var output = ""

    mutating func append(_ family: MetricsRegistry.Family) {
        let name = family.name
        output += "# HELP \(name) \(Self.escapedHelp(family.help))\n# TYPE \(name) \(family.kind.rawValue)\n"
        for series in family.series {
            switch series.source {
            case .counter(let counter): sample(name, series.labels, String(counter.value))
            case .gauge(let gauge): sample(name, series.labels, String(gauge.value))
            case .pull(let read):
                if let value = read() { sample(name, series.labels, Self.number(value)) }
            case .histogram(let histogram): append(histogram, name, series.labels)
            }
        }
    }

    private mutating func append(_ histogram: Histogram, _ name: String, _ labels: [MetricLabel]) {
        let buckets = histogram.buckets
        // Read once, and count and buckets both derived from it: `_count` always equals the last bucket.
        let perBucket = histogram.perBucket
        var running: UInt64 = 0
        for (index, count) in perBucket.enumerated() {
            running &+= count
            let bound =
                index < buckets.count ? Self.number(Double(buckets.bound(index)) / buckets.divisor) : "+Inf"
            sample(name + "_bucket", labels + [MetricLabel("le", bound)], String(running))
        }
        sample(name + "_sum", labels, Self.number(histogram.sum))
        sample(name + "_count", labels, String(running))
    }

    private mutating func sample(_ name: String, _ labels: [MetricLabel], _ value: String) {
        output += name
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.name)=\"\(Self.escapedLabel($0.value))\"" }
            output += "{" + pairs.joined(separator: ",") + "}"
        }
        output += " \(value)\n"
    }

    /// As Go's ParseFloat reads it; whole numbers without a fraction.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return "\(value)"
    }

    static func escapedHelp(_ text: String) -> String { escaped(text, quotes: false) }

    static func escapedLabel(_ text: String) -> String { escaped(text, quotes: true) }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
