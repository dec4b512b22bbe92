//! The terminal's state machine: handshake, sign-on, one command at a time until its answer is known.
//!
//! The shell around it does four things: it passes received octets to [`Terminal::handle_input`], does what
//! [`Terminal::poll`] says, reports it done, and shows events to people. The machine never asks for anything to be sent
//! before what it depends on has been saved.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use heapless::Vec;
use tr_auth::channel::{ChannelError, DEFAULT_LIMIT, OVERHEAD};
use tr_auth::{Channel, ConnectionId, Crypto, Expected, Identity as Credential, Initiator, WaitMessage2, WaitMessage4};
use tr_hsm::{Device, KeyRef};
use tr_pki::{Certificate, Role, Time as Validity};
use tr_protocol::frame::{Frame, MAX_FRAME, MAX_INNER, Scanner};
use tr_protocol::message::{
    Authenticate, AuthenticateAnswer, Authorise, Balance, Card, ErrorAnswer, ErrorCode, Extra, Inner, Message, Outer,
    Reversal, ReversalReason, Sealed, SignOn, SignOnAnswer, Status, Step,
};
use tr_protocol::value::{Amount, Binary, Currency, Digest, Identity, Number, Secret, Text, Time, TransactionId};

use crate::key::DeviceKey;
use crate::memory::{MAX_CERTIFICATE, MAX_COMMAND, Memory, Pending};

/// Longest signed answer that is taken, in octets.
pub const MAX_ANSWER: usize = 2048;

/// Text shown by `software` in the sign-on.
const SOFTWARE: &str = concat!("tr-terminal ", env!("CARGO_PKG_VERSION"));

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
    /// Save [`Terminal::memory`] durably, then call [`Terminal::saved`].
    Save,
    /// Send these octets, then call [`Terminal::sent`].
    Send(&'a [u8]),
    /// Tell people; the event is given once, save an answer, which stays until [`Terminal::acknowledge`].
    Event(Event<'a>),
}

/// What has happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The session is up and the terminal signed on.
    Online(SignOnAnswer<'a>),
    /// The command has its answer, signed by the backend and bound to the command by its digest.
    Answer(Answer<'a>),
    /// The connection is of no more use: open a new one and [`connect`](Terminal::connect). Nothing is lost.
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
    /// The handshake failed; the device's own errors are given by the call instead.
    Handshake,
    /// The seal did not open.
    Seal(ChannelError),
    /// The answer is not signed by the backend of this session.
    Unsigned,
    /// The answer belongs to another command.
    OtherCommand,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "what was received is malformed: {error}"),
            Self::Refused(code) => write!(f, "the network refused: {}", code.as_str()),
            Self::OutOfPlace => f.write_str("a message came that has no place here"),
            Self::Handshake => f.write_str("the handshake failed: the other side is not the backend, or refused us"),
            Self::Seal(error) => write!(f, "a sealed message does not open: {error}"),
            Self::Unsigned => f.write_str("the answer is not signed by the backend"),
            Self::OtherCommand => f.write_str("the answer belongs to another command"),
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
    /// There is no command that waits for an answer, or it is none that can be given up.
    NothingPending,
    /// The session is not up yet.
    Offline,
    /// The counter has come to its end.
    IdsExhausted,
    /// The terminal's own certificate cannot be read.
    Certificate,
    /// The handshake failed, with the reason for the log.
    Handshake(tr_auth::Error),
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
            Self::NothingPending => f.write_str("no command waits for an answer"),
            Self::Offline => f.write_str("the session is not up"),
            Self::IdsExhausted => f.write_str("the terminal's counter has come to its end"),
            Self::Certificate => f.write_str("the terminal's certificate cannot be read: enrol anew"),
            Self::Handshake(error) => write!(f, "handshake: {error}"),
            Self::Message(error) => write!(f, "cannot be written: {error}"),
            Self::Seal(error) => write!(f, "cannot be sealed: {error}"),
            Self::TooLong => f.write_str("longer than this terminal keeps"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for Error<E> {}

/// A terminal: one identity, one memory, at most one connection.
pub struct Terminal<'d, D: Device, C: Crypto> {
    received: Vec<u8, MAX_FRAME>,
    scanner: Scanner,
    core: Core<'d, D, C>,
}

impl<D: Device, C: Crypto> fmt::Debug for Terminal<'_, D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("memory", &self.core.memory)
            .field("link", &self.core.link)
            .finish_non_exhaustive()
    }
}

