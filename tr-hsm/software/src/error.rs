//! What can go wrong, each with the values compared.

use core::fmt;
use std::{io, path::PathBuf};

use tr_hsm::{Attributes, ErrorKind, KeyRef, Label, Usage, sealed::BadSealed};

/// A failure of the software store. No variant holds a secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The file does not begin as a key file does.
    NotAKeyFile,
    /// The file is of a version that this program does not know.
    UnknownVersion {
        /// The version it names.
        found: u8,
    },
    /// The file names a key derivation that this program does not know.
    UnknownKdf {
        /// The number it names.
        found: u8,
    },
    /// The file ends too early.
    Truncated {
        /// How many octets it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// The file goes on after its end.
    Trailing {
        /// How many octets it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// The header does not match its checksum: it was damaged or altered.
    HeaderAltered,
    /// A parameter of the key derivation is outside its limits.
    KdfLimit {
        /// Which parameter.
        parameter: &'static str,
        /// Its value.
        found: u32,
        /// The least it may be.
        least: u32,
        /// The most it may be.
        most: u32,
    },
    /// The key derivation did not get its memory.
    KdfMemory {
        /// What it needs, in KiB.
        kib: u32,
    },
    /// The body does not open. A wrong passphrase and an altered file look the same.
    WrongPassphraseOrAltered,
    /// The body opened, yet breaks the rules of the format: whoever wrote it had the passphrase.
    Body {
        /// Offset in the body.
        at: usize,
        /// The rule.
        rule: &'static str,
    },
    /// Others than the owner may read or write the file.
    PermissionsTooWide {
        /// Its permission bits.
        mode: u32,
    },
    /// The path names something else than a regular file.
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Another process, or another part of this one, has the store open.
    InUse {
        /// The lock file.
        lock: PathBuf,
    },
    /// There is a file at the place where a new store should be made.
    FileExists {
        /// The path.
        path: PathBuf,
    },
    /// The file system refused.
    Io {
        /// What was being done.
        step: Step,
        /// To which file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A passphrase must not be empty.
    EmptyPassphrase,
    /// No such key.
    NoSuchKey {
        /// What was asked for.
        key: KeyRef,
    },
    /// The label has a key already.
    LabelTaken {
        /// The label.
        label: Label,
    },
    /// The key is for something else.
    WrongUsage {
        /// The key.
        key: KeyRef,
        /// The usage that the call needs.
        needed: Usage,
        /// The usage that the key has.
        found: Usage,
    },
    /// A key with these attributes cannot be made this way.
    Attributes {
        /// The attributes.
        attributes: Attributes,
    },
    /// The octets are no sealed data.
    Sealed(BadSealed),
    /// A wrapped data key has another length.
    WrappedLength {
        /// The length it should have.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// The caller's buffer is too short.
    BufferTooShort {
        /// What is needed.
        needed: usize,
        /// What was given.
        found: usize,
    },
    /// The peer's public key is no point of P-256.
    BadPoint,
    /// The private key is 0 or not below the order of P-256.
    BadScalar,
    /// A check value cannot have so many digits.
    DigitCount {
        /// How many were asked for.
        found: usize,
    },
    /// A tag, MAC or check value is wrong.
    AuthenticationFailed,
    /// No more keys fit.
    Full {
        /// What is full.
        what: &'static str,
        /// How many fit.
        most: usize,
    },
    /// The cryptographic library refused an operation that should always work.
    Crypto {
        /// Which.
        operation: &'static str,
    },
}

/// A step of file work, in the order in which a change passes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// Finding the file.
    Find,
    /// Taking the lock.
    Lock,
    /// Opening and reading.
    Read,
    /// Making the new file beside the old one.
    Create,
    /// Filling it.
    Write,
    /// Forcing it to the disk.
    Sync,
    /// Putting it in the old one's place.
    Rename,
    /// Forcing that to the disk. A change that fails here **is in force**; a power cut may still undo it.
    SyncDirectory,
}

impl tr_hsm::Error for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotAKeyFile
            | Self::UnknownKdf { .. }
            | Self::KdfLimit { .. }
            | Self::NotAFile { .. }
            | Self::EmptyPassphrase
            | Self::Sealed(_)
            | Self::WrappedLength { .. }
            | Self::BufferTooShort { .. }
            | Self::BadPoint
            | Self::BadScalar
            | Self::DigitCount { .. } => ErrorKind::BadInput,
            Self::UnknownVersion { .. } | Self::Attributes { .. } => ErrorKind::Unsupported,
            Self::Truncated { .. } | Self::Trailing { .. } | Self::HeaderAltered | Self::Body { .. } => {
                ErrorKind::Tampered
            }
            Self::WrongPassphraseOrAltered | Self::AuthenticationFailed => ErrorKind::AuthenticationFailed,
            Self::PermissionsTooWide { .. } => ErrorKind::Denied,
            Self::InUse { .. } => ErrorKind::Locked,
            Self::FileExists { .. } | Self::LabelTaken { .. } => ErrorKind::AlreadyExists,
            Self::NoSuchKey { .. } => ErrorKind::NotFound,
            Self::WrongUsage { .. } => ErrorKind::WrongUsage,
            Self::Full { .. } => ErrorKind::Full,
            Self::KdfMemory { .. } | Self::Crypto { .. } => ErrorKind::Failed,
            Self::Io { source, .. } => io_kind(source.kind()),
        }
    }
}

