// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// Bytes of a peer or a file that break the format: close that connection, or report the file.
package enum WireError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A header announces (or an encoder was given) more than the cap allows. Both in bytes.
    case frameTooLarge(length: UInt64, limit: Int)
    case unknownFrameType(UInt8)
    /// A frame that this state of the connection does not allow.
    case unexpectedFrame(FrameType)
    case checksumMismatch(expected: UInt32, found: UInt32)
    case malformed(DecodingError)
    /// A log segment's header is not one: the text says what is wrong with it.
    case badSegmentHeader(String)
    /// Written by a newer version of the server.
    case newerFormat(what: String, version: UInt32, supported: UInt32)

    package var description: String {
        switch self {
        case .frameTooLarge(let length, let limit): "a frame of \(length) bytes is above the limit of \(limit)"
        case .unknownFrameType(let type): "unknown frame type \(type)"
        case .unexpectedFrame(let type): "unexpected \(type) frame"
        case .checksumMismatch(let expected, let found):
            "checksum is \(String(found, radix: 16)) where \(String(expected, radix: 16)) was announced"
        case .malformed(let error): "malformed: \(error)"
        case .badSegmentHeader(let reason): "bad segment header: \(reason)"
        case .newerFormat(let what, let version, let supported):
            "\(what) has format version \(version); this server reads up to \(supported)"
        }
    }
}
