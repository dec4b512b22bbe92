//! Typed messages over frames.
//!
//! Each message is one table of fields, from which its type, its reader, its writer and its part of `docs/protocol.md`
//! come. Reading refuses what is missing, malformed, contradictory, or critical and unknown; other unknown fields are
//! kept in `extra` and written again in their places.
//!
//! ```
//! use tr_protocol::frame::Frame;
//! use tr_protocol::message::{Message, SignOnAnswer};
//! use tr_protocol::value::*;
//!
//! // Written, signed and finished:
//! let answer = SignOnAnswer {
//!     currency: Currency::new("USD").unwrap(),
//!     digest: Digest([7; 32]),
//!     low_water: TransactionId::new(1).unwrap(),
//!     re: TransactionId::new(41).unwrap(),
//!     shop: Text::new("Café Zola").unwrap(),
//!     time: Time::from_text("2026-11-21T12:00:00Z").unwrap(),
//!     extra: Default::default(),
//! };
//! let mut buffer = [0; 1024];
//! let signing = answer.encode(&mut buffer)?.sign(&Digest([9; 32]))?;
//! let signature = sign(signing.message());
//! let frame = signing.append(&signature)?.finish()?;
//!
//! // Received: frame, then message, then (elsewhere) the signature.
//! let frame = Frame::parse_exact(frame.as_bytes())?;
//! let read = SignOnAnswer::parse(&frame)?;
//! assert_eq!(read, answer);
//! let by = frame.signature(1).unwrap();
//! assert_eq!(by.certificate, Digest([9; 32]));
//! assert!(by.signed.ends_with(b"."));
//! # fn sign(_: &[u8]) -> [u8; 64] { [1; 64] }
//! # Ok::<(), tr_protocol::Error>(())
//! ```

use core::fmt;
use core::ops::RangeInclusive;

use crate::error::{Error, ErrorKind};
use crate::frame::{Encoder, Field, Fields, Frame, Key, Kind, MAX_INNER};
use crate::value::Value;

mod inner;
mod link;
mod outer;

pub use inner::{
    Authorise, AuthoriseAnswer, Balance, BalanceAnswer, BalanceOutcome, Card, Inner, Reversal, ReversalAnswer,
    ReversalReason, ReversalResult, SignOn, SignOnAnswer, State, Status, StatusAnswer, rule,
};
pub use link::{Class, Closed, Link, Opened, Via};
pub use outer::{Authenticate, AuthenticateAnswer, Enrol, EnrolAnswer, ErrorAnswer, ErrorCode, Outer, Sealed, Step};

/// A message: what it is called, what it holds, how it is read and written.
pub trait Message<'a>: Sized {
    /// The kind of its frame.
    const KIND: Kind;
    /// The verb of its frame.
    const VERB: &'static str;
    /// Its fields, in their order.
    const FIELDS: &'static [FieldSpec];
    /// How many signatures it has.
    const SIGNATURES: RangeInclusive<usize>;

    /// Reads the message from a frame.
    ///
    /// # Errors
    ///
    /// What is wrong, with the offset and the key.
    fn parse(frame: &Frame<'a>) -> Result<Self, Error>;

    /// Writes the message, up to its signatures.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRoom`], or [`ErrorKind::Inconsistent`] with the key if fields contradict each other; a message
    /// that was read is never inconsistent.
    fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<Encoder<'b>, Error>;
}

/// One row of a message's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// The key, with its `!` if the field is critical.
    pub key: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// The type of its value.
    pub value: &'static str,
    /// The words that the value can be, if its type is a closed list.
    pub words: &'static [&'static str],
    /// What it means.
    pub meaning: &'static str,
}

impl FieldSpec {
    fn name(&self) -> &'static str {
        self.key.strip_prefix('!').unwrap_or(self.key)
    }
}

/// The fields of a message that it does not know, none of them critical.
#[derive(Clone)]
pub struct Extra<'a> {
    fields: Fields<'a>,
    known: &'static [FieldSpec],
}

impl<'a> Extra<'a> {
    /// The fields, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'a>> {
        let known = self.known;
        self.fields
            .clone()
            .filter(move |field| known.iter().all(|spec| spec.name() != field.name))
    }

    /// The value of one of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|field| field.name == name).map(|field| field.value)
    }
}

impl Default for Extra<'_> {
    fn default() -> Self {
        Self {
            fields: Fields::EMPTY,
            known: &[],
        }
    }
}

impl PartialEq for Extra<'_> {
    fn eq(&self, other: &Self) -> bool {
        let texts = |field: Field<'_>| (field.name.len(), field.value.len());
        self.iter().map(texts).eq(other.iter().map(texts))
            && self
                .iter()
                .zip(other.iter())
                .all(|(a, b)| a.name == b.name && a.value == b.value)
    }
}

impl Eq for Extra<'_> {}

