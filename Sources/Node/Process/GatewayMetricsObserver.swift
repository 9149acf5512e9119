// SPDX-License-Identifier: Apache-2.0
import Gateway
import Telemetry

/// Counts what the front ends report.
struct GatewayMetricsObserver: GatewayObserver {
    let metrics: GatewayMetrics

    func connectionOpened(_ frontEnd: FrontEnd) {
        metrics.accepted.increment()
        gauge(frontEnd).add(1)
    }

    func connectionClosed(_ frontEnd: FrontEnd) { gauge(frontEnd).add(-1) }

    func commandFinished(_ family: CommandFamily, frontEnd: FrontEnd, seconds: Double) {
        metrics.commands[family.rawValue].increment()
        metrics.requestTime.observe(UInt64(max(0, seconds) * 1e9))
    }

    func commandsFinished(_ family: CommandFamily, count: Int, frontEnd: FrontEnd, seconds: Double) {
        metrics.commands[family.rawValue].increment(by: count)
        metrics.requestTime.observe(UInt64(max(0, seconds) * 1e9), count: count)
    }

    func errorReplied(_ frontEnd: FrontEnd, code: String) { metrics.errors[code].increment() }

    private func gauge(_ frontEnd: FrontEnd) -> Gauge {
        switch frontEnd {
        case .resp: metrics.respConnections
        case .http: metrics.httpConnections
        }
    }
}
