//! tr-track: the same, and the swipe written first

#![no_std]
#![no_main]

tr_firmware::probe!(tr_firmware::work::track::swipe(
    core::hint::black_box(";9070001234567893=2912101123?"),
    tr_track::Direction::Forward,
    300,
    &mut [0; 2048]
));
