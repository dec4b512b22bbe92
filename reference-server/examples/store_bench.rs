//! Durable authorisations a second: the embedded store with all its rules, beside bare SQLCipher running the same
//! statements, in groups of 1 and 128, in one run.
//!
//! `cargo run --release -p tr-net --example store_bench [-- SECONDS]`

use core::time::Duration;
use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rusqlite::{Connection, params};
use tr_net::engine::{Authorise, Command, Request};
use tr_net::ledger::{Currency, Edition, Policy};
use tr_net::store::{
    DataKey, Executed, GROUP, IssueCard, Load, NewVoucher, Options, Pan, Sign, Sqlite, Store, Submission,
};
use tr_protocol::lifecycle::Standing;
use tr_protocol::value::{Digest, TransactionId};
use zeroize::Zeroizing;

type Failure = Box<dyn core::error::Error>;

const CARDS: u64 = 1_000;
const TERMINALS: u64 = 64;
/// About what a signed authorise and its answer take.
const EVIDENCE: usize = 520;
const ANSWER: usize = 480;
const NOW: i64 = 1_795_000_000;

fn main() -> Result<(), Failure> {
    let seconds = std::env::args().nth(1).map_or(Ok(4), |text| text.parse())?;
    let span = Duration::from_secs(seconds);
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let signer = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    // Alternating, so that a disk that slows down slows both.
    let mut best = [0.0_f64; 5];
    for round in 0..3 {
        let bare = dir.path().join(format!("bare-{round}.db"));
        let full = dir.path().join(format!("store-{round}.db"));
        let mut bare = Bare::new(&bare)?;
        let full = runtime.block_on(Full::new(&full))?;
        let mut rates = [0.0; 5];
        rates[0] = bare.run(1, span)?;
        rates[1] = runtime.block_on(full.run(1, span, None))?;
        rates[2] = bare.run(GROUP, span)?;
        rates[3] = runtime.block_on(full.run(2 * GROUP, span, None))?;
        rates[4] = runtime.block_on(full.run(2 * GROUP, span, Some(&signer)))?;
        for (best, rate) in best.iter_mut().zip(rates) {
            *best = best.max(rate);
        }
        runtime.block_on(full.store.close())?;
    }
    let lines = [
        ("bare SQLCipher, groups of 1", best[0], best[0]),
        ("store, one at a time", best[1], best[0]),
        ("bare SQLCipher, groups of 128", best[2], best[2]),
        ("store, groups of up to 128", best[3], best[2]),
        ("store, groups, each answer signed (P-256)", best[4], best[2]),
    ];
    for (name, rate, base) in lines {
        #[allow(clippy::print_stdout, reason = "an example that prints its result")]
        {
            println!("{name:<44} {rate:>9.0} /s   {:.2} of bare", rate / base);
        }
    }
    Ok(())
}

fn policy() -> Result<Policy, Failure> {
    let plenty = 1_000_000_000_000;
    let from = "2020-01-01".parse()?;
    let edition = Edition {
        from,
        minimum: 1,
        per_transaction: plenty,
        per_day: plenty,
        credit_days: 365,
    };
    Ok(Policy::new(usd()?, "Europe/Bucharest", vec![edition])?)
}

fn usd() -> Result<Currency, Failure> {
    Currency::new("USD").ok_or_else(|| "currency".into())
}

/// A fixed walk over cards, so that both sides touch the same rows.
fn card_of(sale: u64) -> u64 {
    sale.wrapping_mul(7_919) % CARDS
}

