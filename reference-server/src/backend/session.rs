//! One device's connection, as the backend sees it: handshake, then sealed commands.
//!
//! A bad outer frame or a failed handshake ends the connection; what does not open is refused and changes nothing; a bad
//! inner frame ends the session. What has to do with who the sender is has one answer on the wire, and its reason in the
//! log.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use tr_auth::channel::{DEFAULT_LIMIT, OVERHEAD};
use tr_auth::{
    Channel, ConnectionId, Expected, Identity as Credential, MAX_ERROR_MESSAGE, Responder, WaitMessage3, message_buffer,
};
use tr_auth_aws_lc::AwsLc;
use tr_hsm::{Error as _, ErrorKind, Payment, Version};
use tr_pki::{Certificate, Role, Time as Validity, Verifier};
use tr_protocol::frame::{Frame, MAX_FRAME, MAX_INNER};
use tr_protocol::message::{
    Authenticate, AuthenticateAnswer, Card, Class, ErrorAnswer, ErrorCode, Extra, Inner, Message, Outer, Sealed, Step,
};
use tr_protocol::value::{Binary, Digest, Identity, Number, TransactionId};
use tr_track::card::{Card as OurCard, service_code};
use tr_track::{Track2, TrackErrorKind};
use zeroize::Zeroizing;

use super::Core;
use super::answer::To;
use crate::crash::crash_point;
use tr_protocol::lifecycle::Standing;

use crate::engine::{Authorise, Command, Request};
use crate::ledger::Rule;
use crate::link::Device;
use crate::store::{Executed, Pan, SignFailed, Store, Submission};
use crate::{clock, hsm, init};

/// How many handshakes one connection may begin: each costs the backend a key agreement and a signature, and an honest
/// device needs one.
const MAX_HANDSHAKES: u32 = 8;
/// How many refusals of one connection are logged as warnings; the others are for `debug`.
const MAX_WARNINGS: u32 = 16;

/// Serves one device until it goes, or says something that ends its connection.
pub(super) async fn serve(core: Arc<Core>, mut device: Device) {
    let mut session = Session {
        core,
        class: device.class,
        state: State::Fresh,
        handshakes: 0,
    };
    let mut warnings: u32 = 0;
    let (channel, peer) = (device.channel, device.peer.clone());
    while let Some(octets) = device.next_frame().await {
        let reply = session.handle(&octets).await;
        if let Some(reason) = &reply.reason {
            // One connection must not fill the log.
            warnings = warnings.saturating_add(1);
            if warnings <= MAX_WARNINGS {
                tracing::warn!(channel, %peer, "{reason}");
            } else {
                tracing::debug!(channel, %peer, "{reason}");
            }
        }
        if device.answers.send(&reply.frame).await.is_err() || reply.end {
            break;
        }
    }
}

/// SHA-256 of a frame before its signatures: what answers name it by.
pub(super) fn digest(frame: &Frame<'_>) -> Digest {
    Digest(AwsLc.sha256(&[frame.before_signatures()]))
}

struct Session {
    core: Arc<Core>,
    class: Class,
    state: State,
    /// How many handshakes the connection has begun.
    handshakes: u32,
}

enum State {
    Fresh,
    Message3(Box<WaitMessage3>),
    Up(Box<Up>),
}

struct Up {
    channel: Channel,
    terminal: Identity,
    /// The end of the validity of the certificate that opened the session.
    not_after: i64,
}

/// A frame to send, and what it means for the connection.
struct Reply {
    frame: Vec<u8>,
    end: bool,
    reason: Option<String>,
}

/// Why a sealed command was not answered.
enum Bad {
    /// The sender is not who it must be; the reason is for the log.
    Sender(anyhow::Error),
    /// The frame or message is malformed.
    Message(tr_protocol::Error),
    /// It may not come now.
    OutOfPlace(TransactionId, Digest),
    /// Something failed here; the reason is for the log.
    Here(anyhow::Error, TransactionId, Digest),
}

