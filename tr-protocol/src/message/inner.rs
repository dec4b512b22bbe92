//! What terminal and backend tell each other under seal.

use super::outer::ErrorAnswer;
use super::{consistent, layer, message};
use crate::lifecycle::{self, Decision, Outcome, ReversalOutcome};
use crate::value::{
    Amount, ApprovalCode, Binary, Currency, Digest, Identity, Secret, Text, Time, Token, TransactionId, choice,
};

layer! {
    /// What a terminal and the backend send each other inside a seal.
    Inner {
        SignOn, "`C sign-on`";
        SignOnAnswer, "`I sign-on`";
        Authorise, "`C authorise`";
        AuthoriseAnswer, "`I authorise`";
        Reversal, "`C reversal`";
        ReversalAnswer, "`I reversal`";
        Status, "`C status`";
        StatusAnswer, "`I status`";
        Balance, "`C balance`";
        BalanceAnswer, "`I balance`";
        Card, "`D card`";
        ErrorAnswer, "`I error`";
    }
}

impl Inner<'_> {
    /// What the life-cycle rules need to know of a command; `None` if it is no command. `digest` is the SHA-256 of
    /// [`Frame::before_signatures`](crate::frame::Frame::before_signatures).
    #[must_use]
    pub fn command(&self, digest: Digest) -> Option<lifecycle::Command> {
        use lifecycle::Action;
        let (id, action) = match self {
            Self::SignOn(command) => (command.id, Action::SignOn),
            Self::Authorise(command) => (command.id, Action::Authorise),
            Self::Reversal(command) => (
                command.id,
                Action::Reversal {
                    original: command.original,
                },
            ),
            Self::Status(command) => (
                command.id,
                Action::Status {
                    original: command.original,
                },
            ),
            Self::Balance(command) => (command.id, Action::Balance),
            _ => return None,
        };
        Some(lifecycle::Command { id, digest, action })
    }

    /// The terminal that a command names; `None` if it is no command.
    #[must_use]
    pub const fn terminal(&self) -> Option<Identity> {
        match self {
            Self::SignOn(command) => Some(command.terminal),
            Self::Authorise(command) => Some(command.terminal),
            Self::Reversal(command) => Some(command.terminal),
            Self::Status(command) => Some(command.terminal),
            Self::Balance(command) => Some(command.terminal),
            _ => None,
        }
    }
}

message! {
    /// `C sign-on`: the terminal asks for the time, the currency and what it must know to begin.
    SignOn = Command "sign-on", signatures 1..=1, check consistent;
    "id" id: required TransactionId, "The command's id.";
    "software" software: optional Text<'a>, "The terminal's program and its version.";
    "terminal" terminal: required Identity, "The terminal, which must be the session's.";
    "time" time: required Time, "The terminal's time.";
}

message! {
    /// `I sign-on`.
    SignOnAnswer = Information "sign-on", signatures 1..=1, check consistent;
    "currency" currency: required Currency, "The currency of the programme.";
    "digest" digest: required Digest, "SHA-256 of the command before its signatures.";
    "low-water" low_water: required TransactionId, "Ids below it are too old; the terminal's counter must be above.";
    "re" re: required TransactionId, "The command's id.";
    "shop" shop: required Text<'a>, "The shop's name, for screen and receipt.";
    "time" time: required Time, "The backend's time.";
}

message! {
    /// `C authorise`: may this sale go ahead? Followed, in the same seal, by [`Card`] with the same id.
    Authorise = Command "authorise", signatures 1..=1,
        check |m| if m.amount == Amount::ZERO { Err("amount") } else { Ok(()) };
    "amount" amount: required Amount, "The amount to be paid; not zero.";
    "currency" currency: required Currency, "Its currency.";
    "id" id: required TransactionId, "The command's id.";
    "partial" partial: required bool, "Whether a part of the amount would be taken.";
    "pin-hash" pin_hash: optional Digest, "SHA-256 of `pin-salt` and `pin-block`'s octets, if a PIN was given.";
    "terminal" terminal: required Identity, "The terminal, which must be the session's.";
    "time" time: required Time, "The time of the sale.";
    "track-hash" track_hash: required Digest, "SHA-256 of `track-salt` and `track`'s octets.";
}

