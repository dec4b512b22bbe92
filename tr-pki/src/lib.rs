#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod csr;
pub mod oid;
pub mod voucher;

#[cfg(feature = "alloc")]
pub mod ca;
#[cfg(feature = "alloc")]
pub mod pem;

mod certificate;
mod error;
mod extensions;
mod path;
mod profile;
mod provider;
mod reader;
mod time;

pub use certificate::{Certificate, MAX_CERTIFICATE_LEN, Serial};
pub use error::{Excerpt, Field, ParseError, ParseErrorKind};
pub use extensions::{HostName, HostNames, MAX_ENTRIES, MAX_EXTENSIONS, Oids};
pub use path::{
    Authenticated, MAX_DEPTH, MAX_SERIAL_LEN, Options, PathError, PathErrorKind, Standing, Validated, authenticate,
    is_uuid_urn, validate,
};
pub use profile::{
    CRL_SIGN, DIGITAL_SIGNATURE, KEY_CERT_SIGN, KEY_IDENTIFIER_LEN, MAX_ISSUE_NUMBER, PROFILES, Profile, Role,
};
pub use provider::{BadSignature, Signer, Verifier};
pub use time::Time;
