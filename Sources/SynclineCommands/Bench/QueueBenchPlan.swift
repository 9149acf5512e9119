// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

enum QueueBenchScenario: String, ExpressibleByArgument, CaseIterable, Sendable {
    case publish
    case both
    case drain
    case latency
    case backlog
    case suite
}

/// One measurement: a queue of its own, and what works on it.
struct QueueBenchCell: Sendable, Equatable {
    var scenario: QueueBenchScenario
    var producers = 0
    var consumers = 0
    /// Publishes under way at the same time on one connection.
    var pipeline = 1
    /// Bytes of a body.
    var size = 100
    /// Messages of one receive, which are acknowledged in one command.
    var count = 32
    /// Publishes per second of all producers together; nil: as fast as they are confirmed.
    var rate: Int?
    var lanes = 1
    /// A consumer asks for more in the same breath in which it acknowledges.
    var prefetch = false
    var seconds = 10
    var warmup = 1
    /// Messages that are put into the queue first (drain), or beside which publishing is measured (backlog).
    var backlog = 0

    /// Messages of one publish while the queue is filled, bounded by what a command may have in bytes.
    var fillCount: Int { max(1, min(100, 1_048_576 / size)) }

    /// How the report calls it.
    var name: String {
        let bytes = size % 1_024 == 0 ? "\(size / 1_024) KiB" : "\(size) B"
        let lanes = lanes == 1 ? "" : ", \(lanes) lanes"
        switch scenario {
        case .publish:
            let depth = pipeline == 1 ? "" : " × \(pipeline) in flight"
            return "publish, \(producers)\(depth), \(bytes)\(lanes)"
        case .both: return "publish \(producers) + consume \(consumers), \(bytes)\(lanes)"
        case .drain: return "drain of \(backlog), \(consumers) consumers by \(count), \(bytes)\(lanes)"
        case .latency: return "publish + consume at \(rate ?? 0)/s, \(bytes)\(lanes)"
        case .backlog: return "publish beside \(backlog) messages, \(producers) producers, \(bytes)\(lanes)"
        case .suite: return "suite"
        }
    }

    /// What `scenario` measures unless the command line says otherwise.
    static func standard(_ scenario: QueueBenchScenario) -> QueueBenchCell {
        var cell = QueueBenchCell(scenario: scenario)
        switch scenario {
        case .publish, .suite: cell.producers = 64
        case .both:
            cell.producers = 64
            cell.consumers = 64
        case .drain:
            cell.consumers = 64
            cell.backlog = 100_000
        case .latency:
            cell.producers = 1
            cell.consumers = 1
            cell.rate = 200
        case .backlog:
            cell.producers = 64
            cell.backlog = 1_000_000
        }
        return cell
    }

    /// The measurements of the suite, with the seconds, lanes, count and prefetch of `base`.
    static func suite(_ base: QueueBenchCell) -> [QueueBenchCell] {
        func cell(
            _ scenario: QueueBenchScenario,
            _ change: (inout QueueBenchCell) -> Void = { _ in }
        ) -> QueueBenchCell {
            var cell = standard(scenario)
            (cell.seconds, cell.warmup, cell.lanes) = (base.seconds, base.warmup, base.lanes)
            (cell.count, cell.prefetch) = (base.count, base.prefetch)
            change(&cell)
            return cell
        }
        var cells: [QueueBenchCell] = []
        for size in [100, 1_024] {
            for producers in [1, 16, 64, 256] {
                cells.append(
                    cell(.publish) {
                        $0.producers = producers
                        $0.size = size
                    }
                )
            }
        }
        cells.append(
            cell(.publish) {
                $0.producers = 16
                $0.pipeline = 32
            }
        )
        return cells + [cell(.both), cell(.drain), cell(.latency)]
    }
}
