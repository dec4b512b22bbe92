//! Parties, cards, terminals, vouchers and certificates.

use rusqlite::params;
use tr_protocol::value::{Digest, TransactionId};
use zeroize::Zeroizing;

use super::super::seal::{Column, Index};
use super::super::{
    CardRecord, CertificateRecord, Enrolled, Enrolment, IssueCard, NewVoucher, Pan, Party, StoreError, TerminalRecord,
    VoucherRecord,
};
use super::Db;
use super::rows::{
    self, VERSION, bucket_of_index, bucket_of_number, currency_value, id_column, id_value, usable_column, usable_value,
};
use crate::engine::Usable;
use crate::ledger::Account;

/// A row limit as the engine takes it.
pub(super) fn limit_column(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// How often a number is drawn before the range counts as full: nine in ten taken, and it still fails once in 800.
const MAX_DRAWS: usize = 64;

/// A number for a new party or account: random, since sequences do not distribute; its bucket is its remainder. Nine
/// digits can be read over a telephone; `taken` tells which ones are given.
fn new_number(db: &Db, taken: &str) -> Result<i64, StoreError> {
    const LEAST: i64 = 100_000_000;
    const COUNT: i64 = 900_000_000;
    let mut bytes = [0; 8];
    for _ in 0..MAX_DRAWS {
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| StoreError::Crypto)?;
        let number = i64::from_be_bytes(bytes).rem_euclid(COUNT) + LEAST;
        let found = db.row(taken, params![bucket_of_number(number), number], |row| {
            row.get::<_, i64>(0)
        })?;
        if found.is_none() {
            return Ok(number);
        }
    }
    Err(StoreError::NoNumber)
}

pub(super) fn register_party(db: &Db, account: fn(i64) -> Account, name: &str) -> Result<Party, StoreError> {
    let number = new_number(db, "SELECT 1 FROM parties WHERE bucket = ?1 AND party = ?2")?;
    let account = account(number);
    let sealed = db
        .keys
        .seal(Column::PartyName, &number.to_be_bytes(), name.as_bytes())?;
    db.execute(
        "INSERT INTO parties (bucket, party, version, kind, sealed_name) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![bucket_of_number(number), number, VERSION, account.code(), sealed],
    )?;
    Ok(Party {
        account,
        name: name.to_owned(),
    })
}

pub(super) fn parties(db: &Db) -> Result<Vec<Party>, StoreError> {
    let rows: Vec<(i64, i64, Vec<u8>)> = db.rows(
        "SELECT kind, party, sealed_name FROM parties ORDER BY kind, party",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    rows.into_iter()
        .map(|(kind, number, sealed)| {
            let account = Account::from_code(kind, number).ok_or(StoreError::Malformed("a kind of party"))?;
            Ok(Party {
                account,
                name: open_name(db, number, &sealed)?,
            })
        })
        .collect()
}

fn open_name(db: &Db, number: i64, sealed: &[u8]) -> Result<String, StoreError> {
    text(&db.keys.open(Column::PartyName, &number.to_be_bytes(), sealed)?)
}

fn text(bytes: &[u8]) -> Result<String, StoreError> {
    core::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| StoreError::Malformed("a text"))
}

/// The name of a party of this kind; none if there is none.
pub(super) fn party_name(db: &Db, account: Account) -> Result<Option<String>, StoreError> {
    let number = account.number();
    let row: Option<Vec<u8>> = db.row(
        "SELECT sealed_name FROM parties WHERE bucket = ?1 AND party = ?2 AND kind = ?3",
        params![bucket_of_number(number), number, account.code()],
        |row| row.get(0),
    )?;
    row.map(|sealed| open_name(db, number, &sealed)).transpose()
}

