// SPDX-License-Identifier: Apache-2.0
import LockCore
import NIOCore
import Primitives
import RESP

extension RESPConnectionHandler {
    /// One watched name.
    struct Watch {
        var namespace: Name
        var name: Name
        var handle: WatchHandle
    }

    /// Namespace and names of `LOCK.WATCH` and `LOCK.UNWATCH`. `NAMESPACE ns` counts only in front of a name.
    private func watchArguments(_ arguments: RESPArguments, needsName: Bool) throws(BadRequest) -> (Name, [Name]) {
        var start = 1
        var namespace = Name.defaultNamespace
        if arguments.count >= (needsName ? 4 : 3), Argument.equals(arguments[1], "NAMESPACE") {
            namespace = try RequestBuilder.namespace(Argument.text(arguments[2], .namespace))
            start = 3
        }
        var names: [Name] = []
        for index in start..<arguments.count {
            names.append(try RequestBuilder.name(Argument.text(arguments[index], .name)))
        }
        return (namespace, names)
    }

    func watch(_ arguments: RESPArguments) throws(BadRequest) {
        guard writer.version == .three else {
            return writeError("ERR LOCK.WATCH pushes messages, which needs RESP3; say HELLO 3 first")
        }
        let (namespace, names) = try watchArguments(arguments, needsName: true)
        let new = names.filter { name in !watches.contains { $0.namespace == namespace && $0.name == name } }
        guard watches.count + new.count <= RequestLimits.watches else {
            return writeError("LIMIT a connection may watch \(RequestLimits.watches) names; unwatch some first")
        }
        for name in new where !watches.contains(where: { $0.namespace == namespace && $0.name == name }) {
            let handle = port.watch(namespace: namespace, names: [name]) { event in self.push(event) }
            watches.append(Watch(namespace: namespace, name: name, handle: handle))
        }
        writer.integer(watches.count)
    }

    func unwatch(_ arguments: RESPArguments) throws(BadRequest) {
        let (namespace, names) = try watchArguments(arguments, needsName: false)
        let all = arguments.count == 1
        watches.removeAll { watch in
            guard all || (watch.namespace == namespace && (names.isEmpty || names.contains(watch.name))) else {
                return false
            }
            port.unwatch(watch.handle)
            return true
        }
        writer.integer(watches.count)
    }

    func unwatchAll() {
        for watch in watches { port.unwatch(watch.handle) }
        watches = []
    }

    private func push(_ event: LockEvent) {
        guard entry != nil, !isClosing else { return }
        ResponseEncoder.push(event, into: &writer)
        if writer.buffer.readableBytes - solicitedBytes > services.configuration.outboundBytes {
            cutOff("reads pushed events too slowly")
        } else {
            schedulePushFlush()
        }
    }

    /// Events come in bursts: one flush at the end of the loop's turn carries them all.
    func schedulePushFlush() {
        guard !isReading, !isFlushScheduled, let context else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolated().execute {
            self.isFlushScheduled = false
            self.flush()
        }
    }
}
