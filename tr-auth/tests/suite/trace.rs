//! The published trace, docs/vectors/authentication/suite-21-by-value.json, every intermediate value included.
//!
//! `check.py` beside it computes the same values by itself, so two implementations agree on them.

use core::cell::RefCell;

use serde_json::Value;
use tr_auth::{
    ConnectionId, Crypto, CryptoError, Expected, Identity, Initiator, KEY_LEN, NONCE_LEN, Responder, SIGNATURE_LEN,
    Secret, TAG_LEN,
};
use tr_auth_rustcrypto::RustCrypto;
use tr_pki::{BadSignature, Certificate, Role, Time, Verifier};

use crate::world::Key;

/// A provider that remembers what passed through it.
#[derive(Default)]
struct Spy(RefCell<Seen>);

#[derive(Default)]
struct Seen {
    hashes: Vec<Vec<u8>>,
    secrets: Vec<Vec<u8>>,
    /// Key, nonce, AAD and plaintext.
    aeads: Vec<[Vec<u8>; 4]>,
    verified: Vec<Vec<u8>>,
}

impl Verifier for Spy {
    fn verify(&self, key: &[u8; 65], message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        RustCrypto.verify(key, message, signature)
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let digest = RustCrypto.sha256(parts);
        self.0.borrow_mut().hashes.push(digest.to_vec());
        digest
    }
}

impl Crypto for Spy {
    type Ephemeral = <RustCrypto as Crypto>::Ephemeral;
    type HmacKey = <RustCrypto as Crypto>::HmacKey;

    fn ephemeral(&self, random: &[u8; KEY_LEN]) -> Result<(Self::Ephemeral, [u8; KEY_LEN]), CryptoError> {
        RustCrypto.ephemeral(random)
    }

    fn agree(&self, own: &Self::Ephemeral, peer: &[u8; KEY_LEN]) -> Result<Secret, CryptoError> {
        let secret = RustCrypto.agree(own, peer)?;
        self.0.borrow_mut().secrets.push(secret.expose().to_vec());
        Ok(secret)
    }

    fn verify_digest(
        &self,
        key: &[u8; 65],
        digest: &[u8; 32],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), CryptoError> {
        self.0.borrow_mut().verified.push(digest.to_vec());
        RustCrypto.verify_digest(key, digest, signature)
    }

    fn hmac_key(&self, key: &[u8]) -> Self::HmacKey {
        RustCrypto.hmac_key(key)
    }

    fn hmac(&self, key: &Self::HmacKey, parts: &[&[u8]]) -> Secret {
        let secret = RustCrypto.hmac(key, parts);
        self.0.borrow_mut().secrets.push(secret.expose().to_vec());
        secret
    }

    fn seal(
        &self,
        key: &[u8; KEY_LEN],
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        let seen = [&key[..], nonce, aad, &*in_out].map(<[u8]>::to_vec);
        self.0.borrow_mut().aeads.push(seen);
        RustCrypto.seal(key, nonce, aad, in_out)
    }

