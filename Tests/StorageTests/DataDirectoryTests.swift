// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import Testing
import Wire

@testable import Storage

@Suite struct DataDirectoryTests {
    private let directory = TestDirectory()

    @Test("each open begins a new incarnation; the cluster id chosen first stays") func incarnations() throws {
        var first: [UInt8] = []
        do {
            let opened = try directory.open()
            first = opened.identity.clusterID
            #expect(opened.identity.incarnation == 1)
            #expect(opened.node == NodeID(name: "node-0"))
        }
        let again = try directory.open()
        #expect(again.identity.incarnation == 2)
        #expect(again.identity.clusterID == first && first.count == 16)
    }

    @Test("a second open is refused and names the process that has it") func locked() throws {
        let held = try directory.open()
        #expect(throws: StorageError.locked(path: directory.data + "/LOCK", pid: getpid())) { try directory.open() }
        #expect(held.identity.incarnation == 1)
    }

    @Test("another node, cluster or shard count is refused and changes nothing") func wrongIdentity() throws {
        _ = try directory.open(clusterID: Array(repeating: 1, count: 16))
        let before = try directory.bytes(of: directory.data + "/identity")
        let path = directory.data + "/identity"
        #expect(throws: StorageError.wrongIdentity(path: path, what: "node", onDisk: "node-0", given: "node-1")) {
            try directory.open(nodeName: "node-1")
        }
        #expect(throws: StorageError.self) { try directory.open(clusterID: Array(repeating: 2, count: 16)) }
        #expect(throws: StorageError.self) { try directory.open(shardCount: 5) }
        #expect(try directory.bytes(of: path) == before)
    }

    @Test("other members or another number of copies are refused: both sides would count majorities differently")
    func agreement() throws {
        let three = Agreement(names: ["node-0", "b", "c"], copies: 3)
        do { _ = try directory.open(agreement: three) }
        for other in [Agreement(names: ["node-0"], copies: 1), Agreement(names: three.names, copies: 1), nil] {
            let error = #expect(throws: StorageError.self) { try directory.open(agreement: other) }
            #expect(error?.description.contains("b, c, node-0 with 3 copies") == true)
        }
        let quotas = Agreement(names: three.names, copies: 3, quotas: [1, 2])
        #expect(throws: StorageError.self) { try directory.open(agreement: quotas) }
        #expect(try directory.open(agreement: three).identity.incarnation == 2)
    }

    @Test("peers' lives are kept; accepting a loss begins above every start there ever was")
    func peers() throws {
        let life = PeerLife(node: NodeID(name: "b"), incarnation: 7, life: 70)
        do {
            let opened = try directory.open()
            #expect(opened.peers.lives.isEmpty)
            try opened.peers.note(PeerLife(node: NodeID(name: "b"), incarnation: 6, life: 60))
            try opened.peers.note(life)
        }
        do {
            let opened = try directory.open()
            #expect(opened.peers.lives == [life])
        }
        #expect(try directory.open(acceptsLoss: true).identity.incarnation > 1_000_000_000)
        let path = directory.data + "/peers"
        let bytes = try directory.bytes(of: path)
        for position in bytes.indices {
            var changed = bytes
            changed[position] ^= 4
            try TestDirectory.overwrite(path, changed)
            #expect(throws: StorageError.self, "byte \(position)") { try directory.open() }
        }
    }

    @Test("a damaged identity is reported, whichever bit it is; a newer format is named") func damaged() throws {
        do { _ = try directory.open() }
        let path = directory.data + "/identity"
        let bytes = try directory.bytes(of: path)
        for position in bytes.indices {
            var changed = bytes
            changed[position] ^= 4
            try TestDirectory.overwrite(path, changed)
            #expect(throws: StorageError.self, "byte \(position)") { try directory.open() }
        }
        for count in 0..<bytes.count {
            try TestDirectory.overwrite(path, Array(bytes[..<count]))
            #expect(throws: StorageError.self, "\(count) bytes") { try directory.open() }
        }
    }

    @Test("a path that cannot be made says which and why") func unusable() throws {
        try TestDirectory.overwrite(directory.data, [1])
        let error = #expect(throws: StorageError.self) { try directory.open() }
        #expect(error?.description.contains(directory.data) == true)
        #expect(error?.description.contains("Not a directory") == true)
    }

    @Test("directories above are made too") func nested() throws {
        let opened = try DataDirectory.open(path: directory.data + "/a/b", nodeName: "n", shardCount: 1)
        #expect(opened.identity.incarnation == 1)
    }
}
