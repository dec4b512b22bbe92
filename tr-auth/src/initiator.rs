//! The initiator's side: the device towards a backend, the card towards a POS.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use core::fmt;

use tr_pki::Signer;

use crate::cbor::{Reader, Writer};
use crate::connection::ConnectionId;
use crate::credential::{Expected, Identity, Peer, judge};
use crate::crypto::{Crypto, KEY_LEN, Secret};
use crate::ead::{Ead, EadItem};
use crate::error::{Error, Full, Message, PeerError};
use crate::exchange::{ephemeral, open_in_place, payload, seal_signed};
use crate::schedule::{Transcript, extract, kdf_xor, label};
use crate::session::{Session, Side};
use crate::signed::{Own, Received};
use crate::{METHOD, SUITE};

/// Octets that suffice for message_1.
pub const MAX_MESSAGE_1: usize = 48;

/// The start of the initiator's side.
#[derive(Debug)]
pub struct Initiator;

impl Initiator {
    /// Writes message_1 = ( METHOD, SUITES_I, G_X, C_I ) into `out` and gives its length.
    ///
    /// `random` becomes the ephemeral secret: 32 octets from a good generator, used for nothing else. `connection` is C_I.
    ///
    /// # Errors
    /// [`Error::Randomness`], or [`Error::Buffer`] when `out` has less than [`MAX_MESSAGE_1`] octets.
    pub fn start<C: Crypto>(
        crypto: &C,
        random: &[u8; KEY_LEN],
        connection: ConnectionId,
        out: &mut [u8],
    ) -> Result<(WaitMessage2<C>, usize), Error> {
        let found = out.len();
        let (secret, g_x) = ephemeral(crypto, random)?;
        let mut writer = Writer::new(out);
        message_1(&mut writer, &g_x, &connection).map_err(|Full| Error::Buffer {
            needed: MAX_MESSAGE_1,
            found,
        })?;
        let len = writer.len();
        let message_1 = crypto.sha256(&[out.get(..len).unwrap_or(&[])]);
        Ok((
            WaitMessage2 {
                secret,
                g_x,
                message_1,
                connection,
            },
            len,
        ))
    }
}

fn message_1(writer: &mut Writer<'_>, g_x: &[u8; KEY_LEN], connection: &ConnectionId) -> Result<(), Full> {
    writer.int(METHOD)?;
    writer.int(SUITE)?;
    writer.bytes(g_x)?;
    connection.write(writer)
}

/// message_1 is on its way; message_2 is awaited.
pub struct WaitMessage2<C: Crypto> {
    secret: C::Ephemeral,
    g_x: [u8; KEY_LEN],
    message_1: [u8; KEY_LEN],
    connection: ConnectionId,
}

impl<C: Crypto> WaitMessage2<C> {
    /// Takes message_2, decrypting it in place, and judges the responder: form, chain, signature, EAD, then validity.
    ///
    /// # Errors
    /// The handshake is over: [`Error`] says why, and [`Error::write_message`] gives what the peer may know of it.
    pub fn process<'m>(
        self,
        crypto: &C,
        message_2: &'m mut [u8],
        expected: &Expected<'_>,
    ) -> Result<ReadyMessage3<'m>, Error> {
        if let Some(refusal) = PeerError::read(message_2) {
            return Err(Error::Peer(refusal));
        }
        let here = Reader::new(&[]).malformed();
        let malformed = Error::malformed(Message::Two);
        let payload = payload(message_2, Message::Two)?;
        let (g_y, ciphertext) = payload.split_first_chunk_mut::<KEY_LEN>().ok_or(malformed(here))?;
        if *g_y == self.g_x {
            return Err(Error::Reflected);
        }
        let th_2 = Transcript::second(crypto, g_y, &self.message_1);
        let g_xy = crypto.agree(&self.secret, g_y).map_err(Error::refused(Message::Two))?;
        let prk = extract(crypto, th_2.hash(), g_xy.expose());
        let key = crypto.hmac_key(prk.expose());
        kdf_xor(crypto, &key, label::KEYSTREAM_2, &[th_2.hash()], ciphertext);
        let plaintext: &'m [u8] = ciphertext;
        let received = Received::read(plaintext, Message::Two)?;
        let digest = received.statement(&th_2).digest(crypto, &key, label::MAC_2);
        let peer = judge(crypto, &received, &digest, Message::Two, expected)?;
        Ok(ReadyMessage3 {
            th_3: th_2.next(crypto, plaintext, received.id_cred.leaf()),
            prk,
            peer,
            certificate: received.id_cred.leaf(),
            ead: received.ead,
            own: self.connection,
            theirs: received.connection.ok_or(malformed(here))?,
        })
    }

    /// Our connection identifier, C_I.
    #[must_use]
    pub const fn connection(&self) -> &ConnectionId {
        &self.connection
    }
}

