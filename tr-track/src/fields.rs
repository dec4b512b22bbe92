//! The other fields of ISO/IEC 7813: name, expiry, service code, discretionary data.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use crate::text::Ascii;
use crate::{TrackError, TrackErrorKind};

/// The cardholder's name on track 1: 2 to 26 characters, `SURNAME/GIVEN.TITLE`, padded with spaces at will. Hidden in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Ascii<{ Name::MAX_CHARACTERS }>);

impl Name {
    /// The fewest characters.
    pub const MIN_CHARACTERS: usize = 2;
    /// The most characters.
    pub const MAX_CHARACTERS: usize = 26;

    /// Takes a name of capital letters, digits, space and `. / - ( ) $`.
    ///
    /// # Errors
    /// [`TrackError`]: too short, too long, or another character.
    pub fn new(text: &str) -> Result<Self, TrackError> {
        let bytes = text.as_bytes();
        let found = bytes.len();
        let allowed = |byte: &u8| printable(*byte);
        if let Some((at, &found)) = bytes.iter().enumerate().find(|(_, byte)| !allowed(byte)) {
            return Err(TrackError::new(TrackErrorKind::Character { found }, at));
        }
        if found < Self::MIN_CHARACTERS {
            let limit = Self::MIN_CHARACTERS;
            return Err(TrackError::new(TrackErrorKind::TooShort { found, limit }, found));
        }
        let limit = Self::MAX_CHARACTERS;
        let long = TrackError::new(TrackErrorKind::TooLong { found, limit }, limit);
        Ascii::copy(bytes).map(Self).ok_or(long)
    }

    /// The whole field as it stands on the track, padding included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The part before `/`, without padding.
    #[must_use]
    pub fn surname(&self) -> &str {
        let all = self.as_str();
        all.split_once('/').map_or(all, |(surname, _)| surname).trim()
    }

    /// The part between `/` and the title's `.`, without padding; empty if there is none.
    #[must_use]
    pub fn given_names(&self) -> &str {
        let rest = self.as_str().split_once('/').map_or("", |(_, rest)| rest);
        rest.split_once('.').map_or(rest, |(given, _)| given).trim()
    }

    /// The part after `.`, without padding; empty if there is none.
    #[must_use]
    pub fn title(&self) -> &str {
        let rest = self.as_str().split_once('/').map_or("", |(_, rest)| rest);
        rest.split_once('.').map_or("", |(_, title)| title).trim()
    }
}

/// The last month in which a card is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Expiry {
    year: u8,
    month: u8,
}

impl Expiry {
    /// Takes the last two digits of the year (0 to 99) and the month (1 to 12).
    ///
    /// # Errors
    /// [`TrackErrorKind::TooLong`] for a year above 99, [`TrackErrorKind::Month`].
    pub fn new(year: u8, month: u8) -> Result<Self, TrackError> {
        if year > 99 {
            let kind = TrackErrorKind::TooLong { found: 3, limit: 2 };
            return Err(TrackError::new(kind, 0));
        }
        if !(1..=12).contains(&month) {
            return Err(TrackError::new(TrackErrorKind::Month { found: month }, 2));
        }
        Ok(Self { year, month })
    }

    /// Reads `YYMM`.
    ///
    /// # Errors
    /// [`TrackError`]: not four digits, or [`TrackErrorKind::Month`].
    pub fn parse(text: &str) -> Result<Self, TrackError> {
        let [y1, y2, m1, m2] = digits::<4>(text)?;
        Self::new(pair(y1, y2), pair(m1, m2))
    }

    /// The last two digits of the year.
    #[must_use]
    pub const fn year(self) -> u8 {
        self.year
    }

    /// The month, 1 to 12.
    #[must_use]
    pub const fn month(self) -> u8 {
        self.month
    }

    /// The year in full: the one with these last digits from 50 years before `now` to 49 years after it.
    #[must_use]
    pub fn full_year(self, now: u16) -> u16 {
        let first = now.saturating_sub(50);
        let ahead = u16::from(self.year).wrapping_add(100).wrapping_sub(first % 100) % 100;
        first.saturating_add(ahead)
    }

    /// Whether the card is still valid in a month (1 to 12) of a year in full: it is, to the end of the month printed on it.
    #[must_use]
    pub fn covers(self, year: u16, month: u8) -> bool {
        (self.full_year(year), self.month) >= (year, month)
    }

    /// The four digits `YYMM`.
    #[must_use]
    pub fn digits(self) -> [u8; 4] {
        let [y1, y2] = split(self.year);
        let [m1, m2] = split(self.month);
        [y1, y2, m1, m2]
    }
}

