//! Files of flux transitions, read as intervals in nanoseconds: libmsr's `.MAG` and its CSV form.
//!
//! Both are iterators over bytes that allocate nothing; [`Intervals::collect`](crate::Intervals::collect) takes them.
//! WAV files need a reader of their own (the samples are what [`Reading::of_samples`](crate::Reading::of_samples) wants).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use crate::{Intervals, Reading, SwipeError};

/// The most transitions of a file: what a minute-long tone would give, far above any card.
pub const MAX_TRANSITIONS: u32 = 1_000_000;

/// A file of transitions that cannot be read: the kind, and the byte offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FormatError {
    /// What is wrong.
    pub kind: FormatErrorKind,
    /// The byte at which it showed.
    pub at: usize,
}

/// What is wrong with a file of transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatErrorKind {
    /// The file's length is not what its count of transitions calls for.
    Length {
        /// Its length in bytes.
        found: usize,
        /// The length that the count calls for.
        expected: usize,
    },
    /// A count above [`MAX_TRANSITIONS`].
    Count {
        /// The count.
        found: u32,
    },
    /// A time that is no number, negative, or beyond four seconds after the one before.
    Time,
    /// A time before the one before it.
    Order,
    /// A level that is neither of the two that there are.
    Level,
    /// The first line of a CSV file is not `level,time_ms`.
    Heading,
    /// The signal has no bits in it.
    Swipe(SwipeError),
}

/// A `.MAG` file, all numbers little endian: a `u32` count, then for each transition a `u32` level (0 or 32) and an `f32` time in
/// milliseconds from the start.
#[derive(Clone)]
pub struct Mag<'a> {
    records: &'a [u8],
    at: usize,
    previous: Option<u64>,
}

/// A CSV file: the heading `level,time_ms`, then a level (0 or 1) and a time in milliseconds a line.
#[derive(Clone)]
pub struct FluxCsv<'a> {
    rest: &'a [u8],
    at: usize,
    previous: Option<u64>,
}

const MAG_HEADER: usize = 4;
const MAG_RECORD: usize = 8;
const HEADING: &[u8] = b"level,time_ms";

impl<'a> Mag<'a> {
    /// Checks the header.
    ///
    /// # Errors
    /// [`FormatErrorKind::Length`], [`FormatErrorKind::Count`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let short = FormatErrorKind::Length {
            found: bytes.len(),
            expected: MAG_HEADER,
        };
        let (header, records) = bytes.split_first_chunk().ok_or(FormatError::new(short, 0))?;
        let found = u32::from_le_bytes(*header);
        if found > MAX_TRANSITIONS {
            return Err(FormatError::new(FormatErrorKind::Count { found }, 0));
        }
        let count = usize::try_from(found).unwrap_or(usize::MAX);
        let expected = count.saturating_mul(MAG_RECORD).saturating_add(MAG_HEADER);
        if expected != bytes.len() {
            let found = bytes.len();
            return Err(FormatError::new(FormatErrorKind::Length { found, expected }, 0));
        }
        Ok(Self {
            records,
            at: MAG_HEADER,
            previous: None,
        })
    }
}

impl Iterator for Mag<'_> {
    type Item = Result<u32, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (record, rest) = self.records.split_first_chunk::<MAG_RECORD>()?;
            let [a, b, c, d, time @ ..] = *record;
            let at = self.at;
            self.records = rest;
            self.at = at.saturating_add(MAG_RECORD);
            if !matches!(u32::from_le_bytes([a, b, c, d]), 0 | 32) {
                return Some(Err(FormatError::new(FormatErrorKind::Level, at)));
            }
            let place = at.saturating_add(4);
            match step(&mut self.previous, binary_nanoseconds(time), place) {
                Ok(None) => {}
                Ok(Some(interval)) => return Some(Ok(interval)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<'a> FluxCsv<'a> {
    /// Checks the heading.
    ///
    /// # Errors
    /// [`FormatErrorKind::Heading`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut file = Self {
            rest: bytes,
            at: 0,
            previous: None,
        };
        match file.line() {
            Some((HEADING, _)) => Ok(file),
            _ => Err(FormatError::new(FormatErrorKind::Heading, 0)),
        }
    }

    /// The next line without its end, and its offset.
    fn line(&mut self) -> Option<(&'a [u8], usize)> {
        if self.rest.is_empty() {
            return None;
        }
        let mut parts = self.rest.splitn(2, |&byte| byte == b'\n');
        let line = parts.next()?;
        let at = self.at;
        self.rest = parts.next().unwrap_or(&[]);
        self.at = at.saturating_add(line.len()).saturating_add(1);
        Some((line.strip_suffix(b"\r").unwrap_or(line), at))
    }
}

