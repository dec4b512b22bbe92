//! The two coded character sets of ISO/IEC 7811-6 and the three tracks that use them.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

/// A coded character set of ISO/IEC 7811-6; each character is written least significant bit first and closed by an odd parity bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alphabet {
    /// 6 bits and parity, characters `0x20 ..= 0x5F`: track 1.
    Alphanumeric,
    /// 4 bits and parity, characters `0x30 ..= 0x3F`: tracks 2 and 3.
    Numeric,
}

/// A track of the stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrackNumber {
    /// Track 1 (IATA): alphanumeric, 210 bits per inch, 79 characters.
    One,
    /// Track 2 (ABA): numeric, 75 bits per inch, 40 characters.
    Two,
    /// Track 3 (THRIFT): numeric, 210 bits per inch, 107 characters.
    Three,
}

impl Alphabet {
    /// Bits of one character, its parity bit included: 7 or 5.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::Alphanumeric => 7,
            Self::Numeric => 5,
        }
    }

    /// The start sentinel: `%` or `;`.
    #[must_use]
    pub const fn start_sentinel(self) -> u8 {
        match self {
            Self::Alphanumeric => b'%',
            Self::Numeric => b';',
        }
    }

    /// The end sentinel, `?` in both sets.
    #[must_use]
    pub const fn end_sentinel(self) -> u8 {
        b'?'
    }

    /// The field separator: `^` or `=`.
    #[must_use]
    pub const fn separator(self) -> u8 {
        match self {
            Self::Alphanumeric => b'^',
            Self::Numeric => b'=',
        }
    }

    /// The code of an ASCII character with its odd parity bit on top, or `None` if the set lacks it.
    #[must_use]
    pub fn encode(self, character: u8) -> Option<u8> {
        let value = character.checked_sub(self.base())?;
        (value <= self.mask()).then(|| self.with_parity(value))
    }

    /// The ASCII character of a code, or `None` if its parity is even or it has bits beyond [`width`](Self::width).
    #[must_use]
    pub fn decode(self, code: u8) -> Option<u8> {
        let value = code & self.mask();
        (self.with_parity(value) == code).then(|| value.wrapping_add(self.base()))
    }

    /// The ASCII character of a code's value bits, whatever its parity.
    pub(crate) const fn character(self, code: u8) -> u8 {
        (code & self.mask()).wrapping_add(self.base())
    }

    /// A value with its own odd parity bit on top (used for characters and for the LRC).
    pub(crate) const fn with_parity(self, value: u8) -> u8 {
        if is_odd(value) {
            value
        } else {
            value | self.mask().wrapping_add(1)
        }
    }

    /// For each code the character it is as data, 0 for even parity and for the sentinels.
    pub(crate) const fn data_characters(self) -> &'static [u8; 128] {
        match self {
            Self::Alphanumeric => &ALPHANUMERIC_DATA,
            Self::Numeric => &NUMERIC_DATA,
        }
    }

    /// The value bits: `0x3F` or `0x0F`.
    pub(crate) const fn mask(self) -> u8 {
        match self {
            Self::Alphanumeric => 0x3F,
            Self::Numeric => 0x0F,
        }
    }

    const fn base(self) -> u8 {
        match self {
            Self::Alphanumeric => 0x20,
            Self::Numeric => 0x30,
        }
    }
}

impl TrackNumber {
    /// The track's character set.
    #[must_use]
    pub const fn alphabet(self) -> Alphabet {
        match self {
            Self::One => Alphabet::Alphanumeric,
            Self::Two | Self::Three => Alphabet::Numeric,
        }
    }

    /// Recording density in bits per inch of 25.4 mm (ISO/IEC 7811-2, 7811-6).
    #[must_use]
    pub const fn bits_per_inch(self) -> u32 {
        match self {
            Self::One | Self::Three => 210,
            Self::Two => 75,
        }
    }

    /// The most characters of the track, counting both sentinels and the LRC.
    #[must_use]
    pub const fn max_characters(self) -> usize {
        match self {
            Self::One => 79,
            Self::Two => 40,
            Self::Three => 107,
        }
    }
}

static ALPHANUMERIC_DATA: [u8; 128] = data_characters(Alphabet::Alphanumeric);
static NUMERIC_DATA: [u8; 128] = data_characters(Alphabet::Numeric);

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "worked out by the compiler, which would refuse to go out of bounds"
)]
const fn data_characters(set: Alphabet) -> [u8; 128] {
    let mut table = [0; 128];
    let mut value = 0;
    while value <= set.mask() {
        let character = set.character(value);
        if character != set.start_sentinel() && character != set.end_sentinel() {
            table[set.with_parity(value) as usize] = character;
        }
        value = value.wrapping_add(1);
    }
    table
}

/// Whether a code has an odd number of ones.
pub(crate) const fn is_odd(code: u8) -> bool {
    !code.count_ones().is_multiple_of(2)
}
