//! The terminal in the hands of people in a hurry, behind a line that says anything, before a backend that has valid keys
//! and says anything under its seal.
//!
//! Only the curve is left out: its operations always succeed, so a run costs microseconds, and what a run can reach does
//! not depend on signatures that a fuzzer cannot guess. Hashes, seals and certificates are real.
#![no_main]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tr_auth::channel::{DEFAULT_LIMIT, OVERHEAD};
use tr_auth::{Channel, ConnectionId, Crypto, CryptoError, Expected, Identity, Responder, WaitMessage3};
use tr_auth_rustcrypto::{HmacKey, RustCrypto};
use tr_hsm::{Device, ErrorKind, KeyRef, Label, Module};
use tr_pki::{BadSignature, Certificate, Role, Time as Validity, Verifier};
use tr_protocol::frame::{Frame, MAX_FRAME};
use tr_protocol::message::{AuthenticateAnswer, Extra, Inner, Message, Outer, ReversalReason, Sealed, Step};
use tr_protocol::value::{Amount, Binary, Currency, Digest, Number, Time, TransactionId};
use tr_terminal::memory::{MAX_SEALED, Memory};
use tr_terminal::{Error, Event, Output, Sale, Swiped, Terminal};

const TRACE: &str = include_str!("../../docs/vectors/authentication/suite-21-by-value.json");
const NOW: i64 = 1_795_219_200;
/// In range, and the one signature that does not verify when its first octet is another.
const SIGNATURE: [u8; 64] = [1; 64];

fn value(name: &str) -> Vec<u8> {
    let key = format!("\"{name}\": \"");
    let start = TRACE.find(&key).expect(name) + key.len();
    let text = TRACE[start..].split('"').next().unwrap_or_default();
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(octet).collect()
}

static CERTIFICATES: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| [value("anchor"), value("CRED_I"), value("CRED_R")]);

/// RustCrypto without the curve.
#[derive(Clone, Copy)]
struct NoCurve;

impl Verifier for NoCurve {
    fn verify(&self, _: &[u8; 65], _: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        if *signature == [2; 64] {
            Err(BadSignature)
        } else {
            Ok(())
        }
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        RustCrypto.sha256(parts)
    }
}

impl Crypto for NoCurve {
    type Ephemeral = ();
    type HmacKey = HmacKey;

    fn ephemeral(&self, random: &[u8; 32]) -> Result<((), [u8; 32]), CryptoError> {
        Ok(((), *random))
    }

    fn agree(&self, (): &(), _: &[u8; 32]) -> Result<tr_auth::Secret, CryptoError> {
        Ok(tr_auth::Secret::new([5; 32]))
    }

    fn verify_digest(&self, _: &[u8; 65], _: &[u8; 32], _: &[u8; 64]) -> Result<(), CryptoError> {
        Ok(())
    }

    fn hmac_key(&self, key: &[u8]) -> HmacKey {
        RustCrypto.hmac_key(key)
    }

    fn hmac(&self, key: &HmacKey, parts: &[&[u8]]) -> tr_auth::Secret {
        RustCrypto.hmac(key, parts)
    }

    fn seal(&self, key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], text: &mut [u8]) -> Result<[u8; 16], CryptoError> {
        RustCrypto.seal(key, nonce, aad, text)
    }

    fn open(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), CryptoError> {
        RustCrypto.open(key, nonce, aad, text, tag)
    }
}

/// Signs and seals with nothing.
struct Plain;

#[derive(Debug)]
struct PlainError;

impl core::fmt::Display for PlainError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("refused")
    }
}

impl core::error::Error for PlainError {}

impl tr_hsm::Error for PlainError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}

impl Module for Plain {
    type Error = PlainError;
}

impl Device for Plain {
    fn public_key(&self, _: KeyRef) -> Result<[u8; 65], PlainError> {
        Ok([4; 65])
    }

    fn sign(&self, _: KeyRef, _: &[u8]) -> Result<[u8; 64], PlainError> {
        Ok(SIGNATURE)
    }

    fn agree(&self, _: KeyRef, _: &[u8; 65], _: &mut tr_hsm::Secret) -> Result<(), PlainError> {
        Err(PlainError)
    }

    fn seal<'o>(&self, _: Label, _: &[u8], clear: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], PlainError> {
        let out = out.get_mut(..clear.len()).ok_or(PlainError)?;
        out.copy_from_slice(clear);
        Ok(out)
    }

    fn unseal<'o>(&self, _: Label, _: &[u8], sealed: &[u8], out: &'o mut [u8]) -> Result<&'o mut [u8], PlainError> {
        let out = out.get_mut(..sealed.len()).ok_or(PlainError)?;
        out.copy_from_slice(sealed);
        Ok(out)
    }
}

impl tr_pki::Signer for Plain {
    type Error = Infallible;

    fn public_key(&self) -> Result<[u8; 65], Infallible> {
        Ok([4; 65])
    }

    fn sign(&self, _: &[u8]) -> Result<[u8; 64], Infallible> {
        Ok(SIGNATURE)
    }
}

