//! The key schedule of RFC 9528 §4 for method 0 and SHA-256.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use crate::cbor::{BYTES, Head, UNSIGNED};
use crate::crypto::{Crypto, KEY_LEN, NONCE_LEN, Secret};

/// The info_label of each derivation (RFC 9528 §4.1.2 and §4.2).
pub(crate) mod label {
    pub(crate) const KEYSTREAM_2: u64 = 0;
    pub(crate) const MAC_2: u64 = 2;
    pub(crate) const K_3: u64 = 3;
    pub(crate) const IV_3: u64 = 4;
    pub(crate) const MAC_3: u64 = 6;
    pub(crate) const PRK_OUT: u64 = 7;
    pub(crate) const K_4: u64 = 8;
    pub(crate) const IV_4: u64 = 9;
    pub(crate) const PRK_EXPORTER: u64 = 10;
}

/// A transcript hash as the CBOR byte string in which it enters everything that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transcript([u8; 34]);

impl Transcript {
    fn new(hash: [u8; KEY_LEN]) -> Self {
        let mut octets = [0; 34];
        let (head, body) = octets.split_at_mut(2);
        head.copy_from_slice(&BYTES_32);
        body.copy_from_slice(&hash);
        Self(octets)
    }

    /// TH_2 = H( G_Y, H(message_1) ).
    pub(crate) fn second<C: Crypto>(crypto: &C, g_y: &[u8; KEY_LEN], message_1: &[u8; KEY_LEN]) -> Self {
        Self::new(crypto.sha256(&[&BYTES_32, g_y, &BYTES_32, message_1]))
    }

    /// TH_3 = H( TH_2, PLAINTEXT_2, CRED_R ) and TH_4 = H( TH_3, PLAINTEXT_3, CRED_I ).
    pub(crate) fn next<C: Crypto>(&self, crypto: &C, plaintext: &[u8], credential: &[u8]) -> Self {
        let head = Head::of_len(BYTES, credential.len());
        Self::new(crypto.sha256(&[&self.0, plaintext, head.as_bytes(), credential]))
    }

    /// As a CBOR byte string.
    pub(crate) const fn encoded(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn hash(&self) -> &[u8] {
        self.0.get(2..).unwrap_or(&[])
    }
}

/// The head of a byte string of 32 octets.
const BYTES_32: [u8; 2] = [0x58, 32];

/// HKDF-Extract (RFC 5869 §2.2).
pub(crate) fn extract<C: Crypto>(crypto: &C, salt: &[u8], input: &[u8]) -> Secret {
    crypto.hmac(&crypto.hmac_key(salt), &[input])
}

/// HKDF-Expand (RFC 5869 §2.3), its output added onto `out` by XOR block by block, so that a long keystream needs no
/// buffer. No more than [`MAX_EXPAND`] octets are touched; callers ask for no more.
pub(crate) fn expand_xor<C: Crypto>(crypto: &C, prk: &C::HmacKey, info: &[&[u8]], out: &mut [u8]) {
    debug_assert!(
        info.len() <= INFO_PARTS && out.len() <= MAX_EXPAND,
        "a caller's constant is wrong"
    );
    let mut parts: [&[u8]; INFO_PARTS + 2] = [&[]; INFO_PARTS + 2];
    for (slot, part) in parts.iter_mut().skip(1).zip(info) {
        *slot = part;
    }
    let mut block = Secret::zero();
    for (counter, chunk) in (1..=u8::MAX).zip(out.chunks_mut(KEY_LEN)) {
        let counter = [counter];
        let mut parts = parts;
        let [first, .., last] = &mut parts;
        *first = if counter == [1] { &[] } else { block.expose() };
        *last = &counter;
        let next = crypto.hmac(prk, &parts);
        for (octet, key) in chunk.iter_mut().zip(next.expose()) {
            *octet ^= key;
        }
        block = next;
    }
}

/// The longest output of HKDF-Expand with SHA-256.
pub(crate) const MAX_EXPAND: usize = 255 * KEY_LEN;
/// The most parts that the info of one derivation has: label, head and six parts of the context, length.
const INFO_PARTS: usize = 9;

/// EDHOC_KDF (RFC 9528 §4.1.2), XORed onto `out`: info = ( info_label, context as a byte string, length ).
pub(crate) fn kdf_xor<C: Crypto>(crypto: &C, prk: &C::HmacKey, label: u64, context: &[&[u8]], out: &mut [u8]) {
    let context_len = context.iter().fold(0usize, |sum, part| sum.saturating_add(part.len()));
    let label = Head::new(UNSIGNED, label);
    let head = Head::of_len(BYTES, context_len);
    let length = Head::of_len(UNSIGNED, out.len());
    let mut info: [&[u8]; INFO_PARTS] = [&[]; INFO_PARTS];
    let parts = [label.as_bytes(), head.as_bytes()]
        .into_iter()
        .chain(context.iter().copied());
    for (slot, part) in info.iter_mut().zip(parts.chain([length.as_bytes()])) {
        *slot = part;
    }
    expand_xor(crypto, prk, &info, out);
}

/// EDHOC_KDF with 32 octets of output.
pub(crate) fn kdf_secret<C: Crypto>(crypto: &C, prk: &C::HmacKey, label: u64, context: &[&[u8]]) -> Secret {
    let mut secret = Secret::zero();
    kdf_xor(crypto, prk, label, context, secret.expose_mut());
    secret
}

/// The AEAD key and nonce of message_3 or message_4.
pub(crate) fn aead_key<C: Crypto>(
    crypto: &C,
    prk: &C::HmacKey,
    labels: (u64, u64),
    th: &Transcript,
) -> (Secret, [u8; NONCE_LEN]) {
    let key = kdf_secret(crypto, prk, labels.0, &[th.hash()]);
    let mut nonce = [0; NONCE_LEN];
    kdf_xor(crypto, prk, labels.1, &[th.hash()], &mut nonce);
    (key, nonce)
}

/// Enc_structure = [ "Encrypt0", h'', TH ] (RFC 9052 §5.3, RFC 9528 §5.4.2): the AAD of message_3 and message_4.
pub(crate) fn enc_structure(th: &Transcript) -> [u8; 45] {
    let mut out = [0; 45];
    let (head, tail) = out.split_at_mut(ENC_HEAD.len());
    head.copy_from_slice(ENC_HEAD);
    tail.copy_from_slice(th.encoded());
    out
}

const ENC_HEAD: &[u8; 11] = b"\x83\x68Encrypt0\x40";

/// PRK_exporter from PRK_4e3m and TH_4 (RFC 9528 §4.1.3 and §4.2.1).
pub(crate) fn exporter<C: Crypto>(crypto: &C, prk_4e3m: &Secret, th_4: &Transcript) -> Secret {
    let prk_out = kdf_secret(
        crypto,
        &crypto.hmac_key(prk_4e3m.expose()),
        label::PRK_OUT,
        &[th_4.hash()],
    );
    kdf_secret(crypto, &crypto.hmac_key(prk_out.expose()), label::PRK_EXPORTER, &[])
}

#[cfg(test)]
mod tests;
