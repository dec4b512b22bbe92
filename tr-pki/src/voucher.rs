//! Vouchers: what lets a new device ask for its first certificate.
//!
//! An operator's command makes a voucher and prints it. Somebody types it into the device, which
//! sends its certification request, the voucher's [`Reference`] and [`Voucher::mac`], but never the
//! secret itself. The backend finds the voucher by its reference and asks [`Voucher::check`].
//! Single use and expiry are for the backend to see to.
//!
//! # The code over the request
//!
//! `mac = HMAC-SHA256(secret, label ‖ reference ‖ request)`, where `label` is the 24 ASCII octets
//! `tr-pki enrolment mac v1` and one zero octet, `reference` the voucher's 4 octets and `request`
//! the DER of the PKCS#10 request. HMAC is that of RFC 2104, over the hash of the
//! [`Verifier`] that the caller passes.
//!
//! # The printed form
//!
//! Eight groups of five characters of Crockford's base 32, joined by hyphens: 32 bits of reference,
//! then 128 bits of secret. The fifth character of each group checks the four before it and the
//! group's place, so that a wrong character, two swapped characters and two swapped groups are found
//! when they are typed, and the group is named. Letters may be small, I and L are read as 1, O as 0;
//! spaces and hyphens are passed over. The reference alone is written as eight hexadecimal digits.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::provider::Verifier;

/// Octets of a voucher's secret.
pub const SECRET_LEN: usize = 16;
/// Octets of a voucher's reference.
pub const REFERENCE_LEN: usize = 4;
/// Characters of a printed voucher.
pub const TEXT_LEN: usize = 47;
/// Characters of a written reference.
pub const REFERENCE_TEXT_LEN: usize = 8;

const LABEL: &[u8; 24] = b"tr-pki enrolment mac v1\0";
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUPS: usize = 8;

/// The public half of a voucher, by which it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(pub [u8; REFERENCE_LEN]);

impl Reference {
    /// Reads the written form: eight hexadecimal digits, small letters.
    ///
    /// # Errors
    ///
    /// [`TextError`] with the place of the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let digits = text.as_bytes();
        if digits.len() != REFERENCE_TEXT_LEN {
            return Err(TextError::Length {
                found: digits.len(),
                expected: REFERENCE_TEXT_LEN,
            });
        }
        let mut value = 0_u32;
        for (offset, digit) in digits.iter().enumerate() {
            let digit = match digit {
                b'0'..=b'9' => digit.wrapping_sub(b'0'),
                b'a'..=b'f' => digit.wrapping_sub(b'a').wrapping_add(10),
                _ => return Err(TextError::Character { offset }),
            };
            value = value.wrapping_shl(4) | u32::from(digit);
        }
        Ok(Self(value.to_be_bytes()))
    }
}

/// The written form, e.g. `1234abcd`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// A voucher: its reference and its secret, which is wiped when it is dropped.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Voucher {
    #[zeroize(skip)]
    reference: Reference,
    secret: [u8; SECRET_LEN],
}

impl Voucher {
    /// Makes a voucher of random octets. The caller sees to it that the reference is not in use.
    #[must_use]
    pub const fn new(reference: Reference, secret: [u8; SECRET_LEN]) -> Self {
        Self { reference, secret }
    }

