//! A bit string of fixed capacity, the common currency of characters and waveforms.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;
use zeroize::Zeroize;

/// The most bits that a [`Bits`] holds. A card's 85.6 mm at 210 bits per inch are 708.
pub const MAX_BITS: usize = 1024;

const WORDS: usize = MAX_BITS / 64;

/// Up to [`MAX_BITS`] bits in the order of the stripe. Wiped on drop; `Debug` shows the length alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Bits {
    /// Bit `i` is bit `i % 64` of word `i / 64`; bits from `len` on are zero.
    words: [u64; WORDS],
    len: usize,
}

/// What a [`Bits`] could not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BitsError {
    /// More than [`MAX_BITS`] bits.
    Full {
        /// The capacity, [`MAX_BITS`].
        limit: usize,
    },
    /// A character other than `0` and `1` in a bit text.
    Character {
        /// Its byte offset.
        at: usize,
        /// The character.
        found: char,
    },
}

impl Bits {
    /// No bits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            words: [0; WORDS],
            len: 0,
        }
    }

    /// Reads a text of `0` and `1`.
    ///
    /// # Errors
    /// [`BitsError`] with the offset of the first other character, or when there are more than [`MAX_BITS`].
    pub fn parse(text: &str) -> Result<Self, BitsError> {
        let mut bits = Self::new();
        for (at, found) in text.char_indices() {
            match found {
                '0' => bits.push(false)?,
                '1' => bits.push(true)?,
                _ => return Err(BitsError::Character { at, found }),
            }
        }
        Ok(bits)
    }

    /// Appends one bit.
    ///
    /// # Errors
    /// [`BitsError::Full`] at [`MAX_BITS`]; the string is unchanged.
    pub fn push(&mut self, bit: bool) -> Result<(), BitsError> {
        self.push_code(u8::from(bit), 1)
    }

    /// Appends the `width` (1 to 8) lowest bits of `code`, the least significant one first.
    pub(crate) fn push_code(&mut self, code: u8, width: usize) -> Result<(), BitsError> {
        let full = BitsError::Full { limit: MAX_BITS };
        let end = self.len.checked_add(width).filter(|&end| end <= MAX_BITS);
        let end = end.ok_or(full)?;
        let (word, shift) = place(self.len);
        let code = u64::from(code);
        if let Some(low) = self.words.get_mut(word) {
            *low |= code.wrapping_shl(shift);
        }
        // What did not fit into the first word; shifting twice keeps a shift of 64 out of it.
        let rest = code.wrapping_shr(1).wrapping_shr(63_u32.wrapping_sub(shift));
        if let Some(high) = self.words.get_mut(word.wrapping_add(1)) {
            *high |= rest;
        }
        self.len = end;
        Ok(())
    }

    /// How many bits there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bit at `index`, or `None` past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<bool> {
        (index < self.len).then(|| self.window(index) & 1 == 1)
    }

    /// Inverts the bit at `index` and tells whether there was one: how a damaged stripe is made for tests and demonstrations.
    pub fn flip(&mut self, index: usize) -> bool {
        let (word, shift) = place(index);
        match self.words.get_mut(word) {
            Some(word) if index < self.len => {
                *word ^= 1_u64.wrapping_shl(shift);
                true
            }
            _ => false,
        }
    }

    /// All bits in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = bool> + '_ {
        (0..self.len).map(|index| self.window(index) & 1 == 1)
    }

    /// The index of the first one bit, or `None` if all are zero.
    #[must_use]
    pub fn first_one(&self) -> Option<usize> {
        let mut before: usize = 0;
        for word in &self.words {
            if *word != 0 {
                return Some(before.wrapping_add(count(word.trailing_zeros())));
            }
            before = before.wrapping_add(64);
        }
        None
    }

    /// The index of the last one bit, or `None` if all are zero.
    #[must_use]
    pub fn last_one(&self) -> Option<usize> {
        let mut before = MAX_BITS;
        for word in self.words.iter().rev() {
            if *word != 0 {
                return Some(before.wrapping_sub(count(word.leading_zeros())).wrapping_sub(1));
            }
            before = before.wrapping_sub(64);
        }
        None
    }

    /// The bits from the first to the last one bit, without the clocking zeros around them.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        let mut out = Self::new();
        if let (Some(first), Some(last)) = (self.first_one(), self.last_one()) {
            out.len = last.wrapping_sub(first).wrapping_add(1);
            for (index, word) in out.words.iter_mut().enumerate() {
                *word = self.window(first.wrapping_add(index.wrapping_mul(64)));
            }
        }
        out
    }

    /// The same bits from the other end: what a swipe in the other direction gives.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let mut turned = Self::new();
        for (to, from) in turned.words.iter_mut().zip(self.words.iter().rev()) {
            *to = from.reverse_bits();
        }
        let mut out = Self::new();
        let skip = MAX_BITS.wrapping_sub(self.len);
        for (index, word) in out.words.iter_mut().enumerate() {
            *word = turned.window(skip.wrapping_add(index.wrapping_mul(64)));
        }
        out.len = self.len;
        out
    }

    /// The bits as a text of `0` and `1`. Named so because the bits of a bank card are its number.
    #[must_use]
    pub fn expose_binary(&self) -> impl fmt::Display + '_ {
        struct Binary<'a>(&'a Bits);
        impl fmt::Display for Binary<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0
                    .iter()
                    .try_for_each(|bit| f.write_str(if bit { "1" } else { "0" }))
            }
        }
        Binary(self)
    }

    /// 64 bits from `index` on, the first one lowest; zeros past the end.
    #[inline]
    pub(crate) fn window(&self, index: usize) -> u64 {
        let (word, shift) = place(index);
        let low = self.words.get(word).copied().unwrap_or(0);
        let next = self.words.get(word.wrapping_add(1)).copied().unwrap_or(0);
        // Shifting twice keeps a shift of 64, which would wrap to 0, out of it.
        let high = next.wrapping_shl(1).wrapping_shl(63_u32.wrapping_sub(shift));
        low.wrapping_shr(shift) | high
    }
}