impl Session {
    async fn handle(&mut self, octets: &[u8]) -> Reply {
        let frame = match Frame::parse_exact(octets) {
            Ok(frame) => frame,
            Err(error) => return Reply::error(ErrorAnswer::about(&error), true, format!("a bad frame: {error}")),
        };
        match Outer::parse(&frame) {
            Err(error) => Reply::error(ErrorAnswer::about(&error), true, format!("a bad message: {error}")),
            Ok(Outer::Enrol(request)) => match self.core.enrol(&frame, &request, self.class).await {
                Ok(frame) => Reply {
                    frame,
                    end: false,
                    reason: None,
                },
                Err(error) => refuse(request.id, &frame, format!("enrolment refused: {error:#}")),
            },
            Ok(Outer::Authenticate(request)) => match self.handshake(&frame, &request).await {
                Ok(frame) => Reply {
                    frame,
                    end: false,
                    reason: None,
                },
                Err(error) => {
                    self.state = State::Fresh;
                    refuse_handshake(&frame, &request, &error)
                }
            },
            Ok(Outer::Sealed(sealed)) => self.sealed(&sealed).await,
            Ok(Outer::EnrolAnswer(_) | Outer::AuthenticateAnswer(_) | Outer::ErrorAnswer(_)) => Reply::error(
                ErrorAnswer::of(ErrorCode::OutOfPlace),
                true,
                "an answer came from a device".to_owned(),
            ),
        }
    }

    async fn handshake(&mut self, frame: &Frame<'_>, request: &Authenticate<'_>) -> Result<Vec<u8>> {
        let mut message = vec![0; request.message.len()];
        request
            .message
            .octets(&mut message)
            .map_err(|kind| anyhow!("{kind:?}"))?;
        let core = &self.core;
        match (core::mem::replace(&mut self.state, State::Fresh), request.step) {
            // A device may begin anew whenever it likes.
            (_, Step::One) => {
                self.handshakes = self.handshakes.saturating_add(1);
                anyhow::ensure!(
                    self.handshakes <= MAX_HANDSHAKES,
                    "{MAX_HANDSHAKES} handshakes were begun on one connection"
                );
                let chain = [core.identity.as_slice()];
                let signer = hsm::signer(&core.hsm, hsm::IDENTITY);
                let credential = Credential {
                    chain: &chain,
                    signer: &signer,
                };
                let connection = ConnectionId::new(&init::random::<4>()?)?;
                let mut out = vec![0; message_buffer(&chain, &[])];
                let random = Zeroizing::new(init::random::<32>()?);
                let (state, length) =
                    Responder::respond(&AwsLc, &credential, &message, &random, connection, &[], &mut out)?;
                self.state = State::Message3(Box::new(state));
                authenticate_answer(frame, request, Step::Two, out.get(..length).unwrap_or_default())
            }
            (State::Message3(state), Step::Three) => {
                let now = clock::now();
                let anchor = Certificate::parse(&core.issuing)?;
                let role = match self.class {
                    Class::Pos => Role::Pos,
                    Class::Card => Role::VirtualCard,
                };
                let expected = Expected {
                    anchors: &[anchor],
                    roles: &[role],
                    time: Validity::known(now),
                    grace: core.grace(),
                    own: &core.identity,
                    understood: &[],
                };
                let ready = state.process(&AwsLc, &mut message, &expected)?;
                let peer = *ready.peer();
                let record = core
                    .store
                    .certificate(*peer.certificate())
                    .await?
                    .with_context(|| format!("the certificate of {} is not in the directory", peer.uri()))?;
                anyhow::ensure!(record.revoked.is_none(), "the certificate of {} is revoked", peer.uri());
                let mut out = [0; 64];
                let (session, length) = ready.message_4(&AwsLc, &mut out)?;
                tracing::info!(terminal = peer.uri(), limited = peer.limited(), "a session is up");
                self.state = State::Up(Box::new(Up {
                    channel: session.into_channel(&AwsLc, DEFAULT_LIMIT),
                    terminal: Identity::from_urn(peer.uri()).context("the identity is no urn:uuid:")?,
                    not_after: record.not_after,
                }));
                authenticate_answer(frame, request, Step::Four, out.get(..length).unwrap_or_default())
            }
            // An error is never answered with an EDHOC error.
            (_, Step::Error) => Err(tr_auth::Error::Peer(tr_auth::PeerError::Unspecified).into()),
            _ => Err(anyhow!("a step of the handshake came out of place")),
        }
    }

