//! One call from a waveform, intervals or bits to everything that can be said of them, level by level.

use core::fmt;

use crate::f2f::{Recovered, SwipeError, recover};
use crate::{Bits, Direction, FrameError, Framed, Intervals, Track, TrackError};

/// What a swipe says, at three levels that must not be mistaken for one another.
///
/// - [`recovered`](Self::recovered): *bits*, with a confidence. Any F2F stripe has them.
/// - [`framed`](Self::framed): *characters* between sentinels; every parity and the LRC hold. Any ISO/IEC 7811 stripe has them.
/// - [`track`](Self::track): a *track*; the grammar of ISO/IEC 7813 and the account number's check digit hold too. Only this is a card to pay with.
///
/// A level that was not reached says why.
#[derive(Clone, Debug)]
pub struct Reading {
    recovered: Recovered,
    level: Level,
}

/// The level that a reading reached.
#[derive(Clone, Debug)]
enum Level {
    Bits(FrameError),
    Framed(Framed, Direction, TrackError),
    Track(Framed, Direction, Track),
}

/// Why a reading is no track: the first level that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoTrack {
    /// The bits are no frame; [`Recovered::clock_loss`] may tell more.
    Frame(FrameError),
    /// The characters are no track.
    Track(TrackError),
}

impl Reading {
    /// Reads a whole waveform. The workspace takes its intervals and is wiped afterwards; [`WORKSPACE`](crate::f2f::WORKSPACE)
    /// words are enough for any card.
    ///
    /// # Errors
    /// [`SwipeError`] if there are no bits in it.
    ///
    /// ```
    /// use tr_track::f2f::{Motion, Recorder, Stripe, WORKSPACE};
    /// use tr_track::{Framed, Reading, TrackNumber};
    ///
    /// let bits = Framed::parse(";4111111111111111=29121010000000000000?").unwrap().to_bits();
    /// let stripe = Stripe::iso(&bits, TrackNumber::Two).unwrap();
    /// let motion = Motion::changing(150, 600).unwrap();
    /// let swipe: Vec<i16> = stripe.samples(motion, Recorder::new(48_000).unwrap()).collect();
    ///
    /// let mut workspace = [0; WORKSPACE];
    /// let reading = Reading::of_samples(&swipe, 48_000, &mut workspace).unwrap();
    /// assert_eq!(reading.track().unwrap().pan().to_string(), "411111******1111");
    /// assert_eq!(workspace, [0; WORKSPACE]);
    /// ```
    pub fn of_samples(samples: &[i16], rate: u32, workspace: &mut [u32]) -> Result<Self, SwipeError> {
        Self::of_intervals(&Intervals::of_samples(samples, rate, workspace)?)
    }

    /// Reads flux intervals, of any unit.
    ///
    /// # Errors
    /// [`SwipeError`] if there are no bits in them.
    pub fn of_intervals(intervals: &[u32]) -> Result<Self, SwipeError> {
        Ok(Self::judge(recover(intervals)?))
    }

    /// Judges bits that were recovered earlier.
    #[must_use]
    pub fn judge(recovered: Recovered) -> Self {
        let level = match Framed::find(recovered.bits()) {
            Err(error) => Level::Bits(error),
            Ok((framed, direction)) => match Track::from_framed(&framed) {
                Err(error) => Level::Framed(framed, direction, error),
                Ok(track) => Level::Track(framed, direction, track),
            },
        };
        Self { recovered, level }
    }

    /// The first level: bits and their confidence.
    #[must_use]
    pub const fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// The bits of the first level, in the order of the swipe.
    #[must_use]
    pub const fn bits(&self) -> &Bits {
        self.recovered.bits()
    }

    /// The second level: framed characters.
    ///
    /// # Errors
    /// Why the bits are no frame.
    pub const fn framed(&self) -> Result<&Framed, FrameError> {
        match &self.level {
            Level::Bits(error) => Err(*error),
            Level::Framed(framed, ..) | Level::Track(framed, ..) => Ok(framed),
        }
    }

    /// Which way the card went, if there is a frame to tell it by.
    #[must_use]
    pub const fn direction(&self) -> Option<Direction> {
        match &self.level {
            Level::Bits(_) => None,
            Level::Framed(_, direction, _) | Level::Track(_, direction, _) => Some(*direction),
        }
    }

    /// The third level: a track.
    ///
    /// # Errors
    /// The first level that failed, and why.
    pub const fn track(&self) -> Result<&Track, NoTrack> {
        match &self.level {
            Level::Bits(error) => Err(NoTrack::Frame(*error)),
            Level::Framed(_, _, error) => Err(NoTrack::Track(*error)),
            Level::Track(_, _, track) => Ok(track),
        }
    }
}

impl fmt::Display for NoTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => write!(f, "no frame: {error}"),
            Self::Track(error) => write!(f, "no track: {error}"),
        }
    }
}

impl core::error::Error for NoTrack {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(match self {
            Self::Frame(error) => error,
            Self::Track(error) => error,
        })
    }
}
