//! The issuer: certificates of every profile, made through a [`Signer`].
//!
//! It has no state: issue numbers, random octets and the time come from the caller, who sees to it
//! that no issue number is used twice. Every certificate is read back and compared with its profile
//! before it is handed out.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use der::asn1::{Any, BitString, GeneralizedTime, Ia5String, ObjectIdentifier, OctetString, SetOfVec, UintRef};
use der::{Decode, Encode, Sequence, Tag};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

use crate::certificate::Certificate;
use crate::error::ParseError;
use crate::extensions::HostName;
use crate::path::{PathErrorKind, check_profile, is_uuid_urn};
use crate::profile::{KEY_IDENTIFIER_LEN, MAX_ISSUE_NUMBER, Profile, Role};
use crate::provider::{Signer, Verifier};
use crate::reader::{ECDSA_WITH_SHA256, P256_KEY_HEAD};

/// Longest common name of a CA, in octets (ub-common-name, RFC 5280 appendix A).
///
/// Short ones pay: with an issuing CA's name of up to seven octets no individual certificate has
/// more than 470.
pub const MAX_NAME_LEN: usize = 64;

/// Random octets of a serial number.
pub const SERIAL_RANDOM_LEN: usize = 12;

/// What makes one certificate differ from all others.
#[derive(Clone, Copy, Debug)]
pub struct Issue {
    /// The issue number, 1 … [`MAX_ISSUE_NUMBER`], never used before by this CA.
    pub number: u32,
    /// Fresh random octets.
    pub random: [u8; SERIAL_RANDOM_LEN],
    /// The first second of validity, Unix time.
    pub not_before: i64,
    /// Seconds of validity; `None` for as many as the profile allows. It ends with the issuer's own
    /// validity at the latest.
    pub lifetime: Option<i64>,
}

/// Whose key is certified, as what.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The role, which decides on everything that is not said here.
    pub role: Role,
    /// The public key, an uncompressed SEC1 point. That its owner has the private key is for the
    /// caller to have checked, by [`Csr::verify`](crate::csr::Csr::verify).
    pub public_key: &'r [u8; 65],
    /// Whom the certificate names.
    pub subject: Subject<'r>,
}

/// Whom a certificate names.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'r> {
    /// A CA.
    Authority {
        /// Its common name, 1 … [`MAX_NAME_LEN`] octets.
        name: &'r str,
    },
    /// Everyone else.
    Entity {
        /// `urn:uuid:` and a UUID in lower case.
        identity: &'r str,
        /// The hosts of a TLS server; empty for every other role.
        hosts: &'r [HostName<'r>],
    },
}

/// Makes a self-signed certificate: [`Role::Root`] or [`Role::ClassCa`].
///
/// # Errors
///
/// [`IssueError`]: the signer failed, or something that was asked for is not in the profile.
pub fn self_signed<S: Signer + ?Sized, V: Verifier + ?Sized>(
    role: Role,
    name: &str,
    issue: &Issue,
    signer: &S,
    hash: &V,
) -> Result<Vec<u8>, IssueError<S::Error>> {
    let profile = role.profile();
    if profile.issuer != role {
        return Err(IssueError::Issuer {
            found: role,
            expected: profile.issuer,
        });
    }
    let public_key = signer.public_key().map_err(IssueError::Signer)?;
    let request = Request {
        role,
        public_key: &public_key,
        subject: Subject::Authority { name },
    };
    let identifier = key_identifier(&public_key, hash);
    let issuer = Issuer {
        name: subject_name(&request)?,
        key_identifier: &identifier,
        not_after: i64::MAX,
    };
    make(&request, issue, &issuer, signer, hash)
}

/// A CA: its certificate and the key that belongs to it.
pub struct Authority<'a, S: ?Sized> {
    certificate: Certificate<'a>,
    role: Role,
    signer: &'a S,
}

impl<'a, S: Signer + ?Sized> Authority<'a, S> {
    /// Takes a CA's certificate and its signer.
    ///
    /// # Errors
    ///
    /// [`IssueError::Authority`] if the certificate is none of our CAs', [`IssueError::SignerKey`]
    /// if the signer has another key, [`IssueError::Signer`] if the signer failed.
    pub fn new(certificate: Certificate<'a>, signer: &'a S) -> Result<Self, IssueError<S::Error>> {
        let found = certificate.role();
        let role = match found {
            Some(role) if role.is_ca() => role,
            _ => return Err(IssueError::Authority { found }),
        };
        check_profile(&certificate, role.profile()).map_err(IssueError::Profile)?;
        if signer.public_key().map_err(IssueError::Signer)? != *certificate.public_key() {
            return Err(IssueError::SignerKey);
        }
        Ok(Self {
            certificate,
            role,
            signer,
        })
    }

