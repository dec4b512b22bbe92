//! What the crate promises, over real signatures.
#![allow(missing_docs, reason = "a test names itself")]

mod enrol;
mod hostile;
mod issue;
mod openssl;
mod refuse;
mod support;
mod tls;
