//! Why a handshake ended, for the log; and the opaque message that says so to the peer (RFC 9528 §6).

use core::fmt;

use tr_pki::{ParseError, PathError};

use crate::cbor::{Malformed, Reader, Writer};
use crate::crypto::CryptoError;
use crate::{METHOD, SUITE};

/// One of the four messages of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// message_1, from the initiator.
    One,
    /// message_2, from the responder.
    Two,
    /// message_3, from the initiator.
    Three,
    /// message_4, from the responder.
    Four,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "message_1",
            Self::Two => "message_2",
            Self::Three => "message_3",
            Self::Four => "message_4",
        })
    }
}

/// Why a handshake ended. It belongs in the log; the peer is told [`Error::write_message`] and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The message is not of its form.
    Malformed {
        /// Which message.
        message: Message,
        /// Where it stopped being well-formed: octets into the message, or into its plaintext once decrypted.
        offset: usize,
    },
    /// The initiator proposes another method than 0.
    Method {
        /// The proposed one.
        found: i64,
    },
    /// The initiator selected another cipher suite than [`SUITE`]. Answered by ERR_CODE 2.
    Suite {
        /// The selected one.
        selected: i64,
    },
    /// The ephemeral key of the peer is our own, so this is our own message coming back.
    Reflected,
    /// A primitive refused what the peer sent: no point of the curve, a wrong tag, a wrong signature.
    Refused {
        /// Which message.
        message: Message,
        /// What was refused.
        cause: CryptoError,
    },
    /// The credential is identified in a way that this profile does not know. Answered by ERR_CODE 3.
    UnknownCredential {
        /// Which message.
        message: Message,
    },
    /// The chain of certificates has more than [`crate::MAX_CHAIN`] members.
    LongChain {
        /// How many there were.
        certificates: u64,
    },
    /// One of the peer's certificates cannot be read.
    CertificateForm {
        /// Its place in the chain; 0 is the leaf.
        index: usize,
        /// What is wrong with it.
        cause: ParseError,
    },
    /// The peer's certificates do not lead to an anchor, are not of an expected role, or are not valid now.
    Certificate(PathError),
    /// The peer's name has more than [`crate::Peer::MAX_URI`] octets.
    LongName {
        /// How many there were.
        octets: usize,
    },
    /// The peer shows our own certificate, or one of our own key or name.
    OwnIdentity,
    /// An item of external authorisation data is critical and not understood.
    CriticalEad {
        /// Which message.
        message: Message,
        /// Its label, without the sign.
        label: u32,
    },
    /// The peer ended the handshake. What it says is authenticated by nothing.
    Peer(PeerError),
    /// The caller's buffer is too small.
    Buffer {
        /// How many octets are needed.
        needed: usize,
        /// How many there were.
        found: usize,
    },
    /// The message would be longer than EDHOC can encrypt.
    TooLong {
        /// How many octets of plaintext it would have.
        plaintext: usize,
    },
    /// The random octets for the ephemeral key are all the same: their source does not work.
    Randomness,
    /// Our own certificate cannot be read, or a label to export with is reserved.
    Usage,
    /// Our own private key did not sign.
    Signer,
    /// The provider failed on our own data.
    Provider(CryptoError),
}

/// What an error message of the peer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerError {
    /// ERR_CODE 1: some error.
    Unspecified,
    /// ERR_CODE 2: it does not take the cipher suite. A repeat would offer the same one, so there is none.
    WrongSuite,
    /// ERR_CODE 3: it does not know the credential that was referred to.
    UnknownCredential,
    /// A code that this profile does not know.
    Other(i64),
}

/// The one text that ERR_CODE 1 carries.
pub const ERROR_TEXT: &str = "refused";

/// Octets that suffice for every message of [`Error::write_message`].
pub const MAX_ERROR_MESSAGE: usize = 16;

