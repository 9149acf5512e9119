// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Makes the wall clock of the processes that are started with its `environment` jump, and leaves their monotonic clock
/// alone, as a jump of the machine's own would: a few lines of C put before libc.
///
/// Debian's libfaketime is not used: it changes the environment at load, after which the Swift runtime no longer finds
/// the command line.
final class WallClock: Sendable {
    private let directory: TemporaryDirectory

    static let compiler = Installation.find("clang") ?? Installation.find("cc")

    init() throws {
        guard let compiler = Self.compiler else { throw TestFailure("no C compiler") }
        directory = try TemporaryDirectory()
        try Data(Self.source.utf8).write(to: URL(fileURLWithPath: directory.path + "/clock.c"))
        try require([compiler, "-O1", "-shared", "-fPIC", "-o", library, directory.path + "/clock.c", "-ldl"])
        try jump(seconds: 0)
    }

    private var library: String { directory.path + "/clock.so" }
    private var offsetPath: String { directory.path + "/offset" }

    var environment: [String: String] { ["LD_PRELOAD": library, "CLOCK_OFFSET_FILE": offsetPath] }

    /// From now on the wall clock is off by so much.
    func jump(seconds: Int64) throws {
        let file = try FileHandle(forUpdating: FileManager.default.createdFile(offsetPath))
        defer { try? file.close() }
        try file.write(contentsOf: withUnsafeBytes(of: seconds) { Data($0) })
    }

    private static let source = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <fcntl.h>
        #include <stdint.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <sys/time.h>
        #include <time.h>

        static volatile int64_t *offset;

        __attribute__((constructor)) static void begin(void) {
            const char *path = getenv("CLOCK_OFFSET_FILE");
            int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
            void *map = file < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
            if (map != MAP_FAILED) offset = map;
        }

        int clock_gettime(clockid_t clock, struct timespec *now) {
            static int (*next)(clockid_t, struct timespec *);
            if (!next) next = dlsym(RTLD_NEXT, "clock_gettime");
            int result = next(clock, now);
            int is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
            if (result == 0 && offset && is_wall) now->tv_sec += *offset;
            return result;
        }

        int gettimeofday(struct timeval *restrict now, void *restrict zone) {
            struct timespec precise;
            int result = clock_gettime(CLOCK_REALTIME, &precise);
            now->tv_sec = precise.tv_sec;
            now->tv_usec = precise.tv_nsec / 1000;
            return result;
        }

        time_t time(time_t *now) {
            struct timespec precise;
            clock_gettime(CLOCK_REALTIME, &precise);
            if (now) *now = precise.tv_sec;
            return precise.tv_sec;
        }
        """
}

extension FileManager {
    /// The place of a file that exists from now on.
    fileprivate func createdFile(_ path: String) throws -> URL {
        guard fileExists(atPath: path) || createFile(atPath: path, contents: Data(count: 8)) else {
            throw TestFailure("cannot make \(path)")
        }
        return URL(fileURLWithPath: path)
    }
}
