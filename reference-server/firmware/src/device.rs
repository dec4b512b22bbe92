//! A device whose keys are constants in memory: real cryptography, and nothing kept secret. A product has a secure
//! element here.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use tr_auth::Crypto;
use tr_auth_rustcrypto::RustCrypto;
use tr_hsm::sealed::{self, Sealed};
use tr_hsm::{Device, ErrorKind, KeyRef, Label, Module, Secret, Version};
use tr_pki::Signer;

use crate::Key;

/// The device of the self-test: one key pair, one sealing key; labels are not told apart.
pub struct TestDevice {
    scalar: [u8; 32],
    key: Key,
    seals: AtomicU32,
}

impl TestDevice {
    /// A device with this secret scalar, if it is one.
    #[must_use]
    pub fn new(scalar: &[u8; 32]) -> Option<Self> {
        Some(Self {
            scalar: *scalar,
            key: Key::new(scalar)?,
            seals: AtomicU32::new(0),
        })
    }
}

impl fmt::Debug for TestDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestDevice")
    }
}

/// What went wrong, in the vocabulary of `tr-hsm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceError(pub ErrorKind);

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for DeviceError {}

impl tr_hsm::Error for DeviceError {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

impl Module for TestDevice {
    type Error = DeviceError;
}

const FAILED: DeviceError = DeviceError(ErrorKind::Failed);
const BAD_INPUT: DeviceError = DeviceError(ErrorKind::BadInput);
const FORGED: DeviceError = DeviceError(ErrorKind::AuthenticationFailed);

impl Device for TestDevice {
    fn public_key(&self, _: KeyRef) -> Result<[u8; 65], DeviceError> {
        self.key.public_key().map_err(|_| FAILED)
    }

    fn sign(&self, _: KeyRef, message: &[u8]) -> Result<[u8; 64], DeviceError> {
        self.key.sign(message).map_err(|_| FAILED)
    }

    fn agree(&self, _: KeyRef, peer: &[u8; 65], shared: &mut Secret) -> Result<(), DeviceError> {
        let (own, _) = RustCrypto.ephemeral(&self.scalar).map_err(|_| FAILED)?;
        let x = peer[1..33].try_into().map_err(|_| BAD_INPUT)?;
        **shared = *RustCrypto.agree(&own, x).map_err(|_| BAD_INPUT)?.expose();
        Ok(())
    }

    fn seal<'o>(&self, _: Label, aad: &[u8], clear: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], DeviceError> {
        let out = out.get_mut(..clear.len() + sealed::OVERHEAD).ok_or(BAD_INPUT)?;
        // A counter instead of random octets: this key lives as long as the counter.
        let mut nonce = [0; sealed::NONCE_LEN];
        nonce[8..].copy_from_slice(&self.seals.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let head = sealed::head(Version::FIRST);
        let (front, rest) = out.split_at_mut(sealed::HEAD_LEN + sealed::NONCE_LEN);
        front[..sealed::HEAD_LEN].copy_from_slice(&head);
        front[sealed::HEAD_LEN..].copy_from_slice(&nonce);
        let (text, tag) = rest.split_at_mut(clear.len());
        text.copy_from_slice(clear);
        let (aad, len) = joined(&head, aad)?;
        tag.copy_from_slice(
            &RustCrypto
                .seal(&self.scalar, &nonce, &aad[..len], text)
                .map_err(|_| FAILED)?,
        );
        Ok(out)
    }

    fn unseal<'o>(&self, _: Label, aad: &[u8], sealed: &[u8], out: &'o mut [u8]) -> Result<&'o mut [u8], DeviceError> {
        let sealed = Sealed::parse(sealed).map_err(|_| FORGED)?;
        let out = out.get_mut(..sealed.ciphertext.len()).ok_or(BAD_INPUT)?;
        out.copy_from_slice(sealed.ciphertext);
        let (aad, len) = joined(sealed.head, aad)?;
        RustCrypto
            .open(&self.scalar, sealed.nonce, &aad[..len], out, sealed.tag)
            .map_err(|_| FORGED)?;
        Ok(out)
    }
}

/// Both parts of the associated data, one after the other.
fn joined(head: &[u8; sealed::HEAD_LEN], aad: &[u8]) -> Result<([u8; 64], usize), DeviceError> {
    let mut all = [0; 64];
    let len = head.len() + aad.len();
    all[..head.len()].copy_from_slice(head);
    all.get_mut(head.len()..len).ok_or(BAD_INPUT)?.copy_from_slice(aad);
    Ok((all, len))
}
