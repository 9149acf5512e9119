// SPDX-License-Identifier: Apache-2.0
import Histogram
import NIOCore

/// What all connections of one phase count, on the one event loop that they share.
final class QueueBenchTally {
    /// Latencies in nanoseconds, up to a minute.
    struct Latencies {
        /// From when a publish was due to its confirmation.
        var publish = BenchTally.histogram()
        /// From when a publish was due until a consumer has the message.
        var handOver = BenchTally.histogram()
        /// From a receive that brought messages to their acknowledgement.
        var cycle = BenchTally.histogram()
    }

    let queue: String
    var ledger: QueueBenchLedger
    var latencies = Latencies()
    /// Confirmed and acknowledged while `isRecording`.
    var published = 0
    var consumed = 0
    var errors = 0
    var firstError: String?
    var isRecording = false
    var isStopping = false
    var active = 0
    /// Connections that wait for the start.
    private var links: [QueueBenchLink] = []
    /// When the last acknowledgement was confirmed.
    var lastConsumed = NIODeadline.uptimeNanoseconds(0)

    init(queue: String, ledger: QueueBenchLedger = QueueBenchLedger()) {
        self.queue = queue
        self.ledger = ledger
    }

    func add(_ link: QueueBenchLink) {
        active += 1
        links.append(link)
    }

    /// All connections stand: their workers begin together.
    func begin() {
        for link in links { link.begin() }
        links = []
    }

    func note(error: String) {
        errors += 1
        firstError = firstError ?? error
    }
}
