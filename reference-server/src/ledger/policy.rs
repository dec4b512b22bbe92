//! Policy as dated data, with the programme's own calendar.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tr_protocol::value::Currency;

use super::LedgerError;

/// A calendar day of the programme, counted from 1970-01-01 in the programme's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(pub i64);

/// The rules from one day on, until a later edition replaces them. Amounts are in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edition {
    /// The first day on which it holds, from midnight in the programme's time zone.
    pub from: Date,
    /// The smallest amount of one sale; at least 1.
    pub minimum: i64,
    /// The largest amount of one sale.
    pub per_transaction: i64,
    /// The most that one account may spend in one day.
    pub per_day: i64,
    /// How many days loaded credit can be spent.
    pub credit_days: i64,
}

/// The programme's policy: currency, time zone, and editions in the order of their dates.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Policy {
    currency: Currency,
    zone: TimeZone,
    zone_name: String,
    editions: Vec<Edition>,
}

/// The policy as written in a configuration file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    currency: String,
    time_zone: String,
    editions: Vec<Edition>,
}

impl Policy {
    /// Checks and sorts the editions. `time_zone` is a name of the tz database, such as `Europe/Bucharest`.
    ///
    /// # Errors
    /// [`LedgerError::TimeZone`], [`LedgerError::BadEdition`], [`LedgerError::NoEdition`] when there is none at all.
    pub fn new(currency: Currency, time_zone: &str, mut editions: Vec<Edition>) -> Result<Self, LedgerError> {
        let zone = TimeZone::get(time_zone).map_err(|_| LedgerError::TimeZone {
            name: time_zone.to_owned(),
        })?;
        editions.sort_by_key(|edition| edition.from);
        if editions.is_empty() {
            return Err(LedgerError::NoEdition { now: 0 });
        }
        let mut before: Option<Date> = None;
        for edition in &editions {
            let bad = |what| LedgerError::BadEdition {
                from: edition.from,
                what,
            };
            if before == Some(edition.from) {
                return Err(bad("two editions begin on this day"));
            }
            if edition.minimum < 1 {
                return Err(bad("the minimum must be at least 1"));
            }
            if edition.per_transaction < edition.minimum {
                return Err(bad("the cap per transaction is below the minimum"));
            }
            if edition.per_day < edition.per_transaction {
                return Err(bad("the cap per day is below the cap per transaction"));
            }
            if edition.credit_days < 1 {
                return Err(bad("credit must live at least one day"));
            }
            before = Some(edition.from);
        }
        Ok(Self {
            currency,
            zone,
            zone_name: time_zone.to_owned(),
            editions,
        })
    }

    /// The programme's currency.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// The name of the programme's time zone.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        &self.zone_name
    }

    /// The edition in force at an instant (Unix seconds).
    ///
    /// # Errors
    /// [`LedgerError::NoEdition`] before the first one, [`LedgerError::Instant`].
    pub fn edition(&self, now: i64) -> Result<&Edition, LedgerError> {
        let today = self.date(now)?;
        self.editions
            .iter()
            .rev()
            .find(|edition| edition.from <= today)
            .ok_or(LedgerError::NoEdition { now })
    }

    /// The calendar day of an instant (Unix seconds) where the programme lives.
    ///
    /// # Errors
    /// [`LedgerError::Instant`].
    pub fn day(&self, now: i64) -> Result<Day, LedgerError> {
        let since = self
            .date(now)?
            .since(Date::constant(1970, 1, 1))
            .map_err(|_| LedgerError::Instant { at: now })?;
        Ok(Day(i64::from(since.get_days())))
    }

    /// The calendar month of an instant where the programme lives, as `year * 12 + month - 1`.
    ///
    /// # Errors
    /// [`LedgerError::Instant`].
    pub fn month(&self, now: i64) -> Result<i64, LedgerError> {
        let date = self.date(now)?;
        month_number(date.year(), date.month()).ok_or(LedgerError::Instant { at: now })
    }

    /// The instant at which credit received at `now` ceases to be spendable: midnight after the edition's `credit_days`.
    ///
    /// # Errors
    /// [`LedgerError::NoEdition`], [`LedgerError::Instant`], [`LedgerError::Overflow`].
    pub fn credit_expiry(&self, now: i64) -> Result<i64, LedgerError> {
        let days = self
            .edition(now)?
            .credit_days
            .checked_add(1)
            .ok_or(LedgerError::Overflow)?;
        let span = jiff::Span::new().try_days(days).map_err(|_| LedgerError::Overflow)?;
        let last = self.date(now)?.checked_add(span).map_err(|_| LedgerError::Overflow)?;
        let midnight = last
            .to_zoned(self.zone.clone())
            .map_err(|_| LedgerError::Instant { at: now })?;
        Ok(midnight.timestamp().as_second())
    }

    fn date(&self, now: i64) -> Result<Date, LedgerError> {
        let instant = jiff::Timestamp::from_second(now).map_err(|_| LedgerError::Instant { at: now })?;
        Ok(self.zone.to_datetime(instant).date())
    }
}

