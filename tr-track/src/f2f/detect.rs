//! From samples to flux intervals: every pulse of a read head is an extreme of the waveform, positive and negative in turn.

use core::fmt;
use core::ops::Deref;

use zeroize::Zeroize;

use super::{MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, SwipeError, SwipeErrorKind};

/// Positions are in 1/256 of a sample.
const FRACTION: i64 = 256;

/// A whole waveform's floor is this part of its span: a card that moves six times slower at one end gives pulses six times
/// smaller there.
const FLOOR_PART: u32 = 16;

/// The smallest floor that [`Intervals::of_samples`] sets, so that a converter's own noise is no swipe.
const LEAST_FLOOR: u32 = 64;

/// How many of the last intervals without a transition halve the threshold, so that one loud click does not deafen.
const PATIENCE: usize = 4;

/// Finds the transitions of one swipe, streaming: the result does not depend on how the samples are cut into pieces.
///
/// A transition is the extreme between two swings larger than a threshold, which follows the swings themselves; a flat (clipped)
/// extreme counts at its middle. Neither polarity nor a constant offset matters. The workspace is wiped if the detector is dropped.
pub struct Detector<'w> {
    workspace: &'w mut [u32],
    used: usize,
    rate: u32,
    floor: i32,
    threshold: i32,
    /// Samples seen.
    seen: usize,
    /// `Some(true)` while a maximum is looked for, `None` until there was a swing.
    rising: Option<bool>,
    /// The extreme looked for, turned so that it is a maximum.
    peak: Peak,
    /// Before the first swing: the minimum, turned likewise.
    opposite: Peak,
    /// The last sample as it came.
    last: i32,
    /// Level (as it came) and place of the last transition.
    previous: Option<(i32, i64)>,
    /// Samples between the last two transitions.
    wait: usize,
    /// The sample at which patience ends.
    deadline: usize,
    largest_swing: (u32, usize),
    overflow: Option<usize>,
}

/// An extreme and what is needed to place it between samples.
#[derive(Clone, Copy)]
struct Peak {
    level: i32,
    first: usize,
    end: usize,
    before: i32,
    after: Option<i32>,
}

