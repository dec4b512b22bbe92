//! Which addresses may connect.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

/// An address range: `192.0.2.0/24`, `2001:db8::/32`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNet {
    base: IpAddr,
    bits: u8,
}

impl IpNet {
    /// Whether `ip` lies in the range. An IPv4 address inside IPv6 (`::ffff:…`) counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let (base, width) = number(self.base);
        let (ip, ip_width) = number(ip.to_canonical());
        // A shift by the whole width leaves nothing to compare: the range holds everything of its kind.
        let shift = width.saturating_sub(u32::from(self.bits));
        width == ip_width && base.checked_shr(shift).unwrap_or(0) == ip.checked_shr(shift).unwrap_or(0)
    }
}

impl FromStr for IpNet {
    type Err = BadNet;

    fn from_str(text: &str) -> Result<Self, BadNet> {
        let bad = |reason| BadNet {
            text: text.to_owned(),
            reason,
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| bad("that is no IP address"))?;
        let (value, width) = number(base);
        let bits = match bits {
            Some(bits) => bits
                .parse::<u8>()
                .ok()
                .filter(|bits| u32::from(*bits) <= width)
                .ok_or_else(|| bad("the prefix length is out of range"))?,
            None => u8::try_from(width).unwrap_or(u8::MAX),
        };
        let net = Self { base, bits };
        let host = width.saturating_sub(u32::from(bits));
        let mask = u128::MAX.checked_shl(host).unwrap_or(0);
        if value & !mask != 0 {
            return Err(bad("it has bits set after its prefix"));
        }
        Ok(net)
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

/// Text that is no address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address range: {reason}; write it like 192.0.2.0/24 or 2001:db8::/32")]
pub struct BadNet {
    text: String,
    reason: &'static str,
}

/// An allow list and a deny list. Denied ranges win; an empty allow list allows every other address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpRules {
    /// Ranges that may connect; empty for all.
    pub allow: Vec<IpNet>,
    /// Ranges that may not.
    pub deny: Vec<IpNet>,
}

impl IpRules {
    /// Whether `ip` may connect.
    #[must_use]
    pub fn permit(&self, ip: IpAddr) -> bool {
        let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(ip));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }
}

/// An address as a number, and its width in bits.
fn number(ip: IpAddr) -> (u128, u32) {
    match ip {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), u32::BITS),
        IpAddr::V6(v6) => (v6.to_bits(), u128::BITS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_hold_what_they_should() {
        for (range, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "fe80::1", "127.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "11.0.0.0"),
        ] {
            assert!(net(range).contains(ip(inside)), "{range} {inside}");
            assert!(!net(range).contains(ip(outside)), "{range} {outside}");
        }
        assert_eq!(net("192.0.2.7").to_string(), "192.0.2.7/32");
    }

    #[test]
    fn bad_ranges_are_refused_with_a_hint() {
        for text in [
            "",
            "x",
            "192.0.2.0/33",
            "192.0.2.1/24",
            "::1/129",
            "192.0.2.0/-1",
            "192.0.2.0/",
        ] {
            let error = text.parse::<IpNet>().unwrap_err().to_string();
            assert!(error.contains("192.0.2.0/24"), "{error}");
        }
    }

    #[test]
    fn deny_wins_and_an_empty_allow_list_allows() {
        let all = IpRules::default();
        assert!(all.permit(ip("192.0.2.1")));
        let some = IpRules {
            allow: vec![net("192.0.2.0/24")],
            deny: vec![net("192.0.2.64/26")],
        };
        assert!(some.permit(ip("192.0.2.1")));
        assert!(!some.permit(ip("192.0.2.65")));
        assert!(!some.permit(ip("198.51.100.1")));
    }
}
