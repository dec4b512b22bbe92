//! Published text vectors, and properties of text and bits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use tr_track::{
    Alphabet, Bits, Direction, Discretionary, Expiry, FrameErrorKind, Framed, Name, Pan, ServiceCode, Track, Track1,
    Track2, TrackErrorKind, TrackNumber,
};

#[test]
fn alcrypto_track_1_has_its_lrc() {
    let text = "%B4929555123456789^MALFUNCTION/MAJOR         ^0902201010000000000000970000000?";
    let framed = Framed::parse(text).unwrap();
    assert_eq!(framed.lrc_character(), '[');
    // The published number's check digit is wrong, so this is a frame and no track.
    let error = Track1::from_framed(&framed).unwrap_err();
    assert_eq!(error.kind, TrackErrorKind::Luhn { expected: 5, found: 9 });
    assert_eq!(error.at, 17);
    let track = Track1::parse(&text.replace("6789^", "6785^")).unwrap();
    assert_eq!(
        (track.name().surname(), track.name().given_names()),
        ("MALFUNCTION", "MAJOR")
    );
    assert_eq!(track.expiry(), Expiry::new(9, 2).ok());
    assert_eq!(track.service_code(), ServiceCode::parse("201").ok());
    assert_eq!(track.discretionary().len(), 24);
}

#[test]
fn libmsr_track_2_has_its_lrc() {
    let framed = Framed::parse(";60058541029558180=9904?").unwrap();
    assert_eq!(framed.lrc_character(), '<');
    assert_eq!(framed.to_bits().len(), 125);
}

#[test]
fn closed_loop_and_student_cards_are_frames_and_no_tracks() {
    for text in [
        ";125981562345623655?",
        ";0090073029910=?",
        ";5163000050000445=000000000000?",
    ] {
        let framed = Framed::parse(text).unwrap();
        assert_eq!(framed.expose_text().to_string(), text);
        assert!(Track::from_framed(&framed).is_err());
    }
}

#[test]
fn what_cannot_be_encoded_is_refused_where_it_stands() {
    let refused = |text: &str| Framed::parse(text).unwrap_err();
    let error = refused(";123456781234567=YYMMSSSDDDDDDDDDDDDDD?");
    assert_eq!((error.kind, error.at), (TrackErrorKind::Character { found: b'Y' }, 17));
    let error = refused(";01123456789^?");
    assert_eq!((error.kind, error.at), (TrackErrorKind::Character { found: b'^' }, 12));
    assert_eq!(refused("").kind, TrackErrorKind::NoStartSentinel);
    assert_eq!(refused("%B1").kind, TrackErrorKind::NoEndSentinel);
    assert_eq!(refused("%?").kind, TrackErrorKind::TooShort { found: 3, limit: 4 });
    assert_eq!(refused("%a?").kind, TrackErrorKind::Character { found: b'a' });
    assert_eq!(refused("%A%B?").at, 2);
    assert_eq!(refused(";1?2?").at, 2);
    assert_eq!(
        refused(&format!(";{}?", "1".repeat(105))).kind,
        TrackErrorKind::TooLong { found: 108, limit: 107 }
    );
    assert!(Framed::parse(&format!(";{}?", "1".repeat(104))).is_ok());
}

#[test]
fn grammar_errors_say_what_and_where() {
    let refused = |text: &str| {
        let error = Track::parse(text).unwrap_err();
        (error.kind, error.at)
    };
    use TrackErrorKind as K;
    assert_eq!(
        refused("%A4111111111111111^A/B^2912101?"),
        (K::FormatCode { found: b'A' }, 1)
    );
    assert_eq!(refused(";4111111111111111?"), (K::NoSeparator, 17));
    assert_eq!(
        refused(";4111111111111112=2912101?"),
        (K::Luhn { expected: 1, found: 2 }, 16)
    );
    assert_eq!(refused(";4111111111111111=2913101?"), (K::Month { found: 13 }, 20));
    assert_eq!(
        refused(";4111111111111111=291210?"),
        (K::TooShort { found: 2, limit: 3 }, 24)
    );
    assert_eq!(
        refused(";4111111111111111=29:2101?"),
        (K::Character { found: b':' }, 20)
    );
    assert_eq!(
        refused(";4111111111111111=29121011=?"),
        (K::Character { found: b'=' }, 26)
    );
    assert_eq!(
        refused("%B4111111111111111^A^2912101?"),
        (K::TooShort { found: 1, limit: 2 }, 20)
    );
    assert_eq!(
        refused("%B4111111111111111^A*^2912101?"),
        (K::Character { found: b'*' }, 20)
    );
    assert_eq!(
        refused(&format!(";4111111111111111=2912101{}?", "1".repeat(14))),
        (K::TooLong { found: 41, limit: 40 }, 40)
    );
    assert_eq!(
        refused(&format!("%B4111111111111111^A/B^2912101{}?", "1".repeat(48))),
        (K::TooLong { found: 80, limit: 79 }, 79)
    );
    let numeric = Framed::parse(";4111111111111111=2912101?").unwrap();
    let found = Alphabet::Numeric;
    assert_eq!(
        Track1::from_framed(&numeric).unwrap_err().kind,
        K::WrongAlphabet { found }
    );
}

