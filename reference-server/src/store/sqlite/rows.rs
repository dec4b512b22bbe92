//! The rows of one transaction: claim, decision, reversal, refusal, and the ledger rows beside them.

use rusqlite::{Row, params};
use tr_protocol::lifecycle::{self, Claim, Decision, Entry as Life, Kind, Outcome, ReversalOutcome};
use tr_protocol::value::{Digest, TransactionId};

use super::super::StoreError;
use super::super::seal::{Blind, Column, Index};
use super::Db;
use crate::engine::{Card, Effects, Sale, Seller, Usable};
use crate::ledger::{Account, CardState, Cause, Currency, Day, Entry, EntryKind, Lot, LotId, Posting};

/// The format of every row that this program writes.
pub(super) const VERSION: i64 = 1;
/// Buckets; fixed for ever, since accounts and indexes are spread over them.
pub(super) const BUCKETS: i64 = 64;

const TOMBSTONE: i64 = 0;
const AUTHORISE: i64 = 1;
const REVERSAL: i64 = 2;

/// The bucket of an index.
pub(super) fn bucket_of_index(index: &[u8]) -> i64 {
    index.first().map_or(0, |first| i64::from(*first).rem_euclid(BUCKETS))
}

/// The bucket of a party or account, fixed in its number when it was made.
pub(super) const fn bucket_of_number(number: i64) -> i64 {
    number.rem_euclid(BUCKETS)
}

/// A transaction id as stored.
pub(super) fn id_column(id: TransactionId) -> i64 {
    i64::try_from(id.get()).unwrap_or(i64::MAX)
}

/// A stored transaction id.
pub(super) fn id_value(stored: i64) -> Result<TransactionId, StoreError> {
    let id = u64::try_from(stored).ok().and_then(TransactionId::new);
    id.ok_or(StoreError::Malformed("a transaction id"))
}

pub(super) fn usable_value(stored: i64) -> Result<Usable, StoreError> {
    match stored {
        1 => Ok(Usable::Active),
        2 => Ok(Usable::Blocked),
        _ => Err(StoreError::Malformed("a status")),
    }
}

pub(super) const fn usable_column(status: Usable) -> i64 {
    match status {
        Usable::Active => 1,
        Usable::Blocked => 2,
    }
}

pub(super) fn currency_value(stored: &str) -> Result<Currency, StoreError> {
    Currency::new(stored).ok_or(StoreError::Malformed("a currency"))
}

fn kind_column(kind: Kind) -> i64 {
    match kind {
        Kind::Authorise => AUTHORISE,
        Kind::Reversal => REVERSAL,
    }
}

fn kind_value(stored: i64) -> Result<Kind, StoreError> {
    match stored {
        AUTHORISE => Ok(Kind::Authorise),
        REVERSAL => Ok(Kind::Reversal),
        _ => Err(StoreError::Malformed("a kind of command")),
    }
}

const OUTCOMES: [(i64, Outcome); 3] = [(1, Outcome::Approved), (2, Outcome::Partial), (3, Outcome::Declined)];
const REVERSED: [(i64, ReversalOutcome); 6] = [
    (1, ReversalOutcome::Reversed),
    (2, ReversalOutcome::AlreadyReversed),
    (3, ReversalOutcome::WasDeclined),
    (4, ReversalOutcome::NeverExecuted),
    (5, ReversalOutcome::NotReversible),
    (6, ReversalOutcome::TooOld),
];

fn column_of<T: PartialEq + Copy>(table: &[(i64, T)], value: T) -> i64 {
    table
        .iter()
        .find(|(_, known)| *known == value)
        .map_or(0, |(column, _)| *column)
}

fn value_of<T: PartialEq + Copy>(table: &[(i64, T)], stored: i64) -> Result<T, StoreError> {
    let found = table
        .iter()
        .find(|(column, _)| *column == stored)
        .map(|(_, value)| *value);
    found.ok_or(StoreError::Malformed("an outcome"))
}

/// A registered terminal, as far as a command needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    pub(super) index: Blind,
    pub(super) bucket: i64,
    pub(super) low_water: TransactionId,
    pub(super) seller: Seller,
}