pub(super) fn issue_card(db: &Db, issue: &IssueCard) -> Result<CardRecord, StoreError> {
    let wanted = |record: &CardRecord| {
        record.company == issue.company
            && record.last_month == issue.last_month
            && record.check_key_version == issue.check_key_version
            && record.currency == issue.currency
    };
    if let Some(record) = card(db, &issue.pan)? {
        return if wanted(&record) {
            Ok(record)
        } else {
            Err(StoreError::Exists("card"))
        };
    }
    if party_name(db, Account::Company(issue.company))?.is_none() {
        return Err(StoreError::Unknown("company"));
    }
    let account = new_number(db, "SELECT 1 FROM accounts WHERE bucket = ?1 AND account = ?2")?;
    let bucket = bucket_of_number(account);
    let index = db.keys.blind(Index::Card, issue.pan.digits()).0;
    db.execute(
        "INSERT INTO accounts (bucket, account, version, company, currency, status, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            bucket,
            account,
            VERSION,
            issue.company,
            issue.currency.as_str(),
            usable_column(Usable::Active),
            issue.now
        ],
    )?;
    db.execute(
        "INSERT INTO cards (bucket, card_index, version, account, sealed_pan, last_month, status, check_key_version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            bucket,
            index,
            VERSION,
            account,
            db.keys.seal(Column::CardPan, &index, issue.pan.digits())?,
            issue.last_month,
            usable_column(Usable::Active),
            issue.check_key_version,
        ],
    )?;
    db.execute(
        "INSERT INTO directory (bucket, card_index, version, account, account_bucket) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![bucket_of_index(&index), index, VERSION, account, bucket],
    )?;
    card(db, &issue.pan)?.ok_or(StoreError::Unknown("card"))
}

pub(super) fn card(db: &Db, pan: &Pan) -> Result<Option<CardRecord>, StoreError> {
    let Some(place) = rows::find_card(db, pan.digits())? else {
        return Ok(None);
    };
    type CardRow = (i64, String, i64, i64, i64, u32, Vec<u8>);
    let row: Option<CardRow> = db.row(
        "SELECT a.company, a.currency, a.status, c.status, c.last_month, c.check_key_version, c.sealed_pan
         FROM accounts a JOIN cards c ON c.bucket = a.bucket AND c.card_index = ?3
         WHERE a.bucket = ?1 AND a.account = ?2",
        params![place.bucket, place.account, place.card],
        |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
            ))
        },
    )?;
    let Some((company, currency, account_status, card_status, last_month, check_key_version, sealed)) = row else {
        return Err(StoreError::Malformed("a directory entry without its card"));
    };
    // The index found the row; that the row is this card's the sealed number proves.
    if **db.keys.open(Column::CardPan, &place.card, &sealed)? != *pan.digits() {
        return Err(StoreError::Malformed("a card under another card's index"));
    }
    let both = usable_value(account_status)? == Usable::Active && usable_value(card_status)? == Usable::Active;
    Ok(Some(CardRecord {
        account: place.account,
        company,
        status: if both { Usable::Active } else { Usable::Blocked },
        last_month,
        check_key_version,
        currency: currency_value(&currency)?,
    }))
}

pub(super) fn set_card_status(db: &Db, pan: &Pan, status: Usable) -> Result<CardRecord, StoreError> {
    let place = rows::find_card(db, pan.digits())?.ok_or(StoreError::Unknown("card"))?;
    db.execute(
        "UPDATE cards SET status = ?3 WHERE bucket = ?1 AND card_index = ?2",
        params![place.bucket, place.card, usable_column(status)],
    )?;
    card(db, pan)?.ok_or(StoreError::Unknown("card"))
}

pub(super) fn register_voucher(db: &Db, new: &NewVoucher) -> Result<(), StoreError> {
    let index = db.keys.blind(Index::Voucher, new.reference.as_bytes()).0;
    if voucher(db, &new.reference)?.is_some() {
        return Err(StoreError::Exists("voucher"));
    }
    if let Some(shop) = new.shop {
        register_terminal(db, &new.uri, shop)?;
    }
    db.execute(
        "INSERT INTO vouchers (bucket, voucher_index, version, sealed_secret, sealed_uri, role, shop, expires)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            bucket_of_index(&index),
            index,
            VERSION,
            db.keys.seal(Column::VoucherSecret, &index, &new.secret)?,
            db.keys.seal(Column::VoucherUri, &index, new.uri.as_bytes())?,
            new.role,
            new.shop,
            new.expires,
        ],
    )?;
    Ok(())
}

