// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import RaftCore
import Testing
import Wire

@testable import Storage

@Suite struct CompactionTests {
    private let directory = TestDirectory()
    private let shard = ShardID(2)

    private func open() throws -> SnapshotDirectory {
        SnapshotDirectory(try directory.open(calls: .unsynced), settings: .small)
    }

    @Test("a segment that nothing lives in is dropped, a sparse one rewritten, a full one kept") func actions() throws {
        let snapshots = try open()
        var model = QueueModel(seed: 11)
        model.publish(240, bytes: 20...40)
        let first = try snapshots.take(shard, model, previous: .empty)
        #expect(first.bodies.segments.count >= 4)
        model.recorded()
        model.acknowledge(100, from: 0, to: 0.4)
        model.acknowledge(80, from: 0.5)
        let second = try snapshots.take(shard, model, previous: first.bodies)
        try model.expectReadable(in: second.bodies)
        let (before, after) = (first.bodies.infos, second.bodies.infos)
        #expect(!after.contains { $0.name == before[0].name }, "nothing of it lives")
        #expect(!after.contains { $0.name == before.last?.name }, "it was sparse")
        #expect(second.bodies.fileBytes < first.bodies.fileBytes / 2)
        try snapshots.removeOlder(shard, than: second.metadata)
        #expect(try snapshots.presentNames(shard) == snapshots.expectedNames(shard, second.metadata, second.bodies))

        // Nothing new and nothing acknowledged: the same segments.
        model.recorded()
        model.publish(0, bytes: 0...0)
        let third = try snapshots.take(shard, model, previous: second.bodies)
        #expect(third.bodies.infos == second.bodies.infos)
        #expect(zip(third.bodies.segments, second.bodies.segments).allSatisfy { $0 === $1 })
    }

    @Test("many small snapshots do not pile up small segments") func tiny() throws {
        let snapshots = try open()
        var model = QueueModel(seed: 12)
        var bodies = BodyManifest.empty
        for _ in 0..<60 {
            model.publish(1, bytes: 5...40)
            let taken = try snapshots.take(shard, model, previous: bodies)
            bodies = taken.bodies
            try snapshots.removeOlder(shard, than: taken.metadata)
            model.recorded()
        }
        try model.expectReadable(in: bodies)
        #expect(bodies.segments.count <= 14)
    }

    @Test(
        "a plan keeps the number of segments and the copied bytes within bounds",
        arguments: 1...8 as ClosedRange<UInt64>
    )
    func bounds(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let merge = 1 << 20
        var segments: [CompactionPlan.Segment] = []
        var added = 0
        var copied = 0
        var most = 0.0
        for _ in 0..<1500 {
            let fresh = 1 + Int(random.below(1 << (3 + random.below(16))))
            added += fresh
            // One byte a message. Some of it dies, more often what is old.
            for position in segments.indices where random.chance(1, in: UInt64(2 + position)) {
                segments[position].live -= Int(random.below(UInt64(segments[position].live + 1)))
            }
            let actions = CompactionPlan.actions(segments, freshBytes: fresh, mergeBytes: merge)
            var next: [CompactionPlan.Segment] = []
            var run = 0
            func endRun() {
                if run > 0 { next.append(CompactionPlan.Segment(fileBytes: run, messages: run, live: run)) }
                run = 0
            }
            for (segment, action) in zip(segments, actions) {
                switch action {
                case .drop: #expect(segment.live == 0)
                case .keep:
                    #expect(!segment.isSparse)
                    endRun()
                    next.append(segment)
                case .rewrite:
                    run += segment.live
                    copied += segment.live
                }
            }
            run += fresh
            endRun()
            segments = next
            let total = segments.reduce(0) { $0 + $1.fileBytes }
            most = max(most, Double(segments.count) / Double(1 + total / merge))
        }
        // A byte is copied for size at most log₁.₅(2²⁰) = 34 times; in practice far less often.
        #expect(copied < 8 * added, "\(copied) copied for \(added)")
        #expect(most <= 30, "\(most) segments for each MiB")
    }

    @Test(
        "any course of publishing, acknowledging, snapshots and restarts keeps every live body",
        arguments: 1...6 as ClosedRange<UInt64>
    )
    func fuzz(seed: UInt64) throws {
        let directory = TestDirectory()
        var model = QueueModel(seed: seed)
        var snapshots = SnapshotDirectory(try directory.open(calls: .unsynced), settings: .small)
        var recorded: SnapshotMetadata?
        let store = BodyStore()
        for _ in 0..<120 {
            switch model.below(8) {
            case 0...2: model.publish(1 + Int(model.below(30)), bytes: 0...Int(1 + model.below(400)))
            case 3: model.acknowledge(model.below(101))
            case 4: model.acknowledge(100, from: 0, to: 0.5)
            case 5:
                // Restart; a snapshot that was not recorded is forgotten.
                if model.below(2) == 0 { _ = try snapshots.take(shard, model, previous: store.manifest) }
                store.adopt(.empty)
                snapshots = SnapshotDirectory(try directory.open(calls: .unsynced), settings: .small)
                if let recorded { store.adopt(try snapshots.load(shard, recorded).bodies) }
                try snapshots.removeOrphans(shard, keeping: recorded)
            default:
                model.acknowledge(0)
                let taken = try snapshots.take(shard, model, previous: store.manifest)
                recorded = taken.metadata
                store.adopt(taken.bodies)
                try snapshots.removeOlder(shard, than: taken.metadata)
                model.recorded()
                try model.expectReadable(in: store.manifest, "seed \(seed)")
                let names = snapshots.expectedNames(shard, taken.metadata, taken.bodies)
                #expect(try snapshots.presentNames(shard) == names, "seed \(seed)")
            }
        }
    }
}
