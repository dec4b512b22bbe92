//! Speed of decoding, measured plainly: `cargo run --release -p tr-track --example bench`.
//!
//! Each figure is the best of seven rounds on one core, beside a reference that does the same step in the usual way.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and its inputs are constants"
)]

use core::hint::black_box;
use std::time::Instant;

use tr_track::f2f::{Motion, Recorder, Stripe, WORKSPACE};
use tr_track::{Alphabet, Framed, Intervals, Reading, Track2, TrackNumber, recover};

const TEXT: &str = ";4111111111111111=29121010000000000000?";

fn main() {
    let framed = Framed::parse(TEXT).unwrap();
    let bits = framed.to_bits();
    let stripe = Stripe::iso(&bits, TrackNumber::Two).unwrap();

    println!("track 2, clean, 250 mm/s:");
    for rate in [48_000, 192_000] {
        let motion = Motion::steady(250).unwrap();
        let samples: Vec<i16> = stripe.samples(motion, Recorder::new(rate).unwrap()).collect();
        let mut workspace = [0; WORKSPACE];
        let count = samples.len() as f64;
        let all = best(20, || {
            black_box(Reading::of_samples(black_box(&samples), rate, &mut workspace).unwrap());
        });
        let found = best(20, || {
            black_box(
                Intervals::of_samples(black_box(&samples), rate, &mut workspace)
                    .unwrap()
                    .len(),
            );
        });
        let copied: f64 = best(20, || {
            black_box(black_box(&samples).iter().map(|&sample| i64::from(sample)).sum::<i64>());
        });
        println!(
            "  samples -> track at {rate} Hz: {:8.1} Msamples/s (intervals alone {:.1}, summing the samples {:.1})",
            count / all * 1e3,
            count / found * 1e3,
            count / copied * 1e3
        );
    }

    let intervals: Vec<u32> = stripe.intervals(Motion::steady(250).unwrap()).collect();
    let recovering = best(2000, || {
        black_box(recover(black_box(&intervals)).unwrap());
    });
    println!(
        "  intervals -> bits:            {recovering:8.1} ns for {} intervals",
        intervals.len()
    );

    println!("track 2 of 40 characters:");
    let decode = best(20_000, || {
        black_box(Framed::decode(black_box(&bits), 0, Alphabet::Numeric).unwrap());
    });
    println!("  bits -> text, parity, LRC:    {decode:8.1} ns (place and set known)");
    let find = best(20_000, || {
        black_box(Framed::find(black_box(&bits)).unwrap());
    });
    println!("  bits -> text, parity, LRC:    {find:8.1} ns (either set, either direction)");
    let naive: Vec<u8> = bits.iter().map(u8::from).collect();
    let reference = best(20_000, || {
        black_box(naive_decode(black_box(&naive)).unwrap());
    });
    println!("  the same bit by bit:          {reference:8.1} ns");
    let mut packed = [0_u64; 5];
    for (index, bit) in bits.iter().enumerate() {
        packed[index / 64] |= u64::from(bit) << (index % 64);
    }
    let table = table();
    let reference = best(20_000, || {
        black_box(table_decode(black_box(&packed), &table).unwrap());
    });
    println!("  the same by a table:          {reference:8.1} ns (text not wiped, no errors told)");
    let parse = best(20_000, || {
        black_box(Track2::from_framed(black_box(&framed)).unwrap());
    });
    println!("  text -> fields, Luhn:         {parse:8.1} ns");
}

/// Nanoseconds of one call: the best of seven rounds.
#[allow(clippy::disallowed_methods, reason = "benchmark")]
fn best(calls: u32, mut call: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        for _ in 0..calls {
            call();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}

/// The way most programs do it: one octet a bit, one loop a character.
fn naive_decode(bits: &[u8]) -> Option<([u8; 40], usize)> {
    let (mut text, mut length, mut lrc) = ([0; 40], 0, 0);
    for character in bits.chunks_exact(5) {
        let (mut value, mut ones) = (0, 0);
        for (place, &bit) in character.iter().enumerate() {
            ones += bit;
            if place < 4 {
                value |= bit << place;
            }
        }
        if ones % 2 == 0 {
            return None;
        }
        lrc ^= value;
        *text.get_mut(length)? = value + b'0';
        length += 1;
    }
    (lrc == 0 && text[0] == b';' && text[length - 2] == b'?').then_some((text, length))
}

/// A table of 1024 entries: two characters at once.
fn table() -> Vec<Option<[u8; 2]>> {
    let one = |code: u16| (code.count_ones() % 2 == 1).then_some((code & 15) as u8);
    (0..1024_u16)
        .map(|code| Some([one(code & 31)?, one(code >> 5)?]))
        .collect()
}

fn table_decode(words: &[u64; 5], table: &[Option<[u8; 2]>]) -> Option<([u8; 40], usize)> {
    let (mut text, mut lrc) = ([0; 40], 0);
    for index in 0..20 {
        let at = index * 10;
        let window = u128::from(words[at / 64]) | u128::from(*words.get(at / 64 + 1).unwrap_or(&0)) << 64;
        let [one, two] = table[(window >> (at % 64)) as usize & 1023]?;
        lrc ^= one ^ two;
        text[2 * index] = one + b'0';
        text[2 * index + 1] = two + b'0';
    }
    (lrc == 0 && text[0] == b';' && text[38] == b'?').then_some((text, 40))
}
