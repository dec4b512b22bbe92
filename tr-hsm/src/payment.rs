//! Payment functions. The PIN functions (verify, translate, set) will stand here too; they take and
//! give PIN blocks under keys only.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{KeyRef, Module};

/// Octets of a MAC: the whole of HMAC-SHA256.
pub const MAC_LEN: usize = 32;

/// How many digits a card check value may have.
pub const CHECK_VALUE_DIGITS: core::ops::RangeInclusive<usize> = 3..=9;

/// Functions on payment data, with keys of their own.
///
/// The MAC is HMAC-SHA256: of the two that X9.24-3 and X9.143 name for 256-bit keys (HMAC and AES-CMAC) it
/// is the one that every PKCS#11 token has (`CKM_SHA256_HMAC`), and its tag carries a
/// check value's digits without a second call.
pub trait Payment: Module {
    /// HMAC-SHA256 over `data` with a key of usage `Mac`.
    ///
    /// # Errors
    /// Those of every call ([`Device`](crate::Device)).
    fn mac(&self, key: KeyRef, data: &[u8]) -> Result<[u8; MAC_LEN], Self::Error>;

    /// Compares a MAC in constant time.
    ///
    /// # Errors
    /// `AuthenticationFailed` when it is wrong.
    fn verify_mac(&self, key: KeyRef, data: &[u8], mac: &[u8; MAC_LEN]) -> Result<(), Self::Error>;

    /// Fills `digits` with the check value of a card, in ASCII, with a key of usage `CheckValue`:
    /// [`decimalise`] of HMAC-SHA256 over [`CardData::message`].
    ///
    /// # Errors
    /// `BadInput` unless the length of `digits` is one of [`CHECK_VALUE_DIGITS`].
    fn check_value(&self, key: KeyRef, card: &CardData, digits: &mut [u8]) -> Result<(), Self::Error>;

    /// Compares a check value in constant time.
    ///
    /// # Errors
    /// `BadInput` as above, `AuthenticationFailed` when it is wrong (also when it holds other octets
    /// than digits).
    fn verify_check_value(&self, key: KeyRef, card: &CardData, digits: &[u8]) -> Result<(), Self::Error>;
}

/// The card data that a check value covers, checked and framed once, so that every back end
/// authenticates the same octets. Erased when dropped; its `Debug` shows nothing.
pub struct CardData {
    message: [u8; Self::MAX_MESSAGE],
    len: usize,
}

impl CardData {
    const DOMAIN: &'static [u8] = b"tr-check-value-1";
    const MAX_MESSAGE: usize = Self::DOMAIN.len() + 19 + 1 + 4 + 3;

    /// Takes a PAN (8 to 19 digits, ISO/IEC 7812-1), the expiry `YYMM` (4 digits) and the service code
    /// (3 digits, ISO/IEC 7813), all in ASCII as they stand on track 2.
    ///
    /// # Errors
    /// [`BadCardData`] names the part and what is wrong with it, never its digits.
    pub fn new(pan: &[u8], expiry: &[u8], service_code: &[u8]) -> Result<Self, BadCardData> {
        check("PAN", pan, 8, 19)?;
        check("expiry", expiry, 4, 4)?;
        check("service code", service_code, 3, 3)?;
        let mut card = Self {
            message: [0; Self::MAX_MESSAGE],
            len: 0,
        };
        let parts = [Self::DOMAIN, pan, b"=", expiry, service_code];
        for (to, from) in card.message.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        card.len = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        Ok(card)
    }

    /// What is authenticated: `tr-check-value-1`, the PAN, `=`, the expiry, the service code. No two
    /// cards give the same octets.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.message.get(..self.len).unwrap_or_default()
    }
}

fn check(part: &'static str, digits: &[u8], shortest: usize, longest: usize) -> Result<(), BadCardData> {
    if digits.len() < shortest || digits.len() > longest {
        return Err(BadCardData::Length {
            part,
            shortest,
            longest,
            found: digits.len(),
        });
    }
    match digits.iter().position(|octet| !octet.is_ascii_digit()) {
        Some(at) => Err(BadCardData::NotADigit { part, at }),
        None => Ok(()),
    }
}

