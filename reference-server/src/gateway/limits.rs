//! Rates and counts.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{IpRules, Limits, counted};

/// A rate with a burst. Taking more than there is leaves a debt, and tells how long to wait until it is paid.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    per_second: u32,
    burst: u32,
    /// How much of the burst is used up, as the time that refilling it takes.
    used: Duration,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket. A rate of 0 counts as 1 a second.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self {
            per_second: per_second.max(1),
            burst,
            used: Duration::ZERO,
            at: now,
        }
    }

    /// Takes `amount` and returns how long to wait for it: zero within the burst.
    #[must_use = "the rate is held by waiting"]
    pub fn take(&mut self, amount: u32, now: Instant) -> Duration {
        self.refill(now);
        self.used = self.used.saturating_add(self.time_for(amount));
        self.used.saturating_sub(self.time_for(self.burst))
    }

    /// Takes `amount` only if that needs no waiting.
    pub fn try_take(&mut self, amount: u32, now: Instant) -> bool {
        self.refill(now);
        let used = self.used.saturating_add(self.time_for(amount));
        let fits = used <= self.time_for(self.burst);
        if fits {
            self.used = used;
        }
        fits
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.used.is_zero()
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        self.used = self.used.saturating_sub(passed);
        self.at = now;
    }

    fn time_for(&self, amount: u32) -> Duration {
        Duration::from_secs(1)
            .saturating_mul(amount)
            .checked_div(self.per_second)
            .unwrap_or(Duration::MAX)
    }
}

/// Decides who may connect, and counts who is connected.
#[derive(Debug)]
pub(super) struct Doorkeeper {
    rules: IpRules,
    connections: usize,
    per_ip: u32,
    rate: u32,
    burst: u32,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    open: usize,
    guests: HashMap<IpAddr, Guest>,
}

#[derive(Debug)]
struct Guest {
    open: u32,
    connects: TokenBucket,
}

/// The answer to a new connection.
#[derive(Debug)]
pub(super) enum Admission {
    /// It may go on; the place is freed when dropped.
    Granted(Place),
    /// It is closed; why, for the log.
    Refused(&'static str),
}

/// One counted connection.
#[derive(Debug)]
pub(super) struct Place {
    book: Arc<Mutex<Book>>,
    ip: IpAddr,
}

/// Above so many remembered addresses, those with nothing to remember are forgotten.
const GUESTS_MOST: usize = 8_192;

impl Doorkeeper {
    pub(super) fn new(rules: IpRules, limits: &Limits) -> Self {
        Self {
            rules,
            connections: limits.connections,
            per_ip: limits.connections_per_ip,
            rate: limits.connects_per_second,
            burst: limits.connect_burst,
            book: Arc::default(),
        }
    }

    pub(super) fn admit(&self, ip: IpAddr, now: Instant) -> Admission {
        if !self.rules.permit(ip) {
            return Admission::Refused("its address is not allowed");
        }
        let ip = counted(ip);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if book.open >= self.connections {
            return Admission::Refused("too many connections");
        }
        if book.guests.len() >= GUESTS_MOST {
            book.guests
                .retain(|_, guest| guest.open > 0 || !guest.connects.is_full(now));
            // Still full: as many addresses in a burst as no honest set of devices makes.
            if book.guests.len() >= GUESTS_MOST && !book.guests.contains_key(&ip) {
                return Admission::Refused("too many addresses at once");
            }
        }
        let guest = book.guests.entry(ip).or_insert_with(|| Guest {
            open: 0,
            connects: TokenBucket::new(self.rate, self.burst, now),
        });
        if guest.open >= self.per_ip {
            return Admission::Refused("too many connections from its address");
        }
        if !guest.connects.try_take(1, now) {
            return Admission::Refused("its address connects too often");
        }
        guest.open = guest.open.saturating_add(1);
        book.open = book.open.saturating_add(1);
        Admission::Granted(Place {
            book: Arc::clone(&self.book),
            ip,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.open = book.open.saturating_sub(1);
        if let Some(guest) = book.guests.get_mut(&self.ip) {
            guest.open = guest.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_holds_the_rate_after_its_burst() {
        let start = clock::instant();
        let mut bucket = TokenBucket::new(10, 5, start);
        for _ in 0..5 {
            assert_eq!(bucket.take(1, start), Duration::ZERO);
        }
        assert_eq!(bucket.take(1, start), SECOND / 10);
        assert_eq!(bucket.take(1, start), SECOND / 5);
        assert!(!bucket.try_take(1, start));
        assert!(bucket.try_take(1, start + SECOND));
        // After a long silence there is one burst, not more.
        let later = start + SECOND * 60;
        assert_eq!(bucket.take(5, later), Duration::ZERO);
        assert_eq!(bucket.take(1, later), SECOND / 10);
    }

    #[test]
    fn more_than_a_burst_at_once_is_waited_for() {
        let start = clock::instant();
        let mut bucket = TokenBucket::new(100, 10, start);
        assert_eq!(bucket.take(110, start), SECOND);
    }

    fn admitted(answer: Admission) -> Result<Place, &'static str> {
        match answer {
            Admission::Granted(place) => Ok(place),
            Admission::Refused(reason) => Err(reason),
        }
    }

    #[test]
    fn connections_are_counted_per_address_and_in_all() {
        let limits = Limits {
            connections: 3,
            connections_per_ip: 2,
            ..Limits::default()
        };
        let now = clock::instant();
        let door = Doorkeeper::new(IpRules::default(), &limits);
        let enter = |ip: &str| admitted(door.admit(ip.parse().unwrap(), now));
        let first = enter("192.0.2.1").unwrap();
        let _second = enter("::ffff:192.0.2.1").unwrap();
        assert!(enter("192.0.2.1").unwrap_err().contains("from its address"));
        let _third = enter("2001:db8::1").unwrap();
        assert!(enter("2001:db8:1::1").unwrap_err().contains("too many connections"));
        drop(first);
        enter("192.0.2.1").unwrap();
    }

    #[test]
    fn one_ipv6_network_is_one_guest_and_connecting_has_a_rate() {
        let limits = Limits {
            connects_per_second: 1,
            connect_burst: 2,
            ..Limits::default()
        };
        let now = clock::instant();
        let door = Doorkeeper::new(IpRules::default(), &limits);
        let enter = |ip: &str, now| admitted(door.admit(ip.parse().unwrap(), now));
        enter("2001:db8::1", now).unwrap();
        enter("2001:db8::2", now).unwrap();
        assert!(enter("2001:db8::3", now).unwrap_err().contains("too often"));
        enter("2001:db8:0:1::3", now).unwrap();
        enter("2001:db8::3", now + SECOND).unwrap();
    }
}
