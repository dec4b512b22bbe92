// A backend that keeps its answers, and says other things when a test wants it to.

use std::collections::BTreeMap;

use tr_auth::channel::{DEFAULT_LIMIT, OVERHEAD};
use tr_auth::{Channel, ConnectionId, Expected, Identity, Responder, WaitMessage3, message_buffer};
use tr_auth_rustcrypto::RustCrypto;
use tr_pki::{Certificate, Role, Signer, Time as Validity, Verifier};
use tr_protocol::frame::{Frame, MAX_FRAME, MAX_INNER};
use tr_protocol::lifecycle::Outcome;
use tr_protocol::message::{
    AuthenticateAnswer, AuthoriseAnswer, BalanceAnswer, BalanceOutcome, ErrorAnswer, ErrorCode, Extra, Inner, Message,
    Outer, ReversalAnswer, ReversalResult, Sealed, SignOnAnswer, State, StatusAnswer, Step,
};
use tr_protocol::value::{Amount, ApprovalCode, Binary, Currency, Digest, Number, Text, TransactionId};

use crate::world::{World, time};

pub(crate) struct Backend<'w> {
    pub(crate) world: &'w World,
    session: Session,
    handshakes: u8,
    /// Every command that came under a seal, with what followed it, by id.
    pub(crate) came: BTreeMap<u64, Vec<u8>>,
    /// How often each came.
    pub(crate) times: BTreeMap<u64, usize>,
    answers: BTreeMap<u64, Vec<u8>>,
    pub(crate) low_water: u64,
    /// Said in place of the next answers to anything but a sign-on.
    pub(crate) instead: Vec<Says>,
}

pub(crate) type Says = fn(&Backend<'_>, &Inner<'_>, TransactionId, Digest) -> Vec<u8>;

enum Session {
    Fresh,
    Message3(Box<WaitMessage3>),
    Up(Box<Channel>),
}

