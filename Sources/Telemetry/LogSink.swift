// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// Writes whole lines to one file descriptor, one at a time, each at once: a line that was logged before a crash is
/// there after it. Logging never fails; a line that cannot be written is lost.
package final class LogSink: Sendable {
    /// Guards the order of lines; holds the descriptor.
    private let descriptor: Mutex<Int32>

    /// The descriptor stays the caller's.
    package init(descriptor: Int32) { self.descriptor = Mutex(descriptor) }

    package static let standardOutput = LogSink(descriptor: STDOUT_FILENO)

    /// `line` ends with a newline.
    package func write(_ line: [UInt8]) {
        descriptor.withLock { descriptor in
            line.withUnsafeBytes { bytes in
                var offset = 0
                while offset < bytes.count {
                    let written = Glibc.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
                    if written > 0 {
                        offset += written
                    } else if written < 0 && errno == EINTR {
                        continue
                    } else if written < 0 && errno == EAGAIN {
                        // Standard output may have been made non-blocking by whoever shares it. A second at most:
                        // a reader that has stopped must not stop the server for good.
                        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                        if Glibc.poll(&poll, 1, 1000) <= 0 { return }
                    } else {
                        return
                    }
                }
            }
        }
    }
}
