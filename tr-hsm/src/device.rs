//! What any holder of a key can do: a secure element, a card, a server.

use crate::{KeyRef, Label, Module, PUBLIC_KEY_LEN, SIGNATURE_LEN, Secret};

/// Use of keys that already exist. Small enough for a secure element; needs no heap.
///
/// Every call names its key; a key of another [`Usage`](crate::Usage) is refused with
/// [`WrongUsage`](crate::ErrorKind::WrongUsage), a missing one with [`NotFound`](crate::ErrorKind::NotFound).
/// Those two, and the failures of the module itself, can come from any call and are not repeated below.
pub trait Device: Module {
    /// The public half of a key pair (usage `Sign` or `Agree`) as an uncompressed SEC1 point.
    ///
    /// # Errors
    /// `WrongUsage` for a symmetric key.
    fn public_key(&self, key: KeyRef) -> Result<[u8; PUBLIC_KEY_LEN], Self::Error>;

    /// Signs `message` with a key of usage `Sign`: ECDSA on P-256 over its SHA-256, as `r ‖ s`
    /// with `s` in the lower half of the order. The module hashes.
    ///
    /// # Errors
    /// Those of every call.
    fn sign(&self, key: KeyRef, message: &[u8]) -> Result<[u8; SIGNATURE_LEN], Self::Error>;

    /// ECDH on P-256 with a key of usage `Agree`: the x-coordinate, 32 octets big-endian
    /// (SP 800-56A, 5.7.1.2). It is a raw secret: put it through a key derivation.
    ///
    /// # Errors
    /// `BadInput` when `peer` is no point of the curve; then `shared` is all zero.
    fn agree(&self, key: KeyRef, peer: &[u8; PUBLIC_KEY_LEN], shared: &mut Secret) -> Result<(), Self::Error>;

    /// Encrypts `clear` under the newest version of a key of usage `Seal` (AES-256-GCM, fresh
    /// random nonce) and returns the part of `out` that it filled: `clear.len()` +
    /// [`sealed::OVERHEAD`](crate::sealed::OVERHEAD) octets in the shape that
    /// [`sealed`](crate::sealed) describes. `aad` must be given again to open it; it is not stored.
    ///
    /// Every back end takes at least 8,192 octets of `clear` and 1,024 of `aad`.
    ///
    /// # Errors
    /// `BadInput` when `out` is too short or the input longer than the module takes.
    fn seal<'o>(&self, label: Label, aad: &[u8], clear: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], Self::Error>;

    /// Opens what [`seal`](Device::seal) made, under the version that is written in it, and returns
    /// the part of `out` that holds the clear octets. The caller erases `out` after use.
    ///
    /// # Errors
    /// `BadInput` when `sealed` has not the shape or `out` is too short, `NotFound` when its version
    /// is gone, `AuthenticationFailed` when `sealed` or `aad` is not what was sealed; `out` then
    /// holds nothing of the clear octets.
    fn unseal<'o>(
        &self,
        label: Label,
        aad: &[u8],
        sealed: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o mut [u8], Self::Error>;
}