/// The service code of ISO/IEC 7813: where the card is good, how it is authorised, for what.
///
/// ```
/// use tr_track::{Authorisation, Interchange, ServiceCode, Services};
/// let code = ServiceCode::parse("722").unwrap();
/// assert_eq!(code.interchange(), Interchange::Private);
/// assert_eq!(code.authorisation(), Authorisation::ByIssuer);
/// assert_eq!(code.services(), Services::GoodsAndServices);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceCode([u8; 3]);

/// First digit of a service code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interchange {
    /// 1: international.
    International,
    /// 2: international, with a chip that should be used.
    InternationalChip,
    /// 5: national, elsewhere by agreement only.
    National,
    /// 6: national, with a chip that should be used.
    NationalChip,
    /// 7: no interchange save by agreement: a closed loop.
    Private,
    /// 9: test.
    Test,
    /// A digit that ISO keeps for later.
    Reserved(u8),
}

/// Second digit of a service code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Authorisation {
    /// 0: as usual.
    Normal,
    /// 2: by the issuer, on line.
    ByIssuer,
    /// 4: by the issuer, on line, save where an agreement says otherwise.
    ByIssuerUnlessAgreed,
    /// A digit that ISO keeps for later.
    Reserved(u8),
}

/// Third digit of a service code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Services {
    /// 0: no restrictions, PIN required.
    AllPinRequired,
    /// 1: no restrictions.
    All,
    /// 2: goods and services, no cash.
    GoodsAndServices,
    /// 3: ATM, PIN required.
    AtmPinRequired,
    /// 4: cash.
    Cash,
    /// 5: goods and services, no cash, PIN required.
    GoodsAndServicesPinRequired,
    /// 6: no restrictions, PIN where it can be asked for.
    AllPinIfPossible,
    /// 7: goods and services, no cash, PIN where it can be asked for.
    GoodsAndServicesPinIfPossible,
    /// A digit that ISO keeps for later.
    Reserved(u8),
}

impl ServiceCode {
    /// Reads three digits. Digits that ISO keeps for later are read as such, since cards in use carry them.
    ///
    /// # Errors
    /// [`TrackError`]: not three digits.
    pub fn parse(text: &str) -> Result<Self, TrackError> {
        digits::<3>(text).map(Self)
    }

    /// Three digits known to be digits.
    pub(crate) const fn from_digits(digits: [u8; 3]) -> Self {
        Self(digits)
    }

    /// The three digits.
    #[must_use]
    pub const fn digits(self) -> [u8; 3] {
        self.0
    }

    /// The first digit's meaning.
    #[must_use]
    pub const fn interchange(self) -> Interchange {
        let [digit, _, _] = self.0;
        match digit {
            b'1' => Interchange::International,
            b'2' => Interchange::InternationalChip,
            b'5' => Interchange::National,
            b'6' => Interchange::NationalChip,
            b'7' => Interchange::Private,
            b'9' => Interchange::Test,
            other => Interchange::Reserved(other.wrapping_sub(b'0')),
        }
    }

    /// The second digit's meaning.
    #[must_use]
    pub const fn authorisation(self) -> Authorisation {
        let [_, digit, _] = self.0;
        match digit {
            b'0' => Authorisation::Normal,
            b'2' => Authorisation::ByIssuer,
            b'4' => Authorisation::ByIssuerUnlessAgreed,
            other => Authorisation::Reserved(other.wrapping_sub(b'0')),
        }
    }

    /// The third digit's meaning.
    #[must_use]
    pub const fn services(self) -> Services {
        let [_, _, digit] = self.0;
        match digit {
            b'0' => Services::AllPinRequired,
            b'1' => Services::All,
            b'2' => Services::GoodsAndServices,
            b'3' => Services::AtmPinRequired,
            b'4' => Services::Cash,
            b'5' => Services::GoodsAndServicesPinRequired,
            b'6' => Services::AllPinIfPossible,
            b'7' => Services::GoodsAndServicesPinIfPossible,
            other => Services::Reserved(other.wrapping_sub(b'0')),
        }
    }
}

/// The issuer's own data at the end of a track, up to the track's end. Hidden in `Debug`, wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Discretionary(Ascii<{ Discretionary::MAX_CHARACTERS }>);

impl Discretionary {
    /// The most characters that track 1 leaves, with every other field at its shortest; track 2 leaves 26.
    pub const MAX_CHARACTERS: usize = 61;