    fn open(
        &self,
        key: &[u8; KEY_LEN],
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), CryptoError> {
        RustCrypto.open(key, nonce, aad, in_out, tag)
    }
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hexadecimal text").as_bytes();
    let digit = |octet: u8| u8::try_from(char::from(octet).to_digit(16).unwrap()).unwrap();
    text.chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

#[test]
fn suite_21_by_value() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/vectors/authentication/suite-21-by-value.json"
    );
    let trace: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (given, values) = (&trace["inputs"], &trace["values"]);
    let input = |name: &str| hex(&given[name]);
    let value = |name: &str| hex(&values[name]);
    let scalar = |name: &str| -> [u8; 32] { input(name).try_into().unwrap() };

    let (spy, anchor) = (Spy::default(), input("anchor"));
    let anchors = [Certificate::parse(&anchor).unwrap()];
    let (cred_i, cred_r) = (input("CRED_I"), input("CRED_R"));
    let (key_i, key_r) = (Key::of(&scalar("SK_I")), Key::of(&scalar("SK_R")));
    let expected = |roles, own| Expected {
        anchors: &anchors,
        roles,
        time: Time::known(given["time"].as_i64().unwrap()),
        grace: 0,
        own,
        understood: &[],
    };
    let connection = |name| ConnectionId::new(&input(name)).unwrap();
    let mut buffer = [0; 4096];

    let (waiting_2, len) = Initiator::start(&spy, &scalar("X"), connection("C_I"), &mut buffer).unwrap();
    let message_1 = buffer[..len].to_vec();
    assert_eq!(message_1, value("message_1"));
    let chain = [&cred_r[..]];
    let identity = Identity {
        chain: &chain,
        signer: &key_r,
    };
    let (waiting_3, len) = Responder::respond(
        &spy,
        &identity,
        &message_1,
        &scalar("Y"),
        connection("C_R"),
        &[],
        &mut buffer,
    )
    .unwrap();
    let mut message_2 = buffer[..len].to_vec();
    assert_eq!(message_2, value("message_2"));
    let roles = [Role::Backend];
    let ready_3 = waiting_2
        .process(&spy, &mut message_2, &expected(&roles, &cred_i))
        .unwrap();
    let chain = [&cred_i[..]];
    let identity = Identity {
        chain: &chain,
        signer: &key_i,
    };
    let (waiting_4, len) = ready_3.message_3(&spy, &identity, &[], &mut buffer).unwrap();
    let mut message_3 = buffer[..len].to_vec();
    assert_eq!(message_3, value("message_3"));
    let roles = [Role::Pos];
    let ready_4 = waiting_3
        .process(&spy, &mut message_3, &expected(&roles, &cred_r))
        .unwrap();
    let (responder, len) = ready_4.message_4(&spy, &mut buffer).unwrap();
    let mut message_4 = buffer[..len].to_vec();
    assert_eq!(message_4, value("message_4"));
    let initiator = waiting_4.process(&spy, &mut message_4).unwrap();

    // What is in the plaintexts, now decrypted in place.
    assert!(message_2.ends_with(&value("PLAINTEXT_2")));
    assert_eq!(message_3[3..][..message_3.len() - 3 - TAG_LEN], value("PLAINTEXT_3"));

    let seen = spy.0.take();
    for name in ["H_message_1", "TH_2", "TH_3", "TH_4"] {
        assert!(seen.hashes.contains(&value(name)), "{name}");
    }
    let keys = [
        "G_XY",
        "PRK_2e",
        "MAC_2",
        "MAC_3",
        "K_3",
        "K_4",
        "PRK_out",
        "PRK_exporter",
    ];
    for name in keys {
        assert!(seen.secrets.contains(&value(name)), "{name}");
    }
    for part in value("KEYSTREAM_2").chunks(32) {
        assert!(seen.secrets.iter().any(|block| block.starts_with(part)));
    }
    for (number, plaintext) in [("3", value("PLAINTEXT_3")), ("4", Vec::new())] {
        let [key, nonce, aad] = ["K_", "IV_", "A_"].map(|name| value(&format!("{name}{number}")));
        assert!(seen.aeads.contains(&[key, nonce, aad, plaintext]), "message_{number}");
    }
    for name in ["Sig_structure_2", "Sig_structure_3"] {
        let digest = RustCrypto.sha256(&[&value(name)]).to_vec();
        assert!(seen.verified.contains(&digest), "{name}");
    }

    let export = &given["exporter"];
    let mut exported = vec![0; usize::try_from(export["length"].as_u64().unwrap()).unwrap()];
    let label = u16::try_from(export["label"].as_u64().unwrap()).unwrap();
    initiator
        .exporter()
        .export(&spy, label, &hex(&export["context"]), &mut exported)
        .unwrap();
    assert_eq!(exported, value("exported"));

    let mut initiator = initiator.into_channel::<Spy, 16>(&spy, 100);
    let mut responder = responder.into_channel::<Spy, 16>(&spy, 100);
    let messages = given["channel"].as_array().unwrap().iter();
    for (given, value) in messages.zip(values["channel"].as_array().unwrap()) {
        let (routing, plaintext) = (hex(&given["routing"]), hex(&given["plaintext"]));
        let from_initiator = given["from"] == "initiator";
        let (from, to) = match from_initiator {
            true => (&mut initiator, &mut responder),
            false => (&mut responder, &mut initiator),
        };
        let mut buffer = [0; 64];
        buffer[..plaintext.len()].copy_from_slice(&plaintext);
        spy.0.take();
        let sealed = from.sender.seal(&spy, &routing, &mut buffer, plaintext.len()).unwrap();
        assert_eq!(sealed.index, value["index"].as_u64().unwrap());
        assert_eq!(buffer[..sealed.len], hex(&value["sealed"]));
        let [key, nonce, aad] = ["key", "nonce", "aad"].map(|name| hex(&value[name]));
        assert_eq!(spy.0.take().aeads, [[key, nonce, aad, plaintext.clone()]]);
        let opened = to
            .receiver
            .open(&spy, sealed.index, &routing, &mut buffer[..sealed.len])
            .unwrap();
        assert_eq!(opened, plaintext);
    }
}
