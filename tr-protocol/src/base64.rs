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
    text.iter().all(|&c| is_digit(c)) && text.last().is_none_or(|&last| digit(last) & pad_bits == 0)
}

/// Decodes into `out`, in constant time for a given length; `None` if the text is not canonical or `out` is too small.
#[must_use]
pub fn decode<'o>(text: &str, out: &'o mut [u8]) -> Option<&'o [u8]> {
    if !is_canonical(text.as_bytes()) {
        return None;
    }
    Base64UrlUnpadded::decode(text, out).ok()
}

/// Decodes a text of exactly `N` octets, by a table: for what is public, as digests and signatures are.
#[must_use]
pub fn decode_array<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    if text.len() != encoded_len(N) {
        return None;
    }
    let mut refused = 0;
    for (group, octets) in text.chunks(4).zip(out.chunks_mut(3)) {
        let mut bits = 0_u32;
        for place in 0..4 {
            let value = group.get(place).map_or(0, |&character| digit(character));
            refused |= value;
            bits = bits << 6 | u32::from(value & 63);
        }
        let [_, decoded @ ..] = bits.to_be_bytes();
        let rest = decoded.get(octets.len()..).unwrap_or_default();
        // Bits that are left over must be zero.
        refused |= if rest.iter().any(|&octet| octet != 0) {
            NO_DIGIT
        } else {
            0
        };
        for (octet, value) in octets.iter_mut().zip(decoded) {
            *octet = value;
        }
    }
    (refused & NO_DIGIT == 0).then_some(out)
}

/// Whether the octet is a digit of base64url.
pub(crate) fn is_digit(character: u8) -> bool {
    digit(character) != NO_DIGIT
}

/// Encodes into `out`; `None` if it is too small.
#[must_use]
pub fn encode<'o>(octets: &[u8], out: &'o mut [u8]) -> Option<&'o str> {
    Base64UrlUnpadded::encode(octets, out).ok()
}

/// In the table in place of a value.
const NO_DIGIT: u8 = 0x80;

const VALUES: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut values = [NO_DIGIT; 256];
    let mut value = 0_u8;
    while value < 64 {
        #[expect(
            clippy::as_conversions,
            clippy::indexing_slicing,
            reason = "computed when it is compiled"
        )]
        {
            values[alphabet[value as usize] as usize] = value;
        }
        value = value.saturating_add(1);
    }
    values
};

fn digit(character: u8) -> u8 {
    VALUES.get(usize::from(character)).copied().unwrap_or(NO_DIGIT)
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
                match length {
                    2 => assert_eq!(decode_array::<1>(text.as_bytes()).is_some(), theirs, "{text:?}"),
                    3 => assert_eq!(decode_array::<2>(text.as_bytes()).is_some(), theirs, "{text:?}"),
                    _ => {}
                }
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

    #[test]
    fn the_table_and_base64ct_agree() {
        for seed in 0..=255_u8 {
            let octets: [u8; 64] = core::array::from_fn(|n| u8::try_from(n).unwrap().wrapping_mul(37) ^ seed);
            let mut text = [0; 86];
            let text = encode(&octets, &mut text).unwrap();
            assert_eq!(decode_array::<64>(text.as_bytes()), Some(octets));
            assert_eq!(decode_array::<63>(text.as_bytes()), None);
            assert_eq!(decode(text, &mut [0; 64]), Some(&octets[..]));
        }
    }
}
