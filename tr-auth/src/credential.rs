//! Who we are, whom we expect, and who it turned out to be.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use tr_pki::{Certificate, Role, Standing, Time};

use crate::cbor::{ARRAY, BYTES, Head, MAP, NEGATIVE, Reader, UNSIGNED, Writer, bytes_len};
use crate::crypto::Crypto;
use crate::error::{Error, Full, Message};
use crate::signed::Received;

/// The most certificates that a chain may have. With the issuing CA as anchor there is one.
pub const MAX_CHAIN: usize = 4;

/// COSE header parameters (RFC 9360 §2).
const X5CHAIN: i64 = 33;
const X5T: i64 = 34;

/// Our own identity: certificates as DER, the leaf first and no anchor, and what signs with the leaf's key.
#[derive(Debug)]
pub struct Identity<'a, S> {
    /// One to [`MAX_CHAIN`] certificates, each signed by the next.
    pub chain: &'a [&'a [u8]],
    /// Signs with the private key of the first.
    pub signer: &'a S,
}

impl<S> Clone for Identity<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Identity<'_, S> {}

impl<S> Identity<'_, S> {
    pub(crate) fn leaf(&self) -> Result<&[u8], Error> {
        match self.chain {
            [leaf, ..] if self.chain.len() <= MAX_CHAIN => Ok(leaf),
            _ => Err(Error::Usage),
        }
    }
}

/// Whom we accept as the peer, and by which time we judge.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Where a chain may end.
    pub anchors: &'a [Certificate<'a>],
    /// The roles that the peer may have.
    pub roles: &'a [Role],
    /// What is known of the time.
    pub time: Time,
    /// For how many seconds after its notAfter a certificate still opens a limited session; 0 for none.
    pub grace: i64,
    /// Our own leaf certificate as DER. A peer that shows it, or another of its key or name, is refused.
    pub own: &'a [u8],
    /// The labels of critical EAD items that the caller understands and will act on.
    pub understood: &'a [u32],
}

/// The peer, once its chain, its signature and its validity have been checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    uri: [u8; Self::MAX_URI],
    uri_len: usize,
    role: Role,
    public_key: [u8; 65],
    certificate: [u8; 32],
    standing: Standing,
}

impl Peer {
    /// The longest name of a peer; ours (`urn:uuid:…`) have 45 octets.
    pub const MAX_URI: usize = 64;

    /// Its identity: the URI of its certificate's subject alternative name, which outlives the certificate's renewal.
    #[must_use]
    pub fn uri(&self) -> &str {
        self.uri
            .get(..self.uri_len)
            .and_then(|uri| core::str::from_utf8(uri).ok())
            .unwrap_or("")
    }

    /// Its role; one of those expected.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The public key of its certificate, an uncompressed SEC1 point.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 65] {
        &self.public_key
    }

    /// SHA-256 of its certificate's DER.
    #[must_use]
    pub const fn certificate(&self) -> &[u8; 32] {
        &self.certificate
    }

    /// Whether the certificate has expired, less than the grace time ago: the session is then good for repeats, status
    /// queries and renewal only.
    #[must_use]
    pub const fn limited(&self) -> bool {
        matches!(self.standing, Standing::Expired { .. })
    }

    /// How its certificate stands to the time.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("uri", &self.uri())
            .field("role", &self.role)
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

/// Judges the peer by what it sent: its chain, then its signature over `digest`, then its EAD, then the time.
pub(crate) fn judge<C: Crypto>(
    crypto: &C,
    received: &Received<'_>,
    digest: &[u8; 32],
    message: Message,
    expected: &Expected<'_>,
) -> Result<Peer, Error> {
    let chain = &received.id_cred;
    let leaf = parse(chain.leaf(), 0)?;
    refuse_own(&leaf, expected.own)?;
    let mut path = [leaf; MAX_CHAIN];
    for (index, (slot, der)) in path.iter_mut().zip(chain.certificates()).enumerate().skip(1) {
        *slot = parse(der, index)?;
    }
    let path = path.get(..chain.len).unwrap_or(&path);
    let authenticated =
        tr_pki::authenticate(path, expected.anchors, expected.roles, crypto).map_err(Error::Certificate)?;
    crypto
        .verify_digest(authenticated.public_key(), digest, received.signature)
        .map_err(Error::refused(message))?;
    received.ead.check(message, expected.understood)?;
    let valid = authenticated
        .at(&expected.time, expected.grace)
        .map_err(Error::Certificate)?;

    let name = valid.identity.as_bytes();
    let mut uri = [0; Peer::MAX_URI];
    uri.get_mut(..name.len())
        .ok_or(Error::LongName { octets: name.len() })?
        .copy_from_slice(name);
    Ok(Peer {
        uri,
        uri_len: name.len(),
        role: valid.role,
        public_key: *valid.public_key,
        certificate: crypto.sha256(&[chain.leaf()]),
        standing: valid.standing,
    })
}

