//! The server's key stores: which keys each party has, and what for.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use tr_hsm::{Attributes, Label, Usage, Vault};
use tr_hsm_software::{Store, StoreError};
use tr_terminal::key::DeviceKey;

/// The back end in use.
pub type Hsm = Store;

/// Signs the issuing CA's certificate, then rests: the root is offline.
pub const ROOT_CA: Label = Label::literal("root-ca");
/// Signs individual certificates.
pub const ISSUING_CA: Label = Label::literal("issuing-ca");
/// Signs TLS class certificates.
pub const CLASS_CA: Label = Label::literal("class-ca");
/// Proves the identity of a backend or a terminal: handshake, answers, commands.
pub const IDENTITY: Label = Label::literal("identity");
/// The TLS class key of a backend, a gateway or a terminal.
pub const CLASS: Label = Label::literal("class");
/// Wraps K_DB.
pub const K_DB: Label = Label::literal("k-db");
/// Seals small secrets that are files: a terminal's memory, the code of the handout.
pub const STORAGE: Label = Label::literal("storage");
/// Makes and checks the check values of cards.
pub const CARD_CHECK: Label = Label::literal("card-check");

/// The keys of a party's store.
pub const ROOT_KEYS: &[(Label, Usage)] = &[(ROOT_CA, Usage::Sign)];
/// See [`ROOT_KEYS`].
pub const BACKEND_KEYS: &[(Label, Usage)] = &[
    (ISSUING_CA, Usage::Sign),
    (CLASS_CA, Usage::Sign),
    (IDENTITY, Usage::Sign),
    (CLASS, Usage::Sign),
    (K_DB, Usage::Wrap),
    (STORAGE, Usage::Seal),
    (CARD_CHECK, Usage::CheckValue),
];
/// See [`ROOT_KEYS`].
pub const GATEWAY_KEYS: &[(Label, Usage)] = &[(CLASS, Usage::Sign)];
/// See [`ROOT_KEYS`]; the class key of a terminal is imported from its handout.
pub const TERMINAL_KEYS: &[(Label, Usage)] = &[(IDENTITY, Usage::Sign), (STORAGE, Usage::Seal)];

/// Makes a key store with its keys.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn create(path: &Path, passphrase: &str, keys: &[(Label, Usage)]) -> Result<Arc<Hsm>> {
    let hsm = Store::create(path, passphrase.as_bytes(), tr_hsm_software::Params::default())
        .with_context(|| format!("cannot make the key store {}", path.display()))?;
    for (label, usage) in keys {
        hsm.generate(*label, Attributes::new(*usage, usage.algorithm()))
            .with_context(|| format!("cannot make the key {label}"))?;
    }
    Ok(Arc::new(hsm))
}

/// Opens a key store.
///
/// # Errors
/// When the passphrase is wrong, the file is damaged, or another process has it open.
pub fn open(path: &Path, passphrase: &str) -> Result<Arc<Hsm>> {
    let hsm = Store::open(path, passphrase.as_bytes())
        .with_context(|| format!("cannot open the key store {}", path.display()));
    hsm.map(Arc::new)
        .map_err(|error| match error.downcast_ref::<StoreError>() {
            Some(StoreError::InUse { .. }) => anyhow!("{error:#}; stop that program first, or let it do the work"),
            _ => error,
        })
}

/// The newest version of a signing key, for `tr-pki` and `tr-auth`.
#[must_use]
pub fn signer(hsm: &Hsm, label: Label) -> DeviceKey<'_, Hsm> {
    DeviceKey::new(hsm, label.newest())
}