struct Core<'d, D: Device, C: Crypto> {
    device: &'d D,
    key: KeyRef,
    crypto: C,
    identity: Identity,
    certificate: Digest,
    memory: Memory,
    link: Link<C>,
    /// Numbers of outer requests; they mean nothing beyond the connection.
    outer_id: TransactionId,
    /// Id and digest of the sign-on that waits for its answer.
    sign_on: Option<(TransactionId, Digest)>,
    /// Whether the pending command has been sent in this session.
    repeated: bool,
    outgoing: Vec<u8, MAX_FRAME>,
    /// The certificate of the backend that the session is with.
    backend: Vec<u8, MAX_CERTIFICATE>,
    /// The verified answer, or the sign-on's.
    answer: Vec<u8, MAX_ANSWER>,
    work: [u8; MAX_INNER + OVERHEAD],
    must_save: bool,
    event: Waiting,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Nothing,
    Online,
    Answer,
    Dropped(Dropped),
}

#[allow(clippy::large_enum_variant, reason = "there is no heap to put the large one on")]
enum Link<C: Crypto> {
    Down,
    Message2(WaitMessage2<C>),
    Message4(WaitMessage4),
    Up(Channel),
}

impl<C: Crypto> fmt::Debug for Link<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Link::Down => "Down",
            Link::Message2(_) => "Message2",
            Link::Message4(_) => "Message4",
            Link::Up(_) => "Up",
        })
    }
}

