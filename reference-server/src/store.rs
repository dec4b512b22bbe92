//! Durable storage behind one trait, and the embedded implementation.
//!
//! Its one law: **no answer leaves before its decision is durable.** [`Store::execute`] runs the engine and the
//! life-cycle rules inside one transaction, has the answer encoded and signed there by the caller's function, and
//! releases it only after the commit. Every operation is idempotent: doing it again gives what the first time gave.
//!
//! The embedded store is [`Sqlite`]: one ciphered file, nothing to install. The tables are in `docs/database.md`.

mod seal;
mod sqlite;

use core::future::Future;
use core::pin::Pin;
use std::path::PathBuf;
use std::sync::Arc;

use tr_protocol::value::{Digest, TransactionId};
use zeroize::Zeroizing;

use crate::engine::{AnswerData, Command, Refusal, Usable};
use crate::ledger::{Account, Cause, Currency, EntryKind, LedgerError, LotId};

pub use seal::DataKey;
pub use sqlite::{GROUP, Options, Sqlite};

/// What a storage call returns: a boxed future, so that the trait can be used as `dyn Store`.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Encodes and signs an answer. Called at most once, inside the transaction that makes the decision durable; if it
/// fails nothing is stored.
pub type Sign = Box<dyn FnOnce(&AnswerData) -> Result<Vec<u8>, SignFailed> + Send>;

/// The caller's [`Sign`] function failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the answer could not be signed: {0}")]
pub struct SignFailed(pub String);

/// Typed, idempotent operations on durable state. Times are Unix seconds, amounts minor units.
pub trait Store: Send + Sync + core::fmt::Debug {
    /// The look-up alone, without waiting for a writer: the stored signed answer of an identical command, or that the id
    /// belongs to another command or is pruned. [`Found::Open`] means that [`Store::execute`] has the word. A caller that
    /// has not yet looked at the certificate passes a command whose standing is full.
    fn look_up(&self, terminal: &str, command: &Command) -> Pending<'_, Found>;

    /// The first durable step alone: claims the command's id for its digest and its card's account.
    fn claim(&self, submission: Submission) -> Pending<'_, Claimed>;

    /// The second durable step: decides a command that has been claimed, and stores its signed answer.
    /// Fails with [`StoreError::NotClaimed`] before the first step.
    fn decide(&self, submission: Submission, sign: Sign) -> Pending<'_, Executed>;

    /// Both steps, in one transaction where the store holds both; looks up first, so a repeat gets its stored answer.
    fn execute(&self, submission: Submission, sign: Sign) -> Pending<'_, Executed>;

    /// Moves the terminal's low-water mark to `below` and forgets the ids under it, oldest first, stopping at the first
    /// that is claimed and not decided. Returns the mark as it is then.
    fn prune(&self, terminal: &str, below: TransactionId) -> Pending<'_, TransactionId>;

    /// What is stored of one command.
    fn stored(&self, terminal: &str, id: TransactionId) -> Pending<'_, Option<StoredTransaction>>;

    /// The stored commands of a terminal, newest id first.
    fn transactions(&self, terminal: &str, limit: usize) -> Pending<'_, Vec<StoredTransaction>>;

    /// Registers a company that loads credit.
    fn register_company(&self, name: &str) -> Pending<'_, Party>;

    /// Registers a shop that is paid.
    fn register_shop(&self, name: &str) -> Pending<'_, Party>;

    /// Every company and shop.
    fn parties(&self) -> Pending<'_, Vec<Party>>;

    /// Makes an account with its card. The same card again for the same company gives the same account.
    fn issue_card(&self, issue: IssueCard) -> Pending<'_, CardRecord>;

    /// What is known of a card number; none if nothing.
    fn card(&self, pan: Pan) -> Pending<'_, Option<CardRecord>>;

    /// Blocks or unblocks a card.
    fn set_card_status(&self, pan: Pan, status: Usable) -> Pending<'_, CardRecord>;

    /// Moves credit from a company through transit to card accounts. The same load again changes nothing.
    fn load(&self, load: Load) -> Pending<'_, Loaded>;

    /// Stores a voucher for a device that may enrol, and registers the terminal if it is one.
    fn register_voucher(&self, voucher: NewVoucher) -> Pending<'_, ()>;