/// A terminal keeps its shop for life: what it sold is that shop's.
fn register_terminal(db: &Db, uri: &str, shop: i64) -> Result<(), StoreError> {
    if let Some(known) = terminal(db, uri)? {
        return if known.shop == shop {
            Ok(())
        } else {
            Err(StoreError::Exists("terminal"))
        };
    }
    if party_name(db, Account::Shop(shop))?.is_none() {
        return Err(StoreError::Unknown("shop"));
    }
    let index = db.keys.blind(Index::Terminal, uri.as_bytes()).0;
    db.execute(
        "INSERT INTO terminals (bucket, terminal_index, version, sealed_uri, shop, low_water, status)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            bucket_of_index(&index),
            index,
            VERSION,
            db.keys.seal(Column::TerminalUri, &index, uri.as_bytes())?,
            shop,
            id_column(TransactionId::MIN),
            usable_column(Usable::Active),
        ],
    )?;
    Ok(())
}

pub(super) fn voucher(db: &Db, reference: &str) -> Result<Option<VoucherRecord>, StoreError> {
    let index = db.keys.blind(Index::Voucher, reference.as_bytes()).0;
    type VoucherRow = (
        Vec<u8>,
        Vec<u8>,
        String,
        Option<i64>,
        i64,
        Option<[u8; 32]>,
        Option<Vec<u8>>,
    );
    let row: Option<VoucherRow> = db.row(
        "SELECT sealed_secret, sealed_uri, role, shop, expires, request, sealed_answer FROM vouchers
         WHERE bucket = ?1 AND voucher_index = ?2",
        params![bucket_of_index(&index), index],
        |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
            ))
        },
    )?;
    let Some((secret, uri, role, shop, expires, request, answer)) = row else {
        return Ok(None);
    };
    let open = |column, sealed: &[u8]| db.keys.open(column, &index, sealed);
    let used = match request.zip(answer) {
        Some((request, sealed)) => Some((
            Digest(request),
            core::mem::take(&mut *open(Column::VoucherAnswer, &sealed)?),
        )),
        None => None,
    };
    let secret: Zeroizing<Vec<u8>> = open(Column::VoucherSecret, &secret)?;
    Ok(Some(VoucherRecord {
        secret,
        expires,
        uri: text(&open(Column::VoucherUri, &uri)?)?,
        role,
        shop,
        used,
    }))
}

pub(super) fn enrol(db: &Db, enrolment: &Enrolment) -> Result<Enrolled, StoreError> {
    let Some(known) = voucher(db, &enrolment.reference)? else {
        return Ok(Enrolled::Unknown);
    };
    if enrolment.now >= known.expires {
        return Ok(Enrolled::Expired);
    }
    if let Some((request, answer)) = known.used {
        return Ok(if request == enrolment.request {
            Enrolled::Repeated(answer)
        } else {
            Enrolled::Used
        });
    }
    let index = db.keys.blind(Index::Voucher, enrolment.reference.as_bytes()).0;
    let sealed = db.keys.seal(Column::VoucherAnswer, &index, &enrolment.answer)?;
    db.execute(
        "UPDATE vouchers SET request = ?3, sealed_answer = ?4 WHERE bucket = ?1 AND voucher_index = ?2",
        params![bucket_of_index(&index), index, enrolment.request.0, sealed],
    )?;
    add_certificate(db, &enrolment.certificate)?;
    Ok(Enrolled::Stored(enrolment.answer.clone()))
}

