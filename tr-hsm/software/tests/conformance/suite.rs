//! What every back end must do, generic over the traits. Each function takes an empty module.
//! What it does on the curve is compared with the `p256` crate.

use core::{fmt::Debug, ops::ControlFlow};
use std::{collections::BTreeSet, thread};

use p256::{
    PublicKey, SecretKey,
    ecdsa::{Signature, VerifyingKey, signature::Verifier},
    elliptic_curve::sec1::ToSec1Point,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tr_hsm::{
    Algorithm, Attributes, CHECK_VALUE_DIGITS, CardData, Device, Error, ErrorKind, Export, KeyInfo, Label, Origin,
    Payment, Secret, Usage, Vault, Version,
    sealed::{OVERHEAD, Sealed, WRAPPED_LEN},
};

const KEY: Label = Label::literal("key");

fn make<H: Vault>(hsm: &H, label: Label, usage: Usage) -> KeyInfo {
    hsm.generate(label, Attributes::new(usage, usage.algorithm())).unwrap()
}

#[track_caller]
fn refused<T: Debug, E: Error>(result: Result<T, E>, kind: ErrorKind) {
    match result {
        Ok(done) => panic!("was done: {done:?}, expected {kind}"),
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
    }
}

fn all<H: Vault>(hsm: &H) -> Vec<KeyInfo> {
    let mut found = Vec::new();
    hsm.list(&mut |info| {
        found.push(*info);
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

fn version(number: u32) -> Version {
    Version::new(number).unwrap()
}

pub(crate) fn generates_lists_and_destroys<H: Vault>(hsm: &H) {
    assert!(all(hsm).is_empty());
    let labels = ["b", "a.1", "a-1"].map(Label::literal);
    for (label, usage) in labels.into_iter().zip(Usage::ALL) {
        let made = make(hsm, label, usage);
        assert_eq!(made.label, label);
        assert_eq!(made.version, Version::FIRST);
        assert_eq!(made.attributes.usage, usage);
        assert_eq!(made.attributes.algorithm, usage.algorithm());
        assert_eq!(made.attributes.export, Export::Never);
        assert_eq!(made.origin, Origin::Generated);
        assert_eq!(hsm.info(label.newest()).unwrap(), made);
        assert_eq!(hsm.info(label.at(Version::FIRST)).unwrap(), made);
        refused(hsm.generate(label, made.attributes), ErrorKind::AlreadyExists);
    }
    let listed: Vec<_> = all(hsm).iter().map(|info| info.label).collect();
    assert_eq!(listed, ["a-1", "a.1", "b"].map(Label::literal));

    let mut seen = 0;
    hsm.list(&mut |_| {
        seen += 1;
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(seen, 1, "a break ends the listing");

    hsm.destroy(labels[0], Version::FIRST).unwrap();
    refused(hsm.info(labels[0].newest()), ErrorKind::NotFound);
    refused(hsm.destroy(labels[0], Version::FIRST), ErrorKind::NotFound);
    assert_eq!(all(hsm).len(), 2);
    make(hsm, labels[0], Usage::Sign);
}

pub(crate) fn keeps_old_versions_when_it_rotates<H: Vault + Device>(hsm: &H) {
    let first = make(hsm, KEY, Usage::Seal);
    let mut out = [0; 64];
    let old = hsm.seal(KEY, b"aad", b"clear", &mut out).unwrap().to_vec();
    let second = hsm.rotate(KEY).unwrap();
    assert_eq!(second.version, version(2));
    assert_eq!(second.attributes, first.attributes);
    assert_eq!(hsm.info(KEY.newest()).unwrap(), second);
    assert_eq!(all(hsm), [first, second]);

    let new = hsm.seal(KEY, b"aad", b"clear", &mut out).unwrap().to_vec();
    assert_eq!(Sealed::parse(&old).unwrap().version, version(1));
    assert_eq!(Sealed::parse(&new).unwrap().version, version(2));
    for sealed in [&old, &new] {
        assert_eq!(hsm.unseal(KEY, b"aad", sealed, &mut out).unwrap(), b"clear");
    }
    // Version 2 holds another secret: what 1 sealed does not open under it.
    let mut renamed = old.clone();
    renamed[4] = 2;
    refused(
        hsm.unseal(KEY, b"aad", &renamed, &mut out),
        ErrorKind::AuthenticationFailed,
    );

    hsm.destroy(KEY, version(1)).unwrap();
    refused(hsm.unseal(KEY, b"aad", &old, &mut out), ErrorKind::NotFound);
    assert_eq!(hsm.unseal(KEY, b"aad", &new, &mut out).unwrap(), b"clear");

    // A number is not given twice while a version is left.
    hsm.rotate(KEY).unwrap();
    assert_eq!(hsm.rotate(KEY).unwrap().version, version(4));
    hsm.destroy(KEY, version(3)).unwrap();
    assert_eq!(hsm.rotate(KEY).unwrap().version, version(5));
}

pub(crate) fn refuses_every_other_usage<H: Vault + Device + Payment>(hsm: &H) {
    let label = |usage: Usage| Label::new(&format!("for.{usage}")).unwrap();
    for usage in Usage::ALL {
        make(hsm, label(usage), usage);
    }
    let peer = hsm.public_key(label(Usage::Agree).newest()).unwrap();
    let card = CardData::new(b"6270000000000001", b"2912", b"101").unwrap();
    let mut sealed = [0; 64];
    let sealed = hsm.seal(label(Usage::Seal), b"", b"x", &mut sealed).unwrap();
    let mut wrapped = [0; WRAPPED_LEN];
    let wrapped = hsm
        .generate_data_key(label(Usage::Wrap), b"", &mut Secret::default(), &mut wrapped)
        .unwrap();
    let mac = hsm.mac(label(Usage::Mac).newest(), b"x").unwrap();
    let mut digits = [0; 3];
    hsm.check_value(label(Usage::CheckValue).newest(), &card, &mut digits)
        .unwrap();

    /// A call, by name, under a key of one usage.
    type Call<'a, H> = (
        &'static str,
        &'a [Usage],
        Box<dyn Fn(Label) -> Result<(), <H as tr_hsm::Module>::Error> + 'a>,
    );
    let calls: Vec<Call<'_, H>> = vec![
        (
            "public_key",
            &[Usage::Sign, Usage::Agree],
            Box::new(|label| hsm.public_key(label.newest()).map(drop)),
        ),
        (
            "sign",
            &[Usage::Sign],
            Box::new(|label| hsm.sign(label.newest(), b"x").map(drop)),
        ),
        ("health", &[Usage::Sign], Box::new(|label| hsm.health(label.newest()))),
        (
            "agree",
            &[Usage::Agree],
            Box::new(|label| hsm.agree(label.newest(), &peer, &mut Secret::default())),
        ),
        (
            "seal",
            &[Usage::Seal],
            Box::new(|label| hsm.seal(label, b"", b"x", &mut [0; 64]).map(drop)),
        ),
        (
            "unseal",
            &[Usage::Seal],
            Box::new(|label| hsm.unseal(label, b"", sealed, &mut [0; 64]).map(drop)),
        ),
        (
            "generate_data_key",
            &[Usage::Wrap],
            Box::new(|label| {
                hsm.generate_data_key(label, b"", &mut Secret::default(), &mut [0; WRAPPED_LEN])
                    .map(drop)
            }),
        ),
        (
            "unwrap_data_key",
            &[Usage::Wrap],
            Box::new(|label| hsm.unwrap_data_key(label, b"", wrapped, &mut Secret::default())),
        ),
        (
            "mac",
            &[Usage::Mac],
            Box::new(|label| hsm.mac(label.newest(), b"x").map(drop)),
        ),
        (
            "verify_mac",
            &[Usage::Mac],
            Box::new(|label| hsm.verify_mac(label.newest(), b"x", &mac)),
        ),
        (
            "check_value",
            &[Usage::CheckValue],
            Box::new(|label| hsm.check_value(label.newest(), &card, &mut [0; 3])),
        ),
        (
            "verify_check_value",
            &[Usage::CheckValue],
            Box::new(|label| hsm.verify_check_value(label.newest(), &card, &digits)),
        ),
    ];
    for (name, served, call) in &calls {
        for usage in Usage::ALL {
            match call(label(usage)) {
                Ok(()) => assert!(served.contains(&usage), "{name} was done with a {usage} key"),
                Err(error) => {
                    assert!(!served.contains(&usage), "{name} with a {usage} key: {error}");
                    assert_eq!(error.kind(), ErrorKind::WrongUsage, "{name}, {usage}: {error}");
                }
            }
        }
    }
}

pub(crate) fn refuses_what_is_missing<H: Vault + Device + Payment>(hsm: &H) {
    let missing = ErrorKind::NotFound;
    let card = CardData::new(b"6270000000000001", b"2912", b"101").unwrap();
    let blob = [tr_hsm::sealed::head(Version::FIRST).as_slice(), &[0; WRAPPED_LEN - 5]].concat();
    for attempt in 0..2 {
        let key = KEY.newest();
        refused(hsm.public_key(key), missing);
        refused(hsm.sign(key, b""), missing);
        refused(hsm.health(key), missing);
        refused(hsm.agree(key, &[4; 65], &mut Secret::default()), missing);
        refused(hsm.seal(KEY, b"", b"", &mut [0; 64]), missing);
        refused(hsm.unseal(KEY, b"", &blob, &mut [0; 64]), missing);
        refused(
            hsm.generate_data_key(KEY, b"", &mut Secret::default(), &mut [0; WRAPPED_LEN]),
            missing,
        );
        refused(hsm.unwrap_data_key(KEY, b"", &blob, &mut Secret::default()), missing);
        refused(hsm.mac(key, b""), missing);
        refused(hsm.check_value(key, &card, &mut [0; 3]), missing);
        refused(hsm.rotate(KEY), missing);
        refused(hsm.destroy(KEY, Version::FIRST), missing);
        refused(hsm.info(key), missing);
        // Again with a label whose only key is gone.
        if attempt == 0 {
            let made = make(hsm, KEY, Usage::Mac);
            refused(hsm.info(KEY.at(version(2))), missing);
            hsm.destroy(KEY, made.version).unwrap();
        }
    }
}

pub(crate) fn refuses_inconsistent_attributes<H: Vault>(hsm: &H) {
    for usage in Usage::ALL {
        for algorithm in [Algorithm::P256, Algorithm::Aes256, Algorithm::HmacSha256] {
            if algorithm == usage.algorithm() {
                continue;
            }
            refused(
                hsm.generate(KEY, Attributes::new(usage, algorithm)),
                ErrorKind::Unsupported,
            );
        }
    }
    assert!(all(hsm).is_empty());
}

pub(crate) fn signs_with_low_s<H: Vault + Device>(hsm: &H) {
    let key = make(hsm, KEY, Usage::Sign).key_ref();
    let public = VerifyingKey::from_sec1_bytes(&hsm.public_key(key).unwrap()).unwrap();
    let mut seen = BTreeSet::new();
    // Without the rule half of them would be high: 2^-64 to pass by luck.
    for number in 0..64_u32 {
        let message = number.to_be_bytes().repeat(usize::try_from(number).unwrap());
        let octets = hsm.sign(key, &message).unwrap();
        let signature = Signature::from_slice(&octets).unwrap();
        public.verify(&message, &signature).unwrap();
        assert_eq!(signature.normalize_s(), signature, "s is high");
        assert!(public.verify(b"another message", &signature).is_err());
        seen.insert(octets[..32].to_vec());
    }
    assert_eq!(seen.len(), 64, "a nonce came twice");
}

pub(crate) fn agrees_with_an_independent_peer<H: Vault + Device>(hsm: &H) {
    let key = make(hsm, KEY, Usage::Agree).key_ref();
    let ours = PublicKey::from_sec1_bytes(&hsm.public_key(key).unwrap()).unwrap();
    runner(16)
        .run(&scalar(), |scalar| {
            let peer = SecretKey::from_slice(&scalar).unwrap();
            let expected = p256::ecdh::diffie_hellman(peer.to_nonzero_scalar(), ours.as_affine());
            let mut shared = Secret::default();
            hsm.agree(key, &point(&peer), &mut shared).unwrap();
            prop_assert_eq!(shared.as_slice(), expected.raw_secret_bytes().as_slice());
            Ok(())
        })
        .unwrap();
}

pub(crate) fn refuses_points_off_the_curve<H: Vault + Device>(hsm: &H) {
    let key = make(hsm, KEY, Usage::Agree).key_ref();
    let good = point(&SecretKey::from_slice(&[7; 32]).unwrap());
    let off = {
        let mut point = good;
        point[64] ^= 1;
        point
    };
    let compressed_tag = {
        let mut point = good;
        point[0] = 2;
        point
    };
    let beyond_the_field = {
        let mut point = good;
        point[1..33].fill(0xff);
        point
    };
    for bad in [off, compressed_tag, beyond_the_field, [0; 65]] {
        let mut shared = Secret::new([0xaa; 32]);
        refused(hsm.agree(key, &bad, &mut shared), ErrorKind::BadInput);
        assert_eq!(*shared, [0; 32]);
    }
}

pub(crate) fn seals_and_unseals<H: Vault + Device>(hsm: &H) {
    make(hsm, KEY, Usage::Seal);
    let octets = |most| prop::collection::vec(any::<u8>(), 0..=most);
    runner(64)
        .run(&(octets(1024), octets(8192)), |(aad, clear)| {
            let mut out = vec![0; clear.len() + OVERHEAD];
            let sealed = hsm.seal(KEY, &aad, &clear, &mut out).unwrap().to_vec();
            prop_assert_eq!(sealed.len(), clear.len() + OVERHEAD);
            let mut opened = vec![0; clear.len()];
            prop_assert_eq!(&*hsm.unseal(KEY, &aad, &sealed, &mut opened).unwrap(), &clear[..]);
            Ok(())
        })
        .unwrap();

    let mut once = [0; 64];
    let mut again = [0; 64];
    assert_ne!(
        hsm.seal(KEY, b"", b"same", &mut once).unwrap(),
        hsm.seal(KEY, b"", b"same", &mut again).unwrap(),
        "a nonce came twice"
    );
    refused(hsm.seal(KEY, b"", b"four", &mut [0; OVERHEAD + 3]), ErrorKind::BadInput);
    let sealed = hsm.seal(KEY, b"", b"four", &mut once).unwrap();
    refused(hsm.unseal(KEY, b"", sealed, &mut [0; 3]), ErrorKind::BadInput);
}

pub(crate) fn refuses_altered_sealed_data<H: Vault + Device>(hsm: &H) {
    make(hsm, KEY, Usage::Seal);
    hsm.rotate(KEY).unwrap();
    let clear = b"nobody shall see this";
    let mut out = [0; 64];
    let sealed = hsm.seal(KEY, b"aad", clear, &mut out).unwrap().to_vec();
    let mut out = [0xaa; 64];
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut altered = sealed.clone();
            altered[at] ^= 1 << bit;
            let error = hsm.unseal(KEY, b"aad", &altered, &mut out).unwrap_err();
            let expected = match at {
                0 => &[ErrorKind::BadInput][..],
                1..5 => &[ErrorKind::NotFound, ErrorKind::BadInput],
                _ => &[ErrorKind::AuthenticationFailed],
            };
            assert!(expected.contains(&error.kind()), "octet {at}: {error}");
            assert!(!out.windows(4).any(|part| clear.windows(4).any(|text| text == part)));
        }
    }
    for len in 0..sealed.len() {
        let error = hsm.unseal(KEY, b"aad", &sealed[..len], &mut out).unwrap_err();
        let expected = if len < OVERHEAD {
            ErrorKind::BadInput
        } else {
            ErrorKind::AuthenticationFailed
        };
        assert_eq!(error.kind(), expected, "{len} octets: {error}");
    }
    for aad in [&b""[..], b"aae", b"aad "] {
        refused(hsm.unseal(KEY, aad, &sealed, &mut out), ErrorKind::AuthenticationFailed);
    }
}

pub(crate) fn wraps_data_keys<H: Vault>(hsm: &H) {
    make(hsm, KEY, Usage::Wrap);
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for row in 0..8_u8 {
        let mut clear = Secret::default();
        let mut wrapped = [0; WRAPPED_LEN];
        let wrapped = hsm.generate_data_key(KEY, &[row], &mut clear, &mut wrapped).unwrap();
        assert!(seen.insert(*clear), "a data key came twice");
        kept.push((row, clear, wrapped.to_vec()));
        hsm.rotate(KEY).unwrap();
    }
    for (row, clear, wrapped) in &kept {
        let mut opened = Secret::default();
        hsm.unwrap_data_key(KEY, &[*row], wrapped, &mut opened).unwrap();
        assert_eq!(*opened, **clear);
    }
    let mut clear = Secret::new([0xaa; 32]);
    refused(
        hsm.generate_data_key(KEY, b"", &mut clear, &mut [0; WRAPPED_LEN - 1]),
        ErrorKind::BadInput,
    );
    assert_eq!(*clear, [0; 32]);
}

pub(crate) fn refuses_altered_data_keys<H: Vault>(hsm: &H) {
    make(hsm, KEY, Usage::Wrap);
    let mut wrapped = [0; WRAPPED_LEN];
    hsm.generate_data_key(KEY, b"aad", &mut Secret::default(), &mut wrapped)
        .unwrap();
    let mut clear = Secret::new([0xaa; 32]);
    for at in 0..wrapped.len() {
        let mut altered = wrapped;
        altered[at] ^= 1;
        assert!(hsm.unwrap_data_key(KEY, b"aad", &altered, &mut clear).is_err());
        assert_eq!(*clear, [0; 32], "octet {at}");
        assert!(
            hsm.unwrap_data_key(KEY, b"aad", &wrapped[..at], &mut clear).is_err(),
            "{at} octets"
        );
    }
    refused(
        hsm.unwrap_data_key(KEY, b"", &wrapped, &mut clear),
        ErrorKind::AuthenticationFailed,
    );
    // Data sealed under another label has the shape, but another key.
    let other = Label::literal("other");
    make(hsm, other, Usage::Wrap);
    refused(
        hsm.unwrap_data_key(other, b"aad", &wrapped, &mut clear),
        ErrorKind::AuthenticationFailed,
    );
}

pub(crate) fn imports_private_keys<H: Vault + Device>(hsm: &H) {
    let attributes = Attributes::new(Usage::Sign, Algorithm::P256);
    runner(8)
        .run(&scalar(), |scalar| {
            let secret = SecretKey::from_slice(&scalar).unwrap();
            let info = hsm.import_p256(KEY, attributes, &Secret::new(scalar)).unwrap();
            prop_assert_eq!(info.origin, Origin::Imported);
            let public = hsm.public_key(info.key_ref()).unwrap();
            prop_assert_eq!(public, point(&secret));
            let signature = Signature::from_slice(&hsm.sign(info.key_ref(), b"message").unwrap()).unwrap();
            VerifyingKey::from(secret.public_key())
                .verify(b"message", &signature)
                .unwrap();
            refused(
                hsm.import_p256(KEY, attributes, &Secret::new(scalar)),
                ErrorKind::AlreadyExists,
            );
            let rotated = hsm.rotate(KEY).unwrap();
            prop_assert_eq!(rotated.origin, Origin::Generated);
            hsm.destroy(KEY, rotated.version).unwrap();
            hsm.destroy(KEY, info.version).unwrap();
            Ok(())
        })
        .unwrap();

    let order: [u8; 32] = {
        let highest = -p256::Scalar::ONE;
        let mut order: [u8; 32] = highest.to_bytes().into();
        order[31] += 1;
        order
    };
    for bad in [[0; 32], order, [0xff; 32]] {
        refused(hsm.import_p256(KEY, attributes, &Secret::new(bad)), ErrorKind::BadInput);
    }
    for usage in [Usage::Seal, Usage::Wrap, Usage::Mac, Usage::CheckValue] {
        for algorithm in [usage.algorithm(), Algorithm::P256] {
            refused(
                hsm.import_p256(KEY, Attributes::new(usage, algorithm), &Secret::new([1; 32])),
                ErrorKind::Unsupported,
            );
        }
    }
    assert!(all(hsm).is_empty());
}

/// No key can be given to a module from outside, so that a MAC is HMAC-SHA256 is shown by each back end's
/// own tests; here that it is a MAC.
pub(crate) fn macs_and_verifies<H: Vault + Payment>(hsm: &H) {
    let key = make(hsm, KEY, Usage::Mac).key_ref();
    let next = hsm.rotate(KEY).unwrap().key_ref();
    runner(32)
        .run(&prop::collection::vec(any::<u8>(), 0..2048), |data| {
            let mac = hsm.mac(key, &data).unwrap();
            hsm.verify_mac(key, &data, &mac).unwrap();
            prop_assert_ne!(mac, hsm.mac(next, &data).unwrap());
            refused(hsm.verify_mac(next, &data, &mac), ErrorKind::AuthenticationFailed);
            let longer = [&data[..], b"\0"].concat();
            refused(hsm.verify_mac(key, &longer, &mac), ErrorKind::AuthenticationFailed);
            for at in 0..mac.len() {
                let mut altered = mac;
                altered[at] ^= 0x80;
                refused(hsm.verify_mac(key, &data, &altered), ErrorKind::AuthenticationFailed);
            }
            Ok(())
        })
        .unwrap();
}

pub(crate) fn makes_check_values_as_documented<H: Vault + Payment>(hsm: &H) {
    let key = make(hsm, KEY, Usage::CheckValue).key_ref();
    let card = |pan: u64| {
        let pan = format!("{pan:016}");
        CardData::new(pan.as_bytes(), b"2912", b"101").unwrap()
    };
    let mut longest = [0; *CHECK_VALUE_DIGITS.end()];
    for pan in 0..64 {
        hsm.check_value(key, &card(pan), &mut longest).unwrap();
        assert!(longest.iter().all(u8::is_ascii_digit));
        // One number modulo a power of ten: a shorter value is the end of a longer one.
        for len in CHECK_VALUE_DIGITS {
            let mut digits = vec![0; len];
            hsm.check_value(key, &card(pan), &mut digits).unwrap();
            assert_eq!(digits, longest[longest.len() - len..]);
            hsm.verify_check_value(key, &card(pan), &digits).unwrap();
            for at in 0..len {
                let mut altered = digits.clone();
                altered[at] = if altered[at] == b'9' { b'0' } else { altered[at] + 1 };
                refused(
                    hsm.verify_check_value(key, &card(pan), &altered),
                    ErrorKind::AuthenticationFailed,
                );
            }
        }
        refused(
            hsm.verify_check_value(key, &card(pan + 1), &longest),
            ErrorKind::AuthenticationFailed,
        );
        refused(
            hsm.verify_check_value(key, &card(pan), b"abc"),
            ErrorKind::AuthenticationFailed,
        );
    }
    for len in [0, 2, 10, 100] {
        refused(hsm.check_value(key, &card(1), &mut vec![0; len]), ErrorKind::BadInput);
        refused(
            hsm.verify_check_value(key, &card(1), &vec![b'0'; len]),
            ErrorKind::BadInput,
        );
    }
    // Expiry and service code count too.
    for (expiry, service) in [(b"2911", b"101"), (b"2912", b"102")] {
        let other = CardData::new(b"0000000000000063", expiry, service).unwrap();
        refused(
            hsm.verify_check_value(key, &other, &longest),
            ErrorKind::AuthenticationFailed,
        );
    }
}

pub(crate) fn proves_its_health<H: Vault>(hsm: &H) {
    refused(hsm.health(KEY.newest()), ErrorKind::NotFound);
    let first = make(hsm, KEY, Usage::Sign);
    hsm.rotate(KEY).unwrap();
    hsm.health(KEY.newest()).unwrap();
    hsm.health(first.key_ref()).unwrap();
}

/// Signing, sealing and wrapping go on, and are right, while keys rotate and come and go.
pub(crate) fn serves_many_threads<H: Vault + Device + Payment + Sync>(hsm: &H) {
    const SEAL: Label = Label::literal("seal");
    let sign = make(hsm, KEY, Usage::Sign).key_ref();
    let public = VerifyingKey::from_sec1_bytes(&hsm.public_key(sign).unwrap()).unwrap();
    make(hsm, SEAL, Usage::Seal);
    thread::scope(|scope| {
        for worker in 0..4_u32 {
            scope.spawn(move || {
                for turn in 0..50_u32 {
                    let message = [worker, turn].map(u32::to_be_bytes).concat();
                    let signature = hsm.sign(sign, &message).unwrap();
                    public
                        .verify(&message, &Signature::from_slice(&signature).unwrap())
                        .unwrap();
                    let mut sealed = [0; 64];
                    let sealed = hsm.seal(SEAL, &message, &message, &mut sealed).unwrap();
                    let mut opened = [0; 64];
                    assert_eq!(hsm.unseal(SEAL, &message, sealed, &mut opened).unwrap(), message);
                    hsm.health(KEY.newest()).unwrap();
                }
            });
        }
        for changer in 0..2 {
            scope.spawn(move || {
                let own = Label::new(&format!("own.{changer}")).unwrap();
                for _ in 0..10 {
                    hsm.rotate(KEY).unwrap();
                    hsm.rotate(SEAL).unwrap();
                    let made = make(hsm, own, Usage::Mac);
                    hsm.mac(made.key_ref(), b"x").unwrap();
                    hsm.destroy(own, made.version).unwrap();
                }
            });
        }
    });
    // No change was lost: 1 + 2 × 10 versions of each.
    assert_eq!(hsm.info(KEY.newest()).unwrap().version, version(21));
    assert_eq!(hsm.info(SEAL.newest()).unwrap().version, version(21));
    assert_eq!(all(hsm).len(), 42);
}

pub(crate) fn works_behind_dyn<H: Vault + Device + Payment>(hsm: &H) {
    let vault: &dyn Vault<Error = H::Error> = hsm;
    let device: &dyn Device<Error = H::Error> = hsm;
    let payment: &dyn Payment<Error = H::Error> = hsm;
    let info = vault
        .generate(KEY, Attributes::new(Usage::Mac, Algorithm::HmacSha256))
        .unwrap();
    payment.mac(info.key_ref(), b"x").unwrap();
    refused(device.sign(info.key_ref(), b"x"), ErrorKind::WrongUsage);
}

fn scalar() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>().prop_filter("a scalar", |octets| SecretKey::from_slice(octets).is_ok())
}

fn point(secret: &SecretKey) -> [u8; 65] {
    let point = secret.public_key().to_sec1_point(false);
    point.as_bytes().try_into().unwrap()
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        ..Config::default()
    })
}
