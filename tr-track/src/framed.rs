//! Framed characters: sentinels, parity and LRC hold (ISO/IEC 7811-2 and 7811-6), whatever the text means.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use crate::alphabet::is_odd;
use crate::text::Ascii;
use crate::{Alphabet, Bits, FrameError, FrameErrorKind, TrackError, TrackErrorKind};

/// The most characters of any frame, sentinels and LRC counted: track 3's.
pub const MAX_CHARACTERS: usize = 107;

/// The most characters between the sentinels.
const MAX_DATA: usize = MAX_CHARACTERS - 3;

/// Which way the card went through the reader, as the bits tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// The start sentinel came first.
    #[default]
    Forward,
    /// The end sentinel came first.
    Reverse,
}

/// The characters of one frame, which can always be written as bits again. Wiped on drop; `Debug` shows set and length alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Framed {
    alphabet: Alphabet,
    data: Ascii<MAX_DATA>,
}

impl Framed {
    /// Frames the text between the sentinels.
    ///
    /// # Errors
    /// [`TrackError`] (positions count the sentinel as 0): a character that the set lacks, a sentinel within the text, more than
    /// [`MAX_CHARACTERS`] with sentinels and LRC, or no text at all.
    pub fn new(alphabet: Alphabet, data: &str) -> Result<Self, TrackError> {
        let bytes = data.as_bytes();
        for (offset, &found) in bytes.iter().enumerate() {
            let sentinel = found == alphabet.start_sentinel() || found == alphabet.end_sentinel();
            if sentinel || alphabet.encode(found).is_none() {
                let kind = TrackErrorKind::Character { found };
                return Err(TrackError::new(kind, offset.saturating_add(1)));
            }
        }
        let length = bytes.len().saturating_add(3);
        if bytes.is_empty() {
            let kind = TrackErrorKind::TooShort {
                found: length,
                limit: 4,
            };
            return Err(TrackError::new(kind, 1));
        }
        let data = Ascii::copy(bytes).ok_or(TrackError::new(
            TrackErrorKind::TooLong {
                found: length,
                limit: MAX_CHARACTERS,
            },
            MAX_DATA,
        ))?;
        Ok(Self { alphabet, data })
    }

    /// Frames a text that shows its sentinels, such as `;1234=9912?`; the start sentinel chooses the set.
    ///
    /// # Errors
    /// [`TrackError`]: a sentinel is missing, or what [`Framed::new`] refuses.
    pub fn parse(text: &str) -> Result<Self, TrackError> {
        let (alphabet, rest) = if let Some(rest) = text.strip_prefix('%') {
            (Alphabet::Alphanumeric, rest)
        } else if let Some(rest) = text.strip_prefix(';') {
            (Alphabet::Numeric, rest)
        } else {
            return Err(TrackError::new(TrackErrorKind::NoStartSentinel, 0));
        };
        let end = TrackError::new(TrackErrorKind::NoEndSentinel, text.len());
        Self::new(alphabet, rest.strip_suffix('?').ok_or(end)?)
    }

    /// Finds the frame in the bits of a stripe, in either direction and either set. The first one bit must begin a start sentinel.
    ///
    /// # Errors
    /// [`FrameError`]: of the attempt that came furthest; [`FrameErrorKind::Ambiguous`] if more than one succeeds.
    ///
    /// ```
    /// use tr_track::{Direction, Framed};
    /// let framed = Framed::parse(";60058541029558180=9904?").unwrap();
    /// let (read, direction) = Framed::find(&framed.to_bits().reversed()).unwrap();
    /// assert_eq!((read, direction), (framed, Direction::Reverse));
    /// ```
    pub fn find(bits: &Bits) -> Result<(Self, Direction), FrameError> {
        let (first, last) = match (bits.first_one(), bits.last_one()) {
            (Some(first), Some(last)) => (first, last),
            _ => return Err(blank()),
        };
        let mut outcome = Self::attempt(bits, first, Direction::Forward);
        // The other direction's first characters, before the whole string is turned.
        let turned_first = bits.len().wrapping_sub(1).wrapping_sub(last);
        let head = bits.window(last.saturating_sub(63)).reverse_bits();
        let head = head.wrapping_shr(u32::try_from(63_usize.saturating_sub(last)).unwrap_or(0));
        if sentinel(head).is_some() || outcome.is_err() {
            let other = Self::attempt(&bits.reversed(), turned_first, Direction::Reverse);
            outcome = further(outcome, other);
        }
        outcome
    }

