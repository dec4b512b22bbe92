//! Short ASCII text of fixed capacity that is wiped on drop: the storage of every field and frame.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use zeroize::Zeroize;

/// At most `N` ASCII bytes. Only ASCII is ever pushed, so the view as text cannot fail.
#[derive(Clone)]
pub(crate) struct Ascii<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Ascii<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// A copy, or `None` if it is longer than `N` or holds another byte than ASCII.
    pub(crate) fn copy(text: &[u8]) -> Option<Self> {
        let mut out = Self::new();
        if !text.is_ascii() {
            return None;
        }
        out.bytes.get_mut(..text.len())?.copy_from_slice(text);
        out.len = text.len();
        Some(out)
    }

    /// Appends one ASCII byte; tells whether it fitted.
    #[inline]
    #[must_use]
    pub(crate) fn push_byte(&mut self, byte: u8) -> bool {
        debug_assert!(byte.is_ascii(), "only ASCII is stored");
        let Some(place) = self.bytes.get_mut(self.len) else {
            return false;
        };
        *place = byte;
        self.len = self.len.wrapping_add(1);
        true
    }

    /// Appends ASCII; tells whether it fitted (nothing is written if not).
    #[must_use]
    pub(crate) fn push(&mut self, text: &[u8]) -> bool {
        let Some(end) = self.len.checked_add(text.len()) else {
            return false;
        };
        let Some(place) = self.bytes.get_mut(self.len..end) else {
            return false;
        };
        debug_assert!(text.is_ascii(), "only ASCII is stored");
        place.copy_from_slice(text);
        self.len = end;
        true
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or("")
    }
}

impl<const N: usize> PartialEq for Ascii<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> Eq for Ascii<N> {}

impl<const N: usize> Drop for Ascii<N> {
    fn drop(&mut self) {
        if let Some(used) = self.bytes.get_mut(..self.len) {
            used.zeroize();
        }
    }
}
