//! Any input: no panic; what is accepted re-encodes to itself, alone or in pieces; a hand-written scan agrees.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tr_protocol::frame::{Encoder, Frame, MAX_FRAME, Scanner};

fuzz_target!(|data: &[u8]| {
    let mut scanner = Scanner::new();
    let mut found = None;
    for end in 1..=data.len() {
        match scanner.scan(&data[..end]) {
            Ok(None) => {}
            Ok(Some(length)) => {
                found = Some(length);
                break;
            }
            Err(error) => {
                assert!(error.offset <= end);
                break;
            }
        }
    }
    match Frame::parse(data) {
        Ok((frame, rest)) => {
            assert_eq!(found, Some(data.len() - rest.len()));
            assert_eq!(frame.as_bytes(), &data[..data.len() - rest.len()]);
            re_encode(&frame);
        }
        Err(error) if error.is_incomplete() => {
            assert_eq!(error.offset, data.len());
            assert!(data.len() < MAX_FRAME && found.is_none());
        }
        Err(error) => {
            assert!(error.offset <= data.len().min(MAX_FRAME));
            // What follows changes nothing.
            let longer = [data, b"a=b\n\n"].concat();
            assert_eq!(Frame::parse(&longer).unwrap_err(), error);
        }
    }
});

fn re_encode(frame: &Frame<'_>) {
    let mut buffer = vec![0; MAX_FRAME];
    let mut encoder = Encoder::new(&mut buffer, frame.kind(), frame.verb()).unwrap();
    for field in frame.fields() {
        match field.critical {
            true => encoder.critical(field.name, field.value).unwrap(),
            false => encoder.field(field.name, field.value).unwrap(),
        }
    }
    assert_eq!(encoder.before_signatures(), frame.before_signatures());
    for signature in frame.signatures() {
        let signing = encoder.sign(&signature.certificate).unwrap();
        assert_eq!(signing.message(), signature.signed);
        encoder = signing.append(&signature.signature).unwrap();
    }
    assert_eq!(encoder.finish().unwrap(), *frame);
}
