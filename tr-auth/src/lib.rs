#![doc = include_str!("../README.md")]
#![no_std]

mod cbor;
pub mod channel;
mod connection;
mod credential;
mod crypto;
mod ead;
mod error;
mod exchange;
mod initiator;
mod responder;
mod schedule;
mod session;
mod signed;

pub use connection::{ConnectionId, TooLong};
pub use credential::{Expected, Identity, MAX_CHAIN, Peer};
pub use crypto::{Crypto, CryptoError, KEY_LEN, NONCE_LEN, SIGNATURE_LEN, Secret, TAG_LEN};
pub use ead::{Ead, EadItem};
pub use error::{ERROR_TEXT, Error, MAX_ERROR_MESSAGE, Message, PeerError};
pub use exchange::message_buffer;
pub use initiator::{Initiator, MAX_MESSAGE_1, ReadyMessage3, WaitMessage2, WaitMessage4};
pub use responder::{MESSAGE_4_LEN, ReadyMessage4, Responder, WaitMessage3};
pub use session::{Channel, Exporter, Session, Side, label};

/// The one method: both sides sign (RFC 9528 §3.2).
pub const METHOD: i64 = 0;
/// The one cipher suite, private: A256GCM, SHA-256, MACs of 16 octets, P-256, ES256, and A256GCM and SHA-256 for the application.
pub const SUITE: i64 = -21;