impl Error {
    /// Writes the error message that the peer may see and gives its length: ERR_CODE 2 with our suite, ERR_CODE 3, and for
    /// everything else ERR_CODE 1 with [`ERROR_TEXT`]. Gives `None` when the peer itself ended the handshake: an error
    /// message is never answered by another.
    ///
    /// # Errors
    /// [`Error::Buffer`] when `out` has less than [`MAX_ERROR_MESSAGE`] octets.
    pub fn write_message(&self, out: &mut [u8]) -> Result<Option<usize>, Self> {
        let found = out.len();
        let mut writer = Writer::new(out);
        match self {
            Self::Peer(_) => return Ok(None),
            Self::Suite { .. } => writer.int(2).and_then(|()| writer.int(SUITE)),
            // ERR_INFO is the simple value true.
            Self::UnknownCredential { .. } => writer.int(3).and_then(|()| writer.raw(&[0xf5])),
            _ => writer.int(1).and_then(|()| writer.text(ERROR_TEXT)),
        }
        .map_err(|Full| Self::Buffer {
            needed: MAX_ERROR_MESSAGE,
            found,
        })?;
        Ok(Some(writer.len()))
    }

    pub(crate) const fn malformed(message: Message) -> impl Fn(Malformed) -> Self {
        move |Malformed { offset }| Self::Malformed { message, offset }
    }

    pub(crate) const fn refused(message: Message) -> impl Fn(CryptoError) -> Self {
        move |cause| Self::Refused { message, cause }
    }
}

impl PeerError {
    /// Reads an error message, if the octets are one: messages 2 to 4 start with a byte string, an error message with an integer.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        Some(match Reader::new(message).int().ok()? {
            1 => Self::Unspecified,
            2 => Self::WrongSuite,
            3 => Self::UnknownCredential,
            other => Self::Other(other),
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { message, offset } => write!(f, "{message} is malformed at offset {offset}"),
            Self::Method { found } => write!(f, "method {found} is proposed; only {METHOD} is taken"),
            Self::Suite { selected } => write!(f, "cipher suite {selected} is selected; only {SUITE} is taken"),
            Self::Reflected => f.write_str("the peer's ephemeral key is our own"),
            Self::Refused { message, cause } => write!(f, "{message}: {cause}"),
            Self::UnknownCredential { message } => write!(f, "{message} identifies a credential in an unknown way"),
            Self::LongChain { certificates } => {
                write!(
                    f,
                    "a chain of {certificates} certificates; at most {} are taken",
                    crate::MAX_CHAIN
                )
            }
            Self::Certificate(cause) => write!(f, "the peer's chain: {cause}"),
            Self::CertificateForm { index, cause } => write!(f, "the peer's certificate {index}: {cause}"),
            Self::LongName { octets } => write!(
                f,
                "the peer's name has {octets} octets; at most {} are taken",
                crate::Peer::MAX_URI
            ),
            Self::OwnIdentity => f.write_str("the peer shows our own identity"),
            Self::CriticalEad { message, label } => write!(f, "{message} has the unknown critical EAD item {label}"),
            Self::Peer(peer) => write!(f, "the peer ended the handshake: {peer}"),
            Self::Buffer { needed, found } => write!(f, "a buffer of {found} octets where {needed} are needed"),
            Self::TooLong { plaintext } => write!(f, "a message with {plaintext} octets of plaintext is too long"),
            Self::Randomness => f.write_str("the source of randomness does not work"),
            Self::Usage => f.write_str("our own certificate cannot be read, or the label is reserved"),
            Self::Signer => f.write_str("our own private key did not sign"),
            Self::Provider(cause) => write!(f, "on our own data: {cause}"),
        }
    }
}

impl core::error::Error for Error {}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unspecified => f.write_str("the reason is in its log only"),
            Self::WrongSuite => f.write_str("it does not take our cipher suite"),
            Self::UnknownCredential => f.write_str("it does not know our credential"),
            Self::Other(code) => write!(f, "error code {code}"),
        }
    }
}

/// There was no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;
