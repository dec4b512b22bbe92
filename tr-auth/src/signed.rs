//! What message_2 and message_3 have in common: a plaintext that names a credential and is signed with it.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use tr_pki::Signer;

use crate::cbor::{BYTES, Head, Malformed, Reader, Writer};
use crate::connection::ConnectionId;
use crate::credential::{IdCred, Identity, id_cred_len, write_id_cred};
use crate::crypto::{Crypto, SIGNATURE_LEN, Secret};
use crate::ead::{self, Ead, EadItem};
use crate::error::{Error, Full, Message};
use crate::schedule::{Transcript, kdf_secret};

/// Everything that MAC_2 or MAC_3, and the signature over it, depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    /// C_R as encoded for message_2; nothing for message_3.
    pub(crate) connection: &'a [u8],
    /// ID_CRED as encoded.
    pub(crate) id_cred: &'a [u8],
    /// TH_2 or TH_3.
    pub(crate) th: &'a Transcript,
    /// The end-entity certificate.
    pub(crate) certificate: &'a [u8],
    /// EAD as encoded.
    pub(crate) ead: &'a [u8],
}

const SIGNATURE_1: &[u8] = b"\x84\x6aSignature1";
const SIG_PARTS: usize = 10;

impl Statement<'_> {
    /// MAC_2 or MAC_3, as long as the hash because the peer authenticates by signature (RFC 9528 §5.3.2, §5.4.2).
    pub(crate) fn mac<C: Crypto>(&self, crypto: &C, prk: &C::HmacKey, label: u64) -> Secret {
        let head = Head::of_len(BYTES, self.certificate.len());
        let context = [
            self.connection,
            self.id_cred,
            self.th.encoded(),
            head.as_bytes(),
            self.certificate,
            self.ead,
        ];
        kdf_secret(crypto, prk, label, &context)
    }

    /// Calls `f` with the parts of Sig_structure = [ "Signature1", << ID_CRED >>, << TH, CRED, ? EAD >>, MAC ] (RFC 9052 §4.4).
    fn sig_structure<R>(&self, mac: &Secret, f: impl FnOnce([&[u8]; SIG_PARTS]) -> R) -> R {
        let cred_head = Head::of_len(BYTES, self.certificate.len());
        let aad_len = [self.th.encoded(), cred_head.as_bytes(), self.certificate, self.ead]
            .iter()
            .fold(0usize, |sum, part| sum.saturating_add(part.len()));
        f([
            SIGNATURE_1,
            Head::of_len(BYTES, self.id_cred.len()).as_bytes(),
            self.id_cred,
            Head::of_len(BYTES, aad_len).as_bytes(),
            self.th.encoded(),
            cred_head.as_bytes(),
            self.certificate,
            self.ead,
            &[0x58, 32],
            mac.expose(),
        ])
    }

    /// The digest that the peer's signature must be of.
    pub(crate) fn digest<C: Crypto>(&self, crypto: &C, prk: &C::HmacKey, label: u64) -> [u8; 32] {
        let mac = self.mac(crypto, prk, label);
        self.sig_structure(&mac, |parts| crypto.sha256(&parts))
    }

    fn sign<C: Crypto, S: Signer>(
        &self,
        crypto: &C,
        prk: &C::HmacKey,
        label: u64,
        signer: &S,
        scratch: &mut [u8],
    ) -> Result<[u8; SIGNATURE_LEN], Error> {
        let mac = self.mac(crypto, prk, label);
        let available = scratch.len();
        let mut writer = Writer::new(scratch);
        let written = self.sig_structure(&mac, |parts| parts.iter().try_for_each(|part| writer.raw(part)));
        let len = writer.len();
        let message = written.ok().and_then(|()| scratch.get(..len));
        let message = message.ok_or(Error::Buffer {
            needed: self.sig_structure_len(),
            found: available,
        })?;
        signer.sign(message).map_err(|_| Error::Signer)
    }

    fn sig_structure_len(&self) -> usize {
        self.sig_structure(&Secret::zero(), |parts| {
            parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()))
        })
    }
}

/// A plaintext of ours: ? C_R, ID_CRED, Signature, ? EAD.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own<'a, S> {
    pub(crate) identity: Identity<'a, S>,
    /// C_R in message_2, nothing in message_3.
    pub(crate) connection: Option<&'a ConnectionId>,
    pub(crate) ead: &'a [EadItem<'a>],
}

