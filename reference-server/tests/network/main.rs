//! Crashes, repeats and altered octets, over the real processes: whatever is killed, said twice or changed on its way, a
//! sale is debited once, its signed answer never changes, and the ledger sums to zero.
#![allow(
    clippy::disallowed_methods,
    clippy::missing_docs_in_private_items,
    clippy::unwrap_used,
    reason = "tests measure time, fail where they stand, and say what they do by their names"
)]

mod cards;
mod crash;
mod demo;
mod repeats;
// One network is made for all tests of a binary; how, the tests of what the network withstands need as well.
#[allow(dead_code, reason = "each binary uses a part of it")]
#[path = "../hardness/site.rs"]
mod site;
mod tamper;
mod world;
