//! One suite over both providers, alone and against each other.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod channel;
mod handshake;
mod providers;
mod refusals;
mod trace;
mod world;
