// SPDX-License-Identifier: Apache-2.0
#if PLANTED_BUGS
    import LockCore
    import Primitives
    import Testing

    /// The planted bugs do what they are named after, and a state with them keeps its other rules.
    @Suite("Planted lock bugs")
    struct PlantedLockBugTests {
        private func world(_ bug: PlantedLockBug?) -> LockWorld {
            var limits = LockLimits()
            limits.plantedBug = bug
            var world = LockWorld(limits: limits)
            world.open("s1")
            world.open("s2")
            world.acquire("s1", "a")
            return world
        }

        @Test("a waiter whose session has ended is granted") func grantWithoutSessionCheck() {
            for bug in [nil, PlantedLockBug.grantWithoutSessionCheck] {
                var world = world(bug)
                world.acquire("s2", "a", wait: .forever)
                world.apply(.expireSession(SessionID("s2"), term: world.term))
                world.release("s1", "a")
                #expect(world.holders("a") == (bug == nil ? [] : ["s2"]))
            }
        }

        @Test("a deposed leader's expiry counts") func expiryFromDeposedLeader() {
            for bug in [nil, PlantedLockBug.expiryFromDeposedLeader] {
                var world = world(bug)
                world.apply(.expireSession(SessionID("s1"), term: Term(0)))
                #expect(world.holders("a") == (bug == nil ? ["s1"] : []))
            }
        }

        @Test("tokens repeat") func tokenNotRising() {
            for bug in [nil, PlantedLockBug.tokenNotRising] {
                var world = world(bug)
                let first = world.view("a")?.holders.first?.token
                world.release("s1", "a")
                let second = world.acquire("s2", "a")?.token
                #expect((first == second) == (bug != nil))
            }
        }
    }
#endif
