//! The format of the key file, version 1; `docs/hsm.md` draws it.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use std::{collections::BTreeMap, sync::Arc};

use aws_lc_rs::{
    aead::{Aad, LessSafeKey, Nonce},
    digest,
};
use tr_hsm::{Algorithm, Attributes, Export, Label, Origin, SECRET_LEN, Secret, Usage, Version};
use zeroize::Zeroizing;

use crate::{
    Params, StoreError, aead,
    kdf::SALT_LEN,
    keys::{Entry, Key, Keys},
};

const MAGIC: &[u8; 8] = b"TRHSM\r\n\x1a";
const VERSION: u8 = 1;
const ARGON2ID_13: u8 = 1;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const CHECKSUM_LEN: usize = 8;
/// Octets of the header, checksum included.
const HEADER_LEN: usize = 62;
/// The longest body, in clear octets: more than 20,000 keys.
const MAX_BODY: usize = 1024 * 1024;
/// The longest file.
pub(crate) const MAX_FILE: usize = HEADER_LEN + MAX_BODY + TAG_LEN;

/// The public part of a key file: what must be known before the passphrase is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub(crate) params: Params,
    pub(crate) salt: [u8; SALT_LEN],
    nonce: [u8; NONCE_LEN],
    body_len: u32,
}

impl Header {
    /// Reads the header of a whole key file. Its checksum finds accidents; only opening the body with
    /// the passphrase, which authenticates the header too, finds intent.
    ///
    /// # Errors
    /// [`StoreError::NotAKeyFile`], [`UnknownVersion`](StoreError::UnknownVersion),
    /// [`UnknownKdf`](StoreError::UnknownKdf), [`Truncated`](StoreError::Truncated),
    /// [`Trailing`](StoreError::Trailing), [`HeaderAltered`](StoreError::HeaderAltered),
    /// [`KdfLimit`](StoreError::KdfLimit).
    pub fn parse(file: &[u8]) -> Result<Self, StoreError> {
        Ok(split(file)?.0)
    }

    /// The cost of its key derivation.
    #[must_use]
    pub const fn params(&self) -> Params {
        self.params
    }

    fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(HEADER_LEN);
        octets.extend_from_slice(MAGIC);
        octets.extend_from_slice(&[VERSION, ARGON2ID_13]);
        octets.extend_from_slice(&self.params.memory_kib().to_be_bytes());
        octets.extend_from_slice(&self.params.passes().to_be_bytes());
        octets.extend_from_slice(&self.params.lanes().to_be_bytes());
        octets.extend_from_slice(&self.salt);
        octets.extend_from_slice(&self.nonce);
        octets.extend_from_slice(&self.body_len.to_be_bytes());
        let sum = checksum(&octets);
        octets.extend_from_slice(&sum);
        octets
    }
}

fn checksum(octets: &[u8]) -> [u8; CHECKSUM_LEN] {
    let digest = digest::digest(&digest::SHA256, octets);
    digest
        .as_ref()
        .first_chunk::<CHECKSUM_LEN>()
        .copied()
        .unwrap_or_default()
}

/// The header, its octets, and the ciphertext with its tag.
fn split(file: &[u8]) -> Result<(Header, &[u8], &[u8]), StoreError> {
    let mut reader = Reader::new(file);
    let cut = |_| StoreError::Truncated {
        expected: HEADER_LEN,
        found: file.len(),
    };
    match file.first_chunk::<8>() {
        Some(magic) if magic == MAGIC => {}
        None if MAGIC.starts_with(file) && !file.is_empty() => return Err(cut(End)),
        _ => return Err(StoreError::NotAKeyFile),
    }
    let _: [u8; 8] = reader.take().map_err(cut)?;
    let [version] = reader.take().map_err(cut)?;
    if version != VERSION {
        return Err(StoreError::UnknownVersion { found: version });
    }
    let [kdf] = reader.take().map_err(cut)?;
    let memory = reader.u32().map_err(cut)?;
    let passes = reader.u32().map_err(cut)?;
    let lanes = reader.u32().map_err(cut)?;
    let salt = reader.take().map_err(cut)?;
    let nonce = reader.take().map_err(cut)?;
    let body_len = reader.u32().map_err(cut)?;
    let summed = file.get(..reader.at).unwrap_or_default();
    let sum: [u8; CHECKSUM_LEN] = reader.take().map_err(cut)?;
    if sum != checksum(summed) {
        return Err(StoreError::HeaderAltered);
    }
    if kdf != ARGON2ID_13 {
        return Err(StoreError::UnknownKdf { found: kdf });
    }
    let params = Params::new(memory, passes, lanes)?;
    let (octets, body) = file.split_at_checked(HEADER_LEN).ok_or_else(|| cut(End))?;
    let clear_len = usize::try_from(body_len).unwrap_or(usize::MAX);
    let expected = clear_len.saturating_add(HEADER_LEN).saturating_add(TAG_LEN);
    let found = file.len();
    if clear_len > MAX_BODY {
        return Err(StoreError::Full {
            what: "key file",
            most: MAX_BODY,
        });
    }
    if found < expected {
        return Err(StoreError::Truncated { expected, found });
    }
    if found > expected {
        return Err(StoreError::Trailing { expected, found });
    }
    let header = Header {
        params,
        salt,
        nonce,
        body_len,
    };
    Ok((header, octets, body))
}

