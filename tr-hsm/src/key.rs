//! What a key is: its reference, its one usage, its attributes.

use core::{fmt, num::NonZeroU32};

use crate::Label;

/// The version of a key under its label: 1, 2, 3 … A rotation adds one; a number is not given again
/// while any version of the label is left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(NonZeroU32);

impl Version {
    /// The version that generating gives under a new label.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// Takes a number; 0 is none.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The version after this one, none after the last.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

/// Which version of a label is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The highest version that exists when the call is served.
    Newest,
    /// This one. Whoever needs two calls to agree (a certificate's key and its signatures) says so.
    Exact(Version),
}

/// A key, by label and version; there are no handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyRef {
    /// Its name.
    pub label: Label,
    /// Its version.
    pub version: Which,
}

impl Label {
    /// The newest version of this key.
    #[must_use]
    pub const fn newest(self) -> KeyRef {
        KeyRef {
            label: self,
            version: Which::Newest,
        }
    }

    /// One version of this key.
    #[must_use]
    pub const fn at(self, version: Version) -> KeyRef {
        KeyRef {
            label: self,
            version: Which::Exact(version),
        }
    }
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Which::Newest => write!(f, "{}", self.label),
            Which::Exact(version) => write!(f, "{}@{version}", self.label),
        }
    }
}

/// The one thing that a key is for. Every other call with it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Usage {
    /// ECDSA signatures ([`Device::sign`](crate::Device::sign), [`Vault::health`](crate::Vault::health)).
    Sign,
    /// Diffie-Hellman ([`Device::agree`](crate::Device::agree)).
    Agree,
    /// Encryption of data inside the module ([`Device::seal`](crate::Device::seal)).
    Seal,
    /// Encryption of data keys ([`Vault::generate_data_key`](crate::Vault::generate_data_key)).
    Wrap,
    /// Message authentication ([`Payment::mac`](crate::Payment::mac)).
    Mac,
    /// Card check values ([`Payment::check_value`](crate::Payment::check_value)).
    CheckValue,
}

impl Usage {
    /// Every usage, in declaration order.
    pub const ALL: [Self; 6] = [
        Self::Sign,
        Self::Agree,
        Self::Seal,
        Self::Wrap,
        Self::Mac,
        Self::CheckValue,
    ];

    /// The algorithm that serves this usage.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Sign | Self::Agree => Algorithm::P256,
            Self::Seal | Self::Wrap => Algorithm::Aes256,
            Self::Mac | Self::CheckValue => Algorithm::HmacSha256,
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sign => "sign",
            Self::Agree => "agree",
            Self::Seal => "seal",
            Self::Wrap => "wrap",
            Self::Mac => "mac",
            Self::CheckValue => "check-value",
        })
    }
}

/// The algorithm of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// An elliptic-curve key pair on P-256 (FIPS 186-5, SP 800-56A).
    P256,
    /// AES with a key of 256 bits, in GCM (SP 800-38D).
    Aes256,
    /// HMAC with SHA-256 and a key of 256 bits (FIPS 198-1).
    HmacSha256,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::P256 => "p256",
            Self::Aes256 => "aes256",
            Self::HmacSha256 => "hmac-sha256",
        })
    }
}

/// Whether, and how, a key may leave its module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Export {
    /// In no form.
    #[default]
    Never,
}

/// Where a key was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// Inside the module: no other copy ever existed.
    Generated,
    /// Outside, and brought in: whoever made it may still have it.
    Imported,
}

/// What is fixed about a key when it is made, and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Attributes {
    /// Its one usage.
    pub usage: Usage,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Whether it may leave.
    pub export: Export,
}

impl Attributes {
    /// Attributes of a key that never leaves its module. A back end answers
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where the algorithm does not serve the usage.
    #[must_use]
    pub const fn new(usage: Usage, algorithm: Algorithm) -> Self {
        Self {
            usage,
            algorithm,
            export: Export::Never,
        }
    }

    /// Whether the algorithm serves the usage.
    #[must_use]
    pub fn are_consistent(&self) -> bool {
        self.algorithm == self.usage.algorithm()
    }
}

/// What a vault tells about one version of a key. Nothing here is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Its name.
    pub label: Label,
    /// Its version.
    pub version: Version,
    /// Its attributes.
    pub attributes: Attributes,
    /// Where it was made.
    pub origin: Origin,
}

impl KeyInfo {
    /// Puts the parts together; for back ends.
    #[must_use]
    pub const fn new(label: Label, version: Version, attributes: Attributes, origin: Origin) -> Self {
        Self {
            label,
            version,
            attributes,
            origin,
        }
    }

    /// The reference to exactly this version.
    #[must_use]
    pub const fn key_ref(&self) -> KeyRef {
        self.label.at(self.version)
    }
}
