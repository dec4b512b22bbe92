//! A root, an issuing CA, and the parties below it.

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use tr_auth::{Channel, ConnectionId, Crypto, Error, Expected, Identity, Initiator, Responder, Session};
use tr_auth_rustcrypto::RustCrypto;
use tr_pki::ca::{Authority, Issue, Request, Subject, self_signed};
use tr_pki::{Certificate, Role, Signer, Time};

/// 2026-11-21T00:00:00Z
pub(crate) const NOW: i64 = 1_795_219_200;
pub(crate) const DAY: i64 = 86_400;

/// Signs deterministically (RFC 6979), so that traces repeat.
pub(crate) struct Key(SigningKey);

impl Key {
    pub(crate) fn new(seed: u8) -> Self {
        Self::of(&[seed; 32])
    }

    pub(crate) fn of(scalar: &[u8; 32]) -> Self {
        Self(SigningKey::from_slice(scalar).unwrap())
    }
}

impl Signer for Key {
    type Error = core::convert::Infallible;

    fn public_key(&self) -> Result<[u8; 65], Self::Error> {
        let point = self.0.verifying_key().to_sec1_point(false);
        Ok(point.as_bytes().try_into().unwrap())
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Self::Error> {
        let signature: Signature = self.0.sign(message);
        Ok(signature.normalize_s().to_bytes().into())
    }
}

pub(crate) struct Party {
    pub(crate) key: Key,
    pub(crate) der: Vec<u8>,
}

impl Party {
    pub(crate) fn chain(&self) -> [&[u8]; 1] {
        [&self.der]
    }
}

pub(crate) struct World {
    pub(crate) root: Vec<u8>,
    pub(crate) issuing: Vec<u8>,
    issuing_key: Key,
    numbers: core::cell::Cell<u32>,
}

pub(crate) const BACKEND: &str = "urn:uuid:00000000-0000-4000-8000-00000000000b";
pub(crate) const POS: &str = "urn:uuid:00000000-0000-4000-8000-000000000001";
pub(crate) const CARD: &str = "urn:uuid:00000000-0000-4000-8000-0000000000ca";

impl World {
    pub(crate) fn new(seed: u8) -> Self {
        let (root_key, issuing_key) = (Key::new(seed), Key::new(seed + 1));
        let issue = |number| Issue {
            number,
            random: [seed; 12],
            not_before: NOW - 200 * DAY,
            lifetime: None,
        };
        let root = self_signed(Role::Root, "root", &issue(1), &root_key, &RustCrypto).unwrap();
        let request = Request {
            role: Role::IssuingCa,
            public_key: &issuing_key.public_key().unwrap(),
            subject: Subject::Authority { name: "CA" },
        };
        let issuing = Authority::new(Certificate::parse(&root).unwrap(), &root_key)
            .unwrap()
            .issue(&request, &issue(2), &RustCrypto)
            .unwrap();
        Self {
            root,
            issuing,
            issuing_key,
            numbers: core::cell::Cell::new(1),
        }
    }

    pub(crate) fn party(&self, role: Role, identity: &str, seed: u8, not_before: i64) -> Party {
        let key = Key::new(seed);
        let request = Request {
            role,
            public_key: &key.public_key().unwrap(),
            subject: Subject::Entity { identity, hosts: &[] },
        };
        let number = self.numbers.get();
        self.numbers.set(number + 1);
        let issue = Issue {
            number,
            random: [seed; 12],
            not_before,
            lifetime: None,
        };
        let der = Authority::new(Certificate::parse(&self.issuing).unwrap(), &self.issuing_key)
            .unwrap()
            .issue(&request, &issue, &RustCrypto)
            .unwrap();
        Party { key, der }
    }

    pub(crate) fn pos(&self) -> Party {
        self.party(Role::Pos, POS, 11, NOW - DAY)
    }

    pub(crate) fn backend(&self) -> Party {
        self.party(Role::Backend, BACKEND, 12, NOW - DAY)
    }