fn digest_of(sale: u64) -> [u8; 32] {
    let mut digest = [0; 32];
    for (word, chunk) in (1_u64..).zip(digest.chunks_exact_mut(8)) {
        let mixed = sale.wrapping_add(word << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        chunk.copy_from_slice(
            &(mixed ^ (mixed >> 29))
                .wrapping_mul(0xBF58_476D_1CE4_E5B9)
                .to_be_bytes(),
        );
    }
    digest
}

/// The store, as the backend uses it.
struct Full {
    store: Sqlite,
    pans: Vec<Pan>,
    uris: Vec<String>,
    next: core::cell::Cell<u64>,
}

impl Full {
    async fn new(path: &Path) -> Result<Self, Failure> {
        let options = Options {
            path: path.to_owned(),
            key: DataKey::new([1; 32]),
            policy: policy()?,
            create: true,
            max_bytes: None,
        };
        let store = Sqlite::open(options)?;
        let company = store.register_company("Acme").await?.account.number();
        let shop = store.register_shop("Corner").await?.account.number();
        let (mut pans, mut uris, mut credits) = (Vec::new(), Vec::new(), Vec::new());
        for card in 0..CARDS {
            let pan = Pan::new(&format!("99990000{card:08}"))?;
            let issue = IssueCard {
                company,
                pan: pan.clone(),
                last_month: 2030 * 12,
                check_key_version: 1,
                currency: usd()?,
                now: NOW,
            };
            credits.push((store.issue_card(issue).await?.account, 1_000_000_000));
            pans.push(pan);
        }
        store
            .load(Load {
                reference: "all".to_owned(),
                company,
                credits,
                now: NOW,
            })
            .await?;
        for terminal in 0..TERMINALS {
            let uri = format!("urn:uuid:00000000-0000-4000-8000-{terminal:012}");
            let voucher = NewVoucher {
                reference: uri.clone(),
                secret: Zeroizing::new(vec![1; 32]),
                expires: NOW,
                uri: uri.clone(),
                role: "pos".to_owned(),
                shop: Some(shop),
            };
            store.register_voucher(voucher).await?;
            uris.push(uri);
        }
        Ok(Self {
            store,
            pans,
            uris,
            next: core::cell::Cell::new(0),
        })
    }

    /// Keeps `window` sales under way for a while; how many were answered a second.
    async fn run(&self, window: usize, span: Duration, signer: Option<&EcdsaKeyPair>) -> Result<f64, Failure> {
        let signer = signer.map(EcdsaKeyPair::to_pkcs8v1).transpose()?;
        let signer = signer
            .map(|key| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref()))
            .transpose()?
            .map(std::sync::Arc::new);
        let begin = now();
        let mut under_way = VecDeque::with_capacity(window);
        let mut done = 0_u32;
        while begin.elapsed() < span {
            while under_way.len() < window {
                let signer = signer.clone();
                let sign: Sign = Box::new(move |_| {
                    let mut answer = vec![b'a'; ANSWER];
                    if let Some(signer) = signer {
                        let signature = signer.sign(&SystemRandom::new(), &answer);
                        answer.extend_from_slice(signature.map_err(|e| sign_failed(&e))?.as_ref());
                    }
                    Ok(answer)
                });
                under_way.push_back(self.store.execute(self.sale()?, sign));
            }
            if let Some(first) = under_way.pop_front() {
                answered(first.await?)?;
                done += 1;
            }
        }
        for rest in under_way {
            answered(rest.await?)?;
            done += 1;
        }
        Ok(f64::from(done) / begin.elapsed().as_secs_f64())
    }

    fn sale(&self) -> Result<Submission, Failure> {
        let sale = self.next.get();
        self.next.set(sale + 1);
        let request = Request::Authorise(Authorise {
            amount: 125,
            currency: usd()?,
            partial: false,
            verdict: None,
            check_key_version: Some(1),
        });
        let id = TransactionId::new(sale / TERMINALS + 1).ok_or("id")?;
        Ok(Submission {
            terminal: self.uris[usize::try_from(sale % TERMINALS)?].clone(),
            command: Command {
                id,
                digest: Digest(digest_of(sale)),
                standing: Standing::Full,
                request,
            },
            card: Some(self.pans[usize::try_from(card_of(sale))?].clone()),
            evidence: vec![b'e'; EVIDENCE],
            now: NOW,
        })
    }
}

