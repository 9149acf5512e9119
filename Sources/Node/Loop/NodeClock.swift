// SPDX-License-Identifier: Apache-2.0
import Glibc
package import Primitives

/// The one clock of the data path: monotonic, and going on while the machine sleeps (CLOCK_BOOTTIME), so that a lease
/// cannot outlive a suspend. Wall-clock changes do not touch it.
package enum NodeClock {
    package static func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }
}
