//! The published vectors of `docs/vectors/track`, which a script made without this crate.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use tr_track::card::{self, Card, CheckValue};
use tr_track::{Bits, Direction, Expiry, Framed, Name, Track, TrackErrorKind};

fn vectors(name: &str) -> Value {
    let path = format!("{}/../docs/vectors/track/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value[key].as_array().unwrap();
    assert!(!list.is_empty());
    list
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn kind(kind: TrackErrorKind) -> &'static str {
    match kind {
        TrackErrorKind::Luhn { .. } => "luhn",
        TrackErrorKind::NoSeparator => "no-separator",
        TrackErrorKind::TooShort { .. } => "too-short",
        TrackErrorKind::Character { .. } => "character",
        TrackErrorKind::NoStartSentinel => "no-start-sentinel",
        TrackErrorKind::NoEndSentinel => "no-end-sentinel",
        TrackErrorKind::Issuer => "issuer",
        TrackErrorKind::NoExpiry => "no-expiry",
        TrackErrorKind::ServiceCode { .. } => "service-code",
        TrackErrorKind::Layout { .. } => "layout",
        other => panic!("{other:?}"),
    }
}

fn check_frame(framed: &Framed, shown: &str, lrc: &str, bits: &str) {
    assert_eq!(framed.expose_text().to_string(), shown);
    assert_eq!(framed.lrc_character().to_string(), lrc, "{shown}");
    assert_eq!(framed.to_bits().expose_binary().to_string(), bits, "{shown}");
    let read = Framed::find(&Bits::parse(bits).unwrap()).unwrap();
    assert_eq!(read, (framed.clone(), Direction::Forward));
}

#[test]
fn text_vectors() {
    let file = vectors("text.json");
    for vector in list(&file, "frames") {
        let shown = text(vector, "text");
        let framed = Framed::parse(shown).unwrap_or_else(|error| panic!("{shown}: {error}"));
        check_frame(&framed, shown, text(vector, "lrc"), text(vector, "bits"));
        match (Track::from_framed(&framed), &vector["track_error"]) {
            (Ok(track), Value::String(none)) if none == "none" => assert_eq!(track.to_framed(), framed),
            (Err(error), expected) => {
                assert_eq!(kind(error.kind), text(expected, "kind"), "{shown}");
                assert_eq!(Some(error.at as u64), expected["at"].as_u64(), "{shown}");
            }
            (Ok(_), _) => panic!("{shown} is no track"),
        }
    }
    for vector in list(&file, "refused") {
        let error = Framed::parse(text(vector, "text")).unwrap_err();
        assert_eq!(kind(error.kind), text(vector, "kind"), "{vector}");
        assert_eq!(Some(error.at as u64), vector["at"].as_u64(), "{vector}");
    }
}

#[test]
fn card_vectors() {
    let file = vectors("card.json");
    for vector in list(&file, "cards") {
        let account = u32::try_from(vector["account"].as_u64().unwrap()).unwrap();
        let version = u16::try_from(vector["key_version"].as_u64().unwrap()).unwrap();
        let pan = card::pan(account).unwrap();
        assert_eq!(pan.expose_digits(), text(vector, "pan"));
        let expiry = Expiry::parse(text(vector, "expiry")).unwrap();
        let check = CheckValue::new(text(vector, "check_value").as_bytes()).unwrap();
        let card = Card::new(pan, expiry, version, check).unwrap();
        let (one, two) = (card.track1(Name::new(text(vector, "name")).unwrap()), card.track2());
        let (text1, text2) = (text(vector, "track1"), text(vector, "track2"));
        check_frame(
            &one.to_framed(),
            text1,
            text(vector, "track1_lrc"),
            text(vector, "track1_bits"),
        );
        check_frame(
            &two.to_framed(),
            text2,
            text(vector, "track2_lrc"),
            text(vector, "track2_bits"),
        );
        for shown in [text1, text2] {
            assert_eq!(Card::from_track(&Track::parse(shown).unwrap()).unwrap(), card);
        }
        assert_eq!(Card::from_both(&one, &two).unwrap(), card);
        assert!(!format!("{card:?}").contains(text(vector, "check_value")));
    }
    for vector in list(&file, "refused") {
        let track = Track::parse(text(vector, "track")).unwrap_or_else(|error| panic!("{vector}: {error}"));
        let error = Card::from_track(&track).unwrap_err();
        assert_eq!(kind(error.kind), text(vector, "error"), "{vector}");
    }
}

#[test]
fn cards_that_cannot_be_are_refused() {
    assert!(card::pan(card::MAX_ACCOUNT).is_ok());
    assert!(card::pan(card::MAX_ACCOUNT + 1).is_err());
    for digits in [&b"12345678"[..], b"1234567890", b"12345678x", b""] {
        assert!(CheckValue::new(digits).is_err());
    }
    let expiry = Expiry::new(29, 11).unwrap();
    let check = CheckValue::new(b"123456789").unwrap();
    assert!(Card::new(card::pan(1).unwrap(), expiry, card::MAX_KEY_VERSION + 1, check.clone()).is_err());
    let foreign = tr_track::Pan::new("4111111111111111").unwrap();
    assert!(Card::new(foreign, expiry, 1, check.clone()).is_err());
    let one = Card::new(card::pan(1).unwrap(), expiry, 1, check.clone()).unwrap();
    let two = Card::new(card::pan(2).unwrap(), expiry, 1, check).unwrap();
    let error = Card::from_both(&one.track1(Name::new("A B").unwrap()), &two.track2()).unwrap_err();
    assert_eq!(error.kind, TrackErrorKind::TracksDiffer);
}