    /// Takes characters of track 1; track 2 takes digits only and says so when it is built. May be empty.
    ///
    /// # Errors
    /// [`TrackError`]: too long, or a character that track 1 does not carry as data.
    pub fn new(text: &str) -> Result<Self, TrackError> {
        let bytes = text.as_bytes();
        if let Some((at, &found)) = bytes.iter().enumerate().find(|(_, byte)| !printable(**byte)) {
            return Err(TrackError::new(TrackErrorKind::Character { found }, at));
        }
        let (found, limit) = (bytes.len(), Self::MAX_CHARACTERS);
        let long = TrackError::new(TrackErrorKind::TooLong { found, limit }, limit);
        Ascii::copy(bytes).map(Self).ok_or(long)
    }

    /// Digits known to be digits and few enough.
    pub(crate) fn of_digits(digits: &[u8]) -> Self {
        let mut data = Ascii::new();
        let fits = data.push(digits);
        debug_assert!(fits, "fewer digits than track 1 leaves");
        Self(data)
    }

    /// The characters. Named so because they hold the card's check value.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// How many characters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_bytes().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Characters that ISO/IEC 7811-6 gives to data on track 1 (the others belong to hardware or to national alphabets).
fn printable(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" $()-./".contains(&byte)
}

/// Exactly `N` digits.
fn digits<const N: usize>(text: &str) -> Result<[u8; N], TrackError> {
    let bytes = text.as_bytes();
    if let Some((at, &found)) = bytes.iter().enumerate().find(|(_, byte)| !byte.is_ascii_digit()) {
        return Err(TrackError::new(TrackErrorKind::Character { found }, at));
    }
    let found = bytes.len();
    let kind = if found < N {
        TrackErrorKind::TooShort { found, limit: N }
    } else {
        TrackErrorKind::TooLong { found, limit: N }
    };
    bytes.try_into().map_err(|_| TrackError::new(kind, found.min(N)))
}

/// Two ASCII digits as a number; saturating keeps other bytes harmless.
fn pair(tens: u8, ones: u8) -> u8 {
    let tens = tens.saturating_sub(b'0').saturating_mul(10);
    tens.saturating_add(ones.saturating_sub(b'0'))
}

/// A number below 100 as two ASCII digits.
fn split(number: u8) -> [u8; 2] {
    [(number / 10 % 10).wrapping_add(b'0'), (number % 10).wrapping_add(b'0')]
}

impl fmt::Display for Expiry {
    /// `YYMM`, as on the track.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}{:02}", self.year, self.month)
    }
}

impl fmt::Display for ServiceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.0).unwrap_or(""))
    }
}

impl fmt::Debug for ServiceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceCode({self})")
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({} characters)", self.as_str().len())
    }
}

impl fmt::Debug for Discretionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Discretionary({} characters)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn a_name_has_parts() {
        let name = Name::new("DOE/JANE M.DR             ").unwrap();
        assert_eq!(
            (name.surname(), name.given_names(), name.title()),
            ("DOE", "JANE M", "DR")
        );
        let name = Name::new("MADONNA").unwrap();
        assert_eq!((name.surname(), name.given_names(), name.title()), ("MADONNA", "", ""));
        assert_eq!(Name::new("doe").unwrap_err().at, 0);
        assert_eq!(
            Name::new("A").unwrap_err().kind,
            TrackErrorKind::TooShort { found: 1, limit: 2 }
        );
        assert!(Name::new(&"A".repeat(27)).is_err());
        assert!(!format!("{name:?}").contains("MADONNA"));
    }

    #[test]
    fn an_expiry_covers_its_month_in_any_century() {
        let expiry = Expiry::parse("2911").unwrap();
        assert_eq!((expiry.full_year(2026), expiry.full_year(1999)), (2029, 2029));
        assert!(expiry.covers(2029, 11) && !expiry.covers(2029, 12) && !expiry.covers(2030, 1));
        assert_eq!(Expiry::parse("9912").unwrap().full_year(2026), 1999);
        assert_eq!(Expiry::parse("0001").unwrap().full_year(2099), 2100);
        assert_eq!(
            Expiry::parse("2613").unwrap_err().kind,
            TrackErrorKind::Month { found: 13 }
        );
        assert_eq!(
            Expiry::parse("261").unwrap_err().kind,
            TrackErrorKind::TooShort { found: 3, limit: 4 }
        );
        assert_eq!(Expiry::parse("2600").unwrap_err().at, 2);
        assert!(Expiry::new(100, 1).is_err());
        assert_eq!(&expiry.digits(), b"2911");
    }

    #[test]
    fn every_service_code_reads_and_shows_itself() {
        for number in 0..1000 {
            let text = format!("{number:03}");
            let code = ServiceCode::parse(&text).unwrap();
            assert_eq!(code.to_string(), text);
        }
        assert_eq!(
            ServiceCode::parse("321").unwrap().interchange(),
            Interchange::Reserved(3)
        );
        assert!(ServiceCode::parse("1234").is_err());
    }
}