impl Terminal {
    pub(super) fn load(db: &Db, uri: &str) -> Result<Self, StoreError> {
        let index = db.keys.blind(Index::Terminal, uri.as_bytes());
        let bucket = bucket_of_index(&index.0);
        let row = db.row(
            "SELECT shop, low_water, status FROM terminals WHERE bucket = ?1 AND terminal_index = ?2",
            params![bucket, index.0],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let (shop, low_water, status) = row.ok_or(StoreError::UnknownTerminal)?;
        let seller = Seller {
            shop,
            status: usable_value(status)?,
        };
        Ok(Self {
            index,
            bucket,
            low_water: id_value(low_water)?,
            seller,
        })
    }
}

/// Where a command's money is: the account of its card.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) account: i64,
    pub(super) bucket: i64,
    pub(super) card: [u8; 16],
}

/// What is stored of one (terminal, id).
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) id: TransactionId,
    pub(super) life: Life,
    /// The account that the claim names.
    pub(super) place: Option<Place>,
    /// The bucket in which the id is decided, or was tombstoned.
    pub(super) bucket: i64,
    /// The amount decided.
    pub(super) amount: i64,
    /// The day whose spending it counted in.
    pub(super) day: Option<Day>,
}

impl Known {
    /// Loads what is stored of an id.
    pub(super) fn load(db: &Db, terminal: &Terminal, id: TransactionId) -> Result<Self, StoreError> {
        let unseen = Self {
            id,
            life: Life::Unseen,
            place: None,
            bucket: terminal.bucket,
            amount: 0,
            day: None,
        };
        let claim = db.row(
            "SELECT kind, digest, account, account_bucket, card_index FROM claims
             WHERE bucket = ?1 AND terminal_index = ?2 AND id = ?3",
            params![terminal.bucket, terminal.index.0, id_column(id)],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<[u8; 32]>>(1)?, place(row)?)),
        )?;
        let Some((kind, digest, place)) = claim else {
            return Ok(unseen);
        };
        let Some(digest) = digest else {
            let life = refused(db, terminal, terminal.bucket, id)?.map_or(Life::Tombstoned(None), Life::Refused);
            return Ok(Self { life, ..unseen });
        };
        let claim = Claim {
            kind: kind_value(kind)?,
            digest: Digest(digest),
        };
        let bucket = place.map_or(terminal.bucket, |place| place.bucket);
        Self {
            place,
            bucket,
            life: Life::Claimed(claim),
            ..unseen
        }
        .with_decision(db, terminal, claim)
    }

    fn with_decision(mut self, db: &Db, terminal: &Terminal, claim: Claim) -> Result<Self, StoreError> {
        let row = db.row(
            "SELECT d.kind, d.outcome, d.amount, d.day, r.reversed_by FROM decisions d LEFT JOIN reversals r
             ON r.bucket = d.bucket AND r.terminal_index = d.terminal_index AND r.id = d.id
             WHERE d.bucket = ?1 AND d.terminal_index = ?2 AND d.id = ?3",
            params![self.bucket, terminal.index.0, id_column(self.id)],
            |row| {
                let reversed: Option<i64> = row.get(4)?;
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get(2)?,
                    row.get::<_, Option<i64>>(3)?,
                    reversed.is_some(),
                ))
            },
        )?;
        let Some((kind, outcome, amount, day, reversed)) = row else {
            return Ok(self);
        };
        let decision = match kind {
            TOMBSTONE => {
                let tombstone = Life::Tombstoned(Some(claim));
                self.life = refused(db, terminal, self.bucket, self.id)?.map_or(tombstone, Life::Refused);
                return Ok(self);
            }
            AUTHORISE => Decision::Authorise {
                outcome: value_of(&OUTCOMES, outcome)?,
                reversed,
            },
            REVERSAL => Decision::Reversal(value_of(&REVERSED, outcome)?),
            _ => return Err(StoreError::Malformed("a kind of decision")),
        };
        self.life = Life::Decided {
            digest: claim.digest,
            decision,
        };
        self.amount = amount;
        self.day = day.map(Day);
        Ok(self)
    }
}

