//! From intervals to bits: a clock that follows the card's speed tells whole cells (0) from halves (two of them are a 1).

use core::fmt;

use super::{SwipeError, SwipeErrorKind};
use crate::{Bits, MAX_BITS};

/// Clocking zeros that must agree before a run of bits begins.
const SYNC: usize = 4;

/// The fewest bits of a run, its clocking zeros included: less than any frame.
const LEAST_BITS: usize = 16;

/// The most clocking zeros that a run keeps before its first one bit.
const MOST_LEADING: usize = 256;

/// Ratios of an interval to its cell are in 1/4096.
const ONE: u64 = 4096;

/// What an F2F stripe says, be it an ISO card or not: bits and how sure they are. No character or check has been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    bits: Bits,
    confidence: Confidence,
    first: usize,
    end: usize,
    lost: Option<ClockLoss>,
}

/// How far the intervals of a run stay from where one bit would become the other, in per cent.
///
/// 100 is the very length that a clean stripe gives, 0 is the threshold. It says how clean the waveform was, not how probable the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Confidence {
    worst: u8,
    mean: u8,
}

/// Where the clock was lost: a run of bits ended before the intervals did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockLoss {
    /// The interval that fits neither a zero nor half of a one.
    pub interval: usize,
    /// Its length in nanoseconds.
    pub found: u32,
    /// The cell that was expected, in nanoseconds.
    pub cell: u32,
}

/// Follows the clock through intervals (of any unit) and returns the longest run of bits, counted without its clocking zeros.
///
/// Speed and its changes within the swipe do not matter, nor does the direction: the bits come in the order of the swipe.
///
/// # Errors
/// [`SwipeErrorKind::NoClock`] if no run has 16 bits, [`SwipeErrorKind::Blank`] if the longest has no one.
///
/// ```
/// // Eight clocking zeros, then 1 0 1, then zeros, at a cell of 1000 ns that shrinks as the card gets faster.
/// let cells = [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0];
/// let mut intervals = Vec::new();
/// for (index, bit) in cells.into_iter().enumerate() {
///     let cell = 1000 - 20 * index as u32;
///     if bit == 1 { intervals.extend([cell / 2, cell / 2]) } else { intervals.push(cell) }
/// }
/// let recovered = tr_track::recover(&intervals).unwrap();
/// assert_eq!(recovered.bits().trimmed().expose_binary().to_string(), "101");
/// assert!(recovered.confidence().worst() > 75);
/// ```
pub fn recover(intervals: &[u32]) -> Result<Recovered, SwipeError> {
    let mut best: Option<(usize, Recovered)> = None;
    // A row of ones looks like clocking zeros of half the cell, so a run without a one may be walked over again from behind.
    let (mut from, mut taken) = (0, 0);
    while let Some((start, cell)) = synchronise(intervals, from) {
        let run = run_around(intervals, taken, start, cell);
        from = run.end.max(start + 1);
        if run.bits.first_one().is_some() {
            taken = from;
        }
        let length = match (run.bits.first_one(), run.bits.last_one()) {
            (Some(first), Some(last)) => MAX_BITS + last - first,
            _ => run.bits.len(),
        };
        if best.as_ref().is_none_or(|(longest, _)| length > *longest) {
            best = Some((length, run));
        }
    }
    let (longest, at) = best.as_ref().map_or((0, 0), |(_, run)| (run.bits.len(), run.first));
    match best {
        Some((_, run)) if longest >= LEAST_BITS => {
            if run.bits.first_one().is_some() {
                Ok(run)
            } else {
                Err(SwipeError::new(SwipeErrorKind::Blank { zeros: longest }, at))
            }
        }
        _ => {
            let intervals = intervals.len();
            Err(SwipeError::new(SwipeErrorKind::NoClock { intervals, longest }, at))
        }
    }
}

impl Recovered {
    /// The bits in the order of the swipe, with the clocking zeros around them (at most 256 before the first one bit).
    #[must_use]
    pub const fn bits(&self) -> &Bits {
        &self.bits
    }

    /// How sure they are.
    #[must_use]
    pub const fn confidence(&self) -> Confidence {
        self.confidence
    }

    /// The intervals that they were read from: first, and one past the last.
    #[must_use]
    pub const fn intervals(&self) -> (usize, usize) {
        (self.first, self.end)
    }

    /// Why the run ended, unless it reached the last interval.
    #[must_use]
    pub const fn clock_loss(&self) -> Option<ClockLoss> {
        self.lost
    }
}

impl Confidence {
    /// The least certain bit's distance, in per cent.
    #[must_use]
    pub const fn worst(self) -> u8 {
        self.worst
    }

    /// The mean distance, in per cent.
    #[must_use]
    pub const fn mean(self) -> u8 {
        self.mean
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} % (least certain bit {} %)", self.mean, self.worst)
    }
}

impl fmt::Display for ClockLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "clock lost at interval {}: {} ns is neither a cell of {} ns nor half of one",
            self.interval, self.found, self.cell
        )
    }
}

/// The first place from `from` on where [`SYNC`] intervals agree within an eighth of their mean, and that mean.
fn synchronise(intervals: &[u32], from: usize) -> Option<(usize, u64)> {
    let windows = intervals.get(from..)?.windows(SYNC).enumerate();
    for (index, window) in windows {
        let sum: u64 = window.iter().map(|&interval| u64::from(interval)).sum();
        let mean = sum / SYNC as u64;
        let agrees = |&interval: &u32| u64::from(interval).abs_diff(mean) * 8 <= mean;
        if mean > 0 && window.iter().all(agrees) {
            return Some((from + index, mean));
        }
    }
    None
}