message! {
    /// `D card`: what the hashes of an authorise or balance command stand for. Never stored by the backend, and erased by
    /// the terminal on the final answer.
    Card = Data "card", signatures 0..=0,
        check |m| match (&m.pin_block, &m.pin_salt) {
            (None, None) | (Some(_), Some(_)) => salt_length(&m.track_salt, m.pin_salt.as_ref()),
            (Some(_), None) => Err("pin-salt"),
            (None, Some(_)) => Err("pin-block"),
        };
    "id" id: required TransactionId, "The id of the command it belongs to.";
    "pin-block" pin_block: optional Secret<Binary<'a>>, "The encrypted PIN block.";
    "pin-salt" pin_salt: optional Secret<Binary<'a>>, "Its salt, 16 octets.";
    "track" track: required Secret<Text<'a>>, "The track's characters, sentinels included.";
    "track-salt" track_salt: required Secret<Binary<'a>>, "Its salt, 16 octets.";
}

fn salt_length(track: &Secret<Binary<'_>>, pin: Option<&Secret<Binary<'_>>>) -> Result<(), &'static str> {
    match (track.expose().len(), pin.map(|salt| salt.expose().len())) {
        (16, None | Some(16)) => Ok(()),
        (16, _) => Err("pin-salt"),
        _ => Err("track-salt"),
    }
}

choice!(
    Outcome,
    "outcome",
    Approved = "approved",
    Partial = "partial",
    Declined = "declined"
);

message! {
    /// `I authorise`: the decision, once and for all.
    AuthoriseAnswer = Information "authorise", signatures 1..=1, check authorise_answer;
    "amount" amount: required Amount, "What was approved; zero if declined.";
    "balance" balance: optional Amount, "What the account holds after it.";
    "cap" cap: optional Amount, "What the rule leaves for its period.";
    "code" code: optional ApprovalCode, "The authorisation code; there unless declined.";
    "currency" currency: required Currency, "The currency of all amounts.";
    "digest" digest: required Digest, "SHA-256 of the command before its signatures.";
    "outcome" outcome: required Outcome, "What was decided.";
    "re" re: required TransactionId, "The command's id.";
    "rule" rule: optional Token<'a>, "The rule that declined or limited it; there unless approved.";
    "time" time: required Time, "The time of the decision.";
    "would-approve" would_approve: optional Amount, "The amount that would be approved.";
}

fn authorise_answer(m: &AuthoriseAnswer<'_>) -> Result<(), &'static str> {
    let declined = m.outcome == Outcome::Declined;
    if declined != (m.amount == Amount::ZERO) {
        return Err("amount");
    }
    if declined == m.code.is_some() {
        return Err("code");
    }
    if (m.outcome == Outcome::Approved) == m.rule.is_some() {
        return Err("rule");
    }
    Ok(())
}

/// The rules that a decline or a partial approval names. The list is open.
pub mod rule {
    use crate::lifecycle::Refusal;

    /// The rule of a claimed authorise that [`Next::Decline`](crate::lifecycle::Next::Decline) declines unjudged.
    #[must_use]
    pub const fn unjudged(refusal: Refusal) -> &'static str {
        match refusal {
            Refusal::Revoked => CERTIFICATE_REVOKED,
            _ => CERTIFICATE_EXPIRED,
        }
    }

    /// More than one authorise may be.
    pub const AMOUNT_LIMIT: &str = "amount-limit";
    /// The account does not hold enough.
    pub const BALANCE: &str = "balance";
    /// The card is blocked or lost.
    pub const CARD_BLOCKED: &str = "card-blocked";
    /// The card's date has passed.
    pub const CARD_EXPIRED: &str = "card-expired";
    /// The card's check value is wrong, or its track cannot be read.
    pub const CARD_INVALID: &str = "card-invalid";
    /// No such card.
    pub const CARD_UNKNOWN: &str = "card-unknown";
    /// The goods are not eligible.
    pub const CATEGORY: &str = "category";
    /// The terminal's certificate had expired when the command was to be decided.
    pub const CERTIFICATE_EXPIRED: &str = "cert-expired";
    /// The terminal's certificate had been revoked when the command was to be decided.
    pub const CERTIFICATE_REVOKED: &str = "cert-revoked";
    /// The programme has another currency.
    pub const CURRENCY: &str = "currency";
    /// The account's cap of the day.
    pub const DAILY_CAP: &str = "daily-cap";
    /// Not on this day of the week.
    pub const DAY: &str = "day";
    /// The PIN is wrong.
    pub const PIN: &str = "pin";
    /// Too many wrong PINs.
    pub const PIN_BLOCKED: &str = "pin-blocked";
    /// A PIN is needed.
    pub const PIN_REQUIRED: &str = "pin-required";
    /// The shop takes no payments.
    pub const SHOP: &str = "shop";
    /// A reversal or a status query came first.
    pub const TOMBSTONE: &str = "tombstone";
    /// Too many sales in a short time.
    pub const VELOCITY: &str = "velocity";
}

