#![doc = include_str!("../README.md")]
#![no_std]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        reason = "a failed test panics, and is to"
    )
)]

pub mod base64;
pub mod error;
pub mod frame;
pub mod lifecycle;
pub mod message;
pub mod signature;
pub mod value;

pub use error::{Error, ErrorKind};
