// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What the kernel says about this process (proc(5)); nil where `/proc` is not there.
package enum ProcessStatistics {
    /// Memory held in RAM, in bytes.
    package static func residentBytes() -> Int? {
        guard let text = readFile("/proc/self/statm") else { return nil }
        let fields = text.split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        return pages.multipliedReportingOverflow(by: Int(sysconf(Int32(_SC_PAGESIZE)))).partialValue
    }

    /// Open file descriptors, the one used for counting left out.
    package static func openDescriptors() -> Int? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0
        while let entry = readdir(directory) {
            if entry.pointee.d_name.0 != CChar(bitPattern: UInt8(ascii: ".")) { count += 1 }
        }
        return count - 1
    }

    /// The most descriptors that this process may open.
    package static func maximumDescriptors() -> Int? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return Int(clamping: limit.rlim_cur)
    }

    /// User and system time used, in seconds.
    package static func cpuSeconds() -> Double? {
        var usage = rusage()
        guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return nil }
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// When the process started, in seconds since 1970.
    package static func startTimeSeconds() -> Double? {
        guard let stat = readFile("/proc/self/stat"), let system = readFile("/proc/stat"),
            // The command name, in parentheses, may hold spaces; the fields after it are counted from 3.
            let parenthesis = stat.lastIndex(of: ")"),
            let boot = system.split(separator: "\n").first(where: { $0.hasPrefix("btime ") }),
            let bootTime = Double(boot.dropFirst(6))
        else { return nil }
        let fields = stat[stat.index(after: parenthesis)...].split(separator: " ")
        guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
        return bootTime + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    static func register(in registry: MetricsRegistry) {
        registry.pullGauge("syncline_process_resident_memory_bytes", help: "Memory held in RAM.") {
            residentBytes().map(Double.init)
        }
        registry.pullGauge("syncline_process_open_fds", help: "Open file descriptors.") {
            openDescriptors().map(Double.init)
        }
        registry.pullGauge("syncline_process_max_fds", help: "Most file descriptors that may be open.") {
            maximumDescriptors().map(Double.init)
        }
        registry.pullCounter("syncline_process_cpu_seconds_total", help: "User and system time used.") { cpuSeconds() }
        let start = startTimeSeconds()
        registry.pullGauge("syncline_process_start_time_seconds", help: "Start of the process, since 1970.") { start }
    }

    /// Files of `/proc` have no size: read until the end, at most 1 MiB.
    private static func readFile(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 8192)
        while bytes.count < 1 << 20 {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