    /// Reads the frame that begins at bit `start`, which must be that of the start sentinel.
    ///
    /// # Errors
    /// [`FrameError`] at the first bit or character that is wrong; its direction is forward, since no other is tried.
    pub fn decode(bits: &Bits, start: usize, alphabet: Alphabet) -> Result<Self, FrameError> {
        let mut reader = Reader {
            bits,
            at: start,
            character: 0,
            window: 0,
            left: 0,
            alphabet,
        };
        let code = reader.code()?;
        let sentinel = alphabet.start_sentinel();
        if alphabet.decode(code) != Some(sentinel) {
            return Err(reader.refuse(FrameErrorKind::NoStartSentinel { found: code }));
        }
        let table = alphabet.data_characters();
        let mut lrc = code;
        let mut data = Ascii::new();
        loop {
            let code = reader.code()?;
            lrc ^= code;
            let data_character = table.get(usize::from(code)).copied().unwrap_or(0);
            if data_character != 0 && data.push_byte(data_character) {
                continue;
            }
            let character = alphabet.character(code);
            let kind = if !is_odd(code) {
                FrameErrorKind::Parity { found: code }
            } else if character == sentinel {
                FrameErrorKind::StartSentinelInside
            } else if character != alphabet.end_sentinel() {
                let limit = MAX_CHARACTERS;
                FrameErrorKind::TooLong { limit }
            } else if data.as_bytes().is_empty() {
                FrameErrorKind::Empty
            } else {
                break;
            };
            return Err(reader.refuse(kind));
        }
        let found = reader.code()?;
        let expected = alphabet.with_parity(lrc & alphabet.mask());
        if found != expected {
            return Err(reader.refuse(FrameErrorKind::Lrc { expected, found }));
        }
        Ok(Self { alphabet, data })
    }

    /// The character set.
    #[must_use]
    pub const fn alphabet(&self) -> Alphabet {
        self.alphabet
    }

    /// The characters between the sentinels. Named so because a bank card's are its number.
    #[must_use]
    pub fn expose_data(&self) -> &str {
        self.data.as_str()
    }

    /// The text with its sentinels, as `%…?` or `;…?`.
    #[must_use]
    pub fn expose_text(&self) -> impl fmt::Display + '_ {
        struct Text<'a>(&'a Framed);
        impl fmt::Display for Text<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let start = char::from(self.0.alphabet.start_sentinel());
                write!(f, "{start}{}?", self.0.expose_data())
            }
        }
        Text(self)
    }

    /// How many characters there are, both sentinels and the LRC counted.
    #[must_use]
    pub fn characters(&self) -> usize {
        self.data.as_bytes().len().saturating_add(3)
    }

    /// The code of the LRC: even parity over every column, an odd parity bit of its own on top.
    #[must_use]
    pub fn lrc(&self) -> u8 {
        let set = self.alphabet;
        let ends = [set.start_sentinel(), set.end_sentinel()];
        let all = self.data.as_bytes().iter().chain(&ends);
        let sum = all.fold(0, |sum, &byte| sum ^ set.encode(byte).unwrap_or(0));
        set.with_parity(sum & set.mask())
    }

    /// The LRC as the character that a reader would show for it.
    #[must_use]
    pub fn lrc_character(&self) -> char {
        char::from(self.alphabet.character(self.lrc()))
    }

    /// The bits of the frame, from the start sentinel to the LRC, without clocking zeros.
    #[must_use]
    pub fn to_bits(&self) -> Bits {
        let set = self.alphabet;
        let mut bits = Bits::new();
        let codes = core::iter::once(set.start_sentinel())
            .chain(self.data.as_bytes().iter().copied())
            .chain(core::iter::once(set.end_sentinel()))
            .filter_map(|byte| set.encode(byte))
            .chain(core::iter::once(self.lrc()));
        for code in codes {
            let pushed = bits.push_code(code, set.width());
            debug_assert!(pushed.is_ok(), "107 characters of 7 bits fit 1024 bits");
        }
        bits
    }

    /// Frames the text of a track, whose fields hold no sentinel and whose length was checked.
    pub(crate) fn of_track(alphabet: Alphabet, data: &[u8]) -> Self {
        let mut text = Ascii::new();
        let fits = text.push(data);
        debug_assert!(fits, "a track is no longer than any frame");
        Self { alphabet, data: text }
    }

    fn attempt(bits: &Bits, first: usize, direction: Direction) -> Result<(Self, Direction), FrameError> {
        let refuse = |kind| FrameError {
            kind,
            bit: first,
            character: 0,
            alphabet: Alphabet::Numeric,
            direction,
        };
        let head = bits.window(first);
        match sentinel(head) {
            Some(alphabet) => match Self::decode(bits, first, alphabet) {
                Ok(framed) => Ok((framed, direction)),
                Err(error) => Err(FrameError { direction, ..error }),
            },
            None => Err(refuse(FrameErrorKind::NoStartSentinel {
                found: low(head) & 0x1F,
            })),
        }
    }
}

