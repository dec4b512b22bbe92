//! What somebody could do who writes into the opened database: sealed values moved about, books altered.

use rusqlite::Connection;
use tempfile::TempDir;
use tr_protocol::lifecycle::Standing;
use tr_protocol::value::{Currency, Digest, TransactionId};
use zeroize::Zeroizing;

use super::*;
use crate::engine::Authorise;
use crate::ledger::Edition;
use crate::store::seal::file_key;

const NOW: i64 = 1_795_000_000;

fn policy() -> Policy {
    let edition = Edition {
        from: "2020-01-01".parse().unwrap(),
        minimum: 1,
        per_transaction: 1_000,
        per_day: 10_000,
        credit_days: 30,
    };
    Policy::new(Currency::new("USD").unwrap(), "UTC", vec![edition]).unwrap()
}

fn key() -> DataKey {
    DataKey::new([3; 32])
}

fn open(dir: &TempDir) -> Sqlite {
    let path = dir.path().join("net.db");
    Sqlite::open(Options {
        path,
        key: key(),
        policy: policy(),
        create: true,
        max_bytes: None,
    })
    .unwrap()
}

fn uri(terminal: u8) -> String {
    format!("urn:uuid:00000000-0000-4000-8000-00000000000{terminal}")
}

fn pan(card: u8) -> Pan {
    Pan::new(&format!("999900000000000{card}")).unwrap()
}

fn sale(id: u64) -> (Submission, Sign) {
    let request = Request::Authorise(Authorise {
        amount: 100,
        currency: Currency::new("USD").unwrap(),
        partial: false,
        verdict: None,
        check_key_version: Some(1),
    });
    let mut digest = [0; 32];
    digest[0] = u8::try_from(id).unwrap();
    let command = Command {
        id: TransactionId::new(id).unwrap(),
        digest: Digest(digest),
        standing: Standing::Full,
        request,
    };
    let submission = Submission {
        terminal: uri(1),
        command,
        card: Some(pan(1)),
        evidence: b"signed command".to_vec(),
        now: NOW,
    };
    (submission, Box::new(move |_| Ok(format!("answer {id}").into_bytes())))
}

async fn filled(dir: &TempDir) -> Sqlite {
    let store = open(dir);
    let company = store.register_company("Acme").await.unwrap().account.number();
    let shop = store.register_shop("Corner").await.unwrap().account.number();
    let mut accounts = Vec::new();
    for card in [1, 2] {
        let issue = IssueCard {
            company,
            pan: pan(card),
            last_month: 2030 * 12,
            check_key_version: 1,
            currency: Currency::new("USD").unwrap(),
            now: NOW,
        };
        accounts.push((store.issue_card(issue).await.unwrap().account, 5_000));
    }
    for terminal in [1, 2] {
        let voucher = NewVoucher {
            reference: format!("V-{terminal}"),
            secret: Zeroizing::new(vec![terminal; 32]),
            expires: NOW + 60,
            uri: uri(terminal),
            role: "pos".to_owned(),
            shop: Some(shop),
        };
        store.register_voucher(voucher).await.unwrap();
    }
    let load = Load {
        reference: "one".to_owned(),
        company,
        credits: accounts,
        now: NOW,
    };
    store.load(load).await.unwrap();
    for id in [1, 2] {
        let (submission, sign) = sale(id);
        store.execute(submission, sign).await.unwrap();
    }
    store
}

/// Runs statements on the closed file, as somebody with its key could.
fn tamper(dir: &TempDir, sql: &str) {
    let connection = Connection::open(dir.path().join("net.db")).unwrap();
    let key: String = file_key(&key())
        .unwrap()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    connection
        .execute_batch(&format!("PRAGMA key = \"x'{key}'\"; {sql}"))
        .unwrap();
}

