//! Swipes written by the crate and read back: any speed, change of speed, direction, polarity, rate and level.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use tr_track::f2f::{Motion, Polarity, Recorder, Samples, Stripe, StripeError, WORKSPACE};
use tr_track::{
    Bits, Detector, Direction, FrameErrorKind, Framed, NoTrack, Reading, SwipeErrorKind, Track, TrackNumber, recover,
};

const TRACK_1: &str = "%B4111111111111111^DOE/JANE^29121010000000000000?";
const TRACK_2: &str = ";4111111111111111=29121010000000000000?";

fn number(text: &str) -> TrackNumber {
    if text.starts_with('%') {
        TrackNumber::One
    } else {
        TrackNumber::Two
    }
}

fn swipe(text: &str, motion: Motion, recorder: Recorder) -> Vec<i16> {
    let bits = Framed::parse(text).unwrap().to_bits();
    let stripe = Stripe::iso(&bits, number(text)).unwrap();
    stripe.samples(motion, recorder).collect()
}

fn read(samples: &[i16], rate: u32) -> Reading {
    Reading::of_samples(samples, rate, &mut [0; WORKSPACE]).unwrap()
}

#[test]
fn both_tracks_read_at_every_usual_speed_and_rate() {
    for (text, speeds) in [(TRACK_1, [25, 50, 100, 250, 500]), (TRACK_2, [25, 100, 250, 500, 1500])] {
        for speed in speeds {
            for rate in [44_100, 48_000, 96_000, 192_000] {
                let recorder = Recorder::new(rate).unwrap();
                for direction in [Direction::Forward, Direction::Reverse] {
                    for polarity in [Polarity::Normal, Polarity::Inverted] {
                        let motion = Motion::steady(speed).unwrap().towards(direction);
                        let reading = read(&swipe(text, motion, recorder.polarity(polarity)), rate);
                        let track = reading
                            .track()
                            .unwrap_or_else(|error| panic!("{speed} mm/s, {rate} Hz: {error}"));
                        assert_eq!(track, &Track::parse(text).unwrap());
                        assert_eq!(reading.direction(), Some(direction));
                    }
                }
            }
        }
    }
}

#[test]
fn a_swipe_six_times_faster_or_slower_at_its_end_reads() {
    for text in [TRACK_1, TRACK_2] {
        for (start, end) in [(80, 480), (480, 80)] {
            let motion = Motion::changing(start, end).unwrap();
            let reading = read(&swipe(text, motion, Recorder::new(48_000).unwrap()), 48_000);
            assert!(reading.track().is_ok());
        }
    }
}

#[test]
fn offset_clipping_quiet_level_and_a_click_do_not_matter() {
    let recorder = Recorder::new(48_000).unwrap();
    let motion = Motion::steady(250).unwrap();
    let clean = swipe(TRACK_2, motion, recorder);
    let changed: [&dyn Fn(i16) -> i16; 4] = [
        &|sample| sample.saturating_add(9_000),
        &|sample| sample.saturating_mul(4).clamp(-32_000, 32_000),
        &|sample| sample / 100,
        &|sample| sample.saturating_sub(20_000),
    ];
    for change in changed {
        let samples: Vec<i16> = clean.iter().map(|&sample| change(sample)).collect();
        assert!(read(&samples, 48_000).track().is_ok());
    }
    let mut clicked = clean;
    clicked[300] = 32_767;
    clicked[303] = -32_768;
    assert!(read(&clicked, 48_000).track().is_ok());
}