/// The run of bits around a synchronised place: back from it to where the clock began, then forward from there to its end.
fn run_around(intervals: &[u32], taken: usize, start: usize, cell: u64) -> Recovered {
    let behind = |index: usize| {
        start
            .checked_sub(index + 1)
            .filter(|&at| at >= taken)
            .map(|at| intervals[at])
    };
    let back = Walk::follow(behind, cell, Way::Back);
    let first = start - back.at;
    let walk = Walk::follow(|index| intervals.get(first + index).copied(), back.cell, Way::On);
    let lost = walk.lost.map(|(index, found)| ClockLoss {
        interval: first + index,
        found,
        cell: u32::try_from(walk.cell).unwrap_or(u32::MAX),
    });
    let percent = |value: u64| u8::try_from(value).unwrap_or(100);
    Recovered {
        confidence: Confidence {
            worst: percent(walk.worst),
            mean: percent(walk.sum / u64::max(walk.count, 1)),
        },
        first,
        end: first + walk.at,
        bits: walk.bits,
        lost,
    }
}

/// A clock on its way through intervals.
#[derive(Clone)]
struct Walk {
    bits: Bits,
    /// Intervals taken.
    at: usize,
    cell: u64,
    /// Zeros before the first one, at most [`MOST_LEADING`]; above it once there was a one.
    zeros: usize,
    worst: u64,
    sum: u64,
    count: u64,
    lost: Option<(usize, u32)>,
}

impl Walk {
    /// Reads bits until the clock is lost, the intervals end or no more bits fit. One interval out of place is bridged if the
    /// clock holds for [`SYNC`] cells after it: a stripe's splice or scratch, which costs confidence.
    fn follow(interval: impl Fn(usize) -> Option<u32>, cell: u64, way: Way) -> Self {
        let mut walk = Self {
            bits: Bits::new(),
            at: 0,
            cell,
            zeros: 0,
            worst: 100,
            sum: 0,
            count: 0,
            lost: None,
        };
        let mut bridge: Option<(Self, usize)> = None;
        while let Some(now) = interval(walk.at) {
            let next = interval(walk.at + 1);
            let held = bridge.take_if(|(_, cells)| *cells == SYNC);
            drop(held);
            let decision = match decide(now, next, walk.cell).filter(|_| way.allows(next, walk.cell)) {
                Some(decision) => Some(decision),
                None if bridge.is_none() => {
                    let mut before = walk.clone();
                    before.lost = Some((walk.at, now));
                    bridge = Some((before, 0));
                    bridged(now, next, walk.cell, way)
                }
                None => None,
            };
            let Some((bit, length, margin)) = decision else {
                walk.lost = Some((walk.at, now));
                break;
            };
            if !walk.take(bit, length, margin) {
                break;
            }
            if let Some((_, cells)) = &mut bridge {
                *cells += usize::from(margin > 0);
            }
        }
        match bridge {
            Some((before, cells)) if cells < SYNC => before,
            _ => walk,
        }
    }

    /// Takes one bit; tells whether it fitted.
    fn take(&mut self, bit: bool, length: u64, margin: u64) -> bool {
        if !bit && self.zeros == MOST_LEADING {
            // One more clocking zero says nothing new.
        } else if self.bits.push(bit).is_err() {
            return false;
        } else if bit {
            self.zeros = MOST_LEADING + 1;
        } else if self.zeros < MOST_LEADING {
            self.zeros += 1;
        }
        self.worst = self.worst.min(margin);
        self.sum += margin;
        self.count += 1;
        self.at += if bit { 2 } else { 1 };
        self.cell = (self.cell + length).div_ceil(2).max(1);
        true
    }
}

/// The bit that begins with `interval`, its whole length, and its margin in per cent; `None` if it fits neither.
fn decide(interval: u32, next: Option<u32>, cell: u64) -> Option<(bool, u64, u64)> {
    let ratio = |interval: u32| u64::from(interval) * ONE / cell;
    let first = ratio(interval);
    let threshold = ONE * 3 / 4;
    if first >= threshold {
        let limit = ONE * 3 / 2;
        return (first < limit).then(|| {
            let margin = (first - threshold).min(limit - first);
            (false, u64::from(interval), per_cent(margin))
        });
    }
    let second = ratio(next?);
    let both = first + second;
    if second >= ONE * 7 / 8 || !(ONE * 5 / 8..ONE * 3 / 2).contains(&both) {
        return None;
    }
    let length = u64::from(interval) + u64::from(next?);
    let low = first.min(second).saturating_sub(ONE / 4);
    let high = threshold.saturating_sub(first.max(second));
    Some((true, length, per_cent(low.min(high))))
}

/// What an interval out of place most likely is, at no margin: a zero up to two and a half cells long, or a one whose halves
/// differ much. The clock goes on as it was.
fn bridged(interval: u32, next: Option<u32>, cell: u64, way: Way) -> Option<(bool, u64, u64)> {
    let (first, both) = (u64::from(interval), u64::from(interval) + u64::from(next?));
    let one = both * 2 < cell * 3 && both * 8 >= cell * 5;
    if first * 4 < cell * 3 || !way.allows(next, cell) {
        one.then_some((true, cell, 0))
    } else {
        (first * 2 < cell * 5).then_some((false, cell, 0))
    }
}

/// The way a walk takes through the intervals.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    On,
    Back,
}

impl Way {
    /// A splinter belongs to the interval after it in time, so on the way back it must not be left over behind a whole cell.
    fn allows(self, next: Option<u32>, cell: u64) -> bool {
        self == Self::On || next.is_none_or(|next| u64::from(next) * 4 >= cell)
    }
}

/// A margin of a quarter cell is 100 per cent.
fn per_cent(margin: u64) -> u64 {
    (margin * 400 / ONE).min(100)
}
