//! What the tests share: a second parser written by hand, a re-encoder, and generators.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use proptest::prelude::*;
use tr_protocol::Error;
use tr_protocol::frame::{Encoder, Frame, Kind};

/// What the oracle says of an input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Frame(usize),
    Refused,
    Incomplete,
}

/// The grammar once more, by hand, straight from `docs/protocol.md`: line by line over the whole input.
pub(crate) fn oracle(input: &[u8]) -> Verdict {
    let Some(end) = input.windows(2).position(|pair| pair == b"\n\n").map(|at| at + 2) else {
        return Verdict::Incomplete; // or refused: the caller compares only what is complete
    };
    let Ok(text) = core::str::from_utf8(&input[..end]) else {
        return Verdict::Refused;
    };
    let mut lines = text[..end - 2].split('\n');
    let header: Vec<&str> = lines.next().unwrap().splitn(3, ' ').collect();
    let ["TR1", "I" | "D" | "C", verb] = header[..] else {
        return Verdict::Refused;
    };
    if !is_name(verb) || end > 8192 {
        return Verdict::Refused;
    }
    let mut names: Vec<&str> = Vec::new();
    let mut signatures = 0;
    for line in lines {
        let Some((key, value)) = line.split_once('=') else {
            return Verdict::Refused;
        };
        if value.is_empty() || value.chars().any(is_forbidden) {
            return Verdict::Refused;
        }
        if key.starts_with('~') {
            signatures += 1;
            if signatures > 4 || key != format!("~{signatures}") || !is_signature(value) {
                return Verdict::Refused;
            }
        } else {
            let name = key.strip_prefix('!').unwrap_or(key);
            if !is_name(name) || signatures > 0 || names.last().is_some_and(|last| *last >= name) {
                return Verdict::Refused;
            }
            names.push(name);
        }
    }
    if names.len() > 200 {
        Verdict::Refused
    } else {
        Verdict::Frame(end)
    }
}

fn is_name(name: &str) -> bool {
    let rest = name.strip_prefix(|c: char| c.is_ascii_lowercase());
    rest.is_some_and(|rest| {
        rest.len() < 15
            && rest
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    })
}

fn is_forbidden(c: char) -> bool {
    c.is_control()
        || "\u{61C}\u{200E}\u{200F}\u{202A}\u{202B}\u{202C}\u{202D}\u{202E}\u{2028}\u{2029}".contains(c)
        || "\u{2066}\u{2067}\u{2068}\u{2069}".contains(c)
}

fn is_signature(value: &str) -> bool {
    let Some((certificate, signature)) = value.split_once('.') else {
        return false;
    };
    let (Some(certificate), Some(signature)) = (decode(certificate), decode(signature)) else {
        return false;
    };
    if certificate.len() != 32 || signature.len() != 64 {
        return false;
    }
    let hex = |octets: &[u8]| octets.iter().map(|o| format!("{o:02x}")).collect::<String>();
    let zero = "0".repeat(64);
    let (r, s) = (hex(&signature[..32]), hex(&signature[32..]));
    r > zero
        && s > zero
        && r.as_str() < "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
        && s.as_str() <= "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8"
}

/// Base64url through a number of bits, refusing bits that are left over.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut octets, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for c in text.chars() {
        bits = bits << 6 | u32::try_from(DIGITS.find(c)?).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.push(u8::try_from(bits >> held & 0xFF).unwrap());
            bits &= (1 << held) - 1;
        }
    }
    (bits == 0 && held < 6).then_some(octets)
}

/// Writes a frame anew from its parts.
pub(crate) fn re_encode(frame: &Frame<'_>) -> Result<Vec<u8>, Error> {
    let mut buffer = vec![0; 8192];
    let mut encoder = Encoder::new(&mut buffer, frame.kind(), frame.verb())?;
    for field in frame.fields() {
        if field.critical {
            encoder.critical(field.name, field.value)?;
        } else {
            encoder.field(field.name, field.value)?;
        }
    }
    for signature in frame.signatures() {
        let signing = encoder.sign(&signature.certificate)?;
        assert_eq!(signing.message(), signature.signed);
        encoder = signing.append(&signature.signature)?;
    }
    Ok(encoder.finish()?.as_bytes().to_vec())
}

