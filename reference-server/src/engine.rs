//! The authorisation engine: pure code between the life-cycle rules of `tr-protocol` and the ledger.
//!
//! `(what the store has loaded, command, policy, now) → (what to write, what to answer)`. It reads nothing and signs
//! nothing. The order of a decision is fixed here: the look-up ([`look_up`]) comes first and answers repeats, tombstones
//! and pruned ids; then the terminal's standing; then what the caller found out about the card and the terminal
//! ([`Authorise::verdict`]); then the card's status; last the ledger's policy ([`judge`]).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use tr_protocol::lifecycle::{self, Admit, Next, Standing, Step, Stored, Write};
use tr_protocol::message::rule;
use tr_protocol::value::{ApprovalCode, Digest, TransactionId};

use crate::ledger::{
    Assessment, CardState, Cause, Charge, Currency, Day, Entry, LedgerError, LotId, Policy, Rule, assess,
};

pub use lifecycle::{Outcome, Refusal, ReversalOutcome, Status};

/// A command whose signature, terminal and D-frame hashes have been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The command's own id.
    pub id: TransactionId,
    /// SHA-256 of its bytes before the signatures.
    pub digest: Digest,
    /// What the certificate's validity and revocation allow now.
    pub standing: Standing,
    /// What it asks.
    pub request: Request,
}

/// What a command asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Authorise a sale.
    Authorise(Authorise),
    /// Undo the original, or keep it from ever being executed.
    Reversal {
        /// The id to undo.
        original: TransactionId,
    },
    /// Tell what became of the original; if nothing yet, nothing ever will.
    Status {
        /// The id asked about.
        original: TransactionId,
    },
    /// Tell a card's balance.
    Balance,
}

/// A sale asked for, and what the caller knows that the ledger does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorise {
    /// Minor units, above zero.
    pub amount: i64,
    /// The currency of the amount.
    pub currency: Currency,
    /// Whether a smaller amount may be approved.
    pub partial: bool,
    /// The rule that the caller saw broken, such as a wrong check value; it declines.
    pub verdict: Option<Rule>,
    /// The version of the HSM key under which the card's check value was found good; a card that was issued under
    /// another one is declined. None if the caller saw no check value of ours.
    pub check_key_version: Option<u32>,
}

impl Command {
    /// The command as the life-cycle rules see it.
    #[must_use]
    pub const fn reduced(&self) -> lifecycle::Command {
        let action = match self.request {
            Request::Authorise(_) => lifecycle::Action::Authorise,
            Request::Reversal { original } => lifecycle::Action::Reversal { original },
            Request::Status { original } => lifecycle::Action::Status { original },
            Request::Balance => lifecycle::Action::Balance,
        };
        lifecycle::Command {
            id: self.id,
            digest: self.digest,
            action,
        }
    }

    /// The cause of the entries that this command makes: the first half of its digest.
    #[must_use]
    pub fn cause(&self) -> Cause {
        let [a, _] = halves(self.digest.0);
        Cause(a)
    }
}

/// What a store does next for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// Send the stored signed answer of the command's id.
    Repeat,
    /// Send an error; it is not stored.
    Refuse(Refusal),
    /// Answer the state of the original, signed anew.
    Status(Status),
    /// Answer the balance, signed anew.
    Balance,
    /// Do this write, which touches no money, then look up again.
    Write(Write),
    /// Load card and terminal, call [`judge`], do the write with its effects.
    Judge,
    /// Do [`Write::Decide`] with [`decline`] for this reason.
    Decline(Refusal),
    /// If the reversal has an effect load the sale and call [`undo`]; do [`Write::DecideReversal`].
    Reverse(ReversalOutcome),
    /// Store the signed refusal of a command that came after its tombstone.
    RefuseForEver(lifecycle::Claim),
}

