//! Text and bits: whatever is accepted is written back as it was, and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tr_track::card::Card;
use tr_track::{Bits, Framed, Track};

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = core::str::from_utf8(data) {
        if let Ok(framed) = Framed::parse(text) {
            assert_eq!(framed.expose_text().to_string(), text);
            let bits = framed.to_bits();
            if let Ok((read, _)) = Framed::find(&bits) {
                assert_eq!(read, framed);
            }
            assert_eq!(Framed::decode(&bits, 0, framed.alphabet()).as_ref(), Ok(&framed));
        }
        if let Ok(track) = Track::parse(text) {
            assert_eq!(track.to_framed().expose_text().to_string(), text);
            assert!(!format!("{track:?}").contains(track.pan().expose_digits()));
            if let Ok(card) = Card::from_track(&track) {
                assert_eq!(card.pan(), track.pan());
                assert_eq!(Card::from_track2(&card.track2()), Ok(card));
            }
        }
    }
    // The same octets as bits.
    let mut bits = Bits::new();
    for octet in data {
        for place in 0..8 {
            if bits.push(octet >> place & 1 == 1).is_err() {
                break;
            }
        }
    }
    assert_eq!(bits.reversed().reversed(), bits);
    if let Ok((framed, direction)) = Framed::find(&bits) {
        let (again, same) = Framed::find(&bits.trimmed()).unwrap_or((framed.clone(), direction));
        assert_eq!((again, same), (framed.clone(), direction));
        let text = framed.expose_text().to_string();
        assert_eq!(Framed::parse(&text).as_ref(), Ok(&framed));
    }
});
