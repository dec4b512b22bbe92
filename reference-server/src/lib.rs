//! The reference server of the `tr` network, as a library so that tests and benchmarks reach its parts.

pub mod admin;
pub mod backend;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crash;
pub mod engine;
pub mod gateway;
pub mod hsm;
pub mod init;
pub mod ledger;
pub mod link;
pub mod logging;
pub mod money;
pub mod swipe;
pub mod receipt;
pub mod store;
pub mod tls;
pub mod ui;
