//! Two-frequency coding (F2F, Aiken biphase): bits ↔ flux intervals ↔ PCM samples.
//!
//! A cell is bounded by flux transitions; a one has another in its middle. The unit of time is the nanosecond, whatever the
//! source. A waveform goes through three steps, each usable alone: [`Detector`] finds the transitions of samples and writes the
//! intervals between them into the caller's workspace; [`recover`](crate::recover) follows the clock through the intervals and
//! gives bits with a confidence; [`Framed::find`](crate::Framed::find) and [`Track::from_framed`](crate::Track::from_framed) judge what the bits say.

mod detect;
mod recover;
mod write;

pub use detect::{Detector, Intervals};
pub use recover::{ClockLoss, Confidence, Recovered, recover};
pub use write::{FluxIntervals, Motion, Polarity, Recorder, Samples, Stripe, StripeError};

use core::fmt;

/// The lowest sample rate that is accepted, in Hz.
pub const MIN_SAMPLE_RATE: u32 = 4_000;
/// The highest sample rate that is accepted, in Hz.
pub const MAX_SAMPLE_RATE: u32 = 1_000_000;

/// A workspace of this many intervals takes any card: 708 cells at 210 bits per inch, each of two intervals, and some noise around them.
pub const WORKSPACE: usize = 2048;

/// A swipe that gave no bits: the kind, and where it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SwipeError {
    /// What is wrong.
    pub kind: SwipeErrorKind,
    /// The place: the sample for errors of a waveform, else the interval.
    pub at: usize,
}

/// What is wrong with a swipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SwipeErrorKind {
    /// A sample rate outside [`MIN_SAMPLE_RATE`] to [`MAX_SAMPLE_RATE`].
    SampleRate {
        /// The rate given, in Hz.
        found: u32,
    },
    /// No pulse rises above the floor: nothing was swiped.
    Silence {
        /// The largest swing in the samples, from one extreme to the next.
        swing: u32,
        /// The swing that counts as a pulse.
        floor: u32,
    },
    /// More transitions than the workspace takes.
    WorkspaceFull {
        /// Its length.
        capacity: usize,
    },
    /// Nowhere do the intervals keep a clock for long enough to be a stripe.
    NoClock {
        /// How many intervals there are.
        intervals: usize,
        /// The longest run of bits found, its clocking zeros included.
        longest: usize,
    },
    /// A clock without a single one bit: a blank or erased stripe, or hum.
    Blank {
        /// How many zeros there are.
        zeros: usize,
    },
}

impl SwipeError {
    pub(crate) const fn new(kind: SwipeErrorKind, at: usize) -> Self {
        Self { kind, at }
    }
}

impl fmt::Display for SwipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.kind {
            SwipeErrorKind::SampleRate { found } => write!(
                f,
                "sample rate {found} Hz, not {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
            ),
            SwipeErrorKind::Silence { swing, floor } => write!(
                f,
                "silence: the largest swing is {swing} of 65535 (at sample {at}), a pulse needs {floor}"
            ),
            SwipeErrorKind::WorkspaceFull { capacity } => write!(
                f,
                "sample {at}: more than the {capacity} intervals that the workspace takes"
            ),
            SwipeErrorKind::NoClock { intervals, longest } => write!(
                f,
                "no steady clock in {intervals} intervals; the longest run, at interval {at}, is {longest} bits"
            ),
            SwipeErrorKind::Blank { zeros } => {
                write!(f, "interval {at}: {zeros} zero bits and no one, the stripe is blank")
            }
        }
    }
}

impl core::error::Error for SwipeError {}
