//! tr-hsm

#![no_std]
#![no_main]

tr_firmware::probe!(tr_firmware::work::hsm::work(core::hint::black_box(b"9070001234567893")));
