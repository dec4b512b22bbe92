//! From bits to flux intervals to samples: what a head hears when a clean card is drawn past it.

use core::fmt;

use super::{MAX_SAMPLE_RATE, MIN_SAMPLE_RATE};
use crate::{Bits, Direction, TrackNumber};

/// The stripe's length that cells are written on, in nanometres: an ID-1 card (85.6 mm) less 0.5 mm at either end.
const STRIPE_NM: u64 = 84_600_000;
/// Where the start sentinel begins, in nanometres from the card's edge (ISO/IEC 7811-2 and 7811-6: 7.44 mm).
const LEAD_NM: u64 = 7_440_000;
const INCH_NM: u64 = 25_400_000;
/// Half the width, at half its height, of the pulse that one transition gives: a head gap and a stripe of some micrometres, worn.
const HALF_WIDTH_NM: u64 = 25_000;
/// Silence before and after the card.
const MARGIN_NS: u64 = 30_000_000;
/// Slowest and fastest speed, in mm/s.
const SPEEDS: core::ops::RangeInclusive<u32> = 10..=20_000;
/// Pulses that can overlap in one sample.
const OVERLAP: usize = 32;

/// A track as it lies on the card: clocking zeros, bits, clocking zeros.
#[derive(Clone, Debug)]
pub struct Stripe<'b> {
    bits: &'b Bits,
    bits_per_inch: u32,
    leading: usize,
    trailing: usize,
}

/// How a card moves: its speed changes evenly with the way from `start` to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Motion {
    start: u32,
    end: u32,
    direction: Direction,
}

/// How a swipe is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorder {
    rate: u32,
    peak: u16,
    polarity: Polarity,
}

/// The sign of the first pulse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Polarity {
    /// The first pulse goes up.
    #[default]
    Normal,
    /// The first pulse goes down, as with swapped wires.
    Inverted,
}

/// A stripe, motion or recording that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StripeError {
    /// The bits do not fit a card.
    TooLong {
        /// Cells needed, leading zeros included.
        cells: usize,
        /// Cells there are.
        limit: usize,
    },
    /// A density of no bits per inch.
    Density,
    /// A speed outside 10 to 20 000 mm/s.
    Speed {
        /// The speed given, in mm/s.
        found: u32,
    },
    /// A sample rate outside [`MIN_SAMPLE_RATE`] to [`MAX_SAMPLE_RATE`].
    SampleRate {
        /// The rate given, in Hz.
        found: u32,
    },
    /// A peak of 0 or above 32767.
    Peak {
        /// The peak given.
        found: u16,
    },
}

impl<'b> Stripe<'b> {
    /// Lays the bits of a frame on a card as ISO/IEC 7811 does: the first bit 7.44 mm from the edge, zeros before and after it.
    ///
    /// # Errors
    /// [`StripeError::TooLong`].
    pub fn iso(bits: &'b Bits, track: TrackNumber) -> Result<Self, StripeError> {
        let density = u64::from(track.bits_per_inch());
        let cells = |length: u64| usize::try_from(length * density / INCH_NM).unwrap_or(0);
        let (leading, limit) = (cells(LEAD_NM), cells(STRIPE_NM));
        let used = leading + bits.len();
        let trailing = limit.checked_sub(used);
        let trailing = trailing.ok_or(StripeError::TooLong { cells: used, limit })?;
        Self::new(bits, track.bits_per_inch(), leading, trailing)
    }

    /// Lays bits on a stripe of any length.
    ///
    /// # Errors
    /// [`StripeError::Density`] if it is 0.
    pub const fn new(bits: &'b Bits, bits_per_inch: u32, leading: usize, trailing: usize) -> Result<Self, StripeError> {
        if bits_per_inch == 0 {
            return Err(StripeError::Density);
        }
        Ok(Self {
            bits,
            bits_per_inch,
            leading,
            trailing,
        })
    }

