// A device whose keys lie in memory; it remembers what it sealed last, and fails when it is told to.

use core::cell::{Cell, RefCell};
use core::fmt;

use tr_auth::Crypto;
use tr_auth_rustcrypto::RustCrypto;
use tr_hsm::sealed::{self, Sealed};
use tr_hsm::{Device, ErrorKind, KeyRef, Label, Module, Secret, Version};
use tr_pki::Signer;

use crate::world::Key;

pub(crate) struct TestDevice {
    key: Key,
    seals: Cell<u64>,
    pub(crate) fails: Cell<bool>,
    /// The clear octets of the last seal.
    pub(crate) clear: RefCell<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceError(ErrorKind);

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

impl TestDevice {
    pub(crate) fn new(seed: u8) -> Self {
        Self {
            key: Key::new(seed),
            seals: Cell::new(0),
            fails: Cell::new(false),
            clear: RefCell::default(),
        }
    }

    fn ready(&self) -> Result<(), DeviceError> {
        if self.fails.get() {
            return Err(DeviceError(ErrorKind::Failed));
        }
        Ok(())
    }
}

impl Module for TestDevice {
    type Error = DeviceError;
}

impl Device for TestDevice {
    fn public_key(&self, _: KeyRef) -> Result<[u8; 65], DeviceError> {
        self.ready()?;
        Ok(self.key.public_key().unwrap())
    }

    fn sign(&self, _: KeyRef, message: &[u8]) -> Result<[u8; 64], DeviceError> {
        self.ready()?;
        Ok(self.key.sign(message).unwrap())
    }

    fn agree(&self, _: KeyRef, _: &[u8; 65], _: &mut Secret) -> Result<(), DeviceError> {
        Err(DeviceError(ErrorKind::WrongUsage))
    }

    fn seal<'o>(&self, _: Label, aad: &[u8], clear: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], DeviceError> {
        self.ready()?;
        self.clear.replace(clear.to_vec());
        self.seals.set(self.seals.get() + 1);
        let mut nonce = [0; sealed::NONCE_LEN];
        nonce[4..].copy_from_slice(&self.seals.get().to_be_bytes());
        let head = sealed::head(Version::FIRST);
        let mut text = clear.to_vec();
        let tag = RustCrypto
            .seal(&[9; 32], &nonce, &[&head[..], aad].concat(), &mut text)
            .unwrap();
        let all = [&head[..], &nonce, &text, &tag].concat();
        let out = out.get_mut(..all.len()).ok_or(DeviceError(ErrorKind::BadInput))?;
        out.copy_from_slice(&all);
        Ok(out)
    }

    fn unseal<'o>(&self, _: Label, aad: &[u8], sealed: &[u8], out: &'o mut [u8]) -> Result<&'o mut [u8], DeviceError> {
        let sealed = Sealed::parse(sealed).map_err(|_| DeviceError(ErrorKind::BadInput))?;
        let out = out
            .get_mut(..sealed.ciphertext.len())
            .ok_or(DeviceError(ErrorKind::BadInput))?;
        out.copy_from_slice(sealed.ciphertext);
        RustCrypto
            .open(
                &[9; 32],
                sealed.nonce,
                &[&sealed.head[..], aad].concat(),
                out,
                sealed.tag,
            )
            .map_err(|_| DeviceError(ErrorKind::AuthenticationFailed))?;
        Ok(out)
    }
}
