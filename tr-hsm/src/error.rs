//! One vocabulary of failures for every back end.

use core::fmt;

/// What every module has: its own error, which names one [`ErrorKind`].
pub trait Module {
    /// The back end's own error; it keeps the cause.
    type Error: Error;
}

/// An error of a back end.
pub trait Error: core::error::Error + Send + Sync + 'static {
    /// The kind, which tells a caller what to do.
    fn kind(&self) -> ErrorKind;
}

/// What a failure means to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The module has no capacity at the moment: try again.
    Busy,
    /// The connection or token is gone: open it again, then repeat.
    Reconnect,
    /// The log-in has lapsed: give the passphrase or PIN again, then repeat.
    Reauthenticate,
    /// The module refuses everyone until an operator acts, or another process holds it.
    Locked,
    /// This caller may not do this.
    Denied,
    /// The key has another usage than the call.
    WrongUsage,
    /// No such key or version.
    NotFound,
    /// The label is taken.
    AlreadyExists,
    /// The module cannot do this at all.
    Unsupported,
    /// An argument is outside its documented shape; nothing was done.
    BadInput,
    /// A MAC, tag, check value or passphrase is wrong.
    AuthenticationFailed,
    /// Stored state is damaged or was altered.
    Tampered,
    /// Nothing more fits: keys, versions or disk.
    Full,
    /// The module or its storage failed in a way that repeating will not mend.
    Failed,
}

impl ErrorKind {
    /// Whether the same call may succeed later without a change of its arguments: at once
    /// ([`Busy`](Self::Busy)), or after opening or logging in again.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Busy | Self::Reconnect | Self::Reauthenticate)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Busy => "busy",
            Self::Reconnect => "connection lost",
            Self::Reauthenticate => "log-in lapsed",
            Self::Locked => "locked",
            Self::Denied => "denied",
            Self::WrongUsage => "wrong usage",
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::Unsupported => "unsupported",
            Self::BadInput => "bad input",
            Self::AuthenticationFailed => "authentication failed",
            Self::Tampered => "damaged or altered",
            Self::Full => "full",
            Self::Failed => "failed",
        })
    }
}
