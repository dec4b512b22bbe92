//! The frame grammar: canonical form, streaming, limits, and agreement with a parser written by hand.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod common;

use common::{check_any, frame, re_encode};
use proptest::prelude::*;
use tr_protocol::ErrorKind;
use tr_protocol::frame::{Encoder, Frame, Kind, MAX_FIELDS, MAX_FRAME, Scanner};
use tr_protocol::value::Digest;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn accepted_bytes_re_encode_to_themselves(bytes in frame()) {
        let frame = Frame::parse_exact(&bytes).unwrap();
        prop_assert_eq!(re_encode(&frame).unwrap(), bytes.clone());
        check_any(&bytes);
    }

    #[test]
    fn every_prefix_is_incomplete(bytes in frame()) {
        for end in 0..bytes.len() {
            let error = Frame::parse(&bytes[..end]).unwrap_err();
            prop_assert!(error.is_incomplete(), "{error} of {end}");
            prop_assert_eq!(error.offset, end);
        }
    }

    #[test]
    fn a_frame_is_found_however_it_is_cut(bytes in frame(), cuts in prop::collection::vec(1..40_usize, 1..60)) {
        let mut scanner = Scanner::new();
        let mut end = 0;
        for cut in cuts.iter().cycle() {
            end = (end + cut).min(bytes.len());
            let found = scanner.scan(&bytes[..end]).unwrap();
            prop_assert_eq!(found, (end == bytes.len()).then_some(end));
            if found.is_some() {
                break;
            }
        }
    }

    #[test]
    fn garbage_is_refused_quietly(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check_any(&bytes);
    }

    #[test]
    fn tokens_in_any_order_agree_with_the_oracle(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "TR1 ", "C", "I", " ", "pay", "\n", "\n\n", "a", "b", "=", "!", "~1=", "~", "1", "é", "\r", "\u{202E}",
            ]),
            0..24,
        ),
    ) {
        check_any(tokens.concat().as_bytes());
        check_any(format!("TR1 C {}", tokens.concat()).as_bytes());
        check_any(format!("TR1 C pay\n{}\n\n", tokens.concat()).as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn every_one_byte_mutation_fails_or_is_canonical(bytes in frame()) {
        for at in 0..bytes.len() {
            for change in [1, 2, 0x20, 0x80, bytes[at] ^ b'\n', bytes[at] ^ b'=', bytes[at] ^ b'!', bytes[at] ^ b'~'] {
                let mut mutated = bytes.clone();
                mutated[at] ^= change;
                check_any(&mutated);
            }
            let mut shorter = bytes.clone();
            shorter.remove(at);
            check_any(&shorter);
            let mut longer = bytes.clone();
            longer.insert(at, b'-');
            check_any(&longer);
        }
    }
}

#[test]
fn all_octets_in_all_places_of_a_small_frame() {
    let bytes = b"TR1 C a\n!b=c\nbb=\xC3\xA9d\n\n";
    for at in 0..bytes.len() {
        for octet in 0..=255 {
            let mut mutated = bytes.to_vec();
            mutated[at] = octet;
            check_any(&mutated);
        }
    }
}

#[test]
fn all_forbidden_characters_are_refused_in_values_and_all_others_accepted() {
    for c in '\0'..=char::MAX {
        check_any(format!("TR1 C a\nb={c}\n\n").as_bytes());
    }
}

#[test]
fn the_largest_frame_is_accepted_and_one_octet_more_refused() {
    let frame = |value: usize| format!("TR1 D a\nb={}\n\n", "x".repeat(value)).into_bytes();
    let overhead = frame(1).len() - 1;
    let largest = frame(MAX_FRAME - overhead);
    assert_eq!(largest.len(), MAX_FRAME);
    assert_eq!(re_encode(&Frame::parse_exact(&largest).unwrap()).unwrap(), largest);
    assert_eq!(Scanner::new().scan(&largest).unwrap(), Some(MAX_FRAME));
    let larger = frame(MAX_FRAME - overhead + 1);
    let error = Frame::parse(&larger).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::FrameTooLong, MAX_FRAME));
    let error = Scanner::new().scan(&larger).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::FrameTooLong, MAX_FRAME));
    // A line without an end is refused as soon as it cannot become a frame.
    let endless = &larger[..MAX_FRAME];
    assert_eq!(Frame::parse(endless).unwrap_err().kind, ErrorKind::FrameTooLong);
    assert_eq!(Scanner::new().scan(endless).unwrap_err().kind, ErrorKind::FrameTooLong);
}

#[test]
fn the_number_of_fields_is_limited_for_both_sides() {
    let text = |count: usize| {
        let fields: String = (0..count).map(|n| format!("i{n:03}=1\n")).collect();
        format!("TR1 C a\n{fields}\n").into_bytes()
    };
    let most = text(MAX_FIELDS);
    assert_eq!(Frame::parse_exact(&most).unwrap().fields().count(), MAX_FIELDS);
    let error = Frame::parse(&text(MAX_FIELDS + 1)).unwrap_err();
    assert_eq!((error.kind, error.offset), (ErrorKind::TooManyFields, most.len() - 1));
    let mut buffer = [0; MAX_FRAME];
    let mut encoder = Encoder::new(&mut buffer, Kind::Command, "a").unwrap();
    for n in 0..MAX_FIELDS {
        encoder.field(&format!("i{n:03}"), "1").unwrap();
    }
    assert_eq!(encoder.field("z", "1").unwrap_err().kind, ErrorKind::TooManyFields);
}

