//! What goes into the terminal and what comes out of it.

use core::fmt;

use tr_auth::channel::ChannelError;
use tr_protocol::frame::Frame;
use tr_protocol::message::{ErrorCode, Inner, SignOnAnswer};
use tr_protocol::value::{Amount, Currency, Time};

/// What a sale needs to know. Everything random or measured comes from the shell.
#[derive(Clone, Copy, Debug)]
pub struct Sale<'a> {
    /// The amount to be paid.
    pub amount: Amount,
    /// Its currency.
    pub currency: Currency,
    /// Whether a part of it would be taken.
    pub partial: bool,
    /// The card.
    pub card: Swiped<'a>,
    /// The terminal's time.
    pub time: Time,
}

/// A card as it was read.
#[derive(Clone, Copy)]
pub struct Swiped<'a> {
    /// Track 2, sentinels included.
    pub track: &'a str,
    /// Sixteen fresh random octets.
    pub salt: [u8; 16],
}

impl fmt::Debug for Swiped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Swiped(..)")
    }
}

/// What the shell is to do next.
#[derive(Debug)]
#[must_use]
#[allow(clippy::large_enum_variant, reason = "there is no heap to put the large one on")]
pub enum Output<'a> {
    /// Nothing until something arrives.
    Idle,
    /// Save [`Terminal::memory`](crate::Terminal::memory) durably, then call [`Terminal::saved`](crate::Terminal::saved).
    Save,
    /// Send these octets, all of them, then call [`Terminal::sent`](crate::Terminal::sent); if that fails, [`Terminal::disconnected`](crate::Terminal::disconnected).
    Send(&'a [u8]),
    /// Tell people. An event is given once, save an answer: that is given until [`Terminal::acknowledge`](crate::Terminal::acknowledge), or until a
    /// new session asks for it again.
    Event(Event<'a>),
}

/// What has happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The session is up and the terminal signed on.
    Online(SignOnAnswer<'a>),
    /// The command has its answer, signed by the backend and bound to the command by its digest.
    Answer(Answer<'a>),
    /// The connection is of no more use: open a new one and [`connect`](crate::Terminal::connect). Nothing is lost.
    Dropped(Dropped),
}

/// A command and its answer, both verbatim: the evidence, and the receipt.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The signed command.
    pub command: Frame<'a>,
    /// The signed answer.
    pub answer: Frame<'a>,
    /// The answer, read.
    pub message: Inner<'a>,
}

/// Why a connection was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// A frame was malformed, or its message was.
    Malformed(tr_protocol::Error),
    /// The other side said so, unsigned: worth a new attempt, never an answer.
    Refused(ErrorCode),
    /// A message came that has no place here.
    OutOfPlace,
    /// The handshake failed, with the reason for the log.
    Handshake(tr_auth::Error),
    /// The seal did not open.
    Seal(ChannelError),
    /// The answer is not signed by the backend of this session.
    Unsigned,
    /// The answer belongs to another command, or is none that this command can have.
    OtherCommand,
    /// What came is longer than this terminal keeps.
    TooLong,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "what was received is malformed: {error}"),
            Self::Refused(code) => write!(f, "the network refused: {}", code.as_str()),
            Self::OutOfPlace => f.write_str("a message came that has no place here"),
            Self::Handshake(error) => write!(f, "the handshake failed: {error}"),
            Self::Seal(error) => write!(f, "a sealed message does not open: {error}"),
            Self::Unsigned => f.write_str("the answer is not signed by the backend"),
            Self::OtherCommand => f.write_str("the answer belongs to another command"),
            Self::TooLong => f.write_str("what came is longer than this terminal keeps"),
        }
    }
}

impl core::error::Error for Dropped {}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// The device failed or refused.
    Device(E),
    /// A command still waits for its answer.
    Pending,
    /// There is no command that waits for an answer, or it is none that can be given up so.
    NothingPending,
    /// What was sealed before has not been sent yet.
    Unsent,
    /// The session is not up yet.
    Offline,
    /// The counter has come to its end.
    IdsExhausted,
    /// The terminal's own certificate cannot be read.
    Certificate,
    /// Our side of the handshake failed.
    Handshake(tr_auth::Error),
    /// The card's track is empty, too long, or no text.
    Track,
    /// A message cannot be written: a value is out of range, or it is too long.
    Message(tr_protocol::Error),
    /// The seal failed on our own data.
    Seal(ChannelError),
    /// The command or answer is longer than this terminal keeps.
    TooLong,
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(error) => error.fmt(f),
            Self::Pending => f.write_str("a command still waits for its answer: repeat it first"),
            Self::NothingPending => f.write_str("no command waits that could be given up so"),
            Self::Unsent => f.write_str("what was sealed before has not been sent yet"),
            Self::Offline => f.write_str("the session is not up"),
            Self::IdsExhausted => f.write_str("the terminal's counter has come to its end"),
            Self::Certificate => f.write_str("the terminal's certificate cannot be read: enrol anew"),
            Self::Handshake(error) => write!(f, "handshake: {error}"),
            Self::Track => f.write_str("the card's track is empty, too long, or no text"),
            Self::Message(error) => write!(f, "cannot be written: {error}"),
            Self::Seal(error) => write!(f, "cannot be sealed: {error}"),
            Self::TooLong => f.write_str("longer than this terminal keeps"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for Error<E> {}
