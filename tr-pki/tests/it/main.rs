//! What the crate promises, over real signatures.
#![allow(missing_docs, reason = "a test names itself")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panic")]

mod enrol;
mod forms;
mod hostile;
mod issue;
mod openssl;
mod refuse;
mod rules;
mod support;
mod tls;
