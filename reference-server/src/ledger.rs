//! The ledger: a pure state machine over money, double entry, in integer minor units.
//!
//! Its one law: **every entry sums to zero, and no entry is ever changed.** An [`Entry`] can only be built balanced; a
//! reversal is a new entry with the exact opposite lines, so nothing is lost and nothing is made.
//!
//! Nothing here reads a clock, a file or a random number: the time is an argument, identities come from the caller.
//! What a sale may take is decided by [`assess`] from the card account's lots, what was spent today and the dated
//! [`Policy`] of the programme; the rules are listed in `docs/ledger.md`.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

mod assess;
mod entry;
mod funding;
mod policy;

pub use assess::{Assessment, CardState, Charge, Lot, Rule, Take, assess};
pub use entry::{Account, Cause, Entry, EntryKind, LotId, Posting};
pub use funding::{Funding, fund, home_leg};
pub use policy::{Day, Edition, Policy, month_number};
pub use tr_protocol::value::Currency;

/// Why the ledger refused; carries the values compared. Amounts are in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LedgerError {
    /// A sum left the range of `i64`.
    Overflow,
    /// An amount that must be above zero is not.
    NotPositive {
        /// The amount given.
        amount: i64,
    },
    /// The lines of an entry do not sum to zero.
    Unbalanced {
        /// What they sum to.
        sum: i64,
    },
    /// An entry needs at least two lines, none of them zero.
    EmptyLine,
    /// A card account's line without its lot, or another account's line with one.
    LotMissing,
    /// Only a sale can be reversed.
    NotReversible {
        /// The kind of the entry given.
        kind: EntryKind,
    },
    /// A reversal with an effect was to be decided and its sale was not loaded.
    SaleMissing,
    /// A currency code that is not three capital letters.
    CurrencyCode,
    /// The policy has no edition for this instant (Unix seconds).
    NoEdition {
        /// The instant asked for.
        now: i64,
    },
    /// An edition of the policy contradicts itself or repeats a date.
    BadEdition {
        /// The first day of the edition.
        from: jiff::civil::Date,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The time zone's name is not in the tz database.
    TimeZone {
        /// The name given.
        name: String,
    },
    /// An instant outside the calendar's range (Unix seconds).
    Instant {
        /// The instant given.
        at: i64,
    },
}

impl core::fmt::Display for LedgerError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Overflow => f.write_str("a sum of amounts leaves the range of 64 bits"),
            Self::NotPositive { amount } => write!(f, "the amount {amount} is not above zero"),
            Self::Unbalanced { sum } => write!(f, "the lines of the entry sum to {sum}, not to zero"),
            Self::EmptyLine => f.write_str("an entry needs two lines or more, none of them zero"),
            Self::LotMissing => f.write_str("lines of card accounts, and only these, name a credit lot"),
            Self::NotReversible { kind } => write!(f, "a {} entry cannot be reversed, only a sale", kind.name()),
            Self::SaleMissing => f.write_str("the sale to be reversed was not loaded"),
            Self::CurrencyCode => f.write_str("a currency is three capital letters (ISO 4217)"),
            Self::NoEdition { now } => write!(f, "no edition of the policy is in force at {now} (Unix seconds)"),
            Self::BadEdition { from, what } => write!(f, "the policy edition from {from}: {what}"),
            Self::TimeZone { name } => write!(f, "the time zone {name:?} is not in the tz database"),
            Self::Instant { at } => write!(f, "the instant {at} (Unix seconds) is outside the calendar"),
        }
    }
}

impl core::error::Error for LedgerError {}