    /// The CA's own certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate<'a> {
        &self.certificate
    }

    /// Issues one certificate and gives its DER.
    ///
    /// # Errors
    ///
    /// [`IssueError`]: the signer failed, or something that was asked for is not in the profile.
    pub fn issue<V: Verifier + ?Sized>(
        &self,
        request: &Request<'_>,
        issue: &Issue,
        hash: &V,
    ) -> Result<Vec<u8>, IssueError<S::Error>> {
        let expected = request.role.profile().issuer;
        if expected != self.role || request.role == self.role {
            return Err(IssueError::Issuer {
                found: self.role,
                expected,
            });
        }
        let own = &self.certificate;
        if issue.not_before < own.not_before() || issue.not_before > own.not_after() {
            return Err(IssueError::Validity {
                not_before: issue.not_before,
                issuer_not_before: own.not_before(),
                issuer_not_after: own.not_after(),
            });
        }
        let issuer = Issuer {
            name: own.subject().to_vec(),
            key_identifier: own.subject_key_identifier().unwrap_or_default(),
            not_after: own.not_after(),
        };
        make(request, issue, &issuer, self.signer, hash)
    }
}

impl<S: ?Sized> fmt::Debug for Authority<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// Why no certificate was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueError<E> {
    /// The certificate given as the CA's is none of our CAs'.
    Authority {
        /// Its role.
        found: Option<Role>,
    },
    /// The signer's key is not the one in the CA's certificate.
    SignerKey,
    /// The CA does not issue certificates of this role.
    Issuer {
        /// The CA's role.
        found: Role,
        /// The role of the CA that does.
        expected: Role,
    },
    /// The issue number is not from 1 to [`MAX_ISSUE_NUMBER`].
    IssueNumber {
        /// The number asked for.
        found: u32,
    },
    /// The public key is no uncompressed point.
    Key,
    /// A CA's name is empty, too long or has control characters, or a name was given to an end
    /// entity, or none to a CA.
    Name,
    /// An identity is no `urn:uuid:` in lower case.
    Identity,
    /// A host's name or address is malformed, or hosts were given to a role that has none, or none
    /// to one that has.
    Hosts,
    /// The certificate would begin outside its issuer's validity.
    Validity {
        /// The beginning asked for, Unix time.
        not_before: i64,
        /// The issuer's own first second.
        issuer_not_before: i64,
        /// The issuer's own last second.
        issuer_not_after: i64,
    },
    /// The signer failed.
    Signer(E),
    /// A value has no encoding.
    Encoding(der::Error),
    /// The finished certificate is not well-formed.
    Malformed(ParseError),
    /// The finished certificate breaks its profile.
    Profile(PathErrorKind),
}

impl<E> From<der::Error> for IssueError<E> {
    fn from(error: der::Error) -> Self {
        Self::Encoding(error)
    }
}

impl<E: fmt::Display> fmt::Display for IssueError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority { found } => {
                let role = found.map_or("none of ours", Role::name);
                write!(f, "a CA's certificate is needed, this one's role is {role}")
            }
            Self::SignerKey => f.write_str("the key is not the one in the CA's certificate"),
            Self::Issuer { found, expected } => {
                write!(f, "the CA's role is {found}, only {expected} issues this")
            }
            Self::IssueNumber { found } => {
                write!(f, "issue number {found} is not in 1 … {MAX_ISSUE_NUMBER}")
            }
            Self::Key => f.write_str("the public key is no uncompressed point"),
            Self::Name => f.write_str("the subject's name does not suit its role"),
            Self::Identity => f.write_str("the identity is no urn:uuid: in lower case"),
            Self::Hosts => f.write_str("the host names do not suit the role"),
            Self::Validity {
                not_before,
                issuer_not_before,
                issuer_not_after,
            } => write!(
                f,
                "it would begin at {not_before}, the CA is valid from {issuer_not_before} to \
                 {issuer_not_after}"
            ),
            Self::Signer(error) => error.fmt(f),
            Self::Encoding(error) => write!(f, "cannot be encoded: {error}"),
            Self::Malformed(error) => write!(f, "the certificate made is malformed: {error}"),
            Self::Profile(kind) => {
                write!(f, "the certificate made breaks its profile: {}: {kind}", kind.field())
            }
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for IssueError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Signer(error) => Some(error),
            Self::Malformed(error) => Some(error),
            _ => None,
        }
    }
}