/// The rules that hold for any input whatever.
pub(crate) fn check_any(input: &[u8]) {
    match (Frame::parse(input), oracle(input)) {
        (Ok((frame, rest)), verdict) => {
            let length = input.len() - rest.len();
            assert_eq!(verdict, Verdict::Frame(length));
            assert_eq!(frame.as_bytes(), &input[..length]);
            assert_eq!(re_encode(&frame).unwrap(), frame.as_bytes());
            assert_eq!(Frame::parse_exact(frame.as_bytes()).unwrap(), frame);
            let mut scanner = tr_protocol::frame::Scanner::new();
            assert_eq!(scanner.scan(input).unwrap(), Some(length));
            for n in 1..=frame.signature_count() {
                let part = frame.signed_part(n).unwrap();
                assert!(frame.as_bytes().starts_with(part) && part.ends_with(b"."));
            }
            assert_eq!(frame.signed_part(frame.signature_count() + 1), None);
            assert!(frame.as_bytes().starts_with(frame.before_signatures()));
        }
        (Err(error), verdict) => {
            assert!(error.offset <= input.len().min(8192), "{error}");
            if error.is_incomplete() {
                assert!(!matches!(verdict, Verdict::Frame(_)), "{error}");
                assert!(input.len() < 8192);
            } else {
                assert!(
                    !matches!(verdict, Verdict::Frame(_)),
                    "{error}: {}",
                    String::from_utf8_lossy(input)
                );
                // What is wrong stays wrong at the same place, whatever follows.
                let mut longer = input.to_vec();
                longer.extend_from_slice(b"x=y\n\n");
                if error.kind != tr_protocol::ErrorKind::TrailingOctets {
                    assert_eq!(Frame::parse(&longer).unwrap_err(), error);
                }
            }
        }
    }
}

pub(crate) fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Information), Just(Kind::Data), Just(Kind::Command)]
}

pub(crate) fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,14}"
}

pub(crate) fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,40}",
        "[a-zA-Z0-9_-]{1,60}",
        "[ -~\u{A0}-\u{61B}\u{61D}-\u{200D}\u{2010}-\u{2027}\u{3000}-\u{D7FF}\u{E000}-\u{10FFFF}]{1,12}",
    ]
}

pub(crate) fn signature() -> impl Strategy<Value = ([u8; 32], [u8; 64])> {
    (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(certificate, mut r, mut s)| {
        r[0] &= 0x7F;
        s[0] &= 0x3F;
        r[31] |= 1;
        s[31] |= 1;
        let mut both = [0; 64];
        both[..32].copy_from_slice(&r);
        both[32..].copy_from_slice(&s);
        (certificate, both)
    })
}

/// The bytes of a valid frame.
pub(crate) fn frame() -> impl Strategy<Value = Vec<u8>> {
    let fields = prop::collection::btree_map(name(), (any::<bool>(), value()), 0..12);
    (kind(), name(), fields, prop::collection::vec(signature(), 0..=4)).prop_map(|(kind, verb, fields, signatures)| {
        let mut buffer = vec![0; 8192];
        let mut encoder = Encoder::new(&mut buffer, kind, &verb).unwrap();
        for (name, (critical, value)) in &fields {
            if *critical {
                encoder.critical(name, value).unwrap();
            } else {
                encoder.field(name, value).unwrap();
            }
        }
        for (certificate, signature) in &signatures {
            let signing = encoder.sign(&tr_protocol::value::Digest(*certificate)).unwrap();
            encoder = signing.append(signature).unwrap();
        }
        encoder.finish().unwrap().as_bytes().to_vec()
    })
}