/// The word of a bit and its place in it.
#[inline]
fn place(index: usize) -> (usize, u32) {
    (index / 64, u32::try_from(index % 64).unwrap_or(0))
}

/// A count of at most 64 bits as an index.
fn count(bits: u32) -> usize {
    usize::try_from(bits).unwrap_or(0)
}

impl Default for Bits {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Bits {
    fn drop(&mut self) {
        self.words.zeroize();
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bits").field("len", &self.len).finish_non_exhaustive()
    }
}

impl fmt::Display for BitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { limit } => write!(f, "more than {limit} bits"),
            Self::Character { at, found } => {
                write!(f, "offset {at}: {found:?} is neither 0 nor 1")
            }
        }
    }
}

impl core::error::Error for BitsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::{String, ToString};

    fn text(bits: &Bits) -> String {
        bits.iter().map(|bit| if bit { '1' } else { '0' }).collect()
    }

    #[test]
    fn codes_cross_the_word_boundary() {
        let mut bits = Bits::new();
        for _ in 0..30 {
            bits.push_code(0b100_1101, 7).unwrap();
        }
        assert_eq!(text(&bits), "1011001".repeat(30));
        assert_eq!(bits.expose_binary().to_string(), text(&bits));
    }

    #[test]
    fn trimming_and_reversing_agree_with_text() {
        for lead in [0, 1, 63, 64, 65, 130] {
            for body in ["1", "1101", &"110100".repeat(20)] {
                let padded = format!("{}{body}{}", "0".repeat(lead), "0".repeat(lead / 2));
                let bits = Bits::parse(&padded).unwrap();
                assert_eq!(text(&bits.trimmed()), padded.trim_matches('0'));
                assert_eq!(text(&bits.reversed()), padded.chars().rev().collect::<String>());
                assert_eq!(bits.first_one(), Some(lead));
                assert_eq!(bits.last_one(), padded.rfind('1'));
            }
        }
    }

    #[test]
    fn the_capacity_is_a_limit_and_debug_is_silent() {
        let mut bits = Bits::parse(&"1".repeat(MAX_BITS)).unwrap();
        assert_eq!(bits.push(true), Err(BitsError::Full { limit: MAX_BITS }));
        assert_eq!(bits.reversed(), bits);
        assert_eq!(bits.trimmed(), bits);
        assert_eq!(bits.get(MAX_BITS), None);
        assert!(!bits.flip(MAX_BITS));
        assert_eq!(format!("{bits:?}"), "Bits { len: 1024, .. }");
        assert_eq!(Bits::parse("01x"), Err(BitsError::Character { at: 2, found: 'x' }));
    }
}
