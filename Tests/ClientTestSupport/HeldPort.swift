// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A port of the loopback that is taken and not listened at: whoever connects is refused, for as long as it is held.
package struct HeldPort: Sendable {
    package struct NotFree: Error {
        package let port: Int
        package let code: Int32
    }

    private let descriptor: Int32

    package init(_ port: Int) throws(NotFree) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(truncatingIfNeeded: port)).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) == 0 }
        }
        guard isBound else { throw NotFree(port: port, code: errno) }
    }

    package func release() { close(descriptor) }
}
