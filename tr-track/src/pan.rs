//! The primary account number of ISO/IEC 7812-1.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use crate::text::Ascii;
use crate::{TrackError, TrackErrorKind};

/// A primary account number: 8 to 19 digits whose last is the Luhn check digit of the others.
///
/// It cannot be wrong once it exists. `Debug` and `Display` show at most the first 6 and the last 4 digits; it is wiped on drop.
///
/// ```
/// use tr_track::Pan;
/// let pan = Pan::new("4929555123456789").unwrap_err(); // a published example with a wrong check digit
/// assert_eq!(pan.to_string(), "character 15: check digit 9, the number calls for 5 (Luhn)");
/// let pan = Pan::new("4929555123456785").unwrap();
/// assert_eq!(format!("{pan} {pan:?}"), "492955******6785 Pan(492955******6785)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pan(Ascii<{ Pan::MAX_DIGITS }>);

impl Pan {
    /// The fewest digits: an issuer number of 6 (those issued before 8 came in 2017), one digit of account, the check digit.
    pub const MIN_DIGITS: usize = 8;
    /// The most digits (ISO/IEC 7812-1).
    pub const MAX_DIGITS: usize = 19;

    /// Takes the digits, check digit included.
    ///
    /// # Errors
    /// [`TrackError`]: too short, too long, no digit, or [`TrackErrorKind::Luhn`].
    pub fn new(digits: &str) -> Result<Self, TrackError> {
        let pan = Self(Self::digits(digits, 0)?);
        let (body, found) = match pan.0.as_bytes().split_last() {
            Some((last, body)) => (body, last.wrapping_sub(b'0')),
            None => (&[][..], 0),
        };
        let expected = luhn(body);
        if found == expected {
            Ok(pan)
        } else {
            let kind = TrackErrorKind::Luhn { expected, found };
            Err(TrackError::new(kind, body.len()))
        }
    }

    /// Appends the check digit to the digits before it.
    ///
    /// # Errors
    /// [`TrackError`]: too short or too long with the check digit, or no digit.
    pub fn with_check_digit(digits: &str) -> Result<Self, TrackError> {
        let mut pan = Self::digits(digits, 1)?;
        let check = luhn(pan.as_bytes()).wrapping_add(b'0');
        let fits = pan.push_byte(check);
        debug_assert!(fits, "the length was checked with one digit to come");
        Ok(Self(pan))
    }

    /// How many digits there are, 8 to 19.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a PAN is never empty")]
    pub fn len(&self) -> usize {
        self.0.as_bytes().len()
    }

    /// The last four digits, as receipts show them.
    #[must_use]
    pub fn last_four(&self) -> &str {
        let tail = self.len().saturating_sub(4);
        self.0.as_str().get(tail..).unwrap_or("")
    }

    /// Whether the number begins with an issuer identification number.
    #[must_use]
    pub fn has_issuer(&self, iin: &str) -> bool {
        self.0.as_str().starts_with(iin)
    }

    /// All digits. Named so because they must not reach a log.
    #[must_use]
    pub fn expose_digits(&self) -> &str {
        self.0.as_str()
    }

    /// Checks length and digits, leaving room for `to_come` more.
    fn digits(text: &str, to_come: usize) -> Result<Ascii<{ Self::MAX_DIGITS }>, TrackError> {
        let bytes = text.as_bytes();
        if let Some(at) = bytes.iter().position(|byte| !byte.is_ascii_digit()) {
            let found = bytes.get(at).copied().unwrap_or(0);
            return Err(TrackError::new(TrackErrorKind::Character { found }, at));
        }
        let found = bytes.len();
        let (least, most) = (
            Self::MIN_DIGITS.saturating_sub(to_come),
            Self::MAX_DIGITS.saturating_sub(to_come),
        );
        let wrong = if found < least {
            let limit = least;
            TrackErrorKind::TooShort { found, limit }
        } else {
            TrackErrorKind::TooLong { found, limit: most }
        };
        let copy = Ascii::copy(bytes).filter(|_| (least..=most).contains(&found));
        copy.ok_or(TrackError::new(wrong, found))
    }
}

/// The Luhn check digit (0 to 9) of a number without it (ISO/IEC 7812-1, annex B). Bytes other than digits count as if they were.
fn luhn(digits: &[u8]) -> u8 {
    /// Twice a digit, its own digits added up.
    const DOUBLED: [u8; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let mut sum: u32 = 0;
    let mut double = true;
    for digit in digits.iter().rev().map(|byte| byte.wrapping_sub(b'0')) {
        let value = if double {
            DOUBLED.get(usize::from(digit)).copied().unwrap_or(0)
        } else {
            digit
        };
        sum = sum.wrapping_add(u32::from(value));
        double = !double;
    }
    let rest = u8::try_from(sum % 10).unwrap_or(0);
    10_u8.wrapping_sub(rest) % 10
}

impl fmt::Display for Pan {
    /// The masked number: the first 6 and the last 4 digits, fewer of a short number so that 5 at least stay hidden.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown_first = self.len().saturating_sub(9).min(6);
        let shown_last = self.len().saturating_sub(5).min(4);
        let hidden = shown_first..self.len().saturating_sub(shown_last);
        for (index, digit) in self.0.as_str().chars().enumerate() {
            let masked = if hidden.contains(&index) { '*' } else { digit };
            fmt::Write::write_char(f, masked)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pan({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn published_test_numbers_have_their_check_digit() {
        for number in [
            "79927398713",
            "4111111111111111",
            "378282246310005",
            "5454545454545454",
            "6304000000000000018",
        ] {
            let digits = &number[..number.len() - 1];
            assert_eq!(
                Pan::with_check_digit(digits).unwrap().expose_digits().len(),
                number.len()
            );
            assert_eq!(
                luhn(digits.as_bytes()),
                number.as_bytes()[number.len() - 1] - b'0',
                "{number}"
            );
        }
    }

    #[test]
    fn every_single_digit_error_is_found() {
        let pan = Pan::new("4111111111111111").unwrap();
        for at in 0..16 {
            for digit in b'0'..=b'9' {
                let mut other = pan.expose_digits().as_bytes().to_vec();
                if other[at] == digit {
                    continue;
                }
                other[at] = digit;
                let error = Pan::new(core::str::from_utf8(&other).unwrap()).unwrap_err();
                assert!(matches!(error.kind, TrackErrorKind::Luhn { .. }));
            }
        }
    }

    #[test]
    fn lengths_and_characters_are_limits() {
        let kind = |text: &str| Pan::new(text).unwrap_err().kind;
        assert_eq!(kind("1234567"), TrackErrorKind::TooShort { found: 7, limit: 8 });
        assert_eq!(kind(""), TrackErrorKind::TooShort { found: 0, limit: 8 });
        assert_eq!(
            kind("12345678901234567890"),
            TrackErrorKind::TooLong { found: 20, limit: 19 }
        );
        assert_eq!(kind("1234567x"), TrackErrorKind::Character { found: b'x' });
        assert_eq!(Pan::with_check_digit("123456789012345678").unwrap().len(), 19);
        assert!(Pan::with_check_digit("1234567890123456789").is_err());
    }

    #[test]
    fn the_mask_hides_five_digits_at_least() {
        for length in 7..19 {
            let pan = Pan::with_check_digit(&"1".repeat(length)).unwrap();
            let shown = pan.to_string();
            assert!(shown.matches('*').count() >= 5, "{shown}");
            assert_eq!(shown.len(), pan.len());
            assert!(!format!("{pan:?}").contains(pan.expose_digits()));
        }
    }
}
