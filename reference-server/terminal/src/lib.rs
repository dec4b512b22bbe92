#![doc = include_str!("../README.md")]
#![no_std]

pub mod enrol;
pub mod key;
pub mod memory;
pub mod terminal;
pub mod texts;

pub use terminal::{Answer, Dropped, Error, Event, Output, Sale, Swiped, Terminal};