    /// The times between flux transitions, in nanoseconds, when the card moves so.
    #[must_use]
    pub fn intervals(&self, motion: Motion) -> FluxIntervals<'b> {
        FluxIntervals {
            stripe: self.clone(),
            motion,
            cell: 0,
            second_half: false,
            speed: motion.start,
        }
    }

    /// The samples of a whole swipe: 30 ms of silence, the card, 30 ms of silence.
    #[must_use]
    pub fn samples(&self, motion: Motion, recorder: Recorder) -> Samples<'b> {
        Samples {
            flux: Some(self.intervals(motion)),
            recorder,
            fastest: motion.start.max(motion.end),
            next: Pulse::new(MARGIN_NS, motion.start, motion.start.max(motion.end), &recorder),
            pulses: [Pulse::NONE; OVERLAP],
            oldest: 0,
            count: 0,
            sign: match recorder.polarity {
                Polarity::Normal => 1.0,
                Polarity::Inverted => -1.0,
            },
            sample: 0,
            end: u64::MAX,
        }
    }

    fn cells(&self) -> usize {
        self.leading
            .saturating_add(self.bits.len())
            .saturating_add(self.trailing)
    }

    /// The bit of a cell, counted from the card's front edge.
    fn bit(&self, cell: usize) -> bool {
        let index = cell.checked_sub(self.leading);
        index.and_then(|index| self.bits.get(index)).unwrap_or(false)
    }
}

impl Motion {
    /// The same speed, in mm/s, all the way.
    ///
    /// # Errors
    /// [`StripeError::Speed`].
    pub fn steady(speed: u32) -> Result<Self, StripeError> {
        Self::changing(speed, speed)
    }

    /// From one speed to another, in mm/s.
    ///
    /// # Errors
    /// [`StripeError::Speed`].
    pub fn changing(start: u32, end: u32) -> Result<Self, StripeError> {
        for found in [start, end] {
            if !SPEEDS.contains(&found) {
                return Err(StripeError::Speed { found });
            }
        }
        Ok(Self {
            start,
            end,
            direction: Direction::Forward,
        })
    }

    /// The same with the card drawn the other way: its end comes first, at the start's speed.
    #[must_use]
    pub const fn towards(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// The speed at `done` of `whole`, in mm/s.
    fn speed(self, done: u64, whole: u64) -> u32 {
        let part = |speed: u32, weight: u64| u64::from(speed) * weight;
        let sum = part(self.start, whole.saturating_sub(done)) + part(self.end, done);
        u32::try_from(sum / whole.max(1)).unwrap_or(u32::MAX).max(1)
    }
}

impl Recorder {
    /// Records at `rate` Hz, the first pulse up, the largest pulses at half of full scale.
    ///
    /// # Errors
    /// [`StripeError::SampleRate`].
    pub fn new(rate: u32) -> Result<Self, StripeError> {
        if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&rate) {
            return Err(StripeError::SampleRate { found: rate });
        }
        Ok(Self {
            rate,
            peak: 16_384,
            polarity: Polarity::Normal,
        })
    }

    /// The same with other wires.
    #[must_use]
    pub const fn polarity(mut self, polarity: Polarity) -> Self {
        self.polarity = polarity;
        self
    }

    /// The same with the largest pulses at `peak`, 1 to 32767.
    ///
    /// # Errors
    /// [`StripeError::Peak`].
    pub const fn peak(mut self, peak: u16) -> Result<Self, StripeError> {
        if peak == 0 || peak > 32_767 {
            return Err(StripeError::Peak { found: peak });
        }
        self.peak = peak;
        Ok(self)
    }
}

/// The intervals between a stripe's flux transitions, in nanoseconds.
#[derive(Clone, Debug)]
pub struct FluxIntervals<'b> {
    stripe: Stripe<'b>,
    motion: Motion,
    cell: usize,
    second_half: bool,
    /// In the middle of the last interval, in mm/s.
    speed: u32,
}

impl FluxIntervals<'_> {
    /// A place on the way, in nanometres, from half cells.
    fn place(&self, halves: usize) -> u64 {
        halves as u64 * INCH_NM / (2 * u64::from(self.stripe.bits_per_inch))
    }
}

impl Iterator for FluxIntervals<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let cells = self.stripe.cells();
        if self.cell >= cells {
            return None;
        }
        let from_edge = match self.motion.direction {
            Direction::Forward => self.cell,
            Direction::Reverse => cells - 1 - self.cell,
        };
        let start = 2 * self.cell + usize::from(self.second_half);
        let end = if self.stripe.bit(from_edge) && !self.second_half {
            self.second_half = true;
            start + 1
        } else {
            self.second_half = false;
            self.cell += 1;
            2 * self.cell
        };
        let (start, end) = (self.place(start), self.place(end));
        self.speed = self.motion.speed((start + end) / 2, self.place(2 * cells));
        // A nanometre at 1 mm/s takes 1000 ns.
        u32::try_from((end - start) * 1000 / u64::from(self.speed)).ok()
    }
}