fn io_kind(kind: io::ErrorKind) -> ErrorKind {
    match kind {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ErrorKind::Full,
        _ => ErrorKind::Failed,
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAKeyFile => f.write_str("this is no key file; restore it from a backup"),
            Self::UnknownVersion { found } => {
                write!(f, "key file of version {found}; this program knows version 1")
            }
            Self::UnknownKdf { found } => {
                write!(
                    f,
                    "key file with key derivation {found}; this program knows 1, argon2id"
                )
            }
            Self::Truncated { expected, found } => {
                write!(
                    f,
                    "the key file is cut off: {found} of {expected} octets; restore it from a backup"
                )
            }
            Self::Trailing { expected, found } => {
                write!(
                    f,
                    "the key file has {found} octets instead of {expected}; restore it from a backup"
                )
            }
            Self::HeaderAltered => {
                f.write_str("the key file's header is damaged or was altered; restore it from a backup")
            }
            Self::KdfLimit {
                parameter,
                found,
                least,
                most,
            } => write!(f, "argon2id {parameter} of {found}; {least} to {most} is accepted"),
            Self::KdfMemory { kib } => {
                write!(f, "argon2id did not get {kib} KiB of memory")
            }
            Self::WrongPassphraseOrAltered => {
                f.write_str(
                    "the key file does not open: the passphrase is wrong, or the file was altered; try again, or restore it \
                     from a backup",
                )
            }
            Self::Body { at, rule } => write!(f, "key file contents, offset {at}: {rule}"),
            Self::PermissionsTooWide { mode } => write!(
                f,
                "the key file is open to others (mode {mode:04o}); make it 0600 (chmod 600)"
            ),
            Self::NotAFile { path } => write!(f, "{} is no regular file", path.display()),
            Self::InUse { lock } => {
                write!(
                    f,
                    "the key file is in use by another process (lock {}); stop that one first",
                    lock.display()
                )
            }
            Self::FileExists { path } => {
                write!(f, "{} exists and is not overwritten", path.display())
            }
            Self::Io { step, path, source } => write!(f, "{step} {}: {source}", path.display()),
            Self::EmptyPassphrase => f.write_str("the passphrase is empty"),
            Self::NoSuchKey { key } => write!(f, "no key {key}"),
            Self::LabelTaken { label } => write!(f, "there is a key {label} already"),
            Self::WrongUsage { key, needed, found } => {
                write!(f, "key {key} is for {found}, not for {needed}")
            }
            Self::Attributes { attributes } => write!(
                f,
                "no {} key of {} can be made this way",
                attributes.usage, attributes.algorithm
            ),
            Self::Sealed(bad) => fmt::Display::fmt(bad, f),
            Self::WrappedLength { expected, found } => {
                write!(f, "a wrapped data key has {expected} octets, not {found}")
            }
            Self::BufferTooShort { needed, found } => {
                write!(f, "the buffer has {found} octets, {needed} are needed")
            }
            Self::BadPoint => f.write_str("the peer's public key is no point of P-256"),
            Self::BadScalar => f.write_str("the private key is outside 1 to n-1 of P-256"),
            Self::DigitCount { found } => {
                let range = tr_hsm::CHECK_VALUE_DIGITS;
                let (least, most) = (range.start(), range.end());
                write!(f, "a check value has {least} to {most} digits, not {found}")
            }
            Self::AuthenticationFailed => f.write_str("authentication failed"),
            Self::Full { what, most } => write!(f, "the {what} is full: {most} at most"),
            Self::Crypto { operation } => write!(f, "the cryptographic library failed to {operation}"),
        }
    }
}

impl core::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Sealed(bad) => Some(bad),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Find => "finding",
            Self::Lock => "locking",
            Self::Read => "reading",
            Self::Create => "creating",
            Self::Write => "writing",
            Self::Sync => "syncing",
            Self::Rename => "putting in place",
            Self::SyncDirectory => "syncing the directory of",
        })
    }
}

impl From<BadSealed> for StoreError {
    fn from(bad: BadSealed) -> Self {
        Self::Sealed(bad)
    }
}
