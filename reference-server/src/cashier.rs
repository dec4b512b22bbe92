//! What the cashier reads: an answer in the words of `tr_terminal::texts`.

use anyhow::Result;
use tr_protocol::lifecycle::Outcome;
use tr_protocol::message::{AuthoriseAnswer, Inner, ReversalResult, State, StatusAnswer};
use tr_protocol::value::{Amount, Currency};
use tr_terminal::texts::{ENGLISH, SPANISH, Texts};

use crate::cli::Language;
use crate::receipt::amount_text;

/// What an answer means for the one who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It went as asked, in whole or part.
    Done,
    /// It did not.
    Declined,
}

/// The texts of a language.
#[must_use]
pub const fn texts(language: Language) -> &'static Texts {
    match language {
        Language::En => &ENGLISH,
        Language::Es => &SPANISH,
    }
}

/// An answer to a command, in one line or two.
///
/// # Errors
/// When an amount is larger than any ledger's.
pub fn words(texts: &Texts, command: &Inner<'_>, answer: &Inner<'_>) -> Result<(String, Verdict)> {
    Ok(match answer {
        Inner::AuthoriseAnswer(answer) => {
            // What was asked is what was signed, whoever asks for the answer now.
            let asked = match command {
                Inner::Authorise(command) => command.amount,
                _ => answer.amount,
            };
            sale(texts, answer, asked)?
        }
        Inner::ReversalAnswer(answer) => reversal(texts, answer.outcome, answer.amount.zip(answer.currency))?,
        Inner::StatusAnswer(answer) => status(texts, answer)?,
        Inner::BalanceAnswer(answer) => match (answer.balance, answer.rule) {
            (Some(balance), _) => {
                let amount = amount_text(balance, answer.currency.as_str())?;
                (texts.balance.replace("{amount}", &amount), Verdict::Done)
            }
            (None, rule) => {
                let reason = texts.reason(rule.map_or("", |rule| rule.as_str()));
                (format!("{} {reason}", texts.declined), Verdict::Declined)
            }
        },
        Inner::ErrorAnswer(error) => (
            format!("{} ({})", texts.refused, error.code.as_str()),
            Verdict::Declined,
        ),
        _ => (texts.refused.to_owned(), Verdict::Declined),
    })
}

fn sale(texts: &Texts, answer: &AuthoriseAnswer<'_>, asked: Amount) -> Result<(String, Verdict)> {
    let currency = answer.currency.as_str();
    let amount = amount_text(answer.amount, currency)?;
    let code = answer.code.as_ref().map_or("", |code| code.as_str());
    let reason = answer.rule.map(|rule| texts.reason(rule.as_str()));
    let filled = |text: &str| text.replace("{amount}", &amount).replace("{code}", code);
    Ok(match answer.outcome {
        Outcome::Approved => (filled(texts.approved), Verdict::Done),
        Outcome::Partial => {
            let rest = asked.minor_units().saturating_sub(answer.amount.minor_units());
            let rest = amount_text(Amount::new(rest).unwrap_or(Amount::ZERO), currency)?;
            let text = filled(texts.approved_in_part).replace("{rest}", &rest);
            (format!("{text} {}", reason.unwrap_or_default()), Verdict::Done)
        }
        Outcome::Declined => {
            let mut text = format!("{} {}", texts.declined, reason.unwrap_or_default());
            if let Some(amount) = answer.would_approve {
                let amount = amount_text(amount, currency)?;
                text = format!("{text} {}", texts.would_approve.replace("{amount}", &amount));
            }
            (text, Verdict::Declined)
        }
    })
}

fn reversal(texts: &Texts, outcome: ReversalResult, back: Option<(Amount, Currency)>) -> Result<(String, Verdict)> {
    Ok(match outcome {
        ReversalResult::Reversed => {
            let amount = back
                .map(|(amount, currency)| amount_text(amount, currency.as_str()))
                .transpose()?;
            (
                texts.reversed.replace("{amount}", &amount.unwrap_or_default()),
                Verdict::Done,
            )
        }
        ReversalResult::AlreadyReversed => (texts.was_reversed.to_owned(), Verdict::Done),
        ReversalResult::NeverExecuted => (texts.never_executed.to_owned(), Verdict::Done),
        ReversalResult::WasDeclined => (texts.nothing_to_reverse.to_owned(), Verdict::Done),
        ReversalResult::TooOld => (texts.too_old.to_owned(), Verdict::Declined),
        ReversalResult::NotReversible | ReversalResult::Refused => {
            (format!("{} ({})", texts.refused, outcome.as_str()), Verdict::Declined)
        }
    })
}

