#![doc = include_str!("../README.md")]

mod aead;
mod device;
mod disk;
mod error;
mod file;
mod kdf;
mod keys;
mod payment;
mod store;
mod vault;

pub use error::{Step, StoreError};
pub use file::{Header, fuzz_body, fuzz_header};
pub use kdf::Params;
pub use store::Store;
