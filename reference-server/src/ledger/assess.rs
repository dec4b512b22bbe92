//! What a sale may take from a card account, and from which lots.

use tr_protocol::lifecycle::Outcome;
use tr_protocol::message::rule;

use super::entry::sum;
use super::{Account, Cause, Currency, Edition, Entry, EntryKind, LedgerError, LotId, Posting};

/// A rule that stopped, or cut, a sale. The names are those that the answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The account is kept in another currency.
    Currency,
    /// The amount is below the smallest sale.
    Minimum,
    /// The cap of one transaction.
    PerTransaction,
    /// The cap of one day.
    PerDay,
    /// The credit that can be spent now.
    Balance,
    /// The card is not known.
    UnknownCard,
    /// The card is blocked.
    CardBlocked,
    /// The card's month of expiry has passed.
    CardExpired,
    /// The card's check value is wrong.
    CheckValue,
    /// The shop or terminal may not sell.
    TerminalBlocked,
}

impl Rule {
    /// Every rule, for those who read them back.
    pub const ALL: [Self; 10] = [
        Self::Currency,
        Self::Minimum,
        Self::PerTransaction,
        Self::PerDay,
        Self::Balance,
        Self::UnknownCard,
        Self::CardBlocked,
        Self::CardExpired,
        Self::CheckValue,
        Self::TerminalBlocked,
    ];

    /// The rule's name on the wire and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Currency => rule::CURRENCY,
            Self::Minimum => "minimum",
            Self::PerTransaction => rule::AMOUNT_LIMIT,
            Self::PerDay => rule::DAILY_CAP,
            Self::Balance => rule::BALANCE,
            Self::UnknownCard => rule::CARD_UNKNOWN,
            Self::CardBlocked => rule::CARD_BLOCKED,
            Self::CardExpired => rule::CARD_EXPIRED,
            Self::CheckValue => rule::CARD_INVALID,
            Self::TerminalBlocked => rule::SHOP,
        }
    }

    /// The rule of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }
}

/// A credit lot: what came in at once, and what of it is left (minor units).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lot {
    /// Its identity.
    pub id: LotId,
    /// When it came in, in Unix seconds.
    pub received: i64,
    /// The first instant at which it can no longer be spent, in Unix seconds.
    pub expires: i64,
    /// What is left, never below zero.
    pub remaining: i64,
}

/// A card account as loaded for one decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardState {
    /// The account's number.
    pub account: i64,
    /// Its currency.
    pub currency: Currency,
    /// Its lots, in any order.
    pub lots: Vec<Lot>,
    /// What it has spent on the calendar day of the decision, reversals taken off.
    pub spent_today: i64,
}

impl CardState {
    /// What can be spent at an instant: the lots that have not expired.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`].
    pub fn balance(&self, now: i64) -> Result<i64, LedgerError> {
        sum(self
            .lots
            .iter()
            .filter(|lot| now < lot.expires)
            .map(|lot| lot.remaining))
    }
}

/// A sale asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Minor units.
    pub amount: i64,
    /// The currency of the amount.
    pub currency: Currency,
    /// Whether a smaller amount may be approved.
    pub partial: bool,
}

/// What is taken from one lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    /// The lot.
    pub lot: LotId,
    /// Minor units, above zero.
    pub amount: i64,
}

/// The ledger's word on a sale. Amounts are in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// How it ends.
    pub outcome: Outcome,
    /// The amount approved; 0 when declined.
    pub amount: i64,
    /// The rule that declined or cut it.
    pub rule: Option<Rule>,
    /// What the named rule still allows.
    pub remaining: i64,
    /// The amount that would be approved instead; 0 for none.
    pub would_approve: i64,
    /// What can be spent afterwards.
    pub balance: i64,
    /// What is taken, oldest lot first.
    pub takes: Vec<Take>,
}

