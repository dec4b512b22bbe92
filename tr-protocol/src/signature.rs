//! Signatures `~1` … `~4`: who signed, what, and the two numbers. Verifying is the caller's.

use crate::base64;
use crate::error::ErrorKind;
use crate::value::Digest;

/// The length of a signature's value: 43 + 1 + 86.
pub const SIGNATURE_VALUE: usize = 130;

/// The order n of P-256 (SEC 2, 2.4.2), big-endian.
const ORDER: [u8; 32] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA,
    0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
];

/// (n − 1) / 2, the largest s that is low.
const HALF_ORDER: [u8; 32] = [
    0x7F, 0xFF, 0xFF, 0xFF, 0x80, 0x00, 0x00, 0x00, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xDE, 0x73, 0x7D,
    0x56, 0xD3, 0x8B, 0xCF, 0x42, 0x79, 0xDC, 0xE5, 0x61, 0x7E, 0x31, 0x92, 0xA8,
];

/// One signature of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// SHA-256 of the signer's certificate.
    pub certificate: Digest,
    /// ECDSA P-256 with SHA-256 over [`Self::signed`]: r ‖ s, big-endian, s low.
    pub signature: [u8; 64],
    /// What it covers, verbatim: the frame from its start through the `.` of this signature.
    pub signed: &'a [u8],
}

/// Whether r ‖ s is in range with a low s: the one spelling of a signature. Pure comparison; nothing is verified.
#[must_use]
pub fn is_low_s(signature: &[u8; 64]) -> bool {
    let (Some(r), Some(s)) = (signature.first_chunk::<32>(), signature.last_chunk::<32>()) else {
        return false;
    };
    let positive = *r != [0; 32] && *s != [0; 32];
    positive && *r < ORDER && *s <= HALF_ORDER
}

/// Splits a signature's value into certificate and r ‖ s. The number is the offset in the value of what is wrong.
pub(crate) fn read(value: &[u8]) -> Result<(Digest, [u8; 64]), (ErrorKind, usize)> {
    let bad = |offset| (ErrorKind::BadSignature, offset);
    let (certificate, rest) = value.split_at_checked(43).ok_or(bad(value.len()))?;
    let signature = rest.strip_prefix(b".").ok_or(bad(43))?;
    let certificate = base64::decode_array(certificate).ok_or(bad(0))?;
    let signature = base64::decode_array(signature).ok_or(bad(44))?;
    if !is_low_s(&signature) {
        return Err((ErrorKind::SignatureRange, 44));
    }
    Ok((Digest(certificate), signature))
}

/// The offset of the first octet that cannot stand in a signature's value, of which this is the beginning.
pub(crate) fn first_misplaced(value: &[u8]) -> Option<usize> {
    let fits = |(at, &octet): (usize, &u8)| {
        if at == 43 {
            octet == b'.'
        } else {
            base64::is_digit(octet)
        }
    };
    value
        .iter()
        .take(SIGNATURE_VALUE)
        .enumerate()
        .position(|place| !fits(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(r: [u8; 32], s: [u8; 32]) -> [u8; 64] {
        let mut both = [0; 64];
        both[..32].copy_from_slice(&r);
        both[32..].copy_from_slice(&s);
        both
    }

    #[test]
    fn half_order_is_half() {
        let mut carry = 1; // 2 * half + 1 == n
        for i in (0..32).rev() {
            let doubled = u16::from(HALF_ORDER[i]) * 2 + carry;
            assert_eq!(doubled.to_be_bytes()[1], ORDER[i]);
            carry = doubled >> 8;
        }
        assert_eq!(carry, 0);
    }

    #[test]
    fn range_is_checked_at_its_ends() {
        let one = {
            let mut one = [0; 32];
            one[31] = 1;
            one
        };
        let mut above_half = HALF_ORDER;
        above_half[31] += 1;
        let mut below_order = ORDER;
        below_order[31] -= 1;
        assert!(is_low_s(&with(one, one)));
        assert!(is_low_s(&with(below_order, HALF_ORDER)));
        assert!(!is_low_s(&with(ORDER, one)));
        assert!(!is_low_s(&with(one, above_half)));
        assert!(!is_low_s(&with([0; 32], one)));
        assert!(!is_low_s(&with(one, [0; 32])));
    }
}
