//! A reader of DER (X.690 §10) that borrows, counts octets and never panics.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use crate::error::{Field, ParseError, ParseErrorKind};
use crate::oid;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758 §3.2).
pub(crate) const ECDSA_WITH_SHA256: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// SubjectPublicKeyInfo of an uncompressed P-256 point, up to the point (RFC 5480 §2).
pub(crate) const P256_KEY_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What is left of one element's content, and where that stands in the whole input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self { rest: input, offset: 0 }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An error at the next octet.
    #[cold]
    pub(crate) fn error(&self, field: Field, kind: ParseErrorKind) -> ParseError {
        ParseError {
            kind,
            field,
            offset: self.offset,
        }
    }

    /// Takes the next `needed` octets.
    #[inline]
    pub(crate) fn take(&mut self, needed: usize, field: Field) -> Result<&'a [u8], ParseError> {
        let Some((taken, rest)) = self.rest.split_at_checked(needed) else {
            let available = self.rest.len();
            return Err(self.error(field, ParseErrorKind::Truncated { needed, available }));
        };
        self.rest = rest;
        self.offset = self.offset.wrapping_add(needed);
        Ok(taken)
    }

    /// Takes `expected` if that is what stands here.
    #[inline]
    pub(crate) fn skip_exact(&mut self, expected: &[u8]) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                self.offset = self.offset.wrapping_add(expected.len());
                true
            }
            None => false,
        }
    }

    /// Whether the next element has this identifier octet.
    #[inline]
    pub(crate) fn peek(&self, tag: u8) -> bool {
        self.rest.first() == Some(&tag)
    }

    /// Takes an element's identifier and length octets; the content follows.
    #[inline]
    fn header(&mut self, tag: u8, field: Field) -> Result<usize, ParseError> {
        let truncated = |needed| ParseErrorKind::Truncated {
            needed,
            available: self.rest.len(),
        };
        let (used, length) = match *self.rest {
            [found, ..] if found != tag => {
                let kind = ParseErrorKind::Tag { expected: tag, found };
                return Err(self.error(field, kind));
            }
            [_, length @ 0..=0x7f, ..] => (2, usize::from(length)),
            [_, 0x81, length @ 0x80..=0xff, ..] => (3, usize::from(length)),
            [_, 0x82, high @ 1..=0xff, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
            [] | [_] | [_, 0x81] => return Err(self.error(field, truncated(2))),
            [_, 0x82] | [_, 0x82, _] => return Err(self.error(field, truncated(4))),
            _ => return Err(self.error(field, ParseErrorKind::Length)),
        };
        self.take(used, field)?;
        Ok(length)
    }

    /// Takes one element and gives its content.
    #[inline]
    pub(crate) fn element(&mut self, tag: u8, field: Field) -> Result<Reader<'a>, ParseError> {
        let length = self.header(tag, field)?;
        let offset = self.offset;
        let rest = self.take(length, field)?;
        Ok(Reader { rest, offset })
    }

    /// Takes one element and gives all of it, and its content.
    #[inline]
    pub(crate) fn whole_element(&mut self, tag: u8, field: Field) -> Result<(&'a [u8], Reader<'a>), ParseError> {
        let before = self.rest;
        let content = self.element(tag, field)?;
        let used = before.len().wrapping_sub(self.rest.len());
        // Never empty-handed: what is left is a tail of what was there before.
        Ok((before.get(..used).unwrap_or_default(), content))
    }

    /// Takes one element of any low tag and gives the tag and its content.
    pub(crate) fn any(&mut self, field: Field) -> Result<(u8, Reader<'a>), ParseError> {
        match self.rest.first() {
            Some(tag) if tag & 0x1f == 0x1f || *tag == 0 => Err(self.error(field, ParseErrorKind::Value)),
            Some(&tag) => Ok((tag, self.element(tag, field)?)),
            None => Err(self.error(
                field,
                ParseErrorKind::Truncated {
                    needed: 2,
                    available: 0,
                },
            )),
        }
    }

    /// Refuses anything that is left.
    #[inline]
    pub(crate) fn end(&self, field: Field) -> Result<(), ParseError> {
        match self.rest.len() {
            0 => Ok(()),
            octets => Err(self.error(field, ParseErrorKind::Trailing { octets })),
        }
    }

    /// Takes an object identifier and gives its content octets (X.690 §8.19).
    #[inline]
    pub(crate) fn oid(&mut self, field: Field) -> Result<&'a [u8], ParseError> {
        let content = self.element(OBJECT_IDENTIFIER, field)?;
        // Small numbers are octets below 0x80 each; of those below our arc only the end is left.
        let good = match content.rest.is_ascii() {
            true => !content.is_empty(),
            false => match content.rest.strip_prefix(&oid::ARC) {
                Some([last]) => *last < 0x80,
                _ => is_oid(content.rest),
            },
        };
        match good {
            true => Ok(content.rest),
            false => Err(content.error(field, ParseErrorKind::Value)),
        }
    }

    /// Takes an INTEGER and gives its content octets in their shortest form (X.690 §8.3.2).
    #[inline]
    pub(crate) fn integer(&mut self, field: Field) -> Result<&'a [u8], ParseError> {
        let content = self.element(INTEGER, field)?;
        match *content.rest {
            [] | [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(content.error(field, ParseErrorKind::Value)),
            _ => Ok(content.rest),
        }
    }
}

