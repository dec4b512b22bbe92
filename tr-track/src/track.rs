//! Tracks of ISO/IEC 7813: format B on track 1, and track 2. A value of these types is valid and can always be written again.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use crate::text::Ascii;
use crate::{Alphabet, Discretionary, Expiry, Framed, Name, Pan, ServiceCode, TrackError, TrackErrorKind, TrackNumber};

/// Track 1, format B: `%B` PAN `^` name `^` YYMM service-code discretionary `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track1 {
    pan: Pan,
    name: Name,
    expiry: Option<Expiry>,
    service_code: Option<ServiceCode>,
    discretionary: Discretionary,
}

/// Track 2: `;` PAN `=` YYMM service-code discretionary `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track2 {
    pan: Pan,
    expiry: Option<Expiry>,
    service_code: Option<ServiceCode>,
    discretionary: Discretionary,
}

/// A track whose grammar and check digit hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Track {
    /// Track 1.
    One(Track1),
    /// Track 2.
    Two(Track2),
}

impl Track1 {
    /// Puts the fields together. A missing expiry or service code is written as `^`.
    ///
    /// # Errors
    /// [`TrackErrorKind::TooLong`] above 79 characters, sentinels and LRC counted.
    pub fn new(
        pan: Pan,
        name: Name,
        expiry: Option<Expiry>,
        service_code: Option<ServiceCode>,
        discretionary: Discretionary,
    ) -> Result<Self, TrackError> {
        let track = Self {
            pan,
            name,
            expiry,
            service_code,
            discretionary,
        };
        fits(TrackNumber::One, track.text().as_bytes().len())?;
        Ok(track)
    }

    /// Puts fields together whose lengths are known to fit.
    pub(crate) fn fitting(
        pan: Pan,
        name: Name,
        expiry: Expiry,
        code: ServiceCode,
        discretionary: Discretionary,
    ) -> Self {
        let track = Self {
            pan,
            name,
            expiry: Some(expiry),
            service_code: Some(code),
            discretionary,
        };
        debug_assert!(
            fits(TrackNumber::One, track.text().as_bytes().len()).is_ok(),
            "the lengths were added up"
        );
        track
    }

    /// Reads `%B…?`.
    ///
    /// # Errors
    /// [`TrackError`] at the character that is wrong.
    pub fn parse(text: &str) -> Result<Self, TrackError> {
        Self::from_framed(&Framed::parse(text)?)
    }

    /// Reads the characters of a frame.
    ///
    /// # Errors
    /// [`TrackError`] at the character that is wrong.
    pub fn from_framed(framed: &Framed) -> Result<Self, TrackError> {
        let mut fields = Fields::new(framed, TrackNumber::One)?;
        match fields.rest.split_at_checked(1) {
            Some(("B", rest)) => fields.skip_to(rest),
            other => {
                let found = other.and_then(|(code, _)| code.bytes().next()).unwrap_or(0);
                return Err(TrackError::new(TrackErrorKind::FormatCode { found }, 1));
            }
        }
        let pan = fields.up_to_separator(Pan::new)?;
        let name = fields.up_to_separator(Name::new)?;
        Ok(Self {
            pan,
            name,
            expiry: fields.fixed(4, Expiry::parse)?,
            service_code: fields.fixed(3, ServiceCode::parse)?,
            discretionary: fields.rest(Discretionary::new)?,
        })
    }

    /// The frame with its sentinels, ready to be written as text or as bits.
    #[must_use]
    pub fn to_framed(&self) -> Framed {
        Framed::of_track(Alphabet::Alphanumeric, self.text().as_bytes())
    }

    /// The account number.
    #[must_use]
    pub const fn pan(&self) -> &Pan {
        &self.pan
    }

    /// The cardholder's name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The expiry, if the track states one.
    #[must_use]
    pub const fn expiry(&self) -> Option<Expiry> {
        self.expiry
    }

    /// The service code, if the track states one.
    #[must_use]
    pub const fn service_code(&self) -> Option<ServiceCode> {
        self.service_code
    }

    /// The issuer's own data.
    #[must_use]
    pub const fn discretionary(&self) -> &Discretionary {
        &self.discretionary
    }

    fn text(&self) -> Text {
        let mut text = Text::new();
        text.add(b"B");
        text.add(self.pan.expose_digits().as_bytes());
        text.add(b"^");
        text.add(self.name.as_str().as_bytes());
        text.add(b"^");
        text.tail(b"^", self.expiry, self.service_code, &self.discretionary);
        text
    }
}

