// SPDX-License-Identifier: Apache-2.0
import HTTPTypes
import Hummingbird
import HummingbirdCore
import LockCore
import NIOCore
import Primitives

/// `GET /v1/events`: server-sent events (`lock`, `session`, `leadership`, `membership`, `cache`) until the client goes
/// away.
/// A client too slow to take them is disconnected rather than left with a gap.
struct EventStream: Sendable {
    let services: HTTPServices
    let namespace: Name
    let names: [Name]
    /// Held while the stream is open.
    let place: LongRequests.Place
    let signal: DisconnectSignal?
    /// Closes the connection. A client that does not read keeps the stream where it writes, so ending the stream would
    /// not be noticed there.
    let disconnect: @Sendable () -> Void
    /// How many events may wait for a client that does not take them.
    var bound = 4_096

    private static let pollSeconds = 1

    func response() -> Response {
        var headers = HTTPFields()
        headers[.contentType] = "text/event-stream"
        headers[.cacheControl] = "no-store"
        let stream = self
        return Response(
            status: .ok,
            headers: headers,
            body: ResponseBody { writer in
                try await stream.run { try await writer.write($0) }
                try await writer.finish(nil)
            }
        )
    }

    /// Writes until the client goes away or falls behind. `write` returns when the client has room for more.
    func run(_ write: (ByteBuffer) async throws -> Void) async throws {
        let (chunks, source) = AsyncStream<String>.makeStream(bufferingPolicy: .bufferingOldest(bound))
        let registration = signal?.register { source.finish() }
        defer { if let registration { signal?.unregister(registration) } }
        // Sent at once, so that a client sees the stream is open before anything happens.
        try await write(ByteBuffer(string: ": syncline events\n\n"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await event in services.requests.events(namespace: namespace, names: names) {
                    let text = EventText(event)
                    send(Self.frame(text.kind, JSONViews.event(text)), to: source)
                }
                // Unless nobody wants them any more, they end because too many were not taken in time.
                if !Task.isCancelled { disconnect() }
                source.finish()
            }
            group.addTask {
                try await watchCluster(source)
            }
            for await chunk in chunks { try await write(ByteBuffer(string: chunk)) }
            group.cancelAll()
        }
    }

    private func send(_ chunk: String, to source: AsyncStream<String>.Continuation) {
        guard case .dropped = source.yield(chunk) else { return }
        source.finish()
        disconnect()
    }

    private static func frame(_ event: String, _ data: JSONValue) -> String {
        "event: \(event)\ndata: \(data.text)\n\n"
    }

    /// Compares the node's status once a second: leadership, membership and the cache have no events of their own.
    private func watchCluster(_ source: AsyncStream<String>.Continuation) async throws {
        let beats = max(1, Int(services.configuration.heartbeat.nanoseconds / 1_000_000_000))
        var last = await services.administration.status()
        var cache = await services.requests.cacheStatistics().map { CacheWatch($0) }
        var turn = 0
        while !Task.isCancelled {
            do { try await Task.sleep(for: .seconds(Self.pollSeconds)) } catch { return }
            turn += 1
            if turn.isMultiple(of: beats) { send(": alive\n\n", to: source) }
            let status = await services.administration.status()
            for chunk in Self.changes(from: last, to: status) { send(chunk, to: source) }
            last = status
            guard cache != nil, let statistics = await services.requests.cacheStatistics() else { continue }
            for event in cache?.changes(statistics) ?? [] { send(Self.frame("cache", event), to: source) }
        }
    }

    static func changes(from old: NodeStatus, to new: NodeStatus) -> [String] {
        var chunks: [String] = []
        for shard in new.shards where old.shards.first(where: { $0.shard == shard.shard })?.leader != shard.leader {
            chunks.append(
                frame(
                    "leadership",
                    .object(
                        ("shard", .number(UInt64(shard.shard.rawValue))),
                        ("leader", .optional(shard.leader)),
                        ("term", .number(shard.term))
                    )
                )
            )
        }
        for member in new.members {
            let before = old.members.first { $0.name == member.name }
            guard before?.isConnected != member.isConnected else { continue }
            chunks.append(frame("membership", JSONViews.member(member)))
        }
        return chunks
    }
}
