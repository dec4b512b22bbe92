//! The other end of the terminal's line: enough of a backend to answer one sale, with the checks that a backend makes.

use tr_auth::{Channel, WaitMessage3};
use tr_auth_rustcrypto::RustCrypto;
use tr_firmware::work::terminal::Peer;
use tr_firmware::work::{Outcome, auth, check, some};
use tr_firmware::{Key, data};
use tr_pki::{Signer, Verifier};
use tr_protocol::frame::Frame;
use tr_protocol::lifecycle::Outcome as Decided;
use tr_protocol::message::{
    Authenticate, AuthenticateAnswer, Authorise, AuthoriseAnswer, Card, Inner, Message, Outer, Payload, Sealed, SignOn,
    SignOnAnswer, Step,
};
use tr_protocol::value::{ApprovalCode, Binary, Currency, Digest, Number, Text, Time, TransactionId};

pub struct Host {
    key: Key,
    state: State,
    received: [u8; 1024],
    prepared: [u8; auth::BUFFER],
    reply: [u8; 1280],
}

enum State {
    Waiting,
    Handshake(WaitMessage3),
    Up(Channel),
}

impl Host {
    pub fn new(key: Key) -> Self {
        Self {
            key,
            state: State::Waiting,
            received: [0; 1024],
            prepared: [0; auth::BUFFER],
            reply: [0; 1280],
        }
    }

    fn handshake(&mut self, request: &Authenticate<'_>, digest: Digest) -> Outcome<usize> {
        let len = some(request.message.octets(&mut self.received).ok())?.len();
        let message = &mut self.received[..len];
        let out = &mut self.prepared;
        let (len, step) = match (core::mem::replace(&mut self.state, State::Waiting), request.step) {
            (State::Waiting, Step::One) => {
                let (waiting, len) = auth::message_2(&RustCrypto, &self.key, message, out)?;
                self.state = State::Handshake(waiting);
                (len, Step::Two)
            }
            (State::Handshake(waiting), Step::Three) => {
                let (session, len) = auth::message_4(&RustCrypto, waiting, message, out)?;
                self.state = State::Up(auth::channel(&RustCrypto, session));
                (len, Step::Four)
            }
            _ => return check(false).map(|()| 0),
        };
        let message = some(Binary::new(&out[..len]))?;
        let answer = AuthenticateAnswer {
            digest,
            message,
            re: request.id,
            step,
            extra: Default::default(),
        };
        Ok(answer.encode(&mut self.reply)?.finish()?.as_bytes().len())
    }

    fn sealed(&mut self, sealed: &Sealed<'_>) -> Outcome<usize> {
        let State::Up(channel) = &mut self.state else {
            return check(false).map(|()| 0);
        };
        let len = some(sealed.payload.octets(&mut self.received).ok())?.len();
        let routing = channel.own_connection;
        let index = sealed.index.get();
        let opened = channel
            .receiver
            .open(&RustCrypto, index, routing.as_bytes(), &mut self.received[..len])?;
        let payload = Payload::parse(opened)?;
        let signature = some(payload.message.signature(1))?;
        RustCrypto.verify(channel.peer.public_key(), signature.signed, &signature.signature)?;
        let digest = Digest(RustCrypto.sha256(&[payload.message.before_signatures()]));
        let len = match Inner::parse(&payload.message)? {
            Inner::SignOn(command) => answer(&sign_on(&command, digest)?, &self.key, &mut self.prepared)?,
            Inner::Authorise(command) => {
                opens(&command, &some(payload.data)?)?;
                answer(&authorise(&command, digest)?, &self.key, &mut self.prepared)?
            }
            _ => return check(false).map(|()| 0),
        };
        let routing = channel.peer_connection;
        let done = channel
            .sender
            .seal(&RustCrypto, routing.as_bytes(), &mut self.prepared, len)?;
        let payload = some(Binary::new(&self.prepared[..done.len]))?;
        let answer = Sealed {
            index: some(Number::new(done.index))?,
            payload,
            extra: Default::default(),
        };
        Ok(answer.encode(&mut self.reply)?.finish()?.as_bytes().len())
    }
}

impl Peer for Host {
    fn exchange(&mut self, frames: &[u8]) -> Outcome<&[u8]> {
        let frame = Frame::parse_exact(frames)?;
        let len = match Outer::parse(&frame)? {
            Outer::Authenticate(request) => {
                self.handshake(&request, Digest(RustCrypto.sha256(&[frame.before_signatures()])))?
            }
            Outer::Sealed(sealed) => self.sealed(&sealed)?,
            _ => return check(false).map(|()| &[][..]),
        };
        Ok(&self.reply[..len])
    }
}

/// The D frame holds what the signed command holds the hash of.
fn opens(command: &Authorise<'_>, data: &Frame<'_>) -> Outcome {
    let card = Card::parse(data)?;
    let salt = some(card.track_salt.expose().array::<16>())?;
    let hash = RustCrypto.sha256(&[&salt, card.track.expose().as_str().as_bytes()]);
    check(card.id == command.id && hash == command.track_hash.0)
}

fn sign_on(command: &SignOn<'_>, digest: Digest) -> Outcome<SignOnAnswer<'static>> {
    Ok(SignOnAnswer {
        currency: some(Currency::new("USD"))?,
        digest,
        low_water: TransactionId::MIN,
        re: command.id,
        shop: some(Text::new("Self-test").ok())?,
        time: some(Time::from_unix(data::NOW))?,
        extra: Default::default(),
    })
}

fn authorise(command: &Authorise<'_>, digest: Digest) -> Outcome<AuthoriseAnswer<'static>> {
    Ok(AuthoriseAnswer {
        amount: command.amount,
        balance: None,
        cap: None,
        code: ApprovalCode::new(*b"A00001"),
        currency: command.currency,
        digest,
        outcome: Decided::Approved,
        re: command.id,
        rule: None,
        time: command.time,
        would_approve: None,
        extra: Default::default(),
    })
}

/// Writes and signs the answer.
fn answer<'m>(message: &impl Message<'m>, key: &Key, out: &mut [u8]) -> Outcome<usize> {
    let certificate = Digest(RustCrypto.sha256(&[&data::BACKEND]));
    let signing = message.encode(out)?.sign(&certificate)?;
    let signature = key.sign(signing.message())?;
    Ok(signing.append(&signature)?.finish()?.as_bytes().len())
}
