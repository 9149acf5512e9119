// SPDX-License-Identifier: Apache-2.0
package import LockCore
package import NIOCore
package import Primitives
package import Replica
import Synchronization

/// The request ports of a node's event loops as async calls, for the front ends that are written so.
package struct AsyncRequests: Sendable {
    private let loops: [any EventLoop]
    private let port: @Sendable (any EventLoop) -> any RequestPort
    let cache: @Sendable (any EventLoop) -> (any CachePort)?
    let timeout: Interval
    private let turn = Turn()
    private let queues = QueueServices()

    private final class Turn: Sendable {
        let value = Atomic<Int>(0)
    }

    /// `port` and `cache` give a loop's ports and are called on that loop; `loops` must not be empty. Without a cache,
    /// what is asked of it is refused.
    package init(
        loops: [any EventLoop],
        timeout: Interval = .milliseconds(5_000),
        cache: @escaping @Sendable (any EventLoop) -> (any CachePort)? = { _ in nil },
        port: @escaping @Sendable (any EventLoop) -> any RequestPort
    ) {
        invariant(!loops.isEmpty, "AsyncRequests needs an event loop")
        self.loops = loops
        self.timeout = timeout
        self.cache = cache
        self.port = port
    }

    func nextLoop() -> any EventLoop {
        let number = turn.value.wrappingAdd(1, ordering: .relaxed).oldValue
        return loops[Int(number.magnitude % UInt(loops.count))]
    }

    /// Submits on one of the loops and waits for the answer. When the task is cancelled or `signal` fires, a wait
    /// leaves the waiting line; the answer (`cancelled`, or what came before) is still returned.
    package func submit(_ request: Request, until signal: DisconnectSignal? = nil) async -> Response {
        let loop = nextLoop()
        let call = Call()
        let port = port
        let timeout = timeout
        let cancel: @Sendable () -> Void = {
            loop.execute {
                let handle = call.state.withLock { state -> RequestHandle? in
                    state.isCancelled = true
                    return state.handle
                }
                if let handle { port(loop).cancel(handle) }
            }
        }
        let registration = signal?.register(cancel)
        defer { if let registration { signal?.unregister(registration) } }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.execute {
                    let port = port(loop)
                    let handle = port.submit(request, timeout: timeout) { continuation.resume(returning: $0) }
                    let isCancelled = call.state.withLock { state in
                        state.handle = handle
                        return state.isCancelled
                    }
                    if isCancelled { port.cancel(handle) }
                }
            }
        } onCancel: {
            cancel()
        }
    }

    private final class Call: Sendable {
        struct State: Sendable {
            var handle: RequestHandle?
            var isCancelled = false
        }

        let state = Mutex(State())
    }

    /// The same for a queue operation. A receive whose caller has gone leaves its lines and gives back what arrives.
    package func perform(_ operation: QueueOperation, until signal: DisconnectSignal? = nil) async -> QueueResult {
        let loop = nextLoop()
        let call = PendingQueueCall()
        let (port, queues, timeout) = (port, queues, timeout)
        let cancel: @Sendable () -> Void = {
            loop.execute {
                let pending = call.state.withLock { state -> NIOLoopBound<QueueCall>? in
                    state.isCancelled = true
                    return state.call
                }
                if let pending { queues.service(port(loop)).cancel(pending.value) }
            }
        }
        let registration = signal?.register(cancel)
        defer { if let registration { signal?.unregister(registration) } }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.execute {
                    let service = queues.service(port(loop))
                    let made = service.perform(operation, timeout: timeout) { continuation.resume(returning: $0) }
                    guard made.isCancellable else { return }
                    let bound = NIOLoopBound(made, eventLoop: loop)
                    let isCancelled = call.state.withLock { state in
                        state.call = bound
                        return state.isCancelled
                    }
                    if isCancelled { service.cancel(made) }
                }
            }
        } onCancel: {
            cancel()
        }
    }

    private final class PendingQueueCall: Sendable {
        struct State: Sendable {
            var call: NIOLoopBound<QueueCall>?
            var isCancelled = false
        }

        let state = Mutex(State())
    }

    /// Events of the namespace until the stream is no longer read. At most `bound` wait for a slow reader; the
    /// stream ends when there would be more, since a gap must not pass unseen.
    package func events(namespace: Name, names: [Name], bound: Int = 4_096) -> AsyncStream<LockEvent> {
        let loop = nextLoop()
        let port = port
        return AsyncStream(bufferingPolicy: .bufferingOldest(bound)) { continuation in
            let watch = Watching()
            continuation.onTermination = { _ in
                loop.execute {
                    let handle = watch.state.withLock { state in
                        state.hasEnded = true
                        return state.handle
                    }
                    if let handle { port(loop).unwatch(handle) }
                }
            }
            loop.execute {
                guard !watch.state.withLock({ $0.hasEnded }) else { return }
                let handle = port(loop).watch(namespace: namespace, names: names) { event in
                    if case .dropped = continuation.yield(event) { continuation.finish() }
                }
                watch.state.withLock { $0.handle = handle }
            }
        }
    }

    private final class Watching: Sendable {
        struct State: Sendable {
            var handle: WatchHandle?
            var hasEnded = false
        }

        let state = Mutex(State())
    }
}

/// Tells those who work for a client that it has gone, or that the server is stopping. Safe from any thread.
package final class DisconnectSignal: Sendable {
    private struct State: Sendable {
        var isFired = false
        var nextNumber: UInt64 = 0
        var callbacks: [(number: UInt64, call: @Sendable () -> Void)] = []
    }

    private let state = Mutex(State())

    package init() {}

    package var isFired: Bool { state.withLock { $0.isFired } }

    /// Calls `call` once when the signal fires, at once if it has.
    package func register(_ call: @escaping @Sendable () -> Void) -> UInt64 {
        let (number, isFired) = state.withLock { state in
            state.nextNumber += 1
            if !state.isFired { state.callbacks.append((state.nextNumber, call)) }
            return (state.nextNumber, state.isFired)
        }
        if isFired { call() }
        return number
    }

    package func unregister(_ number: UInt64) {
        state.withLock { $0.callbacks.removeAll { $0.number == number } }
    }

    package func fire() {
        let callbacks = state.withLock { state in
            state.isFired = true
            let callbacks = state.callbacks
            state.callbacks = []
            return callbacks
        }
        for callback in callbacks { callback.call() }
    }
}