    /// Reads the printed form.
    ///
    /// # Errors
    ///
    /// [`TextError`] with the group and the place of the first thing that is wrong. It holds nothing
    /// of the text.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut octets = Zeroizing::new([0; REFERENCE_LEN + SECRET_LEN]);
        parse_groups(text, octets.as_mut_slice())?;
        let mut voucher = Self::new(Reference([0; REFERENCE_LEN]), [0; SECRET_LEN]);
        let (reference, secret) = octets.split_at(REFERENCE_LEN);
        voucher.reference.0.copy_from_slice(reference);
        voucher.secret.copy_from_slice(secret);
        Ok(voucher)
    }

    /// The printed form, to be handed over once.
    #[must_use]
    pub fn to_text(&self) -> VoucherText {
        let mut octets = Zeroizing::new([0; REFERENCE_LEN + SECRET_LEN]);
        let (reference, secret) = octets.split_at_mut(REFERENCE_LEN);
        reference.copy_from_slice(&self.reference.0);
        secret.copy_from_slice(&self.secret);
        let mut text = VoucherText([0; TEXT_LEN]);
        print_groups(octets.as_slice(), &mut text.0);
        text
    }

    /// What the voucher is found by.
    #[must_use]
    pub const fn reference(&self) -> Reference {
        self.reference
    }

    /// The secret, for the backend to store sealed.
    #[must_use]
    pub const fn secret(&self) -> &[u8; SECRET_LEN] {
        &self.secret
    }

    /// The code over a certification request, given in DER.
    #[must_use]
    pub fn mac<V: Verifier + ?Sized>(&self, hash: &V, request: &[u8]) -> [u8; 32] {
        hmac(hash, &self.secret, &[LABEL, &self.reference.0, request])
    }

    /// Checks the code over a certification request, in a time that does not depend on it.
    ///
    /// # Errors
    ///
    /// [`WrongMac`] if it is another's.
    pub fn check<V: Verifier + ?Sized>(&self, hash: &V, request: &[u8], mac: &[u8]) -> Result<(), WrongMac> {
        match bool::from(self.mac(hash, request).as_slice().ct_eq(mac)) {
            true => Ok(()),
            false => Err(WrongMac),
        }
    }
}

/// Tells the reference only.
impl fmt::Debug for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voucher")
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

/// Compares in a time that does not depend on the secrets.
impl PartialEq for Voucher {
    fn eq(&self, other: &Self) -> bool {
        let secrets = self.secret.ct_eq(&other.secret);
        bool::from(secrets & self.reference.0.ct_eq(&other.reference.0))
    }
}

impl Eq for Voucher {}

/// The printed form of a [`Voucher`], wiped when it is dropped.
#[derive(Clone, ZeroizeOnDrop)]
pub struct VoucherText([u8; TEXT_LEN]);

impl VoucherText {
    /// The text, which is as secret as the voucher.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for VoucherText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VoucherText(…)")
    }
}

/// A code that was not made with the voucher over the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongMac;

impl fmt::Display for WrongMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the code does not belong to this voucher and request")
    }
}

impl core::error::Error for WrongMac {}

/// A text that is no printed voucher or reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextError {
    /// A character that is no digit of base 32.
    Character {
        /// Octets from the start of the text.
        offset: usize,
    },
    /// The check character of a group is not that of the other four.
    Group {
        /// Which group, from 1.
        group: usize,
    },
    /// Too few or too many digits.
    Length {
        /// Digits found; counting stops at one too many.
        found: usize,
        /// Digits expected.
        expected: usize,
    },
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { offset } => write!(f, "octet {offset} is no letter or digit of a voucher"),
            Self::Group { group } => write!(f, "group {group} is mistyped"),
            Self::Length { found, expected } => write!(f, "{found} characters, expected {expected}"),
        }
    }
}

impl core::error::Error for TextError {}

/// HMAC (RFC 2104) over the hash of the caller. The key has at most 64 octets.
fn hmac<V: Verifier + ?Sized>(hash: &V, key: &[u8], message: &[&[u8]; 3]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = Zeroizing::new([with; 64]);
        for (to, from) in block.iter_mut().zip(key) {
            *to ^= *from;
        }
        block
    };
    let [a, b, c] = *message;
    let mut inner = hash.sha256(&[pad(0x36).as_slice(), a, b, c]);
    let outer = hash.sha256(&[pad(0x5c).as_slice(), &inner]);
    inner.zeroize();
    outer
}

