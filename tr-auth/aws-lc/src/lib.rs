#![doc = include_str!("../README.md")]
#![no_std]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::digest::{self, Digest, SHA256};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::signature::{self, ECDSA_P256_SHA256_FIXED};
use tr_auth::{Crypto, CryptoError, KEY_LEN, NONCE_LEN, SIGNATURE_LEN, Secret, TAG_LEN};
use tr_pki::{BadSignature, Verifier};

/// The provider. It holds nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsLc;

/// The secret half of an ephemeral key pair; erased when dropped.
pub struct Ephemeral(PrivateKey);

/// A prepared HMAC key; erased when dropped.
pub struct HmacKey(hmac::Key);

impl Verifier for AwsLc {
    fn verify(&self, public_key: &[u8; 65], message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = digest::Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        octets(context.finish().as_ref())
    }
}

impl Crypto for AwsLc {
    type Ephemeral = Ephemeral;
    type HmacKey = HmacKey;

    fn ephemeral(&self, random: &[u8; KEY_LEN]) -> Result<(Ephemeral, [u8; KEY_LEN]), CryptoError> {
        let secret = PrivateKey::from_private_key(&ECDH_P256, random).map_err(|_| CryptoError::Scalar)?;
        let public = secret.compute_public_key().map_err(|_| CryptoError::Provider)?;
        // 04 ‖ x ‖ y
        let x = public.as_ref().get(1..=KEY_LEN).ok_or(CryptoError::Provider)?;
        Ok((Ephemeral(secret), octets(x)))
    }

    fn agree(&self, own: &Ephemeral, peer: &[u8; KEY_LEN]) -> Result<Secret, CryptoError> {
        // Either of the two points will do: they differ in the sign of y, and so do the products.
        let mut compressed = [2; KEY_LEN + 1];
        let [_, x @ ..] = &mut compressed;
        *x = *peer;
        let peer = UnparsedPublicKey::new(&ECDH_P256, compressed);
        agreement::agree(&own.0, peer, CryptoError::Point, |x| Ok(Secret::new(octets(x))))
    }

    fn verify_digest(
        &self,
        public_key: &[u8; 65],
        digest: &[u8; 32],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), CryptoError> {
        let digest = Digest::import_less_safe(digest, &SHA256).map_err(|_| CryptoError::Provider)?;
        signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key)
            .verify_digest(&digest, signature)
            .map_err(|_| CryptoError::Signature)
    }

    fn hmac_key(&self, key: &[u8]) -> HmacKey {
        HmacKey(hmac::Key::new(HMAC_SHA256, key))
    }

    fn hmac(&self, key: &HmacKey, parts: &[&[u8]]) -> Secret {
        let mut context = hmac::Context::with_key(&key.0);
        // A call into the library each: none for nothing.
        for part in parts.iter().filter(|part| !part.is_empty()) {
            context.update(part);
        }
        Secret::new(octets(context.sign().as_ref()))
    }

    fn seal(
        &self,
        key: &[u8; KEY_LEN],
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = aes(key)?
            .seal_in_place_separate_tag(nonce, Aad::from(aad), in_out)
            .map_err(|_| CryptoError::Provider)?;
        tag.as_ref().try_into().map_err(|_| CryptoError::Provider)
    }

    fn open(
        &self,
        key: &[u8; KEY_LEN],
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), CryptoError> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        aes(key)?
            .open_in_place_separate_tag(nonce, Aad::from(aad), tag, in_out)
            .map(|_| ())
            .map_err(|_| CryptoError::Tag)
    }
}

fn aes(key: &[u8; KEY_LEN]) -> Result<LessSafeKey, CryptoError> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| CryptoError::Provider)
}

/// The first 32 octets of what the library says is 32 octets long.
fn octets(slice: &[u8]) -> [u8; 32] {
    debug_assert_eq!(slice.len(), 32, "SHA-256 and P-256 give 32 octets");
    let mut octets = [0; 32];
    for (to, from) in octets.iter_mut().zip(slice) {
        *to = *from;
    }
    octets
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
