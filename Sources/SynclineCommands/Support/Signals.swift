// SPDX-License-Identifier: Apache-2.0
import Dispatch

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Signals as values, instead of handlers that may hardly do anything.
enum Signals {
    static func ignoreBrokenPipes() { ignore(SIGPIPE) }

    static func ignore(_ number: Int32) { signal(number, SIG_IGN) }

    /// Each arrival of one of these signals, from now on; their default actions no longer happen.
    static func stream(_ numbers: [Int32]) -> AsyncStream<Int32> {
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(16))
        let queue = DispatchQueue(label: "signals")
        let sources = numbers.map { number in
            ignore(number)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { continuation.yield(number) }
            source.resume()
            return SendableSource(source)
        }
        continuation.onTermination = { _ in
            for source in sources { source.source.cancel() }
        }
        return stream
    }

    /// Dispatch sources are safe to cancel from any thread; their type does not say so on every platform.
    private struct SendableSource: @unchecked Sendable {
        let source: any DispatchSourceSignal

        init(_ source: any DispatchSourceSignal) { self.source = source }
    }

    static func name(_ number: Int32) -> String {
        switch number {
        case SIGINT: "SIGINT"
        case SIGTERM: "SIGTERM"
        case SIGHUP: "SIGHUP"
        case SIGKILL: "SIGKILL"
        default: "signal \(number)"
        }
    }
}
