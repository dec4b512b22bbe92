//! Keys in memory, ready for use.

use core::fmt;
use std::{collections::BTreeMap, sync::Arc};

use aws_lc_rs::{
    aead::LessSafeKey,
    agreement::{self, ECDH_P256},
    hmac,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use tr_hsm::{Attributes, KeyInfo, KeyRef, Label, Origin, PUBLIC_KEY_LEN, Secret, Usage, Version, Which};

use crate::{StoreError, aead};

/// Every key of a store at one moment. Cloning copies references, not secrets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    pub(crate) labels: BTreeMap<Label, Entry>,
}

/// A label. It stays when its last key is destroyed, so that no version number comes twice.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The version that the next key gets; none after the last.
    pub(crate) next: Option<Version>,
    pub(crate) keys: BTreeMap<Version, Arc<Key>>,
}

impl Keys {
    pub(crate) fn get(&self, key: KeyRef) -> Result<(Version, &Arc<Key>), StoreError> {
        let missing = StoreError::NoSuchKey { key };
        let Some(entry) = self.labels.get(&key.label) else {
            return Err(missing);
        };
        let found = match key.version {
            Which::Newest => entry.keys.last_key_value(),
            Which::Exact(version) => entry.keys.get_key_value(&version),
        };
        found.map(|(version, key)| (*version, key)).ok_or(missing)
    }

    /// Adds a key under a label that has none.
    pub(crate) fn add(&mut self, label: Label, key: Key) -> Result<KeyInfo, StoreError> {
        let entry = self.labels.entry(label).or_insert(Entry {
            next: Some(Version::FIRST),
            keys: BTreeMap::new(),
        });
        if !entry.keys.is_empty() {
            return Err(StoreError::LabelTaken { label });
        }
        entry.push(label, key)
    }

    /// Adds the next version to a label that has one.
    pub(crate) fn rotate(&mut self, label: Label) -> Result<KeyInfo, StoreError> {
        let missing = StoreError::NoSuchKey { key: label.newest() };
        let Some(entry) = self.labels.get_mut(&label) else {
            return Err(missing);
        };
        let Some((_, newest)) = entry.keys.last_key_value() else {
            return Err(missing);
        };
        let key = Key::generate(newest.attributes)?;
        entry.push(label, key)
    }

    pub(crate) fn destroy(&mut self, label: Label, version: Version) -> Result<(), StoreError> {
        self.labels
            .get_mut(&label)
            .and_then(|entry| entry.keys.remove(&version))
            .map(|_| ())
            .ok_or(StoreError::NoSuchKey { key: label.at(version) })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = KeyInfo> + '_ {
        self.labels
            .iter()
            .flat_map(|(label, entry)| entry.keys.iter().map(|(version, key)| key.info(*label, *version)))
    }
}

impl Entry {
    fn push(&mut self, label: Label, key: Key) -> Result<KeyInfo, StoreError> {
        let version = self.next.ok_or(StoreError::Full {
            what: "range of version numbers",
            most: usize::MAX,
        })?;
        let info = key.info(label, version);
        self.next = version.next();
        self.keys.insert(version, Arc::new(key));
        Ok(info)
    }
}

/// One version of a key.
pub(crate) struct Key {
    pub(crate) attributes: Attributes,
    pub(crate) origin: Origin,
    /// What the file keeps. On the heap, so that moving the key leaves no copy behind.
    pub(crate) secret: Box<Secret>,
    pub(crate) ready: Ready,
}

/// The secret in the form that its usage needs.
pub(crate) enum Ready {
    Sign {
        pair: EcdsaKeyPair,
        public: [u8; PUBLIC_KEY_LEN],
    },
    Agree {
        private: agreement::PrivateKey,
        public: [u8; PUBLIC_KEY_LEN],
    },
    Seal(LessSafeKey),
    Wrap(LessSafeKey),
    Mac(hmac::Key),
    CheckValue(hmac::Key),
}

impl Key {
    /// A new key; the only caller of the random generator for long-lived keys.
    pub(crate) fn generate(attributes: Attributes) -> Result<Self, StoreError> {
        const REFUSED: StoreError = StoreError::Crypto {
            operation: "generate a key",
        };
        let mut secret = Box::new(Secret::default());
        match attributes.usage {
            Usage::Sign | Usage::Agree => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| REFUSED)?;
                let scalar: aws_lc_rs::encoding::EcPrivateKeyBin<'static> =
                    aws_lc_rs::encoding::AsBigEndian::as_be_bytes(&pair.private_key()).map_err(|_| REFUSED)?;
                let from = scalar.as_ref();
                if from.len() != secret.len() {
                    return Err(REFUSED);
                }
                secret.copy_from_slice(from);
            }
            _ => aws_lc_rs::rand::fill(&mut **secret).map_err(|_| REFUSED)?,
        }
        Self::new(attributes, Origin::Generated, secret)
    }

    /// A key from its secret.
    pub(crate) fn new(attributes: Attributes, origin: Origin, secret: Box<Secret>) -> Result<Self, StoreError> {
        if !attributes.are_consistent() {
            return Err(StoreError::Attributes { attributes });
        }
        let ready = match attributes.usage {
            Usage::Sign => {
                let (_, public) = agreement_key(&secret)?;
                let pair =
                    EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &**secret, &public)
                        .map_err(|_| StoreError::BadScalar)?;
                Ready::Sign { pair, public }
            }
            Usage::Agree => {
                let (private, public) = agreement_key(&secret)?;
                Ready::Agree { private, public }
            }
            Usage::Seal => Ready::Seal(aead::key(&secret)?),
            Usage::Wrap => Ready::Wrap(aead::key(&secret)?),
            Usage::Mac => Ready::Mac(hmac::Key::new(hmac::HMAC_SHA256, &**secret)),
            Usage::CheckValue => Ready::CheckValue(hmac::Key::new(hmac::HMAC_SHA256, &**secret)),
            _ => return Err(StoreError::Attributes { attributes }),
        };
        Ok(Self {
            attributes,
            origin,
            secret,
            ready,
        })
    }

    pub(crate) fn info(&self, label: Label, version: Version) -> KeyInfo {
        KeyInfo::new(label, version, self.attributes, self.origin)
    }

    /// The error for a call that this key does not serve.
    pub(crate) fn refuse(&self, key: KeyRef, needed: Usage) -> StoreError {
        StoreError::WrongUsage {
            key,
            needed,
            found: self.attributes.usage,
        }
    }
}

fn agreement_key(secret: &Secret) -> Result<(agreement::PrivateKey, [u8; PUBLIC_KEY_LEN]), StoreError> {
    let private = agreement::PrivateKey::from_private_key(&ECDH_P256, &**secret).map_err(|_| StoreError::BadScalar)?;
    let public = private
        .compute_public_key()
        .ok()
        .and_then(|public| public.as_ref().try_into().ok())
        .ok_or(StoreError::BadScalar)?;
    Ok((private, public))
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("attributes", &self.attributes)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
