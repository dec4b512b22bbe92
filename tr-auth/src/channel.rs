//! The sealed channel: per direction a chain of keys, one for each message, each erased once used.
//!
//! From chain key k(i) come, by HKDF-Expand under separate labels, k(i+1) and the AES-256-GCM key and nonce of message i. Neither
//! leads back to k(i), so a captured device reveals no past message. The index, which travels in the clear beside the message,
//! and the caller's routing data are authenticated with it.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use zeroize::Zeroize;

use crate::crypto::{Crypto, CryptoError, KEY_LEN, NONCE_LEN, Secret, TAG_LEN};
use crate::schedule::expand_xor;

/// How many messages may be lost or late when nothing else is said.
pub const SKIP_WINDOW: usize = 16;
/// The greatest window: 44 octets of keys for each message in it.
pub const MAX_SKIP_WINDOW: usize = 64;
/// Octets that sealing adds.
pub const OVERHEAD: usize = TAG_LEN;
/// The most octets of routing data.
pub const MAX_ROUTING: usize = 120;
/// A limit on the messages of one direction for callers without an opinion. It bounds what one session's keys protect, and how
/// far a receiver would ever follow.
pub const DEFAULT_LIMIT: u64 = 1 << 16;

/// HKDF-Expand info for the next chain key.
const NEXT: &[u8] = b"tr1 chain";
/// HKDF-Expand info for the key and nonce of one message.
const MESSAGE: &[u8] = b"tr1 message";

/// Why the channel did not seal or open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelError {
    /// The direction has carried as many messages as it may: shake hands anew.
    Exhausted {
        /// The limit.
        limit: u64,
    },
    /// The message was opened before, or is so late that its key has been erased.
    Used {
        /// The index of the message.
        index: u64,
    },
    /// More messages are missing before this one than the window holds.
    TooFarAhead {
        /// The index of the message.
        index: u64,
        /// The index that comes next in order.
        next: u64,
    },
    /// The message was not sealed by the peer with this index and routing data. Nothing has changed.
    Forged {
        /// The index of the message.
        index: u64,
    },
    /// The routing data have more than [`MAX_ROUTING`] octets.
    Routing {
        /// How many there were.
        octets: usize,
    },
    /// The buffer has no room for plaintext and tag, or the message is shorter than a tag.
    Buffer {
        /// How many octets are needed.
        needed: usize,
        /// How many there were.
        found: usize,
    },
    /// The provider failed on our own data. The index it happened at is spent.
    Provider(CryptoError),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted { limit } => write!(f, "the session has carried its {limit} messages"),
            Self::Used { index } => write!(f, "the key of message {index} is spent"),
            Self::TooFarAhead { index, next } => write!(f, "message {index} is too far ahead of {next}"),
            Self::Forged { index } => write!(f, "message {index} is not the peer's"),
            Self::Routing { octets } => write!(f, "{octets} octets of routing data; at most {MAX_ROUTING} are allowed"),
            Self::Buffer { needed, found } => write!(f, "a buffer of {found} octets where {needed} are needed"),
            Self::Provider(cause) => write!(f, "on our own data: {cause}"),
        }
    }
}

impl core::error::Error for ChannelError {}

/// A sealed message at the front of the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its index, to be sent beside it.
    pub index: u64,
    /// Its octets, tag included.
    pub len: usize,
}

/// Seals what one side sends.
pub struct Sender {
    chain: Secret,
    next: u64,
    limit: u64,
}

impl Sender {
    /// Starts from a chain key that starts no other sender: [`crate::Session::into_channel`] sees to that by itself.
    #[must_use]
    pub const fn new(chain: Secret, limit: u64) -> Self {
        Self { chain, next: 0, limit }
    }

