//! Enrolment: what a terminal believes of an answer, and what it does not.

use tr_auth_rustcrypto::RustCrypto;
use tr_hsm::{KeyRef, Label};
use tr_pki::csr::Csr;
use tr_pki::voucher::{REFERENCE_LEN, Reference, SECRET_LEN, Voucher};
use tr_pki::{Role, Signer, Verifier};
use tr_protocol::frame::{Frame, MAX_FRAME};
use tr_protocol::message::{Enrol, EnrolAnswer, ErrorAnswer, ErrorCode, Extra, Message};
use tr_protocol::value::{Binary, Digest};
use tr_terminal::enrol::{EnrolError, accept, request};
use tr_terminal::memory::Memory;

use crate::backend::{digest, encode};
use crate::device::{DeviceError, TestDevice};
use crate::world::{Key, NOW, POS, POS_SEED, WORLD, World};

type Enrolled = Result<Memory, EnrolError<DeviceError>>;

fn key() -> KeyRef {
    Label::new("identity").unwrap().newest()
}

fn voucher() -> Voucher {
    Voucher::new(Reference([3; REFERENCE_LEN]), [7; SECRET_LEN])
}

/// The request of the terminal whose key has this seed.
fn asked(device: &TestDevice) -> Vec<u8> {
    let mut out = [0; 1024];
    let request = request(device, key(), &voucher(), &RustCrypto, &mut out).unwrap();
    request.as_bytes().to_vec()
}

/// The answer with these certificates to a request with this digest.
fn told(digest: Digest, certificates: [&[u8]; 3]) -> Vec<u8> {
    let [certificate, issuer, root] = certificates.map(|der| Binary::new(der).unwrap());
    encode(&EnrolAnswer {
        certificate,
        digest,
        issuer,
        re: tr_protocol::value::TransactionId::MIN,
        root,
        extra: Extra::default(),
    })
}

fn enrol(answer: impl Fn(Digest) -> Vec<u8>, root: &[u8]) -> Enrolled {
    let device = TestDevice::new(POS_SEED);
    let octets = asked(&device);
    let request = Frame::parse_exact(&octets).unwrap();
    let answer = answer(digest(&request));
    let answer = Frame::parse_exact(&answer).unwrap();
    let root = RustCrypto.sha256(&[root]);
    accept(&device, key(), &request, &answer, &root, NOW, &RustCrypto)
}

fn honest() -> [&'static [u8]; 3] {
    [&WORLD.pos, &WORLD.issuing, &WORLD.root]
}

#[test]
fn the_request_shows_possession_of_key_and_voucher() {
    let device = TestDevice::new(POS_SEED);
    let octets = asked(&device);
    assert_eq!(octets, asked(&device), "a repeat is identical when signatures are");
    let message = Enrol::parse(&Frame::parse_exact(&octets).unwrap()).unwrap();
    let mut der = [0; MAX_FRAME];
    let der = message.csr.octets(&mut der).unwrap();
    let csr = Csr::parse(der).unwrap();
    csr.verify(&RustCrypto).unwrap();
    assert_eq!(*csr.public_key(), Key::new(POS_SEED).public_key().unwrap());
    voucher().check(&RustCrypto, der, &message.mac.0).unwrap();
    // Not the secret: neither its octets, as base64url, nor a group of its printed form.
    let text = String::from_utf8(octets).unwrap();
    assert!(!text.contains("BwcHBwcH"));
    let printed = voucher().to_text();
    assert!(!text.contains(printed.as_str().rsplit('-').next().unwrap()));
}

#[test]
fn an_honest_answer_enrols() {
    let memory = enrol(|digest| told(digest, honest()), &WORLD.root).unwrap();
    assert_eq!(memory.certificate(), WORLD.pos);
    assert_eq!(memory.issuer(), WORLD.issuing);
    assert!(!memory.is_pending());
}

