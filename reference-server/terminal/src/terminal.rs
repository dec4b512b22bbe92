//! The terminal's state machine: handshake, sign-on, one command at a time until its answer is known.
//!
//! The shell around it does four things: it passes received octets to [`Terminal::handle_input`], does what
//! [`Terminal::poll`] says, reports it done, and shows events to people. The machine never asks for anything to be sent
//! before what it depends on has been saved.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use heapless::Vec;
use tr_auth::channel::{DEFAULT_LIMIT, OVERHEAD};
use tr_auth::{Channel, ConnectionId, Crypto, Expected, Identity as Credential, Initiator, WaitMessage2, WaitMessage4};
use tr_hsm::{Device, KeyRef};
use tr_pki::{Certificate, Role, Time as Validity};
use tr_protocol::frame::{Frame, MAX_FRAME, MAX_INNER, Scanner};
use tr_protocol::lifecycle::Outcome;
use tr_protocol::message::{
    Authenticate, AuthenticateAnswer, Authorise, Balance, Card, ErrorAnswer, ErrorCode, Extra, Inner, Message, Outer,
    Reversal, ReversalReason, Sealed, SignOn, SignOnAnswer, Status, Step,
};
use tr_protocol::value::{Binary, Digest, Identity, Number, Secret, Text, Time, TransactionId};
use zeroize::Zeroize;

use crate::event::{Answer, Dropped, Error, Event, Output, Sale, Swiped};
use crate::key::DeviceKey;
use crate::memory::{MAX_CERTIFICATE, MAX_COMMAND, MAX_DATA, Memory};

/// Longest signed answer that is taken, in octets.
pub const MAX_ANSWER: usize = 2048;

/// How many of the backend's messages may be missing. The connection keeps their order; the backend may have sealed some
/// that it then did not send.
const WINDOW: usize = 4;

// Whatever is pending fits into one seal.
const _: () = assert!(MAX_COMMAND + MAX_DATA <= MAX_INNER);

/// Text shown by `software` in the sign-on.
const SOFTWARE: &str = concat!("tr-terminal ", env!("CARGO_PKG_VERSION"));

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
    /// The time, from a clock that the shell trusts.
    clock: Option<i64>,
    /// Whether the pending command has been sealed in this session.
    sealed: bool,
    /// The digest of a command that was sealed in this session and given up since: its answer may still come.
    given_up: Option<Digest>,
    outgoing: Vec<u8, MAX_FRAME>,
    /// The certificate of the backend that the session is with.
    backend: Vec<u8, MAX_CERTIFICATE>,
    /// The verified answer, or the sign-on's.
    answer: Vec<u8, MAX_ANSWER>,
    work: [u8; MAX_INNER + OVERHEAD],
    must_save: bool,
    /// Whether `answer` is the pending command's.
    answered: bool,
    notice: Option<Notice>,
}

enum Notice {
    /// `answer` is the sign-on's.
    Online,
    Dropped(Dropped),
}

/// Why a frame was not handled.
enum Failure<E> {
    /// For what came; people are told by an event.
    Dropped(Dropped),
    /// For a reason of our own, which the call returns.
    Own(Error<E>),
}

impl<E> From<Dropped> for Failure<E> {
    fn from(dropped: Dropped) -> Self {
        Failure::Dropped(dropped)
    }
}

impl<E> From<Error<E>> for Failure<E> {
    fn from(error: Error<E>) -> Self {
        Failure::Own(error)
    }
}

