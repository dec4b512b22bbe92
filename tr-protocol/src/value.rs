//! The values that travel in fields, each a type that can only hold what may be sent.

use core::fmt;
use core::num::NonZeroU64;

/// A transaction id: the terminal's own counter, which never goes back.
///
/// `1 ..= 2^63 - 1`, so that it fits a signed 64-bit column of any database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(NonZeroU64);

impl TransactionId {
    /// The smallest id.
    pub const MIN: Self = Self(NonZeroU64::MIN);
    /// The largest id.
    pub const MAX: Self = match NonZeroU64::new(i64::MAX.unsigned_abs()) {
        Some(max) => Self(max),
        None => Self::MIN,
    };

    /// `None` if `id` is zero or above [`Self::MAX`].
    #[must_use]
    pub const fn new(id: u64) -> Option<Self> {
        match NonZeroU64::new(id) {
            Some(valid) if id <= Self::MAX.get() => Some(Self(valid)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The id that follows, `None` after the last.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.get().checked_add(1) {
            Some(next) => Self::new(next),
            None => None,
        }
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A SHA-256 digest: of a request's bytes before its signatures, of a certificate, of a salted value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}
