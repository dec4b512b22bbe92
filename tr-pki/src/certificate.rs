//! A certificate as a view of its bytes.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use crate::error::{Excerpt, Field, ParseError, ParseErrorKind};
use crate::extensions::{Extensions, HostNames, Oids};
use crate::profile::{MAX_ISSUE_NUMBER, Role};
use crate::reader::{self, Reader};
use crate::time;

/// Longest certificate that is read, in octets. Ours have at most 700; foreign P-256 ones rarely
/// have 2,000.
pub const MAX_CERTIFICATE_LEN: usize = 4096;

/// A certificate: X.509 version 3, P-256, ECDSA with SHA-256, in DER to the last bit.
///
/// A value of this type is well-formed; whether to believe it is what [`validate`](crate::validate)
/// says. It borrows the encoding, which is never made anew.
#[derive(Clone, Copy)]
pub struct Certificate<'a> {
    der: &'a [u8],
    tbs: &'a [u8],
    serial: Serial<'a>,
    issuer: &'a [u8],
    not_before: i64,
    not_after: i64,
    subject: &'a [u8],
    public_key: &'a [u8; 65],
    pub(crate) extensions: Extensions<'a>,
    signature: [u8; 64],
}

impl<'a> Certificate<'a> {
    /// Reads one certificate, which must be all of `der` (RFC 5280 §4.1).
    ///
    /// Any well-formed P-256 certificate is read, also of a foreign CA. Identifiers of extensions
    /// unknown here are kept, for [`validate`](crate::validate) to refuse if they are critical.
    ///
    /// # Errors
    ///
    /// [`ParseError`] with kind, field and offset of the first thing that is wrong.
    pub fn parse(der: &'a [u8]) -> Result<Self, ParseError> {
        let mut input = Reader::new(der);
        if der.len() > MAX_CERTIFICATE_LEN {
            let kind = ParseErrorKind::TooLong {
                found: der.len(),
                allowed: MAX_CERTIFICATE_LEN,
            };
            return Err(input.error(Field::Certificate, kind));
        }
        let mut outer = input.element(reader::SEQUENCE, Field::Certificate)?;
        input.end(Field::Certificate)?;
        let (tbs, mut inner) = outer.whole_element(reader::SEQUENCE, Field::Certificate)?;

        if !inner.skip_exact(&[0xa0, 3, reader::INTEGER, 1, 2]) {
            return Err(inner.error(Field::Version, ParseErrorKind::Value));
        }
        let serial = Serial(inner.integer(Field::SerialNumber)?);
        algorithm(&mut inner)?;
        let issuer = reader::name(&mut inner, Field::Issuer)?;
        let mut validity = inner.element(reader::SEQUENCE, Field::Validity)?;
        let not_before = moment(&mut validity, Field::NotBefore)?;
        let not_after = moment(&mut validity, Field::NotAfter)?;
        validity.end(Field::Validity)?;
        let subject = reader::name(&mut inner, Field::Subject)?;
        let public_key = reader::p256_key(&mut inner)?;
        let extensions = Extensions::read(&mut inner)?;
        inner.end(Field::Certificate)?;

        algorithm(&mut outer)?;
        let signature = reader::signature(&mut outer)?;
        outer.end(Field::Certificate)?;
        Ok(Self {
            der,
            tbs,
            serial,
            issuer,
            not_before,
            not_after,
            subject,
            public_key,
            extensions,
            signature,
        })
    }

