//! Unpadded base64url with zero pad bits: one text for each byte string.

use base64ct::{Base64UrlUnpadded, Encoding};

/// The length of the text for `octets` octets.
#[must_use]
pub const fn encoded_len(octets: usize) -> usize {
    let whole = (octets / 3).saturating_mul(4);
    whole.saturating_add(match octets % 3 {
        0 => 0,
        1 => 2,
        _ => 3,
    })
}

/// The number of octets that a valid text of this length holds.
#[must_use]
pub const fn decoded_len(characters: usize) -> usize {
    let whole = (characters / 4).saturating_mul(3);
    whole.saturating_add(match characters % 4 {
        2 => 1,
        3 => 2,
        _ => 0,
    })
}

/// Whether `text` is the one text of some byte string.
#[must_use]
pub fn is_canonical(text: &[u8]) -> bool {
    let pad_bits = match text.len() % 4 {
        0 => 0,
        2 => 0b1111,
        3 => 0b11,
        _ => return false,
    };
    let alphabet = text
        .iter()
        .all(|&c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
    alphabet && text.last().is_none_or(|&last| digit(last) & pad_bits == 0)
}

/// Decodes into `out`; `None` if the text is not canonical or `out` is too small.
#[must_use]
pub fn decode<'o>(text: &str, out: &'o mut [u8]) -> Option<&'o [u8]> {
    if !is_canonical(text.as_bytes()) {
        return None;
    }
    Base64UrlUnpadded::decode(text, out).ok()
}

/// Decodes a text of exactly `N` octets.
#[must_use]
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    (decode(text, &mut out)?.len() == N).then_some(out)
}

/// Encodes into `out`; `None` if it is too small.
#[must_use]
pub fn encode<'o>(octets: &[u8], out: &'o mut [u8]) -> Option<&'o str> {
    Base64UrlUnpadded::encode(octets, out).ok()
}

const fn digit(character: u8) -> u8 {
    match character {
        b'A'..=b'Z' => character.wrapping_sub(b'A'),
        b'a'..=b'z' => character.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => character.wrapping_sub(b'0').wrapping_add(52),
        b'-' => 62,
        _ => 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64ct_refuses_what_we_refuse() {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n";
        let mut out = [0; 3];
        for length in 1..=3_usize {
            let count = alphabet.len().pow(u32::try_from(length).unwrap());
            for n in 0..count {
                let mut text = [0; 3];
                let mut rest = n;
                for slot in &mut text[..length] {
                    *slot = alphabet.as_bytes()[rest % alphabet.len()];
                    rest /= alphabet.len();
                }
                let text = core::str::from_utf8(&text[..length]).unwrap();
                let theirs = Base64UrlUnpadded::decode(text, &mut out).is_ok();
                assert_eq!(theirs, is_canonical(text.as_bytes()), "{text:?}");
            }
        }
    }

    #[test]
    fn lengths_agree() {
        for octets in 0..100 {
            let mut out = [0; 200];
            let text = encode(&[0xA5; 100][..octets], &mut out).unwrap();
            assert_eq!(text.len(), encoded_len(octets));
            assert_eq!(decoded_len(text.len()), octets);
            assert!(is_canonical(text.as_bytes()));
        }
    }
}
