//! Every message in every state, as raw octets and, beyond the encryption that a fuzzer cannot guess, as plaintext.
//!
//! All fixed values come from the published trace, so the honest run succeeds and everything else is measured against it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tr_auth::{
    ConnectionId, Crypto, Error, Expected, Identity, Initiator, MAX_ERROR_MESSAGE, ReadyMessage4, Responder,
    WaitMessage2, WaitMessage3, WaitMessage4,
};
use tr_auth_rustcrypto::RustCrypto;
use tr_pki::{Certificate, Role, Signer, Time};

const TRACE: &str = include_str!("../../docs/vectors/authentication/suite-21-by-value.json");

/// The octets of one named value.
fn value(name: &str) -> Vec<u8> {
    let key = format!("\"{name}\": \"");
    let start = TRACE.find(&key).expect(name) + key.len();
    let text = TRACE[start..].split('"').next().unwrap_or_default();
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(octet).collect()
}

fn array<const N: usize>(name: &str) -> [u8; N] {
    value(name).try_into().expect("the length of the trace")
}

struct Trace {
    anchor: Vec<u8>,
    cred_i: Vec<u8>,
    cred_r: Vec<u8>,
    x: [u8; 32],
    y: [u8; 32],
    c_i: ConnectionId,
    c_r: ConnectionId,
    plaintext_2: Vec<u8>,
    plaintext_3: Vec<u8>,
    message_2: Vec<u8>,
    message_3: Vec<u8>,
    keystream_2: Vec<u8>,
}

static T: LazyLock<Trace> = LazyLock::new(|| Trace {
    anchor: value("anchor"),
    cred_i: value("CRED_I"),
    cred_r: value("CRED_R"),
    x: array("X"),
    y: array("Y"),
    c_i: ConnectionId::new(&value("C_I")).expect("short"),
    c_r: ConnectionId::new(&value("C_R")).expect("short"),
    plaintext_2: value("PLAINTEXT_2"),
    plaintext_3: value("PLAINTEXT_3"),
    message_2: value("message_2"),
    message_3: value("message_3"),
    keystream_2: value("KEYSTREAM_2"),
});