enum Session {
    Fresh,
    Message3(WaitMessage3),
    Up(Box<Channel>),
}

struct World {
    terminal: Terminal<'static, Plain, NoCurve>,
    saved: Vec<u8>,
    sent: VecDeque<Vec<u8>>,
    session: Session,
    /// Id and digest of the newest command that came.
    asked: Option<(TransactionId, Digest)>,
    connections: u8,
}

fn label() -> Label {
    Label::new("key").expect("a label")
}

fn machine(memory: Memory) -> Terminal<'static, Plain, NoCurve> {
    Terminal::new(&Plain, label().newest(), NoCurve, memory).expect("the trace's certificate")
}

fn text(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for three in octets.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            out.push(char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]));
        }
    }
    out
}

impl World {
    fn new() -> Self {
        let [anchor, own, _] = &*CERTIFICATES;
        let memory = Memory::new::<Infallible>(own, anchor, NOW).expect("short certificates");
        let mut sealed = [0; MAX_SEALED];
        let saved = memory.seal(&Plain, label(), &mut sealed).expect("room").to_vec();
        World {
            terminal: machine(memory),
            saved,
            sent: VecDeque::new(),
            session: Session::Fresh,
            asked: None,
            connections: 0,
        }
    }

    /// Does what the machine says until it is idle or shows an answer.
    fn run(&mut self) {
        loop {
            let pending = self.terminal.pending().map(|(command, _)| command.to_vec());
            match self.terminal.poll() {
                Output::Idle => return,
                Output::Save => {
                    let mut sealed = [0; MAX_SEALED];
                    let memory = self.terminal.memory();
                    self.saved = memory.seal(&Plain, label(), &mut sealed).expect("room").to_vec();
                    self.terminal.saved();
                }
                Output::Send(octets) => {
                    assert!(octets.len() <= MAX_FRAME);
                    self.sent.push_back(octets.to_vec());
                    self.terminal.sent();
                }
                Output::Event(Event::Answer(answer)) => {
                    assert_eq!(Some(answer.command.as_bytes()), pending.as_deref());
                    assert_eq!(answer.answer.signature_count(), 1);
                    return;
                }
                Output::Event(Event::Online(_)) => {}
                Output::Event(Event::Dropped(dropped)) => {
                    assert!(!dropped.to_string().is_empty());
                    self.terminal.disconnected();
                }
            }
        }
    }

    fn input(&mut self, octets: &[u8]) {
        let pending = self.terminal.pending().map(|(command, data)| [command, data].concat());
        let next_id = self.terminal.memory().next_id();
        // A low-water mark at the end of all ids stops the terminal: the backend may do that.
        let taken = self.terminal.handle_input(octets);
        assert!(matches!(taken, Ok(()) | Err(Error::IdsExhausted)), "{taken:?}");
        let after = self.terminal.pending().map(|(command, data)| [command, data].concat());
        assert_eq!(pending, after, "what arrives never changes what is pending");
        assert!(next_id <= self.terminal.memory().next_id());
    }

    /// The backend reads what was sent, and answers a handshake.
    fn backend(&mut self) {
        let Some(octets) = self.sent.pop_front() else { return };
        let frame = Frame::parse_exact(&octets).expect("the terminal's own frame");
        match Outer::parse(&frame).expect("the terminal's own message") {
            Outer::Authenticate(request) => {
                let mut message = vec![0; request.message.len()];
                request.message.octets(&mut message).expect("room");
                let mut out = [0; 4096];
                let [anchor, _, own] = &*CERTIFICATES;
                let (step, length) = match std::mem::replace(&mut self.session, Session::Fresh) {
                    Session::Message3(state) if request.step == Step::Three => {
                        let expected = Expected {
                            anchors: &[Certificate::parse(anchor).expect("the anchor")],
                            roles: &[Role::Pos],
                            time: Validity::known(NOW),
                            grace: 0,
                            own,
                            understood: &[],
                        };
                        let ready = state.process(&NoCurve, &mut message, &expected).expect("message 3");
                        let (session, length) = ready.message_4(&NoCurve, &mut out).expect("message 4");
                        self.session = Session::Up(Box::new(session.into_channel(&NoCurve, DEFAULT_LIMIT)));
                        (Step::Four, length)
                    }
                    _ if request.step == Step::One => {
                        let identity = Identity {
                            chain: &[&own[..]],
                            signer: &Plain,
                        };
                        let mut random = [0xB0; 32];
                        random[0] = self.connections;
                        let connection = ConnectionId::new(&[1]).expect("short");
                        let (state, length) =
                            Responder::respond(&NoCurve, &identity, &message, &random, connection, &[], &mut out)
                                .expect("message 2");
                        self.session = Session::Message3(state);
                        (Step::Two, length)
                    }
                    _ => return,
                };
                let answer = AuthenticateAnswer {
                    digest: Digest([0; 32]),
                    message: Binary::new(&out[..length]).expect("a message"),
                    re: request.id,
                    step,
                    extra: Extra::default(),
                };
                let mut buffer = [0; MAX_FRAME];
                let answer = answer.encode(&mut buffer).and_then(|encoder| encoder.finish());
                self.input(answer.expect("room").as_bytes());
            }
            Outer::Sealed(sealed) => {
                let Session::Up(channel) = &mut self.session else {
                    return;
                };
                let mut payload = vec![0; sealed.payload.len()];
                sealed.payload.octets(&mut payload).expect("room");
                let routing = channel.own_connection;
                let opened = channel
                    .receiver
                    .open(&NoCurve, sealed.index.get(), routing.as_bytes(), &mut payload);
                let Ok(clear) = opened else { return };
                let (frame, _) = Frame::parse(clear).expect("the terminal's own command");
                let digest = Digest(NoCurve.sha256(&[frame.before_signatures()]));
                let message = Inner::parse(&frame).expect("the terminal's own command");
                self.asked = message.command(digest).map(|command| (command.id, digest));
            }
            _ => panic!("a terminal sends nothing else"),
        }
    }

