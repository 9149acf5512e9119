// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives

/// A thread of its own for work that blocks in system calls; Swift's task threads must not.
struct PosixThread: Sendable {
    private let id: pthread_t

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    init(_ run: @escaping @Sendable () -> Void) {
        var id = pthread_t()
        let body = Unmanaged.passRetained(Body(run))
        let status = pthread_create(
            &id,
            nil,
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            },
            body.toOpaque()
        )
        invariant(status == 0, "a thread could not be started: \(FileFailure.text(of: status))")
        self.id = id
    }

    func join() { pthread_join(id, nil) }
}
