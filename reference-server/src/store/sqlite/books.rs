//! Loads, balances, postings and the audit.

use rusqlite::params;
use sha2::{Digest as _, Sha256};

use super::super::{LedgerLine, LedgerReport, Load, Loaded, PostingRecord, StoreError};
use super::rows::{self, VERSION, bucket_of_number, currency_value};
use super::{Db, directory};
use crate::ledger::{self, Account, Cause, EntryKind, Funding, LedgerError, LotId};

/// Company to transit in the company's bucket, then transit to each account in its own; every step may be repeated.
pub(super) fn load(db: &Db, load: &Load) -> Result<Loaded, StoreError> {
    let mut accounts: Vec<i64> = load.credits.iter().map(|(account, _)| *account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    if accounts.is_empty() || accounts.len() != load.credits.len() {
        return Err(StoreError::BadLoad);
    }
    if directory::party_name(db, Account::Company(load.company))?.is_none() {
        return Err(StoreError::Unknown("company"));
    }
    let currency = db.policy.currency();
    let expires = db.policy.credit_expiry(load.now)?;
    let amounts = load.credits.iter().map(|(_, amount)| *amount);
    let total = amounts
        .clone()
        .try_fold(0_i64, i64::checked_add)
        .ok_or(LedgerError::Overflow)?;
    let home_cause = cause(&[b"tr-net load 1", &load.company.to_be_bytes(), load.reference.as_bytes()]);
    let home = ledger::home_leg(home_cause, load.company, total, currency, load.now)?;
    let home_bucket = bucket_of_number(load.company);
    let before = rows::load_entry(db, home_bucket, home_cause, EntryKind::Load)?;
    if let Some(before) = &before {
        if before.postings() != home.postings() {
            return Err(StoreError::Exists("load"));
        }
    } else {
        rows::insert_entry(db, home_bucket, &home, None)?;
    }
    for (account, amount) in &load.credits {
        let cause = cause(&[b"tr-net credit 1", &home_cause.0, &account.to_be_bytes()]);
        let funding = ledger::fund(cause, *account, *amount, currency, expires, load.now)?;
        credit(db, *account, &funding, before.is_some())?;
    }
    Ok(Loaded {
        total,
        repeated: before.is_some(),
    })
}

fn credit(db: &Db, account: i64, funding: &Funding, repeated: bool) -> Result<(), StoreError> {
    let bucket = bucket_of_number(account);
    let known: Option<String> = db.row(
        "SELECT currency FROM accounts WHERE bucket = ?1 AND account = ?2",
        params![bucket, account],
        |row| row.get(0),
    )?;
    if known.as_deref() != Some(funding.entry.currency().as_str()) {
        return Err(StoreError::Unknown("account in this currency"));
    }
    if let Some(before) = rows::load_entry(db, bucket, funding.entry.cause(), EntryKind::Credit)? {
        return if before.postings() == funding.entry.postings() {
            Ok(())
        } else {
            Err(StoreError::Exists("load"))
        };
    }
    if repeated {
        // The same total over other accounts is another load.
        return Err(StoreError::Exists("load"));
    }
    rows::insert_entry(db, bucket, &funding.entry, None)?;
    db.execute(
        "INSERT INTO lots (bucket, account, lot, version, received, expires, granted, remaining)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
        params![
            bucket,
            account,
            funding.lot.id.0,
            VERSION,
            funding.lot.received,
            funding.lot.expires,
            funding.lot.remaining,
        ],
    )?;
    Ok(())
}

/// The first half of a SHA-256 over parts, each after its length.
fn cause(parts: &[&[u8]]) -> Cause {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    Cause(digest.first_chunk::<16>().copied().unwrap_or_default())
}

pub(super) fn ledger(db: &Db) -> Result<LedgerReport, StoreError> {
    let rows: Vec<(i64, i64, String, i64)> = db.rows(
        "SELECT account_kind, account, currency, SUM(amount) FROM postings
         GROUP BY account_kind, account, currency ORDER BY account_kind, account, currency",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )?;
    let accounts = rows
        .into_iter()
        .map(|(kind, number, currency, balance)| {
            let account = Account::from_code(kind, number).ok_or(StoreError::Malformed("a kind of account"))?;
            let name = directory::party_name(db, account)?;
            Ok(LedgerLine {
                account,
                name,
                currency: currency_value(&currency)?,
                balance,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let sum = accounts
        .iter()
        .map(|line| line.balance)
        .try_fold(0_i64, i64::checked_add)
        .ok_or(LedgerError::Overflow)?;
    let entries: Option<i64> = db.row("SELECT count(*) FROM postings WHERE line = 0", [], |row| row.get(0))?;
    let entries = entries.and_then(|entries| u64::try_from(entries).ok()).unwrap_or(0);
    Ok(LedgerReport { accounts, sum, entries })
}

pub(super) fn postings(db: &Db, limit: usize) -> Result<Vec<PostingRecord>, StoreError> {
    type PostingRow = ([u8; 16], i64, i64, i64, i64, Option<[u8; 16]>, i64, String, i64);
    let rows: Vec<PostingRow> = db.rows(
        "SELECT cause, kind, line, account_kind, account, lot, amount, currency, at FROM postings
         ORDER BY at DESC, cause, kind DESC, line LIMIT ?1",
        [directory::limit_column(limit)],
        |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
                row.get(7)?,
                row.get(8)?,
            ))
        },
    )?;
    rows.into_iter()
        .map(|(cause, kind, line, code, number, lot, amount, currency, at)| {
            Ok(PostingRecord {
                cause: Cause(cause),
                kind: EntryKind::from_code(kind).ok_or(StoreError::Malformed("a kind of entry"))?,
                line,
                account: Account::from_code(code, number).ok_or(StoreError::Malformed("a kind of account"))?,
                lot: lot.map(LotId),
                amount,
                currency: currency_value(&currency)?,
                at,
            })
        })
        .collect()
}

/// What must hold, each as a query that finds what breaks it.
const LAWS: [(&str, &str); 7] = [
    (
        "an entry does not sum to zero",
        "SELECT bucket, hex(cause) FROM postings GROUP BY bucket, cause, kind, currency HAVING SUM(amount) <> 0",
    ),
    (
        "a lot does not agree with its postings",
        "SELECT l.bucket, hex(l.lot) FROM lots l LEFT JOIN
           (SELECT bucket, account, lot, SUM(amount) AS amount FROM postings WHERE lot IS NOT NULL
            GROUP BY bucket, account, lot) p
           ON p.bucket = l.bucket AND p.account = l.account AND p.lot = l.lot
         WHERE l.remaining <> COALESCE(p.amount, 0)",
    ),
    (
        "a posting names a lot that is not there",
        "SELECT p.bucket, hex(p.lot) FROM postings p LEFT JOIN lots l
           ON l.bucket = p.bucket AND l.account = p.account AND l.lot = p.lot
         WHERE p.lot IS NOT NULL AND l.lot IS NULL",
    ),
    (
        "a card account is below zero",
        "SELECT bucket, account FROM postings WHERE account_kind = 3 GROUP BY bucket, account HAVING SUM(amount) < 0",
    ),
    (
        "a reversal has no sale",
        "SELECT r.bucket, hex(r.cause) FROM postings r LEFT JOIN postings s
           ON s.bucket = r.bucket AND s.cause = r.cause AND s.kind = 3 AND s.line = r.line AND s.amount = -r.amount
         WHERE r.kind = 4 AND s.cause IS NULL",
    ),
    (
        "the day's spending does not agree with the postings",
        "SELECT s.bucket, s.account FROM spent s LEFT JOIN
           (SELECT bucket, account, day, -SUM(amount) AS amount FROM postings
            WHERE account_kind = 3 AND day IS NOT NULL GROUP BY bucket, account, day) p
           ON p.bucket = s.bucket AND p.account = s.account AND p.day = s.day
         WHERE s.amount <> COALESCE(p.amount, 0)",
    ),
    (
        "an approval was paid another amount than it says",
        "SELECT d.bucket, d.id FROM decisions d
         WHERE d.kind = 1 AND d.amount <> (SELECT COALESCE(SUM(p.amount), 0) FROM postings p
           WHERE p.bucket = d.bucket AND p.cause = substr(d.digest, 1, 16) AND p.kind = 3 AND p.account_kind = 4)",
    ),
];

pub(super) fn audit(db: &Db) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for (law, sql) in LAWS {
        let rows = db.rows(sql, [], |row| {
            let place: i64 = row.get(0)?;
            let what: rusqlite::types::Value = row.get(1)?;
            Ok(format!("{law}: bucket {place}, {what:?}"))
        })?;
        found.extend(rows);
    }
    Ok(found)
}