    async fn sealed(&mut self, sealed: &Sealed<'_>) -> Reply {
        let index = sealed.index.get();
        let State::Up(up) = &mut self.state else {
            let error = ErrorAnswer::of(ErrorCode::OutOfPlace);
            return Reply::error(error, false, "a sealed message came before a session was up".to_owned());
        };
        let mut payload = Zeroizing::new(vec![0; sealed.payload.len()]);
        let opened = sealed
            .payload
            .octets(&mut payload)
            .map(drop)
            .map_err(|kind| format!("{kind:?}"))
            .and_then(|()| {
                let routing = up.channel.own_connection;
                let opened = up
                    .channel
                    .receiver
                    .open(&AwsLc, sealed.index.get(), routing.as_bytes(), &mut payload);
                opened.map(|clear| clear.len()).map_err(|error| error.to_string())
            });
        let length = match opened {
            Ok(length) => length,
            Err(error) => {
                let terminal = urn(up.terminal);
                let reason = format!("a sealed message in the session of {terminal} does not open: {error}");
                return Reply::error(ErrorAnswer::of(ErrorCode::AuthenticationFailed), false, reason);
            }
        };
        let clear = payload.get(..length).unwrap_or_default();
        let (answer, reason) = match self.inner(clear).await {
            Ok(answer) => (Ok(answer), None),
            Err(bad) => {
                let (error, reason, ends) = bad.to_error();
                let answer = self.core.error(error.as_answer());
                if ends {
                    return self.seal_last(answer, reason);
                }
                (answer, Some(reason))
            }
        };
        if index > 0 {
            // The sign-on is message 0.
            crash_point("answering");
        }
        self.seal(answer, reason)
    }

    /// Seals an answer into the session.
    fn seal(&mut self, answer: Result<Vec<u8>>, reason: Option<String>) -> Reply {
        let State::Up(up) = &mut self.state else {
            return Reply::error(ErrorAnswer::of(ErrorCode::OutOfPlace), false, String::new());
        };
        match answer.and_then(|answer| seal(&mut up.channel, &answer)) {
            Ok(frame) => Reply {
                frame,
                end: false,
                reason,
            },
            Err(error) => {
                self.state = State::Fresh;
                let failed = ErrorAnswer::of(ErrorCode::Failed);
                Reply::error(failed, false, format!("an answer could not be sealed: {error:#}"))
            }
        }
    }

    /// Seals the session's last answer: what was said in it cannot be trusted to go on.
    fn seal_last(&mut self, answer: Result<Vec<u8>>, reason: String) -> Reply {
        let reply = self.seal(answer, Some(reason));
        self.state = State::Fresh;
        reply
    }