impl Assessment {
    /// The entry of the sale, or none for a decline.
    ///
    /// # Errors
    /// Those of [`Entry::new`].
    pub fn entry(&self, cause: Cause, card: &CardState, shop: i64, at: i64) -> Result<Option<Entry>, LedgerError> {
        if self.takes.is_empty() {
            return Ok(None);
        }
        let mut postings = self
            .takes
            .iter()
            .map(|take| {
                let amount = take.amount.checked_neg().ok_or(LedgerError::Overflow)?;
                Ok(Posting {
                    account: Account::Card(card.account),
                    lot: Some(take.lot),
                    amount,
                })
            })
            .collect::<Result<Vec<_>, LedgerError>>()?;
        postings.push(Posting {
            account: Account::Shop(shop),
            lot: None,
            amount: self.amount,
        });
        Entry::new(cause, EntryKind::Sale, at, card.currency, postings).map(Some)
    }
}

/// Judges a sale: the smallest of the cap per transaction, what is left of the day's cap and the balance is available;
/// the rule that is named is the one that leaves least, in this order when two leave the same.
///
/// # Errors
/// [`LedgerError::NotPositive`] for an amount that no sale can have, [`LedgerError::Overflow`].
pub fn assess(card: &CardState, charge: &Charge, edition: &Edition, now: i64) -> Result<Assessment, LedgerError> {
    if charge.amount <= 0 {
        return Err(LedgerError::NotPositive { amount: charge.amount });
    }
    let balance = card.balance(now)?;
    let left_today = edition
        .per_day
        .checked_sub(card.spent_today)
        .ok_or(LedgerError::Overflow)?
        .max(0);
    let limits = [
        (Rule::PerTransaction, edition.per_transaction),
        (Rule::PerDay, left_today),
        (Rule::Balance, balance),
    ];
    let (rule, available) = limits
        .into_iter()
        .fold((Rule::PerTransaction, i64::MAX), |least, limit| {
            if limit.1 < least.1 { limit } else { least }
        });
    // Below the smallest sale nothing is approved, so nothing would be.
    let possible = if available < edition.minimum { 0 } else { available };
    let declined = |rule, remaining, would_approve| Assessment {
        outcome: Outcome::Declined,
        amount: 0,
        rule: Some(rule),
        remaining,
        would_approve,
        balance,
        takes: Vec::new(),
    };
    if charge.currency != card.currency {
        return Ok(declined(Rule::Currency, 0, 0));
    }
    if charge.amount < edition.minimum {
        return Ok(declined(
            Rule::Minimum,
            edition.minimum,
            if possible == 0 { 0 } else { edition.minimum },
        ));
    }
    if charge.amount <= available {
        return approved(card, Outcome::Approved, charge.amount, None, balance, now);
    }
    if charge.partial && possible > 0 {
        return approved(card, Outcome::Partial, possible, Some((rule, available)), balance, now);
    }
    Ok(declined(rule, available, possible))
}

fn approved(
    card: &CardState,
    outcome: Outcome,
    amount: i64,
    cut: Option<(Rule, i64)>,
    balance: i64,
    now: i64,
) -> Result<Assessment, LedgerError> {
    Ok(Assessment {
        outcome,
        amount,
        rule: cut.map(|(rule, _)| rule),
        remaining: cut.map_or(0, |(_, remaining)| remaining),
        would_approve: amount,
        balance: balance.checked_sub(amount).ok_or(LedgerError::Overflow)?,
        takes: take(&card.lots, amount, now)?,
    })
}

