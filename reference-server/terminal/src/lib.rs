#![doc = include_str!("../README.md")]
#![no_std]

pub mod enrol;
pub mod event;
pub mod key;
pub mod memory;
pub mod terminal;
pub mod texts;

pub use event::{Answer, Dropped, Error, Event, Output, Sale, Swiped};
pub use terminal::Terminal;
