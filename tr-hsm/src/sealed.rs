//! The shape of sealed data and of wrapped data keys.
//!
//! ```text
//! offset  octets  what
//!      0       1  format: 1
//!      1       4  version of the key, big-endian
//!      5      12  nonce, random
//!     17       n  ciphertext, as long as the clear octets
//!   17+n      16  tag
//! ```
//!
//! AES-256-GCM (SP 800-38D). Its associated data is the first five octets, then the caller's. A random
//! nonce allows 2³² seals under one version; rotate before.

use core::fmt;

use crate::{SECRET_LEN, Version};

/// The format that this page describes.
pub const FORMAT: u8 = 1;
/// Octets before the nonce; they are authenticated too.
pub const HEAD_LEN: usize = 5;
/// Octets of the nonce.
pub const NONCE_LEN: usize = 12;
/// Octets of the tag.
pub const TAG_LEN: usize = 16;
/// Octets that sealing adds.
pub const OVERHEAD: usize = HEAD_LEN + NONCE_LEN + TAG_LEN;
/// Octets of a wrapped data key.
pub const WRAPPED_LEN: usize = OVERHEAD + SECRET_LEN;

/// Sealed data, taken apart; nothing is authenticated yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed<'a> {
    /// The format and the version, as they stand there: the first part of the associated data.
    pub head: &'a [u8; HEAD_LEN],
    /// The version of the key.
    pub version: Version,
    /// The nonce.
    pub nonce: &'a [u8; NONCE_LEN],
    /// The ciphertext.
    pub ciphertext: &'a [u8],
    /// The tag.
    pub tag: &'a [u8; TAG_LEN],
}

impl<'a> Sealed<'a> {
    /// Takes sealed data apart. Also for a caller who wants to know which version he must still keep.
    ///
    /// # Errors
    /// [`BadSealed`] when it has not the shape.
    pub fn parse(octets: &'a [u8]) -> Result<Self, BadSealed> {
        let short = BadSealed::Short { found: octets.len() };
        let (head, rest) = octets.split_first_chunk::<HEAD_LEN>().ok_or(short)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(short)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(short)?;
        let [format, number @ ..] = *head;
        if format != FORMAT {
            return Err(BadSealed::Format { found: format });
        }
        let version = Version::new(u32::from_be_bytes(number)).ok_or(BadSealed::VersionZero)?;
        Ok(Self {
            head,
            version,
            nonce,
            ciphertext,
            tag,
        })
    }
}

/// The first octets of what is sealed under `version`.
#[must_use]
pub const fn head(version: Version) -> [u8; HEAD_LEN] {
    let [a, b, c, d] = version.get().to_be_bytes();
    [FORMAT, a, b, c, d]
}

/// Why octets are no sealed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadSealed {
    /// Fewer octets than [`OVERHEAD`].
    Short {
        /// How many.
        found: usize,
    },
    /// Another format than [`FORMAT`].
    Format {
        /// Which.
        found: u8,
    },
    /// Versions begin at 1.
    VersionZero,
}

impl fmt::Display for BadSealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { found } => {
                write!(f, "sealed data has {OVERHEAD} octets or more, not {found}")
            }
            Self::Format { found } => {
                write!(f, "sealed data of format {found}; only {FORMAT} is known")
            }
            Self::VersionZero => f.write_str("sealed data names key version 0"),
        }
    }
}

impl core::error::Error for BadSealed {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_what_is_wrong() {
        assert_eq!(
            Sealed::parse(&[1; OVERHEAD - 1]),
            Err(BadSealed::Short { found: OVERHEAD - 1 })
        );
        assert_eq!(Sealed::parse(&[2; OVERHEAD]), Err(BadSealed::Format { found: 2 }));
        let mut octets = [0; OVERHEAD];
        octets[0] = FORMAT;
        assert_eq!(Sealed::parse(&octets), Err(BadSealed::VersionZero));
    }

    proptest! {
        #[test]
        fn head_and_parse_agree(number in 1_u32.., rest in prop::collection::vec(any::<u8>(), 28..200)) {
            let version = Version::new(number).unwrap();
            let octets = [&head(version)[..], &rest].concat();
            let sealed = Sealed::parse(&octets).unwrap();
            prop_assert_eq!(sealed.version, version);
            prop_assert_eq!(
                [sealed.head.as_slice(), sealed.nonce, sealed.ciphertext, sealed.tag].concat(),
                octets
            );
        }
    }
}