    /// A voucher by its reference, used or not.
    fn voucher(&self, reference: &str) -> Pending<'_, Option<VoucherRecord>>;

    /// Consumes a voucher and stores the certificate, or says why not; an identical request gets the stored answer.
    fn enrol(&self, enrolment: Enrolment) -> Pending<'_, Enrolled>;

    /// What is known of a terminal.
    fn terminal(&self, uri: &str) -> Pending<'_, Option<TerminalRecord>>;

    /// Blocks or unblocks a terminal: what a blocked one asks for anew is declined.
    fn set_terminal_status(&self, uri: &str, status: Usable) -> Pending<'_, TerminalRecord>;

    /// Puts a certificate into the directory. The same one again changes nothing.
    fn add_certificate(&self, certificate: CertificateRecord) -> Pending<'_, ()>;

    /// A certificate by the SHA-256 of its DER.
    fn certificate(&self, sha256: [u8; 32]) -> Pending<'_, Option<CertificateRecord>>;

    /// Marks a certificate revoked at an instant. It stays revoked: a second call changes nothing.
    fn revoke_certificate(&self, sha256: [u8; 32], at: i64) -> Pending<'_, CertificateRecord>;

    /// A new issue number for a certificate's serial. No number is given twice, even if its certificate is never made.
    fn next_issue_number(&self) -> Pending<'_, u32>;

    /// Every ledger account with its balance, and the sum of all, which is zero.
    fn ledger(&self) -> Pending<'_, LedgerReport>;

    /// The postings, newest first.
    fn postings(&self, limit: usize) -> Pending<'_, Vec<PostingRecord>>;

    /// Recomputes everything that is kept for speed from the postings, and compares. Empty means that all agrees.
    fn audit(&self) -> Pending<'_, Vec<String>>;

    /// Waits for what was submitted, moves the log into the file and closes. Later calls fail with
    /// [`StoreError::Closed`].
    fn close(&self) -> Pending<'_, ()>;
}

/// A card number. Zeroized on drop, never printed.
#[derive(Clone)]
pub struct Pan(Zeroizing<Vec<u8>>);

impl Pan {
    /// A card number of 8 to 19 digits (ISO/IEC 7812-1); its check digit has been verified before.
    ///
    /// # Errors
    /// [`StoreError::BadPan`].
    pub fn new(digits: &str) -> Result<Self, StoreError> {
        let good = (8..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if good {
            Ok(Self(Zeroizing::new(digits.as_bytes().to_vec())))
        } else {
            Err(StoreError::BadPan)
        }
    }

    /// The digits.
    #[must_use]
    pub fn digits(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Debug for Pan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Pan(…)")
    }
}

/// A verified command on its way into the store.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The terminal: the SAN URI of its certificate, which is the session's identity.
    pub terminal: String,
    /// The command.
    pub command: Command,
    /// The card of an authorise or a balance query.
    pub card: Option<Pan>,
    /// The signed command, byte for byte; kept as evidence. Never the D frame.
    pub evidence: Vec<u8>,
    /// The time of the decision.
    pub now: i64,
}

/// The result of [`Store::look_up`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No answer is stored.
    Open,
    /// The signed answer.
    Answer(Vec<u8>),
    /// The id is pruned, or belongs to a command with other bytes.
    Refused(Refusal),
}

/// The result of [`Store::claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The id is the command's, and undecided.
    Claimed,
    /// The command has its answer, or cannot be claimed: [`Store::execute`] tells.
    Settled,
}

/// The result of [`Store::execute`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Executed {
    /// The signed answer. That of an authorise or a reversal is durable.
    Answered {
        /// The bytes made by the caller's function, now or the first time.
        answer: Vec<u8>,
        /// Whether they were stored before.
        repeated: bool,
    },
    /// Nothing was executed, and nothing is stored; send an error.
    Refused(Refusal),
}

