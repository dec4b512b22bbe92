//! Path validation (RFC 5280 §6), for paths of our profiles, stricter than the RFC.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use crate::certificate::Certificate;
use crate::error::{Excerpt, Field};
use crate::profile::{KEY_CERT_SIGN, KEY_IDENTIFIER_LEN, Profile, Role};
use crate::provider::Verifier;
use crate::time::Time;

mod error;

pub use error::{PathError, PathErrorKind};

/// Most certificates of a path, the trust anchor included.
pub const MAX_DEPTH: usize = 4;

/// Longest serial number in octets (RFC 5280 §4.1.2.2).
pub const MAX_SERIAL_LEN: usize = 20;

/// What a peer's certificate is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Options<'o> {
    /// What is known of the time.
    pub time: Time,
    /// Seconds after notAfter in which an end entity's certificate still counts as
    /// [`Standing::Expired`] instead of being refused; 0 for none. CAs get no grace.
    pub grace: i64,
    /// The roles that are acceptable from this peer.
    pub roles: &'o [Role],
}

/// How a certificate stands to the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Within its validity.
    Current,
    /// Past its validity, but within the grace time: good for repeats, status queries and renewal
    /// only. Whoever accepts it must know that it is not revoked.
    Expired {
        /// Seconds since notAfter.
        ago: i64,
    },
}

/// A peer whose path is good, at a time that was good as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Validated<'a> {
    /// The peer's role, one of those that were acceptable.
    pub role: Role,
    /// The peer's name: the URI of its subjectAltName, `urn:uuid:…`. It outlives renewals.
    pub identity: &'a str,
    /// The peer's public key, an uncompressed SEC1 point.
    pub public_key: &'a [u8; 65],
    /// The peer's certificate.
    pub certificate: Certificate<'a>,
    /// Whether it is current.
    pub standing: Standing,
    /// Which of the given trust anchors the path ends at.
    pub anchor: usize,
}

/// Validates a path and judges it by the time: [`authenticate`], then [`Authenticated::at`].
///
/// `path` starts with the peer's certificate; each next one issued the one before. The trust anchor
/// comes from `anchors`, not from the peer; if the peer sent it too, it and what follows it are not
/// looked at. An anchor is any CA certificate of ours: the root, the class CA, or the issuing CA.
///
/// # Errors
///
/// [`PathError`] with the certificate, the field and both values of the first thing that is wrong.
pub fn validate<'a, V: Verifier + ?Sized>(
    path: &[Certificate<'a>],
    anchors: &[Certificate<'_>],
    options: &Options<'_>,
    verifier: &V,
) -> Result<Validated<'a>, PathError> {
    authenticate(path, anchors, options.roles, verifier)?.at(&options.time, options.grace)
}

/// The part of [`validate`] that needs no time: everything but validity periods.
///
/// A handshake that learns the time from its peer authenticates first, checks the peer's signature
/// and the proof of the time, and then asks [`Authenticated::at`].
///
/// # Errors
///
/// As for [`validate`].
pub fn authenticate<'a, V: Verifier + ?Sized>(
    path: &[Certificate<'a>],
    anchors: &[Certificate<'_>],
    roles: &[Role],
    verifier: &V,
) -> Result<Authenticated<'a>, PathError> {
    let Some(leaf) = path.first() else {
        return Err(PathError::new(0, PathErrorKind::EmptyPath));
    };
    let role = expected_role(leaf, roles).map_err(|kind| PathError::new(0, kind))?;
    let (path, anchor) = up_to_anchor(path, anchors)?;
    if path.len() >= MAX_DEPTH {
        let found = path.len().saturating_add(1);
        return Err(PathError::new(0, PathErrorKind::Depth { found }));
    }
    let anchor_certificate = anchors.get(anchor).ok_or(NO_ANCHORS)?;

    let mut periods = [Period::default(); MAX_DEPTH];
    for (index, period) in periods.iter_mut().enumerate().take(path.len().saturating_add(1)) {
        let certificate = path.get(index).unwrap_or(anchor_certificate);
        *period = Period::of(certificate);
        check_alone(certificate, index).map_err(|kind| PathError::new(index, kind))?;
    }
    // From the anchor down, so that no key is used before it is known to be good.
    for index in (0..path.len()).rev() {
        let Some(subject) = path.get(index) else { continue };
        let above = index.saturating_add(1);
        let issuer = path.get(above).unwrap_or(anchor_certificate);
        check_link(subject, issuer).map_err(|kind| PathError::new(index, kind))?;
        verifier
            .verify(issuer.public_key(), subject.tbs(), subject.signature())
            .map_err(|_| PathError::new(index, PathErrorKind::Signature))?;
    }
    Ok(Authenticated {
        leaf: *leaf,
        role,
        identity: leaf.uri().unwrap_or_default(),
        anchor,
        periods,
        depth: path.len().saturating_add(1),
    })
}