    pub(crate) fn anchor(&self) -> [Certificate<'_>; 1] {
        [Certificate::parse(&self.issuing).unwrap()]
    }
}

pub(crate) fn expected<'a>(anchors: &'a [Certificate<'a>], roles: &'a [Role], own: &'a Party) -> Expected<'a> {
    Expected {
        anchors,
        roles,
        time: Time::known(NOW),
        grace: 0,
        own: &own.der,
        understood: &[],
    }
}

pub(crate) const X: [u8; 32] = *b"the initiator's ephemeral secret";
pub(crate) const Y: [u8; 32] = *b"the responder's ephemeral secret";

pub(crate) fn c_i() -> ConnectionId {
    ConnectionId::new(&[0x2d]).unwrap()
}

pub(crate) fn c_r() -> ConnectionId {
    ConnectionId::new(&[0x18]).unwrap()
}

/// One handshake and its four messages.
pub(crate) struct Run {
    pub(crate) initiator: Session,
    pub(crate) responder: Session,
    pub(crate) messages: [Vec<u8>; 4],
}

/// A handshake in which `alter` may change each message on its way.
pub(crate) fn handshake<I: Crypto, R: Crypto>(
    (i, r): (&I, &R),
    (initiator, responder): (&Party, &Party),
    (by_initiator, by_responder): (&Expected<'_>, &Expected<'_>),
    mut alter: impl FnMut(usize, &mut Vec<u8>),
) -> Result<Run, (usize, Error)> {
    let mut buffer = [0; 4096];
    let mut messages: [Vec<u8>; 4] = Default::default();
    let mut send = |number: usize, octets: &[u8]| {
        messages[number - 1] = octets.to_vec();
        let mut message = octets.to_vec();
        alter(number, &mut message);
        message
    };

    let (waiting_2, len) = Initiator::start(i, &X, c_i(), &mut buffer).map_err(|e| (0, e))?;
    let message_1 = send(1, &buffer[..len]);

    let chain = responder.chain();
    let identity = Identity {
        chain: &chain,
        signer: &responder.key,
    };
    let (waiting_3, len) =
        Responder::respond(r, &identity, &message_1, &Y, c_r(), &[], &mut buffer).map_err(|e| (1, e))?;
    let mut message_2 = send(2, &buffer[..len]);

    let ready_3 = waiting_2.process(i, &mut message_2, by_initiator).map_err(|e| (2, e))?;
    let chain = initiator.chain();
    let identity = Identity {
        chain: &chain,
        signer: &initiator.key,
    };
    let (waiting_4, len) = ready_3.message_3(i, &identity, &[], &mut buffer).map_err(|e| (2, e))?;
    let mut message_3 = send(3, &buffer[..len]);

    let ready_4 = waiting_3.process(r, &mut message_3, by_responder).map_err(|e| (3, e))?;
    let (responder, len) = ready_4.message_4(r, &mut buffer).map_err(|e| (3, e))?;
    let mut message_4 = send(4, &buffer[..len]);

    let initiator = waiting_4.process(i, &mut message_4).map_err(|e| (4, e))?;
    Ok(Run {
        initiator,
        responder,
        messages,
    })
}

/// An ordinary handshake of a POS with a backend.
pub(crate) fn ordinary<I: Crypto, R: Crypto>(i: &I, r: &R) -> Run {
    let world = World::new(1);
    let (pos, backend) = (world.pos(), world.backend());
    let anchor = world.anchor();
    handshake(
        (i, r),
        (&pos, &backend),
        (
            &expected(&anchor, &[Role::Backend], &pos),
            &expected(&anchor, &[Role::Pos], &backend),
        ),
        |_, _| {},
    )
    .map_err(|(number, error)| format!("message {number}: {error}"))
    .unwrap()
}

/// The two ends of a channel.
pub(crate) fn channels<const W: usize>(limit: u64) -> (Channel<W>, Channel<W>) {
    let run = ordinary(&RustCrypto, &RustCrypto);
    (
        run.initiator.into_channel(&RustCrypto, limit),
        run.responder.into_channel(&RustCrypto, limit),
    )
}