/// Writes a whole key file.
pub(crate) fn seal(
    keys: &Keys,
    params: Params,
    salt: [u8; SALT_LEN],
    key: &LessSafeKey,
) -> Result<Vec<u8>, StoreError> {
    let mut body = encode_body(keys)?;
    let full = StoreError::Full {
        what: "key file",
        most: MAX_BODY,
    };
    let Ok(body_len) = u32::try_from(body.len()) else {
        return Err(full);
    };
    let header = Header {
        params,
        salt,
        nonce: aead::random()?,
        body_len,
    };
    let mut file = header.encode();
    // The body becomes ciphertext where it stands: no clear copy is left.
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(header.nonce),
            Aad::from(&file),
            body.as_mut_slice(),
        )
        .map_err(|_| StoreError::Crypto { operation: "seal" })?;
    file.extend_from_slice(&body);
    file.extend_from_slice(tag.as_ref());
    Ok(file)
}

/// Opens a whole key file with a passphrase; also gives the key of the file.
pub(crate) fn open(file: &[u8], passphrase: &[u8]) -> Result<(Header, LessSafeKey, Keys), StoreError> {
    let (header, head, sealed) = split(file)?;
    let key = aead::key(&*header.params.derive(passphrase, &header.salt)?)?;
    let mut body = Zeroizing::new(sealed.to_vec());
    let clear = key
        .open_in_place(
            Nonce::assume_unique_for_key(header.nonce),
            Aad::from(head),
            body.as_mut_slice(),
        )
        .map_err(|_| StoreError::WrongPassphraseOrAltered)?;
    let keys = decode_body(clear)?;
    Ok((header, key, keys))
}

/// Reads octets as the clear body of a key file, for the fuzzer: whatever is taken must encode to
/// the same octets again.
#[doc(hidden)]
pub fn fuzz_body(octets: &[u8]) {
    if let Ok(keys) = decode_body(octets) {
        let again = encode_body(&keys).map(|again| again.to_vec());
        assert_eq!(again.ok().as_deref(), Some(octets), "one form only");
    }
}

/// Reads octets as what follows the first ten of a key file, with the checksum made right, for the fuzzer.
#[doc(hidden)]
pub fn fuzz_header(octets: &[u8]) -> Result<Header, StoreError> {
    let mut file = [MAGIC.as_slice(), &[VERSION, ARGON2ID_13], octets].concat();
    if let Some((head, _)) = file.split_first_chunk_mut::<HEADER_LEN>()
        && let Some((summed, sum)) = head.split_last_chunk_mut::<CHECKSUM_LEN>()
    {
        *sum = checksum(summed);
    }
    Header::parse(&file)
}

/// Octets of a key in the body.
const KEY_LEN: usize = 4 + 4 + SECRET_LEN;

fn encode_body(keys: &Keys) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let full = || StoreError::Full {
        what: "key file",
        most: MAX_BODY,
    };
    // The length is counted first: a vector that grows leaves secrets where it stood before.
    let length = keys.labels.iter().fold(2_usize, |sum, (label, entry)| {
        sum.saturating_add(7)
            .saturating_add(label.as_octets().len())
            .saturating_add(entry.keys.len().saturating_mul(KEY_LEN))
    });
    if length > MAX_BODY {
        return Err(full());
    }
    let mut body = Zeroizing::new(Vec::with_capacity(length));
    let count = u16::try_from(keys.labels.len()).map_err(|_| full())?;
    body.extend_from_slice(&count.to_be_bytes());
    for (label, entry) in &keys.labels {
        let name = label.as_octets();
        body.push(u8::try_from(name.len()).map_err(|_| full())?);
        body.extend_from_slice(name);
        let next = entry.next.map_or(0, Version::get);
        body.extend_from_slice(&next.to_be_bytes());
        let count = u16::try_from(entry.keys.len()).map_err(|_| full())?;
        body.extend_from_slice(&count.to_be_bytes());
        for (version, key) in &entry.keys {
            body.extend_from_slice(&version.get().to_be_bytes());
            body.extend_from_slice(&codes(key)?);
            body.extend_from_slice(key.secret.as_slice());
        }
    }
    Ok(body)
}