/// What is stored of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTransaction {
    /// The id.
    pub id: TransactionId,
    /// `authorise`, `reversal`, or `tombstone` for an id that will never be executed.
    pub kind: &'static str,
    /// The digest of the command, if one came.
    pub digest: Option<Digest>,
    /// `approved`, `partial`, `declined`; of a reversal how it ended; `claimed` before the decision; `never-executed`.
    pub outcome: &'static str,
    /// The amount approved or given back, in minor units.
    pub amount: i64,
    /// The original of a reversal.
    pub original: Option<TransactionId>,
    /// The reversal that undid it.
    pub reversed_by: Option<TransactionId>,
    /// When it was decided.
    pub at: i64,
    /// The signed command.
    pub evidence: Option<Vec<u8>>,
    /// The signed answer.
    pub answer: Option<Vec<u8>>,
}

/// A company or a shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Its ledger account: [`Account::Company`] or [`Account::Shop`].
    pub account: Account,
    /// Its name.
    pub name: String,
}

/// A card to issue, with an account of its own.
#[derive(Debug, Clone)]
pub struct IssueCard {
    /// The company whose employee holds it.
    pub company: i64,
    /// The card number.
    pub pan: Pan,
    /// The last month in which it is good, by [`crate::ledger::month_number`].
    pub last_month: i64,
    /// The version of the HSM key that made its check value.
    pub check_key_version: u32,
    /// The account's currency.
    pub currency: Currency,
    /// The time of issue.
    pub now: i64,
}

/// What is known of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardRecord {
    /// The number of its account.
    pub account: i64,
    /// The company.
    pub company: i64,
    /// Whether it may be used.
    pub status: Usable,
    /// The last month in which it is good, by [`crate::ledger::month_number`].
    pub last_month: i64,
    /// The version of the HSM key that made its check value.
    pub check_key_version: u32,
    /// The account's currency.
    pub currency: Currency,
}

/// Credit from a company to accounts.
#[derive(Debug, Clone)]
pub struct Load {
    /// The company's reference of this load; a load is repeated, not made twice, under the same one.
    pub reference: String,
    /// The company.
    pub company: i64,
    /// Accounts and amounts in minor units; an account may come once.
    pub credits: Vec<(i64, i64)>,
    /// The time of the load.
    pub now: i64,
}

/// What a load did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// The whole amount, in minor units.
    pub total: i64,
    /// Whether it had been made before.
    pub repeated: bool,
}

/// A voucher for one device.
#[derive(Debug)]
pub struct NewVoucher {
    /// What the device names it by.
    pub reference: String,
    /// The key of the HMAC; at least 128 bits.
    pub secret: Zeroizing<Vec<u8>>,
    /// The first instant at which it is no longer good.
    pub expires: i64,
    /// The identity that the certificate will carry.
    pub uri: String,
    /// The profile of the certificate, such as `pos`.
    pub role: String,
    /// The shop of a POS.
    pub shop: Option<i64>,
}

/// A stored voucher.
#[derive(Debug, Clone)]
pub struct VoucherRecord {
    /// The key of the HMAC.
    pub secret: Zeroizing<Vec<u8>>,
    /// The first instant at which it is no longer good.
    pub expires: i64,
    /// The identity that the certificate will carry.
    pub uri: String,
    /// The profile of the certificate.
    pub role: String,
    /// The shop of a POS.
    pub shop: Option<i64>,
    /// The digest of the request that used it, and the answer that request got.
    pub used: Option<(Digest, Vec<u8>)>,
}

/// A verified enrolment: the request's HMAC is right and its certificate has been made.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The voucher's reference.
    pub reference: String,
    /// The digest of the request.
    pub request: Digest,
    /// The certificate.
    pub certificate: CertificateRecord,
    /// The whole answer, given again to an identical request.
    pub answer: Vec<u8>,
    /// The time.
    pub now: i64,
}

/// What became of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolled {
    /// The certificate is stored; send this answer.
    Stored(Vec<u8>),
    /// The same request had been answered before: send the first answer, and forget the certificate just made.
    Repeated(Vec<u8>),
    /// The voucher was used by another request.
    Used,
    /// The voucher has expired.
    Expired,
    /// There is no such voucher.
    Unknown,
}

/// A terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalRecord {
    /// The SAN URI of its certificates.
    pub uri: String,
    /// Its shop's number.
    pub shop: i64,
    /// Its shop's name.
    pub shop_name: String,
    /// Ids below it are pruned.
    pub low_water: TransactionId,
    /// Whether it may sell.
    pub status: Usable,
}