/// Signs what the trace signed.
struct Canned(&'static str);

impl Signer for Canned {
    type Error = core::convert::Infallible;

    fn public_key(&self) -> Result<[u8; 65], Self::Error> {
        Ok([0; 65])
    }

    fn sign(&self, _: &[u8]) -> Result<[u8; 64], Self::Error> {
        Ok(array(self.0))
    }
}

fn expecting<R>(initiator: bool, then: impl FnOnce(&Expected<'_>) -> R) -> R {
    let (role, own) = if initiator {
        (Role::Backend, &T.cred_i)
    } else {
        (Role::Pos, &T.cred_r)
    };
    let anchors = [Certificate::parse(&T.anchor).expect("the trace's anchor")];
    then(&Expected {
        anchors: &anchors,
        roles: &[role],
        time: Time::known(1_795_219_200),
        grace: 0,
        own,
        understood: &[],
    })
}

fn start() -> WaitMessage2<RustCrypto> {
    Initiator::start(&RustCrypto, &T.x, T.c_i, &mut [0; 64])
        .expect("an honest start")
        .0
}

fn respond(message_1: &[u8]) -> Result<WaitMessage3, Error> {
    let chain = [&T.cred_r[..]];
    let identity = Identity {
        chain: &chain,
        signer: &Canned("Signature_or_MAC_2"),
    };
    Responder::respond(&RustCrypto, &identity, message_1, &T.y, T.c_r, &[], &mut [0; 4096]).map(|(state, _)| state)
}

fn waiting_4() -> WaitMessage4 {
    let mut message_2 = T.message_2.clone();
    let ready = expecting(true, |expected| start().process(&RustCrypto, &mut message_2, expected))
        .expect("an honest message_2");
    let chain = [&T.cred_i[..]];
    let identity = Identity {
        chain: &chain,
        signer: &Canned("Signature_or_MAC_3"),
    };
    let mut out = vec![0; 4096];
    let (state, len) = ready
        .message_3(&RustCrypto, &identity, &[], &mut out)
        .expect("an honest message_3");
    assert_eq!(out[..len], T.message_3);
    state
}

fn sealed(number: u8, plaintext: &[u8]) -> Vec<u8> {
    let [key, nonce, aad] = ["K_", "IV_", "A_"].map(|name| value(&format!("{name}{number}")));
    let (key, nonce) = (key.try_into().expect("a key"), nonce.try_into().expect("a nonce"));
    let mut out = plaintext.to_vec();
    let tag = RustCrypto.seal(&key, &nonce, &aad, &mut out).expect("sealed");
    out.extend_from_slice(&tag);
    let head = u16::try_from(out.len()).expect("short").to_be_bytes();
    match out.len() {
        len @ 0..24 => out
            .splice(0..0, [0x40 | u8::try_from(len).expect("small")])
            .for_each(drop),
        24..256 => out.splice(0..0, [0x58, head[1]]).for_each(drop),
        _ => out.splice(0..0, [0x59, head[0], head[1]]).for_each(drop),
    }
    out
}

/// Octets of the fuzzer over those of the honest plaintext, from an offset on.
fn overlay(honest: &[u8], data: &[u8], may_grow: bool) -> Vec<u8> {
    let (at, data) = data
        .split_first_chunk::<2>()
        .map_or((0, data), |(at, data)| (u16::from_be_bytes(*at).into(), data));
    let mut out = honest.to_vec();
    let at: usize = at;
    let at = at % (honest.len() + 1);
    if may_grow {
        out.truncate(at);
        out.extend_from_slice(data);
    } else {
        out[at..].iter_mut().zip(data).for_each(|(octet, new)| *octet = *new);
    }
    out
}

/// Only what the trace's parties signed is believed, up to the sign of a signature's s.
fn same_but_signature(found: &[u8], honest: &[u8]) {
    assert_eq!(found.len(), honest.len());
    let before = honest.len() - 64;
    assert_eq!(found[..before], honest[..before], "something else was believed");
}

fn told(error: Error) {
    let mut out = [0; MAX_ERROR_MESSAGE];
    assert!(error.write_message(&mut out).is_ok());
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 7 {
        0 => drop(respond(data).map_err(told)),
        1 => {
            let mut message = data.to_vec();
            expecting(true, |expected| {
                drop(start().process(&RustCrypto, &mut message, expected).map_err(told))
            });
        }
        2 => {
            let plaintext = overlay(&T.plaintext_2, data, false);
            let mut message = T.message_2.clone();
            let start_of_text = message.len() - plaintext.len();
            for (at, octet) in plaintext.iter().enumerate() {
                message[start_of_text + at] = octet ^ T.keystream_2[at];
            }
            expecting(true, |expected| {
                match start().process(&RustCrypto, &mut message, expected) {
                    Ok(_) => same_but_signature(&plaintext, &T.plaintext_2),
                    Err(error) => told(error),
                }
            });
        }
        kind @ (3 | 4) => {
            let plaintext = overlay(&T.plaintext_3, data, true);
            let mut message = if kind == 3 {
                data.to_vec()
            } else {
                sealed(3, &plaintext)
            };
            let waiting = respond(&value("message_1")).expect("an honest message_1");
            expecting(false, |expected| {
                let ready: Result<ReadyMessage4<'_>, Error> = waiting.process(&RustCrypto, &mut message, expected);
                match ready {
                    Ok(ready) => {
                        assert!(kind == 4 || data == T.message_3);
                        same_but_signature(if kind == 4 { &plaintext } else { &T.plaintext_3 }, &T.plaintext_3);
                        let _ = ready.message_4(&RustCrypto, &mut [0; 32]).expect("room enough");
                    }
                    Err(error) => told(error),
                }
            });
        }
        kind => {
            let mut message = if kind == 5 { data.to_vec() } else { sealed(4, data) };
            if let Err(error) = waiting_4().process(&RustCrypto, &mut message) {
                told(error);
            }
        }
    }
});
