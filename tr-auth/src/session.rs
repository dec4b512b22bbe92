//! What a completed handshake leaves behind.

use crate::channel::{Receiver, Sender};
use crate::connection::ConnectionId;
use crate::credential::Peer;
use crate::crypto::{Crypto, Secret};
use crate::error::Error;
use crate::schedule::{MAX_EXPAND, Transcript, exporter, kdf_xor};

/// Exporter labels (RFC 9528 §4.2.1, private use 32768–65535) and who may use them.
pub mod label {
    /// The chain of what the initiator sends; reserved to [`crate::Session::into_channel`].
    pub const CHANNEL_INITIATOR: u16 = 32768;
    /// The chain of what the responder sends; reserved to [`crate::Session::into_channel`].
    pub const CHANNEL_RESPONDER: u16 = 32769;
    /// The first that an application may use.
    pub const FIRST_FREE: u16 = 32784;
}

/// Which side of the handshake we were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We sent message_1.
    Initiator,
    /// We answered it.
    Responder,
}

/// A completed handshake: both sides have proved who they are and that they hold the same keys.
#[derive(Debug)]
pub struct Session {
    exporter: Exporter,
    peer: Peer,
    side: Side,
    own: ConnectionId,
    theirs: ConnectionId,
}

impl Session {
    pub(crate) fn new<C: Crypto>(
        crypto: &C,
        prk_4e3m: &Secret,
        th_4: &Transcript,
        peer: Peer,
        side: Side,
        own: ConnectionId,
        theirs: ConnectionId,
    ) -> Self {
        Self {
            exporter: Exporter {
                prk: exporter(crypto, prk_4e3m, th_4),
            },
            peer,
            side,
            own,
            theirs,
        }
    }

    /// The peer.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Which side we were.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Our own connection identifier: the peer puts it on what it sends us.
    #[must_use]
    pub const fn own_connection(&self) -> &ConnectionId {
        &self.own
    }

    /// The peer's connection identifier.
    #[must_use]
    pub const fn peer_connection(&self) -> &ConnectionId {
        &self.theirs
    }

    /// Derives keys of the application's own.
    #[must_use]
    pub const fn exporter(&self) -> &Exporter {
        &self.exporter
    }

    /// Turns the session into its channel, which may carry `limit` messages each way. Keys would repeat in a second channel,
    /// so the session is consumed.
    #[must_use]
    pub fn into_channel<C: Crypto, const W: usize>(self, crypto: &C, limit: u64) -> Channel<W> {
        let key = crypto.hmac_key(self.exporter.prk.expose());
        let chain = |label| {
            let mut secret = Secret::zero();
            kdf_xor(crypto, &key, u64::from(label), &[], secret.expose_mut());
            secret
        };
        let (initiator, responder) = (chain(label::CHANNEL_INITIATOR), chain(label::CHANNEL_RESPONDER));
        let (ours, theirs) = match self.side {
            Side::Initiator => (initiator, responder),
            Side::Responder => (responder, initiator),
        };
        Channel {
            sender: Sender::new(ours, limit),
            receiver: Receiver::new(theirs, limit),
            exporter: self.exporter,
            peer: self.peer,
            own_connection: self.own,
            peer_connection: self.theirs,
        }
    }
}

/// A session in use: one sender, one receiver, and what is known of the peer.
#[derive(Debug)]
pub struct Channel<const W: usize = { crate::channel::SKIP_WINDOW }> {
    /// Seals what we send.
    pub sender: Sender,
    /// Opens what the peer sends.
    pub receiver: Receiver<W>,
    /// Derives keys of the application's own.
    pub exporter: Exporter,
    /// The peer.
    pub peer: Peer,
    /// Our own connection identifier: the peer puts it on what it sends us.
    pub own_connection: ConnectionId,
    /// The peer's connection identifier.
    pub peer_connection: ConnectionId,
}

/// `EDHOC_Exporter` (RFC 9528 §4.2.1).
#[derive(Debug)]
pub struct Exporter {
    prk: Secret,
}

impl Exporter {
    /// Fills `out` with EDHOC_Exporter( label, context, length of `out` ).
    ///
    /// # Errors
    /// [`Error::Usage`] for a label below [`label::FIRST_FREE`], which are registered or our own, and for more than 8160 octets.
    pub fn export<C: Crypto>(&self, crypto: &C, label: u16, context: &[u8], out: &mut [u8]) -> Result<(), Error> {
        if label < label::FIRST_FREE || out.len() > MAX_EXPAND {
            return Err(Error::Usage);
        }
        out.fill(0);
        kdf_xor(
            crypto,
            &crypto.hmac_key(self.prk.expose()),
            u64::from(label),
            &[context],
            out,
        );
        Ok(())
    }
}
