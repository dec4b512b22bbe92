//! AES-256-GCM in the shape of [`tr_hsm::sealed`].

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand,
};
use tr_hsm::{
    SECRET_LEN, Version,
    sealed::{self, HEAD_LEN, NONCE_LEN, OVERHEAD, Sealed},
};
use zeroize::Zeroize;

use crate::StoreError;

pub(crate) fn key(secret: &[u8; SECRET_LEN]) -> Result<LessSafeKey, StoreError> {
    UnboundKey::new(&AES_256_GCM, secret)
        .map(LessSafeKey::new)
        .map_err(|_| StoreError::Crypto {
            operation: "take an AES key",
        })
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut octets = [0; N];
    rand::fill(&mut octets).map_err(|_| StoreError::Crypto {
        operation: "give random octets",
    })?;
    Ok(octets)
}

/// Seals `clear` into the front of `out`.
pub(crate) fn seal<'o>(
    key: &LessSafeKey,
    version: Version,
    aad: &[u8],
    clear: &[u8],
    out: &'o mut [u8],
) -> Result<&'o [u8], StoreError> {
    let needed = clear.len().saturating_add(OVERHEAD);
    let short = || StoreError::BufferTooShort { needed, found: 0 };
    let found = out.len();
    let out = out
        .get_mut(..needed)
        .ok_or(StoreError::BufferTooShort { needed, found })?;
    let (head, rest) = out.split_first_chunk_mut::<HEAD_LEN>().ok_or_else(short)?;
    let (nonce, rest) = rest.split_first_chunk_mut::<NONCE_LEN>().ok_or_else(short)?;
    let (body, tag) = rest.split_at_mut_checked(clear.len()).ok_or_else(short)?;
    *head = sealed::head(version);
    *nonce = random()?;
    body.copy_from_slice(clear);
    let made = key.seal_in_place_separate_tag(
        Nonce::assume_unique_for_key(*nonce),
        Aad::from([head.as_slice(), aad].concat()),
        body,
    );
    match made {
        Ok(made) => tag.copy_from_slice(made.as_ref()),
        Err(_) => {
            body.zeroize();
            return Err(StoreError::Crypto { operation: "seal" });
        }
    }
    Ok(out)
}

/// Opens `sealed` into the front of `out`; after a failure nothing clear is left there.
pub(crate) fn open<'o>(
    key: &LessSafeKey,
    sealed: &Sealed<'_>,
    aad: &[u8],
    out: &'o mut [u8],
) -> Result<&'o mut [u8], StoreError> {
    let needed = sealed.ciphertext.len();
    let found = out.len();
    let out = out
        .get_mut(..needed)
        .ok_or(StoreError::BufferTooShort { needed, found })?;
    let opened = key.open_separate_gather(
        Nonce::assume_unique_for_key(*sealed.nonce),
        Aad::from([sealed.head.as_slice(), aad].concat()),
        sealed.ciphertext,
        sealed.tag,
        out,
    );
    if opened.is_err() {
        out.zeroize();
        return Err(StoreError::AuthenticationFailed);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_in_the_documented_shape() {
        let secret = [3; SECRET_LEN];
        let version = Version::new(0x0102_0304).unwrap();
        let mut out = [0; 64];
        let sealed = seal(&key(&secret).unwrap(), version, b"aad", b"clear", &mut out).unwrap();
        assert_eq!(sealed.len(), 5 + 12 + 5 + 16);
        assert_eq!(sealed[..5], [1, 1, 2, 3, 4]);
        let nonce = sealed[5..17].try_into().unwrap();
        let mut body = sealed[17..].to_vec();
        let clear = key(&secret).unwrap().open_in_place(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(b"\x01\x01\x02\x03\x04aad"),
            &mut body,
        );
        assert_eq!(clear.unwrap(), b"clear");
    }
}