impl Drop for CardData {
    fn drop(&mut self) {
        self.message.zeroize();
    }
}

impl ZeroizeOnDrop for CardData {}

impl fmt::Debug for CardData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CardData").finish_non_exhaustive()
    }
}

/// Why octets are no [`CardData`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadCardData {
    /// A part has the wrong length.
    Length {
        /// Which part.
        part: &'static str,
        /// The fewest digits it may have.
        shortest: usize,
        /// The most digits it may have.
        longest: usize,
        /// The octets it has.
        found: usize,
    },
    /// A part holds something else than ASCII digits.
    NotADigit {
        /// Which part.
        part: &'static str,
        /// The offset in it.
        at: usize,
    },
}

impl fmt::Display for BadCardData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length {
                part,
                shortest,
                longest,
                found,
            } => write!(f, "{part}: {shortest} to {longest} digits, not {found}"),
            Self::NotADigit { part, at } => write!(f, "{part}: no digit at {at}"),
        }
    }
}

impl core::error::Error for BadCardData {}

/// Turns a MAC into decimal digits: its first 8 octets as a big-endian integer, modulo 10ⁿ where n is
/// `digits.len()`, in ASCII with leading zeros. For the 9 digits at most of [`CHECK_VALUE_DIGITS`] no
/// value is likelier than another by more than 10⁹ / 2⁶⁴, below 10⁻¹⁰.
pub fn decimalise(mac: &[u8; MAC_LEN], digits: &mut [u8]) {
    let mut rest = mac
        .iter()
        .take(8)
        .fold(0_u64, |sum, octet| (sum << 8) | u64::from(*octet));
    for digit in digits.iter_mut().rev() {
        *digit = match rest % 10 {
            0 => b'0',
            1 => b'1',
            2 => b'2',
            3 => b'3',
            4 => b'4',
            5 => b'5',
            6 => b'6',
            7 => b'7',
            8 => b'8',
            _ => b'9',
        };
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_card_data() {
        let card = CardData::new(b"1234567890123456", b"2912", b"101").unwrap();
        assert_eq!(card.message(), b"tr-check-value-11234567890123456=2912101");
        let longest = CardData::new(&[b'9'; 19], b"2912", b"101").unwrap();
        assert_eq!(longest.message().len(), CardData::MAX_MESSAGE);
    }

    #[test]
    fn refuses_other_card_data_and_says_where() {
        let refused =
            |pan: &[u8], expiry: &[u8], service: &[u8]| CardData::new(pan, expiry, service).map(|_| ()).unwrap_err();
        assert_eq!(
            refused(b"1234567", b"2912", b"101"),
            BadCardData::Length {
                part: "PAN",
                shortest: 8,
                longest: 19,
                found: 7
            }
        );
        assert!(matches!(
            refused(&[b'1'; 20], b"2912", b"101"),
            BadCardData::Length { found: 20, .. }
        ));
        assert!(matches!(
            refused(b"12345678", b"291", b"101"),
            BadCardData::Length { part: "expiry", .. }
        ));
        assert!(matches!(
            refused(b"12345678", b"2912", b"1011"),
            BadCardData::Length {
                part: "service code",
                ..
            }
        ));
        assert_eq!(
            refused(b"1234=678", b"2912", b"101"),
            BadCardData::NotADigit { part: "PAN", at: 4 }
        );
    }

    #[test]
    fn decimalises_as_documented() {
        let mut mac = [0xff; MAC_LEN];
        mac[..8].copy_from_slice(&12_345_678_901_234_567_890_u64.to_be_bytes());
        let mut digits = [0; 9];
        decimalise(&mac, &mut digits);
        assert_eq!(&digits, b"234567890");
        let mut digits = [0; 3];
        decimalise(&mac, &mut digits);
        assert_eq!(&digits, b"890");
        decimalise(&[0; MAC_LEN], &mut digits);
        assert_eq!(&digits, b"000");
    }
}
