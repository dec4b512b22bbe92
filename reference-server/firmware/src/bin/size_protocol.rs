//! tr-protocol: an authorise written, found, read and decided by the rules

#![no_std]
#![no_main]

tr_firmware::probe!(tr_firmware::work::protocol::work(core::hint::black_box(&mut [0; 1024])));
