//! The POS and virtual-card programs as sans-IO state machines.

#![no_std]

pub mod key;
pub mod memory;
