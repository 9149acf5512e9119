// SPDX-License-Identifier: Apache-2.0
import Primitives
import Synchronization

/// The name and value of one label, such as `direction="in"`.
package struct MetricLabel: Hashable, Sendable {
    package let name: String
    package let value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// All metrics of one process, and their text form for Prometheus.
///
/// Metrics are registered once at start; updating one takes no lock. A family (one name) may have several series that
/// differ in their labels; a wrong or doubled registration is our own bug and ends the process.
package final class MetricsRegistry: Sendable {
    enum Kind: String, Sendable {
        case counter, gauge, histogram
    }

    enum Source: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
        case pull(@Sendable () -> Double?)
    }

    struct Series: Sendable {
        var labels: [MetricLabel]
        var source: Source
    }

    struct Family: Sendable {
        let name: String
        let help: String
        let kind: Kind
        var series: [Series]
    }

    private let families = Mutex<[Family]>([])

    package init() {}

    package func counter(_ name: String, help: String, labels: [MetricLabel] = []) -> Counter {
        let counter = Counter()
        register(name, help, .counter, labels, .counter(counter))
        return counter
    }

    /// One series for each value of `label`, and one for `other`.
    package func counters(_ name: String, help: String, label: String, values: [String]) -> LabelledCounters {
        let counters = LabelledCounters(values: values)
        for value in counters.values {
            register(name, help, .counter, [MetricLabel(label, value)], .counter(counters[value]))
        }
        return counters
    }

    package func gauge(_ name: String, help: String, labels: [MetricLabel] = []) -> Gauge {
        let gauge = Gauge()
        register(name, help, .gauge, labels, .gauge(gauge))
        return gauge
    }

    package func histogram(
        _ name: String,
        help: String,
        buckets: HistogramBuckets = .seconds,
        labels: [MetricLabel] = []
    ) -> Histogram {
        let histogram = Histogram(buckets)
        register(name, help, .histogram, labels, .histogram(histogram))
        return histogram
    }

    /// A gauge that is read when it is scraped, on the scraper's thread; nil leaves the series out.
    package func pullGauge(
        _ name: String,
        help: String,
        labels: [MetricLabel] = [],
        read: @escaping @Sendable () -> Double?
    ) { register(name, help, .gauge, labels, .pull(read)) }

    /// A counter kept elsewhere, read when it is scraped; it must never fall.
    package func pullCounter(
        _ name: String,
        help: String,
        labels: [MetricLabel] = [],
        read: @escaping @Sendable () -> Double?
    ) { register(name, help, .counter, labels, .pull(read)) }

    private func register(_ name: String, _ help: String, _ kind: Kind, _ labels: [MetricLabel], _ source: Source) {
        families.withLock { families in
            let series = Series(labels: labels, source: source)
            guard let index = families.firstIndex(where: { $0.name == name }) else {
                families.append(Family(name: name, help: help, kind: kind, series: [series]))
                return
            }
            invariant(families[index].kind == kind, "metric \(name) registered with two types")
            invariant(
                !families[index].series.contains { $0.labels == labels },
                "metric \(name) registered twice: \(labels)"
            )
            families[index].series.append(series)
        }
    }

    /// Text exposition format 0.0.4 (`text/plain; version=0.0.4; charset=utf-8`).
    package func prometheusText() -> String {
        // Copied first: pull closures run outside the lock and may themselves take locks.
        let families = families.withLock { $0 }
        var text = PrometheusText()
        for family in families { text.append(family) }
        return text.output
    }

    /// The media type of `prometheusText()`.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"
}
