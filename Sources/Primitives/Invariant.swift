// SPDX-License-Identifier: Apache-2.0

/// Ends the process when `condition` is false, in release builds too: our own bug, never a peer's or client's doing
/// (DESIGN §3 rule 4). `fatalError`, not `precondition`: a release `precondition` traps without its message.
package func invariant(
    _ condition: @autoclosure () -> Bool,
    _ message: @autoclosure () -> String,
    file: StaticString = #fileID,
    line: UInt = #line
) {
    if !condition() { invariantFailure(message(), file: file, line: line) }
}

/// Ends the process: a state was reached that the code holds to be impossible.
@inline(never)
package func invariantFailure(_ message: String, file: StaticString = #fileID, line: UInt = #line) -> Never {
    let text = "invariant violated: " + message
    fatalError(text, file: file, line: line)
}