    /// Seals the first `len` octets of `buffer` in place and puts the tag behind them: [`OVERHEAD`] octets more.
    ///
    /// `routing` is sent in the clear by the caller and authenticated here.
    ///
    /// # Errors
    /// Any [`ChannelError`] but `Used`, `TooFarAhead` and `Forged`. Only with [`ChannelError::Provider`] has the index been spent.
    pub fn seal<C: Crypto>(
        &mut self,
        crypto: &C,
        routing: &[u8],
        buffer: &mut [u8],
        len: usize,
    ) -> Result<Sealed, ChannelError> {
        let index = self.next;
        if index >= self.limit {
            return Err(ChannelError::Exhausted { limit: self.limit });
        }
        let aad = Aad::new(index, routing)?;
        let total = len.saturating_add(OVERHEAD);
        let full = ChannelError::Buffer {
            needed: total,
            found: buffer.len(),
        };
        let message = buffer.get_mut(..total).ok_or(full)?;
        let (plaintext, tag) = message.split_last_chunk_mut::<TAG_LEN>().ok_or(full)?;
        let prepared = crypto.hmac_key(self.chain.expose());
        let key = MessageKey::new(crypto, &prepared);
        self.chain = next(crypto, &prepared);
        self.next = index.saturating_add(1);
        *tag = crypto
            .seal(key.key.expose(), &key.nonce, aad.as_bytes(), plaintext)
            .map_err(ChannelError::Provider)?;
        Ok(Sealed { index, len: total })
    }

    /// The index of the next message.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// How many messages may still be sealed.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.next)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("next", &self.next)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Opens what the other side sends; up to `W` messages may be missing and come later.
pub struct Receiver<const W: usize = SKIP_WINDOW> {
    chain: Secret,
    next: u64,
    limit: u64,
    /// The keys of messages passed over; that of message i lies at i mod W.
    skipped: [Option<MessageKey>; W],
}

impl<const W: usize> Receiver<W> {
    const WINDOW: u64 = {
        assert!(0 < W && W <= MAX_SKIP_WINDOW, "the window has 1 to 64 messages");
        #[allow(clippy::as_conversions, reason = "at most 64, and `From` is not const")]
        let window = W as u64;
        window
    };

    /// Starts from the chain key that the peer's sender starts from.
    #[must_use]
    pub const fn new(chain: Secret, limit: u64) -> Self {
        Self {
            chain,
            next: 0,
            limit,
            skipped: [const { None }; W],
        }
    }

    /// Opens a message in place and gives its plaintext, the front of `buffer`.
    ///
    /// Nothing changes unless the message is good. Then its key is erased, so it opens once only.
    ///
    /// # Errors
    /// Any [`ChannelError`]. After [`ChannelError::Forged`] the buffer is zeros.
    pub fn open<'b, C: Crypto>(
        &mut self,
        crypto: &C,
        index: u64,
        routing: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<&'b mut [u8], ChannelError> {
        let aad = Aad::new(index, routing)?;
        if buffer.len() < OVERHEAD {
            return Err(ChannelError::Buffer {
                needed: OVERHEAD,
                found: buffer.len(),
            });
        }
        if index >= self.limit {
            return Err(ChannelError::Exhausted { limit: self.limit });
        }
        if index < self.next {
            self.open_late(crypto, index, &aad, buffer)?
        } else {
            self.open_ahead(crypto, index, &aad, buffer)?
        }
        let len = buffer.len().saturating_sub(OVERHEAD);
        Ok(buffer.get_mut(..len).unwrap_or_default())
    }

    fn open_late<C: Crypto>(
        &mut self,
        crypto: &C,
        index: u64,
        aad: &Aad,
        buffer: &mut [u8],
    ) -> Result<(), ChannelError> {
        let used = ChannelError::Used { index };
        if self.next.saturating_sub(index) > Self::WINDOW {
            return Err(used);
        }
        let slot = self.slot(index).ok_or(used)?;
        slot.as_ref().ok_or(used)?.open(crypto, index, aad, buffer)?;
        *slot = None;
        Ok(())
    }

