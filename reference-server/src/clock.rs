//! The one clock of the server.
//!
//! Libraries take time as an argument; only this module reads it. [`now`] is what certificates, messages and the
//! ledger are judged by, [`instant`] is for measuring durations (time-outs, rates), and [`TlsClock`] gives rustls the
//! same time as [`now`], so that a test that moves the clock moves every judgement.
//!
//! In debug builds the environment variable `TR_NET_TEST_CLOCK` shifts [`now`] by that many seconds (it may be
//! negative). Release builds do not read it.

use core::time::Duration;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Name of the environment variable that shifts the clock of a debug build, in seconds.
pub const TEST_CLOCK_ENV: &str = "TR_NET_TEST_CLOCK";

/// The present, in seconds since 1970-01-01T00:00:00Z.
///
/// A system clock set before 1970 reads as 0: every certificate is then "not yet valid", which is the safe answer.
#[must_use]
pub fn now() -> i64 {
    i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX)
}

/// The present as the time since 1970-01-01T00:00:00Z, with the clock's own resolution. Never negative.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn since_epoch() -> Duration {
    let read = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    shifted(read, offset())
}

/// A monotonic instant, for measuring durations. It is not shifted.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn instant() -> Instant {
    Instant::now()
}

/// The present as text: `YYYY-MM-DDThh:mm:ss.mmmZ`.
#[must_use]
pub fn stamp() -> String {
    let millis = i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map(|time| format!("{time:.3}"))
        .unwrap_or_default()
}

/// This clock, for rustls.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsClock;

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(since_epoch()))
    }
}

fn shifted(time: Duration, seconds: i64) -> Duration {
    let shift = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        time.saturating_sub(shift)
    } else {
        time.saturating_add(shift)
    }
}

/// The shift in seconds, read once; 0 in release builds.
fn offset() -> i64 {
    static OFFSET: OnceLock<i64> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return 0;
    }
    *OFFSET.get_or_init(|| {
        let text = std::env::var(TEST_CLOCK_ENV).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_both_ways_and_stops_at_the_epoch() {
        let time = Duration::from_secs(1000);
        assert_eq!(shifted(time, 5), Duration::from_secs(1005));
        assert_eq!(shifted(time, -5), Duration::from_secs(995));
        assert_eq!(shifted(time, -5000), Duration::ZERO);
        assert_eq!(shifted(time, i64::MIN), Duration::ZERO);
    }

    #[test]
    fn stamps_look_like_the_wire_form_with_milliseconds() {
        let text = stamp();
        assert_eq!(text.len(), "2026-11-21T06:00:00.000Z".len(), "{text}");
        assert!(text.ends_with('Z') && text.contains('T'));
    }

    #[test]
    fn one_time_for_all() {
        let tls = TlsClock.current_time().unwrap().as_secs();
        let ours = u64::try_from(now()).unwrap();
        assert!(ours.abs_diff(tls) <= 1);
    }
}
