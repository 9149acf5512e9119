// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A blocking TCP connection on which every operation has a deadline.
final class TCPSocket {
    enum Fault: Error {
        case refused(String)
        case timedOut(String)
        /// The other side closed or reset the connection.
        case closed
    }

    private(set) var descriptor: Int32

    init(host: String, port: Int, within limit: Duration = .seconds(5)) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw Fault.refused("no socket: errno \(errno)") }
        do {
            try connect(host: host, port: port, deadline: Deadline(within: limit))
        } catch {
            Glibc.close(descriptor)
            descriptor = -1
            throw error
        }
    }

    deinit { close() }

    private func connect(host: String, port: Int, deadline: Deadline) throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(truncatingIfNeeded: port)).bigEndian
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { throw Fault.refused("not an address: \(host)") }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result != 0 {
            guard errno == EINPROGRESS else { throw Fault.refused("\(host):\(port): errno \(errno)") }
            try waitFor(Int16(POLLOUT), deadline, "connecting to \(host):\(port)")
            var code: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
            guard code == 0 else { throw Fault.refused("\(host):\(port): errno \(code)") }
        }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }

    private func waitFor(_ events: Int16, _ deadline: Deadline, _ what: String) throws {
        var wanted = pollfd(fd: descriptor, events: events, revents: 0)
        while true {
            let count = poll(&wanted, 1, deadline.remainingMilliseconds)
            if count > 0 { return }
            if count == 0 || deadline.hasPassed { throw Fault.timedOut(what) }
        }
    }

    func send(_ bytes: [UInt8], within limit: Duration = .seconds(5)) throws {
        let deadline = Deadline(within: limit)
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN || errno == EINTR {
                try waitFor(Int16(POLLOUT), deadline, "sending")
            } else {
                throw Fault.closed
            }
        }
    }

    /// Whether `receive` would return at once.
    var isReadable: Bool {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&wanted, 1, 0) > 0
    }

    /// At least one byte, or an empty array at the end of the stream.
    func receive(atMost limit: Int = 65_536, deadline: Deadline) throws -> [UInt8] {
        while true {
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, initialized in
                count = recv(descriptor, buffer.baseAddress, limit, 0)
                initialized = max(0, count)
            }
            if count >= 0 { return bytes }
            guard errno == EAGAIN || errno == EINTR else { throw Fault.closed }
            try waitFor(Int16(POLLIN), deadline, "receiving")
        }
    }

    /// All bytes until the other side closes; a reset counts as a close.
    func receiveToEnd(within limit: Duration = .seconds(5), atMost bound: Int = 1 << 24) throws -> [UInt8] {
        let deadline = Deadline(within: limit)
        var all: [UInt8] = []
        while all.count < bound {
            do {
                let bytes = try receive(deadline: deadline)
                if bytes.isEmpty { return all }
                all += bytes
            } catch Fault.closed { return all }
        }
        return all
    }

    /// True once the other side has closed; bytes that arrive before are thrown away.
    func isClosedByPeer(within limit: Duration) -> Bool {
        (try? receiveToEnd(within: limit)) != nil
    }

    func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }
}

/// Ports nobody listens on, below the range the kernel gives to outgoing connections.
enum FreePorts {
    static func take(_ count: Int) throws -> [Int] {
        var found: [Int] = []
        for _ in 0..<2_000 where found.count < count {
            let port = Int.random(in: 15_000..<32_000)
            if !found.contains(port), isFree(port) { found.append(port) }
        }
        guard found.count == count else { throw TestFailure("no \(count) free ports") }
        return found
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(truncatingIfNeeded: port)).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
