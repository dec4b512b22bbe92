//! Columns sealed one by one, and blind indexes to find them.
//!
//! A sealed column is `version ‖ key version ‖ nonce ‖ ciphertext ‖ tag` (1, 2, 12, n and 16 octets; AES-256-GCM). The
//! additional data names format version, key version, table, column and the row's logical id, so that a value does not
//! open in another row, column or table. A blind index is the first half of an HMAC-SHA-256, so that equal values are
//! found and nothing else is learnt. All keys come from K_DB by HKDF-SHA-256, one label each.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

use super::StoreError;

const FORMAT: u8 = 1;
const KEY_VERSION: u16 = 1;
const HEAD: usize = 3;
const NONCE: usize = 12;
const TAG: usize = 16;

/// K_DB: the 32 octets that the HSM hands out at start, and from which every key of the database comes.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// Takes the octets over.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }
}

impl core::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// A sealed column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    PartyName,
    CardPan,
    TerminalUri,
    CertificateDer,
    CertificateSubject,
    VoucherSecret,
    VoucherUri,
    VoucherAnswer,
    DecisionEvidence,
    DecisionAnswer,
    RefusalEvidence,
    RefusalAnswer,
}

impl Column {
    const ALL: [Self; 12] = [
        Self::PartyName,
        Self::CardPan,
        Self::TerminalUri,
        Self::CertificateDer,
        Self::CertificateSubject,
        Self::VoucherSecret,
        Self::VoucherUri,
        Self::VoucherAnswer,
        Self::DecisionEvidence,
        Self::DecisionAnswer,
        Self::RefusalEvidence,
        Self::RefusalAnswer,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::PartyName => "parties.name",
            Self::CardPan => "cards.pan",
            Self::TerminalUri => "terminals.uri",
            Self::CertificateDer => "certificates.der",
            Self::CertificateSubject => "certificates.subject",
            Self::VoucherSecret => "vouchers.secret",
            Self::VoucherUri => "vouchers.uri",
            Self::VoucherAnswer => "vouchers.answer",
            Self::DecisionEvidence => "decisions.evidence",
            Self::DecisionAnswer => "decisions.answer",
            Self::RefusalEvidence => "refusals.evidence",
            Self::RefusalAnswer => "refusals.answer",
        }
    }
}

/// What a blind index is over; equal bytes of two kinds have different indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    Card,
    Terminal,
    Voucher,
    Subject,
}

impl Index {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Card => b"card\0",
            Self::Terminal => b"terminal\0",
            Self::Voucher => b"voucher\0",
            Self::Subject => b"subject\0",
        }
    }
}

/// A blind index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Blind(pub(super) [u8; 16]);

/// The keys of the columns and of the indexes.
pub(super) struct Keys {
    columns: Vec<(Column, LessSafeKey)>,
    index: hmac::Key,
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    pub(super) fn derive(key: &DataKey) -> Result<Self, StoreError> {
        let columns = Column::ALL
            .into_iter()
            .map(|column| {
                let secret = expand(key, &format!("tr-net seal 1 {}", column.name()))?;
                let key = UnboundKey::new(&AES_256_GCM, &*secret).map_err(|_| StoreError::Crypto)?;
                Ok((column, LessSafeKey::new(key)))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let index = hmac::Key::new(hmac::HMAC_SHA256, &*expand(key, "tr-net blind index 1")?);
        Ok(Self { columns, index })
    }

    /// Seals a value for one row; `id` is the row's logical identity.
    pub(super) fn seal(&self, column: Column, id: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| StoreError::Crypto)?;
        let mut out = Vec::with_capacity(HEAD + NONCE + plain.len() + TAG);
        out.push(FORMAT);
        out.extend_from_slice(&KEY_VERSION.to_be_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let (_, body) = out.split_at_mut(HEAD + NONCE);
        let tag = self
            .key(column)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad(column, KEY_VERSION, id), body)
            .map_err(|_| StoreError::Crypto)?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Opens a value that was sealed for this column of this row.
    pub(super) fn open(&self, column: Column, id: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let refused = || StoreError::Sealed { column: column.name() };
        let (&[format, version @ ..], rest) = sealed.split_first_chunk::<HEAD>().ok_or_else(refused)?;
        let version = u16::from_be_bytes(version);
        if format != FORMAT || version != KEY_VERSION {
            return Err(refused());
        }
        let (nonce, body) = rest.split_first_chunk::<NONCE>().ok_or_else(refused)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self
            .key(column)?
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                aad(column, version, id),
                &mut body,
            )
            .map_err(|_| refused())?
            .len();
        body.truncate(length);
        Ok(body)
    }

    /// The blind index of a value.
    pub(super) fn blind(&self, index: Index, value: &[u8]) -> Blind {
        let mut context = hmac::Context::with_key(&self.index);
        context.update(index.name());
        context.update(value);
        let tag = context.sign();
        let mut half = [0; 16];
        half.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        Blind(half)
    }

    fn key(&self, column: Column) -> Result<&LessSafeKey, StoreError> {
        self.columns
            .iter()
            .find(|(known, _)| *known == column)
            .map(|(_, key)| key)
            .ok_or(StoreError::Crypto)
    }
}

/// The raw key of the ciphered file.
pub(super) fn file_key(key: &DataKey) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    expand(key, "tr-net sqlcipher 1")
}

fn aad(column: Column, key_version: u16, id: &[u8]) -> Aad<Vec<u8>> {
    let name = column.name().as_bytes();
    let mut out = Vec::with_capacity(HEAD + name.len() + 1 + id.len());
    out.push(FORMAT);
    out.extend_from_slice(&key_version.to_be_bytes());
    out.extend_from_slice(name);
    out.push(0);
    out.extend_from_slice(id);
    Aad::from(out)
}

fn expand(key: &DataKey, label: &str) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let mut out = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"tr-net K_DB")
        .extract(&*key.0)
        .expand(&[label.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *out))
        .map_err(|_| StoreError::Crypto)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_where_it_was_sealed() {
        let keys = Keys::derive(&DataKey::new([7; 32])).unwrap();
        let sealed = keys.seal(Column::CardPan, b"row 1", b"4000001234567899").unwrap();
        assert_eq!(
            &**keys.open(Column::CardPan, b"row 1", &sealed).unwrap(),
            b"4000001234567899"
        );
        assert!(keys.open(Column::CardPan, b"row 2", &sealed).is_err());
        assert!(keys.open(Column::PartyName, b"row 1", &sealed).is_err());
        let other = Keys::derive(&DataKey::new([8; 32])).unwrap();
        assert!(other.open(Column::CardPan, b"row 1", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(keys.open(Column::CardPan, b"row 1", &altered).is_err(), "octet {at}");
            assert!(
                keys.open(Column::CardPan, b"row 1", &sealed[..at]).is_err(),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn blind_indexes_tell_kinds_and_keys_apart() {
        let keys = Keys::derive(&DataKey::new([7; 32])).unwrap();
        let other = Keys::derive(&DataKey::new([8; 32])).unwrap();
        assert_eq!(keys.blind(Index::Card, b"1"), keys.blind(Index::Card, b"1"));
        assert_ne!(keys.blind(Index::Card, b"1"), keys.blind(Index::Terminal, b"1"));
        assert_ne!(keys.blind(Index::Card, b"1"), other.blind(Index::Card, b"1"));
    }
}