/// The key identifier of a public key: the first octets of SHA-256 over the point.
#[must_use]
pub fn key_identifier<V: Verifier + ?Sized>(public_key: &[u8; 65], hash: &V) -> [u8; KEY_IDENTIFIER_LEN] {
    let digest = hash.sha256(&[public_key]);
    let mut out = [0; KEY_IDENTIFIER_LEN];
    for (to, from) in out.iter_mut().zip(digest) {
        *to = from;
    }
    out
}

struct Issuer<'i> {
    name: Vec<u8>,
    key_identifier: &'i [u8],
    not_after: i64,
}

/// TBSCertificate (RFC 5280 §4.1), encoded by `der`; x509-cert keeps the fields of its own private.
#[derive(Sequence)]
struct ToBeSigned {
    #[asn1(context_specific = "0", default = "Default::default")]
    version: Version,
    serial_number: SerialNumber,
    signature: Any,
    issuer: Any,
    validity: Validity,
    subject: Any,
    subject_public_key_info: Any,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

#[derive(Sequence)]
struct Signed {
    to_be_signed: Any,
    algorithm: Any,
    signature: BitString,
}

#[derive(Sequence)]
struct EcdsaSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

fn make<S: Signer + ?Sized, V: Verifier + ?Sized>(
    request: &Request<'_>,
    issue: &Issue,
    issuer: &Issuer<'_>,
    signer: &S,
    hash: &V,
) -> Result<Vec<u8>, IssueError<S::Error>> {
    let profile = request.role.profile();
    if request.public_key.first() != Some(&4) {
        return Err(IssueError::Key);
    }
    let to_be_signed = ToBeSigned {
        version: Version::V3,
        serial_number: serial_number(issue)?,
        signature: Any::from_der(&ECDSA_WITH_SHA256)?,
        issuer: Any::from_der(&issuer.name)?,
        validity: validity(issue, profile, issuer)?,
        subject: Any::from_der(&subject_name(request)?)?,
        subject_public_key_info: Any::from_der(&[&P256_KEY_HEAD[..], request.public_key].concat())?,
        extensions: extensions(request, profile, issuer, hash)?,
    }
    .to_der()?;

    let pair = signer.sign(&to_be_signed).map_err(IssueError::Signer)?;
    let (r, s) = pair.split_at(32);
    let signature = EcdsaSignature {
        r: UintRef::new(r)?,
        s: UintRef::new(s)?,
    };
    let der = Signed {
        to_be_signed: Any::from_der(&to_be_signed)?,
        algorithm: Any::from_der(&ECDSA_WITH_SHA256)?,
        signature: BitString::from_bytes(&signature.to_der()?)?,
    }
    .to_der()?;

    // The issuer keeps to its own rules, or nothing leaves it.
    let made = Certificate::parse(&der).map_err(IssueError::Malformed)?;
    check_profile(&made, profile).map_err(IssueError::Profile)?;
    Ok(der)
}

fn serial_number<E>(issue: &Issue) -> Result<SerialNumber, IssueError<E>> {
    if !(1..=MAX_ISSUE_NUMBER).contains(&issue.number) {
        return Err(IssueError::IssueNumber { found: issue.number });
    }
    let mut octets = issue.number.to_be_bytes().to_vec();
    octets.extend_from_slice(&issue.random);
    Ok(SerialNumber::new(&octets)?)
}

fn validity<E>(issue: &Issue, profile: &Profile, issuer: &Issuer<'_>) -> Result<Validity, IssueError<E>> {
    let lifetime = issue.lifetime.unwrap_or(profile.lifetime);
    // The last second belongs to the period.
    let not_after = issue
        .not_before
        .saturating_add(lifetime)
        .saturating_sub(1)
        .min(issuer.not_after);
    Ok(Validity::new(moment(issue.not_before)?, moment(not_after)?))
}

/// x509-cert itself writes years before 2050 as UTCTime (RFC 5280 §4.1.2.5).
fn moment(seconds: i64) -> der::Result<Time> {
    let seconds = u64::try_from(seconds).map_err(|_| Tag::GeneralizedTime.value_error())?;
    let time = GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))?;
    Ok(Time::from(time))
}