/// A peer whose path is good, if only the time were.
#[derive(Clone, Copy, Debug)]
pub struct Authenticated<'a> {
    leaf: Certificate<'a>,
    role: Role,
    identity: &'a str,
    anchor: usize,
    periods: [Period; MAX_DEPTH],
    depth: usize,
}

impl<'a> Authenticated<'a> {
    /// The peer's public key, to check the peer's own signature with.
    #[must_use]
    pub const fn public_key(&self) -> &'a [u8; 65] {
        self.leaf.public_key()
    }

    /// The peer's name.
    #[must_use]
    pub const fn identity(&self) -> &'a str {
        self.identity
    }

    /// The peer's role.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Judges the path by the time: every certificate's, and the trust anchor's own.
    ///
    /// notAfter is compared with the later of floor and authenticated time, notBefore with the
    /// authenticated time only; an authenticated time below the floor is refused.
    ///
    /// # Errors
    ///
    /// [`PathErrorKind::TimeBelowFloor`], [`PathErrorKind::NotYetValid`], [`PathErrorKind::Expired`].
    pub fn at(&self, time: &Time, grace: i64) -> Result<Validated<'a>, PathError> {
        if let Some(authenticated) = time.authenticated
            && authenticated < time.floor
        {
            let kind = PathErrorKind::TimeBelowFloor {
                authenticated,
                floor: time.floor,
            };
            return Err(PathError::new(0, kind));
        }
        let now = time.latest();
        let mut standing = Standing::Current;
        for (index, period) in self.periods.iter().enumerate().take(self.depth) {
            let Period { not_before, not_after } = *period;
            if let Some(now) = time.authenticated
                && now < not_before
            {
                let kind = PathErrorKind::NotYetValid { not_before, now };
                return Err(PathError::new(index, kind));
            }
            if now <= not_after {
                continue;
            }
            let ago = now.saturating_sub(not_after);
            if index > 0 || ago > grace {
                let kind = PathErrorKind::Expired { not_after, now };
                return Err(PathError::new(index, kind));
            }
            standing = Standing::Expired { ago };
        }
        Ok(Validated {
            role: self.role,
            identity: self.identity,
            public_key: self.leaf.public_key(),
            certificate: self.leaf,
            standing,
            anchor: self.anchor,
        })
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Period {
    not_before: i64,
    not_after: i64,
}

impl Period {
    const fn of(certificate: &Certificate<'_>) -> Self {
        Self {
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        }
    }
}

/// The end entity's role, if it is one of those expected. A CA is never a peer.
fn expected_role(leaf: &Certificate<'_>, roles: &[Role]) -> Result<Role, PathErrorKind> {
    let found = leaf.role();
    match found {
        Some(role) if !role.is_ca() && roles.contains(&role) => Ok(role),
        _ => Err(PathErrorKind::Role {
            found,
            expected: roles.first().copied(),
        }),
    }
}

const NO_ANCHORS: PathError = PathError::new(0, PathErrorKind::NoAnchors);

/// Cuts the path at the trust anchor, and finds that.
fn up_to_anchor<'p, 'a>(
    path: &'p [Certificate<'a>],
    anchors: &[Certificate<'_>],
) -> Result<(&'p [Certificate<'a>], usize), PathError> {
    for (index, certificate) in path.iter().enumerate().skip(1).take(MAX_DEPTH) {
        let same = |anchor: &Certificate<'_>| anchor.as_der() == certificate.as_der();
        if let Some(anchor) = anchors.iter().position(same) {
            return Ok((path.get(..index).unwrap_or(path), anchor));
        }
    }
    let last = path.last().ok_or(NO_ANCHORS)?;
    let issued = |anchor: &Certificate<'_>| {
        anchor.subject() == last.issuer() && anchor.subject_key_identifier() == last.authority_key_identifier()
    };
    match anchors.iter().position(issued) {
        Some(anchor) => Ok((path, anchor)),
        None if anchors.is_empty() => Err(NO_ANCHORS),
        None => {
            let kind = PathErrorKind::UnknownIssuer {
                issuer: Excerpt::of(last.issuer()),
                key: Excerpt::of(last.authority_key_identifier().unwrap_or_default()),
            };
            Err(PathError::new(path.len().saturating_sub(1), kind))
        }
    }
}

