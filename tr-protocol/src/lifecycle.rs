//! The life of a transaction at the backend, as one pure function.
//!
//! `(stored state, command) → the next write, or the answer.` The store executes what it is told and decides nothing
//! about repeats, tombstones or pruned ids itself:
//!
//! ```
//! use tr_protocol::lifecycle::*;
//! use tr_protocol::value::{Digest, TransactionId};
//!
//! let id = TransactionId::new(7).unwrap();
//! let command = Command { id, digest: Digest([1; 32]), action: Action::Authorise };
//! let mut stored = Stored::EMPTY; // the store would load it for (terminal, id)
//!
//! // The look-up comes first. Only a command that has no answer yet is judged.
//! let Step::Admit(admit) = step(&stored, &command) else { panic!() };
//! // Now is the time to look at the certificate's validity and revocation.
//! let Next::Write(claim) = admit.standing(Standing::Full) else { panic!() };
//! assert_eq!(claim, Write::Claim(Claim { kind: Kind::Authorise, digest: command.digest }));
//! assert!(stored.apply(claim)); // first durable step
//!
//! let Step::Admit(admit) = step(&stored, &command) else { panic!() };
//! assert_eq!(admit.standing(Standing::Full), Next::Judge);
//! // Now card, PIN, policy and ledger are asked.
//! assert!(stored.apply(Write::Decide(Outcome::Approved))); // second durable step, with the signed answer
//!
//! assert_eq!(step(&stored, &command), Step::Answer(Answer::Stored));
//! ```
//!
//! # How a store runs it
//!
//! 1. Load [`Stored`] for the command: the terminal's low-water mark, the [`Entry`] of the command's id and, if it names
//!    an original ([`Action::original`]), that one's entry.
//! 2. Call [`step`]. Send the answer, or pass the standing to [`Admit::standing`] and do the one write that it returns.
//! 3. Whether the write won or lost (its unique key was taken), go to 1. A write that won may be followed in memory with
//!    [`Stored::apply`] in place of a load, so that a store that holds everything needs one transaction and no second
//!    read; a store whose claim and decision live on different machines makes each write durable by itself.
//!
//! At most [`MAX_WRITES`] rounds are needed, however the writes of other workers interleave. Every write is an insert
//! under a unique key, or moves one row forward once; doing it twice is the same as once. A crash between two writes
//! leaves a state from which a repeat of the command goes on.
//!
//! # Who owns which key
//!
//! | write | unique key | lives in | made durable together with |
//! |---|---|---|---|
//! | [`Write::Claim`] | claim of (terminal, id) | the terminal's bucket | the check of the low-water mark |
//! | [`Write::TombstoneUnseen`] | claim of (terminal, original) | the terminal's bucket | the check of the low-water mark |
//! | [`Write::TombstoneClaimed`] | decision of (terminal, original) | the account's bucket of the original | – |
//! | [`Write::Decide`] | decision of (terminal, id) | the account's bucket | postings and the signed answer |
//! | [`Write::DecideReversal`] | decision of (terminal, id), and if it [has an effect](ReversalOutcome::has_effect) the reversal of (terminal, original) | the account's bucket of the original | postings and the signed answer |
//! | [`Write::Refuse`] | refusal of (terminal, id) | beside the tombstone | the signed answer |
//!
//! The claim of an authorise names the card's account and bucket (none if the card is unknown); the claim of a reversal
//! names those of its original's claim, and none if the original's claim is a tombstone's or is pruned. The rules make
//! sure that they are known when the reversal is claimed: an unseen original is tombstoned first.

use crate::value::{Digest, TransactionId};

/// The most writes, won or lost, that one command can need.
///
/// Each id's entry moves forward at most three times (claimed; decided or tombstoned; reversed or refused), and a
/// command concerns at most two ids.
pub const MAX_WRITES: usize = 6;

/// What one command asks, reduced to what the rules depend on.
///
/// Its signature, its terminal and the hashes of its D frame have been verified before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// The command's own id.
    pub id: TransactionId,
    /// SHA-256 of its bytes before the signatures; decides whether a repeat is identical.
    pub digest: Digest,
    /// What it asks.
    pub action: Action,
}

/// What a command asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Authorise a sale.
    Authorise,
    /// Undo `original`, or keep it from ever being executed.
    Reversal {
        /// The id to undo.
        original: TransactionId,
    },
    /// Tell what became of `original`; if nothing yet, nothing ever will.
    Status {
        /// The id asked about.
        original: TransactionId,
    },
    /// Tell the balance. Changes nothing, so it is not claimed.
    Balance,
    /// Open the day. Changes nothing, so it is not claimed.
    SignOn,
}

