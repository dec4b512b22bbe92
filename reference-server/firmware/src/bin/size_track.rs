//! tr-track: a swipe read from samples, to a checked track

#![no_std]
#![no_main]

tr_firmware::probe!(
    tr_firmware::work::track::read(
        core::iter::repeat_with(|| core::hint::black_box(0)).take(core::hint::black_box(48_000)),
        &mut [0; 2048]
    )
    .map(|track| drop(core::hint::black_box(track)))
);