/// Whether these are content octets of an object identifier: a subidentifier ends at an octet without
/// the top bit, and starts with no 0x80.
fn is_oid(content: &[u8]) -> bool {
    let mut start = true;
    for octet in content {
        if start && *octet == 0x80 {
            return false;
        }
        start = *octet < 0x80;
    }
    start && !content.is_empty()
}

/// Takes an ECDSA-Sig-Value inside a BIT STRING (RFC 5480 appendix A); gives `r‖s`.
pub(crate) fn signature(reader: &mut Reader<'_>) -> Result<[u8; 64], ParseError> {
    const FIELD: Field = Field::SignatureValue;
    let mut bits = reader.element(BIT_STRING, FIELD)?;
    if !bits.skip_exact(&[0]) {
        return Err(bits.error(FIELD, ParseErrorKind::Value));
    }
    let mut pair = bits.element(SEQUENCE, FIELD)?;
    bits.end(FIELD)?;
    let mut out = [0; 64];
    let (r, s) = out.split_at_mut(32);
    scalar(&mut pair, r)?;
    scalar(&mut pair, s)?;
    pair.end(FIELD)?;
    Ok(out)
}

/// Takes a positive INTEGER of up to 32 octets into `out`, right-aligned.
fn scalar(reader: &mut Reader<'_>, out: &mut [u8]) -> Result<(), ParseError> {
    let here = *reader;
    let wrong = || here.error(Field::SignatureValue, ParseErrorKind::Value);
    let content = reader.integer(Field::SignatureValue)?;
    let digits = match *content {
        [0] | [0x80..=0xff, ..] => return Err(wrong()),
        [0, ref digits @ ..] => digits,
        _ => content,
    };
    let start = out.len().checked_sub(digits.len()).ok_or_else(wrong)?;
    match out.get_mut(start..) {
        Some(to) => to.copy_from_slice(digits),
        None => return Err(wrong()),
    }
    Ok(())
}

/// Takes the SubjectPublicKeyInfo of a P-256 key; gives its uncompressed point.
#[inline]
pub(crate) fn p256_key<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8; 65], ParseError> {
    const FIELD: Field = Field::SubjectPublicKeyInfo;
    let here = *reader;
    if !reader.skip_exact(&P256_KEY_HEAD) {
        return Err(here.error(FIELD, ParseErrorKind::Algorithm));
    }
    let here = *reader;
    let point = reader.take(65, FIELD)?;
    match point.first_chunk::<65>() {
        Some(point @ [4, ..]) => Ok(point),
        _ => Err(here.error(FIELD, ParseErrorKind::Value)),
    }
}

/// Takes a Name (RFC 5280 §4.1.2.4) and gives all its octets.
pub(crate) fn name<'a>(reader: &mut Reader<'a>, field: Field) -> Result<&'a [u8], ParseError> {
    let (whole, mut sequence) = reader.whole_element(SEQUENCE, field)?;
    while !sequence.is_empty() {
        let mut set = sequence.element(SET, field)?;
        let mut previous: &[u8] = &[];
        loop {
            let here = set;
            let (octets, mut attribute) = set.whole_element(SEQUENCE, field)?;
            // SET OF is sorted (X.690 §11.6); nobody is two of the same.
            if octets <= previous {
                return Err(here.error(field, ParseErrorKind::Value));
            }
            previous = octets;
            attribute.oid(field)?;
            let here = attribute;
            let (tag, value) = attribute.any(field)?;
            let text = value.rest();
            let good = match tag {
                UTF8_STRING => text.is_ascii() || core::str::from_utf8(text).is_ok(),
                PRINTABLE_STRING => text.iter().all(|&octet| is_printable(octet)),
                IA5_STRING => text.is_ascii(),
                _ => false,
            };
            if !good || text.is_empty() {
                return Err(here.error(field, ParseErrorKind::Value));
            }
            attribute.end(field)?;
            if set.is_empty() {
                break;
            }
        }
    }
    Ok(whole)
}