impl Action {
    /// The other transaction that the command is about.
    #[must_use]
    pub const fn original(self) -> Option<TransactionId> {
        match self {
            Self::Reversal { original } | Self::Status { original } => Some(original),
            Self::Authorise | Self::Balance | Self::SignOn => None,
        }
    }
}

/// The commands that are claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Action::Authorise`].
    Authorise,
    /// [`Action::Reversal`].
    Reversal,
}

/// The first durable step: this id belongs to this command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// What kind of command holds the id.
    pub kind: Kind,
    /// Its digest.
    pub digest: Digest,
}

/// What the store knows that concerns one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stored {
    /// Ids below it are pruned. [`TransactionId::MIN`] if none ever was.
    pub low_water: TransactionId,
    /// The entry of (terminal, command's id).
    pub entry: Entry,
    /// The entry of (terminal, command's original); [`Entry::Unseen`] if the command names none.
    pub original: Entry,
}

/// What became of one (terminal, id). The terminal is the URI in its certificate, which outlives the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// Nothing is known.
    Unseen,
    /// Claimed, and neither decided nor tombstoned.
    Claimed(Claim),
    /// Decided, with its signed answer stored.
    Decided {
        /// The digest of the command that was decided.
        digest: Digest,
        /// What was decided.
        decision: Decision,
    },
    /// Will never be executed. The claim is there if the command came before the tombstone.
    Tombstoned(Option<Claim>),
    /// Tombstoned, and its command came: the signed refusal is stored.
    Refused(Claim),
}

impl Entry {
    /// Whether pruning may move the low-water mark past this id now. What is claimed is tombstoned or decided first.
    #[must_use]
    pub const fn may_be_pruned(&self) -> bool {
        !matches!(self, Self::Claimed(_))
    }
}

/// What was decided under an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// Of an authorise.
    Authorise {
        /// The answer that was given, which never changes.
        outcome: Outcome,
        /// Whether a reversal has undone it since.
        reversed: bool,
    },
    /// Of a reversal.
    Reversal(ReversalOutcome),
}

/// How an authorise ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The whole amount.
    Approved,
    /// A part of it, which the terminal had said it would take.
    Partial,
    /// Nothing.
    Declined,
}

/// How a reversal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReversalOutcome {
    /// The original had been approved, in whole or in part, and is undone.
    Reversed,
    /// The original had been undone before, by another reversal.
    AlreadyReversed,
    /// The original had been declined: there is nothing to undo.
    WasDeclined,
    /// The original had not been executed, and never will be.
    NeverExecuted,
    /// The original is no authorise.
    NotReversible,
    /// The original is below the low-water mark.
    TooOld,
}

impl ReversalOutcome {
    /// Whether the ledger moves.
    #[must_use]
    pub const fn has_effect(self) -> bool {
        matches!(self, Self::Reversed)
    }
}

/// The result of the look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Step {
    /// Send this. Nothing is to be written.
    Answer(Answer),
    /// Do this write, whatever the terminal's standing, then look up again.
    Write(Write),
    /// No answer is stored. Find out the terminal's standing and pass it in.
    Admit(Admit),
}

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The stored signed answer of the command's id, byte for byte.
    Stored,
    /// An error. It is not stored.
    Refuse(Refusal),
    /// The state of the original, signed anew.
    Status(Status),
    /// What balance or sign-on asked for, signed anew.
    Read,
}

/// Why a command is refused without a stored answer. Nothing was executed under it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The id is below the low-water mark. Whether it was executed before, this does not say.
    TooOld,
    /// The id belongs to a command with other bytes.
    ChangedRepeat,
    /// The original's id is not below the command's own.
    BadOriginal,
    /// The session is limited, and the command is no repeat, no status query and no renewal.
    LimitedSession,
    /// The terminal has been revoked, and the command is no repeat and no status query.
    Revoked,
}

/// What became of an original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It was not executed, and never will be.
    NeverExecuted,
    /// It was decided.
    Decided(Decision),
    /// It is below the low-water mark.
    TooOld,
}

/// The terminal's standing when a command is looked at that has no answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Its certificate is valid and not revoked.
    Full,
    /// Its certificate has expired within the grace time and is not revoked: repeats, status queries and renewal only.
    Limited,
    /// Its certificate has been revoked since the session began.
    Revoked,
}

