// SPDX-License-Identifier: Apache-2.0
package import NIOCore

/// One command as it arrived: a slice of the connection's input and where in it each argument lies.
/// Nothing is copied and no `String` is made until somebody asks for one.
package struct RESPCommand: Sendable, Equatable {
    package struct Slot: Sendable, Equatable {
        package var offset: Int
        package var count: Int

        package init(offset: Int, count: Int) {
            self.offset = offset
            self.count = count
        }
    }

    package let buffer: ByteBuffer
    /// One per argument, the command's name first; never empty. Offsets count from `buffer.readerIndex`.
    package let slots: [Slot]

    package init(buffer: ByteBuffer, slots: [Slot]) {
        self.buffer = buffer
        self.slots = slots
    }

    /// Arguments, the name included.
    package var count: Int { slots.count }

    /// Lends the arguments' bytes for the length of `body`.
    @inlinable
    package func withArguments<Value, Failure: Error>(
        _ body: (RESPArguments) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let result: Result<Value, Failure> = buffer.withUnsafeReadableBytes { bytes in
            do throws(Failure) {
                return .success(try body(RESPArguments(bytes: bytes, slots: slots)))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// The argument as text, with U+FFFD for bytes that are not UTF-8.
    package func text(_ index: Int) -> String {
        withArguments { arguments in String(decoding: arguments[index], as: UTF8.self) }
    }

    /// All arguments as bytes; for tests and slow paths.
    package var arguments: [[UInt8]] {
        withArguments { arguments in (0..<arguments.count).map { [UInt8](arguments[$0]) } }
    }
}

/// The arguments of a command while their bytes are lent; must not outlive the call that lent them.
package struct RESPArguments {
    @usableFromInline package let bytes: UnsafeRawBufferPointer
    @usableFromInline package let slots: [RESPCommand.Slot]

    @usableFromInline
    package init(bytes: UnsafeRawBufferPointer, slots: [RESPCommand.Slot]) {
        self.bytes = bytes
        self.slots = slots
    }

    @inlinable package var count: Int { slots.count }

    @inlinable
    package subscript(index: Int) -> UnsafeRawBufferPointer {
        let slot = slots[index]
        return UnsafeRawBufferPointer(rebasing: bytes[slot.offset..<slot.offset + slot.count])
    }
}