#[tokio::test]
async fn a_sealed_value_moved_to_another_row_or_column_is_refused() {
    // Each swaps or copies a sealed value; the read that follows must notice.
    let swaps = [
        "UPDATE decisions SET sealed_answer = (SELECT sealed_answer FROM decisions WHERE id = 2) WHERE id = 1",
        "UPDATE decisions SET sealed_answer = sealed_evidence WHERE id = 1",
        "UPDATE decisions SET sealed_evidence = sealed_answer WHERE id = 1",
    ];
    for swap in swaps {
        let dir = tempfile::tempdir().unwrap();
        filled(&dir).await.close().await.unwrap();
        tamper(&dir, swap);
        let store = open(&dir);
        let (submission, sign) = sale(1);
        let moved = store.execute(submission, sign).await;
        assert!(matches!(moved, Err(StoreError::Sealed { .. })), "{swap}: {moved:?}");
        let (submission, sign) = sale(2);
        let whole = store.execute(submission, sign).await.unwrap();
        assert_eq!(
            whole,
            Executed::Answered {
                answer: b"answer 2".to_vec(),
                repeated: true
            }
        );
    }
    let dir = tempfile::tempdir().unwrap();
    filled(&dir).await.close().await.unwrap();
    tamper(
        &dir,
        "UPDATE vouchers SET sealed_secret = sealed_uri;
         CREATE TABLE was_terminals AS SELECT * FROM terminals;
         UPDATE terminals SET sealed_uri = (SELECT t.sealed_uri FROM was_terminals t
           WHERE t.terminal_index <> terminals.terminal_index LIMIT 1);
         CREATE TABLE was_cards AS SELECT * FROM cards;
         UPDATE cards SET sealed_pan = (SELECT c.sealed_pan FROM was_cards c
           WHERE c.card_index <> cards.card_index LIMIT 1);
         CREATE TABLE was_parties AS SELECT * FROM parties;
         UPDATE parties SET sealed_name = (SELECT p.sealed_name FROM was_parties p WHERE p.party <> parties.party LIMIT 1);
         DROP TABLE was_terminals; DROP TABLE was_cards; DROP TABLE was_parties;",
    );
    let store = open(&dir);
    assert!(matches!(
        store.voucher("V-1").await,
        Err(StoreError::Sealed {
            column: "vouchers.secret"
        })
    ));
    assert!(matches!(store.terminal(&uri(1)).await, Err(StoreError::Sealed { .. })));
    assert!(matches!(
        store.card(pan(1)).await,
        Err(StoreError::Sealed { column: "cards.pan" })
    ));
    assert!(matches!(
        store.parties().await,
        Err(StoreError::Sealed { column: "parties.name" })
    ));
}

#[tokio::test]
async fn the_audit_finds_altered_books() {
    let alterations = [
        (
            "UPDATE postings SET amount = amount - 1 WHERE kind = 3 AND account_kind = 4",
            "does not sum to zero",
        ),
        ("UPDATE lots SET remaining = remaining - 1", "lot does not agree"),
        ("DELETE FROM lots", "a lot that is not there"),
        ("UPDATE spent SET amount = amount + 1", "day's spending"),
        ("UPDATE decisions SET amount = amount + 1", "another amount"),
    ];
    for (sql, expected) in alterations {
        let dir = tempfile::tempdir().unwrap();
        let store = filled(&dir).await;
        assert_eq!(store.audit().await.unwrap(), Vec::<String>::new());
        store.close().await.unwrap();
        tamper(&dir, sql);
        let found = open(&dir).audit().await.unwrap();
        assert!(found.iter().any(|line| line.contains(expected)), "{sql}: {found:?}");
    }
}

#[tokio::test]
async fn a_newer_format_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    filled(&dir).await.close().await.unwrap();
    tamper(&dir, "UPDATE meta SET value = 2 WHERE name = 'format'");
    let path = dir.path().join("net.db");
    let error = Sqlite::open(Options {
        path,
        key: key(),
        policy: policy(),
        create: true,
        max_bytes: None,
    })
    .unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error}");
}