/// A signature as a byte string: two octets of head before it.
const ENCODED_SIGNATURE: usize = SIGNATURE_LEN + 2;

impl<S: Signer> Own<'_, S> {
    /// Octets of the plaintext.
    pub(crate) fn plaintext_len(&self) -> usize {
        self.signature_offset()
            .saturating_add(ENCODED_SIGNATURE)
            .saturating_add(ead::encoded_len(self.ead))
    }

    fn connection_len(&self) -> usize {
        self.connection.map_or(0, ConnectionId::encoded_len)
    }

    fn signature_offset(&self) -> usize {
        self.connection_len().saturating_add(id_cred_len(self.identity.chain))
    }

    /// Octets of workspace that [`Own::write`] needs.
    pub(crate) fn scratch_len(&self) -> usize {
        scratch_len(self.identity.chain, self.ead)
    }

    /// Fills `plaintext`, which has exactly [`Own::plaintext_len`] octets.
    pub(crate) fn write<C: Crypto>(
        &self,
        crypto: &C,
        prk: &C::HmacKey,
        label: u64,
        th: &Transcript,
        plaintext: &mut [u8],
        scratch: &mut [u8],
    ) -> Result<(), Error> {
        let certificate = self.identity.leaf()?;
        let full = Error::Buffer {
            needed: self.plaintext_len(),
            found: plaintext.len(),
        };
        let mut writer = Writer::new(plaintext);
        self.write_unsigned(&mut writer).map_err(|Full| full)?;
        let (connection, rest) = plaintext.split_at_mut_checked(self.connection_len()).ok_or(full)?;
        let (id_cred, rest) = rest
            .split_at_mut_checked(id_cred_len(self.identity.chain))
            .ok_or(full)?;
        let (signature, ead) = rest.split_at_mut_checked(ENCODED_SIGNATURE).ok_or(full)?;
        let statement = Statement {
            connection,
            id_cred,
            th,
            certificate,
            ead,
        };
        let signed = statement.sign(crypto, prk, label, self.identity.signer, scratch)?;
        Writer::new(signature).bytes(&signed).map_err(|Full| full)
    }

    fn write_unsigned(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        if let Some(connection) = self.connection {
            connection.write(writer)?;
        }
        write_id_cred(self.identity.chain, writer)?;
        writer.bytes(&[0; SIGNATURE_LEN])?;
        ead::write(self.ead, writer)
    }
}

/// An upper bound of the Sig_structure's octets.
pub(crate) fn scratch_len(chain: &[&[u8]], ead: &[EadItem<'_>]) -> usize {
    const HEADS_AND_HASHES: usize = 128;
    let leaf = chain.first().map_or(0, |leaf| leaf.len());
    [id_cred_len(chain), leaf, ead::encoded_len(ead)]
        .iter()
        .fold(HEADS_AND_HASHES, |sum, len| sum.saturating_add(*len))
}

/// The plaintext of message_2 or message_3 as received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) connection: Option<ConnectionId>,
    encoded_connection: &'a [u8],
    pub(crate) id_cred: IdCred<'a>,
    pub(crate) signature: &'a [u8; SIGNATURE_LEN],
    pub(crate) ead: Ead<'a>,
}

impl<'a> Received<'a> {
    pub(crate) fn read(plaintext: &'a [u8], message: Message) -> Result<Self, Error> {
        let malformed = Error::malformed(message);
        let mut reader = Reader::new(plaintext);
        let connection = match message {
            Message::Two => Some(ConnectionId::read(&mut reader).map_err(&malformed)?),
            _ => None,
        };
        let encoded_connection = reader.since(0);
        let id_cred = IdCred::read(&mut reader, message)?;
        let here: Malformed = reader.malformed();
        let signature = reader
            .bytes()
            .map_err(&malformed)?
            .try_into()
            .map_err(|_| malformed(here))?;
        let ead = Ead::read(&reader).map_err(&malformed)?;
        Ok(Self {
            connection,
            encoded_connection,
            id_cred,
            signature,
            ead,
        })
    }

    pub(crate) fn statement<'s>(&'s self, th: &'s Transcript) -> Statement<'s> {
        Statement {
            connection: self.encoded_connection,
            id_cred: self.id_cred.encoded,
            th,
            certificate: self.id_cred.leaf(),
            ead: self.ead.as_bytes(),
        }
    }
}