impl<'w> Backend<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self {
            world,
            session: Session::Fresh,
            handshakes: 0,
            came: BTreeMap::new(),
            times: BTreeMap::new(),
            answers: BTreeMap::new(),
            low_water: 1,
            instead: Vec::new(),
        }
    }

    /// A new connection.
    pub(crate) fn connected(&mut self) {
        self.session = Session::Fresh;
    }

    /// Answers one outer frame.
    pub(crate) fn handle(&mut self, octets: &[u8]) -> Vec<u8> {
        let answered = self.try_handle(octets);
        answered.unwrap_or_else(|code| {
            self.session = Session::Fresh;
            encode(&ErrorAnswer::of(code))
        })
    }

    fn try_handle(&mut self, octets: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let refused = ErrorCode::AuthenticationFailed;
        let frame = Frame::parse_exact(octets).map_err(|_| ErrorCode::Failed)?;
        match Outer::parse(&frame).map_err(|_| ErrorCode::Failed)? {
            Outer::Authenticate(request) => {
                let mut message = vec![0; request.message.len()];
                request.message.octets(&mut message).map_err(|_| refused)?;
                let mut out = vec![0; message_buffer(&[&self.world.backend], &[])];
                let (step, length) = match core::mem::replace(&mut self.session, Session::Fresh) {
                    Session::Message3(state) if request.step == Step::Three => {
                        let anchor = Certificate::parse(&self.world.issuing).unwrap();
                        let expected = Expected {
                            anchors: &[anchor],
                            roles: &[Role::Pos],
                            time: Validity::known(time().unix()),
                            grace: 0,
                            own: &self.world.backend,
                            understood: &[],
                        };
                        let ready = state
                            .process(&RustCrypto, &mut message, &expected)
                            .map_err(|_| refused)?;
                        let (session, length) = ready.message_4(&RustCrypto, &mut out).map_err(|_| refused)?;
                        self.session = Session::Up(Box::new(session.into_channel(&RustCrypto, DEFAULT_LIMIT)));
                        (Step::Four, length)
                    }
                    _ if request.step == Step::One => {
                        self.handshakes = self.handshakes.wrapping_add(1);
                        let mut random = [0xB0; 32];
                        random[0] = self.handshakes;
                        let chain = [self.world.backend.as_slice()];
                        let identity = Identity {
                            chain: &chain,
                            signer: &self.world.backend_key,
                        };
                        let connection = ConnectionId::new(&[self.handshakes, 1]).unwrap();
                        let (state, length) =
                            Responder::respond(&RustCrypto, &identity, &message, &random, connection, &[], &mut out)
                                .map_err(|_| refused)?;
                        self.session = Session::Message3(Box::new(state));
                        (Step::Two, length)
                    }
                    _ => return Err(ErrorCode::OutOfPlace),
                };
                Ok(encode(&AuthenticateAnswer {
                    digest: digest(&frame),
                    message: Binary::new(&out[..length]).unwrap(),
                    re: request.id,
                    step,
                    extra: Extra::default(),
                }))
            }
            Outer::Sealed(sealed) => {
                let Session::Up(channel) = &mut self.session else {
                    return Err(ErrorCode::OutOfPlace);
                };
                let mut payload = vec![0; sealed.payload.len()];
                sealed.payload.octets(&mut payload).map_err(|_| refused)?;
                let routing = channel.own_connection;
                let clear = channel
                    .receiver
                    .open(&RustCrypto, sealed.index.get(), routing.as_bytes(), &mut payload)
                    .map_err(|_| refused)?
                    .to_vec();
                let answer = self.answer(&clear);
                Ok(self.seal(&answer).unwrap())
            }
            _ => Err(ErrorCode::OutOfPlace),
        }
    }

    /// Answers one command, the same way each time.
    fn answer(&mut self, clear: &[u8]) -> Vec<u8> {
        let (frame, _) = Frame::parse(clear).unwrap();
        let message = Inner::parse(&frame).unwrap();
        let digest = digest(&frame);
        let id = message.command(digest).unwrap().id;
        *self.times.entry(id.get()).or_default() += 1;
        let first = self.came.entry(id.get()).or_insert_with(|| clear.to_vec());
        assert_eq!(first, clear, "id {id} was used for two commands");
        if !matches!(message, Inner::SignOn(_)) && !self.instead.is_empty() {
            let says = self.instead.remove(0);
            return says(self, &message, id, digest);
        }
        if let Some(answer) = self.answers.get(&id.get()) {
            return answer.clone();
        }
        let answer = self.decide(&message, id, digest);
        self.answers.insert(id.get(), answer.clone());
        answer
    }

    pub(crate) fn decide(&self, message: &Inner<'_>, re: TransactionId, digest: Digest) -> Vec<u8> {
        let usd = Currency::new("USD").unwrap();
        match message {
            Inner::SignOn(_) => self.sign(&SignOnAnswer {
                currency: usd,
                digest,
                low_water: TransactionId::new(self.low_water).unwrap(),
                re,
                shop: Text::new("Café Zola").unwrap(),
                time: time(),
                extra: Extra::default(),
            }),
            Inner::Authorise(sale) => self.sign(&approval(sale.amount, re, digest)),
            Inner::Reversal(reversal) => self.sign(&ReversalAnswer {
                amount: None,
                currency: None,
                digest,
                original: reversal.original,
                outcome: ReversalResult::NeverExecuted,
                re,
                time: time(),
                extra: Extra::default(),
            }),
            Inner::Status(status) => self.sign(&StatusAnswer {
                amount: None,
                answer: None,
                code: None,
                currency: None,
                digest,
                original: status.original,
                outcome: None,
                re,
                state: State::NeverExecuted,
                time: time(),
                extra: Extra::default(),
            }),
            Inner::Balance(_) => self.sign(&BalanceAnswer {
                balance: Amount::new(700),
                cap: Amount::new(700),
                currency: usd,
                digest,
                outcome: BalanceOutcome::Told,
                re,
                rule: None,
                time: time(),
                extra: Extra::default(),
            }),
            _ => panic!("no command"),
        }
    }

    pub(crate) fn sign<'m, M: Message<'m>>(&self, message: &M) -> Vec<u8> {
        self.sign_as(message, &RustCrypto.sha256(&[&self.world.backend]))
    }

    pub(crate) fn sign_as<'m, M: Message<'m>>(&self, message: &M, certificate: &[u8; 32]) -> Vec<u8> {
        let mut buffer = [0; MAX_INNER];
        let signing = message
            .encode(&mut buffer)
            .unwrap()
            .sign(&Digest(*certificate))
            .unwrap();
        let signature = self.world.backend_key.sign(signing.message()).unwrap();
        signing
            .append(&signature)
            .unwrap()
            .finish()
            .unwrap()
            .as_bytes()
            .to_vec()
    }

    /// Seals frames into the session, asked or not.
    pub(crate) fn seal(&mut self, clear: &[u8]) -> Option<Vec<u8>> {
        let Session::Up(channel) = &mut self.session else {
            return None;
        };
        let mut work = clear.to_vec();
        work.resize(clear.len() + OVERHEAD, 0);
        let routing = channel.peer_connection;
        let sealed = channel
            .sender
            .seal(&RustCrypto, routing.as_bytes(), &mut work, clear.len())
            .unwrap();
        Some(encode(&Sealed {
            index: Number::new(sealed.index).unwrap(),
            payload: Binary::new(&work[..sealed.len]).unwrap(),
            extra: Extra::default(),
        }))
    }
}

pub(crate) fn approval(amount: Amount, re: TransactionId, digest: Digest) -> AuthoriseAnswer<'static> {
    AuthoriseAnswer {
        amount,
        balance: None,
        cap: None,
        code: ApprovalCode::new(*b"A1B2C3"),
        currency: Currency::new("USD").unwrap(),
        digest,
        outcome: Outcome::Approved,
        re,
        rule: None,
        time: time(),
        would_approve: None,
        extra: Extra::default(),
    }
}

pub(crate) fn digest(frame: &Frame<'_>) -> Digest {
    Digest(RustCrypto.sha256(&[frame.before_signatures()]))
}

pub(crate) fn encode<'m, M: Message<'m>>(message: &M) -> Vec<u8> {
    let mut buffer = [0; MAX_FRAME];
    message
        .encode(&mut buffer)
        .unwrap()
        .finish()
        .unwrap()
        .as_bytes()
        .to_vec()
}