pub(super) fn terminal(db: &Db, uri: &str) -> Result<Option<TerminalRecord>, StoreError> {
    let index = db.keys.blind(Index::Terminal, uri.as_bytes()).0;
    let row: Option<(Vec<u8>, i64, i64, i64)> = db.row(
        "SELECT sealed_uri, shop, low_water, status FROM terminals WHERE bucket = ?1 AND terminal_index = ?2",
        params![bucket_of_index(&index), index],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )?;
    let Some((sealed, shop, low_water, status)) = row else {
        return Ok(None);
    };
    let shop_name = party_name(db, Account::Shop(shop))?.ok_or(StoreError::Malformed("a terminal without its shop"))?;
    Ok(Some(TerminalRecord {
        uri: text(&db.keys.open(Column::TerminalUri, &index, &sealed)?)?,
        shop,
        shop_name,
        low_water: id_value(low_water)?,
        status: usable_value(status)?,
    }))
}

pub(super) fn set_terminal_status(db: &Db, uri: &str, status: Usable) -> Result<TerminalRecord, StoreError> {
    let index = db.keys.blind(Index::Terminal, uri.as_bytes()).0;
    db.execute(
        "UPDATE terminals SET status = ?3 WHERE bucket = ?1 AND terminal_index = ?2",
        params![bucket_of_index(&index), index, usable_column(status)],
    )?;
    terminal(db, uri)?.ok_or(StoreError::UnknownTerminal)
}

pub(super) fn add_certificate(db: &Db, new: &CertificateRecord) -> Result<(), StoreError> {
    if let Some(known) = certificate(db, &new.sha256)? {
        return if known.der == new.der {
            Ok(())
        } else {
            Err(StoreError::Exists("certificate"))
        };
    }
    db.execute(
        "INSERT INTO certificates (bucket, sha256, version, subject_index, sealed_subject, sealed_der, role, not_after,
         revoked) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            bucket_of_index(&new.sha256),
            new.sha256,
            VERSION,
            db.keys.blind(Index::Subject, new.subject.as_bytes()).0,
            db.keys
                .seal(Column::CertificateSubject, &new.sha256, new.subject.as_bytes())?,
            db.keys.seal(Column::CertificateDer, &new.sha256, &new.der)?,
            new.role,
            new.not_after,
            new.revoked,
        ],
    )?;
    Ok(())
}

pub(super) fn certificate(db: &Db, sha256: &[u8; 32]) -> Result<Option<CertificateRecord>, StoreError> {
    type CertificateRow = (Vec<u8>, Vec<u8>, String, i64, Option<i64>);
    let row: Option<CertificateRow> = db.row(
        "SELECT sealed_subject, sealed_der, role, not_after, revoked FROM certificates
         WHERE bucket = ?1 AND sha256 = ?2",
        params![bucket_of_index(sha256), sha256],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
    )?;
    let Some((subject, der, role, not_after, revoked)) = row else {
        return Ok(None);
    };
    Ok(Some(CertificateRecord {
        sha256: *sha256,
        der: core::mem::take(&mut *db.keys.open(Column::CertificateDer, sha256, &der)?),
        subject: text(&db.keys.open(Column::CertificateSubject, sha256, &subject)?)?,
        role,
        not_after,
        revoked,
    }))
}

pub(super) fn revoke_certificate(db: &Db, sha256: &[u8; 32], at: i64) -> Result<CertificateRecord, StoreError> {
    db.execute(
        "UPDATE certificates SET revoked = ?3 WHERE bucket = ?1 AND sha256 = ?2 AND revoked IS NULL",
        params![bucket_of_index(sha256), sha256, at],
    )?;
    certificate(db, sha256)?.ok_or(StoreError::Unknown("certificate"))
}

pub(super) fn next_issue_number(db: &Db) -> Result<u32, StoreError> {
    let number: Option<i64> = db.row(
        "UPDATE meta SET value = value + 1 WHERE bucket = 0 AND name = 'issue-number' RETURNING value",
        [],
        |row| row.get(0),
    )?;
    // 2³¹−1 is the last that a serial has room for.
    let number = number
        .and_then(|number| i32::try_from(number).ok())
        .and_then(|number| u32::try_from(number).ok());
    number.ok_or(StoreError::Malformed("an issue number"))
}
