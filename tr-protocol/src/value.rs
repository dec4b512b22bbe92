//! The values that travel in fields, each a type that can only hold what may be sent.

use core::fmt;
use core::num::NonZeroU64;

use crate::base64;
use crate::error::ErrorKind;
use crate::frame::{Sink, check_text, is_name};

mod time;

pub use time::Time;

/// Octets of the longest [`Text`]: it is shown on a terminal's screen, or is a track (at most 107 characters).
pub const MAX_TEXT: usize = 200;

/// A value of a field: read from its one spelling, written in it.
///
/// Only this crate implements it, so what is written needs no second check.
pub trait Value<'a>: sealed::Codec<'a> {
    /// The type's name in the field tables of `docs/protocol.md`.
    const TYPE: &'static str;

    /// The words that it can be, if it is one of a closed list.
    const WORDS: &'static [&'static str] = &[];

    /// Reads the value.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn from_text(text: &'a str) -> Result<Self, ErrorKind> {
        Self::read(text)
    }
}

pub(crate) mod sealed {
    use super::{ErrorKind, Sink};

    pub trait Codec<'a>: Sized {
        fn read(text: &'a str) -> Result<Self, ErrorKind>;
        fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind>;
    }
}

use sealed::Codec;

/// A transaction id: the terminal's own counter, which never goes back.
///
/// `1 ..= 2^63 - 1`, so that it fits a signed 64-bit column of any database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(NonZeroU64);

impl TransactionId {
    /// The smallest id.
    pub const MIN: Self = Self(NonZeroU64::MIN);
    /// The largest id.
    pub const MAX: Self = match NonZeroU64::new(i64::MAX.unsigned_abs()) {
        Some(max) => Self(max),
        None => Self::MIN,
    };

    /// `None` if `id` is zero or above [`Self::MAX`].
    #[must_use]
    pub const fn new(id: u64) -> Option<Self> {
        match NonZeroU64::new(id) {
            Some(valid) if id <= Self::MAX.get() => Some(Self(valid)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The id that follows, `None` after the last.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.get().checked_add(1) {
            Some(next) => Self::new(next),
            None => None,
        }
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl<'a> Codec<'a> for TransactionId {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        Self::new(read_integer(text)?).ok_or(ErrorKind::OutOfRange)
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        write_integer(self.get(), out)
    }
}

impl Value<'_> for TransactionId {
    const TYPE: &'static str = "id";
}

/// A SHA-256 digest: of a request's bytes before its signatures, of a certificate, of a salted value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

impl<'a> Codec<'a> for Digest {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        match base64::decode_array(text.as_bytes()) {
            Some(digest) => Ok(Self(digest)),
            None if base64::is_canonical(text.as_bytes()) => Err(ErrorKind::BadLength),
            None => Err(ErrorKind::BadBase64),
        }
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        out.push_base64(&self.0)
    }
}

impl Value<'_> for Digest {
    const TYPE: &'static str = "digest";
}

/// A number, `0 ..= 2^63 - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(u64);

impl Number {
    /// The largest number.
    pub const MAX: u64 = i64::MAX.unsigned_abs();

    /// `None` if it is above [`Self::MAX`].
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MAX { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<'a> Codec<'a> for Number {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        read_integer(text).map(Self)
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        write_integer(self.0, out)
    }
}

impl Value<'_> for Number {
    const TYPE: &'static str = "number";
}

/// An amount of money in minor units of the currency beside it, `0 ..= 2^63 - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// `None` if it does not fit a signed 64-bit integer.
    #[must_use]
    pub const fn new(minor_units: u64) -> Option<Self> {
        if minor_units <= Number::MAX {
            Some(Self(minor_units))
        } else {
            None
        }
    }

    /// The minor units.
    #[must_use]
    pub const fn minor_units(self) -> u64 {
        self.0
    }
}

impl<'a> Codec<'a> for Amount {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        read_integer(text).map(Self)
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        write_integer(self.0, out)
    }
}

impl Value<'_> for Amount {
    const TYPE: &'static str = "amount";
}

/// An ISO 4217 alphabetic code. That the code is assigned is the programme's to know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// `None` if it is not three letters `A-Z`.
    #[must_use]
    pub fn new(code: &str) -> Option<Self> {
        let letters: [u8; 3] = code.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'a> Codec<'a> for Currency {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        Self::new(text).ok_or(ErrorKind::BadCurrency)
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        out.push(&self.0)
    }
}

impl Value<'_> for Currency {
    const TYPE: &'static str = "currency";
}

/// The code of an approval, which a cashier can read out: six of `A-Z` and `0-9`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApprovalCode([u8; 6]);

impl ApprovalCode {
    /// `None` if an octet is neither `A-Z` nor `0-9`.
    #[must_use]
    pub fn new(code: [u8; 6]) -> Option<Self> {
        code.iter()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
            .then_some(Self(code))
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for ApprovalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'a> Codec<'a> for ApprovalCode {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        let code = text.as_bytes().try_into().map_err(|_| ErrorKind::BadLength)?;
        Self::new(code).ok_or(ErrorKind::BadChoice)
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        out.push(&self.0)
    }
}

impl Value<'_> for ApprovalCode {
    const TYPE: &'static str = "approval code";
}

