// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// What each side of a peer connection says about itself before anything else.
package struct Hello: Equatable, Sendable {
    /// Peer protocol versions that the sender speaks, both inclusive.
    package var minVersion: UInt16
    package var maxVersion: UInt16
    /// Sixteen random bytes, chosen when the cluster was made.
    package var clusterID: [UInt8]
    package var node: NodeID
    package var nodeName: String
    /// Rises each time the node's data directory is opened.
    package var incarnation: UInt64
    /// Drawn at that opening: tells two copies of one directory apart.
    package var life: UInt64
    /// `Agreement.hash`; 0 in the question of a node that does not know its cluster yet.
    package var agreement: UInt64
    /// Where clients reach the node, `host:port`; empty when it serves none.
    package var clientAddress: String
    package var httpAddress: String
    package var shardCount: UInt32

    package init(
        minVersion: UInt16 = HandshakePolicy.minVersion,
        maxVersion: UInt16 = HandshakePolicy.maxVersion,
        clusterID: [UInt8],
        nodeName: String,
        incarnation: UInt64,
        life: UInt64,
        agreement: UInt64,
        clientAddress: String,
        httpAddress: String,
        shardCount: UInt32
    ) {
        self.minVersion = minVersion
        self.maxVersion = maxVersion
        self.clusterID = clusterID
        self.node = NodeID(name: nodeName)
        self.nodeName = nodeName
        self.incarnation = incarnation
        self.life = life
        self.agreement = agreement
        self.clientAddress = clientAddress
        self.httpAddress = httpAddress
        self.shardCount = shardCount
    }
}

/// Why a peer is turned away. The text goes into both sides' logs.
package enum HandshakeRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// The refusing side's cluster id: a node that has none yet (sixteen zero bytes) joins by it.
    case wrongCluster(own: [UInt8])
    /// The versions that the refusing side speaks.
    case wrongVersion(min: UInt16, max: UInt16)
    /// Not in the refusing side's list of nodes.
    case unknownNode(name: String)
    /// The peer calls itself what the refusing side is called.
    case sameNode(name: String)
    /// The refusing side's number of shards.
    case shardCountDiffers(UInt32)
    /// Other members, copies or quotas.
    case agreementDiffers
    /// The incarnation in which the refusing side last met the node.
    case staleData(lastMet: UInt64)

    package var description: String {
        switch self {
        case .wrongCluster: "it belongs to another cluster: check the peer list and the data directory"
        case .wrongVersion(let min, let max): "no common protocol version; it speaks \(min) to \(max)"
        case .unknownNode(let name): "node \(name) is not in its list of peers"
        case .sameNode(let name): "both nodes are called \(name): give each its own name"
        case .shardCountDiffers(let count): "it has \(count) shards: all nodes need the same number"
        case .agreementDiffers:
            "it has other members, copies or quotas: --peers, --replicas, --max-sessions, --max-locks and "
                + "--max-waiters must be the same on all nodes"
        case .staleData(let last):
            "it has met this node with newer data (start number \(last)): put that data directory back. If it is lost "
                + "for good, start this node once with --accept-data-loss: what only it and a node that is down now "
                + "had confirmed is gone then"
        }
    }
}

package enum HelloReply: Equatable, Sendable {
    /// The version to speak from here on, and the accepting side's own hello.
    case accepted(version: UInt16, Hello)
    case refused(HandshakeRefusal)
}

