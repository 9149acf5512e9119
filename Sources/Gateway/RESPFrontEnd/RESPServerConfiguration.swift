// SPDX-License-Identifier: Apache-2.0
package import NIOCore
package import Primitives
package import RESP

/// The settings and bounds of the RESP front end.
package struct RESPServerConfiguration: Sendable {
    package var host: String
    /// 0 lets the system choose.
    package var port: Int
    package var limits: RESPLimits
    /// Commands of one connection that may be unanswered before its input is left unread.
    package var pipelineDepth: Int
    /// Bytes a client may leave unread, beyond what the socket holds, before it is cut off.
    package var outboundBytes: Int
    /// Connections at once; one more is told so and closed.
    package var maximumClients: Int
    /// A connection that asks nothing, waits for nothing and watches nothing is closed after this; nil for never.
    package var idleTimeout: TimeAmount?
    /// A client that does not take what is sent is cut off after this.
    package var writeTimeout: TimeAmount
    /// A command must arrive whole within this.
    package var frameTimeout: TimeAmount
    /// How long a request may take beyond the waiting it asked for.
    package var requestTimeout: Interval
    /// The time to live of sessions that do not name one, in milliseconds.
    package var sessionTTL: UInt64
    /// Keys that all connections together may have tracked (`CLIENT TRACKING`); one of them may have a quarter.
    package var trackedKeys: Int
    package var backlog: Int32

    /// More than the largest message or value, so that one too large is refused by its name and the connection goes on;
    /// and several of the largest.
    package static let limits = RESPLimits(bulkBytes: 9 << 20, commandBytes: 32 << 20, arguments: 65_536)

    package init(
        host: String = "127.0.0.1",
        port: Int = 7700,
        limits: RESPLimits = RESPServerConfiguration.limits,
        pipelineDepth: Int = 1_024,
        outboundBytes: Int = 8 << 20,
        maximumClients: Int = 10_000,
        idleTimeout: TimeAmount? = .seconds(300),
        writeTimeout: TimeAmount = .seconds(30),
        frameTimeout: TimeAmount = .seconds(30),
        requestTimeout: Interval = .milliseconds(5_000),
        sessionTTL: UInt64 = RequestLimits.defaultTTL,
        trackedKeys: Int = 1_000_000,
        backlog: Int32 = 1_024
    ) {
        self.host = host
        self.port = port
        self.limits = limits
        self.pipelineDepth = pipelineDepth
        self.outboundBytes = outboundBytes
        self.maximumClients = maximumClients
        self.idleTimeout = idleTimeout
        self.writeTimeout = writeTimeout
        self.frameTimeout = frameTimeout
        self.requestTimeout = requestTimeout
        self.sessionTTL = sessionTTL
        self.trackedKeys = trackedKeys
        self.backlog = backlog
    }
}

/// What a server says about itself to clients that ask.
package struct ServerIdentity: Sendable {
    package var nodeName: String
    /// Syncline's version.
    package var version: String
    /// The Redis version whose protocol and command set a client may expect.
    package static let redisVersion = "7.4.0"

    package init(nodeName: String, version: String) {
        self.nodeName = nodeName
        self.version = version
    }
}