impl fmt::Debug for Extra<'_> {
    /// Shows no value: it may be a card's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What a sealed frame carries: one command or information and, if it needs one, the data beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The `C` or `I` frame.
    pub message: Frame<'a>,
    /// The `D` frame after it.
    pub data: Option<Frame<'a>>,
}

impl<'a> Payload<'a> {
    /// Splits what was opened. Offsets in errors count from the start of the payload.
    ///
    /// # Errors
    ///
    /// A fault of a frame; [`ErrorKind::BadKind`] if the frames are not of these kinds in this order;
    /// [`ErrorKind::TrailingOctets`] after the second; [`ErrorKind::FrameTooLong`] beyond
    /// [`MAX_INNER`] octets.
    pub fn parse(opened: &'a [u8]) -> Result<Self, Error> {
        if opened.len() > MAX_INNER {
            return Err(Error::new(ErrorKind::FrameTooLong, MAX_INNER));
        }
        let (message, rest) = Frame::parse(opened)?;
        if message.kind() == Kind::Data {
            return Err(Error::new(ErrorKind::BadKind, 4));
        }
        if rest.is_empty() {
            return Ok(Self { message, data: None });
        }
        let start = message.as_bytes().len();
        let shift = |error: Error| Error {
            offset: error.offset.saturating_add(start),
            ..error
        };
        let data = Frame::parse_exact(rest).map_err(shift)?;
        if data.kind() != Kind::Data {
            return Err(shift(Error::new(ErrorKind::BadKind, 4)));
        }
        Ok(Self {
            message,
            data: Some(data),
        })
    }
}

/// What every generated reader begins with.
fn begin<'a, M: Message<'a>>(frame: &Frame<'a>) -> Result<(), Error> {
    if frame.kind() != M::KIND || frame.verb() != M::VERB {
        return Err(Error::new(ErrorKind::WrongVerb { expected: M::KIND }, 4));
    }
    let (count, at) = (frame.signature_count(), frame.before_signatures().len());
    match M::SIGNATURES {
        range if count < *range.start() => Err(Error::new(ErrorKind::MissingSignature { needed: *range.start() }, at)),
        range if count > *range.end() => Err(Error::new(ErrorKind::UnexpectedSignature { allowed: *range.end() }, at)),
        _ => Ok(()),
    }
}

/// Reads the value of a known field.
fn read<'a, T: Value<'a>>(field: &Field<'a>, key: &str) -> Result<T, Error> {
    if field.critical != key.starts_with('!') {
        return Err(Error::in_field(ErrorKind::CriticalSpelling, field.offset, field.key()));
    }
    T::from_text(field.value).map_err(|kind| Error::in_field(kind, field.value_offset(), field.key()))
}

/// Accepts a field that the message does not know, unless it is critical.
fn unknown(field: &Field<'_>) -> Result<(), Error> {
    match field.critical {
        true => Err(Error::in_field(ErrorKind::UnknownCritical, field.offset, field.key())),
        false => Ok(()),
    }
}

/// The place where a field is missing: before the first greater name.
fn missing(frame: &Frame<'_>, kind: ErrorKind, key: &str) -> Error {
    let name = key.strip_prefix('!').unwrap_or(key);
    let at = frame
        .fields()
        .find(|field| field.name >= name)
        .map(|field| field.offset);
    Error::in_field(kind, at.unwrap_or(frame.before_signatures().len()), Key::new(key))
}

/// Writes the unknown fields that stand before `name`, or all that are left.
fn write_extra<'a>(
    extra: &mut core::iter::Peekable<impl Iterator<Item = Field<'a>>>,
    before: Option<&str>,
    encoder: &mut Encoder<'_>,
) -> Result<(), Error> {
    while let Some(field) = extra.next_if(|field| before.is_none_or(|name| field.name < name)) {
        encoder.field(field.name, field.value)?;
    }
    Ok(())
}