#[test]
fn samples_stream_out_and_in_by_pieces_of_any_size() {
    let bits = Framed::parse(TRACK_2).unwrap().to_bits();
    let stripe = Stripe::iso(&bits, TrackNumber::Two).unwrap();
    let (motion, recorder) = (Motion::changing(400, 150).unwrap(), Recorder::new(48_000).unwrap());
    let whole: Vec<i16> = stripe.samples(motion, recorder).collect();
    let mut expected = [0; WORKSPACE];
    let mut detector = Detector::new(48_000, 500, &mut expected).unwrap();
    detector.push(&whole);
    assert!(detector.quiet() > 25_000_000, "the swipe ends in 30 ms of silence");
    let expected = detector.finish().unwrap();
    assert!(Reading::of_intervals(&expected).unwrap().track().is_ok());
    for size in [1, 2, 7, 64, 1000] {
        let mut samples: Samples<'_> = stripe.samples(motion, recorder);
        let mut buffer = vec![0; size];
        let mut workspace = [0; WORKSPACE];
        let mut detector = Detector::new(48_000, 500, &mut workspace).unwrap();
        loop {
            let written = samples.fill(&mut buffer);
            detector.push(&buffer[..written]);
            if written < size {
                break;
            }
        }
        assert_eq!(detector.found(), expected.len());
        assert_eq!(*detector.finish().unwrap(), *expected, "pieces of {size}");
    }
}

#[test]
fn the_workspace_is_wiped_whatever_happens() {
    let samples = swipe(TRACK_2, Motion::steady(250).unwrap(), Recorder::new(48_000).unwrap());
    let mut workspace = [0; WORKSPACE];
    drop(Reading::of_samples(&samples, 48_000, &mut workspace));
    assert_eq!(workspace, [0; WORKSPACE]);
    let mut detector = Detector::new(48_000, 500, &mut workspace).unwrap();
    detector.push(&samples);
    drop(detector);
    assert_eq!(workspace, [0; WORKSPACE]);
    let mut small = [0; 100];
    let error = Reading::of_samples(&samples, 48_000, &mut small).unwrap_err();
    assert_eq!(error.kind, SwipeErrorKind::WorkspaceFull { capacity: 100 });
    assert_eq!(small, [0; 100]);
}

#[test]
fn a_torn_card_is_a_bad_lrc_from_its_waveform() {
    let mut bits = Framed::parse(TRACK_2).unwrap().to_bits();
    assert!(bits.flip(100) && bits.flip(101));
    let stripe = Stripe::iso(&bits, TrackNumber::Two).unwrap();
    for direction in [Direction::Forward, Direction::Reverse] {
        let motion = Motion::steady(250).unwrap().towards(direction);
        let samples: Vec<i16> = stripe.samples(motion, Recorder::new(48_000).unwrap()).collect();
        let reading = read(&samples, 48_000);
        let Err(NoTrack::Frame(error)) = reading.track() else {
            panic!("a torn card was accepted");
        };
        assert!(matches!(error.kind, FrameErrorKind::Lrc { .. }), "{error}");
        assert_eq!(error.direction, direction);
        assert!(reading.recovered().confidence().mean() >= 90);
    }
}

#[test]
fn failures_say_why_and_where() {
    let kind = |samples: &[i16]| {
        Reading::of_samples(samples, 48_000, &mut [0; WORKSPACE])
            .unwrap_err()
            .kind
    };
    assert_eq!(kind(&[]), SwipeErrorKind::Silence { swing: 0, floor: 64 });
    assert_eq!(kind(&[100; 5000]), SwipeErrorKind::Silence { swing: 0, floor: 64 });
    let rate = Reading::of_samples(&[0; 10], 0, &mut []).unwrap_err().kind;
    assert_eq!(rate, SwipeErrorKind::SampleRate { found: 0 });
    let hum: Vec<i16> = (0..48_000).map(|n| (8000.0 * (n as f64 * 0.05).sin()) as i16).collect();
    assert!(matches!(kind(&hum), SwipeErrorKind::Blank { zeros } if zeros >= 100));
    let noise: Vec<i16> = (0..20_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as i16)
        .collect();
    assert!(matches!(
        Reading::of_samples(&noise, 48_000, &mut [0; 20_000]).map(|reading| reading.track().is_ok()),
        Err(_) | Ok(false)
    ));
    assert!(matches!(
        recover(&[]).unwrap_err().kind,
        SwipeErrorKind::NoClock {
            intervals: 0,
            longest: 0
        }
    ));
    // The clock is lost in the middle of the card, and the reading says at which interval.
    let bits = Framed::parse(TRACK_2).unwrap().to_bits();
    let stripe = Stripe::iso(&bits, TrackNumber::Two).unwrap();
    let mut intervals: Vec<u32> = stripe.intervals(Motion::steady(250).unwrap()).collect();
    intervals[150] *= 9;
    let reading = Reading::of_intervals(&intervals).unwrap();
    let lost = reading.recovered().clock_loss().unwrap();
    assert_eq!((lost.interval, lost.found), (150, intervals[150]));
    assert!(matches!(
        reading.framed().unwrap_err().kind,
        FrameErrorKind::Truncated { .. }
    ));
}