fn place(row: &Row<'_>) -> rusqlite::Result<Option<Place>> {
    let account: Option<i64> = row.get(2)?;
    let bucket: Option<i64> = row.get(3)?;
    let card: Option<[u8; 16]> = row.get(4)?;
    Ok(account
        .zip(bucket)
        .zip(card)
        .map(|((account, bucket), card)| Place { account, bucket, card }))
}

fn refused(db: &Db, terminal: &Terminal, bucket: i64, id: TransactionId) -> Result<Option<Claim>, StoreError> {
    let row = db.row(
        "SELECT kind, digest FROM refusals WHERE bucket = ?1 AND terminal_index = ?2 AND id = ?3",
        params![bucket, terminal.index.0, id_column(id)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    row.map(|(kind, digest)| {
        Ok(Claim {
            kind: kind_value(kind)?,
            digest: Digest(digest),
        })
    })
    .transpose()
}

/// The logical id of a sealed column of one transaction.
fn seal_id(terminal: &Terminal, id: TransactionId) -> [u8; 24] {
    let mut out = [0; 24];
    let (index, number) = out.split_at_mut(16);
    index.copy_from_slice(&terminal.index.0);
    number.copy_from_slice(&id.get().to_be_bytes());
    out
}

/// What proves a decision.
pub(super) struct Proof {
    /// The signed command.
    pub(super) evidence: Vec<u8>,
    /// The signed answer.
    pub(super) answer: Vec<u8>,
}

/// The evidence and the signed answer of an id that has its answer.
pub(super) fn proof(db: &Db, terminal: &Terminal, known: &Known) -> Result<Option<Proof>, StoreError> {
    let (sql, evidence, answer) = match known.life {
        Life::Decided { .. } => (
            "SELECT sealed_evidence, sealed_answer FROM decisions
             WHERE bucket = ?1 AND terminal_index = ?2 AND id = ?3",
            Column::DecisionEvidence,
            Column::DecisionAnswer,
        ),
        Life::Refused(_) => (
            "SELECT sealed_evidence, sealed_answer FROM refusals
             WHERE bucket = ?1 AND terminal_index = ?2 AND id = ?3",
            Column::RefusalEvidence,
            Column::RefusalAnswer,
        ),
        Life::Unseen | Life::Claimed(_) | Life::Tombstoned(_) => return Ok(None),
    };
    let row: Option<(Vec<u8>, Vec<u8>)> = db.row(
        sql,
        params![known.bucket, terminal.index.0, id_column(known.id)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (sealed_evidence, sealed_answer) = row.ok_or(StoreError::Malformed("a decision without its answer"))?;
    let id = seal_id(terminal, known.id);
    let open = |column, sealed: &[u8]| Ok::<_, StoreError>(core::mem::take(&mut *db.keys.open(column, &id, sealed)?));
    Ok(Some(Proof {
        evidence: open(evidence, &sealed_evidence)?,
        answer: open(answer, &sealed_answer)?,
    }))
}

/// What became of an id, in words: kind, digest, outcome.
pub(super) fn words(known: &Known) -> (&'static str, Option<Digest>, &'static str) {
    const fn kind(kind: Kind) -> &'static str {
        match kind {
            Kind::Authorise => "authorise",
            Kind::Reversal => "reversal",
        }
    }
    match known.life {
        Life::Unseen => ("unseen", None, "unseen"),
        Life::Claimed(claim) => (kind(claim.kind), Some(claim.digest), "claimed"),
        Life::Tombstoned(None) => ("tombstone", None, "never-executed"),
        Life::Tombstoned(Some(claim)) | Life::Refused(claim) => {
            (kind(claim.kind), Some(claim.digest), "never-executed")
        }
        Life::Decided {
            digest,
            decision: Decision::Authorise { outcome, .. },
        } => {
            let word = match outcome {
                Outcome::Approved => "approved",
                Outcome::Partial => "partial",
                Outcome::Declined => "declined",
            };
            ("authorise", Some(digest), word)
        }
        Life::Decided {
            digest,
            decision: Decision::Reversal(outcome),
        } => {
            let word = match outcome {
                ReversalOutcome::Reversed => "reversed",
                ReversalOutcome::AlreadyReversed => "already-reversed",
                ReversalOutcome::WasDeclined => "was-declined",
                ReversalOutcome::NeverExecuted => "never-executed",
                ReversalOutcome::NotReversible => "not-reversible",
                ReversalOutcome::TooOld => "too-old",
            };
            ("reversal", Some(digest), word)
        }
    }
}

/// When an id was decided or claimed, and what it is tied to.
pub(super) struct Dates {
    /// Unix seconds.
    pub(super) at: i64,
    /// The original of a reversal.
    pub(super) original: Option<i64>,
    /// The reversal of an approval.
    pub(super) reversed_by: Option<i64>,
}

/// Loads the dates of an id; none if nothing is known of it.
pub(super) fn dates(db: &Db, terminal: &Terminal, known: &Known) -> Result<Option<Dates>, StoreError> {
    let decided = db.row(
        "SELECT d.at, d.original, r.reversed_by FROM decisions d LEFT JOIN reversals r
         ON r.bucket = d.bucket AND r.terminal_index = d.terminal_index AND r.id = d.id
         WHERE d.bucket = ?1 AND d.terminal_index = ?2 AND d.id = ?3",
        params![known.bucket, terminal.index.0, id_column(known.id)],
        |row| {
            Ok(Dates {
                at: row.get(0)?,
                original: row.get(1)?,
                reversed_by: row.get(2)?,
            })
        },
    )?;
    if decided.is_some() {
        return Ok(decided);
    }
    Ok(db.row(
        "SELECT at FROM claims WHERE bucket = ?1 AND terminal_index = ?2 AND id = ?3",
        params![terminal.bucket, terminal.index.0, id_column(known.id)],
        |row| {
            Ok(Dates {
                at: row.get(0)?,
                original: None,
                reversed_by: None,
            })
        },
    )?)
}

/// [`lifecycle::Write::Claim`] and, without a claim, [`lifecycle::Write::TombstoneUnseen`].
pub(super) fn insert_claim(
    db: &Db,
    terminal: &Terminal,
    id: TransactionId,
    claim: Option<Claim>,
    place: Option<Place>,
    now: i64,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO claims (bucket, terminal_index, id, version, kind, digest, account, account_bucket, card_index, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            terminal.bucket,
            terminal.index.0,
            id_column(id),
            VERSION,
            claim.map_or(TOMBSTONE, |claim| kind_column(claim.kind)),
            claim.map(|claim| claim.digest.0),
            place.map(|place| place.account),
            place.map(|place| place.bucket),
            place.map(|place| place.card),
            now,
        ],
    )?;
    Ok(())
}

/// [`lifecycle::Write::TombstoneClaimed`].
pub(super) fn insert_tombstone(db: &Db, terminal: &Terminal, known: &Known, now: i64) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO decisions (bucket, terminal_index, id, version, kind, outcome, amount, at)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6)",
        params![
            known.bucket,
            terminal.index.0,
            id_column(known.id),
            VERSION,
            TOMBSTONE,
            now
        ],
    )?;
    Ok(())
}