impl<'w> Detector<'w> {
    /// Begins a swipe sampled at `rate` Hz. A swing of less than `floor` steps (of 65536) is noise.
    ///
    /// # Errors
    /// [`SwipeErrorKind::SampleRate`].
    pub fn new(rate: u32, floor: u16, workspace: &'w mut [u32]) -> Result<Self, SwipeError> {
        if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&rate) {
            return Err(SwipeError::new(SwipeErrorKind::SampleRate { found: rate }, 0));
        }
        let floor = i32::from(floor).max(1);
        Ok(Self {
            workspace,
            used: 0,
            rate,
            floor,
            threshold: floor,
            seen: 0,
            rising: None,
            peak: Peak::at(0, 0, 0),
            opposite: Peak::at(0, 0, 0),
            last: 0,
            previous: None,
            wait: 0,
            deadline: usize::MAX,
            largest_swing: (0, 0),
            overflow: None,
        })
    }

    /// Takes the next samples.
    pub fn push(&mut self, mut samples: &[i16]) {
        while let Some((&first, rest)) = samples.split_first() {
            match self.rising {
                None => {
                    self.begin(i32::from(first));
                    samples = rest;
                }
                Some(rising) => {
                    let until = samples.len().min(self.deadline.saturating_sub(self.seen).max(1));
                    let (now, later) = samples.split_at(until);
                    let done = if rising {
                        self.climb::<1>(now)
                    } else {
                        self.climb::<-1>(now)
                    };
                    if done == until && self.seen >= self.deadline {
                        self.threshold = (self.threshold / 2).max(self.floor);
                        self.deadline = self.seen.saturating_add(self.wait);
                    }
                    samples = if done == until { later } else { &samples[done..] };
                }
            }
        }
    }

    /// How many intervals there are so far.
    #[must_use]
    pub const fn found(&self) -> usize {
        self.used
    }

    /// Nanoseconds since the last transition: a reader takes a swipe for over when this exceeds some tenth of a second.
    #[must_use]
    pub fn quiet(&self) -> u64 {
        let since = self.previous.map_or(0, |(_, at)| at);
        let now = (self.seen as i64).saturating_mul(FRACTION);
        nanoseconds(now.saturating_sub(since), self.rate)
    }

    /// Ends the swipe.
    ///
    /// # Errors
    /// [`SwipeErrorKind::Silence`] if there are no two transitions, [`SwipeErrorKind::WorkspaceFull`].
    pub fn finish(mut self) -> Result<Intervals<'w>, SwipeError> {
        if let Some(at) = self.overflow {
            let capacity = self.workspace.len();
            return Err(SwipeError::new(SwipeErrorKind::WorkspaceFull { capacity }, at));
        }
        if self.used == 0 {
            let (swing, at) = self.largest_swing;
            let floor = self.floor.unsigned_abs();
            return Err(SwipeError::new(SwipeErrorKind::Silence { swing, floor }, at));
        }
        let workspace = core::mem::take(&mut self.workspace);
        let used = core::mem::take(&mut self.used);
        Ok(Intervals::taking(workspace, used))
    }

    /// Before the first swing: follows both extremes until one of them is left behind.
    fn begin(&mut self, sample: i32) {
        let at = self.seen;
        self.seen += 1;
        if at == 0 {
            self.last = sample;
            self.peak = Peak::at(sample, 0, sample);
            self.opposite = Peak::at(-sample, 0, -sample);
        }
        self.peak.follow(sample, at, self.last);
        self.opposite.follow(-sample, at, -self.last);
        self.last = sample;
        let swing = self.peak.level + self.opposite.level;
        self.note_swing(swing, at);
        if swing > self.threshold {
            if self.peak.first > self.opposite.first {
                core::mem::swap(&mut self.peak, &mut self.opposite);
                self.accept::<-1>(sample);
            } else {
                self.accept::<1>(sample);
            }
        }
    }

    /// Follows the waveform (times `SIGN`) over its next maximum; returns how many samples it took, all unless it found one.
    fn climb<const SIGN: i32>(&mut self, samples: &[i16]) -> usize {
        let mut peak = self.peak;
        let mut last = SIGN * self.last;
        let start = self.seen;
        for (index, &sample) in samples.iter().enumerate() {
            let sample = SIGN * i32::from(sample);
            if sample >= peak.level {
                peak.follow(sample, start + index, last);
            } else {
                if peak.after.is_none() {
                    peak.after = Some(sample);
                }
                if peak.level - sample > self.threshold {
                    self.peak = peak;
                    self.seen = start + index + 1;
                    self.last = SIGN * sample;
                    self.accept::<SIGN>(SIGN * sample);
                    return index + 1;
                }
            }
            last = sample;
        }
        self.peak = peak;
        self.seen = start + samples.len();
        self.last = SIGN * last;
        samples.len()
    }

    /// Writes down the extreme just passed and looks for the opposite one, which so far is at `sample`.
    fn accept<const SIGN: i32>(&mut self, sample: i32) {
        let at = self.peak.place();
        let level = SIGN * self.peak.level;
        if let Some((before, previous)) = self.previous {
            let swing = (level - before).abs();
            self.note_swing(swing, self.seen);
            self.threshold = (swing / 8 * 3).max(self.floor);
            let length = at.saturating_sub(previous);
            self.wait = usize::try_from(length / FRACTION + 1)
                .unwrap_or(1)
                .max(4)
                .saturating_mul(PATIENCE);
            match self.workspace.get_mut(self.used) {
                Some(place) => {
                    *place = u32::try_from(nanoseconds(length, self.rate)).unwrap_or(u32::MAX);
                    self.used += 1;
                }
                None => self.overflow = self.overflow.or(Some(self.seen)),
            }
        } else {
            self.wait = self.rate as usize / 100;
        }
        self.previous = Some((level, at));
        self.deadline = self.seen.saturating_add(self.wait);
        self.rising = Some(SIGN < 0);
        self.peak = Peak::at(-SIGN * sample, self.seen.saturating_sub(1), -SIGN * sample);
    }

    fn note_swing(&mut self, swing: i32, at: usize) {
        if swing.unsigned_abs() > self.largest_swing.0 {
            self.largest_swing = (swing.unsigned_abs(), at);
        }
    }
}