/// Defines a message by its table of fields.
macro_rules! message {
    (
        $(#[$doc:meta])*
        $name:ident = $kind:ident $verb:literal, signatures $signatures:expr, check $check:expr;
        $( $key:literal $field:ident: $presence:ident $type:ty, $meaning:literal; )*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name<'a> {
            $(
                #[doc = $meaning]
                pub $field: message!(@type $presence $type),
            )*
            /// The fields that are not known.
            pub extra: $crate::message::Extra<'a>,
        }

        impl<'a> $crate::message::Message<'a> for $name<'a> {
            const KIND: $crate::frame::Kind = $crate::frame::Kind::$kind;
            const VERB: &'static str = $verb;
            const FIELDS: &'static [$crate::message::FieldSpec] = &[$(
                $crate::message::FieldSpec {
                    key: $key,
                    required: message!(@required $presence),
                    value: <$type as $crate::value::Value<'a>>::TYPE,
                    words: <$type as $crate::value::Value<'a>>::WORDS,
                    meaning: $meaning,
                },
            )*];
            const SIGNATURES: core::ops::RangeInclusive<usize> = $signatures;

            fn parse(frame: &$crate::frame::Frame<'a>) -> Result<Self, $crate::Error> {
                $crate::message::begin::<Self>(frame)?;
                $( let mut $field: Option<$type> = None; )*
                for field in frame.fields() {
                    match field.name {
                        $( name if name == $crate::message::name_of($key) => {
                            $field = Some($crate::message::read(&field, $key)?);
                        } )*
                        _ => $crate::message::unknown(&field)?,
                    }
                }
                let message = Self {
                    $( $field: message!(@take $presence frame $key $field), )*
                    extra: $crate::message::Extra { fields: frame.fields(), known: Self::FIELDS },
                };
                let check: fn(&Self) -> Result<(), &'static str> = $check;
                check(&message).map_err(|key| {
                    $crate::message::missing(frame, $crate::ErrorKind::Inconsistent, key)
                })?;
                Ok(message)
            }

            fn encode<'b>(
                &self,
                buffer: &'b mut [u8],
            ) -> Result<$crate::frame::Encoder<'b>, $crate::Error> {
                let check: fn(&Self) -> Result<(), &'static str> = $check;
                check(self).map_err(|key| {
                    $crate::Error::in_field($crate::ErrorKind::Inconsistent, 0, $crate::frame::Key::new(key))
                })?;
                let mut encoder = $crate::frame::Encoder::new(buffer, Self::KIND, Self::VERB)?;
                let mut extra = self.extra.iter().peekable();
                $(
                    $crate::message::write_extra(&mut extra, Some($crate::message::name_of($key)), &mut encoder)?;
                    message!(@write $presence encoder $key self.$field);
                )*
                $crate::message::write_extra(&mut extra, None, &mut encoder)?;
                Ok(encoder)
            }
        }
    };
    (@type required $type:ty) => { $type };
    (@type optional $type:ty) => { Option<$type> };
    (@required required) => { true };
    (@required optional) => { false };
    (@take required $frame:ident $key:literal $field:ident) => {
        $field.ok_or_else(|| $crate::message::missing($frame, $crate::ErrorKind::MissingField, $key))?
    };
    (@take optional $frame:ident $key:literal $field:ident) => { $field };
    (@write required $encoder:ident $key:literal $value:expr) => { $encoder.value($key, &$value)?; };
    (@write optional $encoder:ident $key:literal $value:expr) => {
        if let Some(value) = &$value {
            $encoder.value($key, value)?;
        }
    };
}

/// Defines the messages of one layer, and reads whichever comes.
macro_rules! layer {
    ($(#[$doc:meta])* $layer:ident { $( $message:ident, $meaning:literal; )* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(clippy::large_enum_variant, reason = "there is no heap to put the large ones on")]
        pub enum $layer<'a> {
            $(
                #[doc = $meaning]
                $message($message<'a>),
            )*
        }

        impl<'a> $layer<'a> {
            /// Reads the message of a frame.
            ///
            /// # Errors
            ///
            /// [`ErrorKind::UnknownVerb`](crate::ErrorKind::UnknownVerb), or what the message's own reader finds.
            pub fn parse(frame: &$crate::frame::Frame<'a>) -> Result<Self, $crate::Error> {
                use $crate::message::Message;
                match (frame.kind(), frame.verb()) {
                    $( (kind, verb) if kind == $message::KIND && verb == $message::VERB => {
                        $message::parse(frame).map(Self::$message)
                    } )*
                    _ => Err($crate::Error::new($crate::ErrorKind::UnknownVerb, 4)),
                }
            }

            /// Writes the message, up to its signatures.
            ///
            /// # Errors
            ///
            /// As [`Message::encode`](crate::message::Message::encode).
            pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<$crate::frame::Encoder<'b>, $crate::Error> {
                use $crate::message::Message;
                match self {
                    $( Self::$message(message) => message.encode(buffer), )*
                }
            }
        }

        impl $layer<'_> {
            /// Kind, verb, numbers of signatures and fields of every message of the layer.
            pub const MESSAGES: &'static [(
                $crate::frame::Kind,
                &'static str,
                core::ops::RangeInclusive<usize>,
                &'static [$crate::message::FieldSpec],
            )] = {
                use $crate::message::Message;
                &[$( (
                    $message::<'static>::KIND,
                    $message::<'static>::VERB,
                    $message::<'static>::SIGNATURES,
                    $message::<'static>::FIELDS,
                ), )*]
            };
        }
    };
}

pub(crate) use {layer, message};

/// A key without its `!`.
const fn name_of(key: &'static str) -> &'static str {
    match key.as_bytes() {
        [b'!', name @ ..] => match core::str::from_utf8(name) {
            Ok(name) => name,
            Err(_) => key,
        },
        _ => key,
    }
}

/// For messages whose fields cannot contradict each other.
#[allow(clippy::unnecessary_wraps, reason = "it has the signature of a check")]
const fn consistent<T>(_: &T) -> Result<(), &'static str> {
    Ok(())
}