/// The set whose start sentinel begins these bits. The two begin differently (11… and 10…), so there is at most one.
fn sentinel(head: u64) -> Option<Alphabet> {
    let code = low(head);
    if Alphabet::Numeric.decode(code & 0x1F) == Some(Alphabet::Numeric.start_sentinel()) {
        Some(Alphabet::Numeric)
    } else if Alphabet::Alphanumeric.decode(code & 0x7F) == Some(Alphabet::Alphanumeric.start_sentinel()) {
        Some(Alphabet::Alphanumeric)
    } else {
        None
    }
}

fn low(window: u64) -> u8 {
    let [low, ..] = window.to_le_bytes();
    low
}

const fn blank() -> FrameError {
    FrameError {
        kind: FrameErrorKind::Blank,
        bit: 0,
        character: 0,
        alphabet: Alphabet::Numeric,
        direction: Direction::Forward,
    }
}

type Attempt = Result<(Framed, Direction), FrameError>;

/// The success of two attempts, or the failure that tells more.
fn further(one: Attempt, other: Attempt) -> Attempt {
    match (one, other) {
        (Ok(_), Ok(_)) => Err(FrameError {
            kind: FrameErrorKind::Ambiguous,
            ..blank()
        }),
        (Ok(read), Err(_)) | (Err(_), Ok(read)) => Ok(read),
        (Err(one), Err(other)) => Err(if rank(&other) > rank(&one) { other } else { one }),
    }
}

/// A missing sentinel tells least, then what came furthest tells most.
fn rank(error: &FrameError) -> (bool, usize) {
    let framed = !matches!(error.kind, FrameErrorKind::NoStartSentinel { .. });
    (framed, error.character)
}

struct Reader<'b> {
    bits: &'b Bits,
    /// The bit after the last code.
    at: usize,
    /// Codes taken so far.
    character: usize,
    window: u64,
    /// Bits left in the window.
    left: usize,
    alphabet: Alphabet,
}

impl Reader<'_> {
    /// The next code, or the end of the bits as an error.
    #[inline]
    fn code(&mut self) -> Result<u8, FrameError> {
        let width = self.alphabet.width();
        let end = self.at.wrapping_add(width);
        if end > self.bits.len() {
            self.character = self.character.wrapping_add(1);
            self.at = end;
            let bits = self.bits.len();
            return Err(self.refuse(FrameErrorKind::Truncated { bits }));
        }
        if self.left < width {
            self.window = self.bits.window(self.at);
            self.left = 64;
        }
        let shift = u32::try_from(width).unwrap_or(0);
        let code = low(self.window) & !(u8::MAX.wrapping_shl(shift));
        self.window = self.window.wrapping_shr(shift);
        self.left = self.left.wrapping_sub(width);
        self.at = end;
        self.character = self.character.wrapping_add(1);
        Ok(code)
    }

    /// An error about the code taken last.
    #[cold]
    fn refuse(&self, kind: FrameErrorKind) -> FrameError {
        FrameError {
            kind,
            bit: self.at.wrapping_sub(self.alphabet.width()),
            character: self.character.wrapping_sub(1),
            alphabet: self.alphabet,
            direction: Direction::Forward,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
        })
    }
}

impl fmt::Debug for Framed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framed")
            .field("alphabet", &self.alphabet)
            .field("characters", &self.characters())
            .finish_non_exhaustive()
    }
}