    /// Answers the frames of one sealed message.
    async fn inner(&self, clear: &[u8]) -> Result<Vec<u8>, Bad> {
        let State::Up(up) = &self.state else {
            return Err(Bad::Sender(anyhow!("no session")));
        };
        let (frame, rest) = Frame::parse(clear).map_err(Bad::Message)?;
        let message = Inner::parse(&frame).map_err(Bad::Message)?;
        let digest = digest(&frame);
        let (Some(command), Some(terminal)) = (message.command(digest), message.terminal()) else {
            return Err(Bad::Sender(anyhow!("a {} that is no command", frame.verb())));
        };
        let id = command.id;
        if terminal != up.terminal {
            let (named, own) = (urn(terminal), urn(up.terminal));
            return Err(Bad::Sender(anyhow!(
                "a command names the terminal {named}, the session's is {own}"
            )));
        }
        let here = |error: anyhow::Error| Bad::Here(error, id, digest);
        let standing = self.signer(up, &frame, here).await?;

        let data = if rest.is_empty() {
            None
        } else {
            Some(Frame::parse_exact(rest).map_err(Bad::Message)?)
        };
        let card = match data.as_ref().map(Inner::parse).transpose().map_err(Bad::Message)? {
            None => None,
            Some(Inner::Card(card)) => Some(card),
            Some(_) => return Err(Bad::OutOfPlace(id, digest)),
        };
        let now = clock::now();
        let to = To {
            id,
            digest,
            now,
            original: command.action.original(),
        };
        let (request, pan) = match (&message, card) {
            (Inner::SignOn(_), None) => {
                if standing == Standing::Revoked {
                    return Err(Bad::Sender(anyhow!("{} is revoked", urn(terminal))));
                }
                let record = self
                    .core
                    .store
                    .terminal(&urn(terminal))
                    .await
                    .map_err(|error| here(error.into()))?;
                let record = record
                    .with_context(|| format!("{} is not registered", urn(terminal)))
                    .map_err(Bad::Sender)?;
                return self.core.signed_on(&to, &record).map_err(here);
            }
            (Inner::Authorise(sale), Some(card)) => {
                check_data(&card, id, digest, sale.track_hash, sale.pin_hash)?;
                let read = self.card(&card).map_err(here)?;
                let amount = i64::try_from(sale.amount.minor_units()).map_err(|error| here(error.into()))?;
                let asked = Authorise {
                    amount,
                    currency: sale.currency,
                    partial: sale.partial,
                    verdict: read.verdict,
                    check_key_version: read.check_key_version,
                };
                (Request::Authorise(asked), read.pan)
            }
            (Inner::Balance(query), Some(card)) => {
                check_data(&card, id, digest, query.track_hash, query.pin_hash)?;
                let read = self.card(&card).map_err(here)?;
                // A card that cannot be trusted has no balance to tell; an unknown number has none either.
                let trusted = self.is_as_issued(&read).await.map_err(here)?;
                (Request::Balance, read.pan.filter(|_| trusted))
            }
            (Inner::Reversal(reversal), None) => (
                Request::Reversal {
                    original: reversal.original,
                },
                None,
            ),
            (Inner::Status(query), None) => (
                Request::Status {
                    original: query.original,
                },
                None,
            ),
            _ => return Err(Bad::OutOfPlace(id, digest)),
        };
        let submission = Submission {
            terminal: urn(terminal),
            command: Command {
                id,
                digest,
                standing,
                request,
            },
            card: pan,
            evidence: frame.as_bytes().to_vec(),
            now,
        };
        let core = Arc::clone(&self.core);
        let sign = Box::new(move |data: &_| core.answer(&to, data).map_err(|error| SignFailed(format!("{error:#}"))));
        match self
            .core
            .store
            .execute(submission, sign)
            .await
            .map_err(|error| here(error.into()))?
        {
            Executed::Answered { answer, repeated } => {
                tracing::info!(terminal = %urn(terminal), id = id.get(), verb = frame.verb(), repeated, "answered");
                Ok(answer)
            }
            Executed::Refused(refusal) => {
                tracing::info!(terminal = %urn(terminal), id = id.get(), verb = frame.verb(), ?refusal, "refused");
                self.core
                    .error(ErrorAnswer::of(ErrorCode::from(refusal)).to(id, digest))
                    .map_err(here)
            }
        }
    }

    /// Verifies the terminal's signature, and finds out what its certificate allows now.
    async fn signer(&self, up: &Up, frame: &Frame<'_>, here: impl Fn(anyhow::Error) -> Bad) -> Result<Standing, Bad> {
        let signature = frame
            .signature(1)
            .ok_or_else(|| Bad::Sender(anyhow!("a command without its signature")))?;
        let record = self.core.store.certificate(signature.certificate.0).await;
        let record = record.map_err(|error| here(error.into()))?;
        let terminal = urn(up.terminal);
        let record = record.filter(|record| record.subject == terminal);
        let record = record
            .ok_or_else(|| Bad::Sender(anyhow!("a command of {terminal} names a certificate that is not its")))?;
        let view = Certificate::parse(&record.der).map_err(|error| Bad::Sender(error.into()))?;
        AwsLc
            .verify(view.public_key(), signature.signed, &signature.signature)
            .map_err(|_| Bad::Sender(anyhow!("the signature on a command of {terminal} does not verify")))?;
        let now = clock::now();
        Ok(if record.revoked.is_some() {
            Standing::Revoked
        } else if now > record.not_after || now > up.not_after {
            Standing::Limited
        } else {
            Standing::Full
        })
    }

