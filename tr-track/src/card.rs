//! The network's own card, layout 1: what stands where on tracks 1 and 2 (`docs/cards.md` is the specification).
//!
//! Keys stay elsewhere: an HSM computes the check value over account number, expiry and service code; this module says which digits go
//! where and that they fit.
//!
//! ```
//! use tr_track::card::{self, Card, CheckValue};
//! use tr_track::{Expiry, Name};
//!
//! let pan = card::pan(1_234_567).unwrap();
//! let expiry = Expiry::new(29, 11).unwrap();
//! // The HSM's answer for (pan, expiry, card::service_code()) under version 1 of the key:
//! let check = CheckValue::new(b"314159265").unwrap();
//! let card = Card::new(pan, expiry, 1, check).unwrap();
//!
//! let track1 = card.track1(Name::new("DOE/JANE").unwrap());
//! assert_eq!(
//!     track1.to_framed().expose_text().to_string(),
//!     "%B9999000112345677^DOE/JANE^29117221001314159265840?"
//! );
//! assert_eq!(
//!     card.track2().to_framed().expose_text().to_string(),
//!     ";9999000112345677=29117221001314159265?"
//! );
//! assert_eq!(Card::from_track2(&card.track2()).unwrap(), card);
//! ```

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use subtle::{Choice, ConstantTimeEq};

use crate::text::Ascii;
use crate::{Discretionary, Expiry, Name, Pan, ServiceCode, Track, Track1, Track2, TrackError, TrackErrorKind};

/// The issuer identification number: industry 9 (national assignment), "country" 999 (user-assigned in ISO 3166-1, so no country's),
/// issuer 0001.
pub const IIN: &str = "99990001";

/// The currency of layout 1 by its ISO 4217 letters.
pub const CURRENCY: &str = "USD";

/// The currency of layout 1 by its ISO 4217 number, as track 1 carries it.
pub const CURRENCY_NUMBER: &str = "840";

/// The highest account identifier: seven digits, 7 of the account number's 16 after the issuer's 8 and before the check digit.
pub const MAX_ACCOUNT: u32 = 9_999_999;

/// The highest version of a check value's key that fits the card's three digits.
pub const MAX_KEY_VERSION: u16 = 999;

/// Digits of the check value.
pub const CHECK_DIGITS: usize = 9;

/// Digits of the discretionary data on both tracks: layout, key version, check value. That is all that track 2 leaves beside a number of 16
/// digits: 40 − 2 sentinels − LRC − 16 − separator − 4 − 3 = 13.
pub const DISCRETIONARY_DIGITS: usize = 13;

const LAYOUT: u8 = b'1';
const PAN_DIGITS: usize = 16;

/// The service code of every card: 7 closed loop, 2 authorised by the issuer on line, 2 goods and services but no cash.
#[must_use]
pub const fn service_code() -> ServiceCode {
    ServiceCode::from_digits(*b"722")
}

/// The account number of an account identifier: [`IIN`], seven digits, check digit.
///
/// # Errors
/// [`TrackErrorKind::TooLong`] above [`MAX_ACCOUNT`].
pub fn pan(account: u32) -> Result<Pan, TrackError> {
    let mut digits = Ascii::<{ PAN_DIGITS - 1 }>::new();
    let fits = digits.push(IIN.as_bytes()) && digits.push(&decimal::<7>(account));
    debug_assert!(fits, "8 + 7 digits");
    if account > MAX_ACCOUNT {
        let kind = TrackErrorKind::TooLong { found: 8, limit: 7 };
        return Err(TrackError::new(kind, IIN.len()));
    }
    Pan::with_check_digit(digits.as_str())
}

/// A card's check value: nine digits that only the holder of the key can compute. Compared in constant time, hidden in `Debug`,
/// wiped on drop.
#[derive(Clone)]
pub struct CheckValue(Ascii<CHECK_DIGITS>);

impl CheckValue {
    /// Takes the nine digits in ASCII.
    ///
    /// # Errors
    /// [`TrackError`]: another length, or no digit.
    pub fn new(digits: &[u8]) -> Result<Self, TrackError> {
        if let Some((at, &found)) = digits.iter().enumerate().find(|(_, byte)| !byte.is_ascii_digit()) {
            return Err(TrackError::new(TrackErrorKind::Character { found }, at));
        }
        let (found, limit) = (digits.len(), CHECK_DIGITS);
        let kind = if found < limit {
            TrackErrorKind::TooShort { found, limit }
        } else {
            TrackErrorKind::TooLong { found, limit }
        };
        let value = Ascii::copy(digits).filter(|_| found == limit);
        value.map(Self).ok_or(TrackError::new(kind, found.min(limit)))
    }

    /// The nine digits. Named so because whoever has them can make the card.
    #[must_use]
    pub fn expose_digits(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl ConstantTimeEq for CheckValue {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.expose_digits().ct_eq(other.expose_digits())
    }
}

impl PartialEq for CheckValue {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for CheckValue {}

impl fmt::Debug for CheckValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckValue(…)")
    }
}

/// What both tracks of a card say; either one is enough to read it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    pan: Pan,
    expiry: Expiry,
    key_version: u16,
    check_value: CheckValue,
}