/// The subject's Name: a common name for a CA, nothing for everyone else.
fn subject_name<E>(request: &Request<'_>) -> Result<Vec<u8>, IssueError<E>> {
    const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    let mut sequence = RdnSequence::default();
    match request.subject {
        Subject::Authority { name } if request.role.is_ca() => {
            if name.is_empty() || name.len() > MAX_NAME_LEN || name.chars().any(char::is_control) {
                return Err(IssueError::Name);
            }
            let attribute = AttributeTypeAndValue {
                oid: COMMON_NAME,
                value: Any::new(Tag::Utf8String, name.as_bytes())?,
            };
            let set = SetOfVec::try_from(vec![attribute])?;
            sequence.push(RelativeDistinguishedName::from(set));
        }
        Subject::Entity { .. } if !request.role.is_ca() => {}
        _ => return Err(IssueError::Name),
    }
    Ok(sequence.to_der()?)
}

fn extensions<V: Verifier + ?Sized, E>(
    request: &Request<'_>,
    profile: &Profile,
    issuer: &Issuer<'_>,
    hash: &V,
) -> Result<Vec<Extension>, IssueError<E>> {
    let authority = AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new(issuer.key_identifier)?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    let identifier = key_identifier(request.public_key, hash);
    let subject = SubjectKeyIdentifier(OctetString::new(identifier.as_slice())?);
    let mut out = vec![
        extension("2.5.29.35", false, &authority)?,
        extension("2.5.29.14", false, &subject)?,
        extension("2.5.29.15", true, &key_usage(profile))?,
    ];
    if let Some(length) = profile.path_len {
        let constraints = BasicConstraints {
            ca: true,
            path_len_constraint: Some(length),
        };
        out.push(extension("2.5.29.19", true, &constraints)?);
    }
    if let Subject::Entity { identity, hosts } = request.subject {
        let names = alternative_names(identity, hosts, profile)?;
        out.push(extension("2.5.29.17", true, &names)?);
    }
    if !profile.extended_key_usage.is_empty() {
        let usages = profile.extended_key_usage.iter().map(|usage| oid(usage));
        let usages = usages.collect::<der::Result<Vec<Any>>>()?;
        let critical = profile.extended_key_usage_critical;
        out.push(extension("2.5.29.37", critical, &usages)?);
    }
    let policies = vec![vec![oid(profile.policy)?]];
    out.push(extension("2.5.29.32", false, &policies)?);
    Ok(out)
}

fn extension(id: &str, critical: bool, value: &impl Encode) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: ObjectIdentifier::new(id)?,
        critical,
        extn_value: OctetString::new(value.to_der()?)?,
    })
}

/// An object identifier by its content octets: those of `const-oid` end at 32 bits per arc.
fn oid(content: &[u8]) -> der::Result<Any> {
    Any::new(Tag::ObjectIdentifier, content)
}

fn key_usage(profile: &Profile) -> KeyUsage {
    let all = [
        (crate::DIGITAL_SIGNATURE, KeyUsages::DigitalSignature),
        (crate::KEY_CERT_SIGN, KeyUsages::KeyCertSign),
        (crate::CRL_SIGN, KeyUsages::CRLSign),
    ];
    let wanted = all.into_iter().filter(|(bit, _)| profile.key_usage & bit != 0);
    KeyUsage(wanted.fold(Default::default(), |usages, (_, usage)| usages | usage))
}

fn alternative_names<E>(
    identity: &str,
    hosts: &[HostName<'_>],
    profile: &Profile,
) -> Result<SubjectAltName, IssueError<E>> {
    if !is_uuid_urn(identity) {
        return Err(IssueError::Identity);
    }
    if hosts.is_empty() == profile.hosts {
        return Err(IssueError::Hosts);
    }
    let mut names = vec![GeneralName::UniformResourceIdentifier(Ia5String::new(identity)?)];
    for host in hosts {
        names.push(match host {
            HostName::Dns(name) if is_dns_name(name) => GeneralName::DnsName(Ia5String::new(*name)?),
            HostName::Ip(octets) if matches!(octets.len(), 4 | 16) => {
                GeneralName::IpAddress(OctetString::new(*octets)?)
            }
            _ => return Err(IssueError::Hosts),
        });
    }
    Ok(SubjectAltName(names))
}

/// Labels of small letters, digits and inner hyphens (RFC 1034 §3.5), no wildcard.
fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    name.len() <= 253 && name.split('.').all(label)
}
