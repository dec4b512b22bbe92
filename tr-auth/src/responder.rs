//! The responder's side: the backend, or the POS towards a card.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use tr_pki::Signer;

use crate::cbor::{ARRAY, Reader};
use crate::connection::ConnectionId;
use crate::credential::{Expected, Identity, Peer, judge};
use crate::crypto::{Crypto, KEY_LEN, Secret, TAG_LEN};
use crate::ead::{Ead, EadItem};
use crate::error::{Error, Message, PeerError};
use crate::exchange::{ephemeral, lay_out, open_in_place, payload, seal_in_place};
use crate::schedule::{Transcript, extract, kdf_xor, label};
use crate::session::{Session, Side};
use crate::signed::{Own, Received};
use crate::{METHOD, SUITE};

/// Octets of message_4, which carries no EAD of ours.
pub const MESSAGE_4_LEN: usize = TAG_LEN + 1;

/// The start of the responder's side.
#[derive(Debug)]
pub struct Responder;

impl Responder {
    /// Takes message_1 and writes message_2, which says who we are, into `out`; gives its length.
    ///
    /// `random` becomes the ephemeral secret: 32 octets from a good generator, used for nothing else. `connection` is C_R.
    /// `out` also serves as workspace: [`crate::message_buffer`] says how long it must be. Nothing is known of the initiator
    /// yet: a stranger costs one ECDH and one signature here, and the memory of a [`WaitMessage3`].
    ///
    /// # Errors
    /// Form, method, suite, key or EAD of message_1; [`Error::Buffer`], [`Error::Usage`] for an impossible chain of ours,
    /// [`Error::Signer`], [`Error::Randomness`].
    pub fn respond<C: Crypto, S: Signer>(
        crypto: &C,
        identity: &Identity<'_, S>,
        message_1: &[u8],
        random: &[u8; KEY_LEN],
        connection: ConnectionId,
        ead: &[EadItem<'_>],
        out: &mut [u8],
    ) -> Result<(WaitMessage3, usize), Error> {
        let offer = Offer::read(message_1)?;
        let (secret, g_y) = ephemeral(crypto, random)?;
        if g_y == *offer.g_x {
            return Err(Error::Reflected);
        }
        let g_xy = crypto.agree(&secret, offer.g_x).map_err(Error::refused(Message::One))?;
        let th_2 = Transcript::second(crypto, &g_y, &crypto.sha256(&[message_1]));
        let prk = extract(crypto, th_2.hash(), g_xy.expose());
        let key = crypto.hmac_key(prk.expose());

        let leaf = identity.leaf()?;
        let own = Own {
            identity: *identity,
            connection: Some(&connection),
            ead,
        };
        let layout = lay_out(out, own.plaintext_len().saturating_add(KEY_LEN), own.scratch_len())?;
        let full = Error::Buffer {
            needed: KEY_LEN,
            found: layout.content.len(),
        };
        let (front, plaintext) = layout.content.split_first_chunk_mut::<KEY_LEN>().ok_or(full)?;
        *front = g_y;
        own.write(crypto, &key, label::MAC_2, &th_2, plaintext, layout.scratch)?;
        let th_3 = th_2.next(crypto, plaintext, leaf);
        kdf_xor(crypto, &key, label::KEYSTREAM_2, &[th_2.hash()], plaintext);
        let waiting = WaitMessage3 {
            prk,
            th_3,
            own: connection,
            theirs: offer.connection,
        };
        Ok((waiting, layout.message_len))
    }
}

/// What message_1 offers.
struct Offer<'a> {
    g_x: &'a [u8; KEY_LEN],
    connection: ConnectionId,
}

impl<'a> Offer<'a> {
    fn read(message_1: &'a [u8]) -> Result<Self, Error> {
        let malformed = Error::malformed(Message::One);
        let mut reader = Reader::new(message_1);
        match reader.int().map_err(&malformed)? {
            METHOD => {}
            found => return Err(Error::Method { found }),
        }
        match selected_suite(&mut reader)? {
            SUITE => {}
            selected => return Err(Error::Suite { selected }),
        }
        let here = reader.malformed();
        let g_x = reader
            .bytes()
            .map_err(&malformed)?
            .try_into()
            .map_err(|_| malformed(here))?;
        let connection = ConnectionId::read(&mut reader).map_err(&malformed)?;
        let ead = Ead::read(&reader).map_err(&malformed)?;
        ead.check(Message::One, &[])?;
        Ok(Self { g_x, connection })
    }
}

