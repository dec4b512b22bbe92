//! What the host's module can do beside using keys: their whole life.

use core::ops::ControlFlow;

use crate::{Attributes, KeyInfo, KeyRef, Label, Module, Secret, Version};

/// The life of keys, and of the data keys under them.
///
/// A change is durable when its call returns; when the call fails, the old state stands unless the
/// back end's error says otherwise. The errors that any call can give are those of [`Device`](crate::Device).
pub trait Vault: Module {
    /// Makes a key under a label that has none. Under a new label it is [`Version::FIRST`].
    ///
    /// # Errors
    /// `AlreadyExists`; `Unsupported` when the algorithm does not serve the usage, or the module has
    /// not got it; `Full`.
    fn generate(&self, label: Label, attributes: Attributes) -> Result<KeyInfo, Self::Error>;

    /// Brings in a P-256 private key (big-endian scalar) that was made elsewhere, under a label that
    /// has none. Only `Sign` and `Agree` keys can come this way; the key is marked
    /// [`Imported`](crate::Origin::Imported) for good.
    ///
    /// # Errors
    /// As [`generate`](Vault::generate), and `BadInput` when the scalar is 0 or not below the order.
    fn import_p256(&self, label: Label, attributes: Attributes, scalar: &Secret) -> Result<KeyInfo, Self::Error>;

    /// Makes the next version of a key, with the attributes of its newest. Older versions stay:
    /// what they sealed opens, what they signed verifies.
    ///
    /// # Errors
    /// `NotFound`; `Full`.
    fn rotate(&self, label: Label) -> Result<KeyInfo, Self::Error>;

    /// What is known of one key.
    ///
    /// # Errors
    /// `NotFound`.
    fn info(&self, key: KeyRef) -> Result<KeyInfo, Self::Error>;

    /// Shows every version of every key to `visit`, in the order of labels, then versions, until it
    /// breaks off.
    ///
    /// # Errors
    /// Those of the module itself.
    fn list(&self, visit: &mut dyn FnMut(&KeyInfo) -> ControlFlow<()>) -> Result<(), Self::Error>;

    /// Destroys one version of a key for good. If it was the newest, the one before it becomes so.
    ///
    /// # Errors
    /// `NotFound`.
    fn destroy(&self, label: Label, version: Version) -> Result<(), Self::Error>;

    /// Makes a data key of 32 random octets: in the clear in `clear`, for use at once, and encrypted
    /// under the newest version of a key of usage `Wrap` with `aad` bound to it, for keeping. Returns
    /// the part of `wrapped` that was filled: [`sealed::WRAPPED_LEN`](crate::sealed::WRAPPED_LEN)
    /// octets in the shape of [`sealed`](crate::sealed).
    ///
    /// # Errors
    /// `BadInput` when `wrapped` is too short. After an error `clear` is all zero.
    fn generate_data_key<'o>(
        &self,
        label: Label,
        aad: &[u8],
        clear: &mut Secret,
        wrapped: &'o mut [u8],
    ) -> Result<&'o [u8], Self::Error>;

    /// Opens a data key under the version that is written in it.
    ///
    /// # Errors
    /// `BadInput` when `wrapped` has not the shape, `NotFound` when its version is gone,
    /// `AuthenticationFailed` when `wrapped` or `aad` is not what was wrapped. After an error `clear`
    /// is all zero.
    fn unwrap_data_key(&self, label: Label, aad: &[u8], wrapped: &[u8], clear: &mut Secret) -> Result<(), Self::Error>;

    /// Proves that the module works: signs a fresh challenge with a key of usage `Sign` and verifies
    /// the signature. A state that a module merely reports is no proof.
    ///
    /// # Errors
    /// `Failed` when the signature does not verify.
    fn health(&self, key: KeyRef) -> Result<(), Self::Error>;
}
