//! A provider without a curve, for the probes of code size alone: hash, HMAC and AES-GCM are real, and whatever needs
//! P-256 stops the processor. It computes nothing in the curve's place, so nothing can be shown with it.

use core::hint::black_box;

use tr_auth::{Crypto, CryptoError, Secret};
use tr_auth_rustcrypto::RustCrypto;
use tr_hsm::{Device, ErrorKind, KeyRef, Label, Module, Secret as Shared};
use tr_pki::{BadSignature, Signer, Verifier};

use crate::device::DeviceError;

/// Stops at the first use of the curve.
#[derive(Clone, Copy, Debug)]
pub struct NoCurve;

/// Stops. The compiler is kept from knowing, so that it does not drop the code behind the call.
fn trap<T>(never: T) -> T {
    if black_box(true) {
        cortex_m::asm::udf();
    }
    black_box(never)
}

impl Verifier for NoCurve {
    fn verify(&self, _: &[u8; 65], _: &[u8], _: &[u8; 64]) -> Result<(), BadSignature> {
        trap(Err(BadSignature))
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        RustCrypto.sha256(parts)
    }
}

impl Signer for NoCurve {
    type Error = CryptoError;

    fn public_key(&self) -> Result<[u8; 65], CryptoError> {
        trap(Err(CryptoError::Provider))
    }

    fn sign(&self, _: &[u8]) -> Result<[u8; 64], CryptoError> {
        trap(Err(CryptoError::Provider))
    }
}

impl Crypto for NoCurve {
    type Ephemeral = [u8; 32];
    type HmacKey = <RustCrypto as Crypto>::HmacKey;

    fn ephemeral(&self, random: &[u8; 32]) -> Result<(Self::Ephemeral, [u8; 32]), CryptoError> {
        trap(Ok((*random, *random)))
    }

    fn agree(&self, own: &Self::Ephemeral, _: &[u8; 32]) -> Result<Secret, CryptoError> {
        trap(Ok(Secret::new(*own)))
    }

    fn verify_digest(&self, _: &[u8; 65], _: &[u8; 32], _: &[u8; 64]) -> Result<(), CryptoError> {
        trap(Err(CryptoError::Signature))
    }

    fn hmac_key(&self, key: &[u8]) -> Self::HmacKey {
        RustCrypto.hmac_key(key)
    }

    fn hmac(&self, key: &Self::HmacKey, parts: &[&[u8]]) -> Secret {
        RustCrypto.hmac(key, parts)
    }

    fn seal(&self, key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8]) -> Result<[u8; 16], CryptoError> {
        RustCrypto.seal(key, nonce, aad, in_out)
    }

    fn open(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), CryptoError> {
        RustCrypto.open(key, nonce, aad, in_out, tag)
    }
}

impl Module for NoCurve {
    type Error = DeviceError;
}

/// A device is the product's own part: none of it is counted.
impl Device for NoCurve {
    fn public_key(&self, _: KeyRef) -> Result<[u8; 65], DeviceError> {
        trap(Err(DeviceError(ErrorKind::Unsupported)))
    }

    fn sign(&self, _: KeyRef, _: &[u8]) -> Result<[u8; 64], DeviceError> {
        trap(Err(DeviceError(ErrorKind::Unsupported)))
    }

    fn agree(&self, _: KeyRef, _: &[u8; 65], _: &mut Shared) -> Result<(), DeviceError> {
        trap(Err(DeviceError(ErrorKind::Unsupported)))
    }

    fn seal<'o>(&self, _: Label, _: &[u8], _: &[u8], _: &'o mut [u8]) -> Result<&'o [u8], DeviceError> {
        trap(Err(DeviceError(ErrorKind::Unsupported)))
    }

    fn unseal<'o>(&self, _: Label, _: &[u8], _: &[u8], _: &'o mut [u8]) -> Result<&'o mut [u8], DeviceError> {
        trap(Err(DeviceError(ErrorKind::Unsupported)))
    }
}
