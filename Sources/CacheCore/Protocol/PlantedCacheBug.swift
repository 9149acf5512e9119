// SPDX-License-Identifier: Apache-2.0

/// One rule of the protocol left out each, for the tests to show that it is needed (docs/CACHE.md). Only builds with
/// `PLANTED_BUGS` can leave one out.
package enum PlantedCacheBug: String, Sendable, CaseIterable {
    // The home.
    /// A new home does not wait for the members to drop what the old one granted.
    case noSynchronisation
    /// A new home does not tell the members whom it knows of, so that a later home may not hear of them.
    case hiddenViews
    /// A home takes in a new member without asking a quorum whether it still is the home.
    case unconfirmedNewcomers
    /// A reign begins although proposals of the one before, by the same leader, have not taken effect.
    case earlyOpening
    /// A write is finished before the other holders have let go.
    case noAcknowledgements
    /// The repetition of a write is answered from the log while the other holders have not let go.
    case answerBeforeAcknowledgements
    /// The repetition of a write that had changed nothing is carried out.
    case forgottenVerdicts
    /// A hint takes a holder out of the directory although it has a newer grant.
    case hintsWithoutNumber
    /// An owner may write without the log on a version that others may have written on as well.
    case silenceOnOldVersion

    // The requestor.
    /// A node answers reads from its lines although its lease has run out.
    case hitWithoutLease
    /// A node asks a home although its lease has run out, and takes the answer for the latest.
    case sendWithoutLease
    /// Messages of an earlier reign are obeyed.
    case anyEpoch
    /// Lines stay when a new home synchronises.
    case keepLines
    /// A shared line is kept while its node's write is carried out at the home without a grant.
    case keepLineInPut
    /// A read joins a pending miss that has seen an invalidation.
    case joinAfterInvalidation
    /// A reply installs a line although its grant is older than an invalidation.
    case installBelowFloor
    /// A recall to shared leaves a line that is older than the home's version.
    case keepOlderLine
    /// An owner forgets what it wrote without the log once it has sent it with an acknowledgement.
    case dropSentData
    /// Writes that went to the home together are all answered as the last of them.
    case oneAnswerForAll
    /// A node that was down does not put back what its journal has.
    case forgottenJournal

    // The leases.
    /// A member is removed before its lease has run out.
    case removeBeforeExpiry
}