/// Looks a command up in what the store holds, and weighs the terminal's standing if it has no answer yet.
#[must_use]
pub fn look_up(stored: &Stored, command: &Command) -> Advance {
    match lifecycle::step(stored, &command.reduced()) {
        Step::Answer(answer) => answered(answer),
        Step::Write(write) => written(write),
        Step::Admit(admit) => admitted(admit, command.standing),
    }
}

fn admitted(admit: Admit, standing: Standing) -> Advance {
    match admit.standing(standing) {
        Next::Answer(answer) => answered(answer),
        Next::Write(write) => written(write),
        Next::Judge => Advance::Judge,
        Next::Decline(refusal) => Advance::Decline(refusal),
    }
}

const fn answered(answer: lifecycle::Answer) -> Advance {
    match answer {
        lifecycle::Answer::Stored => Advance::Repeat,
        lifecycle::Answer::Refuse(refusal) => Advance::Refuse(refusal),
        lifecycle::Answer::Status(status) => Advance::Status(status),
        lifecycle::Answer::Read => Advance::Balance,
    }
}

const fn written(write: Write) -> Advance {
    match write {
        Write::DecideReversal(outcome) => Advance::Reverse(outcome),
        Write::Refuse(claim) => Advance::RefuseForEver(claim),
        Write::Claim(_) | Write::TombstoneUnseen | Write::TombstoneClaimed | Write::Decide(_) => Advance::Write(write),
    }
}

/// Whether something may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Usable {
    /// It may.
    Active,
    /// It is blocked; what it asks for anew is declined.
    Blocked,
}

/// A card with its account, as loaded for one decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Whether card and account may be used.
    pub status: Usable,
    /// The last month in which the card is good, as `year * 12 + month - 1`.
    pub last_month: i64,
    /// The version of the HSM key that made its check value.
    pub check_key_version: u32,
    /// The account.
    pub state: CardState,
}

/// The terminal as loaded for one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seller {
    /// The shop that is paid.
    pub shop: i64,
    /// Whether terminal and shop may sell.
    pub status: Usable,
}

/// A sale that was approved, as loaded for its reversal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// Its entry.
    pub entry: Entry,
    /// The day whose spending it counted in.
    pub day: Day,
}

/// What the ledger's rows change by, beside the decision itself. Amounts are in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects {
    /// The balanced entry to append.
    pub entry: Entry,
    /// What each lot changes by.
    pub lots: Vec<(LotId, i64)>,
    /// The day whose spending changes, and by how much.
    pub spent: (Day, i64),
}

/// What an answer says; the caller encodes and signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerData {
    /// To an authorise.
    Authorise(Authorised),
    /// To a reversal.
    Reversal(Reversed),
    /// To an authorise or reversal that came after its tombstone: never executed, now or later.
    NeverExecuted,
    /// To a status query.
    Status(StatusData),
    /// To a balance query.
    Balance(Balance),
}

/// The decision on an authorise. Amounts are in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorised {
    /// How it ended.
    pub outcome: Outcome,
    /// The amount approved; 0 when declined.
    pub amount: i64,
    /// The currency asked for.
    pub currency: Currency,
    /// The authorisation code, unless declined.
    pub code: Option<ApprovalCode>,
    /// Why it was declined, or cut.
    pub reason: Option<Reason>,
    /// What the named rule still allows.
    pub remaining: i64,
    /// The amount that would be approved instead; 0 for none.
    pub would_approve: i64,
    /// What can be spent afterwards; none where the card is unknown or may not be used.
    pub balance: Option<i64>,
}

/// Why a sale was declined or cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A rule of card, terminal or ledger.
    Rule(Rule),
    /// The terminal's standing fell between claim and decision.
    Standing(Refusal),
}

impl Reason {
    /// The name that the answer carries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule(rule) => rule.name(),
            Self::Standing(Refusal::Revoked) => rule::CERTIFICATE_REVOKED,
            Self::Standing(_) => rule::CERTIFICATE_EXPIRED,
        }
    }
}

