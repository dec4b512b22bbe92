//! What can be wrong with a path.

use core::fmt;

use super::MAX_DEPTH;
use crate::error::{Excerpt, Field};
use crate::profile::Role;

/// Why a path is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathError {
    /// The certificate's place in the path; 0 is the peer's own, the greatest the trust anchor.
    pub index: usize,
    /// What is wrong with it.
    pub kind: PathErrorKind,
}

impl PathError {
    pub(super) const fn new(index: usize, kind: PathErrorKind) -> Self {
        Self { index, kind }
    }
}

/// What is wrong: the field, what was found in it and what belongs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "found, expected and allowed say what they are")]
pub enum PathErrorKind {
    /// No certificate was given.
    EmptyPath,
    /// No trust anchor was given.
    NoAnchors,
    /// No trust anchor has the name and key that the last certificate names as its issuer.
    UnknownIssuer { issuer: Excerpt, key: Excerpt },
    /// The path has more than [`MAX_DEPTH`] certificates.
    Depth { found: usize },
    /// The certificate's role is not acceptable here. `expected` is the first acceptable one, or
    /// nothing where any of our roles would do.
    Role {
        found: Option<Role>,
        expected: Option<Role>,
    },
    /// The issuer's role does not issue such certificates.
    IssuerRole {
        found: Option<Role>,
        expected: Option<Role>,
    },
    /// The issuer's name is not the subject of the next certificate, octet by octet.
    Issuer { found: Excerpt, expected: Excerpt },
    /// The authority key identifier is not the subject key identifier of the next certificate.
    KeyIdentifier { found: Excerpt, expected: Excerpt },
    /// A key identifier of another length than the profile's.
    KeyIdentifierLength {
        field: Field,
        found: usize,
        expected: usize,
    },
    /// A critical extension that is not known here.
    UnknownCritical { oid: Excerpt },
    /// A CA where an end entity belongs, or the reverse, by basicConstraints.
    Authority { expected: bool, found: bool },
    /// pathLenConstraint differs from the profile.
    PathLength { found: Option<u8>, expected: Option<u8> },
    /// Key usage differs from the profile.
    KeyUsage { found: u16, expected: u16 },
    /// Extended key usages differ from the profile; how many there are.
    ExtendedKeyUsage { found: usize, expected: usize },
    /// The profile's policy is not there; the first that is.
    Policy { found: Excerpt, expected: Excerpt },
    /// An extension that must be there is not.
    Missing { field: Field },
    /// An extension that must not be there is.
    Unexpected { field: Field },
    /// An extension is critical and must not be, or the reverse.
    Critical { field: Field, found: bool, expected: bool },
    /// The serial number has too many octets.
    SerialLength { found: usize, allowed: usize },
    /// The serial number has no issue number from 1 to
    /// [`MAX_ISSUE_NUMBER`](crate::MAX_ISSUE_NUMBER).
    Serial { found: Excerpt },
    /// Empty where a name belongs, or the reverse.
    Subject { found: Excerpt },
    /// The first URI of the subjectAltName is no `urn:uuid:` in lower case.
    Identity { found: Excerpt },
    /// The subjectAltName has too many entries of some kind: `found` in all, of which `hosts` are
    /// hosts, which the profile expects or not.
    Names { found: u8, hosts: u8, expected: bool },
    /// The certificate is made to last longer than its profile allows, or ends before it begins.
    Lifetime { found: i64, allowed: i64 },
    /// The signature does not verify with the next certificate's key.
    Signature,
    /// The authenticated time lies below the floor, so it is not the time.
    TimeBelowFloor { authenticated: i64, floor: i64 },
    /// The validity has not begun.
    NotYetValid { not_before: i64, now: i64 },
    /// The validity is over, and so is any grace time.
    Expired { not_after: i64, now: i64 },
}

