// SPDX-License-Identifier: Apache-2.0
import SynclineCommands

/// The executable alone is linked statically, so it holds nothing but the call: a test bundle of its own code would be
/// linked the same way, which XCTest and Testing do not allow.
@main
enum Main {
    static func main() async { await SynclineTool.main() }
}
