//! What the network withstands: strangers and impostors at its doors, broken files, hands that slip. Everything here runs
//! the program itself, in processes of their own, and judges what it says, what it leaves behind and how it ends.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests measure time, and fail where they stand"
)]

mod broken;
mod cli;
mod hostile;
mod identities;
mod secrets;
mod site;
mod stranger;