impl Track2 {
    /// Puts the fields together. A missing expiry or service code is written as `=`.
    ///
    /// # Errors
    /// [`TrackErrorKind::TooLong`] above 40 characters, sentinels and LRC counted; [`TrackErrorKind::Character`] for discretionary
    /// data that is not digits.
    pub fn new(
        pan: Pan,
        expiry: Option<Expiry>,
        service_code: Option<ServiceCode>,
        discretionary: Discretionary,
    ) -> Result<Self, TrackError> {
        let discretionary = only_digits(discretionary)?;
        let track = Self {
            pan,
            expiry,
            service_code,
            discretionary,
        };
        fits(TrackNumber::Two, track.text().as_bytes().len())?;
        Ok(track)
    }

    /// Puts fields together whose lengths are known to fit.
    pub(crate) fn fitting(pan: Pan, expiry: Expiry, code: ServiceCode, discretionary: Discretionary) -> Self {
        let track = Self {
            pan,
            expiry: Some(expiry),
            service_code: Some(code),
            discretionary,
        };
        debug_assert!(
            fits(TrackNumber::Two, track.text().as_bytes().len()).is_ok(),
            "the lengths were added up"
        );
        track
    }

    /// Reads `;…?`.
    ///
    /// # Errors
    /// [`TrackError`] at the character that is wrong.
    ///
    /// ```
    /// use tr_track::Track2;
    /// let track = Track2::parse(";4111111111111111=29121010000000000000?").unwrap();
    /// assert_eq!(track.pan().to_string(), "411111******1111");
    /// assert_eq!(track.expiry().unwrap().to_string(), "2912");
    /// assert_eq!(track.to_framed().lrc_character(), '4');
    /// ```
    pub fn parse(text: &str) -> Result<Self, TrackError> {
        Self::from_framed(&Framed::parse(text)?)
    }

    /// Reads the characters of a frame.
    ///
    /// # Errors
    /// [`TrackError`] at the character that is wrong.
    pub fn from_framed(framed: &Framed) -> Result<Self, TrackError> {
        let mut fields = Fields::new(framed, TrackNumber::Two)?;
        Ok(Self {
            pan: fields.up_to_separator(Pan::new)?,
            expiry: fields.fixed(4, Expiry::parse)?,
            service_code: fields.fixed(3, ServiceCode::parse)?,
            discretionary: fields.rest(|text| only_digits(Discretionary::new(text)?))?,
        })
    }

    /// The frame with its sentinels, ready to be written as text or as bits.
    #[must_use]
    pub fn to_framed(&self) -> Framed {
        Framed::of_track(Alphabet::Numeric, self.text().as_bytes())
    }

    /// The account number.
    #[must_use]
    pub const fn pan(&self) -> &Pan {
        &self.pan
    }

    /// The expiry, if the track states one.
    #[must_use]
    pub const fn expiry(&self) -> Option<Expiry> {
        self.expiry
    }

    /// The service code, if the track states one.
    #[must_use]
    pub const fn service_code(&self) -> Option<ServiceCode> {
        self.service_code
    }

    /// The issuer's own data.
    #[must_use]
    pub const fn discretionary(&self) -> &Discretionary {
        &self.discretionary
    }

    fn text(&self) -> Text {
        let mut text = Text::new();
        text.add(self.pan.expose_digits().as_bytes());
        text.add(b"=");
        text.tail(b"=", self.expiry, self.service_code, &self.discretionary);
        text
    }
}

impl Track {
    /// Reads `%B…?` as track 1 or `;…?` as track 2.
    ///
    /// # Errors
    /// [`TrackError`] at the character that is wrong.
    pub fn parse(text: &str) -> Result<Self, TrackError> {
        Self::from_framed(&Framed::parse(text)?)
    }

    /// Reads the characters of a frame as the track of its alphabet.
    ///
    /// # Errors
    /// [`TrackError`] at the character that is wrong.
    pub fn from_framed(framed: &Framed) -> Result<Self, TrackError> {
        match framed.alphabet() {
            Alphabet::Alphanumeric => Track1::from_framed(framed).map(Self::One),
            Alphabet::Numeric => Track2::from_framed(framed).map(Self::Two),
        }
    }

    /// Which track it is.
    #[must_use]
    pub const fn number(&self) -> TrackNumber {
        match self {
            Self::One(_) => TrackNumber::One,
            Self::Two(_) => TrackNumber::Two,
        }
    }

    /// The account number.
    #[must_use]
    pub const fn pan(&self) -> &Pan {
        match self {
            Self::One(track) => track.pan(),
            Self::Two(track) => track.pan(),
        }
    }

    /// The expiry, if the track states one.
    #[must_use]
    pub const fn expiry(&self) -> Option<Expiry> {
        match self {
            Self::One(track) => track.expiry(),
            Self::Two(track) => track.expiry(),
        }
    }

    /// The service code, if the track states one.
    #[must_use]
    pub const fn service_code(&self) -> Option<ServiceCode> {
        match self {
            Self::One(track) => track.service_code(),
            Self::Two(track) => track.service_code(),
        }
    }

