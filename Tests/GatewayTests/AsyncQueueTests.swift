// SPDX-License-Identifier: Apache-2.0
import Gateway
import LockCore
import NIOCore
import Primitives
import QueueCore
import Replica
import Testing

@Suite("Queue operations as async calls")
struct AsyncQueueTests {
    @Test("an operation is carried out on the port's loop, by one service for all calls")
    func perform() async throws {
        let ports = try await LoopPorts { request in
            guard case .queue(.publish(let publish)) = request else { return nil }
            let lanes: UInt64 = 2
            guard publish.lanes == lanes else { return .queue(QueueAnswer(.refused(.lanes(lanes)))) }
            return .queue(QueueAnswer(.published([Published(id: MessageID(rawValue: 4_096))])))
        }
        let requests = AsyncRequests(loops: [ports.loop], port: ports.provider)
        let publish = QueueOperation.publish(Publish(queue: "q", messages: [PublishMessage(body: [1])]))
        for _ in 0..<2 {
            let result = await requests.perform(publish)
            #expect(result.ids.map(\.id) == [MessageID(rawValue: 4_096)])
        }
        // The number of lanes was learned once.
        #expect(try await ports.with { $0.submitted.count } == 3)
    }

    @Test("a receive whose caller has gone is cancelled", arguments: [false, true])
    func cancel(bySignal: Bool) async throws {
        let ports = try await LoopPorts()
        let requests = AsyncRequests(loops: [ports.loop], port: ports.provider)
        let signal = DisconnectSignal()
        let operation = QueueOperation.receive(Receive(queue: "q", waitMilliseconds: 60_000))
        let task = Task { await requests.perform(operation, until: signal) }
        try await ports.until { $0.submitted.count == 1 }
        if bySignal { signal.fire() } else { task.cancel() }
        #expect(await task.value.refusal == .cancelled)
        #expect(try await ports.with { $0.cancelled.count } == 1)
    }
}
