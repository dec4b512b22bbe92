//! What can be wrong with the bytes of a certificate or request.

use core::fmt;

/// The part of a certificate or request that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "they are named as in RFC 5280 §4.1 and §4.2")]
pub enum Field {
    Certificate,
    CertificationRequest,
    Version,
    SerialNumber,
    SignatureAlgorithm,
    Issuer,
    Validity,
    NotBefore,
    NotAfter,
    Subject,
    SubjectPublicKeyInfo,
    Attributes,
    Extensions,
    AuthorityKeyIdentifier,
    SubjectKeyIdentifier,
    KeyUsage,
    SubjectAltName,
    BasicConstraints,
    CertificatePolicies,
    ExtendedKeyUsage,
    SignatureValue,
}

impl Field {
    /// The name that RFC 5280 or RFC 2986 gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Field::Certificate => "certificate",
            Field::CertificationRequest => "certificationRequest",
            Field::Version => "version",
            Field::SerialNumber => "serialNumber",
            Field::SignatureAlgorithm => "signatureAlgorithm",
            Field::Issuer => "issuer",
            Field::Validity => "validity",
            Field::NotBefore => "notBefore",
            Field::NotAfter => "notAfter",
            Field::Subject => "subject",
            Field::SubjectPublicKeyInfo => "subjectPublicKeyInfo",
            Field::Attributes => "attributes",
            Field::Extensions => "extensions",
            Field::AuthorityKeyIdentifier => "authorityKeyIdentifier",
            Field::SubjectKeyIdentifier => "subjectKeyIdentifier",
            Field::KeyUsage => "keyUsage",
            Field::SubjectAltName => "subjectAltName",
            Field::BasicConstraints => "basicConstraints",
            Field::CertificatePolicies => "certificatePolicies",
            Field::ExtendedKeyUsage => "extendedKeyUsage",
            Field::SignatureValue => "signatureValue",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bytes that are no certificate or request of the kind this crate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Which part is wrong.
    pub field: Field,
    /// Octets from the start of the input to what is wrong.
    pub offset: usize,
}

/// What is wrong, with the values that were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The whole input is longer than this crate reads.
    TooLong {
        /// Octets given.
        found: usize,
        /// Octets allowed.
        allowed: usize,
    },
    /// An element reaches beyond what contains it.
    Truncated {
        /// Octets the element needs.
        needed: usize,
        /// Octets there are.
        available: usize,
    },
    /// Another element stands here.
    Tag {
        /// The identifier octet that belongs here.
        expected: u8,
        /// The one found.
        found: u8,
    },
    /// A length that is indefinite, not in its shortest form, or above 65,535 (X.690 §10.1).
    Length,
    /// Octets after the last element.
    Trailing {
        /// How many.
        octets: usize,
    },
    /// A value that DER, or the field's definition, does not allow.
    Value,
    /// The same extension, policy or key usage twice.
    Duplicate,
    /// More elements than this crate reads.
    TooMany {
        /// Elements allowed.
        allowed: usize,
    },
    /// An algorithm or curve other than ECDSA with SHA-256 on P-256.
    Algorithm,
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { found, allowed } => {
                write!(f, "{found} octets, at most {allowed} are read")
            }
            Self::Truncated { needed, available } => {
                write!(f, "needs {needed} octets, {available} are there")
            }
            Self::Tag { expected, found } => {
                write!(f, "expected tag {expected:#04x}, found {found:#04x}")
            }
            Self::Length => f.write_str("length is not in DER"),
            Self::Trailing { octets } => write!(f, "{octets} octets follow its end"),
            Self::Value => f.write_str("value is not allowed"),
            Self::Duplicate => f.write_str("occurs twice"),
            Self::TooMany { allowed } => write!(f, "more than {allowed} elements"),
            Self::Algorithm => f.write_str("not ECDSA with SHA-256 on P-256"),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at octet {}: {}", self.field, self.offset, self.kind)
    }
}

impl core::error::Error for ParseError {}

/// The first octets of a value that an error quotes, so that errors borrow nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    octets: [u8; Self::MAX],
    len: usize,
}

impl Excerpt {
    /// Octets that are kept.
    pub const MAX: usize = 32;

    /// Keeps the beginning of `value`.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        let mut octets = [0; Self::MAX];
        for (to, from) in octets.iter_mut().zip(value) {
            *to = *from;
        }
        Self {
            octets,
            len: value.len(),
        }
    }

    /// The octets kept, all of them if there are at most [`MAX`](Self::MAX).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&self.octets)
    }

    /// How long the whole value is.
    #[must_use]
    pub const fn full_len(&self) -> usize {
        self.len
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.len == 0 {
            return f.write_str("(none)");
        }
        for octet in self.as_bytes() {
            write!(f, "{octet:02x}")?;
        }
        if self.len > Self::MAX {
            write!(f, "… ({} octets)", self.len)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
