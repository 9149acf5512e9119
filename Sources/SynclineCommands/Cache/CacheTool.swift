// SPDX-License-Identifier: Apache-2.0
public import ArgumentParser
import FoundationEssentials
public import SynclineClient

struct CacheTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache",
        abstract: "Read and write keys of the coherent cache; see where their copies are.",
        subcommands: [
            CacheGet.self, CacheSet.self, CacheDelete.self, CacheIncrement.self, CacheScan.self, CacheLineCommand.self,
            CacheStatistics.self, CacheFlush.self,
        ]
    )
}

extension Cache.Durability: ExpressibleByArgument {}

/// The lock that guards a write.
struct FenceOptions: ParsableArguments {
    @Option(help: "Write only while the token of this lock is its latest.")
    var lock: String?

    @Option(help: ArgumentHelp("The lock's fencing token.", valueName: "n"))
    var token: UInt64?

    @Option(help: "The lock's namespace.")
    var namespace: String?

    func validate() throws {
        if (lock == nil) != (token == nil) { throw ValidationError("--lock and --token belong together") }
        if lock == nil, namespace != nil { throw ValidationError("--namespace is that of --lock") }
    }

    var grant: LockGrant? {
        guard let lock, let token else { return nil }
        // The grant's namespace is what its session's id begins with.
        return LockGrant(name: lock, mode: .exclusive, token: token, session: namespace.map { "\($0)/" } ?? "")
    }
}

/// A key with its value, for programs. Bytes that are no text stand in base 64 under names that say so.
struct CacheEntryReport: Encodable {
    var key: String?
    var keyBase64: String?
    var value: String?
    var valueBase64: String?

    enum CodingKeys: String, CodingKey {
        case key, value
        case keyBase64 = "key_base64"
        case valueBase64 = "value_base64"
    }

    init(key bytes: [UInt8], value: [UInt8]? = nil) {
        (key, keyBase64) = Self.shown(bytes)
        if let value { (self.value, valueBase64) = Self.shown(value) }
    }

    private static func shown(_ bytes: [UInt8]) -> (text: String?, base64: String?) {
        if let text = String(validating: bytes, as: UTF8.self) { return (text, nil) }
        return (nil, Data(bytes).base64EncodedString())
    }
}