/// SUITES_I is the selected suite, or an array of two or more whose last is the selected one (RFC 9528 §5.2.1). As we take one
/// suite, an initiator that names it before its selection has not understood our error message.
fn selected_suite(reader: &mut Reader<'_>) -> Result<i64, Error> {
    const MAX_SUITES: u64 = 16;
    let malformed = Error::malformed(Message::One);
    if reader.major() != Some(ARRAY) {
        return reader.int().map_err(&malformed);
    }
    let here = reader.malformed();
    let count = reader.array().map_err(&malformed)?;
    if !(2..=MAX_SUITES).contains(&count) {
        return Err(malformed(here));
    }
    for _ in 1..count {
        let here = reader.malformed();
        if reader.int().map_err(&malformed)? == SUITE {
            return Err(malformed(here));
        }
    }
    reader.int().map_err(&malformed)
}

/// message_2 is on its way; message_3 is awaited.
#[derive(Debug)]
pub struct WaitMessage3 {
    prk: Secret,
    th_3: Transcript,
    own: ConnectionId,
    theirs: ConnectionId,
}

impl WaitMessage3 {
    /// Takes message_3, decrypting it in place, and judges the initiator: form, chain, signature, EAD, then validity.
    ///
    /// # Errors
    /// The handshake is over: [`Error`] says why, and [`Error::write_message`] gives what the peer may know of it.
    pub fn process<'m, C: Crypto>(
        self,
        crypto: &C,
        message_3: &'m mut [u8],
        expected: &Expected<'_>,
    ) -> Result<ReadyMessage4<'m>, Error> {
        if let Some(refusal) = PeerError::read(message_3) {
            return Err(Error::Peer(refusal));
        }
        let key = crypto.hmac_key(self.prk.expose());
        let payload = payload(message_3, Message::Three)?;
        let plaintext = open_in_place(
            crypto,
            &key,
            (label::K_3, label::IV_3),
            &self.th_3,
            payload,
            Message::Three,
        )?;
        let received = Received::read(plaintext, Message::Three)?;
        let digest = received.statement(&self.th_3).digest(crypto, &key, label::MAC_3);
        let peer = judge(crypto, &received, &digest, Message::Three, expected)?;
        Ok(ReadyMessage4 {
            th_4: self.th_3.next(crypto, plaintext, received.id_cred.leaf()),
            prk: self.prk,
            peer,
            certificate: received.id_cred.leaf(),
            ead: received.ead,
            own: self.own,
            theirs: self.theirs,
        })
    }

    /// Our connection identifier, C_R.
    #[must_use]
    pub const fn connection(&self) -> &ConnectionId {
        &self.own
    }
}

/// The initiator is authenticated; it waits for our word.
#[derive(Debug)]
pub struct ReadyMessage4<'m> {
    prk: Secret,
    th_4: Transcript,
    peer: Peer,
    certificate: &'m [u8],
    ead: Ead<'m>,
    own: ConnectionId,
    theirs: ConnectionId,
}

impl<'m> ReadyMessage4<'m> {
    /// The initiator. A caller that knows of revocations asks here, before it goes on.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The initiator's certificate, DER.
    #[must_use]
    pub const fn certificate(&self) -> &'m [u8] {
        self.certificate
    }

    /// EAD_3, signed by the initiator.
    #[must_use]
    pub const fn ead(&self) -> Ead<'m> {
        self.ead
    }

    /// Writes message_4, which tells the initiator that it is accepted, into `out`; gives the session and the length.
    ///
    /// # Errors
    /// [`Error::Buffer`] when `out` has less than [`MESSAGE_4_LEN`] octets.
    pub fn message_4<C: Crypto>(self, crypto: &C, out: &mut [u8]) -> Result<(Session, usize), Error> {
        let key = crypto.hmac_key(self.prk.expose());
        let layout = lay_out(out, TAG_LEN, 0)?;
        seal_in_place(crypto, &key, (label::K_4, label::IV_4), &self.th_4, layout.content)?;
        let session = Session::new(
            crypto,
            &self.prk,
            &self.th_4,
            self.peer,
            Side::Responder,
            self.own,
            self.theirs,
        );
        Ok((session, layout.message_len))
    }
}