/// A certificate in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// SHA-256 of the DER.
    pub sha256: [u8; 32],
    /// The DER.
    pub der: Vec<u8>,
    /// The SAN URI, or the name of an authority.
    pub subject: String,
    /// The profile.
    pub role: String,
    /// The end of its validity.
    pub not_after: i64,
    /// When it was revoked, if it was.
    pub revoked: Option<i64>,
}

/// The balances of the whole ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerReport {
    /// Every account that has postings, in order.
    pub accounts: Vec<LedgerLine>,
    /// The sum of all balances. Zero.
    pub sum: i64,
    /// How many entries there are.
    pub entries: u64,
}

/// One account of a [`LedgerReport`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerLine {
    /// The account.
    pub account: Account,
    /// The name of a company or shop.
    pub name: Option<String>,
    /// The currency.
    pub currency: Currency,
    /// The balance in minor units.
    pub balance: i64,
}

/// One posting as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostingRecord {
    /// What caused the entry.
    pub cause: Cause,
    /// What the entry records.
    pub kind: EntryKind,
    /// The line in its entry.
    pub line: i64,
    /// The account.
    pub account: Account,
    /// The credit lot.
    pub lot: Option<LotId>,
    /// Minor units.
    pub amount: i64,
    /// The currency.
    pub currency: Currency,
    /// When it was made.
    pub at: i64,
}

/// Why a storage call failed. Nothing was changed, unless said otherwise.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process holds the database.
    #[error("the database {} is in use by another process: stop that one first, or ask it over its administration socket", .0.display())]
    InUse(PathBuf),
    /// The key does not open the file.
    #[error("the database {} does not open with this key: it belongs to another HSM store, or its beginning was altered; use the HSM store it was made with, or restore a backup", .0.display())]
    WrongKey(PathBuf),
    /// Pages were altered or are missing.
    #[error("the database {} is damaged ({what}): restore a backup", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A newer program made the file.
    #[error("the database {} has format {found}, this program knows formats up to {known}: use a newer tr-net", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// No space is left.
    #[error("no space is left for the database {}: make some and try again", .0.display())]
    DiskFull(PathBuf),
    /// There is no file, and none was to be made.
    #[error("there is no database at {}: make one with `tr-net init`, or restore a backup", .0.display())]
    Missing(PathBuf),
    /// The file or its folder cannot be used.
    #[error("the database {} cannot be opened: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// The disk under the file does not do what it should.
    #[error("the database {} cannot be read or written ({cause}): see whether its disk is full or failing, then try again", .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the engine says.
        cause: Arc<rusqlite::Error>,
    },
    /// The terminal is not registered.
    #[error("the terminal is not registered")]
    UnknownTerminal,
    /// A party, account, card, voucher or certificate is not there.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// The thing is there already, and differs.
    #[error("this {0} exists already, with other contents")]
    Exists(&'static str),
    /// No free number was found for a company, shop or account.
    #[error("no free number was found: try again")]
    NoNumber,
    /// A load names an account twice, or none.
    #[error("a load names each account once, and at least one")]
    BadLoad,
    /// A card number that is none.
    #[error("a card number has 8 to 19 digits")]
    BadPan,
    /// [`Store::decide`] before [`Store::claim`].
    #[error("the command has not been claimed")]
    NotClaimed,
    /// A sealed column does not open where it stands: altered, moved, or sealed under another key.
    #[error("the sealed column {column} does not open: the row was altered or moved")]
    Sealed {
        /// `table.column`.
        column: &'static str,
    },
    /// A stored value that no version of this program writes.
    #[error("the database holds a value that this program never writes: {0}")]
    Malformed(&'static str),
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The answer could not be signed.
    #[error(transparent)]
    Sign(#[from] SignFailed),
    /// The platform's generator or cipher failed.
    #[error("the platform's cryptography failed")]
    Crypto,
    /// The store was closed, or its writer ended.
    #[error("the store is closed")]
    Closed,
    /// The engine failed in a way that has no name here.
    #[error("the database engine failed: {0}")]
    Engine(Arc<rusqlite::Error>),
}
