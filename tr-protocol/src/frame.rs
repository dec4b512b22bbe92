//! Frames: the grammar, parsed without a copy and written into the caller's buffer.
//!
//! ```text
//! frame = "TR1" SP kind SP verb LF *( key "=" value LF ) LF
//! ```
//!
//! A [`Frame`] that exists is canonical: its bytes are the only ones that say what it says.
//!
//! ```
//! use tr_protocol::frame::{Encoder, Frame, Kind};
//!
//! let mut buffer = [0; 256];
//! let mut encoder = Encoder::new(&mut buffer, Kind::Information, "sign-on")?;
//! encoder.field("shop", "Café Zola")?;
//! encoder.critical("tip-limit", "10")?;
//! let written = encoder.finish()?;
//!
//! let bytes = "TR1 I sign-on\nshop=Café Zola\n!tip-limit=10\n\n".as_bytes();
//! assert_eq!(written.as_bytes(), bytes);
//! let (read, rest) = Frame::parse(bytes)?;
//! assert!(rest.is_empty());
//! assert_eq!(read.get("shop").unwrap().value, "Café Zola");
//! # Ok::<(), tr_protocol::Error>(())
//! ```

use core::fmt;

use crate::error::Error;
use crate::signature::{self, Signature};

mod encode;
mod parse;
mod scan;

pub use encode::{Encoder, Signing};
pub use scan::Scanner;

pub(crate) use encode::Sink;
pub(crate) use parse::{check_text, is_name};

/// Octets of the largest frame, its blank line included.
///
/// An enrolment answer carries three certificates of some 650 octets by value (2,600 octets of base64url); an
/// authentication message a chain of two; a sealed frame a command with a basket of forty items. All fit into half of
/// it, and a board with 64 KB of RAM affords one buffer for each direction.
pub const MAX_FRAME: usize = 8192;

/// Octets of inner frames that one sealed frame can carry: with a tag of 16 octets they are 8,022 octets of base64url.
pub const MAX_INNER: usize = 6000;

/// Octets of the longest name or verb. Fifteen and a `!` are sixteen, so a key fits four words.
pub const MAX_NAME: usize = 15;

/// Fields of the largest frame, signatures apart: a basket of forty items with four fields each, and forty others.
pub const MAX_FIELDS: usize = 200;

/// Signatures of one frame: cardholder, shop, backend, and one to spare.
pub const MAX_SIGNATURES: usize = 4;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `I`: tells something; answers are of this kind.
    Information,
    /// `D`: carries ciphertext, or what must not be kept.
    Data,
    /// `C`: asks for something to be done.
    Command,
}

impl Kind {
    /// Its letter.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Information => 'I',
            Self::Data => 'D',
            Self::Command => 'C',
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Write::write_char(f, self.letter())
    }
}

/// A key as an error reports it: a name, with its `!` if it has one, or `~1` … `~4`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    octets: [u8; MAX_NAME + 1],
    len: usize,
}

impl Key {
    /// Keeps the first sixteen octets, which is all that a key can have.
    pub(crate) fn new(text: &str) -> Self {
        let mut octets = [0; MAX_NAME + 1];
        let mut len = 0;
        for (slot, &octet) in octets
            .iter_mut()
            .zip(text.as_bytes())
            .take_while(|(_, octet)| octet.is_ascii())
        {
            *slot = octet;
            len = usize::saturating_add(len, 1);
        }
        Self { octets, len }
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let octets = self.octets.get(..self.len).unwrap_or_default();
        core::str::from_utf8(octets).unwrap_or_default()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// One field of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Whether the key has a `!`: who does not know it must refuse the frame.
    pub critical: bool,
    /// The name, without `!`.
    pub name: &'a str,
    /// The value, never empty.
    pub value: &'a str,
    /// The offset of the key in the frame.
    pub offset: usize,
}

impl Field<'_> {
    /// The offset of the value in the frame.
    #[must_use]
    pub const fn value_offset(&self) -> usize {
        let key = if self.critical { 2 } else { 1_usize };
        self.offset.saturating_add(self.name.len()).saturating_add(key)
    }

    pub(crate) fn key(&self) -> Key {
        let mut key = Key::new(self.name);
        if self.critical {
            key.octets.rotate_right(1);
            if let Some(first) = key.octets.first_mut() {
                *first = b'!';
            }
            key.len = key.len.saturating_add(1);
        }
        key
    }
}