    /// Seals content; 1, 2 and 3 in it stand for the digest and the id of what was asked, and for a signature.
    fn say(&mut self, content: &[u8]) {
        let Session::Up(channel) = &mut self.session else {
            return;
        };
        let mut clear = Vec::new();
        for octet in content {
            match (octet, self.asked) {
                (1, Some((_, digest))) => clear.extend(text(&digest.0).bytes()),
                (2, Some((id, _))) => clear.extend(id.get().to_string().bytes()),
                (3, _) => {
                    let certificate = text(channel_certificate());
                    clear.extend(format!("~1={certificate}.{}\n\n", text(&SIGNATURE)).bytes());
                }
                (octet, _) => clear.push(*octet),
            }
        }
        clear.truncate(5900);
        let length = clear.len();
        clear.resize(length + OVERHEAD, 0);
        let routing = channel.peer_connection;
        let sealed = channel.sender.seal(&NoCurve, routing.as_bytes(), &mut clear, length);
        let sealed = sealed.expect("few messages");
        let message = Sealed {
            index: Number::new(sealed.index).expect("small"),
            payload: Binary::new(&clear[..sealed.len]).expect("a tag at least"),
            extra: Extra::default(),
        };
        let mut buffer = [0; MAX_FRAME];
        let frame = message.encode(&mut buffer).and_then(|encoder| encoder.finish());
        self.input(frame.expect("room").as_bytes());
    }

    fn press(&mut self, key: u8) {
        let time = Time::from_unix(NOW).expect("a time");
        let card = Swiped {
            track: ";9070001234567893=29121011234567?",
            salt: [7; 16],
        };
        let next = self.terminal.memory().next_id();
        let terminal = &mut self.terminal;
        match key {
            0 => {
                self.connections = self.connections.wrapping_add(1);
                self.session = Session::Fresh;
                self.sent.clear();
                let mut random = [0xA0; 32];
                random[0] = self.connections;
                terminal.connect(&random).expect("good octets");
            }
            1 => terminal.disconnected(),
            2 => {
                let _ = terminal.authorise(&Sale {
                    amount: Amount::new(1250).expect("an amount"),
                    currency: Currency::new("USD").expect("a currency"),
                    partial: true,
                    card,
                    time,
                });
            }
            3 => drop(terminal.balance(&card, time)),
            4 => drop(terminal.reverse(TransactionId::MIN, ReversalReason::Cancelled, time)),
            5 => drop(terminal.status(TransactionId::MIN, time)),
            6 => drop(terminal.cancel(ReversalReason::Timeout, time)),
            7 => drop(terminal.forget()),
            8 => terminal.acknowledge(),
            _ => {
                let memory = Memory::unseal(&Plain, label(), &self.saved).expect("what was saved");
                assert_eq!(memory.certificate(), CERTIFICATES[1]);
                self.sent.clear();
                self.session = Session::Fresh;
                self.terminal = machine(memory);
                return;
            }
        }
        assert!(next <= self.terminal.memory().next_id());
    }
}

/// SHA-256 of the backend's certificate.
fn channel_certificate() -> &'static [u8; 32] {
    static DIGEST: LazyLock<[u8; 32]> = LazyLock::new(|| RustCrypto.sha256(&[&CERTIFICATES[2]]));
    &DIGEST
}

fuzz_target!(|data: &[u8]| {
    // The record as a malicious disk has it.
    let _ = Memory::unseal(&Plain, label(), data);
    let mut world = World::new();
    let mut data = data;
    // Enough for three sessions, and an end for those who only connect.
    for _ in 0..64 {
        let Some((&what, rest)) = data.split_first() else { break };
        data = rest;
        match what {
            0..=9 => world.press(what),
            10 => world.backend(),
            11 | 12 => {
                let Some((length, rest)) = data.split_first_chunk::<2>() else {
                    break;
                };
                let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
                let (content, rest) = rest.split_at(length);
                data = rest;
                if what == 11 {
                    world.say(content);
                } else {
                    world.input(content);
                }
            }
            _ => continue,
        }
        world.run();
    }
});