/// What one certificate must be by itself, at its place in the path.
fn check_alone(certificate: &Certificate<'_>, index: usize) -> Result<(), PathErrorKind> {
    if let Some(oid) = certificate.extensions.unknown_critical {
        return Err(PathErrorKind::UnknownCritical { oid: Excerpt::of(oid) });
    }
    let place_is_ca = index > 0;
    if certificate.is_ca() != place_is_ca {
        return Err(PathErrorKind::Authority {
            expected: place_is_ca,
            found: certificate.is_ca(),
        });
    }
    let Some(role) = certificate.role() else {
        return Err(PathErrorKind::Role {
            found: None,
            expected: None,
        });
    };
    check_profile(certificate, role.profile())
}

/// Compares a certificate with its profile. The issuer asks the same of what it made.
pub(crate) fn check_profile(certificate: &Certificate<'_>, profile: &Profile) -> Result<(), PathErrorKind> {
    check_serial(certificate)?;
    check_lifetime(certificate, profile)?;
    check_key_identifiers(certificate, profile)?;
    check_usage(certificate, profile)?;
    check_subject(certificate, profile)
}

fn check_serial(certificate: &Certificate<'_>) -> Result<(), PathErrorKind> {
    let serial = certificate.serial();
    let octets = serial.as_bytes().len();
    if octets > MAX_SERIAL_LEN {
        return Err(PathErrorKind::SerialLength {
            found: octets,
            allowed: MAX_SERIAL_LEN,
        });
    }
    match serial.issue_number() {
        Some(1..) => Ok(()),
        _ => Err(PathErrorKind::Serial {
            found: Excerpt::of(serial.as_bytes()),
        }),
    }
}

fn check_lifetime(certificate: &Certificate<'_>, profile: &Profile) -> Result<(), PathErrorKind> {
    let Period { not_before, not_after } = Period::of(certificate);
    // Both seconds belong to the period (RFC 5280 §4.1.2.5), so 90 days end a second early.
    let seconds = not_after.saturating_sub(not_before).saturating_add(1);
    if seconds < 1 || seconds > profile.lifetime {
        return Err(PathErrorKind::Lifetime {
            found: seconds,
            allowed: profile.lifetime,
        });
    }
    Ok(())
}

fn check_key_identifiers(certificate: &Certificate<'_>, profile: &Profile) -> Result<(), PathErrorKind> {
    let authority = certificate.authority_key_identifier();
    let subject = certificate.subject_key_identifier();
    for (field, identifier) in [
        (Field::AuthorityKeyIdentifier, authority),
        (Field::SubjectKeyIdentifier, subject),
    ] {
        let Some(identifier) = identifier else {
            return Err(PathErrorKind::Missing { field });
        };
        check_critical(certificate, field, false)?;
        if identifier.len() != KEY_IDENTIFIER_LEN {
            return Err(PathErrorKind::KeyIdentifierLength {
                field,
                found: identifier.len(),
                expected: KEY_IDENTIFIER_LEN,
            });
        }
    }
    if profile.issuer == profile.role && authority != subject {
        return Err(key_identifiers_differ(authority, subject));
    }
    Ok(())
}

fn check_usage(certificate: &Certificate<'_>, profile: &Profile) -> Result<(), PathErrorKind> {
    let Some(found) = certificate.key_usage() else {
        return Err(PathErrorKind::Missing { field: Field::KeyUsage });
    };
    check_critical(certificate, Field::KeyUsage, true)?;
    if found != profile.key_usage {
        return Err(PathErrorKind::KeyUsage {
            found,
            expected: profile.key_usage,
        });
    }

    if profile.path_len.is_some() {
        check_critical(certificate, Field::BasicConstraints, true)?;
        if certificate.path_len() != profile.path_len {
            return Err(PathErrorKind::PathLength {
                found: certificate.path_len(),
                expected: profile.path_len,
            });
        }
    }

    if profile.extended_key_usage.is_empty() {
        check_absent(certificate, Field::ExtendedKeyUsage)?;
    } else {
        check_present(certificate, Field::ExtendedKeyUsage)?;
        let critical = profile.extended_key_usage_critical;
        check_critical(certificate, Field::ExtendedKeyUsage, critical)?;
        let found = certificate.extended_key_usages();
        if !found.eq(profile.extended_key_usage.iter().copied()) {
            return Err(PathErrorKind::ExtendedKeyUsage {
                found: found.count(),
                expected: profile.extended_key_usage.len(),
            });
        }
    }

    check_present(certificate, Field::CertificatePolicies)?;
    check_critical(certificate, Field::CertificatePolicies, false)?;
    if !certificate.policies().any(|oid| oid == profile.policy) {
        let first = certificate.policies().next().unwrap_or_default();
        return Err(PathErrorKind::Policy {
            found: Excerpt::of(first),
            expected: Excerpt::of(profile.policy),
        });
    }
    Ok(())
}