enum Link<C: Crypto> {
    Down,
    Message2(WaitMessage2<C>),
    Message4(WaitMessage4),
    Up(Channel<WINDOW>),
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
                clock: None,
                sealed: false,
                given_up: None,
                outgoing: Vec::new(),
                backend: Vec::new(),
                answer: Vec::new(),
                work: [0; MAX_INNER + OVERHEAD],
                must_save: false,
                answered: false,
                notice: None,
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
        let memory = &self.core.memory;
        memory.is_pending().then(|| (memory.command(), memory.data()))
    }

    /// Tells the time, in Unix seconds, from a clock that the shell trusts; tell it before each [`connect`](Self::connect).
    /// Certificates are held against it. A terminal that is never told goes by its floor: it then takes what has expired
    /// since.
    pub fn tell_time(&mut self, now: i64) {
        self.core.clock = Some(now);
    }

    /// A new connection stands: forgets the old session and begins a handshake. `random` is 32 octets from a good
    /// generator, used for nothing else. What is pending is repeated in the new session, also when it has an answer that
    /// was not acknowledged.
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
        self.core.notice = None;
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
    /// [`Error::NothingPending`] when no sale is pending, else as [`Terminal::reverse`]; the sale then stays pending.
    pub fn cancel(&mut self, reason: ReversalReason, time: Time) -> Result<TransactionId, Error<D::Error>> {
        let core = &mut self.core;
        let Some(Inner::Authorise(Authorise { id: original, .. })) = core.pending() else {
            return Err(Error::NothingPending);
        };
        let id = core.take_id()?;
        let command = Reversal {
            id,
            original,
            reason,
            terminal: core.identity,
            time,
            extra: Extra::default(),
        };
        core.remember(id, &command, None)
    }

    /// Gives up the pending question for a state or a balance: it moves no money, so nothing has to be undone.
    ///
    /// # Errors
    /// [`Error::NothingPending`] when no question is pending.
    pub fn forget(&mut self) -> Result<(), Error<D::Error>> {
        let core = &mut self.core;
        if !matches!(core.pending(), Some(Inner::Status(_) | Inner::Balance(_))) {
            return Err(Error::NothingPending);
        }
        core.let_go();
        core.memory.forget();
        Ok(())
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
    /// [`Error::Offline`], [`Error::Unsent`], [`Error::TooLong`], [`Error::Seal`].
    pub fn seal_verbatim(&mut self, frames: &[u8]) -> Result<(), Error<D::Error>> {
        if !self.core.outgoing.is_empty() {
            return Err(Error::Unsent);
        }
        let work = self.core.work.get_mut(..frames.len()).ok_or(Error::TooLong)?;
        work.copy_from_slice(frames);
        self.core.seal(frames.len())
    }

    /// Takes octets that arrived. Call [`Terminal::poll`] until it is idle after each call.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Handshake`] and others of our own side; the session is given up. What is wrong with the
    /// octets becomes [`Event::Dropped`].
    pub fn handle_input(&mut self, mut octets: &[u8]) -> Result<(), Error<D::Error>> {
        while !octets.is_empty() && !matches!(self.core.link, Link::Down) {
            let room = self.received.capacity().saturating_sub(self.received.len());
            let (now, later) = octets.split_at_checked(room).unwrap_or((octets, &[]));
            octets = later;
            if self.received.extend_from_slice(now).is_err() {
                break;
            }
            match self.take_frames() {
                Ok(()) => {}
                Err(Failure::Dropped(dropped)) => self.core.fail(dropped),
                Err(Failure::Own(error)) => {
                    self.core.drop_link();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Handles every whole frame that has arrived.
    fn take_frames(&mut self) -> Result<(), Failure<D::Error>> {
        while let Some(length) = self.scanner.scan(&self.received).map_err(Dropped::Malformed)? {
            let octets = self.received.get(..length).unwrap_or_default();
            let frame = Frame::parse_exact(octets).map_err(Dropped::Malformed)?;
            self.core.on_frame(&frame)?;
            let left = self.received.len().saturating_sub(length);
            self.received.copy_within(length.., 0);
            self.received.truncate(left);
        }
        Ok(())
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
        if core.answered {
            return core
                .answer()
                .map_or(Output::Idle, |answer| Output::Event(Event::Answer(answer)));
        }
        match core.notice.take() {
            None => Output::Idle,
            Some(Notice::Dropped(dropped)) => Output::Event(Event::Dropped(dropped)),
            Some(Notice::Online) => {
                online(&core.answer).map_or(Output::Idle, |answer| Output::Event(Event::Online(answer)))
            }
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

    /// The answer has been shown and kept: the command is done, its card data is erased. Does nothing when no answer is
    /// given by [`Terminal::poll`].
    pub fn acknowledge(&mut self) {
        if self.core.answered {
            self.core.let_go();
            self.core.memory.forget();
        }
    }
}

impl<D: Device, C: Crypto> Core<'_, D, C> {
    fn connect(&mut self, random: &[u8; 32]) -> Result<(), Error<D::Error>> {
        self.drop_link();
        self.notice = None;
        self.answered = false;
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
        self.sealed = false;
        self.given_up = None;
    }

    fn fail(&mut self, dropped: Dropped) {
        self.drop_link();
        self.notice = Some(Notice::Dropped(dropped));
    }

    fn on_frame(&mut self, frame: &Frame<'_>) -> Result<(), Failure<D::Error>> {
        match Outer::parse(frame).map_err(Dropped::Malformed)? {
            Outer::AuthenticateAnswer(answer) => self.on_handshake(&answer),
            Outer::Sealed(sealed) => Ok(self.on_sealed(&sealed)?),
            Outer::ErrorAnswer(error) => Err(Dropped::Refused(code_of(&error)).into()),
            Outer::Enrol(_) | Outer::EnrolAnswer(_) | Outer::Authenticate(_) => Err(Dropped::OutOfPlace.into()),
        }
    }

    fn on_handshake(&mut self, answer: &AuthenticateAnswer<'_>) -> Result<(), Failure<D::Error>> {
        let length = answer
            .message
            .octets(&mut self.work)
            .map_err(|_| Dropped::TooLong)?
            .len();
        // What is labelled an error is read as the message it stands for, which tells an error by itself.
        match (core::mem::replace(&mut self.link, Link::Down), answer.step) {
            (Link::Message2(state), Step::Two | Step::Error) => self.on_message_2(state, length),
            (Link::Message4(state), Step::Four | Step::Error) => {
                let message = self.work.get_mut(..length).unwrap_or_default();
                let session = state.process(&self.crypto, message).map_err(Dropped::Handshake)?;
                self.link = Link::Up(session.into_channel(&self.crypto, DEFAULT_LIMIT));
                Ok(self.begin_sign_on()?)
            }
            _ => Err(Dropped::OutOfPlace.into()),
        }
    }

    /// Takes message 2, the first `length` octets of `work`, and sends message 3.
    fn on_message_2(&mut self, state: WaitMessage2<C>, length: usize) -> Result<(), Failure<D::Error>> {
        let anchor = Certificate::parse(self.memory.issuer()).map_err(|_| Error::Certificate)?;
        let expected = Expected {
            anchors: &[anchor],
            roles: &[Role::Backend],
            time: Validity {
                floor: self.memory.floor(),
                authenticated: self.clock,
            },
            grace: 0,
            own: self.memory.certificate(),
            understood: &[],
        };
        // Message 3 is written behind message 2, which `ready` still borrows.
        let (message_2, rest) = self.work.split_at_mut_checked(length).ok_or(Dropped::TooLong)?;
        let ready = state
            .process(&self.crypto, message_2, &expected)
            .map_err(Dropped::Handshake)?;
        self.backend.clear();
        self.backend
            .extend_from_slice(ready.certificate())
            .map_err(|_| Dropped::TooLong)?;
        let signer = DeviceKey::new(self.device, self.key);
        let credential = Credential {
            chain: &[self.memory.certificate()],
            signer: &signer,
        };
        let (state, written) = ready
            .message_3(&self.crypto, &credential, &[], rest)
            .map_err(Error::Handshake)?;
        self.link = Link::Message4(state);
        self.work.copy_within(length..length.saturating_add(written), 0);
        Ok(self.send_handshake(Step::Three, written)?)
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
            time: Time::from_unix(self.memory.floor()).unwrap_or(Time::MIN),
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

    /// Seals the first `length` octets of `work` in place and puts the frame out.
    fn seal(&mut self, length: usize) -> Result<(), Error<D::Error>> {
        let Link::Up(channel) = &mut self.link else {
            return Err(Error::Offline);
        };
        let routing = channel.peer_connection;
        let sealed = channel
            .sender
            .seal(&self.crypto, routing.as_bytes(), &mut self.work, length)
            .map_err(|error| {
                // It is still in clear.
                self.work.zeroize();
                Error::Seal(error)
            })?;
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

    fn on_sealed(&mut self, sealed: &Sealed<'_>) -> Result<(), Dropped> {
        let Link::Up(channel) = &mut self.link else {
            return Err(Dropped::OutOfPlace);
        };
        let length = sealed
            .payload
            .octets(&mut self.work)
            .map_err(|_| Dropped::TooLong)?
            .len();
        let payload = self.work.get_mut(..length).unwrap_or_default();
        let routing = channel.own_connection;
        let clear = channel
            .receiver
            .open(&self.crypto, sealed.index.get(), routing.as_bytes(), payload)
            .map_err(Dropped::Seal)?;
        let frame = Frame::parse_exact(clear).map_err(Dropped::Malformed)?;
        let message = Inner::parse(&frame).map_err(Dropped::Malformed)?;
        let signature = frame.signature(1).ok_or(Dropped::Unsigned)?;
        if signature.certificate.0 != *channel.peer.certificate() {
            return Err(Dropped::Unsigned);
        }
        self.crypto
            .verify(channel.peer.public_key(), signature.signed, &signature.signature)
            .map_err(|_| Dropped::Unsigned)?;
        let (re, digest) = answers(&message)?;
        if frame.as_bytes().len() > MAX_ANSWER {
            return Err(Dropped::TooLong);
        }
        if let Some(expected) = self.sign_on {
            let Inner::SignOnAnswer(online) = &message else {
                return Err(Dropped::OutOfPlace);
            };
            if expected != (re, digest) {
                return Err(Dropped::OtherCommand);
            }
            if online.low_water > self.memory.next_id() {
                self.memory.raise_next_id(online.low_water);
                self.must_save = true;
            }
            self.sign_on = None;
            self.notice = Some(Notice::Online);
        } else if self.given_up == Some(digest) {
            self.given_up = None;
            return Ok(());
        } else {
            let command = Frame::parse_exact(self.memory.command()).map_err(|_| Dropped::OtherCommand)?;
            let asked = Inner::parse(&command).map_err(|_| Dropped::OtherCommand)?;
            if self.crypto.sha256(&[command.before_signatures()]) != digest.0 || !fits(&asked, &message) {
                return Err(Dropped::OtherCommand);
            }
            self.answered = true;
            self.notice = None;
        }
        self.answer.clear();
        self.answer
            .extend_from_slice(frame.as_bytes())
            .map_err(|_| Dropped::TooLong)?;
        self.send_pending();
        Ok(())
    }

    /// Seals the pending command once a session, as soon as nothing stands before it.
    fn send_pending(&mut self) {
        let ready = matches!(self.link, Link::Up(_))
            && self.sign_on.is_none()
            && !self.must_save
            && self.outgoing.is_empty()
            && self.memory.is_pending()
            && !self.answered
            && !self.sealed;
        if !ready {
            return;
        }
        let parts = self.memory.command().iter().chain(self.memory.data());
        let mut length: usize = 0;
        for (to, from) in self.work.iter_mut().zip(parts) {
            *to = *from;
            length = length.saturating_add(1);
        }
        self.sealed = true;
        if let Err(error) = self.seal(length) {
            // The session has carried all it may: a new one goes on.
            self.fail(match error {
                Error::Seal(error) => Dropped::Seal(error),
                _ => Dropped::TooLong,
            });
        }
    }

    /// The pending command, read.
    fn pending(&self) -> Option<Inner<'_>> {
        Inner::parse(&Frame::parse_exact(self.memory.command()).ok()?).ok()
    }

    /// The pending command is waited for no longer: it is done, replaced or given up.
    fn let_go(&mut self) {
        if self.sealed {
            let command = Frame::parse_exact(self.memory.command()).ok();
            self.given_up = command
                .filter(|_| !self.answered)
                .map(|command| Digest(self.crypto.sha256(&[command.before_signatures()])));
            // If it is sealed and not sent yet, it stays here; the seal's window allows for the gap.
            self.outgoing.clear();
        }
        self.sealed = false;
        if self.answered {
            self.answer.zeroize();
        }
        self.answered = false;
        self.must_save = true;
    }

    /// The id of a new command, once nothing else is pending.
    fn begin(&mut self) -> Result<TransactionId, Error<D::Error>> {
        if self.memory.is_pending() {
            return Err(Error::Pending);
        }
        self.take_id()
    }

    fn take_id(&mut self) -> Result<TransactionId, Error<D::Error>> {
        let id = self.memory.next_id();
        self.memory.raise_next_id(id.next().ok_or(Error::IdsExhausted)?);
        self.must_save = true;
        Ok(id)
    }

    fn track_hash(&self, card: &Swiped<'_>) -> Digest {
        Digest(self.crypto.sha256(&[&card.salt, card.track.as_bytes()]))
    }

    /// Signs a command and keeps it, with its D frame, in place of what was pending, until its answer is known.
    fn remember<'m, M: Message<'m>>(
        &mut self,
        id: TransactionId,
        command: &M,
        card: Option<&Swiped<'_>>,
    ) -> Result<TransactionId, Error<D::Error>> {
        let data = match card {
            None => None,
            Some(card) => Some(Card {
                id,
                pin_block: None,
                pin_salt: None,
                track: Secret::new(Text::new(card.track).map_err(|_| Error::Track)?),
                track_salt: Secret::new(Binary::new(&card.salt).ok_or(Error::Track)?),
                extra: Extra::default(),
            }),
        };
        let signed = sign(command, self.device, self.key, &self.certificate, &mut self.work)?;
        self.let_go();
        let octets = self.work.get(..signed.len).unwrap_or_default();
        let kept = self.memory.remember(octets, |out| match &data {
            None => Some(0),
            Some(data) => Some(data.encode(out).ok()?.finish().ok()?.as_bytes().len()),
        });
        if kept { Ok(id) } else { Err(Error::TooLong) }
    }

    fn answer(&self) -> Option<Answer<'_>> {
        let command = Frame::parse_exact(self.memory.command()).ok()?;
        let answer = Frame::parse_exact(&self.answer).ok()?;
        Some(Answer {
            command,
            answer,
            message: Inner::parse(&answer).ok()?,
        })
    }
}

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

/// Id and digest of the command that a message answers, once and for all.
fn answers(message: &Inner<'_>) -> Result<(TransactionId, Digest), Dropped> {
    match message {
        Inner::SignOnAnswer(m) => Ok((m.re, m.digest)),
        Inner::AuthoriseAnswer(m) => Ok((m.re, m.digest)),
        Inner::ReversalAnswer(m) => Ok((m.re, m.digest)),
        Inner::StatusAnswer(m) => Ok((m.re, m.digest)),
        Inner::BalanceAnswer(m) => Ok((m.re, m.digest)),
        Inner::ErrorAnswer(error) => match (code_of(error), error.re, error.digest) {
            // The same may succeed later, or nobody knows what came of it.
            (code @ (ErrorCode::Failed | ErrorCode::Busy | ErrorCode::Unavailable), ..) => Err(Dropped::Refused(code)),
            (_, Some(re), Some(digest)) => Ok((re, digest)),
            (code, ..) => Err(Dropped::Refused(code)),
        },
        _ => Err(Dropped::OutOfPlace),
    }
}

/// Whether `answer` is one that `command` can have; their digests are compared elsewhere.
fn fits(command: &Inner<'_>, answer: &Inner<'_>) -> bool {
    match (command, answer) {
        (Inner::Authorise(asked), Inner::AuthoriseAnswer(told)) => {
            let granted = match told.outcome {
                Outcome::Approved => told.currency == asked.currency && told.amount == asked.amount,
                Outcome::Partial => told.currency == asked.currency && asked.partial && told.amount < asked.amount,
                Outcome::Declined => true,
            };
            granted && told.re == asked.id
        }
        (Inner::Reversal(asked), Inner::ReversalAnswer(told)) => told.re == asked.id && told.original == asked.original,
        (Inner::Status(asked), Inner::StatusAnswer(told)) => told.re == asked.id && told.original == asked.original,
        (Inner::Balance(asked), Inner::BalanceAnswer(told)) => told.re == asked.id,
        (Inner::Authorise(Authorise { id, .. }), Inner::ErrorAnswer(told))
        | (Inner::Reversal(Reversal { id, .. }), Inner::ErrorAnswer(told))
        | (Inner::Status(Status { id, .. }), Inner::ErrorAnswer(told))
        | (Inner::Balance(Balance { id, .. }), Inner::ErrorAnswer(told)) => told.re == Some(*id),
        _ => false,
    }
}

fn code_of(error: &ErrorAnswer<'_>) -> ErrorCode {
    ErrorCode::from_token(error.code).unwrap_or(ErrorCode::Failed)
}

fn online(answer: &[u8]) -> Option<SignOnAnswer<'_>> {
    SignOnAnswer::parse(&Frame::parse_exact(answer).ok()?).ok()
}