/// The characters of PrintableString (X.680 §41.4).
fn is_printable(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: Field = Field::Extensions;

    fn kind(input: &[u8]) -> Option<ParseErrorKind> {
        Reader::new(input).element(SEQUENCE, F).err().map(|e| e.kind)
    }

    #[test]
    fn lengths_have_one_form() {
        assert_eq!(kind(&[0x30, 0]), None);
        assert_eq!(kind(&[0x30, 0x80, 0, 0]), Some(ParseErrorKind::Length));
        assert_eq!(kind(&[0x30, 0x81, 0x7f]), Some(ParseErrorKind::Length));
        assert_eq!(kind(&[0x30, 0x82, 0, 0xff]), Some(ParseErrorKind::Length));
        assert_eq!(kind(&[0x30, 0x83, 1, 0, 0]), Some(ParseErrorKind::Length));
        assert_eq!(kind(&[0x30, 0x84, 0, 0, 0, 0]), Some(ParseErrorKind::Length));
        assert_eq!(kind(&[0x30, 0xff]), Some(ParseErrorKind::Length));
        for short in [
            &[][..],
            &[0x30],
            &[0x30, 0x81],
            &[0x30, 0x82],
            &[0x30, 0x82, 1],
            &[0x30, 1],
        ] {
            assert!(
                matches!(kind(short), Some(ParseErrorKind::Truncated { .. })),
                "{short:?}"
            );
        }
        let mut long = [0; 0x84];
        long[..3].copy_from_slice(&[0x30, 0x81, 0x81]);
        assert_eq!(kind(&long), None);
    }

    #[test]
    fn integers_have_one_form() {
        let read = |input: &[u8]| Reader::new(input).integer(F).is_ok();
        for good in [
            &[2, 1, 0][..],
            &[2, 1, 0x7f],
            &[2, 2, 0, 0x80],
            &[2, 1, 0xff],
            &[2, 2, 0xff, 0x7f],
        ] {
            assert!(read(good), "{good:?}");
        }
        for bad in [&[2, 0][..], &[2, 2, 0, 0x7f], &[2, 2, 0xff, 0x80], &[2, 2, 0, 0]] {
            assert!(!read(bad), "{bad:?}");
        }
    }

    #[test]
    fn identifiers_have_one_form() {
        let read = |input: &[u8]| Reader::new(input).oid(F).is_ok();
        assert!(read(&[6, 3, 0x55, 0x1d, 0x0e]));
        for bad in [
            &[6, 0][..],
            &[6, 2, 0x55, 0x80],
            &[6, 3, 0x55, 0x80, 1],
            &[6, 2, 0x80, 1],
        ] {
            assert!(!read(bad), "{bad:?}");
        }
    }

    #[test]
    fn signatures_have_one_form() {
        let read = |pair: &[u8]| {
            let mut input = [0; 96];
            let len = u8::try_from(pair.len()).unwrap();
            input[..5].copy_from_slice(&[3, len + 3, 0, 0x30, len]);
            input[5..5 + pair.len()].copy_from_slice(pair);
            signature(&mut Reader::new(&input[..5 + pair.len()]))
        };
        let mut expected = [0; 64];
        (expected[31], expected[62], expected[63]) = (1, 0x80, 2);
        assert_eq!(read(&[2, 1, 1, 2, 3, 0, 0x80, 2]), Ok(expected));
        let mut long = [0x11; 37];
        long[..5].copy_from_slice(&[2, 1, 1, 2, 32]);
        assert!(read(&long).is_ok());
        let mut longer = [0x11; 38];
        longer[..5].copy_from_slice(&[2, 1, 1, 2, 33]);
        assert!(read(&longer).is_err());
        for bad in [
            &[2, 1, 0, 2, 1, 1][..],
            &[2, 1, 1, 2, 1, 0x80],
            &[2, 1, 1, 2, 2, 0, 1],
            &[2, 1, 1],
            &[2, 1, 1, 2, 1, 1, 0],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_checked_to_the_bottom() {
        let read = |input: &[u8]| name(&mut Reader::new(input), F).is_ok();
        assert!(read(&[0x30, 0]));
        let cn = [0x30, 12, 0x31, 10, 0x30, 8, 6, 3, 0x55, 4, 3, 0x0c, 1, b'a'];
        assert!(read(&cn));
        for (at, octet) in [(3, 0), (5, 7), (6, 5), (11, 0x04), (11, 0x1e), (12, 0), (13, 0xff)] {
            let mut bad = cn;
            bad[at] = octet;
            assert!(!read(&bad), "{at}");
        }
        let mut printable = cn;
        printable[11] = PRINTABLE_STRING;
        assert!(read(&printable));
        printable[13] = b'*';
        assert!(!read(&printable));
    }
}
