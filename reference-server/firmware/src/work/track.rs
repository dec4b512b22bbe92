//! `tr-track`: a card is written as a swipe's samples, and read from them.

use tr_track::f2f::{Detector, Motion, Recorder, Stripe, WORKSPACE, recover};
use tr_track::{Direction, Framed, Track, TrackNumber};

use super::{Outcome, check};

/// The workspace of a reader: the intervals between the transitions of one swipe.
pub type Workspace = [u32; WORKSPACE];

/// The rate of the reader, Hz.
const RATE: u32 = 48_000;
/// The least swing that is a pulse, of 65536.
const FLOOR: u16 = 500;

/// Draws `text` past a head at `speed` mm/s and reads what the head hears.
///
/// # Errors
/// When it does not read as the track that was written.
pub fn swipe(text: &str, direction: Direction, speed: u32, workspace: &mut Workspace) -> Outcome {
    let track = Track::parse(text)?;
    let bits = track.to_framed().to_bits();
    let motion = Motion::changing(speed, speed / 2)?.towards(direction);
    let samples = Stripe::iso(&bits, track.number())?.samples(motion, Recorder::new(RATE)?);
    let read = read(samples, workspace)?;
    check(read == (track, direction))
}

/// Reads a track from samples, as they come.
///
/// # Errors
/// When they hold no track.
pub fn read(samples: impl Iterator<Item = i16>, workspace: &mut Workspace) -> Outcome<(Track, Direction)> {
    let mut detector = Detector::new(RATE, FLOOR, workspace)?;
    for sample in samples {
        detector.push(&[sample]);
    }
    let (framed, direction) = Framed::find(recover(&detector.finish()?)?.bits())?;
    Ok((Track::from_framed(&framed)?, direction))
}

/// A card whose check digit is wrong is no track.
///
/// # Errors
/// When it is taken for one.
pub fn refuses() -> Outcome {
    check(Track::parse(";9070001234567894=2912101123?").is_err() && TrackNumber::Two.max_characters() == 40)
}