    fn open_ahead<C: Crypto>(
        &mut self,
        crypto: &C,
        index: u64,
        aad: &Aad,
        buffer: &mut [u8],
    ) -> Result<(), ChannelError> {
        let missing = index.saturating_sub(self.next);
        if missing > Self::WINDOW {
            return Err(ChannelError::TooFarAhead { index, next: self.next });
        }
        // A walk on a copy first: a forged message must not advance the chain.
        let mut prepared = crypto.hmac_key(self.chain.expose());
        for _ in 0..missing {
            prepared = crypto.hmac_key(next(crypto, &prepared).expose());
        }
        MessageKey::new(crypto, &prepared).open(crypto, index, aad, buffer)?;
        let after = next(crypto, &prepared);
        self.pass(crypto, index);
        self.chain = after;
        if let Some(slot) = self.slot(index) {
            *slot = None;
        }
        self.next = index.saturating_add(1);
        Ok(())
    }

    /// Keeps the keys of the messages before `index`, each in the place of one that falls out of the window.
    fn pass<C: Crypto>(&mut self, crypto: &C, index: u64) {
        for missed in self.next..index {
            let prepared = crypto.hmac_key(self.chain.expose());
            let key = MessageKey::new(crypto, &prepared);
            self.chain = next(crypto, &prepared);
            if let Some(slot) = self.slot(missed) {
                *slot = Some(key);
            }
        }
    }

    fn slot(&mut self, index: u64) -> Option<&mut Option<MessageKey>> {
        let place = index.checked_rem(Self::WINDOW)?;
        self.skipped.get_mut(usize::try_from(place).ok()?)
    }

    /// The index that comes next in order.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }
}

impl<const W: usize> fmt::Debug for Receiver<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("next", &self.next)
            .field("limit", &self.limit)
            .field("window", &W)
            .finish_non_exhaustive()
    }
}

/// Key and nonce of one message.
struct MessageKey {
    key: Secret,
    nonce: [u8; NONCE_LEN],
}

impl MessageKey {
    fn new<C: Crypto>(crypto: &C, chain: &C::HmacKey) -> Self {
        let mut octets = [0; KEY_LEN + NONCE_LEN];
        expand_xor(crypto, chain, &[MESSAGE], &mut octets);
        let mut made = Self {
            key: Secret::zero(),
            nonce: [0; NONCE_LEN],
        };
        let (key, nonce) = octets.split_at(KEY_LEN);
        made.key.expose_mut().copy_from_slice(key);
        made.nonce.copy_from_slice(nonce);
        octets.zeroize();
        made
    }

    fn open<C: Crypto>(&self, crypto: &C, index: u64, aad: &Aad, message: &mut [u8]) -> Result<(), ChannelError> {
        let forged = ChannelError::Forged { index };
        let (ciphertext, tag) = message.split_last_chunk_mut::<TAG_LEN>().ok_or(forged)?;
        crypto
            .open(self.key.expose(), &self.nonce, aad.as_bytes(), ciphertext, tag)
            .map_err(|_| {
                ciphertext.fill(0);
                forged
            })
    }
}

impl Drop for MessageKey {
    fn drop(&mut self) {
        self.nonce.zeroize();
    }
}

fn next<C: Crypto>(crypto: &C, chain: &C::HmacKey) -> Secret {
    let mut secret = Secret::zero();
    expand_xor(crypto, chain, &[NEXT], secret.expose_mut());
    secret
}

/// What is authenticated beside a message: its index, eight octets with the most significant first, then the routing data.
struct Aad {
    octets: [u8; 8 + MAX_ROUTING],
    len: usize,
}

impl Aad {
    fn new(index: u64, routing: &[u8]) -> Result<Self, ChannelError> {
        let mut octets = [0; 8 + MAX_ROUTING];
        let (front, back) = octets.split_at_mut(8);
        front.copy_from_slice(&index.to_be_bytes());
        let room = back
            .get_mut(..routing.len())
            .ok_or(ChannelError::Routing { octets: routing.len() })?;
        room.copy_from_slice(routing);
        Ok(Self {
            octets,
            len: routing.len().saturating_add(8),
        })
    }

    fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&[])
    }
}
