// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Synchronization
import Testing
import Wire

@testable import Storage

/// What a shard's state knows of its messages, and what of them the log still holds.
struct QueueModel: Sendable {
    struct Message: Sendable {
        var id: UInt64
        var body: [UInt8]
    }

    private(set) var index: UInt64 = 0
    /// Ascending by id.
    private(set) var live: [Message] = []
    /// Every message of the log after the snapshot before, acknowledged or not, and some of older entries.
    private(set) var logged: [Message] = []
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func publish(_ count: Int, bytes: ClosedRange<Int>) {
        for _ in 0..<count {
            index += 1
            for ordinal in 0...random.below(3) {
                let size = bytes.lowerBound + Int(random.below(UInt64(bytes.count)))
                let start = random.next()
                let body = (0..<size).map { UInt8(truncatingIfNeeded: start &+ UInt64($0) &* 7) }
                let message = Message(id: index << 12 | ordinal, body: body)
                live.append(message)
                logged.append(message)
            }
        }
    }

    /// Acknowledges about this many of a hundred, of the messages whose place is in the range given by fractions.
    mutating func acknowledge(_ percent: UInt64, from: Double = 0, to: Double = 1) {
        let range = Int(Double(live.count) * from)..<Int(Double(live.count) * to)
        var kept: [Message] = []
        for (position, message) in live.enumerated()
        where !range.contains(position) || !random.chance(percent, in: 100) {
            kept.append(message)
        }
        live = kept
        index += 1
    }

    /// A snapshot of now is recorded. A short tail of the log stays all the same.
    mutating func recorded() { logged = Array(logged.suffix(5)) }

    /// As if no snapshot had been taken yet.
    mutating func relog() { logged = live }

    mutating func below(_ bound: UInt64) -> UInt64 { random.below(bound) }

    var state: [UInt8] { live.flatMap { [UInt8(truncatingIfNeeded: $0.id >> 12), UInt8(truncatingIfNeeded: $0.id)] } }

    var contents: SnapshotContents {
        SnapshotContents(
            state: state,
            forEachFresh: { [logged] body throws(StorageError) in
                for message in logged {
                    let outcome = message.body.withUnsafeBytes { raw in
                        Result { () throws(StorageError) in try body(message.id, raw) }
                    }
                    try outcome.get()
                }
            },
            forEachLive: { [live] from, body in
                var low = 0
                var high = live.count
                while low < high {
                    let middle = (low + high) / 2
                    if live[middle].id < from { low = middle + 1 } else { high = middle }
                }
                while low < live.count, body(live[low].id) { low += 1 }
            }
        )
    }

    /// Every live message can be read, byte for byte.
    func expectReadable(in bodies: BodyManifest, _ comment: Comment? = nil) throws {
        let store = BodyStore(bodies)
        var cached: (key: BodyBlockKey, block: BodyBlock)?
        var wrong = 0
        for message in live {
            guard let reference = store.block(containing: message.id) else {
                wrong += 1
                continue
            }
            if cached?.key != reference.key { cached = (reference.key, try store.read(reference)) }
            if cached?.block.body(of: message.id) != message.body { wrong += 1 }
        }
        #expect(wrong == 0, comment)
    }
}

extension SnapshotSettings {
    /// Many blocks and segments out of a few kilobytes.
    static var small: SnapshotSettings {
        var settings = SnapshotSettings()
        settings.segmentBytes = 4096
        settings.blockBytes = 300
        settings.mergeBytes = 1024
        settings.pieceBytes = 700
        settings.syncBytes = 1500
        settings.openFiles = 3
        return settings
    }
}

extension SnapshotDirectory {
    func take(_ shard: ShardID, _ model: QueueModel, previous: BodyManifest) throws(StorageError) -> (
        metadata: SnapshotMetadata, bodies: BodyManifest
    ) {
        try write(
            shard,
            index: LogIndex(model.index),
            term: Term(1),
            voters: metadata(1).voters,
            previous: previous,
            model.contents
        )
    }