#[test]
fn another_root_than_the_operator_named_is_refused() {
    let refused = enrol(|digest| told(digest, honest()), b"another root").unwrap_err();
    assert_eq!(
        refused,
        EnrolError::Root {
            found: RustCrypto.sha256(&[&WORLD.root])
        }
    );
}

#[test]
fn a_chain_below_another_root_is_refused() {
    let other = World::new(61);
    let refused = enrol(
        |digest| told(digest, [&other.pos, &other.issuing, &WORLD.root]),
        &WORLD.root,
    );
    assert!(matches!(refused, Err(EnrolError::Path(_))), "{refused:?}");
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let other = WORLD.certify(Role::Pos, POS, &Key::new(77).public_key().unwrap());
    let refused = enrol(
        |digest| told(digest, [&other, &WORLD.issuing, &WORLD.root]),
        &WORLD.root,
    );
    assert_eq!(refused.unwrap_err(), EnrolError::OtherKey);
}

#[test]
fn a_certificate_of_another_role_is_refused() {
    let other = WORLD.certify(Role::Backend, POS, &Key::new(POS_SEED).public_key().unwrap());
    let refused = enrol(
        |digest| told(digest, [&other, &WORLD.issuing, &WORLD.root]),
        &WORLD.root,
    );
    assert!(matches!(refused, Err(EnrolError::Path(_))), "{refused:?}");
}

#[test]
fn an_answer_to_another_request_is_refused() {
    let refused = enrol(|_| told(Digest([9; 32]), honest()), &WORLD.root);
    assert_eq!(refused.unwrap_err(), EnrolError::NotOurs);
}

#[test]
fn an_error_says_what_to_do() {
    for code in [ErrorCode::AuthenticationFailed, ErrorCode::Busy, ErrorCode::Unavailable] {
        let refused = enrol(|_| encode(&ErrorAnswer::of(code)), &WORLD.root).unwrap_err();
        assert_eq!(refused, EnrolError::Refused(code));
        assert!(!refused.to_string().is_empty());
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    let device = TestDevice::new(POS_SEED);
    assert_eq!(enrol(|_| asked(&device), &WORLD.root).unwrap_err(), EnrolError::NotOurs);
    let refused = enrol(|_| b"TR1 I sign-on\nx=1\n\n".to_vec(), &WORLD.root);
    assert!(matches!(refused, Err(EnrolError::Message(_))));
}

#[test]
fn a_certificate_cut_short_or_too_long_is_refused() {
    for place in 0..3 {
        let whole = honest()[place];
        for length in (1..whole.len()).step_by(41) {
            let mut parts = honest();
            parts[place] = &whole[..length];
            let root = parts[2];
            let refused = enrol(|digest| told(digest, parts), root);
            assert_eq!(refused.unwrap_err(), EnrolError::Unreadable, "{place} {length}");
        }
        let mut parts = honest();
        parts[place] = &[0x30; 641];
        let root = parts[2];
        assert_eq!(
            enrol(|digest| told(digest, parts), root).unwrap_err(),
            EnrolError::TooLong
        );
    }
}

#[test]
fn every_octet_of_the_certificate_flipped_is_refused() {
    for at in (0..WORLD.pos.len()).step_by(7) {
        let mut spoiled = WORLD.pos.clone();
        spoiled[at] ^= 1;
        let refused = enrol(
            |digest| told(digest, [&spoiled, &WORLD.issuing, &WORLD.root]),
            &WORLD.root,
        );
        assert!(
            matches!(refused, Err(EnrolError::Unreadable | EnrolError::Path(_))),
            "{at}: {refused:?}"
        );
    }
}

#[test]
fn a_device_that_fails_is_named() {
    let device = TestDevice::new(POS_SEED);
    device.fails.set(true);
    let refused = request(&device, key(), &voucher(), &RustCrypto, &mut [0; 1024]).unwrap_err();
    assert!(matches!(refused, EnrolError::Device(_)));
    device.fails.set(false);
    let refused = request(&device, key(), &voucher(), &RustCrypto, &mut [0; 100]).unwrap_err();
    assert!(matches!(refused, EnrolError::Message(_)));
}
