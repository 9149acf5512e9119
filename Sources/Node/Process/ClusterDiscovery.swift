// SPDX-License-Identifier: Apache-2.0
import Logging
import NIOCore
import NIOPosix
import Primitives
import Wire

/// How a node with an empty data directory learns the cluster id of a cluster with a fixed start.
///
/// The first node by name makes the id up when it starts for the first time; the others ask any peer, by saying hello
/// without an id and reading the right one from the refusal. So the id is random, one node decides it, and a peer of
/// another cluster that listens on a reused address is found out at every later handshake.
struct ClusterDiscovery {
    let hello: Hello
    let map: ClusterMap
    let group: any EventLoopGroup
    let log: Logger

    /// True for the node that makes the id up.
    static func decides(_ node: NodeID, in map: ClusterMap) -> Bool { map.members.first?.id == node }

    /// Asks all peers in turn until one knows; ends only by cancellation.
    func ask() async throws -> [UInt8] {
        var rounds = 0
        while true {
            for member in map.members where member.id != hello.node {
                if let id = try? await ask(member) { return id }
            }
            if rounds % 20 == 0 {
                log.notice(
                    "waiting for the cluster's first node to start",
                    metadata: [
                        "node": "\(map.members[0].name)",
                        "address": "\(HostPort.text(map.members[0].host, map.members[0].port))",
                    ]
                )
            }
            rounds += 1
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func ask(_ member: ClusterMap.Member) async throws -> [UInt8]? {
        var writer = ByteWriter()
        try Handshake.encode(hello, into: &writer)
        let bytes = writer.bytes
        let answer = group.next().makePromise(of: [UInt8]?.self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: group)
                .connectTimeout(.milliseconds(500))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(HelloAsker(answer))
                    }
                }
                .connect(host: member.host, port: member.port).get()
        } catch {
            answer.succeed(nil)
            throw error
        }
        channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
        let id = try await answer.futureResult.get()
        channel.close(promise: nil)
        return id
    }
}

/// Reads one reply frame and keeps the cluster id it tells.
private final class HelloAsker: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let answer: EventLoopPromise<[UInt8]?>
    private var received: [UInt8] = []

    init(_ answer: EventLoopPromise<[UInt8]?>) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.append(contentsOf: unwrapInboundIn(data).readableBytesView)
        do {
            let header = try PeerFrame.header(received, maxFrameBytes: Handshake.maxFrameBytes)
            guard let header, received.count >= FrameHeader.byteCount + header.bodyBytes else { return }
            let body = Array(received[FrameHeader.byteCount..<(FrameHeader.byteCount + header.bodyBytes)])
            switch try Handshake.decodeReply(header, body: body) {
            case .accepted(_, let hello): finish(hello.clusterID)
            case .refused(.wrongCluster(let id)): finish(id == Handshake.noCluster ? nil : id)
            case .refused: finish(nil)
            }
        } catch {
            finish(nil)
        }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { finish(nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func finish(_ id: [UInt8]?) { answer.succeed(id) }
}