fn check_subject(certificate: &Certificate<'_>, profile: &Profile) -> Result<(), PathErrorKind> {
    const EMPTY: &[u8] = &[0x30, 0];
    let extensions = &certificate.extensions;
    let subject = certificate.subject();
    let names_wanted = profile.path_len.is_some();
    if (subject == EMPTY) == names_wanted {
        return Err(PathErrorKind::Subject {
            found: Excerpt::of(subject),
        });
    }
    if names_wanted {
        return check_absent(certificate, Field::SubjectAltName);
    }
    check_present(certificate, Field::SubjectAltName)?;
    check_critical(certificate, Field::SubjectAltName, true)?;
    let uri = certificate.uri().unwrap_or_default();
    if !is_uuid_urn(uri) {
        return Err(PathErrorKind::Identity {
            found: Excerpt::of(uri.as_bytes()),
        });
    }
    let hosts = extensions.hosts_count;
    // One URI, and every other entry is a host.
    if extensions.names_count != hosts.saturating_add(1) || (hosts > 0) != profile.hosts {
        return Err(PathErrorKind::Names {
            found: extensions.names_count,
            hosts,
            expected: profile.hosts,
        });
    }
    Ok(())
}

/// What ties a certificate to the one above it.
fn check_link(subject: &Certificate<'_>, issuer: &Certificate<'_>) -> Result<(), PathErrorKind> {
    if subject.issuer() != issuer.subject() {
        return Err(PathErrorKind::Issuer {
            found: Excerpt::of(subject.issuer()),
            expected: Excerpt::of(issuer.subject()),
        });
    }
    let authority = subject.authority_key_identifier();
    if authority != issuer.subject_key_identifier() {
        return Err(key_identifiers_differ(authority, issuer.subject_key_identifier()));
    }
    // What the profiles say already, said once more where it counts.
    let usage = issuer.key_usage().unwrap_or_default();
    if usage & KEY_CERT_SIGN == 0 {
        return Err(PathErrorKind::KeyUsage {
            found: usage,
            expected: KEY_CERT_SIGN,
        });
    }
    let expected = subject.role().map(|role| role.profile().issuer);
    let found = issuer.role();
    // This also is the path length: a root issues only issuing CAs, which issue no CA.
    if expected.is_none() || found != expected {
        return Err(PathErrorKind::IssuerRole { found, expected });
    }
    Ok(())
}

fn check_present(certificate: &Certificate<'_>, field: Field) -> Result<(), PathErrorKind> {
    match certificate.extensions.is_present(field) {
        true => Ok(()),
        false => Err(PathErrorKind::Missing { field }),
    }
}

fn check_absent(certificate: &Certificate<'_>, field: Field) -> Result<(), PathErrorKind> {
    match certificate.extensions.is_present(field) {
        true => Err(PathErrorKind::Unexpected { field }),
        false => Ok(()),
    }
}

fn check_critical(certificate: &Certificate<'_>, field: Field, expected: bool) -> Result<(), PathErrorKind> {
    let found = certificate.extensions.is_critical(field);
    if found == expected {
        return Ok(());
    }
    Err(PathErrorKind::Critical { field, found, expected })
}

#[cold]
fn key_identifiers_differ(authority: Option<&[u8]>, subject: Option<&[u8]>) -> PathErrorKind {
    PathErrorKind::KeyIdentifier {
        found: Excerpt::of(authority.unwrap_or_default()),
        expected: Excerpt::of(subject.unwrap_or_default()),
    }
}

/// Whether this is `urn:uuid:` and a UUID in lower case (RFC 9562 §4).
#[must_use]
pub fn is_uuid_urn(uri: &str) -> bool {
    let Some(uuid) = uri.strip_prefix("urn:uuid:") else {
        return false;
    };
    uuid.len() == 36
        && uuid.bytes().enumerate().all(|(at, octet)| match at {
            8 | 13 | 18 | 23 => octet == b'-',
            _ => matches!(octet, b'0'..=b'9' | b'a'..=b'f'),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities() {
        assert!(is_uuid_urn("urn:uuid:2b397a02-4e9e-41e1-ae2a-e7e5dee655f2"));
        for bad in [
            "",
            "urn:uuid:",
            "URN:uuid:2b397a02-4e9e-41e1-ae2a-e7e5dee655f2",
            "urn:uuid:2B397a02-4e9e-41e1-ae2a-e7e5dee655f2",
            "urn:uuid:2b397a02-4e9e-41e1-ae2a-e7e5dee655f",
            "urn:uuid:2b397a02-4e9e-41e1-ae2a-e7e5dee655f20",
            "urn:uuid:2b397a0204e9e-41e1-ae2a-e7e5dee655f2",
        ] {
            assert!(!is_uuid_urn(bad), "{bad}");
        }
    }
}