impl Card {
    /// Puts a card together.
    ///
    /// # Errors
    /// [`TrackErrorKind::Issuer`] for a number of another issuer or length; [`TrackErrorKind::TooLong`] for a key version above
    /// [`MAX_KEY_VERSION`].
    pub fn new(pan: Pan, expiry: Expiry, key_version: u16, check_value: CheckValue) -> Result<Self, TrackError> {
        ours(&pan)?;
        if key_version > MAX_KEY_VERSION {
            let kind = TrackErrorKind::TooLong { found: 4, limit: 3 };
            return Err(TrackError::new(kind, 1));
        }
        Ok(Self {
            pan,
            expiry,
            key_version,
            check_value,
        })
    }

    /// Reads a card from whichever track the reader gave.
    ///
    /// # Errors
    /// [`TrackErrorKind::Issuer`], [`TrackErrorKind::NoExpiry`], [`TrackErrorKind::ServiceCode`], [`TrackErrorKind::Layout`]; the
    /// position counts within the field.
    pub fn from_track(track: &Track) -> Result<Self, TrackError> {
        match track {
            Track::One(track) => Self::from_track1(track),
            Track::Two(track) => Self::from_track2(track),
        }
    }

    /// Reads a card from track 1.
    ///
    /// # Errors
    /// As [`Card::from_track`].
    pub fn from_track1(track: &Track1) -> Result<Self, TrackError> {
        let data = track.discretionary().expose();
        let Some(shared) = data.strip_suffix(CURRENCY_NUMBER) else {
            return Err(layout_error(data));
        };
        Self::from_fields(track.pan(), track.expiry(), track.service_code(), shared)
    }

    /// Reads a card from track 2.
    ///
    /// # Errors
    /// As [`Card::from_track`].
    pub fn from_track2(track: &Track2) -> Result<Self, TrackError> {
        let data = track.discretionary().expose();
        Self::from_fields(track.pan(), track.expiry(), track.service_code(), data)
    }

    /// Reads a card from both tracks, which must say the same.
    ///
    /// # Errors
    /// As [`Card::from_track`], or [`TrackErrorKind::TracksDiffer`].
    pub fn from_both(track1: &Track1, track2: &Track2) -> Result<Self, TrackError> {
        let card = Self::from_track1(track1)?;
        if card == Self::from_track2(track2)? {
            Ok(card)
        } else {
            Err(TrackError::new(TrackErrorKind::TracksDiffer, 0))
        }
    }

    /// Track 1, format B, with the cardholder's name. Its discretionary data is track 2's, then the currency's number.
    #[must_use]
    pub fn track1(&self, name: Name) -> Track1 {
        let data = self.discretionary(CURRENCY_NUMBER);
        // 55 characters beside the data at most, of 79.
        Track1::fitting(self.pan.clone(), name, self.expiry, service_code(), data)
    }

    /// Track 2.
    #[must_use]
    pub fn track2(&self) -> Track2 {
        let data = self.discretionary("");
        // 27 characters beside the data, of 40.
        Track2::fitting(self.pan.clone(), self.expiry, service_code(), data)
    }

    /// The account number.
    #[must_use]
    pub const fn pan(&self) -> &Pan {
        &self.pan
    }

    /// The last month of the card.
    #[must_use]
    pub const fn expiry(&self) -> Expiry {
        self.expiry
    }

    /// Which version of the key the check value was made with.
    #[must_use]
    pub const fn key_version(&self) -> u16 {
        self.key_version
    }

    /// The check value.
    #[must_use]
    pub const fn check_value(&self) -> &CheckValue {
        &self.check_value
    }

    fn from_fields(
        pan: &Pan,
        expiry: Option<Expiry>,
        code: Option<ServiceCode>,
        data: &str,
    ) -> Result<Self, TrackError> {
        ours(pan)?;
        let expiry = expiry.ok_or(TrackError::new(TrackErrorKind::NoExpiry, 0))?;
        if code != Some(service_code()) {
            return Err(TrackError::new(TrackErrorKind::ServiceCode { found: code }, 0));
        }
        let Some((&[LAYOUT, k1, k2, k3], check)) = data.as_bytes().split_first_chunk() else {
            return Err(layout_error(data));
        };
        let version = [k1, k2, k3].iter().try_fold(0_u16, |number, digit| {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
            number.checked_mul(10)?.checked_add(u16::from(digit))
        });
        let found = k1;
        let version = version.ok_or(TrackError::new(TrackErrorKind::Character { found }, 1))?;
        let check = CheckValue::new(check).map_err(|error| error.within(4))?;
        Self::new(pan.clone(), expiry, version, check)
    }

    fn discretionary(&self, after: &str) -> Discretionary {
        let mut data = Ascii::<{ DISCRETIONARY_DIGITS + 3 }>::new();
        let fits = data.push_byte(LAYOUT)
            && data.push(&decimal::<3>(u32::from(self.key_version)))
            && data.push(self.check_value.expose_digits())
            && data.push(after.as_bytes());
        debug_assert!(fits, "1 + 3 + 9 + 3 digits");
        Discretionary::of_digits(data.as_bytes())
    }
}

fn ours(pan: &Pan) -> Result<(), TrackError> {
    if pan.len() == PAN_DIGITS && pan.has_issuer(IIN) {
        Ok(())
    } else {
        Err(TrackError::new(TrackErrorKind::Issuer, 0))
    }
}

fn layout_error(data: &str) -> TrackError {
    let found = data.bytes().next().unwrap_or(b' ');
    TrackError::new(TrackErrorKind::Layout { found }, 0)
}

/// The last `N` decimal digits of a number.
fn decimal<const N: usize>(number: u32) -> [u8; N] {
    let mut digits = [b'0'; N];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(rest % 10).unwrap_or(0).wrapping_add(b'0');
        rest /= 10;
    }
    digits
}