#[test]
fn what_cannot_be_written_is_refused() {
    let bits = Bits::parse(&"1".repeat(700)).unwrap();
    assert!(matches!(
        Stripe::iso(&bits, TrackNumber::One).unwrap_err(),
        StripeError::TooLong { cells: 761, limit: 699 }
    ));
    assert!(matches!(Stripe::new(&bits, 0, 0, 0).unwrap_err(), StripeError::Density));
    assert!(matches!(
        Motion::steady(0).unwrap_err(),
        StripeError::Speed { found: 0 }
    ));
    assert!(matches!(
        Recorder::new(0).unwrap_err(),
        StripeError::SampleRate { found: 0 }
    ));
    assert!(matches!(
        Recorder::new(48_000).unwrap().peak(0).unwrap_err(),
        StripeError::Peak { found: 0 }
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_clean_swipe_reads(
        text in prop_oneof![Just(TRACK_1), Just(TRACK_2), "[0-9]{15}".prop_map(|digits| {
            let pan = tr_track::Pan::with_check_digit(&digits).unwrap();
            Box::leak(format!(";{}=2912101{}?", pan.expose_digits(), &digits[2..]).into_boxed_str()) as &str
        })],
        start in 30_u32..600,
        change in 0.17_f64..6.0,
        rate in 44_100_u32..192_000,
        peak in 200_u16..32_767,
        reverse: bool,
        inverted: bool,
    ) {
        let end = ((f64::from(start) * change) as u32).clamp(30, 600);
        let direction = if reverse { Direction::Reverse } else { Direction::Forward };
        let polarity = if inverted { Polarity::Inverted } else { Polarity::Normal };
        let motion = Motion::changing(start, end).unwrap().towards(direction);
        let recorder = Recorder::new(rate).unwrap().polarity(polarity).peak(peak).unwrap();
        let reading = read(&swipe(text, motion, recorder), rate);
        match reading.track() {
            Ok(track) => prop_assert_eq!(track, &Track::parse(text).unwrap()),
            Err(error) => prop_assert!(false, "{}", error),
        }
        prop_assert_eq!(reading.direction(), Some(direction));
    }

    #[test]
    fn any_bits_come_back_from_their_intervals(
        body in "1[01]{0,600}1",
        start in 30_u32..600,
        change in 0.17_f64..6.0,
        reverse: bool,
    ) {
        let bits = Bits::parse(&body).unwrap();
        let stripe = Stripe::new(&bits, 210, 40, 40).unwrap();
        let end = ((f64::from(start) * change) as u32).clamp(30, 600);
        let direction = if reverse { Direction::Reverse } else { Direction::Forward };
        let motion = Motion::changing(start, end).unwrap().towards(direction);
        let intervals: Vec<u32> = stripe.intervals(motion).collect();
        let recovered = recover(&intervals).unwrap();
        let read = if reverse { recovered.bits().reversed() } else { recovered.bits().clone() };
        prop_assert_eq!(read.trimmed().expose_binary().to_string(), body);
        prop_assert_eq!(recovered.clock_loss(), None);
    }

    #[test]
    fn no_samples_panic_or_pass_for_a_track(
        samples in proptest::collection::vec(any::<i16>(), 0..4000),
        rate: u32,
        size in 0_usize..3000,
    ) {
        if let Ok(reading) = Reading::of_samples(&samples, rate, &mut vec![0; size]) {
            prop_assert!(reading.track().is_err());
        }
    }

    #[test]
    fn no_intervals_panic(intervals in proptest::collection::vec(prop_oneof![any::<u32>(), 900_u32..1100, 450_u32..550, Just(0)], 0..3000)) {
        if let Ok(reading) = Reading::of_intervals(&intervals) {
            prop_assert!(reading.bits().first_one().is_some());
        }
    }
}
