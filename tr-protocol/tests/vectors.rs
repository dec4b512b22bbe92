//! The published vectors: `docs/vectors/protocol/*.json`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tr_protocol::Error;
use tr_protocol::frame::{Frame, Scanner};
use tr_protocol::message::{Inner, Link, Outer};

#[derive(Deserialize)]
struct File<T> {
    cases: Vec<T>,
}

#[derive(Deserialize)]
struct Accepted {
    name: String,
    layer: String,
    frame: String,
    kind: char,
    verb: String,
    fields: Vec<(String, String)>,
    digest: String,
    signatures: Vec<Signed>,
}

#[derive(Deserialize)]
struct Signed {
    certificate: String,
    signature: String,
    signed_octets: usize,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    layer: String,
    frame: Option<String>,
    hex: Option<String>,
    error: String,
    offset: usize,
    key: Option<String>,
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn read(layer: &str, octets: &[u8]) -> Result<(), Error> {
    let frame = Frame::parse_exact(octets)?;
    match layer {
        "frame" => Ok(()),
        "outer" => Outer::parse(&frame).map(drop),
        "link" => Link::parse(&frame).map(drop),
        "inner" => Inner::parse(&frame).map(drop),
        other => panic!("no layer {other}"),
    }
}

#[test]
fn accepted() {
    let file: File<Accepted> = serde_json::from_str(include_str!("../../docs/vectors/protocol/accepted.json")).unwrap();
    for case in &file.cases {
        let (name, bytes) = (&case.name, case.frame.as_bytes());
        read(&case.layer, bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let frame = Frame::parse_exact(bytes).unwrap();
        assert_eq!(
            (frame.kind().letter(), frame.verb()),
            (case.kind, case.verb.as_str()),
            "{name}"
        );
        let fields: Vec<(String, String)> = frame
            .fields()
            .map(|field| {
                (
                    format!("{}{}", if field.critical { "!" } else { "" }, field.name),
                    field.value.to_string(),
                )
            })
            .collect();
        assert_eq!(fields, case.fields, "{name}");
        assert_eq!(hex(&Sha256::digest(frame.before_signatures())), case.digest, "{name}");
        assert_eq!(frame.signature_count(), case.signatures.len(), "{name}");
        for (found, expected) in frame.signatures().zip(&case.signatures) {
            assert_eq!(hex(&found.certificate.0), expected.certificate, "{name}");
            assert_eq!(hex(&found.signature), expected.signature, "{name}");
            assert_eq!(found.signed, &bytes[..expected.signed_octets], "{name}");
        }
        assert_eq!(Scanner::new().scan(bytes).unwrap(), Some(bytes.len()), "{name}");
    }
    assert!(file.cases.len() >= 40);
}

#[test]
fn refused() {
    let file: File<Refused> = serde_json::from_str(include_str!("../../docs/vectors/protocol/refused.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &file.cases {
        let bytes = match (&case.frame, &case.hex) {
            (Some(frame), None) => frame.clone().into_bytes(),
            (None, Some(hex)) => octets(hex),
            _ => panic!("{}: frame or hex", case.name),
        };
        let found = read(&case.layer, &bytes).err();
        let found = found.map(|error| (error.kind.code(), error.offset, error.key.map(|key| key.to_string())));
        let expected = Some((case.error.as_str(), case.offset, case.key.clone()));
        if found != expected {
            wrong.push(format!("{}: {found:?}, expected {expected:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(file.cases.len() >= 80);
}
