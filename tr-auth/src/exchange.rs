//! Steps that both sides take.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use tr_pki::Signer;

use crate::cbor::{BYTES, Head, Reader};
use crate::credential::id_cred_len;
use crate::crypto::{Crypto, CryptoError, KEY_LEN, Secret, TAG_LEN};
use crate::ead::{self, EadItem};
use crate::error::{Error, Message};
use crate::schedule::{MAX_EXPAND, Transcript, aead_key, enc_structure, label};
use crate::signed::{Own, scratch_len};

/// Octets that suffice as output buffer, workspace included, for message_2 or message_3 with this chain and EAD.
#[must_use]
pub fn message_buffer(chain: &[&[u8]], ead: &[EadItem<'_>]) -> usize {
    const HEADS_KEY_CONNECTION_SIGNATURE_TAG: usize = 160;
    [id_cred_len(chain), ead::encoded_len(ead), scratch_len(chain, ead)]
        .iter()
        .fold(HEADS_KEY_CONNECTION_SIGNATURE_TAG, |sum, len| sum.saturating_add(*len))
}

/// An ephemeral key from the caller's random octets. Octets that are no secret scalar, one in 2³², are hashed and tried again.
pub(crate) fn ephemeral<C: Crypto>(crypto: &C, random: &[u8; KEY_LEN]) -> Result<(C::Ephemeral, [u8; KEY_LEN]), Error> {
    const ATTEMPTS: usize = 4;
    let [first, rest @ ..] = random;
    if rest.iter().all(|octet| octet == first) {
        return Err(Error::Randomness);
    }
    let mut scalar = Secret::new(*random);
    for _ in 0..ATTEMPTS {
        match crypto.ephemeral(scalar.expose()) {
            Ok(pair) => return Ok(pair),
            Err(CryptoError::Scalar) => scalar = Secret::new(crypto.sha256(&[scalar.expose()])),
            Err(cause) => return Err(Error::Provider(cause)),
        }
    }
    Err(Error::Randomness)
}

/// The content of a message that is one byte string and nothing after it.
pub(crate) fn payload(octets: &mut [u8], message: Message) -> Result<&mut [u8], Error> {
    let malformed = Error::malformed(message);
    let mut reader = Reader::new(octets);
    let len = reader.bytes().map_err(&malformed)?.len();
    reader.end().map_err(&malformed)?;
    let start = reader.offset().saturating_sub(len);
    let here = reader.malformed();
    octets.get_mut(start..).ok_or_else(|| malformed(here))
}

/// Decrypts CIPHERTEXT_3 or CIPHERTEXT_4 in place.
pub(crate) fn open_in_place<'m, C: Crypto>(
    crypto: &C,
    prk: &C::HmacKey,
    labels: (u64, u64),
    th: &Transcript,
    ciphertext: &'m mut [u8],
    message: Message,
) -> Result<&'m [u8], Error> {
    let short = Error::Malformed { message, offset: 0 };
    let (plaintext, tag) = ciphertext.split_last_chunk_mut::<TAG_LEN>().ok_or(short)?;
    let (key, nonce) = aead_key(crypto, prk, labels, th);
    crypto
        .open(key.expose(), &nonce, &enc_structure(th), plaintext, tag)
        .map_err(Error::refused(message))?;
    Ok(plaintext)
}

/// Encrypts a plaintext in place and puts its tag behind it; `octets` has [`TAG_LEN`] more than the plaintext.
pub(crate) fn seal_in_place<C: Crypto>(
    crypto: &C,
    prk: &C::HmacKey,
    labels: (u64, u64),
    th: &Transcript,
    octets: &mut [u8],
) -> Result<(), Error> {
    let found = octets.len();
    let (plaintext, tag) = octets
        .split_last_chunk_mut::<TAG_LEN>()
        .ok_or(Error::Buffer { needed: TAG_LEN, found })?;
    let (key, nonce) = aead_key(crypto, prk, labels, th);
    *tag = crypto
        .seal(key.expose(), &nonce, &enc_structure(th), plaintext)
        .map_err(Error::Provider)?;
    Ok(())
}

/// The parts of `out` while a message is made: `before` the content, the content, and workspace behind it.
pub(crate) struct Layout<'o> {
    pub(crate) content: &'o mut [u8],
    pub(crate) scratch: &'o mut [u8],
    pub(crate) message_len: usize,
}

/// Writes the head of a byte string of `content_len` octets and gives the room for them and for `scratch_len` behind them.
pub(crate) fn lay_out(out: &mut [u8], content_len: usize, scratch_len: usize) -> Result<Layout<'_>, Error> {
    if content_len > MAX_EXPAND {
        return Err(Error::TooLong { plaintext: content_len });
    }
    let head = Head::of_len(BYTES, content_len);
    let head = head.as_bytes();
    let message_len = head.len().saturating_add(content_len);
    let full = Error::Buffer {
        needed: message_len.saturating_add(scratch_len),
        found: out.len(),
    };
    let (message, scratch) = out.split_at_mut_checked(message_len).ok_or(full)?;
    let (front, content) = message.split_at_mut_checked(head.len()).ok_or(full)?;
    front.copy_from_slice(head);
    let scratch = scratch.get_mut(..scratch_len).ok_or(full)?;
    Ok(Layout {
        content,
        scratch,
        message_len,
    })
}

/// Writes message_3 and gives TH_4.
pub(crate) fn seal_signed<C: Crypto, S: Signer>(
    crypto: &C,
    prk: &Secret,
    th_3: &Transcript,
    own: &Own<'_, S>,
    out: &mut [u8],
) -> Result<(Transcript, usize), Error> {
    let key = crypto.hmac_key(prk.expose());
    let leaf = own.identity.leaf()?;
    let plaintext_len = own.plaintext_len();
    let layout = lay_out(out, plaintext_len.saturating_add(TAG_LEN), own.scratch_len())?;
    let full = Error::Buffer {
        needed: plaintext_len,
        found: layout.content.len(),
    };
    let plaintext = layout.content.get_mut(..plaintext_len).ok_or(full)?;
    own.write(crypto, &key, label::MAC_3, th_3, plaintext, layout.scratch)?;
    let th_4 = th_3.next(crypto, plaintext, leaf);
    seal_in_place(crypto, &key, (label::K_3, label::IV_3), th_3, layout.content)?;
    Ok((th_4, layout.message_len))
}