impl<'d, D: Device, C: Crypto> Terminal<'d, D, C> {
    /// A terminal with its memory, whose identity key is `key` of `device`.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn new(device: &'d D, key: KeyRef, crypto: C, memory: Memory) -> Result<Self, Error<D::Error>> {
        let own = Certificate::parse(memory.certificate()).map_err(|_| Error::Certificate)?;
        let identity = own.uri().and_then(Identity::from_urn).ok_or(Error::Certificate)?;
        let certificate = Digest(crypto.sha256(&[memory.certificate()]));
        Ok(Terminal {
            received: Vec::new(),
            scanner: Scanner::new(),
            core: Core {
                device,
                key,
                crypto,
                identity,
                certificate,
                memory,
                link: Link::Down,
                outer_id: TransactionId::MIN,
                sign_on: None,
                repeated: false,
                outgoing: Vec::new(),
                backend: Vec::new(),
                answer: Vec::new(),
                work: [0; MAX_INNER + OVERHEAD],
                must_save: false,
                event: Waiting::Nothing,
            },
        })
    }

    /// The terminal's identity: the URI of its certificate.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.core.identity
    }

    /// What must survive; save it whenever [`Output::Save`] says so.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.core.memory
    }

    /// Whether the session is up.
    #[must_use]
    pub fn is_online(&self) -> bool {
        matches!(self.core.link, Link::Up(_)) && self.core.sign_on.is_none()
    }

    /// The certificate of the backend that the latest session was with, DER: the receipt's third part.
    #[must_use]
    pub fn backend_certificate(&self) -> &[u8] {
        &self.core.backend
    }

    /// The command that waits for its answer and its D frame, verbatim.
    #[must_use]
    pub fn pending(&self) -> Option<(&[u8], &[u8])> {
        self.core
            .memory
            .pending
            .as_ref()
            .map(|pending| (pending.command.as_slice(), pending.data.as_slice()))
    }

    /// A new connection stands: forgets the old session and begins a handshake. `random` is 32 octets from a good
    /// generator, used for nothing else.
    ///
    /// # Errors
    /// [`Error::Handshake`] when `random` is no scalar (probability below 2⁻³²): give other octets.
    pub fn connect(&mut self, random: &[u8; 32]) -> Result<(), Error<D::Error>> {
        self.received.clear();
        self.scanner = Scanner::new();
        self.core.connect(random)
    }

    /// The connection is gone. The session's keys are erased; a pending command stays pending.
    pub fn disconnected(&mut self) {
        self.received.clear();
        self.scanner = Scanner::new();
        self.core.drop_link();
    }

    /// Prepares a sale. Saved first, then sent, then repeated in every new session until it has its answer.
    ///
    /// # Errors
    /// [`Error::Pending`], [`Error::Message`] when a value cannot be sent, [`Error::TooLong`], [`Error::Device`].
    pub fn authorise(&mut self, sale: &Sale<'_>) -> Result<TransactionId, Error<D::Error>> {
        let core = &mut self.core;
        let id = core.begin()?;
        let command = Authorise {
            amount: sale.amount,
            currency: sale.currency,
            id,
            partial: sale.partial,
            pin_hash: None,
            terminal: core.identity,
            time: sale.time,
            track_hash: core.track_hash(&sale.card),
            extra: Extra::default(),
        };
        core.remember(id, &command, Some(&sale.card))
    }

    /// Prepares the reversal of an earlier sale.
    ///
    /// # Errors
    /// As [`Terminal::authorise`].
    pub fn reverse(
        &mut self,
        original: TransactionId,
        reason: ReversalReason,
        time: Time,
    ) -> Result<TransactionId, Error<D::Error>> {
        let core = &mut self.core;
        let id = core.begin()?;
        let terminal = core.identity;
        let command = Reversal {
            id,
            original,
            reason,
            terminal,
            time,
            extra: Extra::default(),
        };
        core.remember(id, &command, None)
    }

    /// Gives up the pending sale: its reversal takes its place, and card data is erased at once. Whatever became of the
    /// sale, it is undone or never executed.
    ///
    /// # Errors
    /// [`Error::NothingPending`] when no sale is pending, else as [`Terminal::reverse`].
    pub fn cancel(&mut self, reason: ReversalReason, time: Time) -> Result<TransactionId, Error<D::Error>> {
        let core = &mut self.core;
        let pending = core.memory.pending.as_ref().ok_or(Error::NothingPending)?;
        let frame = Frame::parse_exact(&pending.command).map_err(Error::Message)?;
        let Ok(Inner::Authorise(Authorise { id: original, .. })) = Inner::parse(&frame) else {
            return Err(Error::NothingPending);
        };
        core.memory.pending = None;
        core.event = Waiting::Nothing;
        // A sale that is sealed and not sent yet stays here; the seal's window allows for the gap.
        core.outgoing.clear();
        self.reverse(original, reason, time)
    }

    /// Prepares a question for the state of an earlier command. If that was not executed it never will be.
    ///
    /// # Errors
    /// As [`Terminal::authorise`].
    pub fn status(&mut self, original: TransactionId, time: Time) -> Result<TransactionId, Error<D::Error>> {
        let core = &mut self.core;
        let id = core.begin()?;
        let command = Status {
            id,
            original,
            terminal: core.identity,
            time,
            extra: Extra::default(),
        };
        core.remember(id, &command, None)
    }

    /// Prepares a question for a card's balance.
    ///
    /// # Errors
    /// As [`Terminal::authorise`].
    pub fn balance(&mut self, card: &Swiped<'_>, time: Time) -> Result<TransactionId, Error<D::Error>> {
        let core = &mut self.core;
        let id = core.begin()?;
        let command = Balance {
            id,
            pin_hash: None,
            terminal: core.identity,
            time,
            track_hash: core.track_hash(card),
            extra: Extra::default(),
        };
        core.remember(id, &command, Some(card))
    }

    /// Seals any frames, octet for octet, into the session: a command made earlier is repeated so, and tests say with it
    /// what no honest terminal would. The answer is not looked for.
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::TooLong`], [`Error::Seal`].
    pub fn seal_verbatim(&mut self, frames: &[u8]) -> Result<(), Error<D::Error>> {
        let work = self.core.work.get_mut(..frames.len()).ok_or(Error::TooLong)?;
        work.copy_from_slice(frames);
        self.core.seal(frames.len())
    }

    /// Takes octets that arrived. Call [`Terminal::poll`] until it is idle after each call.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Handshake`] and others of our own side. What is wrong with the octets becomes
    /// [`Event::Dropped`].
    pub fn handle_input(&mut self, mut octets: &[u8]) -> Result<(), Error<D::Error>> {
        while !octets.is_empty() && !matches!(self.core.link, Link::Down) {
            let room = self.received.capacity().saturating_sub(self.received.len());
            let (now, later) = octets.split_at_checked(room).unwrap_or((octets, &[]));
            octets = later;
            if self.received.extend_from_slice(now).is_err() {
                break;
            }
            if let Err(dropped) = self.take_frames()? {
                self.core.fail(dropped);
            }
        }
        Ok(())
    }

    /// Handles every whole frame that has arrived.
    fn take_frames(&mut self) -> Result<Result<(), Dropped>, Error<D::Error>> {
        loop {
            let length = match self.scanner.scan(&self.received) {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(Dropped::Malformed(error))),
            };
            let frame = Frame::parse_exact(self.received.get(..length).unwrap_or_default());
            let handled = match frame {
                Ok(frame) => self.core.on_frame(&frame)?,
                Err(error) => Err(Dropped::Malformed(error)),
            };
            if handled.is_err() {
                return Ok(handled);
            }
            let left = self.received.len().saturating_sub(length);
            self.received.copy_within(length.., 0);
            self.received.truncate(left);
        }
    }

    /// What to do next: save before send, send before show.
    pub fn poll(&mut self) -> Output<'_> {
        let core = &mut self.core;
        if core.must_save {
            return Output::Save;
        }
        if !core.outgoing.is_empty() {
            return Output::Send(&core.outgoing);
        }
        match core.event {
            Waiting::Nothing => Output::Idle,
            Waiting::Dropped(dropped) => {
                core.event = Waiting::Nothing;
                Output::Event(Event::Dropped(dropped))
            }
            Waiting::Online => {
                core.event = Waiting::Nothing;
                match online(&core.answer) {
                    Some(answer) => Output::Event(Event::Online(answer)),
                    None => Output::Idle,
                }
            }
            Waiting::Answer => match core.answered() {
                Some(answer) => Output::Event(Event::Answer(answer)),
                None => Output::Idle,
            },
        }
    }

    /// The memory has been saved.
    pub fn saved(&mut self) {
        self.core.must_save = false;
        self.core.send_pending();
    }

    /// What [`Output::Send`] gave has been sent.
    pub fn sent(&mut self) {
        self.core.outgoing.clear();
        self.core.send_pending();
    }

    /// The answer has been shown and kept: the command is done, its card data is erased.
    pub fn acknowledge(&mut self) {
        if self.core.event == Waiting::Answer {
            self.core.event = Waiting::Nothing;
            self.core.answer.clear();
            self.core.memory.pending = None;
            self.core.must_save = true;
        }
    }
}

