#![doc = include_str!("../README.md")]
#![no_std]

mod device;
mod error;
mod key;
mod label;
mod payment;
pub mod sealed;
mod vault;

pub use device::Device;
pub use error::{Error, ErrorKind, Module};
pub use key::{Algorithm, Attributes, Export, KeyInfo, KeyRef, Origin, Usage, Version, Which};
pub use label::{BadLabel, Label};
pub use payment::{BadCardData, CHECK_VALUE_DIGITS, CardData, MAC_LEN, Payment, decimalise};
pub use vault::Vault;
pub use zeroize::Zeroizing;

/// Octets of an uncompressed SEC1 P-256 point: `04 ‖ x ‖ y` (SEC 1, 2.3.3).
pub const PUBLIC_KEY_LEN: usize = 65;
/// Octets of a P-256 signature `r ‖ s`, both big-endian, 32 octets each.
pub const SIGNATURE_LEN: usize = 64;
/// Octets of an AES-256 key, an HMAC-SHA256 key, a P-256 scalar and an ECDH shared secret.
pub const SECRET_LEN: usize = 32;
/// A secret of 32 octets in the caller's memory, erased when dropped.
pub type Secret = Zeroizing<[u8; SECRET_LEN]>;
