//! Ties a key in an HSM or secure element to the small signer traits of `tr-pki` and `tr-auth`.

use core::fmt;

use tr_hsm::{Device, KeyRef};

/// One signing key of a device.
pub struct DeviceKey<'d, D> {
    device: &'d D,
    key: KeyRef,
}

impl<'d, D: Device> DeviceKey<'d, D> {
    /// The key that `key` names; it is looked up at each use.
    #[must_use]
    pub const fn new(device: &'d D, key: KeyRef) -> Self {
        DeviceKey { device, key }
    }
}

impl<D> fmt::Debug for DeviceKey<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.key)
    }
}

impl<D: Device> tr_pki::Signer for DeviceKey<'_, D> {
    type Error = D::Error;

    fn public_key(&self) -> Result<[u8; 65], D::Error> {
        self.device.public_key(self.key)
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], D::Error> {
        self.device.sign(self.key, message)
    }
}