/// Why a sale is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReversalReason {
    /// No answer came.
    Timeout,
    /// The cashier or the customer changed their mind.
    Cancelled,
    /// The terminal could not finish the sale.
    Fault,
}

choice!(
    ReversalReason,
    "reason",
    Timeout = "timeout",
    Cancelled = "cancelled",
    Fault = "fault"
);

message! {
    /// `C reversal`: undo the original, or see to it that it is never executed.
    Reversal = Command "reversal", signatures 1..=1, check consistent;
    "id" id: required TransactionId, "The command's own id.";
    "original" original: required TransactionId, "The id to undo; less than `id`.";
    "reason" reason: required ReversalReason, "Why.";
    "terminal" terminal: required Identity, "The terminal, which must be the session's.";
    "time" time: required Time, "The terminal's time.";
}

/// What a reversal came to: [`ReversalOutcome`], or refused because the reversal itself was tombstoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReversalResult {
    /// The approval is undone.
    Reversed,
    /// It had been undone by another reversal.
    AlreadyReversed,
    /// It had been declined.
    WasDeclined,
    /// It had not been executed and never will be.
    NeverExecuted,
    /// The original is no authorise.
    NotReversible,
    /// The original is below the low-water mark.
    TooOld,
    /// This reversal came after its own tombstone and did nothing.
    Refused,
}

choice!(
    ReversalResult,
    "reversal outcome",
    Reversed = "reversed",
    AlreadyReversed = "already-reversed",
    WasDeclined = "was-declined",
    NeverExecuted = "never-executed",
    NotReversible = "not-reversible",
    TooOld = "too-old",
    Refused = "refused",
);

impl From<ReversalOutcome> for ReversalResult {
    fn from(outcome: ReversalOutcome) -> Self {
        match outcome {
            ReversalOutcome::Reversed => Self::Reversed,
            ReversalOutcome::AlreadyReversed => Self::AlreadyReversed,
            ReversalOutcome::WasDeclined => Self::WasDeclined,
            ReversalOutcome::NeverExecuted => Self::NeverExecuted,
            ReversalOutcome::NotReversible => Self::NotReversible,
            ReversalOutcome::TooOld => Self::TooOld,
        }
    }
}

message! {
    /// `I reversal`.
    ReversalAnswer = Information "reversal", signatures 1..=1,
        check |m| match (m.outcome, m.amount, m.currency) {
            (ReversalResult::Reversed, None, _) => Err("amount"),
            (ReversalResult::Reversed, Some(_), None) => Err("currency"),
            (ReversalResult::Reversed, ..) | (_, None, None) => Ok(()),
            (_, Some(_), _) => Err("amount"),
            (_, None, Some(_)) => Err("currency"),
        };
    "amount" amount: optional Amount, "What was given back; there if reversed.";
    "currency" currency: optional Currency, "Its currency; there if reversed.";
    "digest" digest: required Digest, "SHA-256 of the command before its signatures.";
    "original" original: required TransactionId, "The id that was to be undone.";
    "outcome" outcome: required ReversalResult, "What it came to.";
    "re" re: required TransactionId, "The command's id.";
    "time" time: required Time, "The time of the decision.";
}

message! {
    /// `C status`: what became of the original? If it was not executed, it never will be.
    Status = Command "status", signatures 1..=1, check consistent;
    "id" id: required TransactionId, "The command's own id.";
    "original" original: required TransactionId, "The id asked about; less than `id`.";
    "terminal" terminal: required Identity, "The terminal, which must be the session's.";
    "time" time: required Time, "The terminal's time.";
}

/// The state of an original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// An authorise, approved.
    Approved,
    /// An authorise, approved in part.
    Partial,
    /// An authorise, declined.
    Declined,
    /// An authorise, approved in whole or part and then undone.
    Reversed,
    /// A reversal, decided.
    Reversal,
    /// Not executed, and it never will be.
    NeverExecuted,
    /// Below the low-water mark.
    TooOld,
}

