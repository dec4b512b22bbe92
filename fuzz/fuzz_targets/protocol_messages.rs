//! Any frame, as a message of every layer: no panic; what is read is written as it was, and read as the same again.
//! The first octet picks a message, so that the fuzzer need not find the headers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tr_protocol::Error;
use tr_protocol::frame::{Encoder, Frame, MAX_FRAME};
use tr_protocol::message::{Inner, Link, Outer, Payload};

fuzz_target!(|data: &[u8]| {
    check(data);
    if let Ok(payload) = Payload::parse(data) {
        check(payload.message.as_bytes());
    }
    if let Some((&pick, fields)) = data.split_first() {
        let all = Outer::MESSAGES.iter().chain(Link::MESSAGES).chain(Inner::MESSAGES);
        let count = all.clone().count();
        if let Some((kind, verb, ..)) = all.clone().nth(usize::from(pick) % count) {
            check(&[format!("TR1 {kind} {verb}\n").as_bytes(), fields].concat());
        }
    }
});

fn check(bytes: &[u8]) {
    let Ok((frame, _)) = Frame::parse(bytes) else { return };
    let (outer, link, inner) = (Outer::parse(&frame), Link::parse(&frame), Inner::parse(&frame));
    let mut buffer = vec![0; MAX_FRAME];
    if let Some(message) = judge(&frame, outer) {
        let bytes = finish(&frame, message.encode(&mut buffer));
        assert_eq!(Outer::parse(&Frame::parse_exact(&bytes).unwrap()).unwrap(), message);
    }
    if let Some(message) = judge(&frame, link) {
        let bytes = finish(&frame, message.encode(&mut buffer));
        assert_eq!(Link::parse(&Frame::parse_exact(&bytes).unwrap()).unwrap(), message);
    }
    if let Some(message) = judge(&frame, inner) {
        let bytes = finish(&frame, message.encode(&mut buffer));
        assert_eq!(Inner::parse(&Frame::parse_exact(&bytes).unwrap()).unwrap(), message);
    }
}

fn judge<T>(frame: &Frame<'_>, result: Result<T, Error>) -> Option<T> {
    result
        .inspect_err(|error| assert!(error.offset <= frame.as_bytes().len()))
        .ok()
}

fn finish(frame: &Frame<'_>, encoder: Result<Encoder<'_>, Error>) -> Vec<u8> {
    let mut encoder = encoder.unwrap();
    for signature in frame.signatures() {
        encoder = encoder
            .sign(&signature.certificate)
            .unwrap()
            .append(&signature.signature)
            .unwrap();
    }
    let bytes = encoder.finish().unwrap().as_bytes().to_vec();
    assert_eq!(bytes, frame.as_bytes());
    bytes
}