impl fmt::Debug for Field<'_> {
    /// Shows no value: it may be a card's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.value.len();
        write!(f, "{}: {octets} octets at {}", self.key(), self.value_offset())
    }
}

/// A canonical frame, borrowed from the bytes it was parsed from or written to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    text: &'a str,
    kind: Kind,
    verb: &'a str,
    /// The offset of the first field.
    fields: usize,
    /// The offset of `~1`, or of the blank line if there is none.
    body_end: usize,
    signatures: usize,
}

impl<'a> Frame<'a> {
    /// Parses the frame at the start of `input`; gives it and what follows it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Incomplete`](crate::ErrorKind::Incomplete) if `input` is the beginning of a frame, with the offset
    /// where it ends; else what is wrong.
    pub fn parse(input: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        parse::frame(input)
    }

    /// Parses `input` as one frame and nothing else.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`], and [`ErrorKind::TrailingOctets`](crate::ErrorKind::TrailingOctets).
    pub fn parse_exact(input: &'a [u8]) -> Result<Self, Error> {
        let (frame, rest) = Self::parse(input)?;
        match rest {
            [] => Ok(frame),
            _ => Err(Error::new(crate::ErrorKind::TrailingOctets, frame.text.len())),
        }
    }

    /// The frame's bytes, verbatim.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The frame's text, verbatim.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its verb.
    #[must_use]
    pub const fn verb(&self) -> &'a str {
        self.verb
    }

    /// Its fields in their order, signatures apart.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        Fields {
            rest: self.text.get(self.fields..self.body_end).unwrap_or_default(),
            offset: self.fields,
        }
    }

    /// The field with this name, whether critical or not.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Field<'a>> {
        self.fields().find(|field| field.name == name)
    }

    /// The bytes before `~1`: their SHA-256 is the request's digest, which an answer repeats and which decides whether
    /// a repeat is identical. Without signatures, the bytes before the blank line: signing does not change the digest.
    #[must_use]
    pub fn before_signatures(&self) -> &'a [u8] {
        self.text.as_bytes().get(..self.body_end).unwrap_or_default()
    }

    /// How many signatures it has, `0 ..= 4`.
    #[must_use]
    pub const fn signature_count(&self) -> usize {
        self.signatures
    }

    /// The bytes that `~n` covers: from the start through its `.`. `None` if there is no `~n`.
    #[must_use]
    pub fn signed_part(&self, n: usize) -> Option<&'a [u8]> {
        self.signature(n).map(|signature| signature.signed)
    }

    /// The signature `~n`, `n` from 1. Its range has been checked; verifying it is the caller's.
    #[must_use]
    pub fn signature(&self, n: usize) -> Option<Signature<'a>> {
        if n == 0 || n > self.signatures {
            return None;
        }
        // Each signature's line has the same length: "~n=", the value, LF.
        let line = signature::SIGNATURE_VALUE.saturating_add(4);
        let start = self
            .body_end
            .saturating_add(line.saturating_mul(n.saturating_sub(1)))
            .saturating_add(3);
        let bytes = self.text.as_bytes();
        let value = bytes.get(start..start.saturating_add(signature::SIGNATURE_VALUE))?;
        let (certificate, signature) = signature::read(value).ok()?;
        let signed = bytes.get(..start.saturating_add(44))?;
        Some(Signature {
            certificate,
            signature,
            signed,
        })
    }

    /// All its signatures, from `~1` on.
    pub fn signatures(&self) -> impl Iterator<Item = Signature<'a>> {
        let frame = *self;
        (1..=self.signatures).filter_map(move |n| frame.signature(n))
    }
}

impl fmt::Debug for Frame<'_> {
    /// Shows no value: it may be a card's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.kind, self.verb)?;
        f.debug_list().entries(self.fields()).finish()?;
        write!(f, " {} signatures", self.signatures)
    }
}

/// The fields of a frame, in their order.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a str,
    offset: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let (line, rest) = self.rest.split_once('\n')?;
        let (key, value) = line.split_once('=')?;
        let offset = self.offset;
        self.rest = rest;
        self.offset = offset.saturating_add(line.len()).saturating_add(1);
        let (critical, name) = match key.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, key),
        };
        Some(Field {
            critical,
            name,
            value,
            offset,
        })
    }
}

impl Fields<'static> {
    pub(crate) const EMPTY: Self = Self { rest: "", offset: 0 };
}
