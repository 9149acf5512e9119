// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum ChildEvent: Sendable, Equatable {
    case exited(Int32)
    case signalled(Int32)
    /// By terminal or signal; it can go on.
    case stopped
}

struct SpawnError: Error {
    let command: String
    let code: Int32

    var message: String { "cannot run \(command): \(String(cString: strerror(code)))" }

    /// As shells have it.
    var status: ExitStatus { code == ENOENT ? .commandNotFound : .cannotExecute }
}

/// A child process at the head of a process group of its own, so that a signal reaches everything it has started.
final class ChildProcess: Sendable {
    struct Launch {
        var arguments: [String]
        var environment: [String: String]
        /// Standard output and error go to the end of this file; nil: both, and input too, are inherited.
        var logPath: String?
        /// Read by the child as its standard input, from the beginning to the end; nil: as `logPath` has it.
        var input: [UInt8]?
    }

    let pid: pid_t
    /// Ends after it has exited.
    let events: AsyncStream<ChildEvent>
    private let hasExited = Mutex(false)

    /// Finds the command as a shell does, by PATH when it has no slash.
    init(_ launch: Launch) throws(SpawnError) {
        pid = try Self.spawn(launch)
        let (stream, continuation) = AsyncStream.makeStream(of: ChildEvent.self)
        events = stream
        let queue = DispatchQueue(label: "child \(pid)")
        queue.async { [self] in watch(continuation) }
    }

    var isOver: Bool { hasExited.withLock { $0 } }

    /// To the whole group; nothing once the child has exited, as its number may be another's by then.
    func signalGroup(_ number: Int32) {
        hasExited.withLock { exited in
            if !exited { kill(-pid, number) }
        }
    }

    private func watch(_ continuation: AsyncStream<ChildEvent>.Continuation) {
        var status: Int32 = 0
        while true {
            // The child stays a zombie until the lock is held, so that no signal can go to a reused number.
            var info = siginfo_t()
            guard waitid(P_PID, id_t(pid), &info, WEXITED | WSTOPPED | WNOWAIT) == 0 || errno == EINTR else { break }
            let event: ChildEvent? = hasExited.withLock { exited in
                guard waitpid(pid, &status, WUNTRACED | WNOHANG) == pid else { return nil }
                let event = Self.event(status)
                exited = event != .stopped
                return event
            }
            guard let event else { continue }
            continuation.yield(event)
            if event != .stopped { break }
        }
        continuation.finish()
    }

    private static func event(_ status: Int32) -> ChildEvent {
        if status & 0x7f == 0 { return .exited((status >> 8) & 0xff) }
        if status & 0xff == 0x7f { return .stopped }
        return .signalled(status & 0x7f)
    }

    private static func spawn(_ launch: Launch) throws(SpawnError) -> pid_t {
        let command = launch.arguments.first ?? ""
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        // What this process ignores, the child would ignore too.
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
        )

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let input = try launch.input.map { bytes throws(SpawnError) in try Self.file(holding: bytes, for: command) }
        defer { if let input { close(input) } }
        if let path = launch.logPath {
            posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
            posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
            posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        }
        if let input { posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO) }
        InheritedDescriptors.closeOthers(&actions)

        var arguments = launch.arguments.map { strdup($0) }
        arguments.append(nil)
        var environment = launch.environment.map { strdup("\($0.key)=\($0.value)") }
        environment.append(nil)
        defer { for text in arguments + environment { free(text) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, command, &actions, &attributes, &arguments, &environment)
        guard code == 0 else { throw SpawnError(command: command, code: code) }
        return pid
    }

    /// A file without a name, read from its beginning. Unlike a pipe it needs nobody to write on while a child reads
    /// slowly or not at all.
    private static func file(holding bytes: [UInt8], for command: String) throws(SpawnError) -> Int32 {
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(folder)/syncline-input-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw SpawnError(command: command, code: errno) }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        unlink(template)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let code = errno
                close(descriptor)
                throw SpawnError(command: command, code: code)
            }
            rest = rest.dropFirst(count)
        }
        lseek(descriptor, 0, SEEK_SET)
        return descriptor
    }
}

/// The descriptors this process was started with: the only ones its children are to have. Sockets are not closed on
/// exec by themselves, and a child that holds one keeps its connection open.
enum InheritedDescriptors {
    private static let initial: [Int32] = open()

    /// To be called before anything else opens a file.
    static func remember() { _ = initial }

    /// Closes by number whatever may be open, since a connection may be opened while the child is being started.
    /// Closing a number that is not open is no error to `posix_spawn` below the limit of open files.
    static func closeOthers(_ actions: inout posix_spawn_file_actions_t) {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let end = Int32(clamping: min(limit.rlim_cur, 1024))
        for descriptor in (STDERR_FILENO + 1)..<max(end, STDERR_FILENO + 1) where !initial.contains(descriptor) {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
    }

    private static func open() -> [Int32] {
        guard let folder = opendir("/proc/self/fd") else { return [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] }
        defer { closedir(folder) }
        let own = dirfd(folder)
        var found: [Int32] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let number = Int32(name), number != own { found.append(number) }
        }
        return found.sorted()
    }
}