impl PathErrorKind {
    /// The field that is wrong; [`Field::Certificate`] if it is none in particular.
    #[must_use]
    pub const fn field(&self) -> Field {
        match self {
            Self::EmptyPath | Self::NoAnchors | Self::Depth { .. } | Self::TimeBelowFloor { .. } => Field::Certificate,
            Self::UnknownIssuer { .. } | Self::IssuerRole { .. } | Self::Issuer { .. } => Field::Issuer,
            Self::Role { .. } | Self::ExtendedKeyUsage { .. } => Field::ExtendedKeyUsage,
            Self::KeyIdentifier { .. } => Field::AuthorityKeyIdentifier,
            Self::KeyIdentifierLength { field, .. }
            | Self::Missing { field }
            | Self::Unexpected { field }
            | Self::Critical { field, .. } => *field,
            Self::UnknownCritical { .. } => Field::Extensions,
            Self::Authority { .. } | Self::PathLength { .. } => Field::BasicConstraints,
            Self::KeyUsage { .. } => Field::KeyUsage,
            Self::Policy { .. } => Field::CertificatePolicies,
            Self::SerialLength { .. } | Self::Serial { .. } => Field::SerialNumber,
            Self::Subject { .. } => Field::Subject,
            Self::Identity { .. } | Self::Names { .. } => Field::SubjectAltName,
            Self::Lifetime { .. } => Field::Validity,
            Self::Signature => Field::SignatureValue,
            Self::NotYetValid { .. } => Field::NotBefore,
            Self::Expired { .. } => Field::NotAfter,
        }
    }
}

impl fmt::Display for PathErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = |role: &Option<Role>| role.map_or("none of ours", Role::name);
        let critical = |is: &bool| if *is { "critical" } else { "not critical" };
        match self {
            Self::EmptyPath => f.write_str("no certificate was given"),
            Self::NoAnchors => f.write_str("no trust anchor was given"),
            Self::UnknownIssuer { issuer, key } => {
                write!(f, "no trust anchor has name {issuer} and key {key}")
            }
            Self::Depth { found } => {
                write!(f, "path has {found} certificates, at most {MAX_DEPTH} are allowed")
            }
            Self::Role { found, expected } => {
                write!(f, "role is {}, expected {}", role(found), role(expected))
            }
            Self::IssuerRole { found, expected } => {
                write!(f, "issuer's role is {}, expected {}", role(found), role(expected))
            }
            Self::Issuer { found, expected }
            | Self::KeyIdentifier { found, expected }
            | Self::Policy { found, expected } => write!(f, "is {found}, expected {expected}"),
            Self::KeyIdentifierLength { found, expected, .. } => write!(f, "has {found} octets, expected {expected}"),
            Self::UnknownCritical { oid } => write!(f, "unknown critical extension {oid}"),
            Self::Authority { expected, found } => write!(f, "cA is {found}, expected {expected}"),
            Self::PathLength { found, expected } => {
                write!(f, "pathLenConstraint is {found:?}, expected {expected:?}")
            }
            Self::KeyUsage { found, expected } => {
                write!(f, "is {found:#06x}, expected {expected:#06x}")
            }
            Self::ExtendedKeyUsage { found, expected } => {
                write!(f, "has {found} other usages, expected the {expected} of the profile")
            }
            Self::Missing { .. } => f.write_str("is missing"),
            Self::Unexpected { .. } => f.write_str("does not belong here"),
            Self::Critical { found, expected, .. } => {
                write!(f, "is {}, expected {}", critical(found), critical(expected))
            }
            Self::SerialLength { found, allowed } => {
                write!(f, "has {found} octets, at most {allowed} are allowed")
            }
            Self::Serial { found } => write!(f, "{found} has no issue number"),
            Self::Subject { found } => write!(f, "{found} does not belong here"),
            Self::Identity { found } => write!(f, "{found} is no urn:uuid: in lower case"),
            Self::Names { found, hosts, expected } => write!(
                f,
                "has {found} names, {hosts} of hosts, expected one URI and {} host",
                if *expected { "at least one" } else { "no" }
            ),
            Self::Lifetime { found, allowed } => {
                write!(f, "lasts {found} s, at most {allowed} s are allowed")
            }
            Self::Signature => f.write_str("does not verify"),
            Self::TimeBelowFloor { authenticated, floor } => {
                write!(f, "the time given is {authenticated}, but it is {floor} or later")
            }
            Self::NotYetValid { not_before, now } => {
                write!(f, "begins at {not_before}, and it is {now}")
            }
            Self::Expired { not_after, now } => write!(f, "ended at {not_after}, and it is {now}"),
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, kind } = self;
        write!(f, "certificate {index}: {}: {kind}", kind.field())
    }
}

impl core::error::Error for PathError {}