    /// The issuer's own data.
    #[must_use]
    pub const fn discretionary(&self) -> &Discretionary {
        match self {
            Self::One(track) => track.discretionary(),
            Self::Two(track) => track.discretionary(),
        }
    }

    /// The frame with its sentinels, ready to be written as text or as bits.
    #[must_use]
    pub fn to_framed(&self) -> Framed {
        match self {
            Self::One(track) => track.to_framed(),
            Self::Two(track) => track.to_framed(),
        }
    }
}

/// Reads the fields of a track one after another and knows where each begins.
struct Fields<'t> {
    rest: &'t str,
    /// The position of `rest`, the start sentinel being 0.
    at: usize,
    separator: char,
}

impl<'t> Fields<'t> {
    fn new(framed: &'t Framed, track: TrackNumber) -> Result<Self, TrackError> {
        let alphabet = track.alphabet();
        if framed.alphabet() != alphabet {
            let found = framed.alphabet();
            return Err(TrackError::new(TrackErrorKind::WrongAlphabet { found }, 0));
        }
        fits(track, framed.characters().saturating_sub(3))?;
        Ok(Self {
            rest: framed.expose_data(),
            at: 1,
            separator: char::from(alphabet.separator()),
        })
    }

    fn skip_to(&mut self, rest: &'t str) {
        let passed = self.rest.len().saturating_sub(rest.len());
        self.at = self.at.saturating_add(passed);
        self.rest = rest;
    }

    /// A field that a separator closes.
    fn up_to_separator<T>(&mut self, read: impl FnOnce(&str) -> Result<T, TrackError>) -> Result<T, TrackError> {
        let Some((field, rest)) = self.rest.split_once(self.separator) else {
            let end = self.at.saturating_add(self.rest.len());
            return Err(TrackError::new(TrackErrorKind::NoSeparator, end));
        };
        let value = read(field).map_err(|error| error.within(self.at))?;
        self.skip_to(rest);
        Ok(value)
    }

    /// A field of `width` characters, or a separator in its place.
    fn fixed<T>(
        &mut self,
        width: usize,
        read: impl FnOnce(&str) -> Result<T, TrackError>,
    ) -> Result<Option<T>, TrackError> {
        if let Some(rest) = self.rest.strip_prefix(self.separator) {
            self.skip_to(rest);
            return Ok(None);
        }
        let (field, rest) = self.rest.split_at_checked(width).unwrap_or((self.rest, ""));
        let value = read(field).map_err(|error| error.within(self.at))?;
        self.skip_to(rest);
        Ok(Some(value))
    }

    /// All that is left.
    fn rest<T>(&mut self, read: impl FnOnce(&str) -> Result<T, TrackError>) -> Result<T, TrackError> {
        read(self.rest).map_err(|error| error.within(self.at))
    }
}

/// The text between the sentinels while it is put together; more than a track's 76 characters fit, so that too long can be told.
struct Text {
    ascii: Ascii<128>,
}

impl Text {
    const fn new() -> Self {
        Self { ascii: Ascii::new() }
    }

    fn add(&mut self, field: &[u8]) {
        let fits = self.ascii.push(field);
        debug_assert!(fits, "1 + 19 + 1 + 26 + 1 + 4 + 3 + 61 characters at most");
    }

    fn tail(
        &mut self,
        absent: &[u8],
        expiry: Option<Expiry>,
        service_code: Option<ServiceCode>,
        discretionary: &Discretionary,
    ) {
        match expiry {
            Some(expiry) => self.add(&expiry.digits()),
            None => self.add(absent),
        }
        match service_code {
            Some(code) => self.add(&code.digits()),
            None => self.add(absent),
        }
        self.add(discretionary.expose().as_bytes());
    }

    fn as_bytes(&self) -> &[u8] {
        self.ascii.as_bytes()
    }
}

/// Checks the length of a track's data against the standard's, which counts both sentinels and the LRC.
fn fits(track: TrackNumber, data: usize) -> Result<(), TrackError> {
    let (found, limit) = (data.saturating_add(3), track.max_characters());
    if found <= limit {
        Ok(())
    } else {
        Err(TrackError::new(TrackErrorKind::TooLong { found, limit }, limit))
    }
}

fn only_digits(data: Discretionary) -> Result<Discretionary, TrackError> {
    let mut bytes = data.expose().bytes().enumerate();
    match bytes.find(|(_, byte)| !byte.is_ascii_digit()) {
        Some((at, found)) => Err(TrackError::new(TrackErrorKind::Character { found }, at)),
        None => Ok(data),
    }
}

impl fmt::Display for Track {
    /// The masked account number and the track it is on; no other field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match self.number() {
            TrackNumber::One => 1,
            TrackNumber::Two => 2,
            TrackNumber::Three => 3,
        };
        write!(f, "track {number} of {}", self.pan())
    }
}
