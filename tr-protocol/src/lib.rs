#![doc = include_str!("../README.md")]
#![no_std]

pub mod lifecycle;
pub mod value;