#[test]
fn the_encoder_refuses_what_the_parser_would() {
    let mut buffer = [0; 64];
    for verb in ["", "A", "1a", "a b", "sixteen-letters-", "é"] {
        assert_eq!(
            Encoder::new(&mut buffer, Kind::Command, verb).unwrap_err().kind,
            ErrorKind::BadVerb
        );
    }
    let mut encoder = Encoder::new(&mut buffer, Kind::Command, "a").unwrap();
    encoder.field("m", "1").unwrap();
    for (name, value, kind) in [
        ("m", "1", ErrorKind::KeyOrder),
        ("lz", "1", ErrorKind::KeyOrder),
        ("", "1", ErrorKind::BadKey),
        ("~1", "1", ErrorKind::BadKey),
        ("!n", "1", ErrorKind::BadKey),
        ("n", "", ErrorKind::EmptyValue),
        ("n", "a\nb", ErrorKind::ForbiddenCharacter),
        ("n", "\u{202E}", ErrorKind::ForbiddenCharacter),
    ] {
        assert_eq!(encoder.field(name, value).unwrap_err().kind, kind, "{name:?}={value:?}");
    }
    assert_eq!(encoder.field("n", &"x".repeat(60)).unwrap_err().kind, ErrorKind::NoRoom);
    // What failed has left no trace.
    encoder.critical("n", "2").unwrap();
    assert_eq!(encoder.finish().unwrap().as_bytes(), b"TR1 C a\nm=1\n!n=2\n\n");
}

#[test]
fn a_buffer_of_every_size_either_holds_the_frame_or_is_refused() {
    let write = |buffer: &mut [u8]| {
        let mut encoder = Encoder::new(buffer, Kind::Command, "a")?;
        encoder.field("b", "c")?;
        let encoder = encoder.sign(&Digest([1; 32]))?.append(&[1; 64])?;
        encoder.finish().map(|frame| frame.as_bytes().len())
    };
    let needed = write(&mut [0; 1000]).unwrap();
    for size in 0..needed {
        assert_eq!(write(&mut vec![0; size]).unwrap_err().kind, ErrorKind::NoRoom, "{size}");
    }
    assert_eq!(write(&mut vec![0; needed]).unwrap(), needed);
}

#[test]
fn signing_does_not_change_the_digest_and_a_second_party_countersigns() {
    let mut plain = [0; 600];
    let mut encoder = Encoder::new(&mut plain, Kind::Command, "a").unwrap();
    encoder.field("id", "1").unwrap();
    let unsigned = encoder.finish().unwrap();
    let mut once = [0; 600];
    let signing = Encoder::countersign(&mut once, &unsigned)
        .unwrap()
        .sign(&Digest([1; 32]))
        .unwrap();
    assert_eq!(signing.before_signatures(), unsigned.before_signatures());
    let first = signing.append(&[1; 64]).unwrap().finish().unwrap();
    let mut twice = [0; 600];
    let mut encoder = Encoder::countersign(&mut twice, &first).unwrap();
    assert_eq!(encoder.field("z", "1").unwrap_err().kind, ErrorKind::KeyOrder);
    let second = encoder
        .sign(&Digest([2; 32]))
        .unwrap()
        .append(&[2; 64])
        .unwrap()
        .finish()
        .unwrap();

    assert_eq!(second.before_signatures(), unsigned.before_signatures());
    assert_eq!(second.signed_part(1), first.signed_part(1));
    assert!(
        second
            .signed_part(2)
            .unwrap()
            .starts_with(first.signed_part(1).unwrap())
    );
    assert_eq!(
        second.signatures().map(|s| s.certificate.0[0]).collect::<Vec<_>>(),
        [1, 2]
    );
    check_any(second.as_bytes());
    // A frame without signatures goes on with fields where it stopped.
    let mut more = [0; 600];
    let mut encoder = Encoder::countersign(&mut more, &unsigned).unwrap();
    assert_eq!(encoder.field("ic", "1").unwrap_err().kind, ErrorKind::KeyOrder);
    encoder.field("ie", "1").unwrap();
    assert_eq!(encoder.finish().unwrap().as_bytes(), b"TR1 C a\nid=1\nie=1\n\n");
}

#[test]
fn a_high_s_is_refused_by_both_sides() {
    let mut high = [1; 64];
    high[32] = 0x80;
    let mut buffer = [0; 600];
    let signing = Encoder::new(&mut buffer, Kind::Command, "a")
        .unwrap()
        .sign(&Digest([1; 32]))
        .unwrap();
    assert_eq!(signing.append(&high).unwrap_err().kind, ErrorKind::SignatureRange);
}

#[test]
fn errors_name_offset_and_key() {
    let error = Frame::parse(b"TR1 C a\nb=1\n!foo=x\ty\n\n").unwrap_err();
    assert_eq!(error.to_string(), "bad-character at offset 18 in field !foo");
}

#[test]
fn nothing_shows_values() {
    let frame = Frame::parse_exact(b"TR1 D card\ntrack=;6010=1?\n\n").unwrap();
    let shown = format!("{frame:?} {:?}", frame.get("track").unwrap());
    assert!(!shown.contains("6010"), "{shown}");
    assert!(shown.contains("track"), "{shown}");
}
