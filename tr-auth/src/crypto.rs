//! The primitives that a provider passes in, and the type that holds secrets.

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Octets of a P-256 x-coordinate, of a SHA-256 digest and of an AES-256 key.
pub const KEY_LEN: usize = 32;
/// Octets of an AES-GCM nonce.
pub const NONCE_LEN: usize = 12;
/// Octets of an AES-GCM tag.
pub const TAG_LEN: usize = 16;
/// Octets of an ECDSA P-256 signature, `r ‖ s`.
pub const SIGNATURE_LEN: usize = 64;

/// The cryptography of suite −21: P-256, AES-256-GCM, SHA-256 and HMAC.
///
/// A provider is a crate that is passed in (`tr-auth-rustcrypto`, `tr-auth-aws-lc`), never a feature. SHA-256 and the
/// signatures of certificates come from its [`tr_pki::Verifier`]. Every operation on a peer's input is fallible; none panics.
pub trait Crypto: tr_pki::Verifier {
    /// The secret half of an ephemeral key pair; erases itself when dropped.
    type Ephemeral;
    /// A key that HMAC has been prepared for; erases itself when dropped.
    type HmacKey;

    /// Makes an ephemeral P-256 key pair whose secret scalar is `random`, and gives the x-coordinate of its public point.
    ///
    /// # Errors
    /// `random`, read as a big-endian number, is zero or not below the order of the curve.
    fn ephemeral(&self, random: &[u8; KEY_LEN]) -> Result<(Self::Ephemeral, [u8; KEY_LEN]), CryptoError>;

    /// The x-coordinate of the shared point of ECDH, from the peer's x-coordinate. Which of the two points has that
    /// coordinate makes no difference to the result (RFC 9528 §3.7).
    ///
    /// # Errors
    /// No point of the curve has the coordinate, or the shared point is the one at infinity.
    fn agree(&self, own: &Self::Ephemeral, peer: &[u8; KEY_LEN]) -> Result<Secret, CryptoError>;

    /// Verifies an ECDSA signature `r ‖ s` over a SHA-256 digest; low and high `s` are both good.
    ///
    /// # Errors
    /// The key is no point of the curve, or the signature does not verify.
    fn verify_digest(
        &self,
        public_key: &[u8; 65],
        digest: &[u8; KEY_LEN],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), CryptoError>;

    /// Prepares HMAC-SHA-256 for a key of any length.
    fn hmac_key(&self, key: &[u8]) -> Self::HmacKey;

    /// HMAC-SHA-256 over the parts, one after the other.
    fn hmac(&self, key: &Self::HmacKey, parts: &[&[u8]]) -> Secret;

    /// Encrypts in place with AES-256-GCM and gives the tag.
    ///
    /// # Errors
    /// The provider failed; the content of `in_out` is unspecified then.
    fn seal(
        &self,
        key: &[u8; KEY_LEN],
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError>;

    /// Checks the tag and decrypts in place.
    ///
    /// # Errors
    /// The tag is wrong; the content of `in_out` is unspecified then, but never the plaintext.
    fn open(
        &self,
        key: &[u8; KEY_LEN],
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), CryptoError>;
}

/// Why a primitive refused its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CryptoError {
    /// The octets are no secret scalar: zero, or not below the order of the curve.
    Scalar,
    /// The coordinate belongs to no point of the curve, or the shared point is the one at infinity.
    Point,
    /// The signature does not verify.
    Signature,
    /// The tag does not match.
    Tag,
    /// The provider failed for a reason of its own.
    Provider,
}

impl fmt::Display for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "the octets are no secret scalar of P-256",
            Self::Point => "the coordinate belongs to no usable point of P-256",
            Self::Signature => "the signature does not verify",
            Self::Tag => "the authentication tag does not match",
            Self::Provider => "the cryptographic provider failed",
        })
    }
}

impl core::error::Error for CryptoError {}

/// Thirty-two secret octets: erased when dropped, never printed, compared in constant time.
#[derive(Clone)]
pub struct Secret([u8; KEY_LEN]);

impl Secret {
    /// Takes the octets over. The caller erases its own copy.
    #[must_use]
    pub const fn new(octets: [u8; KEY_LEN]) -> Self {
        Self(octets)
    }

    /// An all-zero value to be filled in.
    pub(crate) const fn zero() -> Self {
        Self([0; KEY_LEN])
    }

    /// The octets themselves.
    #[must_use]
    pub const fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    pub(crate) const fn expose_mut(&mut self) -> &mut [u8; KEY_LEN] {
        &mut self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}