    /// The files that a snapshot needs and no others.
    func expectedNames(_ shard: ShardID, _ metadata: SnapshotMetadata, _ bodies: BodyManifest) -> [String] {
        ([folder(shard).name(metadata)] + bodies.infos.map(\.name.fileName)).sorted()
    }

    func presentNames(_ shard: ShardID) throws -> [String] { try folder(shard).names() }
}

/// Counts the system calls that change a disk and makes them fail from some call on, or one of them.
///
/// It remembers what was synced, so that a test can go on with what a power cut would have left at worst: files with
/// their last synced bytes under their last synced names.
final class FaultyDisk: Sendable {
    enum Fault: Sendable {
        /// The calls before this one take effect, no later one does: the process is gone.
        case stop(at: Int)
        /// Only this call fails.
        case fail(at: Int, code: Int32)
        /// From this write on there is no room.
        case full(from: Int)
    }

    private struct State {
        var fault: Fault?
        var count = 0
        var hasTripped = false
        var synced: [ino_t: [UInt8]] = [:]
        var names: [String: [String: ino_t]] = [:]
    }

    private let state = Mutex(State())

    /// Whether a call has failed since the fault was set.
    var hasTripped: Bool { state.withLock { $0.hasTripped } }

    func set(_ fault: Fault?) {
        state.withLock { state in
            state.fault = fault
            state.count = 0
            if fault != nil { state.hasTripped = false }
        }
    }

    private var trips: Bool { trips(isWrite: false) }

    /// Whether this call is to fail; sets `errno`.
    private func trips(isWrite: Bool) -> Bool {
        let code: Int32? = state.withLock { state in
            let code: Int32?
            switch state.fault {
            case .stop(let at): code = state.count >= at ? EIO : nil
            case .fail(let at, let failure): code = state.count == at ? failure : nil
            case .full(let from):
                guard isWrite else { return nil }
                code = state.count >= from ? ENOSPC : nil
            case nil: code = nil
            }
            state.count += 1
            if code != nil { state.hasTripped = true }
            return code
        }
        if let code { errno = code }
        return code != nil
    }

    var calls: FileSystemCalls {
        var calls = FileSystemCalls.system
        calls.pwrite = { self.trips(isWrite: true) ? -1 : Glibc.pwrite($0, $1.baseAddress, $1.count, off_t($2)) }
        calls.fdatasync = { self.trips ? -1 : self.noteSync($0) }
        calls.fsync = { self.trips ? -1 : self.noteSync($0) }
        calls.rename = { self.trips ? -1 : Glibc.rename($0, $1) }
        calls.unlink = { self.trips ? -1 : Glibc.unlink($0) }
        return calls
    }

    private func noteSync(_ descriptor: Int32) -> Int32 {
        var status = stat()
        fstat(descriptor, &status)
        if status.st_mode & S_IFMT == S_IFDIR {
            let path = Self.path(of: descriptor)
            var names: [String: ino_t] = [:]
            for name in (try? FileSystem(.system).list(path)) ?? [] {
                var entry = stat()
                if stat(path + "/" + name, &entry) == 0 { names[name] = entry.st_ino }
            }
            state.withLock { $0.names[path] = names }
        } else if let bytes = try? FileSystem(.system).readFile(Self.path(of: descriptor)) {
            state.withLock { $0.synced[status.st_ino] = bytes }
        }
        return 0
    }

    private static func path(of descriptor: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = readlink("/proc/self/fd/\(descriptor)", &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }

    /// Puts into `folder` what was durable of `original`.
    func leave(_ original: String, in folder: String) throws {
        TestDirectory.remove(folder)
        mkdir(folder, 0o700)
        let (names, synced) = state.withLock { ($0.names[original] ?? [:], $0.synced) }
        for (name, inode) in names { try TestDirectory.overwrite(folder + "/" + name, synced[inode] ?? []) }
    }
}
