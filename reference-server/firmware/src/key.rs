//! A signing key in memory, for the tests of this crate and for the host that makes its certificates.

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

/// A P-256 key.
#[allow(missing_debug_implementations, reason = "nobody prints a key")]
pub struct Key(SigningKey);

impl Key {
    /// The key with this secret scalar, if it is one.
    pub fn new(scalar: &[u8; 32]) -> Option<Self> {
        SigningKey::from_slice(scalar).ok().map(Self)
    }
}

impl tr_pki::Signer for Key {
    type Error = p256::ecdsa::Error;

    fn public_key(&self) -> Result<[u8; 65], Self::Error> {
        let point = self.0.verifying_key().to_sec1_point(false);
        point.as_bytes().try_into().map_err(|_| p256::ecdsa::Error::new())
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Self::Error> {
        let signature: Signature = self.0.try_sign(message)?;
        Ok(signature.normalize_s().to_bytes().into())
    }
}
