//! Answers: encoded, signed by the backend, verbatim for ever after.

use anyhow::{Context, Result, anyhow};
use tr_hsm::Device;
use tr_protocol::frame::MAX_INNER;
use tr_protocol::lifecycle::{Decision, Status};
use tr_protocol::message::{
    AuthoriseAnswer, BalanceAnswer, BalanceOutcome, ErrorAnswer, Extra, Message, ReversalAnswer, ReversalResult,
    SignOnAnswer, State, StatusAnswer, rule,
};
use tr_protocol::value::{Amount, Digest, Text, Time, Token, TransactionId};

use super::Core;
use crate::engine::{AnswerData, Authorised, Balance, Outcome, Reason, StatusData};
use crate::ledger::Rule;
use crate::store::TerminalRecord;

/// To whom an answer goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct To {
    pub(super) id: TransactionId,
    pub(super) digest: Digest,
    pub(super) now: i64,
    /// Whether the command is a reversal, for one that came after its tombstone.
    pub(super) original: Option<TransactionId>,
}

impl Core {
    /// The signed frame of a decision.
    pub(super) fn answer(&self, to: &To, data: &AnswerData) -> Result<Vec<u8>> {
        let time = time(to.now)?;
        match data {
            AnswerData::Authorise(word) => self.sign(&authorised(to, word, time)?),
            AnswerData::Reversal(word) => {
                let outcome = ReversalResult::from(word.outcome);
                let reversed = outcome == ReversalResult::Reversed;
                self.sign(&ReversalAnswer {
                    amount: reversed.then(|| amount(word.amount)).transpose()?,
                    currency: reversed.then_some(self.config.policy.currency()),
                    digest: to.digest,
                    original: word.original,
                    outcome,
                    re: to.id,
                    time,
                    extra: Extra::default(),
                })
            }
            AnswerData::NeverExecuted => match to.original {
                Some(original) => self.sign(&ReversalAnswer {
                    amount: None,
                    currency: None,
                    digest: to.digest,
                    original,
                    outcome: ReversalResult::Refused,
                    re: to.id,
                    time,
                    extra: Extra::default(),
                }),
                None => self.sign(&AuthoriseAnswer {
                    amount: Amount::ZERO,
                    balance: None,
                    cap: None,
                    code: None,
                    currency: self.config.policy.currency(),
                    digest: to.digest,
                    outcome: Outcome::Declined,
                    re: to.id,
                    rule: Token::new(rule::TOMBSTONE),
                    time,
                    would_approve: None,
                    extra: Extra::default(),
                }),
            },
            AnswerData::Status(word) => self.status(to, word, time),
            AnswerData::Balance(word) => self.sign(&balance(to, word, time)?),
        }
    }

    fn status(&self, to: &To, word: &StatusData, time: Time) -> Result<Vec<u8>> {
        let state = State::from(word.status);
        let approved = matches!(state, State::Approved | State::Partial | State::Reversed);
        let outcome = match word.status {
            Status::Decided(Decision::Reversal(outcome)) => Some(ReversalResult::from(outcome)),
            _ => None,
        };
        let stored = word
            .answer
            .as_deref()
            .map(tr_protocol::frame::Frame::parse_exact)
            .transpose()?;
        let original = match &stored {
            Some(frame) if approved => Some(AuthoriseAnswer::parse(frame)?),
            _ => None,
        };
        self.sign(&StatusAnswer {
            amount: original.as_ref().map(|answer| answer.amount),
            answer: stored.as_ref().map(|frame| super::session::digest(frame)),
            code: original.as_ref().and_then(|answer| answer.code),
            currency: original.as_ref().map(|answer| answer.currency),
            digest: to.digest,
            original: word.original,
            outcome,
            re: to.id,
            state,
            time,
            extra: Extra::default(),
        })
    }

    /// The signed frame that answers a sign-on.
    pub(super) fn signed_on(&self, to: &To, terminal: &TerminalRecord) -> Result<Vec<u8>> {
        self.sign(&SignOnAnswer {
            currency: self.config.policy.currency(),
            digest: to.digest,
            low_water: terminal.low_water,
            re: to.id,
            shop: Text::new(&terminal.shop_name).map_err(|kind| anyhow!("the shop's name: {kind:?}"))?,
            time: time(to.now)?,
            extra: Extra::default(),
        })
    }

    /// The signed frame of an error.
    pub(super) fn error(&self, error: ErrorAnswer<'_>) -> Result<Vec<u8>> {
        self.sign(&error)
    }

    fn sign<'m, M: Message<'m>>(&self, message: &M) -> Result<Vec<u8>> {
        let mut buffer = [0; MAX_INNER];
        let signing = message.encode(&mut buffer)?.sign(&self.identity_digest)?;
        let signature = self
            .hsm
            .sign(crate::hsm::IDENTITY.newest(), signing.message())
            .context("the backend's key does not sign")?;
        Ok(signing.append(&signature)?.finish()?.as_bytes().to_vec())
    }
}

fn authorised<'a>(to: &To, word: &'a Authorised, time: Time) -> Result<AuthoriseAnswer<'a>> {
    let rule = word.reason.and_then(|reason| Token::new(reason.name()));
    // Amounts are in the currency that was asked for; of another there is nothing to tell.
    let told = word
        .balance
        .filter(|_| word.reason != Some(Reason::Rule(Rule::Currency)));
    let cut = rule.is_some();
    let positive =
        |minor: i64| amount(minor).map(|amount| cut.then_some(amount).filter(|amount| *amount != Amount::ZERO));
    Ok(AuthoriseAnswer {
        amount: amount(word.amount)?,
        balance: told.map(amount).transpose()?,
        cap: if cut && told.is_some() {
            Some(amount(word.remaining)?)
        } else {
            None
        },
        code: word.code,
        currency: word.currency,
        digest: to.digest,
        outcome: word.outcome,
        re: to.id,
        rule,
        time,
        would_approve: positive(word.would_approve)?,
        extra: Extra::default(),
    })
}

fn balance<'a>(to: &To, word: &'a Balance, time: Time) -> Result<BalanceAnswer<'a>> {
    let told = word.balance.is_some();
    Ok(BalanceAnswer {
        balance: word.balance.map(amount).transpose()?,
        cap: told.then(|| amount(word.left_today)).transpose()?,
        currency: word.currency,
        digest: to.digest,
        outcome: if told {
            BalanceOutcome::Told
        } else {
            BalanceOutcome::Declined
        },
        re: to.id,
        rule: word.rule.filter(|_| !told).and_then(|rule| Token::new(rule.name())),
        time,
        extra: Extra::default(),
    })
}

fn amount(minor: i64) -> Result<Amount> {
    u64::try_from(minor)
        .ok()
        .and_then(Amount::new)
        .with_context(|| format!("{minor} is no amount"))
}

pub(super) fn time(seconds: i64) -> Result<Time> {
    Time::from_unix(seconds).with_context(|| format!("{seconds} is no time that can be written"))
}
