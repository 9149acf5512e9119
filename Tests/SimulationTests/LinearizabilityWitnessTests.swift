// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Simulator
import Testing

@Suite("Linearizability by witness")
struct LinearizabilityWitnessTests {
    private typealias H = Histories

    private func involved(_ history: [CacheHistoryOperation]) -> [Int]? {
        LinearizabilityWitness().check(history)?.involved
    }

    @Test("versions that rise with the clock and values that belong to them pass")
    func good() {
        let history = [
            H.read(1, 0, 1, nil, 0), H.change(0, 1, 2, H.set("a"), .done, 5), H.read(1, 3, 4, "a", 5),
            H.change(0, 5, 20, .append([98]), .count(2), 7), H.read(1, 6, 9, "a", 5), H.read(2, 6, 9, "ab", 7),
            H.change(2, 21, 22, .remove(condition: .always, wantsOld: true), .value([97, 98], wasApplied: true), 9),
            H.read(1, 23, 24, nil, 12), H.change(1, 25, 26, .add(4), .count(4), 13), H.read(1, 27, 28, "4", 13),
            H.change(1, 29, 30, H.set("z", .absent), .notDone, 13),
        ]
        #expect(involved(history) == nil)
        #expect(involved([]) == nil)
    }

    @Test("two reads of nothing may show versions in either order: the floor is heard of late")
    func floors() {
        #expect(involved([H.read(1, 1, 2, nil, 9), H.read(2, 3, 4, nil, 5)]) == nil)
        // But none below a removal, and no value below nothing.
        let removal = H.change(0, 2, 2, .remove(condition: .always, wantsOld: false), .count(1), 9)
        let written = H.change(0, 0, 1, H.set("a"), .done, 3)
        #expect(involved([written, removal, H.read(2, 3, 4, nil, 8)]) == [1, 2])
        #expect(involved([written, removal, H.read(2, 3, 4, nil, 9)]) == nil)
        #expect(involved([H.read(1, 1, 2, nil, 9), H.change(0, 3, 4, H.set("a"), .done, 9)]) == [0, 1])
        let late = [H.change(0, 1, 2, H.set("a"), .done, 8), H.read(1, 1, 2, nil, 9), H.read(2, 3, 4, "a", 8)]
        #expect(involved(late) == [1, 2])
    }

    @Test("two changes of one version are found")
    func twins() {
        let history = [H.change(0, 1, 9, H.set("a"), .done, 5), H.change(1, 1, 9, H.set("b"), .done, 5)]
        #expect(involved(history) == [0, 1])
    }

    @Test("a change that makes an older version than was there is found, and so is a read that sees one")
    func realTime() {
        let first = H.change(0, 1, 2, H.set("a"), .done, 5)
        #expect(involved([first, H.change(1, 3, 4, H.set("b"), .done, 4)]) == [0, 1])
        let second = H.change(0, 3, 4, H.set("b"), .done, 6)
        #expect(involved([first, second, H.read(1, 5, 6, "a", 5)]) == [1, 2])
        #expect(involved([first, second, H.read(1, 4, 6, "a", 5)]) == nil)
        #expect(involved([first, second, H.change(1, 5, 6, H.set("c", .absent), .notDone, 5)]) == [1, 2])
        // A reader has seen it, though its writer has not been answered yet.
        let slow = H.change(0, 3, 50, H.set("b"), .done, 6)
        #expect(involved([first, slow, H.read(1, 5, 6, "b", 6), H.read(2, 7, 8, "a", 5)]) == [2, 3])
    }

    @Test("a value that is not that of its version is found, or that nobody can have made")
    func values() {
        let write = H.change(0, 1, 2, H.set("a"), .done, 5)
        #expect(involved([write, H.read(1, 3, 4, "b", 5)]) == [0, 1])
        #expect(involved([write, H.read(1, 3, 4, "b", 6)]) == [1])
        let removal = H.change(0, 5, 6, .remove(condition: .always, wantsOld: false), .count(1), 7)
        #expect(involved([write, removal, H.read(1, 7, 8, "a", 7)]) == [1, 2])
        let lost = H.change(2, 1, nil, H.set("b"), nil)
        #expect(involved([write, lost, H.read(1, 3, 4, "b", 6), H.read(1, 5, 6, "b", 6)]) == nil)
        #expect(involved([write, lost, H.read(1, 3, 4, "b", 6), H.read(1, 5, 6, "c", 6)]) == [2, 3])
        #expect(involved([write, lost, H.read(1, 3, 4, "c", 6)]) == [2])
        // It was asked for only after it had been read.
        #expect(involved([H.read(1, 3, 4, "b", 6), H.change(2, 9, nil, H.set("b"), nil)]) == [0])
        for lost in [CacheOperation.add(2), .append([53]), .setRange(offset: 0, [53]), .addDecimal([53])] {
            #expect(involved([H.change(2, 1, nil, lost, nil), H.read(1, 3, 4, "5", 6)]) == nil)
        }
        #expect(involved([H.change(2, 1, nil, .append([54]), nil), H.read(1, 3, 4, "5", 6)]) == [1])
    }

    @Test("what a number operation answered is the value of its version")
    func numbers() {
        let sum = H.change(0, 1, 2, .add(7), .count(7), 3)
        #expect(involved([sum, H.read(1, 3, 4, "7", 3)]) == nil)
        #expect(involved([sum, H.read(1, 3, 4, "8", 3)]) == [0, 1])
        let decimal = H.change(0, 1, 2, .addDecimal([55]), .number([55]), 3)
        #expect(involved([decimal, H.read(1, 3, 4, "7.0", 3)]) == [0, 1])
        let old = H.change(
            0,
            1,
            2,
            .set(value: [57], expiry: .never, condition: .absent, wantsOld: true),
            .value([56], wasApplied: false),
            3
        )
        #expect(involved([H.change(1, 0, nil, H.set("8"), nil), old, H.read(1, 3, 4, "7", 3)]) == [1, 2])
    }

    @Test("two changes that cannot both have answered so are found by replaying the versions")
    func replay() {
        let sums = [H.change(0, 1, 5, .add(1), .count(1), 3), H.change(1, 2, 6, .add(1), .count(1), 4)]
        #expect(involved(sums) == [0, 1])
        #expect(involved([sums[0], H.change(1, 2, 6, .add(1), .count(2), 4)]) == nil)
        let first = H.change(0, 1, 2, H.set("a"), .done, 1)
        for condition in [CacheCondition.equals([97]), .version(CacheVersion(index: 1))] {
            let winners = [2, 3].map { H.change(Int($0), 3, 9, H.set("\($0)", condition), .done, $0) }
            #expect(involved([first] + winners) == [1, 2])
            #expect(involved([first, winners[0], H.change(2, 4, 9, H.set("c", condition), .notDone, 2)]) == nil)
        }
        // Its value was overwritten, not its length.
        let appended = H.change(1, 3, 4, .append([98]), .count(3), 2)
        #expect(involved([first, appended]) == [0, 1])
        // What nobody knows of may have been between.
        #expect(involved([first, H.change(2, 1, nil, .append([122]), nil), appended]) == nil)
        // A refusal for the node's own reasons is no change.
        let refused = H.change(2, 1, 2, H.set("z"), .refused(.outOfMemory))
        #expect(involved([first, refused, appended]) == [0, 2])
    }
}