impl<C: Crypto> fmt::Debug for WaitMessage2<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitMessage2")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// The responder is authenticated; it has not learnt who we are.
#[derive(Debug)]
pub struct ReadyMessage3<'m> {
    th_3: Transcript,
    prk: Secret,
    peer: Peer,
    certificate: &'m [u8],
    ead: Ead<'m>,
    own: ConnectionId,
    theirs: ConnectionId,
}

impl<'m> ReadyMessage3<'m> {
    /// The responder. A caller that knows of revocations asks here, before it goes on.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The responder's certificate, DER.
    #[must_use]
    pub const fn certificate(&self) -> &'m [u8] {
        self.certificate
    }

    /// EAD_2, signed by the responder.
    #[must_use]
    pub const fn ead(&self) -> Ead<'m> {
        self.ead
    }

    /// Writes message_3, which tells the responder who we are, into `out` and gives its length.
    ///
    /// `out` also serves as workspace: [`crate::message_buffer`] says how long it must be.
    ///
    /// # Errors
    /// [`Error::Buffer`], [`Error::Usage`] for an impossible chain, [`Error::Signer`].
    pub fn message_3<C: Crypto, S: Signer>(
        self,
        crypto: &C,
        identity: &Identity<'_, S>,
        ead: &[EadItem<'_>],
        out: &mut [u8],
    ) -> Result<(WaitMessage4, usize), Error> {
        let own = Own {
            identity: *identity,
            connection: None,
            ead,
        };
        let (th_4, len) = seal_signed(crypto, &self.prk, &self.th_3, &own, out)?;
        Ok((
            WaitMessage4 {
                prk: self.prk,
                th_4,
                peer: self.peer,
                own: self.own,
                theirs: self.theirs,
            },
            len,
        ))
    }
}

/// message_3 is on its way; message_4, which proves that the responder accepts us, is awaited.
#[derive(Debug)]
pub struct WaitMessage4 {
    prk: Secret,
    th_4: Transcript,
    peer: Peer,
    own: ConnectionId,
    theirs: ConnectionId,
}

impl WaitMessage4 {
    /// Takes message_4, decrypting it in place, and gives the session.
    ///
    /// # Errors
    /// The handshake is over: [`Error`] says why.
    pub fn process<C: Crypto>(self, crypto: &C, message_4: &mut [u8]) -> Result<Session, Error> {
        if let Some(refusal) = PeerError::read(message_4) {
            return Err(Error::Peer(refusal));
        }
        let key = crypto.hmac_key(self.prk.expose());
        let payload = payload(message_4, Message::Four)?;
        let plaintext = open_in_place(
            crypto,
            &key,
            (label::K_4, label::IV_4),
            &self.th_4,
            payload,
            Message::Four,
        )?;
        let ead = Ead::read(&Reader::new(plaintext)).map_err(Error::malformed(Message::Four))?;
        ead.check(Message::Four, &[])?;
        Ok(Session::new(
            crypto,
            &self.prk,
            &self.th_4,
            self.peer,
            Side::Initiator,
            self.own,
            self.theirs,
        ))
    }

    /// The responder.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }
}
