// SPDX-License-Identifier: Apache-2.0
import Gateway
import LockCore
import NIOCore
import NIOPosix
import Replica
import Synchronization

/// One fake port for one event loop, reachable from any thread.
final class LoopPorts: Sendable {
    let loop: any EventLoop
    private let port: NIOLoopBound<FakePort>

    init(answer: @escaping @Sendable (Request) -> Response? = { _ in nil }) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        self.loop = loop
        port = try await loop.submit {
            NIOLoopBound(FakePort(eventLoop: loop, answer: answer), eventLoop: loop)
        }.get()
    }

    /// For the servers; called on `loop`.
    var provider: @Sendable (any EventLoop) -> any RequestPort {
        { _ in self.port.value }
    }

    /// Looks at or acts on the port, on its loop.
    func with<Value: Sendable>(_ body: @escaping @Sendable (FakePort) -> Value) async throws -> Value {
        try await loop.submit { body(self.port.value) }.get()
    }

    /// Waits until the port is as wanted.
    func until(_ condition: @escaping @Sendable (FakePort) -> Bool) async throws {
        let deadline = NIODeadline.now() + .seconds(20)
        while try await !with(condition) {
            guard NIODeadline.now() < deadline else {
                throw RawConnection.TimedOut(received: "the port did not get there")
            }
        }
    }
}