/// Prints four digits and their check per 20 bits, with hyphens between.
fn print_groups(octets: &[u8], text: &mut [u8]) {
    let mut digits = Digits::new(octets);
    for (group, out) in text.chunks_mut(6).enumerate() {
        let four = [(); 4].map(|()| digits.next().unwrap_or_default());
        let five = four.into_iter().chain([check_digit(four, group)]);
        let characters = five.map(|digit| DIGITS.get(usize::from(digit)).copied().unwrap_or(b'0'));
        for (to, from) in out.iter_mut().zip(characters.chain([b'-'])) {
            *to = from;
        }
    }
}

/// Five-bit digits of octets, the highest first.
struct Digits<'a> {
    octets: core::slice::Iter<'a, u8>,
    buffer: u16,
    bits: u32,
}

impl<'a> Digits<'a> {
    fn new(octets: &'a [u8]) -> Self {
        Self {
            octets: octets.iter(),
            buffer: 0,
            bits: 0,
        }
    }
}

impl Iterator for Digits<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.bits < 5 {
            self.buffer = self.buffer.wrapping_shl(8) | u16::from(*self.octets.next()?);
            self.bits = self.bits.wrapping_add(8);
        }
        self.bits = self.bits.wrapping_sub(5);
        let [_, digit] = self.buffer.wrapping_shr(self.bits).to_be_bytes();
        Some(digit & 0x1f)
    }
}

/// Reads all groups into `octets`, 20 bits each.
fn parse_groups(text: &str, octets: &mut [u8]) -> Result<(), TextError> {
    let expected = GROUPS.saturating_mul(5);
    let mut five = Zeroizing::new([0_u8; 5]);
    let mut out = octets.iter_mut();
    let mut buffer = Zeroizing::new(0_u32);
    let mut bits = 0_u32;
    let mut found = 0_usize;
    for (offset, octet) in text.bytes().enumerate() {
        let Some(digit) = digit(octet).ok_or(TextError::Character { offset })? else {
            continue;
        };
        five.rotate_left(1);
        let [.., last] = &mut *five;
        *last = digit;
        found = found.wrapping_add(1);
        if found > expected {
            return Err(TextError::Length { found, expected });
        }
        if !found.is_multiple_of(5) {
            continue;
        }
        let [a, b, c, d, check] = *five;
        let group = found.wrapping_div(5);
        if check_digit([a, b, c, d], group.wrapping_sub(1)) != check {
            return Err(TextError::Group { group });
        }
        for digit in [a, b, c, d] {
            *buffer = buffer.wrapping_shl(5) | u32::from(digit);
            bits = bits.wrapping_add(5);
            if bits >= 8 {
                bits = bits.wrapping_sub(8);
                let [.., octet] = buffer.wrapping_shr(bits).to_be_bytes();
                if let Some(to) = out.next() {
                    *to = octet;
                }
            }
        }
    }
    match found == expected {
        true => Ok(()),
        false => Err(TextError::Length { found, expected }),
    }
}

/// The value of a character: a digit, `Some(None)` for a separator, `None` for anything else.
fn digit(octet: u8) -> Option<Option<u8>> {
    let octet = match octet.to_ascii_uppercase() {
        b'-' | b' ' => return Some(None),
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    let place = DIGITS.iter().position(|digit| *digit == octet)?;
    Some(Some(u8::try_from(place).ok()?))
}

/// `Σ αⁱ·dᵢ` (i = 1 … 4) and the group's number from 1, in GF(32): a wrong digit, or two swapped
/// ones, always change it.
fn check_digit(digits: [u8; 4], group: usize) -> u8 {
    let place = u8::try_from(group).unwrap_or(u8::MAX).wrapping_add(1) & 0x1f;
    let sum = digits.into_iter().rev().fold(0, |sum, digit| times_alpha(sum ^ digit));
    sum ^ place
}

/// Multiplies by α in GF(32), the polynomials modulo x⁵ + x² + 1.
fn times_alpha(element: u8) -> u8 {
    let shifted = element.wrapping_shl(1);
    match shifted & 0x20 {
        0 => shifted,
        _ => (shifted ^ 0x25) & 0x1f,
    }
}