choice!(
    State,
    "state",
    Approved = "approved",
    Partial = "partial",
    Declined = "declined",
    Reversed = "reversed",
    Reversal = "reversal",
    NeverExecuted = "never-executed",
    TooOld = "too-old",
);

impl From<lifecycle::Status> for State {
    fn from(status: lifecycle::Status) -> Self {
        match status {
            lifecycle::Status::NeverExecuted => Self::NeverExecuted,
            lifecycle::Status::TooOld => Self::TooOld,
            lifecycle::Status::Decided(Decision::Reversal(_)) => Self::Reversal,
            lifecycle::Status::Decided(Decision::Authorise { reversed: true, .. }) => Self::Reversed,
            lifecycle::Status::Decided(Decision::Authorise { outcome, .. }) => match outcome {
                Outcome::Approved => Self::Approved,
                Outcome::Partial => Self::Partial,
                Outcome::Declined => Self::Declined,
            },
        }
    }
}

message! {
    /// `I status`.
    StatusAnswer = Information "status", signatures 1..=1, check status_answer;
    "amount" amount: optional Amount, "What had been approved; there if approved, partial or reversed.";
    "answer" answer: optional Digest, "SHA-256 of the original's answer before its signatures; there if decided.";
    "code" code: optional ApprovalCode, "The authorisation code; there with `amount`.";
    "currency" currency: optional Currency, "The currency; there with `amount`.";
    "digest" digest: required Digest, "SHA-256 of the command before its signatures.";
    "original" original: required TransactionId, "The id asked about.";
    "outcome" outcome: optional ReversalResult, "What the original came to; there if it is a reversal.";
    "re" re: required TransactionId, "The command's id.";
    "state" state: required State, "The original's state.";
    "time" time: required Time, "The time of this answer.";
}

fn status_answer(m: &StatusAnswer<'_>) -> Result<(), &'static str> {
    let approved = matches!(m.state, State::Approved | State::Partial | State::Reversed);
    let decided = approved || matches!(m.state, State::Declined | State::Reversal);
    if m.amount.is_some() != approved {
        Err("amount")
    } else if m.answer.is_some() != decided {
        Err("answer")
    } else if m.code.is_some() != approved {
        Err("code")
    } else if m.currency.is_some() != approved {
        Err("currency")
    } else if m.outcome.is_some() != (m.state == State::Reversal) {
        Err("outcome")
    } else {
        Ok(())
    }
}

message! {
    /// `C balance`: what may this card spend? Followed, in the same seal, by [`Card`] with the same id.
    Balance = Command "balance", signatures 1..=1, check consistent;
    "id" id: required TransactionId, "The command's id.";
    "pin-hash" pin_hash: optional Digest, "SHA-256 of `pin-salt` and `pin-block`'s octets, if a PIN was given.";
    "terminal" terminal: required Identity, "The terminal, which must be the session's.";
    "time" time: required Time, "The terminal's time.";
    "track-hash" track_hash: required Digest, "SHA-256 of `track-salt` and `track`'s octets.";
}

/// How a balance command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BalanceOutcome {
    /// The balance is told.
    Told,
    /// It is not.
    Declined,
}

choice!(BalanceOutcome, "balance outcome", Told = "told", Declined = "declined");

message! {
    /// `I balance`.
    BalanceAnswer = Information "balance", signatures 1..=1,
        check |m| match m.outcome {
            BalanceOutcome::Told if m.balance.is_none() => Err("balance"),
            BalanceOutcome::Told if m.rule.is_some() => Err("rule"),
            BalanceOutcome::Declined if m.balance.is_some() => Err("balance"),
            BalanceOutcome::Declined if m.cap.is_some() => Err("cap"),
            BalanceOutcome::Declined if m.rule.is_none() => Err("rule"),
            _ => Ok(()),
        };
    "balance" balance: optional Amount, "What the account holds; there if told.";
    "cap" cap: optional Amount, "What the day's cap leaves.";
    "currency" currency: required Currency, "The currency of all amounts.";
    "digest" digest: required Digest, "SHA-256 of the command before its signatures.";
    "outcome" outcome: required BalanceOutcome, "Whether it is told.";
    "re" re: required TransactionId, "The command's id.";
    "rule" rule: optional Token<'a>, "The rule that declined it; there if declined.";
    "time" time: required Time, "The time of this answer.";
}