/// A status is an answer, whatever it says: it was given.
fn status(texts: &Texts, answer: &StatusAnswer<'_>) -> Result<(String, Verdict)> {
    let amount = match answer.amount.zip(answer.currency) {
        Some((amount, currency)) => amount_text(amount, currency.as_str())?,
        None => String::new(),
    };
    let code = answer.code.as_ref().map_or("", |code| code.as_str());
    let filled = |text: &str| text.replace("{amount}", &amount).replace("{code}", code);
    let text = match answer.state {
        State::Approved => filled(texts.was_approved),
        State::Partial => filled(texts.was_approved_in_part),
        State::Declined => texts.was_declined.to_owned(),
        State::Reversed => texts.was_reversed.to_owned(),
        State::NeverExecuted => texts.never_executed.to_owned(),
        State::TooOld => texts.too_old.to_owned(),
        State::Reversal => {
            let outcome = answer.outcome.unwrap_or(ReversalResult::Refused);
            // What came back stands in the reversal's own receipt, not in its status.
            return Ok(match outcome {
                ReversalResult::Reversed => (texts.was_reversed.to_owned(), Verdict::Done),
                other => (reversal(texts, other, None)?.0, Verdict::Done),
            });
        }
    };
    Ok((text, Verdict::Done))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tr_protocol::value::{ApprovalCode, Digest, Identity, Time, Token, TransactionId};

    fn id(number: u64) -> TransactionId {
        TransactionId::new(number).unwrap()
    }

    fn amount(minor: u64) -> Amount {
        Amount::new(minor).unwrap()
    }

    #[test]
    fn the_rest_is_told_from_the_signed_command_whoever_asks() {
        let usd = Currency::new("USD").unwrap();
        let command = Inner::Authorise(tr_protocol::message::Authorise {
            amount: amount(30_00),
            currency: usd,
            id: id(7),
            partial: true,
            pin_hash: None,
            terminal: Identity::from_uuid([1; 16]),
            time: Time::from_unix(0).unwrap(),
            track_hash: Digest([0; 32]),
            extra: tr_protocol::message::Extra::default(),
        });
        let answer = Inner::AuthoriseAnswer(AuthoriseAnswer {
            amount: amount(25_00),
            balance: None,
            cap: None,
            code: ApprovalCode::new(*b"A2B3C4"),
            currency: usd,
            digest: Digest([0; 32]),
            outcome: Outcome::Partial,
            re: id(7),
            rule: Token::new("amount-limit"),
            time: Time::from_unix(0).unwrap(),
            would_approve: None,
            extra: tr_protocol::message::Extra::default(),
        });
        let (text, verdict) = words(&ENGLISH, &command, &answer).unwrap();
        assert!(text.contains("25.00 USD") && text.contains("rest (5.00 USD)"), "{text}");
        assert_eq!(verdict, Verdict::Done);
    }

    #[test]
    fn a_status_says_what_the_original_came_to() {
        let usd = Currency::new("USD").unwrap();
        let answer = |state, outcome, approved: Option<u64>| {
            Inner::StatusAnswer(StatusAnswer {
                amount: approved.map(amount),
                answer: None,
                code: approved.and(ApprovalCode::new(*b"A2B3C4")),
                currency: approved.map(|_| usd),
                digest: Digest([0; 32]),
                original: id(1),
                outcome,
                re: id(2),
                state,
                time: Time::from_unix(0).unwrap(),
                extra: tr_protocol::message::Extra::default(),
            })
        };
        let text = |answer| words(&ENGLISH, &answer, &answer).unwrap().0;
        assert!(text(answer(State::Partial, None, Some(25_00))).contains("IN PART: 25.00 USD"));
        assert!(text(answer(State::Approved, None, Some(25_00))).contains("APPROVED: 25.00 USD"));
        let undone = |outcome| text(answer(State::Reversal, Some(outcome), None));
        assert_eq!(undone(ReversalResult::Reversed), ENGLISH.was_reversed);
        assert_eq!(undone(ReversalResult::WasDeclined), ENGLISH.nothing_to_reverse);
        assert_eq!(undone(ReversalResult::TooOld), ENGLISH.too_old);
    }
}
