// SPDX-License-Identifier: Apache-2.0
import CacheCore
import HTTPTypes
import Primitives
import QueueCore

/// What requests to the cache carry: keys, conditions (RFC 9110 section 13) and options of a write.
enum CacheFields {
    /// Options of every write.
    static let write: [Field] = [.durability, .lock]
    /// Milliseconds that a value may be given to live: numbers that JSON keeps exact.
    static let ttl: ClosedRange<UInt64> = 1...(1 << 53 - 1)

    static func key(_ call: HTTPCall) throws(BadRequest) -> CacheKey {
        guard call.key.count <= CacheLimits.keyBytes else { throw .tooLong(.key, limit: CacheLimits.keyBytes) }
        return CacheKey(call.key)
    }

    static func options(_ fields: JSONFields) throws(BadRequest) -> CacheWriteOptions {
        var options = CacheWriteOptions()
        if let word = try fields.string(.durability) {
            guard let durability = CacheDurability(word: word) else {
                let words = CacheDurability.allCases.map(\.word).joined(separator: ", ")
                throw .unknownValue(.durability, got: String(word.prefix(32)), allowed: "one of \(words)")
            }
            options.durability = durability
        }
        options.lock = try fields.guardedBy().map {
            CacheLockGuard(namespace: $0.namespace, name: $0.name, token: $0.token)
        }
        return options
    }

    static func expiry(_ fields: JSONFields) throws(BadRequest) -> ExpiryChange {
        let keeps = try fields.bool(.keepTTL) ?? false
        guard let milliseconds = try fields.number(.ttl, ttl) else { return keeps ? .keep : .never }
        guard !keeps else { throw .notAllowed(.keepTTL, reason: "ttl_ms is given too") }
        return .after(Int64(milliseconds))
    }

    /// A place among all keys: 64 bits, more than a number in JSON keeps exact, hence a text there.
    static func cursor(_ query: JSONFields) throws(BadRequest) -> UInt64 {
        switch query.value(.cursor) {
        case nil: return 0
        case .integer(let cursor) where cursor >= 0: return UInt64(cursor)
        case .unsigned(let cursor): return cursor
        default: throw .wrongType(Field.cursor.json, expected: "the cursor of the page before")
        }
    }

    // MARK: Conditions

    /// What must hold for a write. A tag that no version of ours has holds of nothing.
    static func condition(_ headers: HTTPFields) throws(Problem) -> CacheCondition {
        let (match, noneMatch) = (headers[.ifMatch], headers[.ifNoneMatch])
        switch (match, noneMatch) {
        case (nil, nil): return .always
        case (.some, .some): throw bad("If-Match and If-None-Match exclude each other here")
        case (nil, .some(let text)):
            guard try EntityTags(text) == .any else { throw bad("a write takes no If-None-Match but *") }
            return .absent
        case (.some(let text), nil):
            switch try EntityTags(text) {
            case .any: return .present
            case .tags(let tags):
                guard tags.count == 1, let tag = tags.first else { throw bad("a write takes one tag in If-Match") }
                guard !tag.isWeak, let version = CacheVersion(tag.text) else { throw failed(nil) }
                return .version(version)
            }
        }
    }

    /// Of a removal: what is to be removed may be named, and that there is nothing to remove may not.
    static func removal(_ headers: HTTPFields) throws(Problem) -> CacheCondition {
        guard headers[.ifNoneMatch] == nil else {
            throw bad("DELETE takes no If-None-Match; use If-Match with the ETag of what is to be removed")
        }
        return try condition(headers)
    }

    /// Of requests that know no conditions: one that was ignored would be taken for one that held.
    static func unconditional(_ call: HTTPCall) throws(Problem) {
        guard call.headers[.ifMatch] == nil, call.headers[.ifNoneMatch] == nil else {
            throw bad("If-Match and If-None-Match are for GET, PUT and DELETE of a key; nothing was done")
        }
    }

    /// What a read's conditions say of what was found: nil when the value is to be sent.
    static func answer(_ headers: HTTPFields, version: CacheVersion) throws(Problem) -> HTTPAnswer? {
        if let text = headers[.ifMatch], try !EntityTags(text).matches(version, isWeakEnough: false) {
            throw failed(version)
        }
        guard let text = headers[.ifNoneMatch], try EntityTags(text).matches(version, isWeakEnough: true) else {
            return nil
        }
        return .bytes(304, [])
    }

    static func bad(_ detail: String) -> Problem { Problem(400, "bad_request", "Bad request", detail) }

    static func failed(_ version: CacheVersion?) -> Problem {
        var problem = Problem(
            412,
            "condition_failed",
            "Condition failed",
            "the key is not as If-Match or If-None-Match wants it; nothing was changed, read it again"
        )
        if let version { problem.members = [JSONValue.Member("version", .string(version.description))] }
        return problem
    }

    static func tag(_ version: CacheVersion) -> String { "\"\(version)\"" }
}

/// The value of If-Match or If-None-Match.
enum EntityTags: Equatable {
    struct Tag: Equatable {
        var text: String
        var isWeak: Bool
    }

    case any
    case tags([Tag])

    init(_ field: String) throws(Problem) {
        var rest = Substring(field)
        var tags: [Tag] = []
        while true {
            rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "," }
            guard let first = rest.first else { break }
            if first == "*", tags.isEmpty, rest.dropFirst().allSatisfy({ $0 == " " || $0 == "\t" }) {
                self = .any
                return
            }
            let isWeak = rest.hasPrefix("W/")
            if isWeak { rest = rest.dropFirst(2) }
            guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") else {
                throw CacheFields.bad("an entity tag stands in quotes, such as \"1205\", as ETag shows it")
            }
            tags.append(Tag(text: String(rest[rest.index(after: rest.startIndex)..<end]), isWeak: isWeak))
            rest = rest[rest.index(after: end)...]
        }
        guard !tags.isEmpty else { throw CacheFields.bad("If-Match and If-None-Match name a tag or *") }
        self = .tags(tags)
    }

    func matches(_ version: CacheVersion, isWeakEnough: Bool) -> Bool {
        switch self {
        case .any: true
        case .tags(let tags): tags.contains { $0.text == version.description && (isWeakEnough || !$0.isWeak) }
        }
    }
}
