//! What the crates do here. The self-test runs it and looks at the results; the size probes link it.

pub mod auth;
pub mod hsm;
pub mod pki;
pub mod protocol;
pub mod terminal;
pub mod track;

use core::fmt;
use core::panic::Location;

/// A step went wrong, and where. Light, so that the size probes hold no formatting.
#[derive(Clone, Copy, Debug)]
pub struct Failure(pub &'static Location<'static>);

/// What every step returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}

impl<E: core::error::Error> From<E> for Failure {
    #[track_caller]
    fn from(_: E) -> Self {
        Self(Location::caller())
    }
}

/// Fails where it is called when the condition does not hold.
///
/// # Errors
/// [`Failure`] with the caller's place.
#[track_caller]
pub fn check(holds: bool) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Failure(Location::caller()))
    }
}

/// The value, or a failure where it is called.
///
/// # Errors
/// [`Failure`] with the caller's place.
#[track_caller]
pub fn some<T>(value: Option<T>) -> Outcome<T> {
    value.ok_or(Failure(Location::caller()))
}