impl<D: Device, C: Crypto> Core<'_, D, C> {
    fn connect(&mut self, random: &[u8; 32]) -> Result<(), Error<D::Error>> {
        self.drop_link();
        self.event = match self.event {
            Waiting::Answer => Waiting::Answer,
            _ => Waiting::Nothing,
        };
        let connection = ConnectionId::new(&[0]).map_err(|_| Error::TooLong)?;
        let (state, length) =
            Initiator::start(&self.crypto, random, connection, &mut self.work).map_err(Error::Handshake)?;
        self.link = Link::Message2(state);
        self.outer_id = TransactionId::MIN;
        self.send_handshake(Step::One, length)
    }

    fn drop_link(&mut self) {
        self.link = Link::Down;
        self.outgoing.clear();
        self.sign_on = None;
        self.repeated = false;
    }

    fn fail(&mut self, dropped: Dropped) {
        self.drop_link();
        self.event = Waiting::Dropped(dropped);
    }

    fn on_frame(&mut self, frame: &Frame<'_>) -> Result<Result<(), Dropped>, Error<D::Error>> {
        let message = match Outer::parse(frame) {
            Ok(message) => message,
            Err(error) => return Ok(Err(Dropped::Malformed(error))),
        };
        match message {
            Outer::AuthenticateAnswer(answer) => self.on_handshake(&answer),
            Outer::Sealed(sealed) => self.on_sealed(&sealed),
            Outer::ErrorAnswer(error) => {
                let code = ErrorCode::from_token(error.code).unwrap_or(ErrorCode::Failed);
                Ok(Err(Dropped::Refused(code)))
            }
            Outer::Enrol(_) | Outer::EnrolAnswer(_) | Outer::Authenticate(_) => Ok(Err(Dropped::OutOfPlace)),
        }
    }

    fn on_handshake(&mut self, answer: &AuthenticateAnswer<'_>) -> Result<Result<(), Dropped>, Error<D::Error>> {
        let length = answer.message.len();
        if answer.message.octets(&mut self.work).is_err() {
            return Ok(Err(Dropped::OutOfPlace));
        }
        let message = self.work.get_mut(..length).unwrap_or_default();
        match (core::mem::replace(&mut self.link, Link::Down), answer.step) {
            (Link::Message2(state), Step::Two) => {
                let Self {
                    memory,
                    crypto,
                    device,
                    key,
                    ..
                } = self;
                let anchor = Certificate::parse(memory.issuer()).map_err(|_| Error::Certificate)?;
                let expected = Expected {
                    anchors: &[anchor],
                    roles: &[Role::Backend],
                    time: Validity {
                        floor: memory.floor,
                        authenticated: None,
                    },
                    grace: 0,
                    own: memory.certificate(),
                    understood: &[],
                };
                let ready = state.process(crypto, message, &expected).map_err(Error::Handshake)?;
                self.backend.clear();
                self.backend
                    .extend_from_slice(ready.certificate())
                    .map_err(|_| Error::TooLong)?;
                let signer = DeviceKey::new(*device, *key);
                let chain = [memory.certificate()];
                let credential = Credential {
                    chain: &chain,
                    signer: &signer,
                };
                // Message 3 is written beside message 2, which `ready` still borrows.
                let mut out = [0; MAX_MESSAGE_3];
                let (state, length) = ready
                    .message_3(crypto, &credential, &[], &mut out)
                    .map_err(Error::Handshake)?;
                self.link = Link::Message4(state);
                let (to, from) = (self.work.get_mut(..length), out.get(..length));
                if let (Some(to), Some(from)) = (to, from) {
                    to.copy_from_slice(from);
                }
                self.send_handshake(Step::Three, length)?;
                Ok(Ok(()))
            }
            (Link::Message4(state), Step::Four) => {
                let session = state.process(&self.crypto, message).map_err(Error::Handshake)?;
                self.link = Link::Up(session.into_channel(&self.crypto, DEFAULT_LIMIT));
                self.begin_sign_on()?;
                Ok(Ok(()))
            }
            (_, Step::Error) => Ok(Err(Dropped::Handshake)),
            _ => Ok(Err(Dropped::OutOfPlace)),
        }
    }

    /// Sends the first `length` octets of `work` as a step of the handshake.
    fn send_handshake(&mut self, step: Step, length: usize) -> Result<(), Error<D::Error>> {
        let message = self.work.get(..length).and_then(Binary::new).ok_or(Error::TooLong)?;
        let request = Authenticate {
            id: self.outer_id,
            message,
            step,
            extra: Extra::default(),
        };
        self.outer_id = self.outer_id.next().unwrap_or(TransactionId::MIN);
        put(&request, &mut self.outgoing)
    }

    fn begin_sign_on(&mut self) -> Result<(), Error<D::Error>> {
        let id = self.take_id()?;
        let command = SignOn {
            id,
            software: Text::new(SOFTWARE).ok(),
            terminal: self.identity,
            // A terminal without a clock says what it knows: no earlier than this.
            time: Time::from_unix(self.memory.floor).ok_or(Error::TooLong)?,
            extra: Extra::default(),
        };
        let signed = sign(&command, self.device, self.key, &self.certificate, &mut self.work)?;
        self.sign_on = Some((id, self.crypto_digest(signed.digest_len)));
        self.must_save = true;
        self.seal(signed.len)
    }

    /// SHA-256 of the first `length` octets of `work`.
    fn crypto_digest(&self, length: usize) -> Digest {
        Digest(self.crypto.sha256(&[self.work.get(..length).unwrap_or_default()]))
    }

    /// Seals the first `length` octets of `work` and puts the frame out.
    fn seal(&mut self, length: usize) -> Result<(), Error<D::Error>> {
        let Link::Up(channel) = &mut self.link else {
            return Err(Error::Offline);
        };
        let routing = channel.peer_connection;
        let sealed = channel
            .sender
            .seal(&self.crypto, routing.as_bytes(), &mut self.work, length)
            .map_err(Error::Seal)?;
        let payload = self
            .work
            .get(..sealed.len)
            .and_then(Binary::new)
            .ok_or(Error::TooLong)?;
        let index = Number::new(sealed.index).ok_or(Error::TooLong)?;
        put(
            &Sealed {
                index,
                payload,
                extra: Extra::default(),
            },
            &mut self.outgoing,
        )
    }

    fn on_sealed(&mut self, sealed: &Sealed<'_>) -> Result<Result<(), Dropped>, Error<D::Error>> {
        let Self {
            link,
            crypto,
            work,
            memory,
            sign_on,
            answer,
            event,
            must_save,
            ..
        } = self;
        let Link::Up(channel) = link else {
            return Ok(Err(Dropped::OutOfPlace));
        };
        let length = sealed.payload.len();
        if sealed.payload.octets(work).is_err() {
            return Ok(Err(Dropped::OutOfPlace));
        }
        let payload = work.get_mut(..length).unwrap_or_default();
        let routing = channel.own_connection;
        let clear = match channel
            .receiver
            .open(crypto, sealed.index.get(), routing.as_bytes(), payload)
        {
            Ok(clear) => clear,
            Err(error) => return Ok(Err(Dropped::Seal(error))),
        };
        let frame = match Frame::parse_exact(clear) {
            Ok(frame) => frame,
            Err(error) => return Ok(Err(Dropped::Malformed(error))),
        };
        let message = match Inner::parse(&frame) {
            Ok(message) => message,
            Err(error) => return Ok(Err(Dropped::Malformed(error))),
        };
        let signed = frame.signature(1).is_some_and(|signature| {
            signature.certificate.0 == *channel.peer.certificate()
                && crypto
                    .verify(channel.peer.public_key(), signature.signed, &signature.signature)
                    .is_ok()
        });
        if !signed {
            return Ok(Err(Dropped::Unsigned));
        }
        if let Inner::ErrorAnswer(error) = &message {
            let code = ErrorCode::from_token(error.code).unwrap_or(ErrorCode::Failed);
            let final_word =
                error.digest.is_some() && !matches!(code, ErrorCode::Failed | ErrorCode::Busy | ErrorCode::Unavailable);
            if !final_word {
                return Ok(Err(Dropped::Refused(code)));
            }
        }
        let Some((re, digest)) = answers(&message) else {
            return Ok(Err(Dropped::OutOfPlace));
        };
        if let Some(expected) = *sign_on {
            if expected != (re, digest) {
                return Ok(Err(Dropped::OtherCommand));
            }
            let Inner::SignOnAnswer(online) = &message else {
                return Ok(Err(Dropped::OutOfPlace));
            };
            if online.low_water > memory.next_id {
                memory.next_id = online.low_water;
                *must_save = true;
            }
            *sign_on = None;
            *event = Waiting::Online;
        } else {
            let of_pending = memory.pending.as_ref().is_some_and(|pending| {
                Frame::parse_exact(&pending.command)
                    .is_ok_and(|command| crypto.sha256(&[command.before_signatures()]) == digest.0)
            });
            if !of_pending {
                return Ok(Err(Dropped::OtherCommand));
            }
            *event = Waiting::Answer;
        }
        answer.clear();
        answer.extend_from_slice(frame.as_bytes()).map_err(|_| Error::TooLong)?;
        self.send_pending();
        Ok(Ok(()))
    }

    /// Sends the pending command once a session, as soon as nothing stands before it.
    fn send_pending(&mut self) {
        let ready = matches!(self.link, Link::Up(_))
            && self.sign_on.is_none()
            && !self.must_save
            && self.outgoing.is_empty()
            && self.event != Waiting::Answer
            && !self.repeated;
        let Some(pending) = self.memory.pending.as_ref().filter(|_| ready) else {
            return;
        };
        let parts = [pending.command.as_slice(), &pending.data];
        let mut length: usize = 0;
        for part in parts {
            let end = length.saturating_add(part.len());
            let Some(place) = self.work.get_mut(length..end) else {
                return;
            };
            place.copy_from_slice(part);
            length = end;
        }
        self.repeated = true;
        if self.seal(length).is_err() {
            // The session has carried all it may: a new one goes on.
            self.fail(Dropped::OutOfPlace);
        }
    }

    /// The id of a new command, once nothing else is pending.
    fn begin(&mut self) -> Result<TransactionId, Error<D::Error>> {
        if self.memory.pending.is_some() {
            return Err(Error::Pending);
        }
        self.take_id()
    }

    fn take_id(&mut self) -> Result<TransactionId, Error<D::Error>> {
        let id = self.memory.next_id;
        self.memory.next_id = id.next().ok_or(Error::IdsExhausted)?;
        self.must_save = true;
        Ok(id)
    }

    fn track_hash(&self, card: &Swiped<'_>) -> Digest {
        Digest(self.crypto.sha256(&[&card.salt, card.track.as_bytes()]))
    }

    /// Signs a command and keeps it, with its D frame, until its answer is known.
    fn remember<'m, M: Message<'m>>(
        &mut self,
        id: TransactionId,
        command: &M,
        card: Option<&Swiped<'_>>,
    ) -> Result<TransactionId, Error<D::Error>> {
        let mut pending = Pending {
            command: Vec::new(),
            data: Vec::new(),
        };
        let signed = sign(command, self.device, self.key, &self.certificate, &mut self.work)?;
        let octets = self.work.get(..signed.len).unwrap_or_default();
        pending.command.extend_from_slice(octets).map_err(|_| Error::TooLong)?;
        if let Some(card) = card {
            let data = Card {
                id,
                pin_block: None,
                pin_salt: None,
                track: Secret::new(Text::new(card.track).map_err(|_| Error::TooLong)?),
                track_salt: Secret::new(Binary::new(&card.salt).ok_or(Error::TooLong)?),
                extra: Extra::default(),
            };
            put(&data, &mut pending.data)?;
        }
        self.memory.pending = Some(pending);
        self.repeated = false;
        Ok(id)
    }

    fn answered(&self) -> Option<Answer<'_>> {
        let command = Frame::parse_exact(&self.memory.pending.as_ref()?.command).ok()?;
        let answer = Frame::parse_exact(&self.answer).ok()?;
        Some(Answer {
            command,
            answer,
            message: Inner::parse(&answer).ok()?,
        })
    }
}

