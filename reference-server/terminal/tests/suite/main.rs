//! The terminal against a backend made of the same crates, over a line that does what lines do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod backend;
mod device;
mod enrolment;
mod line;
mod states;
mod world;
