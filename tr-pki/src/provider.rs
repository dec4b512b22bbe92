//! The two traits through which this crate uses cryptography.

use core::fmt;

/// Checks signatures and hashes. Implemented by the crypto provider crates.
pub trait Verifier {
    /// Checks an ECDSA signature over SHA-256 on P-256 (FIPS 186-5 §6.4.2).
    ///
    /// `public_key` is an uncompressed SEC1 point, `message` is hashed here, `signature` is `r‖s`,
    /// each 32 octets, big-endian. High and low S are both valid.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] when the point is not on the curve, `r` or `s` is out of range, or the
    /// signature is not of this message by this key.
    fn verify(&self, public_key: &[u8; 65], message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature>;

    /// SHA-256 of the concatenation of `parts`.
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32];
}

/// Makes signatures with one private key, which may never leave its device.
pub trait Signer {
    /// Why the key's device could not answer.
    type Error;

    /// The public key as an uncompressed SEC1 point.
    ///
    /// # Errors
    ///
    /// Whatever the key's device reports.
    fn public_key(&self) -> Result<[u8; 65], Self::Error>;

    /// Signs `message` by ECDSA over SHA-256 on P-256, giving `r‖s` with low S.
    ///
    /// # Errors
    ///
    /// Whatever the key's device reports.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Self::Error>;
}

/// A signature that does not verify. It says no more, since nobody may learn more from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("signature does not verify")
    }
}

impl core::error::Error for BadSignature {}
