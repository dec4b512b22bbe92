//! A store that is open.

use core::fmt;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use aws_lc_rs::aead::LessSafeKey;
use tr_hsm::{KeyRef, Module, Version};

use crate::{
    Params, Step, StoreError, aead,
    disk::{Disk, Lock, Os, Place},
    file,
    kdf::SALT_LEN,
    keys::{Key, Keys},
};

/// A key file, open and locked: a [`Device`](tr_hsm::Device), a [`Vault`](tr_hsm::Vault) and a
/// [`Payment`](tr_hsm::Payment) module. Share it by reference or `Arc`; calls that use keys do not wait
/// for each other, calls that change keys wait only for each other.
pub struct Store {
    place: Place,
    /// Every reader takes its own reference and lets go of the lock before it computes.
    keys: RwLock<Arc<Keys>>,
    writer: Mutex<Writer>,
    _lock: Lock,
}

/// What writing the file takes.
struct Writer {
    disk: Box<dyn Disk>,
    params: Params,
    salt: [u8; SALT_LEN],
    key: LessSafeKey,
}

impl Store {
    /// Makes a new, empty key file, readable by its owner only, and opens it.
    ///
    /// Deriving the key takes the time and memory that `params` ask for
    /// ([`Params::SERVER`]: some tenths of a second and 64 MiB).
    ///
    /// # Errors
    /// [`StoreError::FileExists`]; [`InUse`](StoreError::InUse);
    /// [`EmptyPassphrase`](StoreError::EmptyPassphrase); [`Io`](StoreError::Io).
    pub fn create(path: impl AsRef<Path>, passphrase: &[u8], params: Params) -> Result<Self, StoreError> {
        Self::create_on(Box::new(Os), path.as_ref(), passphrase, params)
    }

    pub(crate) fn create_on(
        disk: Box<dyn Disk>,
        path: &Path,
        passphrase: &[u8],
        params: Params,
    ) -> Result<Self, StoreError> {
        if passphrase.is_empty() {
            return Err(StoreError::EmptyPassphrase);
        }
        let place = Place::of_new(path)?;
        let lock = place.lock()?;
        if place.file.symlink_metadata().is_ok() {
            return Err(StoreError::FileExists { path: path.to_owned() });
        }
        let salt = aead::random()?;
        let key = aead::key(&*params.derive(passphrase, &salt)?)?;
        let store = Self {
            place,
            keys: RwLock::default(),
            writer: Mutex::new(Writer {
                disk,
                params,
                salt,
                key,
            }),
            _lock: lock,
        };
        store.change(|_| Ok(()))?;
        Ok(store)
    }

    /// Opens a key file.
    ///
    /// # Errors
    /// One of its own for each way in which a file can be wrong; see [`StoreError`]. Nothing is changed.
    pub fn open(path: impl AsRef<Path>, passphrase: &[u8]) -> Result<Self, StoreError> {
        Self::open_on(Box::new(Os), path.as_ref(), passphrase)
    }

    pub(crate) fn open_on(disk: Box<dyn Disk>, path: &Path, passphrase: &[u8]) -> Result<Self, StoreError> {
        let place = Place::of_existing(path)?;
        let lock = place.lock()?;
        let (header, key, keys) = file::open(&place.read(file::MAX_FILE)?, passphrase)?;
        place.tidy(&*disk)?;
        Ok(Self {
            place,
            keys: RwLock::new(Arc::new(keys)),
            writer: Mutex::new(Writer {
                disk,
                params: header.params,
                salt: header.salt,
                key,
            }),
            _lock: lock,
        })
    }

    /// Where the key file lies, links followed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place.file
    }

    /// The keys of this moment.
    pub(crate) fn keys(&self) -> Arc<Keys> {
        // A panic elsewhere cannot leave the pointer half written, so poisoning means nothing.
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn key(&self, key: KeyRef) -> Result<(Version, Arc<Key>), StoreError> {
        let keys = self.keys();
        let (version, key) = keys.get(key)?;
        Ok((version, Arc::clone(key)))
    }

    /// Makes a change durable, then visible.
    pub(crate) fn change<T>(&self, edit: impl FnOnce(&mut Keys) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Keys::clone(&self.keys());
        let answer = edit(&mut next)?;
        let octets = file::seal(&next, writer.params, writer.salt, &writer.key)?;
        let replaced = self.place.replace(&*writer.disk, &octets);
        // Memory follows the file that is in place, also when its durability is in doubt.
        if matches!(
            replaced,
            Ok(())
                | Err(StoreError::Io {
                    step: Step::SyncDirectory,
                    ..
                })
        ) {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        }
        replaced.map(|()| answer)
    }
}

impl Module for Store {
    type Error = StoreError;
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.place.file)
            .field("keys", &self.keys().iter().count())
            .finish_non_exhaustive()
    }
}
