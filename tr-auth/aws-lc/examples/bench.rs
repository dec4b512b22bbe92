//! A handshake of both sides beside the sum of its primitives, and one message of the channel, for both providers.
//!
//! `cargo run --release -p tr-auth-aws-lc --example bench`
//!
//! Each figure is the best of several rounds, so that other programs on the machine count as little as may be.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints what its clock says, and stops when something fails"
)]

use core::hint::black_box;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use tr_auth::channel::{OVERHEAD, Receiver, Sender};
use tr_auth::{ConnectionId, Crypto, Expected, Identity, Initiator, Responder, Secret};
use tr_auth_aws_lc::AwsLc;
use tr_auth_rustcrypto::RustCrypto;
use tr_pki::ca::{Authority, Issue, Request, Subject, self_signed};
use tr_pki::{Certificate, Role, Signer, Time};

const NOW: i64 = 1_795_219_200;
const ROUNDS: u32 = 25;

fn main() {
    println!("one core, microseconds, best of {ROUNDS} rounds\n");
    measure("aws-lc-rs", &AwsLc, AwsKey::new);
    measure("RustCrypto", &RustCrypto, RustKey::new);
}

fn measure<C: Crypto, S: Signer>(name: &str, crypto: &C, key: impl Fn(u8) -> S) {
    let world = World::new(crypto, &key);
    println!("{name}");
    let handshake = time(20, || {
        black_box(world.handshake(crypto));
    });
    let sum = world.primitives(crypto);
    println!("  handshake, both sides            {handshake:8.1}");
    println!("  sum of its curve operations      {sum:8.1}");
    println!("  ratio                            {:8.3}", handshake / sum);
    for size in [0, 256, 1024] {
        println!("  key step, seal and open, {size:4} B  {:8.3}", message(crypto, size));
    }
    println!();
}

