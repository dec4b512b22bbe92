//! Certification requests (PKCS#10, RFC 2986), written and read without a heap.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use crate::error::{Field, ParseError, ParseErrorKind};
use crate::provider::{BadSignature, Signer, Verifier};
use crate::reader::{self, ECDSA_WITH_SHA256, P256_KEY_HEAD, Reader};

/// Octets of buffer that [`write()`] needs at most.
pub const MAX_WRITTEN_LEN: usize = 190;

/// Longest request that is read, in octets.
pub const MAX_CSR_LEN: usize = 4096;

/// CertificationRequestInfo up to the key: its header, version 0, empty subject.
const INFO_HEAD: [u8; 7] = [0x30, 98, 0x02, 1, 0, 0x30, 0];
/// The empty set of attributes, `[0]`.
const NO_ATTRIBUTES: [u8; 2] = [0xa0, 0];
/// Octets of what [`write()`] signs.
const INFO_LEN: usize = 100;

/// Writes a request for the signer's key into `out` and gives the octets written.
///
/// The subject is empty and there are no attributes: who the key belongs to is for the registration
/// authority to say, from the voucher.
///
/// # Errors
///
/// [`WriteError::Buffer`] if `out` has fewer than [`MAX_WRITTEN_LEN`] octets, [`WriteError::Key`] if
/// the signer's key does not look like a point, [`WriteError::Signer`] if the signer fails.
pub fn write<'b, S: Signer + ?Sized>(signer: &S, out: &'b mut [u8]) -> Result<&'b [u8], WriteError<S::Error>> {
    let available = out.len();
    if available < MAX_WRITTEN_LEN {
        return Err(WriteError::Buffer {
            needed: MAX_WRITTEN_LEN,
            available,
        });
    }
    let public_key = signer.public_key().map_err(WriteError::Signer)?;
    if public_key.first() != Some(&4) {
        return Err(WriteError::Key);
    }
    let mut info = [0; INFO_LEN];
    let mut to = Writer::new(&mut info);
    for part in [&INFO_HEAD[..], &P256_KEY_HEAD, &public_key, &NO_ATTRIBUTES] {
        to.put(part);
    }
    let signature = signer.sign(&info).map_err(WriteError::Signer)?;
    let (r, s) = signature.split_at(32);
    let (r, s) = (Integer::of(r), Integer::of(s));
    let pair = r.len().saturating_add(s.len());

    // The two integers are all whose length varies.
    let mut to = Writer::new(out);
    let fixed = INFO_LEN.saturating_add(ECDSA_WITH_SHA256.len()).saturating_add(5);
    to.put(&[reader::SEQUENCE]);
    to.put_len(pair.saturating_add(fixed));
    to.put(&info);
    to.put(&ECDSA_WITH_SHA256);
    to.put(&[reader::BIT_STRING]);
    to.put_len(pair.saturating_add(3));
    to.put(&[0, reader::SEQUENCE]);
    to.put_len(pair);
    r.put(&mut to);
    s.put(&mut to);
    Ok(to.written())
}

/// Why no request was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError<E> {
    /// The buffer is too small.
    Buffer {
        /// Octets needed.
        needed: usize,
        /// Octets there are.
        available: usize,
    },
    /// The signer's public key is no uncompressed point.
    Key,
    /// The signer failed.
    Signer(E),
}

impl<E: fmt::Display> fmt::Display for WriteError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buffer { needed, available } => {
                write!(f, "the request needs {needed} octets, the buffer has {available}")
            }
            Self::Key => f.write_str("the public key is no uncompressed point"),
            Self::Signer(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for WriteError<E> {}

/// A certification request: P-256, ECDSA with SHA-256, in DER to the last bit. It borrows.
#[derive(Clone, Copy)]
pub struct Csr<'a> {
    der: &'a [u8],
    info: &'a [u8],
    subject: &'a [u8],
    public_key: &'a [u8; 65],
    attributes: &'a [u8],
    signature: [u8; 64],
}

