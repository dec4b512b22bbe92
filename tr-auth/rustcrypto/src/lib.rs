#![doc = include_str!("../README.md")]
#![no_std]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::elliptic_curve::group::Group;
use p256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use p256::elliptic_curve::subtle::Choice;
use p256::elliptic_curve::zeroize::Zeroize;
use p256::{AffinePoint, NonZeroScalar, ProjectivePoint};
use sha2::{Digest, Sha256};
use tr_auth::{Crypto, CryptoError, KEY_LEN, NONCE_LEN, SIGNATURE_LEN, Secret, TAG_LEN};
use tr_pki::{BadSignature, Verifier};

/// The provider. It holds nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

/// The secret half of an ephemeral key pair; erased when dropped.
pub struct Ephemeral(NonZeroScalar);

/// A prepared HMAC key; erased when dropped.
pub struct HmacKey(Hmac<Sha256>);

impl Verifier for RustCrypto {
    fn verify(&self, public_key: &[u8; 65], message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        let digest = self.sha256(&[message]);
        self.verify_digest(public_key, &digest, signature)
            .map_err(|_| BadSignature)
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        hash.finalize().into()
    }
}

impl Crypto for RustCrypto {
    type Ephemeral = Ephemeral;
    type HmacKey = HmacKey;

    fn ephemeral(&self, random: &[u8; KEY_LEN]) -> Result<(Ephemeral, [u8; KEY_LEN]), CryptoError> {
        let scalar = NonZeroScalar::try_from(random.as_slice()).map_err(|_| CryptoError::Scalar)?;
        let public = ProjectivePoint::mul_by_generator(&scalar).to_affine();
        Ok((Ephemeral(scalar), public.x().into()))
    }

    fn agree(&self, own: &Ephemeral, peer: &[u8; KEY_LEN]) -> Result<Secret, CryptoError> {
        // Either of the two points will do: they differ in the sign of y, and so do the products.
        let peer: Option<AffinePoint> = AffinePoint::decompress(&(*peer).into(), Choice::from(0)).into();
        let peer = ProjectivePoint::from(peer.ok_or(CryptoError::Point)?);
        let shared = multiply(&peer, &own.0);
        if shared.is_identity().into() {
            return Err(CryptoError::Point);
        }
        let mut x = shared.to_affine().x();
        let secret = Secret::new(x.into());
        x.zeroize();
        Ok(secret)
    }

    fn verify_digest(
        &self,
        public_key: &[u8; 65],
        digest: &[u8; 32],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), CryptoError> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| CryptoError::Point)?;
        let signature = Signature::from_slice(signature).map_err(|_| CryptoError::Signature)?;
        key.verify_prehash(digest, &signature)
            .map_err(|_| CryptoError::Signature)
    }

    fn hmac_key(&self, key: &[u8]) -> HmacKey {
        // HMAC takes keys of every length; the empty one stands for what cannot happen.
        let prepared = Hmac::new_from_slice(key);
        HmacKey(prepared.unwrap_or_else(|_| Hmac::new(&Default::default())))
    }

    fn hmac(&self, key: &HmacKey, parts: &[&[u8]]) -> Secret {
        let mut mac = key.0.clone();
        for part in parts {
            mac.update(part);
        }
        Secret::new(mac.finalize().into_bytes().into())
    }

    fn seal(
        &self,
        key: &[u8; KEY_LEN],
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        Aes256Gcm::new(key.into())
            .encrypt_inout_detached(nonce.into(), aad, in_out.into())
            .map(Into::into)
            .map_err(|_| CryptoError::Provider)
    }

    fn open(
        &self,
        key: &[u8; KEY_LEN],
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), CryptoError> {
        Aes256Gcm::new(key.into())
            .decrypt_inout_detached(nonce.into(), aad, in_out.into(), tag.into())
            .map_err(|_| CryptoError::Tag)
    }
}

#[allow(clippy::arithmetic_side_effects, reason = "multiplication in a group has none")]
fn multiply(point: &ProjectivePoint, scalar: &NonZeroScalar) -> ProjectivePoint {
    point * &**scalar
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ephemeral(..)")
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(..)")
    }
}