impl Peak {
    const fn at(level: i32, at: usize, before: i32) -> Self {
        Self {
            level,
            first: at,
            end: at,
            before,
            after: None,
        }
    }

    fn follow(&mut self, sample: i32, at: usize, last: i32) {
        if sample > self.level {
            *self = Self::at(sample, at, last);
        } else if sample == self.level {
            self.end = at;
            self.after = None;
        } else if self.after.is_none() {
            self.after = Some(sample);
        }
    }

    /// Where the extreme lies, in 1/256 sample: the top of the parabola through three samples, or the middle of a flat top.
    fn place(&self) -> i64 {
        let (first, end) = (self.first as i64, self.end as i64);
        let middle = (first + end) * (FRACTION / 2);
        match self.after {
            Some(after) if first == end => {
                let (left, right) = (i64::from(self.level - self.before), i64::from(self.level - after));
                let curve = left + right;
                // Below a curve of 1 there is no parabola; a corner at the start of the search has no true left side.
                if curve > 0 && left > 0 {
                    middle + (left - right) * (FRACTION / 2) / curve
                } else {
                    middle
                }
            }
            _ => middle,
        }
    }
}

/// The nanoseconds of a length in 1/256 samples; negative lengths, which noise around a corner can give, are 0.
fn nanoseconds(length: i64, rate: u32) -> u64 {
    let length = u64::try_from(length).unwrap_or(0);
    length.saturating_mul(1_000_000_000) / (u64::from(rate) * FRACTION as u64)
}

impl Drop for Detector<'_> {
    fn drop(&mut self) {
        let used = self.used.min(self.workspace.len());
        self.workspace[..used].zeroize();
    }
}

impl fmt::Debug for Detector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detector")
            .field("rate", &self.rate)
            .field("seen", &self.seen)
            .field("found", &self.used)
            .finish_non_exhaustive()
    }
}

/// The intervals of one swipe, in nanoseconds, in the caller's workspace. They are card data: wiped on drop, hidden in `Debug`.
pub struct Intervals<'w>(&'w mut [u32]);

impl<'w> Intervals<'w> {
    /// Finds the transitions of a whole waveform. The floor is a sixteenth of its span, so quiet recordings need no tuning.
    ///
    /// # Errors
    /// [`SwipeError`]: the sample rate, silence, or a full workspace.
    pub fn of_samples(samples: &[i16], rate: u32, workspace: &'w mut [u32]) -> Result<Self, SwipeError> {
        let lowest = samples.iter().copied().min().unwrap_or(0);
        let highest = samples.iter().copied().max().unwrap_or(0);
        let span = (i32::from(highest) - i32::from(lowest)).unsigned_abs();
        let floor = u16::try_from((span / FLOOR_PART).max(LEAST_FLOOR)).unwrap_or(u16::MAX);
        let mut detector = Detector::new(rate, floor, workspace)?;
        detector.push(samples);
        detector.finish()
    }

    /// Writes intervals from another source into the workspace: a flux file's, an encoder's, a capture timer's.
    ///
    /// # Errors
    /// The first error of the source, or [`SwipeErrorKind::WorkspaceFull`] or [`SwipeErrorKind::Silence`] turned into its type.
    pub fn collect<E: From<SwipeError>>(
        source: impl IntoIterator<Item = Result<u32, E>>,
        workspace: &'w mut [u32],
    ) -> Result<Self, E> {
        let mut used = 0;
        let mut out = Self(workspace);
        for interval in source {
            let interval = interval?;
            let capacity = out.0.len();
            let full = SwipeError::new(SwipeErrorKind::WorkspaceFull { capacity }, used);
            *out.0.get_mut(used).ok_or(full)? = interval;
            used += 1;
        }
        let workspace = core::mem::take(&mut out.0);
        Ok(Self::taking(workspace, used))
    }

    fn taking(workspace: &'w mut [u32], used: usize) -> Self {
        let used = used.min(workspace.len());
        Self(&mut workspace[..used])
    }
}

impl Deref for Intervals<'_> {
    type Target = [u32];
    fn deref(&self) -> &[u32] {
        self.0
    }
}

impl Drop for Intervals<'_> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Intervals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Intervals({})", self.0.len())
    }
}