    /// The number of the card, and what is wrong with it apart from what the ledger knows: a stripe that is
    /// not of our layout, or a check value that the HSM does not confirm.
    fn card(&self, card: &Card<'_>) -> Result<ReadCard> {
        let of = |pan, verdict| ReadCard {
            pan,
            verdict,
            check_key_version: None,
        };
        let Ok(track) = Track2::parse(card.track.expose().as_str()) else {
            return Ok(of(None, Some(Rule::CheckValue)));
        };
        let Ok(pan) = Pan::new(track.pan().expose_digits()) else {
            return Ok(of(None, Some(Rule::CheckValue)));
        };
        let ours = match OurCard::from_track2(&track) {
            Ok(ours) => ours,
            // Another issuer's card is unknown here, which the ledger says.
            Err(error) if error.kind == TrackErrorKind::Issuer => return Ok(of(Some(pan), None)),
            Err(_) => return Ok(of(Some(pan), Some(Rule::CheckValue))),
        };
        let version = u32::from(ours.key_version());
        if !self.is_genuine(&ours, version)? {
            return Ok(of(Some(pan), Some(Rule::CheckValue)));
        }
        Ok(ReadCard {
            pan: Some(pan),
            verdict: None,
            check_key_version: Some(version),
        })
    }

    /// Whether nothing is wrong with the card, and its check value is of the key that it was issued under. For a sale the
    /// ledger compares the keys itself, among what it loads of the card anyway.
    async fn is_as_issued(&self, read: &ReadCard) -> Result<bool> {
        let (Some(pan), None) = (&read.pan, read.verdict) else {
            return Ok(false);
        };
        let issued = self.core.store.card(pan.clone()).await?;
        Ok(issued.is_none_or(|issued| {
            read.check_key_version
                .is_none_or(|version| version == issued.check_key_version)
        }))
    }

    /// Whether the HSM confirms the check value. That it cannot be asked is an error, never a card's fault.
    fn is_genuine(&self, card: &OurCard, version: u32) -> Result<bool> {
        let digits = card.expiry().digits();
        let data = tr_hsm::CardData::new(card.pan().expose_digits().as_bytes(), &digits, &service_code().digits());
        let Some((data, version)) = data.ok().zip(Version::new(version)) else {
            return Ok(false);
        };
        let key = hsm::CARD_CHECK.at(version);
        match self
            .core
            .hsm
            .verify_check_value(key, &data, card.check_value().expose_digits())
        {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::AuthenticationFailed | ErrorKind::NotFound | ErrorKind::BadInput => Ok(false),
                _ => Err(error.into()),
            },
        }
    }
}

/// What a D frame's card is, before the ledger is asked.
struct ReadCard {
    pan: Option<Pan>,
    verdict: Option<Rule>,
    /// The key of a check value that is good.
    check_key_version: Option<u32>,
}

/// The D frame must be the one that the signed command means. PINs are not taken yet: one that came is refused, since
/// nobody would verify it.
fn check_data(
    card: &Card<'_>,
    id: TransactionId,
    digest: Digest,
    track: Digest,
    pin: Option<Digest>,
) -> Result<(), Bad> {
    if pin.is_some() || card.pin_block.is_some() {
        return Err(Bad::OutOfPlace(id, digest));
    }
    let salt: Option<[u8; 16]> = card.track_salt.expose().array();
    let hash = salt.map(|salt| AwsLc.sha256(&[&salt, card.track.expose().as_str().as_bytes()]));
    if card.id != id || hash != Some(track.0) {
        return Err(Bad::Sender(anyhow!(
            "the D frame is not the one that the command means"
        )));
    }
    Ok(())
}

/// An error answer that owns what it says.
struct Owned {
    error: Option<tr_protocol::Error>,
    code: ErrorCode,
    to: Option<(TransactionId, Digest)>,
}

impl Owned {
    fn as_answer(&self) -> ErrorAnswer<'_> {
        let answer = match &self.error {
            Some(error) => ErrorAnswer::about(error),
            None => ErrorAnswer::of(self.code),
        };
        match self.to {
            Some((id, digest)) => answer.to(id, digest),
            None => answer,
        }
    }
}

