//! Both providers are the same function.

use proptest::prelude::*;
use tr_auth::{Crypto, CryptoError};
use tr_auth_aws_lc::AwsLc;
use tr_auth_rustcrypto::RustCrypto;
use tr_pki::{BadSignature, Signer, Verifier};

use crate::world::Key;

/// The order of P-256, big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn suite<C: Crypto>(crypto: &C) {
    // Scalars: 0 and the order are none, 1 and the order less 1 are.
    let mut one = [0; 32];
    one[31] = 1;
    let mut last = ORDER;
    last[31] -= 1;
    for scalar in [[0; 32], ORDER, [0xff; 32]] {
        assert_eq!(crypto.ephemeral(&scalar).err(), Some(CryptoError::Scalar));
    }
    let (_, generator) = crypto.ephemeral(&one).unwrap();
    // −G has the x-coordinate of G.
    assert_eq!(crypto.ephemeral(&last).unwrap().1, generator);
    assert_eq!(generator[..4], [0x6b, 0x17, 0xd1, 0xf2]);

    // Coordinates: off the curve, and not below the prime.
    let (secret, _) = crypto.ephemeral(&[7; 32]).unwrap();
    let mut prime = [0xff; 32];
    prime[4..8].fill(0);
    prime[8..20].fill(0);
    prime[7] = 1;
    for coordinate in [one, [0xff; 32], prime] {
        assert_eq!(crypto.agree(&secret, &coordinate).err(), Some(CryptoError::Point));
    }
    // x = 0 is a point of P-256, and an ordinary one.
    assert!(crypto.agree(&secret, &[0; 32]).is_ok());

    // Signatures: both halves of s, no others.
    let key = Key::new(9);
    let public = key.public_key().unwrap();
    let signature = key.sign(b"message").unwrap();
    let digest = crypto.sha256(&[b"mess", b"", b"age"]);
    assert_eq!(crypto.verify(&public, b"message", &signature), Ok(()));
    assert_eq!(crypto.verify_digest(&public, &digest, &signature), Ok(()));
    let mut high = signature;
    high[32..].copy_from_slice(&subtract(&ORDER, &signature[32..]));
    assert_eq!(crypto.verify(&public, b"message", &high), Ok(()));
    assert_eq!(crypto.verify_digest(&public, &digest, &high), Ok(()));
    assert_eq!(crypto.verify(&public, b"massage", &signature), Err(BadSignature));
    for bad in [[0; 64], [0xff; 64]] {
        assert_eq!(crypto.verify(&public, b"message", &bad), Err(BadSignature));
        assert!(crypto.verify_digest(&public, &digest, &bad).is_err());
    }
    for octet in 0..64 {
        let mut bad = signature;
        bad[octet] ^= 1;
        assert!(crypto.verify_digest(&public, &digest, &bad).is_err());
    }
    // Keys: a point off the curve, a compressed one's head, the point at infinity's.
    for (at, value) in [(64, public[64] ^ 1), (0, 2), (0, 0)] {
        let mut bad = public;
        bad[at] = value;
        assert_eq!(crypto.verify(&bad, b"message", &signature), Err(BadSignature));
        assert!(crypto.verify_digest(&bad, &digest, &signature).is_err());
    }

    // AES-256-GCM: every part counts.
    let mut message = *b"some plaintext";
    let tag = crypto.seal(&[1; 32], &[2; 12], b"aad", &mut message).unwrap();
    let open = |key: u8, nonce: u8, aad: &[u8], mut message: [u8; 14], tag: [u8; 16]| {
        crypto
            .open(&[key; 32], &[nonce; 12], aad, &mut message, &tag)
            .map(|()| message)
    };
    assert_eq!(open(1, 2, b"aad", message, tag), Ok(*b"some plaintext"));
    assert_eq!(open(0, 2, b"aad", message, tag), Err(CryptoError::Tag));
    assert_eq!(open(1, 0, b"aad", message, tag), Err(CryptoError::Tag));
    assert_eq!(open(1, 2, b"aae", message, tag), Err(CryptoError::Tag));
    let mut other = tag;
    other[15] ^= 1;
    assert_eq!(open(1, 2, b"aad", message, other), Err(CryptoError::Tag));
}

fn subtract(from: &[u8; 32], what: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i16::from(from[at]) - i16::from(what[at]) - borrow;
        borrow = i16::from(difference < 0);
        out[at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    out
}

#[test]
fn rustcrypto() {
    suite(&RustCrypto);
}

#[test]
fn aws_lc() {
    suite(&AwsLc);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_outputs(
        key in any::<[u8; 32]>(),
        nonce in any::<[u8; 12]>(),
        aad in proptest::collection::vec(any::<u8>(), 0..80),
        data in proptest::collection::vec(any::<u8>(), 0..400),
        scalars in any::<([u8; 32], [u8; 32])>(),
    ) {
        prop_assert_eq!(RustCrypto.sha256(&[&aad, &data]), AwsLc.sha256(&[&aad, &data]));
        let ours = RustCrypto.hmac(&RustCrypto.hmac_key(&data), &[&aad, &key]);
        prop_assert!(ours == AwsLc.hmac(&AwsLc.hmac_key(&data), &[&aad, &key]));
        let (mut a, mut b) = (data.clone(), data.clone());
        let tag = RustCrypto.seal(&key, &nonce, &aad, &mut a).unwrap();
        prop_assert_eq!(tag, AwsLc.seal(&key, &nonce, &aad, &mut b).unwrap());
        prop_assert_eq!(&a, &b);
        AwsLc.open(&key, &nonce, &aad, &mut a, &tag).unwrap();
        prop_assert_eq!(&a, &data);

        let (Ok((rust, rust_x)), Ok((aws, aws_x))) =
            (RustCrypto.ephemeral(&scalars.0), AwsLc.ephemeral(&scalars.1)) else { return Ok(()) };
        prop_assert_eq!(RustCrypto.ephemeral(&scalars.1).unwrap().1, aws_x);
        prop_assert!(RustCrypto.agree(&rust, &aws_x).unwrap() == AwsLc.agree(&aws, &rust_x).unwrap());
        // Half of all coordinates have no point; both know which.
        prop_assert_eq!(RustCrypto.agree(&rust, &key).is_ok(), AwsLc.agree(&aws, &key).is_ok());
    }
}
