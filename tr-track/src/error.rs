//! Why a frame or a track was refused, and where.

use core::fmt;

use crate::{Alphabet, Direction, ServiceCode};

/// Bits that are no frame: the kind, and the place in the bits as they were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameError {
    /// What is wrong.
    pub kind: FrameErrorKind,
    /// The bit at which it showed, counted in reading direction from 0.
    pub bit: usize,
    /// The character it falls in; the start sentinel is 0.
    pub character: usize,
    /// The character set it was read with.
    pub alphabet: Alphabet,
    /// The direction it was read in.
    pub direction: Direction,
}

/// What is wrong with a frame. Codes are raw: the value bits with the parity bit on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameErrorKind {
    /// There is no one bit at all: the stripe is blank.
    Blank,
    /// The first characters from either end are no start sentinel.
    NoStartSentinel {
        /// The code that stands in its place.
        found: u8,
    },
    /// A character's parity is even.
    Parity {
        /// Its code.
        found: u8,
    },
    /// A second start sentinel within the data.
    StartSentinelInside,
    /// An end sentinel right after the start sentinel.
    Empty,
    /// The bits end before the end sentinel or before the LRC.
    Truncated {
        /// How many bits there are.
        bits: usize,
    },
    /// More characters than any track holds.
    TooLong {
        /// The most, counting sentinels and LRC.
        limit: usize,
    },
    /// The longitudinal redundancy check fails: every character looked right and one or more is not (a torn or altered stripe).
    Lrc {
        /// The code that the characters call for.
        expected: u8,
        /// The code on the stripe.
        found: u8,
    },
    /// The bits are a whole frame in either direction or in either character set, so neither is believed.
    Ambiguous,
}

/// Text that is no frame or no track: the kind, and the offset counted from the start sentinel (0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackError {
    /// What is wrong.
    pub kind: TrackErrorKind,
    /// The character, the start sentinel being 0. For a field that was given on its own, its own first character is 0.
    pub at: usize,
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackErrorKind {
    /// The text does not begin with the start sentinel of a track.
    NoStartSentinel,
    /// The text does not end with its only end sentinel.
    NoEndSentinel,
    /// The track or the field cannot hold this character.
    Character {
        /// The byte found.
        found: u8,
    },
    /// The track or the field is too long, in characters (a track's sentinels and LRC counted).
    TooLong {
        /// The length found.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The track or the field is too short.
    TooShort {
        /// The length found.
        found: usize,
        /// The least there must be.
        limit: usize,
    },
    /// Another alphabet than this track's.
    WrongAlphabet {
        /// The alphabet found.
        found: Alphabet,
    },
    /// Track 1 in another format than B.
    FormatCode {
        /// The format code found.
        found: u8,
    },
    /// A field separator is missing where the field before it ends.
    NoSeparator,
    /// The account number's check digit is wrong (ISO/IEC 7812-1, Luhn).
    Luhn {
        /// The digit that the others call for.
        expected: u8,
        /// The digit found.
        found: u8,
    },
    /// The expiry's month is not 01 to 12.
    Month {
        /// The month found.
        found: u8,
    },
    /// A card of another issuer than the one that was asked for.
    Issuer,
    /// A card that needs an expiry and has none.
    NoExpiry,
    /// Another service code than the issuer's cards have.
    ServiceCode {
        /// The code found, if there is one.
        found: Option<ServiceCode>,
    },
    /// A layout of the discretionary data that is not known.
    Layout {
        /// The layout digit found.
        found: u8,
    },
    /// The two tracks of one card disagree.
    TracksDiffer,
}

impl TrackError {
    pub(crate) const fn new(kind: TrackErrorKind, at: usize) -> Self {
        Self { kind, at }
    }

    /// The same error of a field that begins at `offset` of the track.
    pub(crate) const fn within(self, offset: usize) -> Self {
        Self {
            kind: self.kind,
            at: self.at.saturating_add(offset),
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bit {} (character {}, ", self.bit, self.character)?;
        let width = self.alphabet.width();
        write!(f, "{width}-bit set, {}): ", self.direction)?;
        match self.kind {
            FrameErrorKind::Blank => f.write_str("no one bit, the stripe is blank"),
            FrameErrorKind::NoStartSentinel { found } => {
                write!(f, "no start sentinel, but {found:0width$b}")
            }
            FrameErrorKind::Parity { found } => write!(f, "even parity in {found:0width$b}"),
            FrameErrorKind::StartSentinelInside => f.write_str("a start sentinel within the data"),
            FrameErrorKind::Empty => f.write_str("nothing between the sentinels"),
            FrameErrorKind::Truncated { bits } => {
                write!(f, "the {bits} bits end before end sentinel and LRC")
            }
            FrameErrorKind::TooLong { limit } => write!(f, "more than {limit} characters"),
            FrameErrorKind::Lrc { expected, found } => write!(
                f,
                "bad LRC: {found:0width$b} where the characters call for {expected:0width$b}"
            ),
            FrameErrorKind::Ambiguous => f.write_str("a whole frame in more than one way"),
        }
    }
}

impl core::error::Error for FrameError {}

impl fmt::Display for TrackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: ", self.at)?;
        match self.kind {
            TrackErrorKind::NoStartSentinel => f.write_str("no start sentinel, % or ;"),
            TrackErrorKind::NoEndSentinel => f.write_str("no end sentinel ? at the end"),
            TrackErrorKind::Character { found } => {
                write!(f, "{:?} is not allowed here", char::from(found))
            }
            TrackErrorKind::TooLong { found, limit } => {
                write!(f, "{found} characters, at most {limit} are allowed")
            }
            TrackErrorKind::TooShort { found, limit } => {
                write!(f, "{found} characters, at least {limit} are needed")
            }
            TrackErrorKind::WrongAlphabet { found } => {
                write!(f, "the {}-bit set is not this track's", found.width())
            }
            TrackErrorKind::FormatCode { found } => {
                write!(f, "format code {:?}, not 'B'", char::from(found))
            }
            TrackErrorKind::NoSeparator => f.write_str("no field separator"),
            TrackErrorKind::Luhn { expected, found } => {
                write!(f, "check digit {found}, the number calls for {expected} (Luhn)")
            }
            TrackErrorKind::Month { found } => write!(f, "month {found:02}, not 01 to 12"),
            TrackErrorKind::Issuer => f.write_str("a card of another issuer"),
            TrackErrorKind::NoExpiry => f.write_str("no expiry"),
            TrackErrorKind::ServiceCode { found: Some(found) } => {
                write!(f, "service code {found} is not this issuer's")
            }
            TrackErrorKind::ServiceCode { found: None } => f.write_str("no service code"),
            TrackErrorKind::Layout { found } => {
                write!(f, "discretionary layout {:?} is not known", char::from(found))
            }
            TrackErrorKind::TracksDiffer => f.write_str("tracks 1 and 2 disagree"),
        }
    }
}

impl core::error::Error for TrackError {}