/// The code of an approval, which a cashier can read out: made from the second half of the command's digest. It is for
/// people; the proof is the signed answer.
#[must_use]
pub fn approval_code(digest: &Digest) -> ApprovalCode {
    // No letters that look like digits.
    const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    let [_, half] = halves(digest.0);
    let mut code = [b'2'; 6];
    for (letter, octet) in code.iter_mut().zip(half) {
        *letter = LETTERS.get(usize::from(octet & 31)).copied().unwrap_or(b'2');
    }
    ApprovalCode::new(code).unwrap_or_else(|| approval_code(&Digest([0; 32])))
}

/// The decision on a reversal. Amounts are in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reversed {
    /// The original's id.
    pub original: TransactionId,
    /// How it ended.
    pub outcome: ReversalOutcome,
    /// What came back to the card account; 0 unless the outcome has an effect.
    pub amount: i64,
    /// The currency of the amount, if the outcome has an effect.
    pub currency: Option<Currency>,
}

/// The state of an original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusData {
    /// The original's id.
    pub original: TransactionId,
    /// What became of it.
    pub status: Status,
    /// The amount that was approved, in minor units; 0 if none was.
    pub amount: i64,
    /// The currency of the amount.
    pub currency: Currency,
    /// The authorisation code of an approval.
    pub code: Option<ApprovalCode>,
    /// The original's signed answer as stored, if it was decided.
    pub answer: Option<Vec<u8>>,
}

/// A card's balance. Amounts are in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// What can be spent now; none if the card is unknown, blocked or expired.
    pub balance: Option<i64>,
    /// What the day's cap still allows.
    pub left_today: i64,
    /// The programme's currency.
    pub currency: Currency,
    /// Why there is no balance.
    pub rule: Option<Rule>,
}

/// A decision: what to store, what to change in the ledger, and what to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The write that makes it so.
    pub write: Write,
    /// What changes in the ledger; none for a decline.
    pub effects: Option<Effects>,
    /// What the answer says.
    pub data: AnswerData,
}

/// Judges an authorise that has been claimed: the caller's verdict, then terminal and card, then the ledger.
///
/// # Errors
/// [`LedgerError`] when the books do not allow a judgement at all; nothing is to be written then.
pub fn judge(
    command: &Command,
    asked: &Authorise,
    seller: &Seller,
    card: Option<&Card>,
    policy: &Policy,
    now: i64,
) -> Result<Decided, LedgerError> {
    let barred = match asked.verdict.or_else(|| other_key(asked, card)) {
        Some(rule) => Some(rule),
        None => barred(seller, card, policy, now)?,
    };
    let (Some(card), None) = (card, barred) else {
        return Ok(decided(
            command,
            asked,
            None,
            Some(Reason::Rule(barred.unwrap_or(Rule::UnknownCard))),
            None,
        ));
    };
    let charge = Charge {
        amount: asked.amount,
        currency: asked.currency,
        partial: asked.partial,
    };
    let word = assess(&card.state, &charge, policy.edition(now)?, now)?;
    let effects = match word.entry(command.cause(), &card.state, seller.shop, now)? {
        Some(entry) => Some(effects(entry, policy.day(now)?)?),
        None => None,
    };
    Ok(decided(
        command,
        asked,
        Some(&word),
        word.rule.map(Reason::Rule),
        effects,
    ))
}

/// Declines an authorise, unjudged, whose terminal lost its standing between claim and decision.
#[must_use]
pub fn decline(command: &Command, asked: &Authorise, refusal: Refusal) -> Decided {
    decided(command, asked, None, Some(Reason::Standing(refusal)), None)
}

