//! What the cashier reads: an answer in the words of `tr_terminal::texts`.

use anyhow::Result;
use tr_protocol::lifecycle::Outcome;
use tr_protocol::message::{AuthoriseAnswer, Inner, ReversalResult, State};
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

/// An answer in one line or two. `asked` is the amount of a sale, for the rest that is to be paid otherwise.
///
/// # Errors
/// When an amount is larger than any ledger's.
pub fn words(texts: &Texts, answer: &Inner<'_>, asked: Option<i64>) -> Result<(String, Verdict)> {
    Ok(match answer {
        Inner::AuthoriseAnswer(answer) => sale(texts, answer, asked)?,
        Inner::ReversalAnswer(answer) => match (answer.outcome, answer.amount, answer.currency) {
            (ReversalResult::Reversed, Some(amount), Some(currency)) => (
                texts
                    .reversed
                    .replace("{amount}", &amount_text(amount, currency.as_str())?),
                Verdict::Done,
            ),
            (ReversalResult::AlreadyReversed, ..) => (texts.was_reversed.to_owned(), Verdict::Done),
            (ReversalResult::NeverExecuted, ..) => (texts.never_executed.to_owned(), Verdict::Done),
            (ReversalResult::WasDeclined, ..) => (texts.nothing_to_reverse.to_owned(), Verdict::Done),
            (ReversalResult::TooOld, ..) => (texts.too_old.to_owned(), Verdict::Declined),
            _ => (
                format!("{} ({})", texts.refused, answer.outcome.as_str()),
                Verdict::Declined,
            ),
        },
        Inner::StatusAnswer(answer) => {
            let text = match answer.state {
                State::Approved | State::Partial => {
                    let amount = match (answer.amount, answer.currency) {
                        (Some(amount), Some(currency)) => amount_text(amount, currency.as_str())?,
                        _ => String::new(),
                    };
                    let code = answer.code.as_ref().map_or("", |code| code.as_str());
                    texts.was_approved.replace("{amount}", &amount).replace("{code}", code)
                }
                State::Declined => texts.was_declined.to_owned(),
                State::Reversed | State::Reversal => texts.was_reversed.to_owned(),
                State::NeverExecuted => texts.never_executed.to_owned(),
                State::TooOld => texts.too_old.to_owned(),
            };
            (text, Verdict::Done)
        }
        Inner::BalanceAnswer(answer) => match (answer.balance, answer.rule) {
            (Some(balance), _) => (
                texts
                    .balance
                    .replace("{amount}", &amount_text(balance, answer.currency.as_str())?),
                Verdict::Done,
            ),
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

fn sale(texts: &Texts, answer: &AuthoriseAnswer<'_>, asked: Option<i64>) -> Result<(String, Verdict)> {
    let currency = answer.currency.as_str();
    let amount = amount_text(answer.amount, currency)?;
    let code = answer.code.as_ref().map_or("", |code| code.as_str());
    let reason = answer.rule.map(|rule| texts.reason(rule.as_str()));
    let filled = |text: &str| text.replace("{amount}", &amount).replace("{code}", code);
    Ok(match answer.outcome {
        Outcome::Approved => (filled(texts.approved), Verdict::Done),
        Outcome::Partial => {
            let paid = i64::try_from(answer.amount.minor_units())?;
            let rest = asked.map(|asked| asked.saturating_sub(paid)).unwrap_or_default();
            let rest = format!("{} {currency}", crate::money::format(rest, currency));
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
