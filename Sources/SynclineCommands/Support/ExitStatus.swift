// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

/// The statuses this tool exits with. `syncline lock` also exits with its command's own; so the statuses of the tool
/// itself are numbers that commands seldom use.
enum ExitStatus: Int32, Error, CaseIterable {
    case success = 0
    case failure = 1
    /// The command line is wrong (EX_USAGE of sysexits.h).
    case usage = 64
    /// The lock was not to be had in time, or its request was a deadlock's victim.
    case notAcquired = 121
    /// The session was lost, and with it the lock.
    case lost = 122
    /// No node could be reached, or no leader with a quorum.
    case unreachable = 123
    /// `syncline queue receive` found no message in time.
    case noMessage = 124
    /// `syncline cache` found no such key, or not what its condition wants.
    case noKey = 125
    /// `syncline lock` or `queue consume` found the command but could not run it, as shells say it.
    case cannotExecute = 126
    /// `syncline lock` or `queue consume` did not find the command, as shells say it.
    case commandNotFound = 127

    var meaning: String {
        switch self {
        case .success: "done"
        case .failure: "failed; the message says why"
        case .usage: "the command line is wrong"
        case .notAcquired: "lock: not acquired in time, or given up as a deadlock's victim"
        case .lost: "lock: the session was lost while the command ran, so the command was ended"
        case .noMessage: "queue receive: no message in time"
        case .noKey: "cache: no such key, or its condition did not hold"
        case .unreachable: "no node answers, or the cluster has no leader"
        case .cannotExecute: "lock, queue consume: the command cannot be executed"
        case .commandNotFound: "lock, queue consume: the command was not found"
        }
    }

    /// For `syncline --help`.
    static var discussion: String {
        let rows = allCases.map {
            "  \($0.rawValue)\($0.rawValue < 10 ? "  " : $0.rawValue < 100 ? " " : "")  \($0.meaning)"
        }
        return "EXIT STATUS:\n" + rows.joined(separator: "\n")
            + "\n  else syncline lock: the command's own; 128 + n when signal n ended it"
    }
}

/// Turns failures into a message with a next step, and an exit status.
enum Failure {
    static func reporting(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as SynclineError {
            Console.error(text(error))
            throw status(error)
        } catch let error as HTTPError {
            Console.error("\(error.message)\n  → \(error.remedy)")
            throw error.isUnreachable ? ExitStatus.unreachable : .failure
        }
    }

    static func status(_ error: SynclineError) -> ExitStatus {
        switch error.code {
        case .notAcquired, .deadlock: .notAcquired
        case .sessionLost, .noSession, .sessionEnded: .lost
        case .unreachable, .unavailable, .timeout: .unreachable
        case .invalid: .usage
        default: .failure
        }
    }

    static func text(_ error: SynclineError) -> String {
        var text = error.message
        switch error.outcome {
        // The message itself tells the parts apart.
        case .unknown where error.code == .partlyDone: break
        case .unknown: text += "\n  whether it was done is unknown"
        case .done: text += "\n  it was done all the same"
        case .notDone: break
        }
        if let remedy = remedy(error) { text += "\n  → \(remedy)" }
        return text
    }

    private static func remedy(_ error: SynclineError) -> String? {
        switch error.code {
        case .unreachable:
            "name nodes with --endpoint HOST:PORT or SYNCLINE_ENDPOINTS, or start a cluster with: syncline demo"
        case .unavailable, .timeout: "a majority of the nodes must be up; look with: syncline cluster status"
        case .notAcquired: "wait longer with --wait 5m, or see who has it with: syncline locks show NAME"
        case .deadlock: "release what the session holds and begin again; take locks in one order, or all at once"
        case .busy, .limit: "try again later, or raise the limit the message names (syncline config docs)"
        case .noQueue: "make it with: syncline queue declare NAME, or see which there are with: syncline queue list"
        case .exists: "see its settings with: syncline queue stats NAME; change them with: syncline queue update NAME"
        case .full: "let consumers work it off, or raise the limit with: syncline queue update NAME --max-length N"
        case .paused: "go on with: syncline queue resume NAME publish"
        case .tooLarge: "store the data elsewhere and publish where it is, or raise max-message-bytes"
        case .stale: "a message whose delivery has ended comes again by itself; a longer --lease leaves more time"
        case .outOfMemory: "remove keys, let them expire (--ttl), or give the nodes more memory (cache-bytes)"
        case .partlyDone: "what was done stays done; the same again does the rest"
        case .memoryDown: "the memory below the cache must be up; then try again"
        case .fenced: "acquire the lock anew and use its new token"
        case .sessionLost, .noSession: "its locks may belong to others now; begin again with a new session"
        default: nil
        }
    }
}