impl<'a> Csr<'a> {
    /// Reads one request, which must be all of `der` (RFC 2986 §4). Its signature is for
    /// [`verify`](Self::verify) to check.
    ///
    /// # Errors
    ///
    /// [`ParseError`] with kind, field and offset of the first thing that is wrong.
    pub fn parse(der: &'a [u8]) -> Result<Self, ParseError> {
        const FIELD: Field = Field::CertificationRequest;
        let mut input = Reader::new(der);
        if der.len() > MAX_CSR_LEN {
            let kind = ParseErrorKind::TooLong {
                found: der.len(),
                allowed: MAX_CSR_LEN,
            };
            return Err(input.error(FIELD, kind));
        }
        let mut outer = input.element(reader::SEQUENCE, FIELD)?;
        input.end(FIELD)?;
        let (info, mut inner) = outer.whole_element(reader::SEQUENCE, FIELD)?;
        if !inner.skip_exact(&[reader::INTEGER, 1, 0]) {
            return Err(inner.error(Field::Version, ParseErrorKind::Value));
        }
        let subject = reader::name(&mut inner, Field::Subject)?;
        let public_key = reader::p256_key(&mut inner)?;
        let attributes = inner.element(0xa0, Field::Attributes)?;
        read_attributes(attributes)?;
        inner.end(FIELD)?;
        if !outer.skip_exact(&ECDSA_WITH_SHA256) {
            return Err(outer.error(Field::SignatureAlgorithm, ParseErrorKind::Algorithm));
        }
        let signature = reader::signature(&mut outer)?;
        outer.end(FIELD)?;
        Ok(Self {
            der,
            info,
            subject,
            public_key,
            attributes: attributes.rest(),
            signature,
        })
    }

    /// Checks that whoever made the request holds its private key.
    ///
    /// # Errors
    ///
    /// [`BadSignature`].
    pub fn verify<V: Verifier + ?Sized>(&self, verifier: &V) -> Result<(), BadSignature> {
        verifier.verify(self.public_key, self.info, &self.signature)
    }

    /// The whole encoding, as it was given.
    #[must_use]
    pub const fn as_der(&self) -> &'a [u8] {
        self.der
    }

    /// The public key to be certified, an uncompressed SEC1 point.
    #[must_use]
    pub const fn public_key(&self) -> &'a [u8; 65] {
        self.public_key
    }

    /// The subject's Name element, which is `30 00` in our own requests.
    #[must_use]
    pub const fn subject(&self) -> &'a [u8] {
        self.subject
    }

    /// The content of the set of attributes, empty in our own requests.
    #[must_use]
    pub const fn attributes(&self) -> &'a [u8] {
        self.attributes
    }
}

impl fmt::Debug for Csr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csr")
            .field("len", &self.der.len())
            .field("public_key", &crate::Excerpt::of(self.public_key))
            .finish_non_exhaustive()
    }
}

/// Each attribute is an identifier and a set of values (RFC 2986 §4.1); all in ascending order.
fn read_attributes(mut list: Reader<'_>) -> Result<(), ParseError> {
    const FIELD: Field = Field::Attributes;
    let mut previous: &[u8] = &[];
    while !list.is_empty() {
        let here = list;
        let (octets, mut attribute) = list.whole_element(reader::SEQUENCE, FIELD)?;
        if octets <= previous {
            return Err(here.error(FIELD, ParseErrorKind::Value));
        }
        previous = octets;
        attribute.oid(FIELD)?;
        let mut values = attribute.element(reader::SET, FIELD)?;
        attribute.end(FIELD)?;
        loop {
            values.any(FIELD)?;
            if values.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

/// A positive number to be written as an INTEGER: its digits without leading zeros, and whether a
/// zero octet must keep it positive.
struct Integer<'a> {
    digits: &'a [u8],
    sign: bool,
}

impl<'a> Integer<'a> {
    fn of(mut digits: &'a [u8]) -> Self {
        while let [0, rest @ ..] = digits {
            digits = rest;
        }
        Self {
            digits,
            sign: matches!(digits, [] | [0x80..=0xff, ..]),
        }
    }

    /// Octets of the whole element.
    fn len(&self) -> usize {
        self.digits
            .len()
            .saturating_add(usize::from(self.sign))
            .saturating_add(2)
    }

    fn put(&self, to: &mut Writer<'_>) {
        to.put(&[reader::INTEGER]);
        to.put_len(self.len().saturating_sub(2));
        if self.sign {
            to.put(&[0]);
        }
        to.put(self.digits);
    }
}

/// Appends to a buffer that is known to be large enough; what does not fit is left out.
struct Writer<'b> {
    out: &'b mut [u8],
    at: usize,
}

impl<'b> Writer<'b> {
    fn new(out: &'b mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    fn put(&mut self, octets: &[u8]) {
        let end = self.at.saturating_add(octets.len());
        if let Some(to) = self.out.get_mut(self.at..end) {
            to.copy_from_slice(octets);
            self.at = end;
        }
    }

    /// A length of one octet, or of two from 128 on.
    fn put_len(&mut self, len: usize) {
        let octet = u8::try_from(len).unwrap_or(u8::MAX);
        if octet >= 0x80 {
            self.put(&[0x81]);
        }
        self.put(&[octet]);
    }

    fn written(self) -> &'b [u8] {
        self.out.get(..self.at).unwrap_or_default()
    }
}
