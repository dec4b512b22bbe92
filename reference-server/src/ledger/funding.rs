//! Loading credit: company to transit, then transit to each card account.

use super::{Account, Cause, Currency, Entry, EntryKind, LedgerError, Lot, LotId, Posting};

/// One account's share of a load: the balanced entry in the account's bucket, and the lot that it brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Funding {
    /// Transit to the card account.
    pub entry: Entry,
    /// The credit that came in.
    pub lot: Lot,
}

/// The company's side of a load: the whole amount from the company to transit, in the company's bucket.
///
/// # Errors
/// [`LedgerError::NotPositive`], [`LedgerError::Overflow`].
pub fn home_leg(cause: Cause, company: i64, total: i64, currency: Currency, at: i64) -> Result<Entry, LedgerError> {
    let out = opposite(total)?;
    let postings = vec![
        Posting {
            account: Account::Company(company),
            lot: None,
            amount: out,
        },
        Posting {
            account: Account::Transit,
            lot: None,
            amount: total,
        },
    ];
    Entry::new(cause, EntryKind::Load, at, currency, postings)
}

/// One card account's side of a load. The cause names load *and* account, so a repeat is the same entry and the same lot.
///
/// # Errors
/// [`LedgerError::NotPositive`], [`LedgerError::Overflow`].
pub fn fund(
    cause: Cause,
    account: i64,
    amount: i64,
    currency: Currency,
    expires: i64,
    at: i64,
) -> Result<Funding, LedgerError> {
    let out = opposite(amount)?;
    let id = LotId(cause.0);
    let postings = vec![
        Posting {
            account: Account::Transit,
            lot: None,
            amount: out,
        },
        Posting {
            account: Account::Card(account),
            lot: Some(id),
            amount,
        },
    ];
    let entry = Entry::new(cause, EntryKind::Credit, at, currency, postings)?;
    Ok(Funding {
        entry,
        lot: Lot {
            id,
            received: at,
            expires,
            remaining: amount,
        },
    })
}

fn opposite(amount: i64) -> Result<i64, LedgerError> {
    if amount <= 0 {
        return Err(LedgerError::NotPositive { amount });
    }
    amount.checked_neg().ok_or(LedgerError::Overflow)
}