/// One insert under a unique key. It wins or loses; either way the command is looked up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// Claim the command's id. Loses if the id is claimed or below the low-water mark.
    Claim(Claim),
    /// Take the original's claim, so that its command finds a tombstone. Loses as [`Write::Claim`] does.
    TombstoneUnseen,
    /// Take the original's decision. Loses if the decision is there.
    TombstoneClaimed,
    /// Store what was judged, with postings and signed answer. Loses if a decision or a tombstone is there.
    Decide(Outcome),
    /// Store a reversal's decision with its signed answer and, if it has an effect, its postings and the mark on the
    /// original, all or nothing. Loses if a decision or a tombstone is there or the original has been reversed.
    DecideReversal(ReversalOutcome),
    /// Store the signed refusal of a command that came after its tombstone. Loses if a refusal is there.
    Refuse(Claim),
}

/// What to do for a command that has no answer yet, once the standing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Next {
    /// Send this. Nothing is to be written.
    Answer(Answer),
    /// Do this write, then look up again.
    Write(Write),
    /// Judge the authorise by card, PIN, policy and ledger, and write [`Write::Decide`] with the outcome.
    Judge,
    /// Write [`Write::Decide`] with [`Outcome::Declined`] for this reason, unjudged: the command had been claimed when
    /// the terminal's standing was better.
    Decline(Refusal),
}

/// A command that was looked up and has no answer yet.
///
/// It exists only as the result of [`step`], so nobody can ask for the standing's consequences before the look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Admit(Pending);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pending {
    SignOn,
    New(Write),
    Judge,
    Read,
}

impl Admit {
    /// What to do, given the terminal's standing.
    pub const fn standing(self, standing: Standing) -> Next {
        let refusal = match standing {
            Standing::Full => {
                return match self.0 {
                    Pending::New(write) => Next::Write(write),
                    Pending::Judge => Next::Judge,
                    Pending::Read | Pending::SignOn => Next::Answer(Answer::Read),
                };
            }
            // Without it a terminal could not say what it repeats or renews.
            Standing::Limited if matches!(self.0, Pending::SignOn) => return Next::Answer(Answer::Read),
            Standing::Limited => Refusal::LimitedSession,
            Standing::Revoked => Refusal::Revoked,
        };
        match self.0 {
            Pending::New(_) | Pending::Read | Pending::SignOn => Next::Answer(Answer::Refuse(refusal)),
            Pending::Judge => Next::Decline(refusal),
        }
    }
}

/// Looks the command up and tells what comes next.
pub fn step(stored: &Stored, command: &Command) -> Step {
    match command.action {
        Action::Balance => Step::Admit(Admit(Pending::Read)),
        Action::SignOn => Step::Admit(Admit(Pending::SignOn)),
        Action::Status { original } => status(stored, command.id, original),
        Action::Authorise => match own_entry(stored, command, Kind::Authorise) {
            Own::Known(step) => step,
            Own::Undecided => Step::Admit(Admit(Pending::Judge)),
            Own::New(claim) => Step::Admit(Admit(Pending::New(Write::Claim(claim)))),
        },
        Action::Reversal { original } => reversal(stored, command, original),
    }
}

enum Own {
    Known(Step),
    Undecided,
    New(Claim),
}

/// The rules that depend on the command's own entry alone.
fn own_entry(stored: &Stored, command: &Command, kind: Kind) -> Own {
    let claim = Claim {
        kind,
        digest: command.digest,
    };
    if command.id < stored.low_water {
        return Own::Known(refuse(Refusal::TooOld));
    }
    // The digest covers the verb, so claims that differ in kind differ in digest.
    Own::Known(match stored.entry {
        Entry::Unseen => return Own::New(claim),
        Entry::Claimed(known) if known == claim => return Own::Undecided,
        Entry::Tombstoned(known) if known.is_none_or(|known| known == claim) => Step::Write(Write::Refuse(claim)),
        Entry::Refused(known) if known == claim => Step::Answer(Answer::Stored),
        Entry::Decided { digest, .. } if digest == claim.digest => Step::Answer(Answer::Stored),
        Entry::Claimed(_) | Entry::Tombstoned(_) | Entry::Refused(_) | Entry::Decided { .. } => {
            refuse(Refusal::ChangedRepeat)
        }
    })
}

fn reversal(stored: &Stored, command: &Command, original: TransactionId) -> Step {
    if original >= command.id {
        return refuse(Refusal::BadOriginal);
    }
    let pruned = original < stored.low_water;
    match own_entry(stored, command, Kind::Reversal) {
        Own::Known(step) => step,
        // The original's claim names the account in whose bucket the reversal will be decided: it must exist first.
        Own::New(_) if !pruned && stored.original == Entry::Unseen => {
            Step::Admit(Admit(Pending::New(Write::TombstoneUnseen)))
        }
        Own::New(claim) => Step::Admit(Admit(Pending::New(Write::Claim(claim)))),
        // Claimed when the standing was full; what gives the money back is not held up by what happened since.
        Own::Undecided if pruned => Step::Write(Write::DecideReversal(ReversalOutcome::TooOld)),
        Own::Undecided => Step::Write(decide_reversal(stored.original)),
    }
}