/// Spends the oldest credit first; the caller has made sure that there is enough.
fn take(lots: &[Lot], amount: i64, now: i64) -> Result<Vec<Take>, LedgerError> {
    let mut order: Vec<&Lot> = lots
        .iter()
        .filter(|lot| now < lot.expires && lot.remaining > 0)
        .collect();
    order.sort_by_key(|lot| (lot.received, lot.expires, lot.id));
    let mut missing = amount;
    let mut takes = Vec::with_capacity(1);
    for lot in order {
        if missing == 0 {
            break;
        }
        let part = missing.min(lot.remaining);
        takes.push(Take {
            lot: lot.id,
            amount: part,
        });
        missing = missing.checked_sub(part).ok_or(LedgerError::Overflow)?;
    }
    if missing == 0 {
        Ok(takes)
    } else {
        Err(LedgerError::Unbalanced { sum: missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn edition() -> Edition {
        Edition {
            from: "2020-01-01".parse().unwrap(),
            minimum: 100,
            per_transaction: 2_000,
            per_day: 3_000,
            credit_days: 365,
        }
    }

    fn lot(id: u8, received: i64, expires: i64, remaining: i64) -> Lot {
        Lot {
            id: LotId([id; 16]),
            received,
            expires,
            remaining,
        }
    }

    fn card(lots: Vec<Lot>, spent_today: i64) -> CardState {
        CardState {
            account: 7,
            currency: Currency::new("USD").unwrap(),
            lots,
            spent_today,
        }
    }

    fn charge(amount: i64, partial: bool) -> Charge {
        Charge {
            amount,
            currency: Currency::new("USD").unwrap(),
            partial,
        }
    }

    fn judge(card: &CardState, amount: i64, partial: bool) -> Assessment {
        assess(card, &charge(amount, partial), &edition(), NOW).unwrap()
    }

    #[test]
    fn the_oldest_credit_goes_first_and_expired_credit_stays() {
        let card = card(
            vec![lot(3, 30, NOW + 1, 500), lot(1, 10, NOW, 900), lot(2, 20, NOW + 1, 300)],
            0,
        );
        let word = judge(&card, 600, false);
        assert_eq!(word.outcome, Outcome::Approved);
        assert_eq!(word.balance, 200);
        let takes = [
            Take {
                lot: LotId([2; 16]),
                amount: 300,
            },
            Take {
                lot: LotId([3; 16]),
                amount: 300,
            },
        ];
        assert_eq!(word.takes, takes);
        let entry = word.entry(Cause([9; 16]), &card, 9, NOW).unwrap().unwrap();
        assert_eq!(entry.spent().unwrap(), 600);
        assert_eq!(entry.reversal(NOW + 5).unwrap().spent().unwrap(), -600);
        assert!(matches!(
            entry.reversal(NOW).unwrap().reversal(NOW),
            Err(LedgerError::NotReversible { .. })
        ));
    }

    #[test]
    fn a_decline_names_the_rule_what_is_left_and_what_would_pass() {
        let rich = card(vec![lot(1, 1, NOW + 1, 100_000)], 1_500);
        let word = judge(&rich, 1_501, false);
        assert_eq!(
            (word.rule, word.remaining, word.would_approve),
            (Some(Rule::PerDay), 1_500, 1_500)
        );
        let fresh = card(vec![lot(1, 1, NOW + 1, 100_000)], 0);
        let word = judge(&fresh, 2_001, false);
        assert_eq!(
            (word.rule, word.remaining, word.would_approve),
            (Some(Rule::PerTransaction), 2_000, 2_000)
        );
        let word = judge(&fresh, 99, true);
        assert_eq!(
            (word.rule, word.remaining, word.would_approve),
            (Some(Rule::Minimum), 100, 100)
        );
        let poor = card(vec![lot(1, 1, NOW + 1, 99)], 0);
        let word = judge(&poor, 100, true);
        assert_eq!(
            (word.outcome, word.rule, word.would_approve),
            (Outcome::Declined, Some(Rule::Balance), 0)
        );
    }

    #[test]
    fn a_part_is_approved_only_when_asked_for() {
        let poor = card(vec![lot(1, 1, NOW + 1, 700)], 0);
        let word = judge(&poor, 1_000, true);
        assert_eq!(
            (word.outcome, word.amount, word.rule),
            (Outcome::Partial, 700, Some(Rule::Balance))
        );
        assert_eq!(word.balance, 0);
        assert_eq!(judge(&poor, 1_000, false).outcome, Outcome::Declined);
        assert!(assess(&poor, &charge(0, false), &edition(), NOW).is_err());
        let euro = Charge {
            currency: Currency::new("EUR").unwrap(),
            ..charge(500, true)
        };
        assert_eq!(
            assess(&poor, &euro, &edition(), NOW).unwrap().rule,
            Some(Rule::Currency)
        );
    }

    #[test]
    fn every_rule_is_read_back_by_its_name() {
        for rule in Rule::ALL {
            assert_eq!(Rule::from_name(rule.name()), Some(rule));
        }
    }
}