/// What goes into the row of a decision beside its keys.
pub(super) struct NewDecision<'a> {
    pub(super) write: lifecycle::Write,
    pub(super) digest: Digest,
    pub(super) amount: i64,
    pub(super) original: Option<TransactionId>,
    pub(super) day: Option<Day>,
    pub(super) evidence: &'a [u8],
    pub(super) answer: &'a [u8],
    pub(super) now: i64,
}

/// [`lifecycle::Write::Decide`] and [`lifecycle::Write::DecideReversal`], without their ledger rows.
pub(super) fn insert_decision(
    db: &Db,
    terminal: &Terminal,
    known: &Known,
    new: &NewDecision<'_>,
) -> Result<(), StoreError> {
    let (kind, outcome) = match new.write {
        lifecycle::Write::Decide(outcome) => (AUTHORISE, column_of(&OUTCOMES, outcome)),
        lifecycle::Write::DecideReversal(outcome) => (REVERSAL, column_of(&REVERSED, outcome)),
        _ => return Err(StoreError::Malformed("a decision that is none")),
    };
    let id = seal_id(terminal, known.id);
    db.execute(
        "INSERT INTO decisions (bucket, terminal_index, id, version, kind, digest, outcome, amount, original, day, at,
         sealed_evidence, sealed_answer) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            known.bucket,
            terminal.index.0,
            id_column(known.id),
            VERSION,
            kind,
            new.digest.0,
            outcome,
            new.amount,
            new.original.map(id_column),
            new.day.map(|day| day.0),
            new.now,
            db.keys.seal(Column::DecisionEvidence, &id, new.evidence)?,
            db.keys.seal(Column::DecisionAnswer, &id, new.answer)?,
        ],
    )?;
    Ok(())
}

