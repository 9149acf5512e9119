// SPDX-License-Identifier: Apache-2.0
package import Gateway
package import LockCore
import NIOCore
package import Primitives
import QueueCore
import RaftCore
package import Replica

/// The front ends' door.
extension ShardLoop: RequestPort {
    @discardableResult
    package func submit(
        _ request: Request,
        to shard: ShardID?,
        timeout: Interval?,
        completion: @escaping (Response) -> Void
    ) -> RequestHandle {
        loop.preconditionInEventLoop()
        let token = callers.insert(completion)
        let handle = RequestHandle(token)
        let route = router.submit(
            request,
            to: shard,
            caller: CallerToken(token),
            timeout: timeout,
            now: NodeClock.now(),
            into: &routerEffects
        )
        if let route, request.mayWait {
            let isQueue = if case .queue = request { true } else { false }
            routes[handle] = WaitRoute(shard: route.0, request: route.1, isQueue: isQueue)
        }
        scheduleTurn()
        return handle
    }

    package func cancel(_ handle: RequestHandle) {
        loop.preconditionInEventLoop()
        guard let route = routes[handle] else { return }
        let token = callers.insert { _ in }
        router.submit(
            route.isQueue ? .queue(.cancelWait(route.request)) : .command(.cancel(route.request)),
            to: route.shard,
            caller: CallerToken(token),
            timeout: nil,
            now: NodeClock.now(),
            into: &routerEffects
        )
        scheduleTurn()
    }

    package var shardCount: Int { router.shardCount }

    package func watch(namespace: Name, names: [Name], sink: @escaping (LockEvent) -> Void) -> WatchHandle {
        loop.preconditionInEventLoop()
        return watches.add(namespace: namespace, names: names, shard: router.shard(for: namespace), sink: sink, self)
    }

    package func unwatch(_ handle: WatchHandle) {
        loop.preconditionInEventLoop()
        watches.remove(handle, self)
    }

    /// A sink may add or remove watches, so it is called from a copy of the table.
    func tellWatchers(_ events: [LockEvent], of shard: ShardID) {
        let table = watches
        table.deliver(events, of: shard)
    }

    /// Carries out what the router wants. Completions may submit again, so each pass works on what it took.
    func drainRouter() {
        while !routerEffects.send.isEmpty || !routerEffects.completed.isEmpty {
            let effects = routerEffects
            routerEffects = RouterEffects()
            for (node, request) in effects.send { route(request, to: node) }
            for (caller, response) in effects.completed {
                routes[RequestHandle(caller.rawValue)] = nil
                callers.remove(caller.rawValue)?(response)
            }
        }
    }

    private func route(_ request: RoutedRequest, to node: NodeID) {
        guard node == context.node else {
            enqueue(.request(request), to: node)
            return
        }
        let input = ReplicaInput.request(from: context.node, request)
        guard let owner = context.loop(ofShard: request.shard) else {
            // The placement says this node holds the shard, so the router never gets here without it.
            return
        }
        if owner === self { step(request.shard, input) } else { owner.post(.step(request.shard, input)) }
    }
}
