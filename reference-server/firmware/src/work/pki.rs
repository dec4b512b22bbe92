//! `tr-pki`: a borrowed certificate, a path, a request.

use tr_pki::{Certificate, Options, Role, Signer, Time, Validated, Verifier, csr, validate};

use super::{Outcome, check};
use crate::data;

/// Validates `chain` (the POS first, then its issuing CA) up to the root.
///
/// # Errors
/// When the path is not valid.
pub fn path<'a, V: Verifier>(verifier: &V, chain: [&'a [u8]; 2], now: i64) -> Outcome<Validated<'a>> {
    let path = [Certificate::parse(chain[0])?, Certificate::parse(chain[1])?];
    let anchors = [Certificate::parse(&data::ROOT)?];
    let options = Options {
        time: Time::known(now),
        grace: 0,
        roles: &[Role::Pos],
    };
    Ok(validate(&path, &anchors, &options, verifier)?)
}

/// A good path is accepted; one with a changed octet, and one past its time, are not.
///
/// # Errors
/// When a result is not what it must be.
pub fn path_work<V: Verifier>(verifier: &V) -> Outcome {
    let valid = path(verifier, [&data::POS, &data::CA], data::NOW)?;
    check(valid.role == Role::Pos && valid.identity.starts_with("urn:uuid:"))?;

    let mut forged = data::POS;
    forged[data::POS.len() / 2] ^= 1;
    check(path(verifier, [&forged, &data::CA], data::NOW).is_err())?;
    check(path(verifier, [&data::POS, &data::CA], data::NOW + 91 * 86_400).is_err())
}

/// Writes a certificate request, reads it back and checks its signature.
///
/// # Errors
/// When a result is not what it must be.
pub fn request_work<V: Verifier, S: Signer<Error: core::error::Error>>(verifier: &V, signer: &S) -> Outcome {
    let mut buffer = [0; csr::MAX_WRITTEN_LEN];
    let request = csr::Csr::parse(csr::write(signer, &mut buffer)?)?;
    check(*request.public_key() == signer.public_key()?)?;
    Ok(request.verify(verifier)?)
}