/// The mark that an approval has been reversed; its unique key lets one reversal win.
pub(super) fn insert_reversal(
    db: &Db,
    terminal: &Terminal,
    original: &Known,
    by: TransactionId,
) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO reversals (bucket, terminal_index, id, version, reversed_by) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            original.bucket,
            terminal.index.0,
            id_column(original.id),
            VERSION,
            id_column(by)
        ],
    )?;
    Ok(())
}

/// [`lifecycle::Write::Refuse`].
pub(super) fn insert_refusal(
    db: &Db,
    terminal: &Terminal,
    known: &Known,
    claim: Claim,
    evidence: &[u8],
    answer: &[u8],
    now: i64,
) -> Result<(), StoreError> {
    let id = seal_id(terminal, known.id);
    db.execute(
        "INSERT INTO refusals (bucket, terminal_index, id, version, kind, digest, at, sealed_evidence, sealed_answer)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            known.bucket,
            terminal.index.0,
            id_column(known.id),
            VERSION,
            kind_column(claim.kind),
            claim.digest.0,
            now,
            db.keys.seal(Column::RefusalEvidence, &id, evidence)?,
            db.keys.seal(Column::RefusalAnswer, &id, answer)?,
        ],
    )?;
    Ok(())
}

/// Where a card's account lives.
pub(super) fn find_card(db: &Db, pan: &[u8]) -> Result<Option<Place>, StoreError> {
    let card = db.keys.blind(Index::Card, pan).0;
    Ok(db.row(
        "SELECT account, account_bucket FROM directory WHERE bucket = ?1 AND card_index = ?2",
        params![bucket_of_index(&card), card],
        |row| {
            Ok(Place {
                account: row.get(0)?,
                bucket: row.get(1)?,
                card,
            })
        },
    )?)
}

/// A card with its account as it stands on a day.
pub(super) fn load_card(db: &Db, place: &Place, day: Day) -> Result<Option<Card>, StoreError> {
    let row: Option<(String, i64, i64, i64, u32)> = db.row(
        "SELECT a.currency, a.status, c.status, c.last_month, c.check_key_version FROM accounts a JOIN cards c
         ON c.bucket = a.bucket AND c.card_index = ?3 WHERE a.bucket = ?1 AND a.account = ?2",
        params![place.bucket, place.account, place.card],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
    )?;
    let Some((currency, account_status, card_status, last_month, check_key_version)) = row else {
        return Ok(None);
    };
    let lots = db.rows(
        "SELECT lot, received, expires, remaining FROM lots WHERE bucket = ?1 AND account = ?2 AND remaining > 0",
        params![place.bucket, place.account],
        |row| {
            Ok(Lot {
                id: LotId(row.get(0)?),
                received: row.get(1)?,
                expires: row.get(2)?,
                remaining: row.get(3)?,
            })
        },
    )?;
    let spent = db.row(
        "SELECT amount FROM spent WHERE bucket = ?1 AND account = ?2 AND day = ?3",
        params![place.bucket, place.account, day.0],
        |row| row.get(0),
    )?;
    let both = usable_value(account_status)? == Usable::Active && usable_value(card_status)? == Usable::Active;
    let state = CardState {
        account: place.account,
        currency: currency_value(&currency)?,
        lots,
        spent_today: spent.unwrap_or(0),
    };
    Ok(Some(Card {
        status: if both { Usable::Active } else { Usable::Blocked },
        last_month,
        check_key_version,
        state,
    }))
}

