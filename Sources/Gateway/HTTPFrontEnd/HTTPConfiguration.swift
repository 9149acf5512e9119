// SPDX-License-Identifier: Apache-2.0
package import NIOCore

/// The settings and bounds of the HTTP front end.
package struct HTTPConfiguration: Sendable {
    package var host: String
    /// 0 lets the system choose.
    package var port: Int
    /// Bytes of a request's body.
    package var bodyBytes: Int
    /// The same where the body is a list of receipts: as many as one command may name.
    package var receiptsBodyBytes: Int
    /// The same where the body is a message or many: the largest publish with all its bodies in base 64.
    package var messagesBodyBytes: Int
    /// Bytes of such bodies above the ordinary size, over all connections.
    package var largeBodyBytes: Int
    /// Bytes of all header fields together, and of one.
    package var headerBytes: Int
    package var headerCount: Int
    package var maximumConnections: Int
    /// Requests that wait and event streams, together: they keep their connections for long, and health checks and
    /// short requests are to find one all the same.
    package var maximumLongRequests: Int { max(1, maximumConnections / 2) }
    /// A connection is closed when this long after its opening or its last answer no whole request head has come.
    package var idleTimeout: TimeAmount
    /// A request must arrive whole within this of its first line.
    package var requestTimeout: TimeAmount
    /// A connection is closed when its client has taken so little for this long that answers pile up.
    package var writeTimeout: TimeAmount
    /// How often event streams say that they live.
    package var heartbeat: TimeAmount
    /// The time to live of sessions that do not name one, in milliseconds.
    package var sessionTTL: UInt64

    package init(
        host: String = "127.0.0.1",
        port: Int = 7701,
        bodyBytes: Int = 64 << 10,
        receiptsBodyBytes: Int = 256 << 10,
        messagesBodyBytes: Int = 12 << 20,
        largeBodyBytes: Int = 128 << 20,
        headerBytes: Int = 16 << 10,
        headerCount: Int = 100,
        maximumConnections: Int = 2_000,
        idleTimeout: TimeAmount = .seconds(75),
        requestTimeout: TimeAmount = .seconds(30),
        writeTimeout: TimeAmount = .seconds(30),
        heartbeat: TimeAmount = .seconds(15),
        sessionTTL: UInt64 = RequestLimits.defaultTTL
    ) {
        self.host = host
        self.port = port
        self.bodyBytes = bodyBytes
        self.receiptsBodyBytes = receiptsBodyBytes
        self.messagesBodyBytes = messagesBodyBytes
        self.largeBodyBytes = largeBodyBytes
        self.headerBytes = headerBytes
        self.headerCount = headerCount
        self.maximumConnections = maximumConnections
        self.idleTimeout = idleTimeout
        self.requestTimeout = requestTimeout
        self.writeTimeout = writeTimeout
        self.heartbeat = heartbeat
        self.sessionTTL = sessionTTL
    }
}
