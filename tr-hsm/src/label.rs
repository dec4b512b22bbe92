//! Names of keys.

use core::{fmt, str::FromStr};

/// The name of a key: 1 to 32 of `a-z`, `0-9`, `-`, `_` and `.`, the first a letter or a digit.
///
/// The rule is narrow so that every back end can hold the name unchanged: a PKCS#11 `CKA_LABEL`,
/// a table of slots on a smart card, a file. The value is kept inline and is `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    // Unused octets are zero, so the derived order is that of the text.
    octets: [u8; Self::MAX_LEN],
    len: u8,
}

impl Label {
    /// The longest name, in octets.
    pub const MAX_LEN: usize = 32;

    /// Takes a name.
    ///
    /// # Errors
    /// [`BadLabel`] says which octet, or that the length, breaks the rule.
    pub const fn new(text: &str) -> Result<Self, BadLabel> {
        Self::from_octets(text.as_bytes())
    }

    /// Takes a name as octets, as files and tokens give it.
    ///
    /// # Errors
    /// As [`Label::new`].
    #[allow(
        clippy::as_conversions,
        reason = "the length is at most 32; `u8::try_from` is not const"
    )]
    pub const fn from_octets(text: &[u8]) -> Result<Self, BadLabel> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(BadLabel::Length { found: text.len() });
        }
        let mut octets = [0; Self::MAX_LEN];
        let mut at = 0;
        while at < text.len() {
            let octet = text[at];
            let always = octet.is_ascii_lowercase() || octet.is_ascii_digit();
            let inside = matches!(octet, b'-' | b'_' | b'.') && at > 0;
            if !always && !inside {
                return Err(BadLabel::Octet { at, found: octet });
            }
            octets[at] = octet;
            at += 1;
        }
        Ok(Self {
            octets,
            len: text.len() as u8,
        })
    }

    /// Takes a name written in the source: `const K_DB: Label = Label::literal("k-db");`
    ///
    /// # Panics
    /// When the name breaks the rule; in a `const` that is a compile error.
    #[must_use]
    pub const fn literal(text: &'static str) -> Self {
        match Self::new(text) {
            Ok(label) => label,
            Err(_) => panic!("not a label"),
        }
    }

    /// The name as octets (ASCII).
    #[must_use]
    pub fn as_octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII was let in.
        core::str::from_utf8(self.as_octets()).unwrap_or_default()
    }
}

impl FromStr for Label {
    type Err = BadLabel;

    fn from_str(text: &str) -> Result<Self, BadLabel> {
        Self::new(text)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Label({:?})", self.as_str())
    }
}

/// Why a text is no [`Label`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadLabel {
    /// Empty, or longer than [`Label::MAX_LEN`].
    Length {
        /// Its length in octets.
        found: usize,
    },
    /// An octet that is not allowed at its place.
    Octet {
        /// Its offset.
        at: usize,
        /// The octet.
        found: u8,
    },
}

impl fmt::Display for BadLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => {
                write!(f, "a key's name has 1 to {} octets, not {found}", Label::MAX_LEN)
            }
            Self::Octet { at, found } => {
                write!(f, "octet {found:#04x} at {at} may not stand in a key's name")
            }
        }
    }
}

impl core::error::Error for BadLabel {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_rule_allows() {
        for text in ["a", "0", "k-db", "ca.issuing_2", "abcdefghijklmnopqrstuvwxyz012345"] {
            assert_eq!(Label::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_the_rest_and_says_where() {
        assert_eq!(Label::new(""), Err(BadLabel::Length { found: 0 }));
        assert_eq!(Label::from_octets(&[b'a'; 33]), Err(BadLabel::Length { found: 33 }));
        for (text, at) in [("-a", 0), (".", 0), ("aB", 1), ("a b", 1), ("ab\u{e9}", 2), ("a/", 1)] {
            let Err(BadLabel::Octet { at: found, .. }) = Label::new(text) else {
                panic!("{text:?} was taken");
            };
            assert_eq!(found, at, "{text:?}");
        }
    }

    #[test]
    fn orders_as_its_text() {
        let mut labels = ["b", "a.b", "a", "a-b"].map(Label::literal);
        labels.sort();
        assert_eq!(labels.map(|label| label.len), [1, 3, 3, 1]);
        assert_eq!(labels, ["a", "a-b", "a.b", "b"].map(Label::literal));
    }
}