#[test]
fn missing_fields_are_separators() {
    let track = Track2::parse(";4111111111111111===12?").unwrap();
    assert_eq!(
        (track.expiry(), track.service_code(), track.discretionary().expose()),
        (None, None, "12")
    );
    let track = Track2::parse(";4111111111111111==101?").unwrap();
    assert_eq!(
        (track.expiry(), track.service_code().map(|code| code.to_string())),
        (None, Some("101".into()))
    );
    assert!(Track2::parse(";4111111111111111====?").is_err());
    let track = Track1::parse("%B4111111111111111^DOE/JANE^^^7?").unwrap();
    assert_eq!(
        (track.expiry(), track.service_code(), track.discretionary().expose()),
        (None, None, "7")
    );
}

#[test]
fn no_debug_or_display_shows_a_number() {
    let text = "%B4111111111111111^DOE/JANE^29121019876543210?";
    let framed = Framed::parse(text).unwrap();
    let track = Track::from_framed(&framed).unwrap();
    let shown = format!("{track} {track:?} {framed:?} {:?}", framed.to_bits());
    for secret in ["4111111111", "11111111", "DOE", "9876543210"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn torn_card_is_a_bad_lrc_by_name() {
    let framed = Framed::parse(";4111111111111111=29121010000000000000?").unwrap();
    let mut bits = framed.to_bits();
    // Two bits of character 20: its parity still holds.
    assert!(bits.flip(100) && bits.flip(101));
    let error = Framed::find(&bits).unwrap_err();
    let FrameErrorKind::Lrc { expected, found } = error.kind else {
        panic!("{error}");
    };
    assert_eq!(expected ^ found, 0b00011);
    assert_eq!((error.character, error.bit), (39, 195));
    assert_eq!(
        error.to_string(),
        "bit 195 (character 39, 5-bit set, forward): bad LRC: 00100 where the characters call for 00111"
    );
    // Any single bit of the LRC itself is a bad LRC too.
    for bit in 195..200 {
        let mut bits = framed.to_bits();
        assert!(bits.flip(bit));
        assert!(matches!(
            Framed::find(&bits).unwrap_err().kind,
            FrameErrorKind::Lrc { .. }
        ));
    }
}

#[test]
fn other_damage_is_named_too() {
    let framed = Framed::parse(";4111111111111111=2912101?").unwrap();
    let bits = framed.to_bits().expose_binary().to_string();
    let find = |text: &str| Framed::find(&Bits::parse(text).unwrap()).map_err(|error| (error.kind, error.character));
    assert_eq!(find(&bits[..100]), Err((FrameErrorKind::Truncated { bits: 100 }, 20)));
    assert_eq!(find("0000"), Err((FrameErrorKind::Blank, 0)));
    assert!(matches!(
        find("11111"),
        Err((FrameErrorKind::NoStartSentinel { found: 31 }, 0))
    ));
    assert_eq!(
        find("11010 11111 00100".replace(' ', "").as_str()),
        Err((FrameErrorKind::Empty, 1))
    );
    let doubled = format!("11010{bits}");
    assert_eq!(find(&doubled), Err((FrameErrorKind::StartSentinelInside, 1)));
    let endless = format!("11010{}", "10000".repeat(120));
    assert_eq!(find(&endless), Err((FrameErrorKind::TooLong { limit: 107 }, 105)));
    let mut damaged = framed.to_bits();
    assert!(damaged.flip(37));
    assert!(matches!(Framed::find(&damaged).unwrap_err(), error if error.character == 7 && error.bit == 35));
}

#[test]
fn a_frame_in_both_directions_is_believed_in_neither() {
    // Found by search: numeric data whose reverse is a frame too.
    let forward = Framed::parse(";1?").unwrap().to_bits().expose_binary().to_string();
    let backward: String = forward.chars().rev().collect();
    // Two frames back to back, one for each direction.
    let both = Bits::parse(&format!("{forward}{}{backward}", "0".repeat(10))).unwrap();
    assert_eq!(Framed::find(&both).unwrap_err().kind, FrameErrorKind::Ambiguous);
}

/// Every single bit of every one of these stripes: none gives another frame, let alone another track.
#[test]
fn no_single_bit_flip_is_accepted_as_something_else() {
    let mut flips = 0;
    for text in [
        ";4111111111111111=29121010000000000000?",
        ";9999000112345677=29117221001314159265?",
        "%B4111111111111111^DOE/JANE^29121010000000000000?",
        "%B9999000112345677^DOE/JANE^29117221001314159265840?",
    ] {
        let framed = Framed::parse(text).unwrap();
        let padded = format!(
            "{}{}{}",
            "0".repeat(20),
            framed.to_bits().expose_binary(),
            "0".repeat(20)
        );
        let clean = Bits::parse(&padded).unwrap();
        for direction in [Direction::Forward, Direction::Reverse] {
            for index in 0..clean.len() {
                let mut bits = clean.clone();
                assert!(bits.flip(index));
                let bits = if direction == Direction::Forward {
                    bits
                } else {
                    bits.reversed()
                };
                if let Ok((read, _)) = Framed::find(&bits) {
                    assert_eq!(read, framed, "flip of bit {index}");
                }
                flips += 1;
            }
        }
    }
    assert_eq!(flips, 2 * (200 + 200 + 350 + 371 + 4 * 40));
}

fn pan() -> impl Strategy<Value = Pan> {
    "[0-9]{7,18}".prop_map(|digits| Pan::with_check_digit(&digits).unwrap())
}

fn expiry() -> impl Strategy<Value = Option<Expiry>> {
    proptest::option::of((0_u8..100, 1_u8..=12).prop_map(|(year, month)| Expiry::new(year, month).unwrap()))
}

fn service_code() -> impl Strategy<Value = Option<ServiceCode>> {
    proptest::option::of("[0-9]{3}".prop_map(|text| ServiceCode::parse(&text).unwrap()))
}

fn track() -> impl Strategy<Value = Track> {
    let one = (
        pan(),
        "[A-Z0-9 ./$()-]{2,26}",
        expiry(),
        service_code(),
        "[A-Z0-9 ./$()-]{0,61}",
    );
    let one = one.prop_filter_map("too long", |(pan, name, expiry, code, data)| {
        let (name, data) = (Name::new(&name).unwrap(), Discretionary::new(&data).unwrap());
        Track1::new(pan, name, expiry, code, data).ok().map(Track::One)
    });
    let two = (pan(), expiry(), service_code(), "[0-9]{0,26}");
    let two = two.prop_filter_map("too long", |(pan, expiry, code, data)| {
        Track2::new(pan, expiry, code, Discretionary::new(&data).unwrap())
            .ok()
            .map(Track::Two)
    });
    prop_oneof![one, two]
}

proptest! {
    #[test]
    fn tracks_round_trip_through_text_and_bits(track in track(), lead in 0_usize..100, trail in 0_usize..100, back: bool) {
        let framed = track.to_framed();
        prop_assert!(framed.characters() <= track.number().max_characters());
        prop_assert_eq!(&Track::parse(&framed.expose_text().to_string()).unwrap(), &track);
        let padded = format!("{}{}{}", "0".repeat(lead), framed.to_bits().expose_binary(), "0".repeat(trail));
        let bits = Bits::parse(&padded).unwrap();
        let bits = if back { bits.reversed() } else { bits };
        match Framed::find(&bits) {
            Ok((read, direction)) => {
                prop_assert_eq!(&Track::from_framed(&read).unwrap(), &track);
                prop_assert_eq!(direction == Direction::Reverse, back);
            }
            Err(error) => prop_assert_eq!(error.kind, FrameErrorKind::Ambiguous),
        }
    }

    #[test]
    fn every_text_is_refused_or_written_back_as_it_was(text in "[%;][ -_]{0,110}\\??") {
        if let Ok(framed) = Framed::parse(&text) {
            prop_assert_eq!(framed.expose_text().to_string(), text.clone());
            let (read, _) = Framed::find(&framed.to_bits()).unwrap();
            prop_assert_eq!(&read, &framed);
        }
        if let Ok(track) = Track::parse(&text) {
            prop_assert_eq!(track.to_framed().expose_text().to_string(), text);
        }
    }

    #[test]
    fn random_bits_are_never_a_track(bits in "(11010|1010001)[01]{20,700}") {
        prop_assert!(Framed::find(&Bits::parse(&bits).unwrap()).map(|(framed, _)| Track::from_framed(&framed).is_ok()) != Ok(true));
    }

    #[test]
    fn both_sets_decode_what_they_encode(character: u8) {
        for set in [Alphabet::Alphanumeric, Alphabet::Numeric] {
            if let Some(code) = set.encode(character) {
                prop_assert_eq!(set.decode(code), Some(character));
                prop_assert_eq!(code.count_ones() % 2, 1);
                for bit in 0..set.width() {
                    prop_assert_eq!(set.decode(code ^ (1 << bit)), None);
                }
            }
        }
        prop_assert_eq!(TrackNumber::Three.alphabet(), Alphabet::Numeric);
    }
}