/// The identity in a certificate: its `urn:uuid:` name (RFC 9562), lower case. It outlives a certificate's renewal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity([u8; 16]);

impl Identity {
    /// Octets of the text: `urn:uuid:` and 36 more.
    pub const TEXT: usize = 45;

    /// The identity of these sixteen octets.
    #[must_use]
    pub const fn from_uuid(uuid: [u8; 16]) -> Self {
        Self(uuid)
    }

    /// The sixteen octets.
    #[must_use]
    pub const fn uuid(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the text.
    #[must_use]
    pub fn from_urn(text: &str) -> Option<Self> {
        let text: &[u8; Self::TEXT] = text.as_bytes().try_into().ok()?;
        let mut uuid = [0; 16];
        let mut digits = text.iter().skip(9).filter(|&&c| c != b'-');
        for octet in &mut uuid {
            let (high, low) = (hex_digit(*digits.next()?)?, hex_digit(*digits.next()?)?);
            *octet = high << 4 | low;
        }
        // The one text of these octets is the only one accepted: it puts every hyphen where it belongs.
        (Self(uuid).to_urn() == *text).then_some(Self(uuid))
    }

    /// Writes the text.
    #[must_use]
    pub fn to_urn(&self) -> [u8; Self::TEXT] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"urn:uuid:xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
        let digits = self.0.iter().flat_map(|octet| [octet >> 4, octet & 15]);
        for (slot, digit) in text.iter_mut().filter(|c| **c == b'x').zip(digits) {
            *slot = HEX.get(usize::from(digit)).copied().unwrap_or_default();
        }
        text
    }
}

const fn hex_digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(character.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.to_urn()).unwrap_or_default())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> Codec<'a> for Identity {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        Self::from_urn(text).ok_or(ErrorKind::BadIdentity)
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        out.push(&self.to_urn())
    }
}

impl Value<'_> for Identity {
    const TYPE: &'static str = "identity";
}

impl<'a> Codec<'a> for Time {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        Self::from_text(text).ok_or(ErrorKind::BadTime)
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        out.push(&self.to_text())
    }
}

impl Value<'_> for Time {
    const TYPE: &'static str = "time";
}

impl<'a> Codec<'a> for bool {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        match text {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(ErrorKind::BadChoice),
        }
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        out.push(if *self { b"yes" } else { b"no" })
    }
}

impl Value<'_> for bool {
    const TYPE: &'static str = "answer";
    const WORDS: &'static [&'static str] = &["yes", "no"];
}

/// Text for people, `1 ..= 200` octets of what a value can hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Checks the text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::EmptyValue`], [`ErrorKind::ForbiddenCharacter`] or [`ErrorKind::BadLength`].
    pub fn new(text: &'a str) -> Result<Self, ErrorKind> {
        check_text(text.as_bytes()).map_err(|(kind, _)| kind)?;
        if text.len() > MAX_TEXT {
            return Err(ErrorKind::BadLength);
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

impl<'a> Codec<'a> for Text<'a> {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        Self::new(text)
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        out.push(self.0.as_bytes())
    }
}

impl<'a> Value<'a> for Text<'a> {
    const TYPE: &'static str = "text";
}

/// A word of an open list: the grammar of a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token<'a>(&'a str);

impl<'a> Token<'a> {
    /// `None` if the word is no name.
    #[must_use]
    pub fn new(word: &'a str) -> Option<Self> {
        is_name(word.as_bytes()).then_some(Self(word))
    }

    /// A word of a list of this crate, all of which are names (a test sees to it).
    pub(crate) const fn known(word: &'a str) -> Self {
        Self(word)
    }

    /// The word.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<'a> Codec<'a> for Token<'a> {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        Self::new(text).ok_or(ErrorKind::BadToken)
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        out.push(self.0.as_bytes())
    }
}

impl<'a> Value<'a> for Token<'a> {
    const TYPE: &'static str = "token";
}