/// The samples of a swipe, one by one or into a buffer. Every transition gives a Lorentz pulse as wide as the head sees it, as high as
/// the card is fast, up and down in turn.
#[derive(Clone, Debug)]
pub struct Samples<'b> {
    flux: Option<FluxIntervals<'b>>,
    recorder: Recorder,
    fastest: u32,
    next: Pulse,
    /// The pulses in reach, a ring.
    pulses: [Pulse; OVERLAP],
    oldest: usize,
    count: usize,
    sign: f32,
    sample: u64,
    /// When the last silence ends, in nanoseconds.
    end: u64,
}

#[derive(Clone, Copy, Debug)]
struct Pulse {
    /// Nanoseconds from the first sample.
    centre: u64,
    half_width: f32,
    height: f32,
    reach: u64,
}

impl Pulse {
    const NONE: Self = Self {
        centre: 0,
        half_width: 1.0,
        height: 0.0,
        reach: 0,
    };

    fn new(centre: u64, speed: u32, fastest: u32, recorder: &Recorder) -> Self {
        // No pulse is narrower than the converter's filter lets through: 0.8 samples.
        let narrowest = 800_000_000 / u64::from(recorder.rate);
        let half_width = (HALF_WIDTH_NM * 1000 / u64::from(speed)).max(narrowest);
        Self {
            centre,
            half_width: half_width as f32,
            height: f32::from(recorder.peak) * speed as f32 / fastest as f32,
            reach: 12 * half_width,
        }
    }

    fn at(&self, now: u64) -> f32 {
        let distance = now.abs_diff(self.centre) as f32 / self.half_width;
        self.height / (1.0 + distance * distance)
    }
}

impl Samples<'_> {
    /// Fills the buffer and returns how many samples there were; fewer than its length at the end of the swipe.
    pub fn fill(&mut self, buffer: &mut [i16]) -> usize {
        let mut written = 0;
        for (place, sample) in buffer.iter_mut().zip(self) {
            *place = sample;
            written += 1;
        }
        written
    }

    /// Takes up the pulses that come into reach and forgets those that are out of it.
    fn advance(&mut self, now: u64) {
        while self.flux.is_some() && now.saturating_add(self.next.reach) >= self.next.centre {
            if self.count == OVERLAP {
                self.oldest += 1;
                self.count -= 1;
            }
            let mut pulse = self.next;
            pulse.height *= self.sign;
            self.sign = -self.sign;
            self.pulses[(self.oldest + self.count) % OVERLAP] = pulse;
            self.count += 1;
            let interval = self
                .flux
                .as_mut()
                .and_then(|flux| flux.next().map(|length| (length, flux.speed)));
            match interval {
                Some((length, speed)) => {
                    let centre = self.next.centre + u64::from(length);
                    self.next = Pulse::new(centre, speed, self.fastest, &self.recorder);
                }
                None => {
                    self.flux = None;
                    self.end = self.next.centre + MARGIN_NS;
                }
            }
        }
        while self.count > 0 {
            let first = &self.pulses[self.oldest % OVERLAP];
            if first.centre.saturating_add(first.reach) >= now {
                break;
            }
            self.oldest += 1;
            self.count -= 1;
        }
    }
}

impl Iterator for Samples<'_> {
    type Item = i16;

    fn next(&mut self) -> Option<i16> {
        let now = self.sample * 1_000_000_000 / u64::from(self.recorder.rate);
        if now >= self.end {
            return None;
        }
        self.advance(now);
        let reach = self.oldest..self.oldest + self.count;
        let sum: f32 = reach.map(|index| self.pulses[index % OVERLAP].at(now)).sum();
        self.sample += 1;
        // The cast saturates at full scale, as a converter does.
        Some((if sum < 0.0 { sum - 0.5 } else { sum + 0.5 }) as i16)
    }
}

impl fmt::Display for StripeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { cells, limit } => write!(f, "{cells} cells, the card has {limit}"),
            Self::Density => f.write_str("a density of 0 bits per inch"),
            Self::Speed { found } => {
                let (slowest, fastest) = (SPEEDS.start(), SPEEDS.end());
                write!(f, "a speed of {found} mm/s, not {slowest} to {fastest} mm/s")
            }
            Self::SampleRate { found } => write!(
                f,
                "sample rate {found} Hz, not {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
            ),
            Self::Peak { found } => write!(f, "a peak of {found}, not 1 to 32767"),
        }
    }
}

impl core::error::Error for StripeError {}
