//! RFC 9529, chapter 2, and RFC 5869: all that depends on SHA-256 alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot go on fails"
)]

extern crate std;

use std::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tr_pki::Verifier as _;

use super::*;
use crate::CryptoError;
use crate::connection::ConnectionId;
use crate::crypto::{SIGNATURE_LEN, TAG_LEN};
use crate::signed::Statement;

/// SHA-256 and HMAC only: the providers proper depend on this crate and cannot serve its unit tests.
struct HashOnly;

impl tr_pki::Verifier for HashOnly {
    fn verify(&self, _: &[u8; 65], _: &[u8], _: &[u8; 64]) -> Result<(), tr_pki::BadSignature> {
        Err(tr_pki::BadSignature)
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize().into()
    }
}

impl Crypto for HashOnly {
    type Ephemeral = ();
    type HmacKey = Hmac<Sha256>;

    fn ephemeral(&self, _: &[u8; KEY_LEN]) -> Result<((), [u8; KEY_LEN]), CryptoError> {
        Err(CryptoError::Provider)
    }

    fn agree(&self, (): &(), _: &[u8; KEY_LEN]) -> Result<Secret, CryptoError> {
        Err(CryptoError::Provider)
    }

    fn verify_digest(&self, _: &[u8; 65], _: &[u8; 32], _: &[u8; SIGNATURE_LEN]) -> Result<(), CryptoError> {
        Err(CryptoError::Provider)
    }

    fn hmac_key(&self, key: &[u8]) -> Self::HmacKey {
        Hmac::new_from_slice(key).unwrap()
    }

    fn hmac(&self, key: &Self::HmacKey, parts: &[&[u8]]) -> Secret {
        let mut mac = key.clone();
        parts.iter().for_each(|part| mac.update(part));
        Secret::new(mac.finalize().into_bytes().into())
    }

    fn seal(
        &self,
        _: &[u8; KEY_LEN],
        _: &[u8; NONCE_LEN],
        _: &[u8],
        _: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        Err(CryptoError::Provider)
    }

    fn open(
        &self,
        _: &[u8; KEY_LEN],
        _: &[u8; NONCE_LEN],
        _: &[u8],
        _: &mut [u8],
        _: &[u8; TAG_LEN],
    ) -> Result<(), CryptoError> {
        Err(CryptoError::Provider)
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |octet: u8| u8::try_from(char::from(octet).to_digit(16).unwrap()).unwrap();
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn kdf(prk: &[u8], label: u64, context: &[u8], len: usize) -> Vec<u8> {
    let mut out = std::vec![0; len];
    kdf_xor(&HashOnly, &HashOnly.hmac_key(prk), label, &[context], &mut out);
    out
}

#[test]
fn rfc_9529_chapter_2() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/vectors/authentication/rfc9529-chapter-2.json"
    );
    let trace: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let value = |name: &str| hex(trace[name].as_str().expect(name));
    let array = |name: &str| -> [u8; 32] { value(name).try_into().unwrap() };
    let prk = HashOnly.hmac_key(&value("PRK_2e"));

    let message_1 = HashOnly.sha256(&[&value("message_1")]);
    let th_2 = Transcript::second(&HashOnly, &array("G_Y"), &message_1);
    assert_eq!(th_2.hash(), value("TH_2"));
    assert_eq!(
        extract(&HashOnly, th_2.hash(), &value("G_XY")).expose()[..],
        value("PRK_2e")
    );

    let connection = value("C_R");
    let parsed = ConnectionId::read(&mut crate::cbor::Reader::new(&connection)).unwrap();
    assert_eq!(parsed.as_bytes(), [0x18]);
    let (id_cred, certificate) = (value("ID_CRED_R"), value("CRED_R"));
    let statement = Statement {
        connection: &connection,
        id_cred: &id_cred,
        th: &th_2,
        certificate: &certificate,
        ead: &[],
    };
    assert_eq!(
        statement.mac(&HashOnly, &prk, label::MAC_2).expose()[..],
        value("MAC_2")
    );
    let signature = value("Signature_or_MAC_2");
    let plaintext = [&connection[..], &id_cred, &[0x58, 64], &signature].concat();
    let mut ciphertext = plaintext.clone();
    kdf_xor(&HashOnly, &prk, label::KEYSTREAM_2, &[th_2.hash()], &mut ciphertext);
    assert_eq!(ciphertext, value("CIPHERTEXT_2"));
    let th_3 = th_2.next(&HashOnly, &plaintext, &certificate);
    assert_eq!(th_3.hash(), value("TH_3"));

    let (id_cred, certificate) = (value("ID_CRED_I"), value("CRED_I"));
    let statement = Statement {
        connection: &[],
        id_cred: &id_cred,
        th: &th_3,
        certificate: &certificate,
        ead: &[],
    };
    assert_eq!(
        statement.mac(&HashOnly, &prk, label::MAC_3).expose()[..],
        value("MAC_3")
    );
    let plaintext = [&id_cred[..], &[0x58, 64], &value("Signature_or_MAC_3")].concat();
    let th_4 = th_3.next(&HashOnly, &plaintext, &certificate);
    assert_eq!(th_4.hash(), value("TH_4"));

    for (name, label, th) in [
        ("K_3", label::K_3, &th_3),
        ("IV_3", label::IV_3, &th_3),
        ("K_4", label::K_4, &th_4),
        ("IV_4", label::IV_4, &th_4),
        ("PRK_out", label::PRK_OUT, &th_4),
    ] {
        let expected = value(name);
        assert_eq!(
            kdf(&value("PRK_2e"), label, th.hash(), expected.len()),
            expected,
            "{name}"
        );
    }
    let prk_4e3m = Secret::new(array("PRK_2e"));
    let prk_exporter = exporter(&HashOnly, &prk_4e3m, &th_4);
    assert_eq!(prk_exporter.expose()[..], value("PRK_exporter"));
    assert_eq!(kdf(prk_exporter.expose(), 0, b"", 16), value("OSCORE_Master_Secret"));
    assert_eq!(kdf(prk_exporter.expose(), 1, b"", 8), value("OSCORE_Master_Salt"));
}

#[test]
fn rfc_5869() {
    // Test cases 1 to 3 of appendix A: IKM, salt, info, PRK, OKM.
    let ascending = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    let cases = [
        (
            std::vec![0x0b; 22],
            ascending(0, 0x0c),
            ascending(0xf0, 0xf9),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            ascending(0, 0x4f),
            ascending(0x60, 0xaf),
            ascending(0xb0, 0xff),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            std::vec![0x0b; 22],
            Vec::new(),
            Vec::new(),
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (input, salt, info, prk, okm) in cases {
        let extracted = extract(&HashOnly, &salt, &input);
        assert_eq!(extracted.expose()[..], hex(prk));
        let mut out = std::vec![0; hex(okm).len()];
        expand_xor(&HashOnly, &HashOnly.hmac_key(extracted.expose()), &[&info], &mut out);
        assert_eq!(out, hex(okm));
    }
}

#[test]
fn enc_structure_is_as_in_rfc_9529() {
    let th = Transcript::new([0x5b; 32]);
    let expected = [&hex("8368456e63727970743040")[..], &[0x58, 0x20], &[0x5b; 32]].concat();
    assert_eq!(enc_structure(&th)[..], expected);
}
