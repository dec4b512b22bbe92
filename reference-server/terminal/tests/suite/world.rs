// A root, an issuing CA, a backend, a terminal, and what a sale is made of.

use std::sync::LazyLock;

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use tr_auth_rustcrypto::RustCrypto;
use tr_hsm::Label;
use tr_pki::ca::{Authority, Issue, Request, Subject, self_signed};
use tr_pki::{Certificate, Role, Signer};
use tr_protocol::value::{Amount, Currency, Time};
use tr_terminal::memory::Memory;
use tr_terminal::{Sale, Swiped, Terminal};

use crate::device::TestDevice;

pub(crate) type Pos<'d> = Terminal<'d, TestDevice, RustCrypto>;

/// 2026-11-21T00:00:00Z
pub(crate) const NOW: i64 = 1_795_219_200;
const DAY: i64 = 86_400;
pub(crate) const TRACK: &str = ";9070001234567893=29121011234567?";
pub(crate) const POS_SEED: u8 = 11;
pub(crate) const POS: &str = "urn:uuid:00000000-0000-4000-8000-000000000001";

/// Signs deterministically (RFC 6979), so that runs repeat.
pub(crate) struct Key(SigningKey);

impl Key {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).unwrap())
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

pub(crate) struct World {
    pub(crate) root: Vec<u8>,
    pub(crate) issuing: Vec<u8>,
    issuing_key: Key,
    pub(crate) pos: Vec<u8>,
    pub(crate) backend: Vec<u8>,
    pub(crate) backend_key: Key,
}

pub(crate) static WORLD: LazyLock<World> = LazyLock::new(|| World::new(1));

impl World {
    pub(crate) fn new(seed: u8) -> Self {
        let (root_key, issuing_key) = (Key::new(seed), Key::new(seed + 1));
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
        let mut world = Self {
            root,
            issuing,
            issuing_key,
            pos: Vec::new(),
            backend: Vec::new(),
            backend_key: Key::new(12),
        };
        world.pos = world.certify(Role::Pos, POS, &Key::new(POS_SEED).public_key().unwrap());
        let backend = "urn:uuid:00000000-0000-4000-8000-00000000000b";
        world.backend = world.certify(Role::Backend, backend, &world.backend_key.public_key().unwrap());
        world
    }

    pub(crate) fn certify(&self, role: Role, identity: &str, public_key: &[u8; 65]) -> Vec<u8> {
        let request = Request {
            role,
            public_key,
            subject: Subject::Entity { identity, hosts: &[] },
        };
        Authority::new(Certificate::parse(&self.issuing).unwrap(), &self.issuing_key)
            .unwrap()
            .issue(&request, &issue(7), &RustCrypto)
            .unwrap()
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory::new::<()>(&self.pos, &self.issuing, NOW).unwrap()
    }
}

fn issue(number: u32) -> Issue {
    Issue {
        number,
        random: [7; 12],
        not_before: NOW - DAY,
        lifetime: None,
    }
}

pub(crate) fn terminal(device: &TestDevice, memory: Memory) -> Pos<'_> {
    Terminal::new(device, Label::new("identity").unwrap().newest(), RustCrypto, memory).unwrap()
}

pub(crate) fn storage() -> Label {
    Label::new("storage").unwrap()
}

pub(crate) fn time() -> Time {
    Time::from_unix(NOW).unwrap()
}

pub(crate) fn swiped() -> Swiped<'static> {
    Swiped {
        track: TRACK,
        salt: *b"sixteen octets!!",
    }
}

pub(crate) fn sale(amount: u64) -> Sale<'static> {
    Sale {
        amount: Amount::new(amount).unwrap(),
        currency: Currency::new("USD").unwrap(),
        partial: true,
        card: swiped(),
        time: time(),
    }
}
