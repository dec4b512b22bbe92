#![no_std]
#![doc = include_str!("../README.md")]
#[cfg(test)]
extern crate std;

mod alphabet;
mod bits;
pub mod card;
mod error;
pub mod f2f;
mod fields;
pub mod formats;
mod framed;
mod pan;
mod reading;
mod text;
mod track;

pub use alphabet::{Alphabet, TrackNumber};
pub use bits::{Bits, BitsError, MAX_BITS};
pub use error::{FrameError, FrameErrorKind, TrackError, TrackErrorKind};
pub use f2f::{Detector, Intervals, Recovered, SwipeError, SwipeErrorKind, recover};
pub use fields::{Authorisation, Discretionary, Expiry, Interchange, Name, ServiceCode, Services};
pub use framed::{Direction, Framed, MAX_CHARACTERS};
pub use pan::Pan;
pub use reading::{NoTrack, Reading};
pub use track::{Track, Track1, Track2};
