// SPDX-License-Identifier: Apache-2.0
import Logging
import NIOCore
import RESP
import Synchronization

extension RESPConnectionHandler {
    /// True while the client must be made to wait: too much is unanswered or unread.
    var isPushingBack: Bool {
        if queue.count >= services.configuration.pipelineDepth { return true }
        if writer.buffer.readableBytes > services.configuration.outboundBytes { return true }
        return context.map { !$0.channel.isWritable } ?? false
    }

    /// Goes on where pushing back had stopped.
    func resume() {
        guard !isClosing, !isPushingBack else { return }
        if parser.bufferedBytes > 0 {
            takeCommands()
            notePartialFrame()
        }
        if isReadWithheld, !isPushingBack {
            isReadWithheld = false
            context?.read()
        }
    }

    /// Remembers since when a command has been half received. Not while input is left unread: then it is our doing.
    func notePartialFrame() {
        if parser.bufferedBytes == 0 || isPushingBack {
            partialSince = nil
        } else if partialSince == nil {
            partialSince = lastActivity
        }
        entry?.description.withLock {
            $0.lastActivity = lastActivity
            $0.watches = watches.count + subscriptions.count
            $0.lastCommand = lastCommand
        }
    }

    func startTimer(_ context: ChannelHandlerContext) {
        let configuration = services.configuration
        let shortest = min(
            configuration.writeTimeout,
            configuration.frameTimeout,
            configuration.idleTimeout ?? .hours(1)
        )
        let period = TimeAmount.nanoseconds(max(1_000_000, min(5_000_000_000, shortest.nanoseconds / 4)))
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: period) {
            self.checkTimeouts()
            if self.entry != nil, let context = self.context { self.startTimer(context) }
        }
    }

    private func checkTimeouts() {
        guard let context, entry != nil else { return }
        let now = context.eventLoop.now
        let configuration = services.configuration
        if let unwritableSince, now - unwritableSince >= configuration.writeTimeout {
            return cutOff("took no output for \(configuration.writeTimeout.nanoseconds / 1_000_000) ms")
        }
        if let partialSince, now - partialSince >= configuration.frameTimeout {
            self.partialSince = nil
            return close(afterError: "ERR Protocol error: the command did not arrive whole in time")
        }
        let isWatching = !watches.isEmpty || !subscriptions.isEmpty || tracking != nil || isListening
        let isIdle = queue.isEmpty && !isWatching
        if let idle = configuration.idleTimeout, isIdle, now - lastActivity >= idle {
            cutOff("idle for \(idle.nanoseconds / 1_000_000) ms")
        }
    }

    /// Closes without another word.
    func cutOff(_ reason: String) {
        services.logger.info(
            "closing a client connection",
            metadata: ["client": "\(entry?.address ?? "?")", "reason": "\(reason)"]
        )
        context?.close(promise: nil)
    }
}
