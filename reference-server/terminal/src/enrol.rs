//! Enrolment: a key made on the device, a PKCS#10 request with the voucher's MAC, and a certificate whose chain ends at
//! the root that the operator named.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use tr_hsm::{Device, KeyRef};
use tr_pki::voucher::Voucher;
use tr_pki::{Certificate, Options, PathError, Role, Time, Verifier, csr};
use tr_protocol::frame::Frame;
use tr_protocol::message::{Enrol, EnrolAnswer, ErrorCode, Extra, Message, Outer};
use tr_protocol::value::{Binary, Digest, Text, TransactionId};

use crate::key::DeviceKey;
use crate::memory::{MAX_CERTIFICATE, Memory};

/// Why an enrolment failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnrolError<E> {
    /// The device failed or refused.
    Device(E),
    /// The request cannot be written.
    Message(tr_protocol::Error),
    /// The network refused: the voucher is wrong, used or expired, or the network is not there.
    Refused(ErrorCode),
    /// What came back is no answer to the request.
    NotOurs,
    /// The root that came back is not the one that the operator named.
    Root {
        /// SHA-256 of the root that came.
        found: [u8; 32],
    },
    /// A certificate of the answer cannot be read.
    Unreadable,
    /// The chain does not hold.
    Path(PathError),
    /// The certificate is for another key than ours.
    OtherKey,
    /// A certificate is longer than the terminal keeps.
    TooLong,
}

impl<E: fmt::Display> fmt::Display for EnrolError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(error) => error.fmt(f),
            Self::Message(error) => write!(f, "message: {error}"),
            Self::Refused(ErrorCode::AuthenticationFailed) => {
                f.write_str("the voucher is wrong, used or expired: ask the operator for a new one")
            }
            Self::Refused(code) => write!(f, "the network refused: {}", code.as_str()),
            Self::NotOurs => f.write_str("what came back is no answer to the request"),
            Self::Root { .. } => {
                f.write_str("the network's root is not the one that the operator named: do not trust it")
            }
            Self::Unreadable => f.write_str("a certificate of the answer cannot be read"),
            Self::Path(error) => write!(f, "the certificate chain does not hold: {error}"),
            Self::OtherKey => f.write_str("the certificate is for another key"),
            Self::TooLong => f.write_str("a certificate is longer than a terminal keeps"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for EnrolError<E> {}

/// Writes the enrolment request for a device's key. Sent again unchanged, it gets the same certificate again.
///
/// # Errors
/// [`EnrolError::Device`], [`EnrolError::Message`] when `out` is too small; 1,024 octets are enough.
pub fn request<'o, D: Device, V: Verifier>(
    device: &D,
    key: KeyRef,
    voucher: &Voucher,
    hash: &V,
    out: &'o mut [u8],
) -> Result<Frame<'o>, EnrolError<D::Error>> {
    let mut der = [0; csr::MAX_WRITTEN_LEN];
    let der = csr::write(&DeviceKey::new(device, key), &mut der).map_err(|error| match error {
        csr::WriteError::Signer(error) => EnrolError::Device(error),
        _ => EnrolError::TooLong,
    })?;
    let reference = heapless::format!(16; "{}", voucher.reference()).map_err(|_| EnrolError::TooLong)?;
    let message = Enrol {
        csr: Binary::new(der).ok_or(EnrolError::TooLong)?,
        id: TransactionId::MIN,
        mac: Digest(voucher.mac(hash, der)),
        voucher: Text::new(reference.as_str()).map_err(|_| EnrolError::TooLong)?,
        extra: Extra::default(),
    };
    message
        .encode(out)
        .and_then(|encoder| encoder.finish())
        .map_err(EnrolError::Message)
}

/// Checks the answer to `request`: the chain, up to the root with this SHA-256, and that the certificate is for our key.
/// `floor` is the time below which it cannot be, e.g. when the program was built.
///
/// # Errors
/// What does not hold; nothing of the answer is to be used then.
pub fn accept<D: Device, V: Verifier>(
    device: &D,
    key: KeyRef,
    request: &Frame<'_>,
    answer: &Frame<'_>,
    root: &[u8; 32],
    floor: i64,
    verifier: &V,
) -> Result<Memory, EnrolError<D::Error>> {
    let answer = match Outer::parse(answer).map_err(EnrolError::Message)? {
        Outer::EnrolAnswer(answer) => answer,
        Outer::ErrorAnswer(error) => {
            return Err(EnrolError::Refused(
                ErrorCode::from_token(error.code).unwrap_or(ErrorCode::Failed),
            ));
        }
        _ => return Err(EnrolError::NotOurs),
    };
    if answer.digest.0 != verifier.sha256(&[request.before_signatures()]) {
        return Err(EnrolError::NotOurs);
    }
    let EnrolAnswer {
        certificate,
        issuer,
        root: root_der,
        ..
    } = answer;
    let mut buffers = [[0; MAX_CERTIFICATE]; 3];
    let [leaf, issuer_out, root_out] = &mut buffers;
    let octets = |value: &Binary<'_>, out| value.octets(out).map_err(|_| EnrolError::TooLong);
    let root_der = octets(&root_der, root_out)?;
    let found = verifier.sha256(&[root_der]);
    if found != *root {
        return Err(EnrolError::Root { found });
    }
    let parse = |der| Certificate::parse(der).map_err(|_| EnrolError::Unreadable);
    let anchor = parse(root_der)?;
    let issuer = parse(octets(&issuer, issuer_out)?)?;
    let leaf = parse(octets(&certificate, leaf)?)?;
    let options = Options {
        time: Time {
            floor,
            authenticated: None,
        },
        grace: 0,
        roles: &[Role::Pos, Role::VirtualCard],
    };
    tr_pki::validate(&[leaf, issuer], &[anchor], &options, verifier).map_err(EnrolError::Path)?;
    if *leaf.public_key() != device.public_key(key).map_err(EnrolError::Device)? {
        return Err(EnrolError::OtherKey);
    }
    Memory::new::<D::Error>(leaf.as_der(), issuer.as_der(), floor).map_err(|_| EnrolError::TooLong)
}
