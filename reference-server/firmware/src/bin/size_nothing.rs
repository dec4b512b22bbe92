//! What every probe holds apart from the crate it probes: vector table, start-up code, and this.

#![no_std]
#![no_main]

tr_firmware::probe!(Ok(()));