/// Handshake frames: the codec. Who is let in is `HandshakePolicy`'s.
package enum Handshake {
    /// A hello is small; a stranger must not make a node allocate more than this before it is known.
    package static let maxFrameBytes = 4096

    static let magic: [UInt8] = Array("SYNC".utf8)
    package static let clusterIDBytes = 16
    /// The cluster id of a node that belongs to no cluster yet.
    package static let noCluster = [UInt8](repeating: 0, count: clusterIDBytes)
    static let maxNameBytes = 255

    package static func encode(_ hello: Hello, into writer: inout ByteWriter) throws(WireError) {
        let start = PeerFrame.begin(.hello, into: &writer)
        hello.encode(into: &writer)
        try PeerFrame.finish(.hello, start, into: &writer, maxFrameBytes: maxFrameBytes)
    }

    package static func encode(_ reply: HelloReply, into writer: inout ByteWriter) throws(WireError) {
        let start = PeerFrame.begin(.helloReply, into: &writer)
        writer.raw(magic)
        switch reply {
        case .accepted(let version, let hello):
            writer.u8(0)
            writer.u16(version)
            hello.encode(into: &writer)
        case .refused(let refusal):
            refusal.encode(into: &writer)
        }
        try PeerFrame.finish(.helloReply, start, into: &writer, maxFrameBytes: maxFrameBytes)
    }

    package static func decodeHello(_ header: FrameHeader, body: [UInt8]) throws(WireError) -> Hello {
        guard header.type == .hello else { throw .unexpectedFrame(header.type) }
        try PeerFrame.check(header, body: body)
        do throws(DecodingError) {
            var reader = ByteReader(body)
            let hello = try Hello(decoding: &reader)
            // Bytes after it are fields that a newer version added; the version negotiated is one that both know.
            return hello
        } catch {
            throw .malformed(error)
        }
    }

    package static func decodeReply(_ header: FrameHeader, body: [UInt8]) throws(WireError) -> HelloReply {
        guard header.type == .helloReply else { throw .unexpectedFrame(header.type) }
        try PeerFrame.check(header, body: body)
        do throws(DecodingError) {
            var reader = ByteReader(body)
            guard try reader.raw(magic.count) == magic else { throw DecodingError.invalidValue(what: "magic") }
            let tag = try reader.u8()
            guard tag == 0 else { return .refused(try HandshakeRefusal(tag: tag, decoding: &reader)) }
            let version = try reader.u16()
            return .accepted(version: version, try Hello(decoding: &reader))
        } catch {
            throw .malformed(error)
        }
    }
}

extension Hello {
    fileprivate func encode(into writer: inout ByteWriter) {
        invariant(clusterID.count == Handshake.clusterIDBytes, "a cluster id has sixteen bytes")
        writer.raw(Handshake.magic)
        writer.u16(minVersion)
        writer.u16(maxVersion)
        writer.raw(clusterID)
        writer.nodeID(node)
        writer.text(nodeName)
        writer.u64(incarnation)
        writer.u64(life)
        writer.u64(agreement)
        writer.text(clientAddress)
        writer.text(httpAddress)
        writer.u32(shardCount)
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodingError) {
        guard try reader.raw(Handshake.magic.count) == Handshake.magic else { throw .invalidValue(what: "magic") }
        let minVersion = try reader.u16()
        let maxVersion = try reader.u16()
        guard minVersion <= maxVersion else { throw .invalidValue(what: "versions") }
        let clusterID = try reader.raw(Handshake.clusterIDBytes)
        let node = try reader.nodeID()
        let name = try reader.text(limit: Handshake.maxNameBytes, "node name")
        guard !name.isEmpty, node == NodeID(name: name) else { throw .invalidValue(what: "node id") }
        let incarnation = try reader.u64()
        let life = try reader.u64()
        let agreement = try reader.u64()
        let clientAddress = try reader.text(limit: Handshake.maxNameBytes, "client address")
        let httpAddress = try reader.text(limit: Handshake.maxNameBytes, "http address")
        self.init(
            minVersion: minVersion,
            maxVersion: maxVersion,
            clusterID: clusterID,
            nodeName: name,
            incarnation: incarnation,
            life: life,
            agreement: agreement,
            clientAddress: clientAddress,
            httpAddress: httpAddress,
            shardCount: try reader.u32()
        )
    }
}

extension HandshakeRefusal {
    fileprivate func encode(into writer: inout ByteWriter) {
        switch self {
        case .wrongCluster(let own):
            writer.u8(1)
            writer.raw(own)
        case .wrongVersion(let min, let max):
            writer.u8(2)
            writer.u16(min)
            writer.u16(max)
        case .unknownNode(let name):
            writer.u8(3)
            writer.text(name)
        case .sameNode(let name):
            writer.u8(4)
            writer.text(name)
        case .shardCountDiffers(let count):
            writer.u8(5)
            writer.u32(count)
        case .agreementDiffers: writer.u8(6)
        case .staleData(let last):
            writer.u8(7)
            writer.u64(last)
        }
    }

    fileprivate init(tag: UInt8, decoding reader: inout ByteReader) throws(DecodingError) {
        switch tag {
        case 1: self = .wrongCluster(own: try reader.raw(Handshake.clusterIDBytes))
        case 2: self = .wrongVersion(min: try reader.u16(), max: try reader.u16())
        case 3: self = .unknownNode(name: try reader.text(limit: Handshake.maxNameBytes, "node name"))
        case 4: self = .sameNode(name: try reader.text(limit: Handshake.maxNameBytes, "node name"))
        case 5: self = .shardCountDiffers(try reader.u32())
        case 6: self = .agreementDiffers
        case 7: self = .staleData(lastMet: try reader.u64())
        default: throw .unknownTag(what: "refusal", value: UInt64(tag))
        }
    }
}
