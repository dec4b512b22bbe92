//! What is wrong with a frame or a message, where, and in which field.

use core::fmt;

use crate::frame::{Key, Kind};

/// An error: what, the byte offset in the frame, and the key if it concerns one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The offset of the first octet that cannot be, or of the place where something is missing.
    pub offset: usize,
    /// The key of the field it concerns.
    pub key: Option<Key>,
}

/// What is wrong. [`ErrorKind::code`] is its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is the beginning of a frame; more octets could complete it.
    Incomplete,
    /// The frame has more than [`MAX_FRAME`](crate::frame::MAX_FRAME) octets.
    FrameTooLong,
    /// There are octets after the frame.
    TrailingOctets,
    /// The frame does not begin with `TR1` and a space.
    BadMagic,
    /// The kind is none of `I`, `D`, `C`, or no space follows it.
    BadKind,
    /// The verb is no name, or no LF follows it.
    BadVerb,
    /// The key is no name, or no `=` follows it.
    BadKey,
    /// A name has more than [`MAX_NAME`](crate::frame::MAX_NAME) octets.
    NameTooLong,
    /// The value is empty.
    EmptyValue,
    /// An octet or character that a value cannot hold: a control, CR, a bidirectional control, a line separator.
    ForbiddenCharacter,
    /// The value is not UTF-8.
    BadUtf8,
    /// The name is not greater than the one before.
    KeyOrder,
    /// More than [`MAX_FIELDS`](crate::frame::MAX_FIELDS) fields.
    TooManyFields,
    /// The signatures are not `~1`, `~2` … in this order, at most `~4`, and last.
    SignatureOrder,
    /// A signature's value is not 43 octets of base64url, `.`, 86 octets of base64url.
    BadSignature,
    /// A signature's r is not in 1 ..= n − 1, or its s not in 1 ..= (n − 1) / 2.
    SignatureRange,
    /// The frame is of another kind or verb than the message.
    WrongVerb {
        /// The kind that the message has.
        expected: Kind,
    },
    /// No message has this kind and verb.
    UnknownVerb,
    /// A required field is missing.
    MissingField,
    /// A critical field that is not known.
    UnknownCritical,
    /// A known field with `!` that has none, or the reverse.
    CriticalSpelling,
    /// The message has too few signatures.
    MissingSignature {
        /// How many it needs.
        needed: usize,
    },
    /// The message has too many signatures.
    UnexpectedSignature {
        /// How many it may have.
        allowed: usize,
    },
    /// The value is no integer in its only spelling.
    BadInteger,
    /// The value is outside its range.
    OutOfRange,
    /// The value is not unpadded base64url with zero pad bits.
    BadBase64,
    /// The value has another length than its field needs.
    BadLength,
    /// The value is no time of the calendar as `YYYY-MM-DDThh:mm:ssZ`.
    BadTime,
    /// The value is no `urn:uuid:` identity in lower case.
    BadIdentity,
    /// The value is no ISO 4217 code.
    BadCurrency,
    /// The value is none of those that its field can have.
    BadChoice,
    /// The value is no name.
    BadToken,
    /// The field contradicts another one, or must be there because of another one.
    Inconsistent,
    /// The caller's buffer is too small.
    NoRoom,
}

impl ErrorKind {
    /// The code on the wire: the value of `code` in `I error`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::FrameTooLong => "frame-too-long",
            Self::TrailingOctets => "trailing-octets",
            Self::BadMagic => "bad-magic",
            Self::BadKind => "bad-kind",
            Self::BadVerb => "bad-verb",
            Self::BadKey => "bad-key",
            Self::NameTooLong => "name-too-long",
            Self::EmptyValue => "empty-value",
            Self::ForbiddenCharacter => "bad-character",
            Self::BadUtf8 => "bad-utf8",
            Self::KeyOrder => "key-order",
            Self::TooManyFields => "too-many-fields",
            Self::SignatureOrder => "signature-order",
            Self::BadSignature => "bad-signature",
            Self::SignatureRange => "signature-range",
            Self::WrongVerb { .. } => "wrong-verb",
            Self::UnknownVerb => "unknown-verb",
            Self::MissingField => "missing-field",
            Self::UnknownCritical => "unknown-field",
            Self::CriticalSpelling => "field-spelling",
            Self::MissingSignature { .. } => "no-signature",
            Self::UnexpectedSignature { .. } => "more-signatures",
            Self::BadInteger => "bad-integer",
            Self::OutOfRange => "out-of-range",
            Self::BadBase64 => "bad-base64",
            Self::BadLength => "bad-length",
            Self::BadTime => "bad-time",
            Self::BadIdentity => "bad-identity",
            Self::BadCurrency => "bad-currency",
            Self::BadChoice => "bad-choice",
            Self::BadToken => "bad-token",
            Self::Inconsistent => "inconsistent",
            Self::NoRoom => "no-room",
        }
    }
}

impl Error {
    pub(crate) const fn new(kind: ErrorKind, offset: usize) -> Self {
        Self {
            kind,
            offset,
            key: None,
        }
    }

    pub(crate) const fn in_field(kind: ErrorKind, offset: usize, key: Key) -> Self {
        Self {
            kind,
            offset,
            key: Some(key),
        }
    }

    /// Whether more octets could make a frame of the input.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        matches!(self.kind, ErrorKind::Incomplete)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.kind, self.offset)?;
        match &self.key {
            Some(key) => write!(f, " in field {key}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())?;
        match self {
            Self::WrongVerb { expected } => write!(f, ", kind {expected} expected"),
            Self::MissingSignature { needed } => write!(f, ", {needed} needed"),
            Self::UnexpectedSignature { allowed } => write!(f, ", {allowed} allowed"),
            _ => Ok(()),
        }
    }
}

impl core::error::Error for Error {}

impl core::error::Error for ErrorKind {}
