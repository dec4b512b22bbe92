//! Accounts, postings and the balanced entry.

use super::{Currency, LedgerError};

/// An account of the ledger. The number is the logical identity of the party, unique within its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// A company's funding account; below zero by what the company owes for the credit it loaded.
    Company(i64),
    /// Credit on its way from a company to card accounts; zero when no load is half done.
    Transit,
    /// A card account: the credit its holder can spend. Never below zero.
    Card(i64),
    /// What the network owes to a shop.
    Shop(i64),
    /// Who bears what was spent beyond the credit, offline or after the fact.
    Loss(i64),
}

impl Account {
    /// The kind as stored: a small number that never changes its meaning.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Company(_) => 1,
            Self::Transit => 2,
            Self::Card(_) => 3,
            Self::Shop(_) => 4,
            Self::Loss(_) => 5,
        }
    }

    /// The party's number; 0 for transit.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Company(n) | Self::Card(n) | Self::Shop(n) | Self::Loss(n) => n,
            Self::Transit => 0,
        }
    }

    /// The account of a stored kind and number.
    #[must_use]
    pub const fn from_code(code: i64, number: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Company(number)),
            2 => Some(Self::Transit),
            3 => Some(Self::Card(number)),
            4 => Some(Self::Shop(number)),
            5 => Some(Self::Loss(number)),
            _ => None,
        }
    }
}

impl core::fmt::Display for Account {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Company(n) => write!(f, "company {n:016x}"),
            Self::Transit => f.write_str("transit"),
            Self::Card(n) => write!(f, "card account {n:016x}"),
            Self::Shop(n) => write!(f, "shop {n:016x}"),
            Self::Loss(n) => write!(f, "loss bearer {n:016x}"),
        }
    }
}

/// What caused an entry: the first 16 octets of the digest of the command, or of the load and its receiver.
///
/// With the [`EntryKind`] it identifies the entry, so one cause has at most one sale and one reversal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cause(pub [u8; 16]);

/// A credit lot's identity: the cause of the entry that brought the credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LotId(pub [u8; 16]);

/// What an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntryKind {
    /// Company to transit, in the company's bucket.
    Load,
    /// Transit to one card account, in that account's bucket.
    Credit,
    /// Card account to shop.
    Sale,
    /// The exact opposite of a sale.
    Reversal,
}

impl EntryKind {
    /// The kind as stored: a small number that never changes its meaning.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Load => 1,
            Self::Credit => 2,
            Self::Sale => 3,
            Self::Reversal => 4,
        }
    }

    /// The kind of a stored number.
    #[must_use]
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Load),
            2 => Some(Self::Credit),
            3 => Some(Self::Sale),
            4 => Some(Self::Reversal),
            _ => None,
        }
    }

    /// The kind in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Credit => "credit",
            Self::Sale => "sale",
            Self::Reversal => "reversal",
        }
    }
}

/// One line of an entry: `amount` minor units into (above zero) or out of (below zero) the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Posting {
    /// The account.
    pub account: Account,
    /// The credit lot touched; named for card accounts and for no other.
    pub lot: Option<LotId>,
    /// Minor units, never zero.
    pub amount: i64,
}

/// A balanced set of postings. That one exists means that its lines sum to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    cause: Cause,
    kind: EntryKind,
    at: i64,
    currency: Currency,
    postings: Vec<Posting>,
}

impl Entry {
    /// Builds an entry, or says why its lines are none.
    ///
    /// # Errors
    /// [`LedgerError::EmptyLine`], [`LedgerError::LotMissing`], [`LedgerError::Overflow`], [`LedgerError::Unbalanced`].
    pub fn new(
        cause: Cause,
        kind: EntryKind,
        at: i64,
        currency: Currency,
        postings: Vec<Posting>,
    ) -> Result<Self, LedgerError> {
        if postings.len() < 2 || postings.iter().any(|line| line.amount == 0) {
            return Err(LedgerError::EmptyLine);
        }
        if postings
            .iter()
            .any(|line| matches!(line.account, Account::Card(_)) != line.lot.is_some())
        {
            return Err(LedgerError::LotMissing);
        }
        let sum = sum(postings.iter().map(|line| line.amount))?;
        if sum != 0 {
            return Err(LedgerError::Unbalanced { sum });
        }
        Ok(Self {
            cause,
            kind,
            at,
            currency,
            postings,
        })
    }

    /// The entry that undoes this sale: the same lines with opposite signs, so each lot gets back what it gave.
    ///
    /// # Errors
    /// [`LedgerError::NotReversible`] for anything but a sale, [`LedgerError::Overflow`].
    pub fn reversal(&self, at: i64) -> Result<Self, LedgerError> {
        if self.kind != EntryKind::Sale {
            return Err(LedgerError::NotReversible { kind: self.kind });
        }
        let postings = self
            .postings
            .iter()
            .map(|line| {
                Ok(Posting {
                    amount: line.amount.checked_neg().ok_or(LedgerError::Overflow)?,
                    ..*line
                })
            })
            .collect::<Result<Vec<_>, LedgerError>>()?;
        Self::new(self.cause, EntryKind::Reversal, at, self.currency, postings)
    }

    /// What caused it.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// What it records.
    #[must_use]
    pub const fn kind(&self) -> EntryKind {
        self.kind
    }

    /// When it was made, in Unix seconds.
    #[must_use]
    pub const fn at(&self) -> i64 {
        self.at
    }

    /// The currency of every line.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// The lines, in the order in which they are stored.
    #[must_use]
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }

    /// What left card accounts (above zero) or came back to them (below zero), in minor units.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`].
    pub fn spent(&self) -> Result<i64, LedgerError> {
        sum(self
            .postings
            .iter()
            .filter(|line| matches!(line.account, Account::Card(_)))
            .map(|line| line.amount))?
        .checked_neg()
        .ok_or(LedgerError::Overflow)
    }
}

/// The sum of amounts.
pub(super) fn sum(amounts: impl IntoIterator<Item = i64>) -> Result<i64, LedgerError> {
    amounts
        .into_iter()
        .try_fold(0_i64, i64::checked_add)
        .ok_or(LedgerError::Overflow)
}
