// SPDX-License-Identifier: Apache-2.0
import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Errors of a connection in a few words.
enum ConnectError {
    static func text(_ error: any Error) -> String {
        switch error {
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first { return text(first.error) }
            return "no address was found for \(error.host)"
        case ChannelError.connectTimeout: return "no connection in time"
        case NIOSSLError.handshakeFailed(let cause): return "TLS: \(cause)"
        case let error as NIOSSLExtraError: return "TLS: \(error)"
        default: return "\(error)"
        }
    }
}