const fn decide_reversal(original: Entry) -> Write {
    Write::DecideReversal(match original {
        Entry::Unseen => return Write::TombstoneUnseen,
        Entry::Claimed(Claim {
            kind: Kind::Authorise, ..
        }) => return Write::TombstoneClaimed,
        Entry::Claimed(Claim {
            kind: Kind::Reversal, ..
        }) => ReversalOutcome::NotReversible,
        Entry::Tombstoned(_) | Entry::Refused(_) => ReversalOutcome::NeverExecuted,
        Entry::Decided { decision, .. } => match decision {
            Decision::Authorise { reversed: true, .. } => ReversalOutcome::AlreadyReversed,
            Decision::Authorise {
                outcome: Outcome::Declined,
                ..
            } => ReversalOutcome::WasDeclined,
            Decision::Authorise { .. } => ReversalOutcome::Reversed,
            Decision::Reversal(_) => ReversalOutcome::NotReversible,
        },
    })
}

fn status(stored: &Stored, id: TransactionId, original: TransactionId) -> Step {
    if original >= id {
        return refuse(Refusal::BadOriginal);
    }
    if original < stored.low_water {
        return Step::Answer(Answer::Status(Status::TooOld));
    }
    match stored.original {
        Entry::Unseen => Step::Write(Write::TombstoneUnseen),
        Entry::Claimed(_) => Step::Write(Write::TombstoneClaimed),
        Entry::Tombstoned(_) | Entry::Refused(_) => Step::Answer(Answer::Status(Status::NeverExecuted)),
        Entry::Decided { decision, .. } => Step::Answer(Answer::Status(Status::Decided(decision))),
    }
}

const fn refuse(refusal: Refusal) -> Step {
    Step::Answer(Answer::Refuse(refusal))
}

impl Stored {
    /// A terminal of which nothing is known.
    pub const EMPTY: Self = Self {
        low_water: TransactionId::MIN,
        entry: Entry::Unseen,
        original: Entry::Unseen,
    };

    /// The write's effect on the state, and whether it won. What lost changed nothing.
    ///
    /// This is what each write means: a store may use it in place of a second read inside one transaction, and a test
    /// or a model checker in place of a store. The low-water mark's part in it (a claim below the mark loses) is seen
    /// by [`step`] and is not repeated here: the mark is checked in the transaction that claims.
    pub fn apply(&mut self, write: Write) -> bool {
        match (write, self.entry, self.original) {
            (Write::Claim(claim), Entry::Unseen, _) => self.entry = Entry::Claimed(claim),
            (Write::TombstoneUnseen, _, Entry::Unseen) => self.original = Entry::Tombstoned(None),
            (Write::TombstoneClaimed, _, Entry::Claimed(claim)) => self.original = Entry::Tombstoned(Some(claim)),
            (
                Write::Decide(outcome),
                Entry::Claimed(Claim {
                    kind: Kind::Authorise,
                    digest,
                }),
                _,
            ) => {
                let decision = Decision::Authorise {
                    outcome,
                    reversed: false,
                };
                self.entry = Entry::Decided { digest, decision };
            }
            (
                Write::DecideReversal(outcome),
                Entry::Claimed(Claim {
                    kind: Kind::Reversal,
                    digest,
                }),
                original,
            ) => {
                if outcome.has_effect() {
                    let Some(undone) = undone(original) else {
                        return false;
                    };
                    self.original = undone;
                }
                self.entry = Entry::Decided {
                    digest,
                    decision: Decision::Reversal(outcome),
                };
            }
            (Write::Refuse(claim), Entry::Tombstoned(known), _) if known.is_none_or(|known| known == claim) => {
                self.entry = Entry::Refused(claim);
            }
            _ => return false,
        }
        true
    }
}

/// The entry of an approval after its reversal; `None` if it cannot be reversed.
const fn undone(original: Entry) -> Option<Entry> {
    match original {
        Entry::Decided {
            digest,
            decision:
                Decision::Authorise {
                    outcome: outcome @ (Outcome::Approved | Outcome::Partial),
                    reversed: false,
                },
        } => Some(Entry::Decided {
            digest,
            decision: Decision::Authorise {
                outcome,
                reversed: true,
            },
        }),
        _ => None,
    }
}