    /// The whole encoding, as it was given.
    #[must_use]
    pub const fn as_der(&self) -> &'a [u8] {
        self.der
    }

    /// The octets that the signature covers: the TBSCertificate element.
    #[must_use]
    pub const fn tbs(&self) -> &'a [u8] {
        self.tbs
    }

    /// The signature as `r‖s`.
    #[must_use]
    pub const fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// The subject's public key, an uncompressed SEC1 point. That it is on the curve is for the
    /// crypto provider to see when it uses the key.
    #[must_use]
    pub const fn public_key(&self) -> &'a [u8; 65] {
        self.public_key
    }

    /// The serial number.
    #[must_use]
    pub const fn serial(&self) -> Serial<'a> {
        self.serial
    }

    /// The issuer's Name element.
    #[must_use]
    pub const fn issuer(&self) -> &'a [u8] {
        self.issuer
    }

    /// The subject's Name element; `30 00` if empty.
    #[must_use]
    pub const fn subject(&self) -> &'a [u8] {
        self.subject
    }

    /// The first second of validity, Unix time.
    #[must_use]
    pub const fn not_before(&self) -> i64 {
        self.not_before
    }

    /// The last second of validity, Unix time.
    #[must_use]
    pub const fn not_after(&self) -> i64 {
        self.not_after
    }

    /// The key identifier of the authorityKeyIdentifier extension.
    #[must_use]
    pub const fn authority_key_identifier(&self) -> Option<&'a [u8]> {
        self.extensions.authority_key_identifier
    }

    /// The subjectKeyIdentifier extension.
    #[must_use]
    pub const fn subject_key_identifier(&self) -> Option<&'a [u8]> {
        self.extensions.subject_key_identifier
    }

    /// The key usage bits, bit 0 of RFC 5280 §4.2.1.3 being `0x8000`.
    #[must_use]
    pub const fn key_usage(&self) -> Option<u16> {
        self.extensions.key_usage
    }

    /// Whether basicConstraints says that this is a CA.
    #[must_use]
    pub const fn is_ca(&self) -> bool {
        self.extensions.ca
    }

    /// pathLenConstraint of a CA.
    #[must_use]
    pub const fn path_len(&self) -> Option<u8> {
        self.extensions.path_len
    }

    /// The first URI of the subjectAltName extension.
    #[must_use]
    pub fn uri(&self) -> Option<&'a str> {
        // It was ASCII when it was read.
        core::str::from_utf8(self.extensions.uri?).ok()
    }

    /// The host names and addresses of the subjectAltName extension.
    #[must_use]
    pub const fn host_names(&self) -> HostNames<'a> {
        self.extensions.host_names()
    }

    /// The extended key usages, as content octets of object identifiers.
    #[must_use]
    pub const fn extended_key_usages(&self) -> Oids<'a> {
        self.extensions.extended_key_usages()
    }

    /// The certificate policies, as content octets of object identifiers.
    #[must_use]
    pub const fn policies(&self) -> Oids<'a> {
        self.extensions.policies()
    }

    /// The role that the certificate claims: by our private extended key usage if it has one, else,
    /// for a CA, by policy and by whether it is self-issued.
    ///
    /// After a TLS handshake, in which rustls has verified the class certificate, this tells the
    /// class. In all other cases the claim is worth nothing before [`validate`](crate::validate).
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        if !self.is_ca() {
            return self.extended_key_usages().find_map(Role::from_private_eku);
        }
        let has = |wanted: Role| self.policies().any(|oid| oid == wanted.profile().policy);
        match self.issuer == self.subject {
            true if has(Role::Root) => Some(Role::Root),
            true if has(Role::ClassCa) => Some(Role::ClassCa),
            false if has(Role::IssuingCa) => Some(Role::IssuingCa),
            _ => None,
        }
    }
}

impl fmt::Debug for Certificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("serial", &self.serial)
            .field("role", &self.role())
            .field("uri", &self.uri())
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// Two certificates are the same if their octets are.
impl PartialEq for Certificate<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate<'_> {}

/// A serial number: issue number × 2⁹⁶ + 96 random bits in our certificates, any INTEGER in others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Serial<'a>(&'a [u8]);

impl<'a> Serial<'a> {
    /// The content octets of the INTEGER, two's complement, big-endian.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The issue number, 1 … [`MAX_ISSUE_NUMBER`], if the serial number has our shape.
    #[must_use]
    pub fn issue_number(&self) -> Option<u32> {
        // A leading zero octet only carries the sign.
        let magnitude = match *self.0 {
            [0x80..=0xff, ..] => return None,
            [0, ref rest @ ..] => rest,
            _ => self.0,
        };
        let number = magnitude.get(..magnitude.len().checked_sub(12)?)?;
        if number.is_empty() || number.len() > 4 {
            return None;
        }
        let number = number
            .iter()
            .fold(0_u32, |value, octet| value.wrapping_shl(8) | u32::from(*octet));
        (number <= MAX_ISSUE_NUMBER).then_some(number)
    }
}

impl fmt::Debug for Serial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hexadecimal.
impl fmt::Display for Serial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Excerpt::of(self.0), f)
    }
}

#[inline]
fn algorithm(reader: &mut Reader<'_>) -> Result<(), ParseError> {
    if reader.skip_exact(&reader::ECDSA_WITH_SHA256) {
        Ok(())
    } else {
        Err(reader.error(Field::SignatureAlgorithm, ParseErrorKind::Algorithm))
    }
}

#[inline]
fn moment(reader: &mut Reader<'_>, field: Field) -> Result<i64, ParseError> {
    let here = *reader;
    let seconds = if reader.peek(reader::GENERALIZED_TIME) {
        let content = reader.element(reader::GENERALIZED_TIME, field)?;
        time::from_generalized_time(content.rest())
    } else {
        time::from_utc_time(reader.element(reader::UTC_TIME, field)?.rest())
    };
    seconds.ok_or_else(|| here.error(field, ParseErrorKind::Value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue_numbers() {
        let serial = |head: &[u8]| {
            let mut octets = [0xab; 40];
            octets[..head.len()].copy_from_slice(head);
            Serial(&octets[..head.len() + 12]).issue_number()
        };
        assert_eq!(serial(&[]), None);
        assert_eq!(serial(&[1]), Some(1));
        assert_eq!(serial(&[0, 0x80]), Some(0x80));
        assert_eq!(serial(&[1, 2, 3, 4]), Some(0x0102_0304));
        assert_eq!(serial(&[0x7f, 0xff, 0xff, 0xff]), Some(MAX_ISSUE_NUMBER));
        assert_eq!(serial(&[0, 0x80, 0, 0, 0]), None);
        assert_eq!(serial(&[1, 0, 0, 0, 0]), None);
        assert_eq!(serial(&[0x80]), None);
        assert_eq!(Serial(&[5]).issue_number(), None);
        assert_eq!(Serial(&[0]).issue_number(), None);
        // Twelve octets with the sign octet in front: the number is zero.
        assert_eq!(serial(&[0]), None);
    }
}