/// The sale of an approval, for its reversal.
pub(super) fn load_sale(db: &Db, known: &Known) -> Result<Option<Sale>, StoreError> {
    let (Life::Decided { digest, .. }, Some(day)) = (known.life, known.day) else {
        return Ok(None);
    };
    let Some(cause) = digest.0.first_chunk::<16>() else {
        return Ok(None);
    };
    let entry = load_entry(db, known.bucket, Cause(*cause), EntryKind::Sale)?;
    Ok(entry.map(|entry| Sale { entry, day }))
}

/// An entry by its cause and kind.
pub(super) fn load_entry(db: &Db, bucket: i64, cause: Cause, kind: EntryKind) -> Result<Option<Entry>, StoreError> {
    type Line = (i64, i64, Option<[u8; 16]>, i64, String, i64);
    let lines: Vec<Line> = db.rows(
        "SELECT account_kind, account, lot, amount, currency, at FROM postings
         WHERE bucket = ?1 AND cause = ?2 AND kind = ?3 ORDER BY line",
        params![bucket, cause.0, kind.code()],
        |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
            ))
        },
    )?;
    let Some((_, _, _, _, currency, at)) = lines.first() else {
        return Ok(None);
    };
    let (currency, at) = (currency_value(currency)?, *at);
    let postings = lines
        .into_iter()
        .map(|(code, number, lot, amount, _, _)| {
            let account = Account::from_code(code, number).ok_or(StoreError::Malformed("a kind of account"))?;
            Ok(Posting {
                account,
                lot: lot.map(LotId),
                amount,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Some(Entry::new(cause, kind, at, currency, postings)?))
}

/// Appends an entry's postings. `day` is the day in whose spending they count, if they do.
pub(super) fn insert_entry(db: &Db, bucket: i64, entry: &Entry, day: Option<Day>) -> Result<(), StoreError> {
    let mut statement = db.sql.prepare_cached(
        "INSERT INTO postings (bucket, cause, kind, line, version, account_kind, account, lot, amount, currency, day,
         at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    for (line, posting) in (0_i64..).zip(entry.postings()) {
        statement.execute(params![
            bucket,
            entry.cause().0,
            entry.kind().code(),
            line,
            VERSION,
            posting.account.code(),
            posting.account.number(),
            posting.lot.map(|lot| lot.0),
            posting.amount,
            entry.currency().as_str(),
            day.map(|day| day.0),
            entry.at(),
        ])?;
    }
    Ok(())
}

/// Does a decision's changes to the ledger: postings, lots, and the day's spending.
pub(super) fn apply_effects(db: &Db, bucket: i64, effects: &Effects) -> Result<(), StoreError> {
    insert_entry(db, bucket, &effects.entry, Some(effects.spent.0))?;
    let account = effects.entry.postings().iter().find_map(|line| match line.account {
        Account::Card(account) => Some(account),
        _ => None,
    });
    let account = account.ok_or(StoreError::Malformed("a sale without a card account"))?;
    for (lot, change) in &effects.lots {
        let changed = db.execute(
            "UPDATE lots SET remaining = remaining + ?4 WHERE bucket = ?1 AND account = ?2 AND lot = ?3",
            params![bucket, account, lot.0, change],
        )?;
        if changed != 1 {
            return Err(StoreError::Malformed("a sale from a lot that is not there"));
        }
    }
    let (day, amount) = effects.spent;
    // A reversal takes off what its sale put there, so the row exists.
    let sql = if amount < 0 {
        "UPDATE spent SET amount = amount + ?4 WHERE bucket = ?1 AND account = ?2 AND day = ?3"
    } else {
        "INSERT INTO spent (bucket, account, day, amount) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (bucket, account, day) DO UPDATE SET amount = amount + excluded.amount"
    };
    match db.execute(sql, params![bucket, account, day.0, amount])? {
        1 => Ok(()),
        _ => Err(StoreError::Malformed("a reversal on a day without spending")),
    }
}