/// Decides a reversal. `sale` is the original's, loaded when the outcome has an effect.
///
/// # Errors
/// [`LedgerError`], among them [`LedgerError::SaleMissing`] when the outcome has an effect and no sale was loaded.
pub fn undo(
    original: TransactionId,
    outcome: ReversalOutcome,
    sale: Option<&Sale>,
    now: i64,
) -> Result<Decided, LedgerError> {
    let (amount, effects) = if outcome.has_effect() {
        let sale = sale.ok_or(LedgerError::SaleMissing)?;
        (sale.entry.spent()?, Some(effects(sale.entry.reversal(now)?, sale.day)?))
    } else {
        (0, None)
    };
    let currency = effects.as_ref().map(|effects| effects.entry.currency());
    let data = AnswerData::Reversal(Reversed {
        original,
        outcome,
        amount,
        currency,
    });
    Ok(Decided {
        write: Write::DecideReversal(outcome),
        effects,
        data,
    })
}

/// A card's balance; `card` is none if the card is not known.
///
/// # Errors
/// [`LedgerError`] when the books do not allow an answer.
pub fn balance(card: Option<&Card>, verdict: Option<Rule>, policy: &Policy, now: i64) -> Result<Balance, LedgerError> {
    let rule = match (verdict, card) {
        (Some(rule), _) => Some(rule),
        (None, None) => Some(Rule::UnknownCard),
        (None, Some(card)) => card_barred(card, policy, now)?,
    };
    let currency = policy.currency();
    let (Some(card), None) = (card, rule) else {
        return Ok(Balance {
            balance: None,
            left_today: 0,
            currency,
            rule,
        });
    };
    let per_day = policy.edition(now)?.per_day;
    let left_today = per_day
        .checked_sub(card.state.spent_today)
        .ok_or(LedgerError::Overflow)?
        .max(0);
    Ok(Balance {
        balance: Some(card.state.balance(now)?),
        left_today,
        currency: card.state.currency,
        rule: None,
    })
}

/// A check value that is good under a key that the card was not issued under is none.
fn other_key(asked: &Authorise, card: Option<&Card>) -> Option<Rule> {
    let (named, issued) = (asked.check_key_version?, card?.check_key_version);
    (named != issued).then_some(Rule::CheckValue)
}

fn barred(seller: &Seller, card: Option<&Card>, policy: &Policy, now: i64) -> Result<Option<Rule>, LedgerError> {
    if seller.status == Usable::Blocked {
        return Ok(Some(Rule::TerminalBlocked));
    }
    card.map_or(Ok(Some(Rule::UnknownCard)), |card| card_barred(card, policy, now))
}

fn card_barred(card: &Card, policy: &Policy, now: i64) -> Result<Option<Rule>, LedgerError> {
    Ok(match card.status {
        Usable::Blocked => Some(Rule::CardBlocked),
        Usable::Active if card.last_month < policy.month(now)? => Some(Rule::CardExpired),
        Usable::Active => None,
    })
}

/// `word` is the ledger's; without it nothing is approved and no balance is shown.
fn decided(
    command: &Command,
    asked: &Authorise,
    word: Option<&Assessment>,
    reason: Option<Reason>,
    effects: Option<Effects>,
) -> Decided {
    let outcome = word.map_or(Outcome::Declined, |word| word.outcome);
    let data = AnswerData::Authorise(Authorised {
        outcome,
        amount: word.map_or(0, |word| word.amount),
        currency: asked.currency,
        code: (outcome != Outcome::Declined).then(|| approval_code(&command.digest)),
        reason,
        remaining: word.map_or(0, |word| word.remaining),
        would_approve: word.map_or(0, |word| word.would_approve),
        balance: word.map(|word| word.balance),
    });
    Decided {
        write: Write::Decide(outcome),
        effects,
        data,
    }
}

fn effects(entry: Entry, day: Day) -> Result<Effects, LedgerError> {
    let lots = entry
        .postings()
        .iter()
        .filter_map(|line| line.lot.map(|lot| (lot, line.amount)))
        .collect();
    let spent = (day, entry.spent()?);
    Ok(Effects { entry, lots, spent })
}

/// A digest's two halves.
const fn halves(digest: [u8; 32]) -> [[u8; 16]; 2] {
    match digest.as_chunks::<16>() {
        ([a, b], _) => [*a, *b],
        _ => [[0; 16]; 2],
    }
}
