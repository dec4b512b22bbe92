//! The little deterministic CBOR that EDHOC needs (RFC 8949 §4.2.1): definite lengths, shortest heads.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use crate::error::Full;

/// Where the input stopped being the CBOR that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) offset: usize,
}

pub(crate) const UNSIGNED: u8 = 0;
pub(crate) const NEGATIVE: u8 = 1;
pub(crate) const BYTES: u8 = 2;
pub(crate) const TEXT: u8 = 3;
pub(crate) const ARRAY: u8 = 4;
pub(crate) const MAP: u8 = 5;

/// Reads items off the front of a slice and knows the offset of the next.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    input: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self { input, offset: 0 }
    }

    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.input.get(self.offset..).unwrap_or(&[])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    /// The octets from an earlier offset up to here.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.input.get(start..self.offset).unwrap_or(&[])
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// The major type of the next item.
    pub(crate) fn major(&self) -> Option<u8> {
        self.peek().map(|octet| octet >> 5)
    }

    pub(crate) fn skip(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(self.malformed())
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }

    pub(crate) const fn malformed(&self) -> Malformed {
        Malformed { offset: self.offset }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.rest().get(..len).ok_or(self.malformed())?;
        self.offset = self.offset.saturating_add(len);
        Ok(taken)
    }

    /// Major type and argument of the next item, whose argument must have its shortest form.
    pub(crate) fn head(&mut self) -> Result<(u8, u64), Malformed> {
        let start = self.malformed();
        let first = self.skip()?;
        let (width, least) = match first & 0x1f {
            small @ 0..24 => return Ok((first >> 5, u64::from(small))),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(start),
        };
        let argument = self
            .take(width)
            .map_err(|_| start)?
            .iter()
            .fold(0u64, |sum, octet| (sum << 8) | u64::from(*octet));
        if argument < least {
            Err(start)
        } else {
            Ok((first >> 5, argument))
        }
    }

    fn expect(&mut self, major: u8) -> Result<u64, Malformed> {
        let start = self.malformed();
        match self.head()? {
            (found, argument) if found == major => Ok(argument),
            _ => Err(start),
        }
    }

    /// An integer that fits 64 bits with its sign.
    pub(crate) fn int(&mut self) -> Result<i64, Malformed> {
        let start = self.malformed();
        let (major, argument) = self.head()?;
        let argument = i64::try_from(argument).map_err(|_| start)?;
        match major {
            UNSIGNED => Ok(argument),
            // −1 − n is the bitwise complement of n.
            NEGATIVE => Ok(!argument),
            _ => Err(start),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.malformed();
        let len = usize::try_from(self.expect(BYTES)?).map_err(|_| start)?;
        self.take(len).map_err(|_| start)
    }

    pub(crate) fn array(&mut self) -> Result<u64, Malformed> {
        self.expect(ARRAY)
    }

    pub(crate) fn map(&mut self) -> Result<u64, Malformed> {
        self.expect(MAP)
    }
}

/// The head of an item: at most nine octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    octets: [u8; 9],
    len: usize,
}

impl Head {
    pub(crate) fn new(major: u8, argument: u64) -> Self {
        let be = argument.to_be_bytes();
        let (extra, width) = match argument {
            0..24 => (be[7], 0),
            24..0x100 => (24, 1),
            0x100..0x1_0000 => (25, 2),
            0x1_0000..0x1_0000_0000 => (26, 4),
            _ => (27, 8),
        };
        let mut octets = [0; 9];
        octets[0] = (major << 5) | extra;
        let tail = be.iter().rev().take(width).rev();
        for (octet, value) in octets.iter_mut().skip(1).zip(tail) {
            *octet = *value;
        }
        Self {
            octets,
            len: width.saturating_add(1),
        }
    }

    pub(crate) fn of_len(major: u8, len: usize) -> Self {
        // No slice of ours is longer than 2⁶⁴ − 1 octets.
        Self::new(major, u64::try_from(len).unwrap_or(u64::MAX))
    }

    pub(crate) fn int(value: i64) -> Self {
        match u64::try_from(value) {
            Ok(value) => Self::new(UNSIGNED, value),
            Err(_) => Self::new(NEGATIVE, (!value).unsigned_abs()),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&[])
    }
}

/// Octets that a byte string of this length takes.
pub(crate) fn bytes_len(len: usize) -> usize {
    Head::of_len(BYTES, len).len.saturating_add(len)
}

/// Writes items into the caller's buffer.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn raw(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.len.checked_add(octets.len()).ok_or(Full)?;
        self.out.get_mut(self.len..end).ok_or(Full)?.copy_from_slice(octets);
        self.len = end;
        Ok(())
    }

    pub(crate) fn head(&mut self, major: u8, argument: u64) -> Result<(), Full> {
        self.raw(Head::new(major, argument).as_bytes())
    }

    pub(crate) fn int(&mut self, value: i64) -> Result<(), Full> {
        self.raw(Head::int(value).as_bytes())
    }

    pub(crate) fn bytes(&mut self, octets: &[u8]) -> Result<(), Full> {
        self.raw(Head::of_len(BYTES, octets.len()).as_bytes())?;
        self.raw(octets)
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<(), Full> {
        self.raw(Head::of_len(TEXT, text.len()).as_bytes())?;
        self.raw(text.as_bytes())
    }
}
