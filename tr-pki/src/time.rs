//! Points in time: Unix seconds inside, the two forms of X.509 outside.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

/// What a validator knows of the time, in Unix seconds.
///
/// A small device has no clock to trust. It has a *floor*, which it keeps: the newest of its
/// firmware's build time and every time a CA has signed for it. Sometimes it also has an
/// *authenticated* time from a peer it trusts for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// No moment earlier than this can be now.
    pub floor: i64,
    /// Now, where somebody trusted has said so.
    pub authenticated: Option<i64>,
}

impl Time {
    /// A time known from a trusted clock, e.g. on the server.
    #[must_use]
    pub const fn known(now: i64) -> Self {
        Self {
            floor: now,
            authenticated: Some(now),
        }
    }

    /// A time of which only the floor is known.
    #[must_use]
    pub const fn at_least(floor: i64) -> Self {
        Self {
            floor,
            authenticated: None,
        }
    }

    /// The later of both values, which expiry is compared with.
    #[must_use]
    pub fn latest(&self) -> i64 {
        self.authenticated.map_or(self.floor, |known| known.max(self.floor))
    }
}

/// `YYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5.1): years 1950–2049.
pub(crate) fn from_utc_time(text: &[u8]) -> Option<i64> {
    let (&[y1, y2], rest) = text.split_first_chunk::<2>()?;
    let short = two_digits(y1, y2)?;
    let century = if short < 50 { 2000 } else { 1900 };
    from_parts(short.checked_add(century)?, rest)
}

/// `YYYYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5.2), for years 2050 and later only.
pub(crate) fn from_generalized_time(text: &[u8]) -> Option<i64> {
    let (&[y1, y2, y3, y4], rest) = text.split_first_chunk::<4>()?;
    let year = two_digits(y1, y2)?.checked_mul(100)?.checked_add(two_digits(y3, y4)?)?;
    if year < 2050 {
        return None;
    }
    from_parts(year, rest)
}

/// `MMDDHHMMSSZ` of a year from 1950 to 9999, so that nothing here can overflow.
fn from_parts(year: i64, rest: &[u8]) -> Option<i64> {
    let &[m1, m2, d1, d2, h1, h2, n1, n2, s1, s2, b'Z'] = rest else {
        return None;
    };
    let (month, day) = (two_digits(m1, m2)?, two_digits(d1, d2)?);
    let (hour, minute, second) = (two_digits(h1, h2)?, two_digits(n1, n2)?, two_digits(s1, s2)?);
    let days = match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if day < 1 || day > days || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let hours = days_from_civil(year, month, day).wrapping_mul(24).wrapping_add(hour);
    let minutes = hours.wrapping_mul(60).wrapping_add(minute);
    Some(minutes.wrapping_mul(60).wrapping_add(second))
}

fn is_leap(year: i64) -> bool {
    year.wrapping_rem(4) == 0 && (year.wrapping_rem(100) != 0 || year.wrapping_rem(400) == 0)
}

/// Days from 1970-01-01, proleptic Gregorian; years start in March, so leap days end them.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = match month {
        3.. => (year, month.wrapping_sub(3)),
        _ => (year.wrapping_sub(1), month.wrapping_add(9)),
    };
    let leaps = year
        .wrapping_div(4)
        .wrapping_sub(year.wrapping_div(100))
        .wrapping_add(year.wrapping_div(400));
    year.wrapping_mul(365)
        .wrapping_add(leaps)
        .wrapping_add(month.wrapping_mul(153).wrapping_add(2).wrapping_div(5))
        .wrapping_add(day)
        .wrapping_sub(719_469)
}

#[inline]
fn two_digits(high: u8, low: u8) -> Option<i64> {
    let (high, low) = (high.wrapping_sub(b'0'), low.wrapping_sub(b'0'));
    if high > 9 || low > 9 {
        return None;
    }
    Some(i64::from(high.wrapping_mul(10).wrapping_add(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (text, seconds) in [
            ("700101000000Z", 0),
            ("500101000000Z", -631_152_000),
            ("000229235959Z", 951_868_799),
            ("261121061200Z", 1_795_241_520),
            ("491231235959Z", 2_524_607_999),
        ] {
            assert_eq!(from_utc_time(text.as_bytes()), Some(seconds), "{text}");
        }
        for (text, seconds) in [
            ("20500101000000Z", 2_524_608_000),
            ("21000301000000Z", 4_107_542_400),
            ("99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(from_generalized_time(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "Z",
            "2611210612Z",
            "261121061200",
            "261121061200+0000",
            "261321061200Z",
            "260021061200Z",
            "260229000000Z",
            "261100061200Z",
            "261131061200Z",
            "261121241200Z",
            "261121066000Z",
            "261121061260Z",
            "2611210612 0Z",
            "26112106120:Z",
            "261121061200ZZ",
            "20261121061200Z",
        ] {
            assert_eq!(from_utc_time(text.as_bytes()), None, "{text}");
        }
        for text in [
            "20491231235959Z",
            "21000229000000Z",
            "500101000000Z",
            "20500101000000.5Z",
        ] {
            assert_eq!(from_generalized_time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_later_time_counts() {
        assert_eq!(Time::at_least(5).latest(), 5);
        assert_eq!(Time::known(7).latest(), 7);
        assert_eq!(
            Time {
                floor: 5,
                authenticated: Some(3)
            }
            .latest(),
            5
        );
    }
}