fn decode_body(body: &[u8]) -> Result<Keys, StoreError> {
    let mut reader = Reader::new(body);
    let mut labels = BTreeMap::new();
    for _ in 0..reader.body(Reader::u16)? {
        let at = reader.at;
        let [len] = reader.body(Reader::take)?;
        let name = reader.body(|reader| reader.slice(usize::from(len)))?;
        let label = Label::from_octets(name).map_err(|_| rule(at, "a label breaks its rule"))?;
        if labels.last_key_value().is_some_and(|(last, _)| *last >= label) {
            return Err(rule(at, "labels must ascend"));
        }
        let entry = decode_entry(&mut reader)?;
        labels.insert(label, entry);
    }
    if reader.at != body.len() {
        return Err(rule(reader.at, "octets after the last key"));
    }
    Ok(Keys { labels })
}

fn decode_entry(reader: &mut Reader<'_>) -> Result<Entry, StoreError> {
    let next = Version::new(reader.body(Reader::u32)?);
    let mut keys = BTreeMap::new();
    for _ in 0..reader.body(Reader::u16)? {
        let at = reader.at;
        let version = Version::new(reader.body(Reader::u32)?).ok_or_else(|| rule(at, "versions begin at 1"))?;
        if next.is_some_and(|next| version >= next) {
            return Err(rule(at, "a version is not below the next one"));
        }
        if keys.last_key_value().is_some_and(|(last, _)| *last >= version) {
            return Err(rule(at, "versions must ascend"));
        }
        let codes = reader.body(Reader::take)?;
        let (attributes, origin) = attributes(codes).ok_or_else(|| rule(at, "unknown attributes"))?;
        let mut secret = Box::new(Secret::default());
        secret.copy_from_slice(reader.body(|reader| reader.slice(SECRET_LEN))?);
        let key = Key::new(attributes, origin, secret).map_err(|_| rule(at, "no such key"))?;
        keys.insert(version, Arc::new(key));
    }
    Ok(Entry { next, keys })
}

const fn rule(at: usize, rule: &'static str) -> StoreError {
    StoreError::Body { at, rule }
}

/// Usage, algorithm, export and origin, one octet each.
fn codes(key: &Key) -> Result<[u8; 4], StoreError> {
    let attributes = key.attributes;
    let usage = match attributes.usage {
        Usage::Sign => 1,
        Usage::Agree => 2,
        Usage::Seal => 3,
        Usage::Wrap => 4,
        Usage::Mac => 5,
        Usage::CheckValue => 6,
        _ => return Err(StoreError::Attributes { attributes }),
    };
    let algorithm = match attributes.algorithm {
        Algorithm::P256 => 1,
        Algorithm::Aes256 => 2,
        Algorithm::HmacSha256 => 3,
        _ => return Err(StoreError::Attributes { attributes }),
    };
    let export = match attributes.export {
        Export::Never => 0,
        _ => return Err(StoreError::Attributes { attributes }),
    };
    let origin = match key.origin {
        Origin::Generated => 1,
        Origin::Imported => 2,
        _ => return Err(StoreError::Attributes { attributes }),
    };
    Ok([usage, algorithm, export, origin])
}

fn attributes([usage, algorithm, export, origin]: [u8; 4]) -> Option<(Attributes, Origin)> {
    let usage = match usage {
        1 => Usage::Sign,
        2 => Usage::Agree,
        3 => Usage::Seal,
        4 => Usage::Wrap,
        5 => Usage::Mac,
        6 => Usage::CheckValue,
        _ => return None,
    };
    let algorithm = match algorithm {
        1 => Algorithm::P256,
        2 => Algorithm::Aes256,
        3 => Algorithm::HmacSha256,
        _ => return None,
    };
    let origin = match origin {
        1 => Origin::Generated,
        2 => Origin::Imported,
        _ => return None,
    };
    (export == 0).then_some((Attributes::new(usage, algorithm), origin))
}

/// Octets ran out.
#[derive(Clone, Copy, Debug)]
struct End;

struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets, at: 0 }
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], End> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(End)?;
        self.rest = rest;
        self.at = self.at.saturating_add(len);
        Ok(taken)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], End> {
        self.slice(N)?.try_into().map_err(|_| End)
    }

    fn u16(&mut self) -> Result<u16, End> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, End> {
        self.take().map(u32::from_be_bytes)
    }

    /// Reads a part of the body, where running out is an error with its place.
    fn body<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, End>) -> Result<T, StoreError> {
        let at = self.at;
        read(self).map_err(|End| rule(at, "the contents end too early"))
    }
}

#[cfg(test)]
mod tests;