impl Iterator for FluxCsv<'_> {
    type Item = Result<u32, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (line, at) = self.line()?;
            let time = match line {
                [b'0' | b'1', b',', time @ ..] => time,
                _ => return Some(Err(FormatError::new(FormatErrorKind::Level, at))),
            };
            match step(&mut self.previous, decimal_nanoseconds(time), at.saturating_add(2)) {
                Ok(None) => {}
                Ok(Some(interval)) => return Some(Ok(interval)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Reading {
    /// Reads a `.MAG` file. The workspace is wiped afterwards.
    ///
    /// # Errors
    /// [`FormatError`] at a byte, or [`FormatErrorKind::Swipe`] if the file is in order and there are no bits in it.
    pub fn of_mag(bytes: &[u8], workspace: &mut [u32]) -> Result<Self, FormatError> {
        Ok(Self::of_intervals(&Intervals::collect(Mag::new(bytes)?, workspace)?)?)
    }

    /// Reads a CSV file of transitions. The workspace is wiped afterwards.
    ///
    /// # Errors
    /// [`FormatError`] at a byte, or [`FormatErrorKind::Swipe`] if the file is in order and there are no bits in it.
    pub fn of_flux_csv(bytes: &[u8], workspace: &mut [u32]) -> Result<Self, FormatError> {
        Ok(Self::of_intervals(&Intervals::collect(
            FluxCsv::new(bytes)?,
            workspace,
        )?)?)
    }
}

/// The interval that ends at `time`, unless it is the first.
fn step(previous: &mut Option<u64>, time: Option<u64>, at: usize) -> Result<Option<u32>, FormatError> {
    let time = time.ok_or(FormatError::new(FormatErrorKind::Time, at))?;
    let Some(before) = previous.replace(time) else {
        return Ok(None);
    };
    let length = time.checked_sub(before);
    let length = length.ok_or(FormatError::new(FormatErrorKind::Order, at))?;
    let length = u32::try_from(length).map_err(|_| FormatError::new(FormatErrorKind::Time, at))?;
    Ok(Some(length))
}

/// An `f32` of milliseconds as nanoseconds, worked out from its parts; `None` if it is negative, no number, or above 2³⁰ ms.
fn binary_nanoseconds(bytes: [u8; 4]) -> Option<u64> {
    let bits = u32::from_le_bytes(bytes);
    let (exponent, fraction) = (bits.wrapping_shr(23), bits & 0x007F_FFFF);
    match exponent {
        0 => Some(0),
        // 1.fraction × 2^(exponent − 127) ms; below 2⁻²⁵ ms there is no nanosecond.
        1..=157 => {
            let mantissa = u64::from(fraction | 0x0080_0000).checked_mul(1_000_000)?;
            match exponent.checked_sub(150) {
                Some(up) => mantissa.checked_mul(1_u64.wrapping_shl(up)),
                None => Some(mantissa.checked_shr(150_u32.saturating_sub(exponent)).unwrap_or(0)),
            }
        }
        _ => None,
    }
}

/// Decimal milliseconds, with at most 9 digits before the point and any number after it, as nanoseconds.
fn decimal_nanoseconds(text: &[u8]) -> Option<u64> {
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let whole = parts.next()?;
    let fraction = parts.next();
    if whole.is_empty() || whole.len() > 9 || fraction.is_some_and(<[u8]>::is_empty) {
        return None;
    }
    let fraction = fraction.unwrap_or(&[]);
    let digits = whole.iter().chain(fraction);
    if !digits.clone().all(u8::is_ascii_digit) {
        return None;
    }
    let six = fraction.iter().chain(core::iter::repeat(&b'0')).take(6);
    whole.iter().chain(six).try_fold(0_u64, |number, digit| {
        let digit = u64::from(digit.saturating_sub(b'0'));
        number.checked_mul(10)?.checked_add(digit)
    })
}

impl FormatError {
    const fn new(kind: FormatErrorKind, at: usize) -> Self {
        Self { kind, at }
    }
}

impl From<SwipeError> for FormatError {
    fn from(error: SwipeError) -> Self {
        Self::new(FormatErrorKind::Swipe(error), 0)
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.kind {
            FormatErrorKind::Length { found, expected } => {
                write!(f, "{found} bytes, the header calls for {expected}")
            }
            FormatErrorKind::Count { found } => {
                write!(f, "{found} transitions, at most {MAX_TRANSITIONS} are read")
            }
            FormatErrorKind::Time => write!(f, "byte {at}: not a time in milliseconds"),
            FormatErrorKind::Order => write!(f, "byte {at}: a time before the one before it"),
            FormatErrorKind::Level => write!(f, "byte {at}: not a level"),
            FormatErrorKind::Heading => f.write_str("the first line is not level,time_ms"),
            FormatErrorKind::Swipe(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for FormatError {}

impl fmt::Debug for Mag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mag").field("at", &self.at).finish_non_exhaustive()
    }
}

impl fmt::Debug for FluxCsv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FluxCsv").field("at", &self.at).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::as_conversions, reason = "test values are chosen to fit")]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn binary_times_are_exact_to_the_nanosecond() {
        for milliseconds in [0.0_f32, 1e-6, 0.5, 2.397_629_5, 474.304_75, 4_194_304.0] {
            let expected = (f64::from(milliseconds) * 1e6) as u64;
            assert_eq!(
                binary_nanoseconds(milliseconds.to_le_bytes()),
                Some(expected),
                "{milliseconds}"
            );
        }
        for milliseconds in [-1.0, f32::NAN, f32::INFINITY, 3e9] {
            assert_eq!(binary_nanoseconds(milliseconds.to_le_bytes()), None, "{milliseconds}");
        }
        assert_eq!(binary_nanoseconds(f32::MIN_POSITIVE.to_le_bytes()), Some(0));
    }

    #[test]
    fn decimal_times_are_read_or_refused() {
        assert_eq!(decimal_nanoseconds(b"2.397629"), Some(2_397_629));
        assert_eq!(decimal_nanoseconds(b"0.0000019"), Some(1));
        assert_eq!(decimal_nanoseconds(b"12"), Some(12_000_000));
        for text in ["", ".", "1.", ".5", "-1", "1e3", "1.2.3", "1234567890", "1,2"] {
            assert_eq!(decimal_nanoseconds(text.as_bytes()), None, "{text}");
        }
    }

    fn csv(text: &str) -> Result<Vec<u32>, FormatError> {
        FluxCsv::new(text.as_bytes())?.collect()
    }

    #[test]
    fn csv_errors_say_where() {
        assert_eq!(
            csv("level,time_ms\n1,1.0\r\n0,1.5\n1,3"),
            Ok(std::vec![500_000, 1_500_000])
        );
        let error = |text| csv(text).unwrap_err();
        assert_eq!(error("time\n"), FormatError::new(FormatErrorKind::Heading, 0));
        assert_eq!(
            error("level,time_ms\n2,1\n"),
            FormatError::new(FormatErrorKind::Level, 14)
        );
        assert_eq!(
            error("level,time_ms\n1,2\n0,1\n"),
            FormatError::new(FormatErrorKind::Order, 20)
        );
        assert_eq!(
            error("level,time_ms\n1,x\n"),
            FormatError::new(FormatErrorKind::Time, 16)
        );
        assert_eq!(
            error("level,time_ms\n1,0\n0,5000\n"),
            FormatError::new(FormatErrorKind::Time, 20)
        );
    }

    #[test]
    fn mag_errors_say_where() {
        let file = |records: &[(u32, f32)]| {
            let mut bytes = (records.len() as u32).to_le_bytes().to_vec();
            for (level, time) in records {
                bytes.extend(level.to_le_bytes());
                bytes.extend(time.to_le_bytes());
            }
            bytes
        };
        let read = |bytes: &[u8]| Mag::new(bytes)?.collect::<Result<Vec<_>, _>>();
        assert_eq!(read(&file(&[(32, 1.0), (0, 1.5)])), Ok(std::vec![500_000]));
        assert_eq!(read(&file(&[])), Ok(std::vec![]));
        assert_eq!(
            read(&file(&[(1, 1.0)])),
            Err(FormatError::new(FormatErrorKind::Level, 4))
        );
        assert_eq!(
            read(&file(&[(0, 1.0), (32, 0.5)])),
            Err(FormatError::new(FormatErrorKind::Order, 16))
        );
        assert_eq!(
            read(&file(&[(0, f32::NAN)])),
            Err(FormatError::new(FormatErrorKind::Time, 8))
        );
        let mut long = file(&[(0, 1.0)]);
        long.push(0);
        let kind = FormatErrorKind::Length {
            found: 13,
            expected: 12,
        };
        assert_eq!(read(&long), Err(FormatError::new(kind, 0)));
        assert!(read(&[1, 0, 0]).is_err());
        let kind = FormatErrorKind::Count { found: u32::MAX };
        assert_eq!(read(&[255; 4]), Err(FormatError::new(kind, 0)));
    }
}