/// Octets of EDHOC message_3 with our certificate by value, and of the workspace that writing it takes.
const MAX_MESSAGE_3: usize = 3 * MAX_CERTIFICATE + 320;

struct Signed {
    len: usize,
    digest_len: usize,
}

/// Writes a signed command to the start of `out`.
fn sign<'m, M: Message<'m>, D: Device>(
    command: &M,
    device: &D,
    key: KeyRef,
    certificate: &Digest,
    out: &mut [u8],
) -> Result<Signed, Error<D::Error>> {
    let room = out.len().min(MAX_COMMAND);
    let encoder = command
        .encode(out.get_mut(..room).unwrap_or_default())
        .map_err(Error::Message)?;
    let signing = encoder.sign(certificate).map_err(Error::Message)?;
    let signature = device.sign(key, signing.message()).map_err(Error::Device)?;
    let frame = signing
        .append(&signature)
        .and_then(|encoder| encoder.finish())
        .map_err(Error::Message)?;
    Ok(Signed {
        len: frame.as_bytes().len(),
        digest_len: frame.before_signatures().len(),
    })
}

/// Writes an unsigned message as the whole content of `out`.
fn put<'m, M: Message<'m>, E, const N: usize>(message: &M, out: &mut Vec<u8, N>) -> Result<(), Error<E>> {
    out.resize(N, 0).map_err(|_| Error::TooLong)?;
    let written = message
        .encode(out)
        .and_then(|encoder| encoder.finish())
        .map(|frame| frame.as_bytes().len());
    match written {
        Ok(length) => {
            out.truncate(length);
            Ok(())
        }
        Err(error) => {
            out.clear();
            Err(Error::Message(error))
        }
    }
}

/// Id and digest of the command that a message answers.
fn answers(message: &Inner<'_>) -> Option<(TransactionId, Digest)> {
    match message {
        Inner::SignOnAnswer(m) => Some((m.re, m.digest)),
        Inner::AuthoriseAnswer(m) => Some((m.re, m.digest)),
        Inner::ReversalAnswer(m) => Some((m.re, m.digest)),
        Inner::StatusAnswer(m) => Some((m.re, m.digest)),
        Inner::BalanceAnswer(m) => Some((m.re, m.digest)),
        Inner::ErrorAnswer(ErrorAnswer {
            re: Some(re),
            digest: Some(digest),
            ..
        }) => Some((*re, *digest)),
        _ => None,
    }
}

fn online(answer: &[u8]) -> Option<SignOnAnswer<'_>> {
    SignOnAnswer::parse(&Frame::parse_exact(answer).ok()?).ok()
}
