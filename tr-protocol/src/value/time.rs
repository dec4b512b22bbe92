//! Times: UTC seconds of the Gregorian calendar, without leap seconds.

use core::fmt;

/// A second between 1970-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// 1970-01-01T00:00:00Z.
    pub const MIN: Self = Self(0);
    /// 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);
    /// Octets of the text.
    pub const TEXT: usize = 20;

    /// The time so many seconds after 1970-01-01T00:00:00Z; `None` outside [`Self::MIN`] `..=` [`Self::MAX`].
    #[must_use]
    pub const fn from_unix(seconds: i64) -> Option<Self> {
        if seconds >= Self::MIN.0 && seconds <= Self::MAX.0 {
            Some(Self(seconds))
        } else {
            None
        }
    }

    /// The seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// Reads `YYYY-MM-DDThh:mm:ssZ`; `None` if it is not of this form or not in the calendar.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let text: &[u8; Self::TEXT] = text.as_bytes().try_into().ok()?;
        let &[
            y0,
            y1,
            y2,
            y3,
            b'-',
            o0,
            o1,
            b'-',
            d0,
            d1,
            b'T',
            h0,
            h1,
            b':',
            m0,
            m1,
            b':',
            s0,
            s1,
            b'Z',
        ] = text
        else {
            return None;
        };
        let year = number(&[y0, y1, y2, y3])?;
        let [month, day] = [number(&[o0, o1])?, number(&[d0, d1])?];
        let [hour, minute, second] = [number(&[h0, h1])?, number(&[m0, m1])?, number(&[s0, s1])?];
        let calendar = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        calendar.then(|| Self::from_parts(year, month, day, hour, minute, second))
    }

    #[expect(
        clippy::arithmetic_side_effects,
        reason = "every part is in its calendar range: at most 253402300799"
    )]
    const fn from_parts(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Self {
        Self(((days_before(year, month) + day - 1) * 24 + hour) * 3600 + minute * 60 + second)
    }

    /// Writes `YYYY-MM-DDThh:mm:ssZ`.
    #[must_use]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a Time is in its range, and so is each part of it"
    )]
    pub fn to_text(self) -> [u8; Self::TEXT] {
        let (days, rest) = (self.0 / 86_400, self.0 % 86_400);
        // At most one year and one month too far, corrected by the loops; 400 years have 146,097 days.
        let mut year = 1970 + days * 400 / 146_097;
        while days_before(year, 1) > days {
            year -= 1;
        }
        while days_before(year + 1, 1) <= days {
            year += 1;
        }
        let mut month = 12;
        while days_before(year, month) > days {
            month -= 1;
        }
        let day = days - days_before(year, month) + 1;
        let mut text = *b"0000-00-00T00:00:00Z";
        let [y0, y1, y2, y3, _, o0, o1, _, d0, d1, _, h0, h1, _, m0, m1, _, s0, s1, _] = &mut text;
        digits(year, &mut [y3, y2, y1, y0]);
        digits(month, &mut [o1, o0]);
        digits(day, &mut [d1, d0]);
        digits(rest / 3600, &mut [h1, h0]);
        digits(rest / 60 % 60, &mut [m1, m0]);
        digits(rest % 60, &mut [s1, s0]);
        text
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit & 15))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Writes a number's digits, the last one first.
fn digits(mut number: i64, places: &mut [&mut u8]) {
    for place in places {
        **place = u8::try_from(number % 10).unwrap_or_default().wrapping_add(b'0');
        number /= 10;
    }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of this month, for years from 1970 to 10000.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "years have four digits, 10000 at most in a comparison"
)]
const fn days_before(year: i64, month: i64) -> i64 {
    let last = year - 1;
    let leap_days = last / 4 - last / 100 + last / 400 - 477;
    let months = match month {
        1 => 0,
        2 => 31,
        3 => 59,
        4 => 90,
        5 => 120,
        6 => 151,
        7 => 181,
        8 => 212,
        9 => 243,
        10 => 273,
        11 => 304,
        _ => 334,
    };
    let leap_day = if month > 2 && is_leap(year) { 1 } else { 0 };
    (year - 1970) * 365 + leap_days + months + leap_day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        let mut seconds = 0;
        while seconds <= Time::MAX.unix() {
            for within in [0, 86_399] {
                let time = Time::from_unix(seconds + within).unwrap();
                let text = time.to_text();
                let text = core::str::from_utf8(&text).unwrap();
                assert_eq!(Time::from_text(text), Some(time), "{text}");
                assert_eq!(number(&text.as_bytes()[..4]), Some(year));
                assert_eq!(number(&text.as_bytes()[5..7]), Some(month));
                assert_eq!(number(&text.as_bytes()[8..10]), Some(day));
            }
            seconds += 86_400;
            day += 1;
            if day > days_of_month(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!(year, 10_000);
    }

    #[test]
    fn known_times() {
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-21T06:00:00Z", 1_795_240_800),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(Time::from_text(text).map(Time::unix), Some(unix), "{text}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "1969-12-31T23:59:59Z",
            "2025-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-04-00T00:00:00Z",
            "2026-04-01T24:00:00Z",
            "2026-04-01T23:60:00Z",
            "2026-04-01T23:59:60Z",
            "2026-04-01T23:59:59z",
            "2026-04-01 23:59:59Z",
            "2026-04-01T23:59:59+00:00",
            "+026-04-01T23:59:59Z",
            "2026-4-01T23:59:59Z",
        ] {
            assert_eq!(Time::from_text(text), None, "{text}");
        }
    }
}