/// Octets, at least one: raw before they are sent, base64url after they came.
#[derive(Clone, Copy)]
pub struct Binary<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Raw(&'a [u8]),
    Encoded(&'a str),
}

impl<'a> Binary<'a> {
    /// Octets to send; `None` if there are none.
    #[must_use]
    pub const fn new(octets: &'a [u8]) -> Option<Self> {
        if octets.is_empty() {
            None
        } else {
            Some(Self(Form::Raw(octets)))
        }
    }

    /// How many octets it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.0 {
            Form::Raw(octets) => octets.len(),
            Form::Encoded(text) => base64::decoded_len(text.len()),
        }
    }

    /// Never.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the octets to the start of `out` and gives them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRoom`] if `out` has fewer than [`Self::len`] octets.
    pub fn octets<'o>(&self, out: &'o mut [u8]) -> Result<&'o [u8], ErrorKind> {
        match self.0 {
            Form::Encoded(text) => base64::decode(text, out).ok_or(ErrorKind::NoRoom),
            Form::Raw(octets) => {
                let (place, _) = out.split_at_mut_checked(octets.len()).ok_or(ErrorKind::NoRoom)?;
                place.copy_from_slice(octets);
                Ok(place)
            }
        }
    }

    /// Octets of a fixed length; `None` if it is another one.
    #[must_use]
    pub fn array<const N: usize>(&self) -> Option<[u8; N]> {
        match self.0 {
            Form::Raw(octets) => octets.try_into().ok(),
            Form::Encoded(text) => {
                let mut out = [0; N];
                (base64::decode(text, &mut out)?.len() == N).then_some(out)
            }
        }
    }

    /// Twelve octets at a time from the first, the same whatever the form.
    fn chunk(&self, n: usize) -> Option<([u8; 12], usize)> {
        let mut chunk = [0; 12];
        let len = match self.0 {
            Form::Raw(octets) => {
                let part = octets.chunks(12).nth(n)?;
                chunk.get_mut(..part.len())?.copy_from_slice(part);
                part.len()
            }
            Form::Encoded(text) => {
                let part = text.as_bytes().chunks(16).nth(n)?;
                base64::decode(core::str::from_utf8(part).ok()?, &mut chunk)?.len()
            }
        };
        Some((chunk, len))
    }
}

impl PartialEq for Binary<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Form::Raw(a), Form::Raw(b)) => a == b,
            (Form::Encoded(a), Form::Encoded(b)) => a == b,
            _ => self.len() == other.len() && (0..=self.len() / 12).all(|n| self.chunk(n) == other.chunk(n)),
        }
    }
}

impl Eq for Binary<'_> {}

impl fmt::Debug for Binary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets", self.len())
    }
}

impl<'a> Codec<'a> for Binary<'a> {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        if text.is_empty() || !base64::is_canonical(text.as_bytes()) {
            return Err(ErrorKind::BadBase64);
        }
        Ok(Self(Form::Encoded(text)))
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        match self.0 {
            Form::Raw(octets) => out.push_base64(octets),
            Form::Encoded(text) => out.push(text.as_bytes()),
        }
    }
}

impl<'a> Value<'a> for Binary<'a> {
    const TYPE: &'static str = "octets";
}

/// A value that is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides the value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, in clear.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'a, T: Value<'a>> Codec<'a> for Secret<T> {
    fn read(text: &'a str) -> Result<Self, ErrorKind> {
        T::read(text).map(Self)
    }

    fn write(&self, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
        self.0.write(out)
    }
}

impl<'a, T: Value<'a>> Value<'a> for Secret<T> {
    const TYPE: &'static str = T::TYPE;
    const WORDS: &'static [&'static str] = T::WORDS;
}

/// An integer in its one spelling: `0`, or digits without a leading zero, at most 2^63 - 1.
fn read_integer(text: &str) -> Result<u64, ErrorKind> {
    let digits = text.as_bytes();
    let canonical = match digits {
        [] | [b'0', _, ..] => false,
        _ => digits.iter().all(u8::is_ascii_digit),
    };
    if !canonical {
        return Err(ErrorKind::BadInteger);
    }
    match text.parse() {
        Ok(number) if number <= Number::MAX => Ok(number),
        _ => Err(ErrorKind::OutOfRange),
    }
}

fn write_integer(number: u64, out: &mut Sink<'_>) -> Result<(), ErrorKind> {
    let mut digits = [0; 20];
    let mut rest = number;
    let mut start = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = u8::try_from(rest % 10).unwrap_or_default().wrapping_add(b'0');
        rest /= 10;
        start = start.saturating_sub(1);
        if rest == 0 {
            break;
        }
    }
    out.push(digits.get(start..).unwrap_or_default())
}

/// A closed list of words.
macro_rules! choice {
    ($type:ty, $name:literal, $($variant:ident = $word:literal),+ $(,)?) => {
        impl<'a> $crate::value::sealed::Codec<'a> for $type {
            fn read(text: &'a str) -> Result<Self, $crate::ErrorKind> {
                match text {
                    $($word => Ok(<$type>::$variant),)+
                    _ => Err($crate::ErrorKind::BadChoice),
                }
            }

            fn write(&self, out: &mut $crate::frame::Sink<'_>) -> Result<(), $crate::ErrorKind> {
                out.push(self.as_str().as_bytes())
            }
        }

        impl $crate::value::Value<'_> for $type {
            const TYPE: &'static str = $name;
            const WORDS: &'static [&'static str] = Self::LIST;
        }

        impl $type {
            /// Every word of the list, in its order.
            pub const LIST: &'static [&'static str] = &[$($word),+];

            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(<$type>::$variant => $word,)+
                }
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use choice;