fn answered(executed: Executed) -> Result<(), Failure> {
    match executed {
        Executed::Answered { repeated: false, .. } => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

fn sign_failed(error: &aws_lc_rs::error::Unspecified) -> tr_net::store::SignFailed {
    tr_net::store::SignFailed(error.to_string())
}

/// The same tables and statements, and nothing else: no queue, no rules, no seals, no savepoints.
struct Bare {
    sql: Connection,
    next: u64,
}

impl Bare {
    fn new(path: &Path) -> Result<Self, Failure> {
        let sql = Connection::open(path)?;
        sql.execute_batch(&format!("PRAGMA key = \"x'{}'\";", "ab".repeat(32)))?;
        sql.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 8192;",
        )?;
        sql.set_prepared_statement_cache_capacity(128);
        sql.execute_batch(include_str!("../src/store/migrations/0001.sql"))?;
        sql.execute_batch("BEGIN")?;
        for card in 0..i64::try_from(CARDS)? {
            let (account, bucket) = (account_of(card), account_of(card) % 64);
            let (index, index_bucket) = index_of(1, card);
            sql.execute(
                "INSERT INTO accounts VALUES (?1, ?2, 1, 64, 'USD', 1, ?3)",
                params![bucket, account, NOW],
            )?;
            sql.execute(
                "INSERT INTO cards VALUES (?1, ?2, 1, ?3, ?4, 24360, 1, 1)",
                params![bucket, index, account, [0_u8; 47]],
            )?;
            sql.execute(
                "INSERT INTO directory VALUES (?1, ?2, 1, ?3, ?4)",
                params![index_bucket, index, account, bucket],
            )?;
            sql.execute(
                "INSERT INTO lots VALUES (?1, ?2, ?3, 1, ?4, ?5, 1000000000, 1000000000)",
                params![bucket, account, index, NOW, NOW + 1_000_000],
            )?;
        }
        for terminal in 0..i64::try_from(TERMINALS)? {
            let (index, bucket) = index_of(2, terminal);
            sql.execute(
                "INSERT INTO terminals VALUES (?1, ?2, 1, ?3, 65, 1, 1)",
                params![bucket, index, [0_u8; 76]],
            )?;
        }
        sql.execute_batch("COMMIT")?;
        Ok(Self { sql, next: 0 })
    }

    fn run(&mut self, group: usize, span: Duration) -> Result<f64, Failure> {
        let begin = now();
        let mut done = 0_u32;
        while begin.elapsed() < span {
            self.sql.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            for _ in 0..group {
                self.sale()?;
                done += 1;
            }
            self.sql.prepare_cached("COMMIT")?.execute([])?;
        }
        Ok(f64::from(done) / begin.elapsed().as_secs_f64())
    }

    fn sale(&mut self) -> Result<(), Failure> {
        let sale = self.next;
        self.next += 1;
        let digest = digest_of(sale);
        let cause = &digest[..16];
        let id = i64::try_from(sale / TERMINALS + 1)?;
        let (terminal, home) = index_of(2, i64::try_from(sale % TERMINALS)?);
        let (card, card_bucket) = index_of(1, i64::try_from(card_of(sale))?);
        let shop: i64 = self.one(
            "SELECT shop, low_water, status FROM terminals WHERE bucket = ?1 AND terminal_index = ?2",
            params![home, terminal],
        )?;
        let claimed = self
            .sql
            .prepare_cached(
                "SELECT kind, digest, account, account_bucket, card_index FROM claims
                 WHERE bucket = ?1 AND terminal_index = ?2 AND id = ?3",
            )?
            .exists(params![home, terminal, id])?;
        if claimed {
            return Err("an id was used twice".into());
        }
        let account: i64 = self.one(
            "SELECT account, account_bucket FROM directory WHERE bucket = ?1 AND card_index = ?2",
            params![card_bucket, card],
        )?;
        let bucket = account % 64;
        self.sql
            .prepare_cached(
                "INSERT INTO claims (bucket, terminal_index, id, version, kind, digest, account, account_bucket,
                 card_index, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![home, terminal, id, 1, 1, digest, account, bucket, card, NOW])?;
        let _currency: String = self.one(
            "SELECT a.currency, a.status, c.status, c.last_month, c.check_key_version FROM accounts a JOIN cards c
             ON c.bucket = a.bucket AND c.card_index = ?3 WHERE a.bucket = ?1 AND a.account = ?2",
            params![bucket, account, card],
        )?;
        let lot: [u8; 16] = self.one(
            "SELECT lot, received, expires, remaining FROM lots WHERE bucket = ?1 AND account = ?2 AND remaining > 0",
            params![bucket, account],
        )?;
        let _spent = self
            .sql
            .prepare_cached("SELECT amount FROM spent WHERE bucket = ?1 AND account = ?2 AND day = ?3")?
            .exists(params![bucket, account, 20_000])?;
        self.sql
            .prepare_cached(
                "INSERT INTO decisions (bucket, terminal_index, id, version, kind, digest, outcome, amount, original, day,
                 at, sealed_evidence, sealed_answer) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?
            .execute(params![
                bucket,
                terminal,
                id,
                1,
                1,
                digest,
                1,
                125,
                None::<i64>,
                20_000,
                NOW,
                [0_u8; EVIDENCE + 31],
                [0_u8; ANSWER + 31],
            ])?;
        for (line, kind, number, lot, amount) in [(0, 3, account, Some(lot), -125), (1, 4, shop, None, 125)] {
            self.sql
                .prepare_cached(
                    "INSERT INTO postings (bucket, cause, kind, line, version, account_kind, account, lot, amount,
                     currency, day, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                )?
                .execute(params![
                    bucket, cause, 3, line, 1, kind, number, lot, amount, "USD", 20_000, NOW
                ])?;
        }
        self.sql
            .prepare_cached(
                "UPDATE lots SET remaining = remaining + ?4 WHERE bucket = ?1 AND account = ?2 AND lot = ?3",
            )?
            .execute(params![bucket, account, lot, -125])?;
        self.sql
            .prepare_cached(
                "INSERT INTO spent (bucket, account, day, amount) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (bucket, account, day) DO UPDATE SET amount = amount + excluded.amount",
            )?
            .execute(params![bucket, account, 20_000, 125])?;
        Ok(())
    }

    fn one<T: rusqlite::types::FromSql>(&self, sql: &str, params: impl rusqlite::Params) -> Result<T, Failure> {
        Ok(self.sql.prepare_cached(sql)?.query_row(params, |row| row.get(0))?)
    }
}

/// Spread like the random numbers of the store.
fn account_of(card: i64) -> i64 {
    (card + 1).wrapping_mul(0x1E37_79B9_7F4A_7C15) & i64::MAX
}

fn index_of(kind: u8, number: i64) -> ([u8; 16], i64) {
    let digest = digest_of(u64::from(kind) << 32 | number.unsigned_abs());
    let mut index = [0; 16];
    index.copy_from_slice(&digest[..16]);
    (index, i64::from(index[0]) % 64)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