/// Microseconds of one call: the best of several rounds of `calls`.
fn time(calls: u32, mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

fn message<C: Crypto>(crypto: &C, size: usize) -> f64 {
    let mut sender = Sender::new(Secret::new([7; 32]), u64::MAX);
    let mut receiver = Receiver::<16>::new(Secret::new([7; 32]), u64::MAX);
    let mut buffer = vec![0; size + OVERHEAD];
    time(2000, || {
        let sealed = sender.seal(crypto, b"routing", &mut buffer, size).unwrap();
        let opened = receiver.open(crypto, sealed.index, b"routing", &mut buffer).unwrap();
        black_box(opened);
    })
}

struct World<S> {
    anchor: Vec<u8>,
    pos: (S, Vec<u8>),
    backend: (S, Vec<u8>),
}

impl<S: Signer> World<S> {
    fn new<C: Crypto>(crypto: &C, key: &impl Fn(u8) -> S) -> Self {
        let issue = |number| Issue {
            number,
            random: [7; 12],
            not_before: NOW - 3600,
            lifetime: None,
        };
        let (root_key, ca_key, pos_key, backend_key) = (key(1), key(2), key(11), key(12));
        let root = self_signed(Role::Root, "root", &issue(1), &root_key, crypto)
            .ok()
            .unwrap();
        let certify = |ca: &[u8], ca_key: &S, role, key: &S, subject, number| {
            let public_key = key.public_key().ok().unwrap();
            let request = Request {
                role,
                public_key: &public_key,
                subject,
            };
            let authority = Authority::new(Certificate::parse(ca).unwrap(), ca_key).ok().unwrap();
            authority.issue(&request, &issue(number), crypto).ok().unwrap()
        };
        let entity = |identity| Subject::Entity { identity, hosts: &[] };
        let authority = Subject::Authority { name: "CA" };
        let anchor = certify(&root, &root_key, Role::IssuingCa, &ca_key, authority, 2);
        let pos = entity("urn:uuid:00000000-0000-4000-8000-000000000001");
        let pos = certify(&anchor, &ca_key, Role::Pos, &pos_key, pos, 1);
        let backend = entity("urn:uuid:00000000-0000-4000-8000-00000000000b");
        let backend = certify(&anchor, &ca_key, Role::Backend, &backend_key, backend, 2);
        Self {
            anchor,
            pos: (pos_key, pos),
            backend: (backend_key, backend),
        }
    }

    fn handshake<C: Crypto>(&self, crypto: &C) -> (tr_auth::Session, tr_auth::Session) {
        let mut buffer = [0; 4096];
        let mut other = [0; 4096];
        let anchors = [Certificate::parse(&self.anchor).unwrap()];
        let by_pos = Expected {
            anchors: &anchors,
            roles: &[Role::Backend],
            time: Time::known(NOW),
            grace: 0,
            own: &self.pos.1,
            understood: &[],
        };
        let by_backend = Expected {
            roles: &[Role::Pos],
            own: &self.backend.1,
            ..by_pos
        };
        let pos = Identity {
            chain: &[&self.pos.1],
            signer: &self.pos.0,
        };
        let backend = Identity {
            chain: &[&self.backend.1],
            signer: &self.backend.0,
        };
        let [c_i, c_r] = [1, 2].map(|octet| ConnectionId::new(&[octet]).unwrap());

        let (waiting_2, len) = Initiator::start(crypto, &X, c_i, &mut buffer).unwrap();
        let message_1 = &buffer[..len];
        let (waiting_3, len) = Responder::respond(crypto, &backend, message_1, &Y, c_r, &[], &mut other).unwrap();
        let ready_3 = waiting_2.process(crypto, &mut other[..len], &by_pos).unwrap();
        let (waiting_4, len) = ready_3.message_3(crypto, &pos, &[], &mut buffer).unwrap();
        let ready_4 = waiting_3.process(crypto, &mut buffer[..len], &by_backend).unwrap();
        let (responder, len) = ready_4.message_4(crypto, &mut other).unwrap();
        let initiator = waiting_4.process(crypto, &mut other[..len]).unwrap();
        (initiator, responder)
    }

    /// Each side makes an ephemeral key, agrees, signs once, and verifies twice: a certificate and the peer's signature.
    fn primitives<C: Crypto>(&self, crypto: &C) -> f64 {
        let (signer, certificate) = &self.pos;
        let certificate = Certificate::parse(certificate).unwrap();
        let anchor = Certificate::parse(&self.anchor).unwrap();
        let (own, _) = crypto.ephemeral(&X).unwrap();
        let (_, peer) = crypto.ephemeral(&Y).unwrap();
        let ephemeral = time(100, || {
            black_box(crypto.ephemeral(&X).unwrap());
        });
        let agree = time(50, || {
            black_box(crypto.agree(&own, &peer).unwrap());
        });
        let sign = time(100, || {
            black_box(signer.sign(certificate.tbs()).ok().unwrap());
        });
        let verify = time(50, || {
            let key = anchor.public_key();
            crypto.verify(key, certificate.tbs(), certificate.signature()).unwrap();
        });
        println!("  ephemeral {ephemeral:.1}  agree {agree:.1}  sign {sign:.1}  verify {verify:.1}");
        2.0 * (ephemeral + agree + sign + 2.0 * verify)
    }
}

const X: [u8; 32] = *b"the initiator's ephemeral secret";
const Y: [u8; 32] = *b"the responder's ephemeral secret";

struct AwsKey(EcdsaKeyPair, SystemRandom);

impl AwsKey {
    fn new(seed: u8) -> Self {
        let public = RustKey::new(seed).public_key().unwrap();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &[seed; 32], &public);
        Self(pair.unwrap(), SystemRandom::new())
    }
}

impl Signer for AwsKey {
    type Error = ();

    fn public_key(&self) -> Result<[u8; 65], ()> {
        self.0.public_key().as_ref().try_into().map_err(|_| ())
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], ()> {
        let signature = self.0.sign(&self.1, message).map_err(|_| ())?;
        signature.as_ref().try_into().map_err(|_| ())
    }
}

struct RustKey(SigningKey);

impl RustKey {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).unwrap())
    }
}

impl Signer for RustKey {
    type Error = ();

    fn public_key(&self) -> Result<[u8; 65], ()> {
        let point = self.0.verifying_key().to_sec1_point(false);
        point.as_bytes().try_into().map_err(|_| ())
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], ()> {
        let signature: Signature = self.0.sign(message);
        Ok(signature.normalize_s().to_bytes().into())
    }
}