fn parse(der: &[u8], index: usize) -> Result<Certificate<'_>, Error> {
    Certificate::parse(der).map_err(|cause| Error::CertificateForm { index, cause })
}

/// Refuses our own certificate, and any other of our key or name: a message of ours, or of ourselves before a renewal, coming back.
fn refuse_own(leaf: &Certificate<'_>, own: &[u8]) -> Result<(), Error> {
    let own = Certificate::parse(own).map_err(|_| Error::Usage)?;
    if leaf.as_der() == own.as_der() || leaf.public_key() == own.public_key() || leaf.uri() == own.uri() {
        return Err(Error::OwnIdentity);
    }
    Ok(())
}

/// The certificates of a received ID_CRED, and the octets that it is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdCred<'a> {
    pub(crate) encoded: &'a [u8],
    certificates: [&'a [u8]; MAX_CHAIN],
    len: usize,
}

impl<'a> IdCred<'a> {
    /// Reads { 33: x5chain }. A well-formed reference of another kind is told apart from what is malformed.
    pub(crate) fn read(reader: &mut Reader<'a>, message: Message) -> Result<Self, Error> {
        let malformed = Error::malformed(message);
        let start = reader.offset();
        // A kid stands for itself, without the map.
        if matches!(reader.major(), Some(UNSIGNED | NEGATIVE | BYTES)) {
            return Err(Error::UnknownCredential { message });
        }
        let here = reader.malformed();
        if reader.map().map_err(&malformed)? != 1 {
            return Err(malformed(here));
        }
        let here = reader.malformed();
        match reader.int().map_err(&malformed)? {
            X5CHAIN => {}
            X5T => return Err(Error::UnknownCredential { message }),
            _ => return Err(malformed(here)),
        }
        let here = reader.malformed();
        let mut certificates: [&[u8]; MAX_CHAIN] = [&[]; MAX_CHAIN];
        let len = match reader.major() {
            Some(BYTES) => 1,
            // An array has two members or more (RFC 9360 §2).
            _ => match reader.array().map_err(&malformed)? {
                0 | 1 => return Err(malformed(here)),
                many => many,
            },
        };
        let too_long = Error::LongChain { certificates: len };
        let len = usize::try_from(len).map_err(|_| too_long)?;
        for slot in certificates.get_mut(..len).ok_or(too_long)? {
            *slot = reader.bytes().map_err(&malformed)?;
        }
        Ok(Self {
            encoded: reader.since(start),
            certificates,
            len,
        })
    }

    /// The end-entity certificate: CRED without its head (RFC 9528 §3.5.2).
    pub(crate) const fn leaf(&self) -> &'a [u8] {
        self.certificates[0]
    }

    fn certificates(&self) -> impl Iterator<Item = &'a [u8]> {
        self.certificates.into_iter().take(self.len)
    }
}

/// Octets of { 33: x5chain } with this chain.
pub(crate) fn id_cred_len(chain: &[&[u8]]) -> usize {
    let members = chain
        .iter()
        .fold(0usize, |sum, der| sum.saturating_add(bytes_len(der.len())));
    let array = if chain.len() == 1 { 0 } else { 1 };
    members.saturating_add(array).saturating_add(3)
}

pub(crate) fn write_id_cred(chain: &[&[u8]], writer: &mut Writer<'_>) -> Result<(), Full> {
    writer.head(MAP, 1)?;
    writer.int(X5CHAIN)?;
    if chain.len() != 1 {
        writer.raw(Head::of_len(ARRAY, chain.len()).as_bytes())?;
    }
    chain.iter().try_for_each(|der| writer.bytes(der))
}
