//! PEM (RFC 7468), for files that other programs read.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use der::pem::{self, LineEnding};

/// What a PEM text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Label {
    /// `CERTIFICATE`.
    Certificate,
    /// `CERTIFICATE REQUEST`.
    CertificateRequest,
    /// `PRIVATE KEY`, PKCS#8.
    PrivateKey,
}

impl Label {
    /// The words between the dashes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Label::Certificate => "CERTIFICATE",
            Label::CertificateRequest => "CERTIFICATE REQUEST",
            Label::PrivateKey => "PRIVATE KEY",
        }
    }
}

/// Encodes DER as PEM with line feeds.
///
/// # Errors
///
/// [`PemError`] if `der` is too long to be encoded.
pub fn encode(label: Label, der: &[u8]) -> Result<String, PemError> {
    pem::encode_string(label.as_str(), LineEnding::LF, der).map_err(PemError::Text)
}

/// Decodes one PEM text, which must have this label.
///
/// # Errors
///
/// [`PemError`] if it is another label's, or no PEM.
pub fn decode(label: Label, text: &str) -> Result<Vec<u8>, PemError> {
    let (found, der) = pem::decode_vec(text.as_bytes()).map_err(PemError::Text)?;
    match found == label.as_str() {
        true => Ok(der),
        false => Err(PemError::Label { expected: label }),
    }
}

/// A text that is not the PEM asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PemError {
    /// The label is another one.
    Label {
        /// The label asked for.
        expected: Label,
    },
    /// The text is no PEM.
    Text(pem::Error),
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label { expected } => write!(f, "this is no {}", expected.as_str()),
            Self::Text(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for PemError {}