impl Bad {
    /// What to answer, what to log, and whether the session ends.
    fn to_error(&self) -> (Owned, String, bool) {
        let of = |code, to| Owned { error: None, code, to };
        match self {
            Bad::Sender(reason) => (
                of(ErrorCode::AuthenticationFailed, None),
                format!("refused: {reason:#}"),
                true,
            ),
            Bad::Message(error) => {
                let owned = Owned {
                    error: Some(*error),
                    code: ErrorCode::Failed,
                    to: None,
                };
                (owned, format!("a sealed message is malformed: {error}"), true)
            }
            Bad::OutOfPlace(id, digest) => {
                let owned = of(ErrorCode::OutOfPlace, Some((*id, *digest)));
                (
                    owned,
                    "a command came with a wrong D frame, or without one".to_owned(),
                    true,
                )
            }
            Bad::Here(reason, id, digest) => (
                of(ErrorCode::Failed, Some((*id, *digest))),
                format!("failed: {reason:#}"),
                false,
            ),
        }
    }
}

impl Reply {
    fn error(error: ErrorAnswer<'_>, end: bool, reason: String) -> Self {
        let mut buffer = [0; MAX_FRAME];
        let frame = error.encode(&mut buffer).and_then(|encoder| encoder.finish());
        let frame = frame.map(|frame| frame.as_bytes().to_vec()).unwrap_or_default();
        Reply {
            frame,
            end,
            reason: Some(reason),
        }
    }
}

/// An opaque refusal of a request; the reason is for the log.
fn refuse(id: TransactionId, frame: &Frame<'_>, reason: String) -> Reply {
    Reply::error(
        ErrorAnswer::of(ErrorCode::AuthenticationFailed).to(id, digest(frame)),
        true,
        reason,
    )
}

/// An EDHOC error message (RFC 9528 §6): ERR_CODE 2 or 3 where the RFC needs them, else code 1 with one fixed text. The
/// reason is for the log.
fn refuse_handshake(frame: &Frame<'_>, request: &Authenticate<'_>, error: &anyhow::Error) -> Reply {
    let reason = format!("handshake refused: {error:#}");
    // What is not EDHOC's own, such as a revocation, must look like the rest.
    let edhoc = error.downcast_ref().unwrap_or(&tr_auth::Error::Usage);
    let mut out = [0; MAX_ERROR_MESSAGE];
    let message = edhoc
        .write_message(&mut out)
        .ok()
        .flatten()
        .and_then(|length| out.get(..length));
    match message.map(|message| authenticate_answer(frame, request, Step::Error, message)) {
        Some(Ok(frame)) => Reply {
            frame,
            end: true,
            reason: Some(reason),
        },
        // The device gave up: an error is never answered with an error.
        _ => refuse(request.id, frame, reason),
    }
}

fn authenticate_answer(frame: &Frame<'_>, request: &Authenticate<'_>, step: Step, message: &[u8]) -> Result<Vec<u8>> {
    let answer = AuthenticateAnswer {
        digest: digest(frame),
        message: Binary::new(message).context("an empty message")?,
        re: request.id,
        step,
        extra: Extra::default(),
    };
    let mut buffer = [0; MAX_FRAME];
    Ok(answer.encode(&mut buffer)?.finish()?.as_bytes().to_vec())
}

fn seal(channel: &mut Channel, clear: &[u8]) -> Result<Vec<u8>> {
    let mut work = [0; MAX_INNER + OVERHEAD];
    let place = work.get_mut(..clear.len()).context("the answer is too long")?;
    place.copy_from_slice(clear);
    let routing = channel.peer_connection;
    let sealed = channel
        .sender
        .seal(&AwsLc, routing.as_bytes(), &mut work, clear.len())?;
    let message = Sealed {
        index: Number::new(sealed.index).context("an index out of range")?,
        payload: work
            .get(..sealed.len)
            .and_then(Binary::new)
            .context("an empty payload")?,
        extra: Extra::default(),
    };
    let mut buffer = [0; MAX_FRAME];
    Ok(message.encode(&mut buffer)?.finish()?.as_bytes().to_vec())
}

fn urn(identity: Identity) -> String {
    String::from_utf8_lossy(&identity.to_urn()).into_owned()
}
