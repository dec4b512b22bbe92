//! Waveforms, intervals and files of transitions: no input panics, pieces do not matter, a reading is what its levels say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tr_track::f2f::WORKSPACE;
use tr_track::{Detector, Framed, Reading, Track};

fuzz_target!(|data: &[u8]| {
    let mut workspace = [0; WORKSPACE];
    let Some((&[mode, rate, cut], rest)) = data.split_first_chunk() else {
        return;
    };
    let reading = match mode % 4 {
        0 => {
            let samples: Vec<i16> = rest
                .chunks_exact(2)
                .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
                .collect();
            let rate = 4_000 + u32::from(rate) * 1000;
            pieces(&samples, rate, usize::from(cut));
            Reading::of_samples(&samples, rate, &mut workspace).ok()
        }
        1 => {
            // Lengths around a cell and half of it, so that the fuzzer finds stripes.
            let intervals: Vec<u32> = rest.iter().map(|octet| 100 + u32::from(*octet) * 8).collect();
            Reading::of_intervals(&intervals).ok()
        }
        2 => Reading::of_mag(rest, &mut workspace).ok(),
        _ => Reading::of_flux_csv(rest, &mut workspace).ok(),
    };
    assert_eq!(workspace, [0; WORKSPACE]);
    let Some(reading) = reading else { return };
    assert!(reading.bits().first_one().is_some());
    if let Ok(framed) = reading.framed() {
        assert_eq!(
            Framed::decode(&framed.to_bits(), 0, framed.alphabet()).as_ref(),
            Ok(framed)
        );
        assert_eq!(Track::from_framed(framed).is_ok(), reading.track().is_ok());
    }
});

/// However the samples are cut, the intervals are the same.
fn pieces(samples: &[i16], rate: u32, cut: usize) {
    let read = |size: usize| {
        let mut workspace = [0; WORKSPACE];
        let mut detector = Detector::new(rate, 300, &mut workspace).ok()?;
        for piece in samples.chunks(size.max(1)) {
            detector.push(piece);
        }
        Some(detector.finish().map(|intervals| intervals.to_vec()))
    };
    assert_eq!(read(samples.len()), read(cut));
}
