// SPDX-License-Identifier: Apache-2.0
import Foundation
import Primitives
import Telemetry
import Testing

@Suite("Metrics")
struct MetricsTests {
    @Test("the exposition is the format 0.0.4, byte for byte")
    func exposition() {
        let registry = MetricsRegistry()
        let requests = registry.counters(
            "syncline_requests_total",
            help: "Back\\slash and\nline.",
            label: "code",
            values: ["OK"]
        )
        requests["OK"].increment(by: 3)
        requests["never heard of"].increment()
        registry.gauge("syncline_open", help: "Open.", labels: [MetricLabel("name", "a\"b\\c\nd")]).set(-2)
        let histogram = registry.histogram(
            "syncline_batch",
            help: "Batch.",
            buckets: HistogramBuckets(smallest: 1, count: 3, divisor: 1)
        )
        for value: UInt64 in [0, 1, 2, 3, 4, 1000] { histogram.observe(value) }
        histogram.observe(5, count: 1)
        histogram.observe(7, count: 0)
        registry.pullGauge("syncline_load", help: "Load.") { 0.5 }
        registry.pullGauge("syncline_absent", help: "Nothing to say.") { nil }
        #expect(
            registry.prometheusText() == #"""
                # HELP syncline_requests_total Back\\slash and\nline.
                # TYPE syncline_requests_total counter
                syncline_requests_total{code="OK"} 3
                syncline_requests_total{code="other"} 1
                # HELP syncline_open Open.
                # TYPE syncline_open gauge
                syncline_open{name="a\"b\\c\nd"} -2
                # HELP syncline_batch Batch.
                # TYPE syncline_batch histogram
                syncline_batch_bucket{le="1"} 2
                syncline_batch_bucket{le="2"} 3
                syncline_batch_bucket{le="4"} 5
                syncline_batch_bucket{le="+Inf"} 7
                syncline_batch_sum 1015
                syncline_batch_count 7
                # HELP syncline_load Load.
                # TYPE syncline_load gauge
                syncline_load 0.5
                # HELP syncline_absent Nothing to say.
                # TYPE syncline_absent gauge

                """#
        )
        #expect(PrometheusLint.problems(in: registry.prometheusText()) == [])
    }

    @Test("a value on a bucket's bound belongs to it, the next one does not")
    func bucketBounds() {
        for buckets in [HistogramBuckets.seconds, .sizes] {
            for index in 0..<buckets.count {
                #expect(buckets.index(of: buckets.bound(index)) == index)
                #expect(buckets.index(of: buckets.bound(index) + 1) == index + 1)
            }
            #expect(buckets.index(of: 0) == 0)
            #expect(buckets.index(of: .max) == buckets.count)
        }
    }

    @Test("the server's own metrics keep the naming rules")
    func ownMetrics() {
        let metrics = SynclineMetrics()
        metrics.wal.sync.observe(.milliseconds(3))
        metrics.gateway.requestTime.observe(.microseconds(1))
        metrics.transport.dropped["not_connected"].increment()
        let text = metrics.registry.prometheusText()
        #expect(PrometheusLint.problems(in: text) == [])
        #expect(text.contains("syncline_build_info{version=\"0.1.0\"} 1\n"))
        #expect(text.contains("syncline_wal_fsync_seconds_bucket{le=\"0.0032\"} 1\n"))
        #expect(text.contains("syncline_wal_fsync_seconds_sum 0.003\n"))
    }

    @Test(
        "the lint finds each fault",
        arguments: [
            ("# HELP syncline_a A.\n# TYPE syncline_a counter\nsyncline_a 1\n", "_total"),
            ("# HELP syncline_a_total A.\n# TYPE syncline_a_total gauge\nsyncline_a_total 1\n", "_total"),
            ("# HELP a A.\n# TYPE a gauge\na 1\n", "prefix"),
            ("# TYPE syncline_a gauge\nsyncline_a 1\n", "without HELP"),
            ("syncline_a 1\n", "without its TYPE"),
            ("# HELP syncline_a_ms A.\n# TYPE syncline_a_ms gauge\nsyncline_a_ms 1\n", "base unit"),
            ("# HELP syncline_a A.\n# TYPE syncline_a gauge\nsyncline_a 1\nsyncline_a 1\n", "series twice"),
            ("# HELP syncline_a A.\n# TYPE syncline_a gauge\nsyncline_a{x=\"\\q\"} 1\n", "bad sample"),
            ("# HELP syncline_a A.\n# TYPE syncline_a gauge\nsyncline_a{x=\"1\",} 1\n", "bad sample"),
            ("# HELP syncline_a A.\n# TYPE syncline_a gauge\nsyncline_a one\n", "bad sample"),
            ("# HELP syncline_a A.\n# TYPE syncline_a gauge\nsyncline_a 1", "does not end"),
            (
                "# HELP syncline_a A.\n# TYPE syncline_a histogram\nsyncline_a_bucket{le=\"1\"} 2\n"
                    + "syncline_a_bucket{le=\"+Inf\"} 1\nsyncline_a_sum 1\nsyncline_a_count 1\n", "not cumulative"
            ),
            (
                "# HELP syncline_a A.\n# TYPE syncline_a histogram\nsyncline_a_bucket{le=\"1\"} 2\n"
                    + "syncline_a_sum 1\nsyncline_a_count 2\n", "no +Inf"
            ),
        ]
    )
    func lint(text: String, fault: String) {
        let problems = PrometheusLint.problems(in: text)
        #expect(problems.contains { $0.contains(fault) }, "\(problems)")
    }

    @Test("updates from many threads are all counted")
    func concurrency() {
        let counter = Counter()
        let histogram = Histogram(.sizes)
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for value in 0..<1000 {
                counter.increment()
                histogram.observe(UInt64(value))
            }
        }
        #expect(counter.value == 8000)
        #expect(histogram.count == 8000)
        #expect(histogram.sum == 8 * 999 * 500)
    }

    @Test("the kernel's figures for this process are sensible")
    func process() throws {
        #expect(try #require(ProcessStatistics.residentBytes()) > 1 << 20)
        #expect(try #require(ProcessStatistics.openDescriptors()) >= 3)
        #expect(try #require(ProcessStatistics.cpuSeconds()) > 0)
        let age = Date().timeIntervalSince1970 - (try #require(ProcessStatistics.startTimeSeconds()))
        #expect(age > -2 && age < 86_400)
        #expect(try #require(ProcessStatistics.maximumDescriptors()) >= 16)
    }
}
