// SPDX-License-Identifier: Apache-2.0

/// A line in memory: 34 bytes of header, then what few lines have, then key and value (or where they are):
///
///      0  word            counts of key and value bytes, state and flags
///      8  stamp      48   when it was last used, or queued
///     14  version    48   index
///     20  gid        48
///     26  previous   32   towards the newer end of its queue
///     30  next       32   towards the older end
///     34  [dirty     96   previous, next (older first), since]
///         [expiry    64]
///         [minor     32   of the version]
///         [high      32   bits 48 and up of version and gid]
///         key and value, or the address of a block that holds them
///
/// The last fields are there if the word's extension bits say so: most lines never expire, were written through the
/// log, and are clean.
struct LineBlock {
    let base: UnsafeMutableRawPointer

    static let headerBytes = 34

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    // MARK: Raw access

    @inline(__always) func load<Value: BitwiseCopyable>(_ offset: Int, as type: Value.Type) -> Value {
        base.loadUnaligned(fromByteOffset: offset, as: type)
    }

    @inline(__always) func store<Value: BitwiseCopyable>(_ value: Value, _ offset: Int) {
        base.storeBytes(of: value, toByteOffset: offset, as: Value.self)
    }

    /// Reads two bytes more than it uses; every field it is used for has some behind it.
    @inline(__always) func load48(_ offset: Int) -> UInt64 { load(offset, as: UInt64.self) & LineBlock.mask48 }

    @inline(__always) func store48(_ value: UInt64, _ offset: Int) {
        store(UInt32(truncatingIfNeeded: value), offset)
        store(UInt16(truncatingIfNeeded: value >> 32), offset + 4)
    }

    static let mask48: UInt64 = 0xffff_ffff_ffff

    // MARK: Fields

    var word: LineWord {
        @inline(__always) get { LineWord(bits: load(0, as: UInt64.self)) }
        @inline(__always) nonmutating set { store(newValue.bits, 0) }
    }

    var stamp: UInt64 {
        @inline(__always) get { load48(8) }
        @inline(__always) nonmutating set { store48(newValue, 8) }
    }

    var previous: UInt32 {
        @inline(__always) get { load(26, as: UInt32.self) }
        @inline(__always) nonmutating set { store(newValue, 26) }
    }

    var next: UInt32 {
        @inline(__always) get { load(30, as: UInt32.self) }
        @inline(__always) nonmutating set { store(newValue, 30) }
    }

    // Only in dirty lines.

    var dirtyPrevious: UInt32 {
        get { load(34, as: UInt32.self) }
        nonmutating set { store(newValue, 34) }
    }

    var dirtyNext: UInt32 {
        get { load(38, as: UInt32.self) }
        nonmutating set { store(newValue, 38) }
    }

    var version: CacheVersion {
        @inline(__always) get {
            let extensions = word.extensions
            var version = CacheVersion(index: load48(14))
            if extensions >= LineExtensions.minor {
                if extensions & LineExtensions.minor != 0 {
                    version.minor = load(LineExtensions.offset(LineExtensions.minor, in: extensions), as: UInt32.self)
                }
                if extensions & LineExtensions.high != 0 {
                    let high = load(LineExtensions.offset(LineExtensions.high, in: extensions), as: UInt16.self)
                    version.index |= UInt64(high) << 48
                }
            }
            return version
        }
    }

    var gid: UInt64 {
        @inline(__always) get {
            let extensions = word.extensions
            guard extensions & LineExtensions.high != 0 else { return load48(20) }
            let high = load(LineExtensions.offset(LineExtensions.high, in: extensions) + 2, as: UInt16.self)
            return load48(20) | UInt64(high) << 48
        }
    }

    var expiresAt: UInt64 {
        @inline(__always) get {
            let extensions = word.extensions
            guard extensions & LineExtensions.expiry != 0 else { return 0 }
            return load(LineExtensions.offset(LineExtensions.expiry, in: extensions), as: UInt64.self)
        }
    }

    var dirtySince: UInt32? { word.isDirty ? load(42, as: UInt32.self) : nil }

    var fields: LineFields {
        let word = word
        return LineFields(
            state: word.state,
            version: version,
            gid: gid,
            expiresAt: expiresAt,
            exists: word.exists,
            durability: word.durability,
            flags: word.flags,
            dirtySince: dirtySince
        )
    }

    /// Writes all that `fields` says but the dirty list's links. The word must have its extension bits already.
    func write(_ fields: LineFields) {
        var word = word
        word.state = fields.state
        word.exists = fields.exists
        word.durability = fields.durability
        word.flags = fields.flags
        self.word = word
        store48(fields.version.index, 14)
        store48(fields.gid, 20)
        let extensions = word.extensions
        if let since = fields.dirtySince { store(since, 42) }
        if extensions & LineExtensions.expiry != 0 {
            store(fields.expiresAt, LineExtensions.offset(LineExtensions.expiry, in: extensions))
        }
        if extensions & LineExtensions.minor != 0 {
            store(fields.version.minor, LineExtensions.offset(LineExtensions.minor, in: extensions))
        }
        if extensions & LineExtensions.high != 0 {
            let offset = LineExtensions.offset(LineExtensions.high, in: extensions)
            store(UInt16(truncatingIfNeeded: fields.version.index >> 48), offset)
            store(UInt16(truncatingIfNeeded: fields.gid >> 48), offset + 2)
        }
    }

    // MARK: Key and value

    /// Where the key begins; the value follows it.
    var payload: UnsafeMutableRawPointer {
        @inline(__always) get {
            let word = word
            // A branch, which is guessed: so the key is fetched while the header still is.
            if word.isPlain { return base + Self.headerBytes }
            let inside = base + (Self.headerBytes &+ LineExtensions.bytes(word.extensions))
            guard word.isOutside else { return inside }
            return UnsafeMutableRawPointer(bitPattern: inside.loadUnaligned(as: UInt.self)).unsafelyUnwrapped
        }
        // Only of a block whose word says that it is outside.
        nonmutating set {
            store(UInt(bitPattern: newValue), Self.headerBytes + LineExtensions.bytes(word.extensions))
        }
    }

    /// Makes a copied block's outside bytes its own.
    func copyOutside() {
        let bytes = LineShape(word).outsideBytes
        let copy = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 1)
        copy.copyMemory(from: payload, byteCount: word.keyCount + word.valueCount)
        payload = copy
    }

    var hash: UInt64 { CacheKey.hash(of: key) }

    @inline(__always) var key: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: payload, count: word.keyCount)
    }

    @inline(__always) var value: UnsafeRawBufferPointer {
        let word = word
        return UnsafeRawBufferPointer(start: payload + word.keyCount, count: word.valueCount)
    }

    @inline(__always) func hasKey(_ key: UnsafeRawBufferPointer) -> Bool {
        let count = key.count
        guard word.keyCount == count else { return false }
        guard let other = key.baseAddress else { return true }
        let own = payload
        var offset = 0
        while offset &+ 8 <= count {
            if own.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                != other.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            {
                return false
            }
            offset &+= 8
        }
        while offset < count {
            if own.load(fromByteOffset: offset, as: UInt8.self) != other.load(fromByteOffset: offset, as: UInt8.self) {
                return false
            }
            offset &+= 1
        }
        return true
    }
}