/// `year * 12 + month - 1`; none for a month outside 1 to 12.
#[must_use]
pub fn month_number(year: i16, month: i8) -> Option<i64> {
    let month = i64::from(month)
        .checked_sub(1)
        .filter(|month| (0..12).contains(month))?;
    i64::from(year).checked_mul(12)?.checked_add(month)
}

impl TryFrom<Written> for Policy {
    type Error = LedgerError;

    fn try_from(written: Written) -> Result<Self, LedgerError> {
        let currency = Currency::new(&written.currency).ok_or(LedgerError::CurrencyCode)?;
        Self::new(currency, &written.time_zone, written.editions)
    }
}

impl From<Policy> for Written {
    fn from(policy: Policy) -> Self {
        Self {
            currency: policy.currency.as_str().to_owned(),
            time_zone: policy.zone_name,
            editions: policy.editions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edition(from: &str, per_day: i64) -> Edition {
        Edition {
            from: from.parse().unwrap(),
            minimum: 1,
            per_transaction: 100,
            per_day,
            credit_days: 365,
        }
    }

    fn usd() -> Currency {
        Currency::new("USD").unwrap()
    }

    #[test]
    fn the_latest_edition_begun_is_in_force_from_local_midnight() {
        let policy = Policy::new(
            usd(),
            "Europe/Bucharest",
            vec![edition("2026-07-01", 300), edition("2026-01-01", 200)],
        )
        .unwrap();
        // Midnight in Bucharest on 1 July is 21:00 UTC of 30 June.
        let midnight = "2026-06-30T21:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        assert_eq!(policy.edition(midnight - 1).unwrap().per_day, 200);
        assert_eq!(policy.edition(midnight).unwrap().per_day, 300);
        assert_eq!(policy.day(midnight).unwrap().0, policy.day(midnight - 1).unwrap().0 + 1);
        assert!(matches!(policy.edition(0), Err(LedgerError::NoEdition { now: 0 })));
    }

    #[test]
    fn a_policy_that_contradicts_itself_is_refused() {
        assert!(matches!(
            Policy::new(usd(), "Mars/Olympus", vec![]),
            Err(LedgerError::TimeZone { .. })
        ));
        assert!(matches!(
            Policy::new(usd(), "UTC", vec![]),
            Err(LedgerError::NoEdition { .. })
        ));
        assert!(Policy::new(usd(), "UTC", vec![edition("2026-01-01", 99)]).is_err());
        assert!(
            Policy::new(
                usd(),
                "UTC",
                vec![edition("2026-01-01", 200), edition("2026-01-01", 300)]
            )
            .is_err()
        );
    }

    #[test]
    fn credit_lives_to_the_end_of_its_last_day() {
        let policy = Policy::new(usd(), "UTC", vec![edition("2026-01-01", 200)]).unwrap();
        let noon = "2026-03-01T12:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        let end = "2027-03-02T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        assert_eq!(policy.credit_expiry(noon).unwrap(), end);
    }
}
