//! Certificates that were looked up lately, in memory.
//!
//! Every command is verified with its terminal's certificate. What the directory says of a certificate changes once at
//! most, by its revocation; this process alone has the file open, so that it hears of it.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::{CertificateRecord, held};

/// The most that are kept, some 3 MB. One more, and all make room: a terminal at work is back at its next command.
const KEPT: usize = 4_096;

/// Certificates that are not revoked.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    known: HashMap<[u8; 32], CertificateRecord>,
    /// Those whose revocation has begun. They are always read from the file: a look-up that was under way when the
    /// revocation began must not bring the old state back.
    revoked: HashSet<[u8; 32]>,
}

impl Lately {
    pub(super) fn get(&self, sha256: &[u8; 32]) -> Option<CertificateRecord> {
        held(&self.0).known.get(sha256).cloned()
    }

    /// Keeps what was read from the file, unless it is revoked or about to be.
    pub(super) fn keep(&self, record: &CertificateRecord) {
        let mut kept = held(&self.0);
        if record.revoked.is_some() || kept.revoked.contains(&record.sha256) {
            return;
        }
        if kept.known.len() >= KEPT {
            kept.known.clear();
        }
        kept.known.insert(record.sha256, record.clone());
    }

    /// To be called before a revocation is durable, so that nobody is told the old state after it.
    pub(super) fn revoke(&self, sha256: [u8; 32]) {
        let mut kept = held(&self.0);
        kept.known.remove(&sha256);
        kept.revoked.insert(sha256);
    }

    /// Forgets what was looked up: the file is closed.
    pub(super) fn clear(&self) {
        held(&self.0).known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> CertificateRecord {
        let mut sha256 = [0; 32];
        sha256[..8].copy_from_slice(&number.to_be_bytes());
        CertificateRecord {
            sha256,
            der: vec![1],
            subject: "urn:uuid:00000000-0000-4000-8000-000000000001".to_owned(),
            role: "pos".to_owned(),
            not_after: 9,
            revoked: None,
        }
    }

    #[test]
    fn a_look_up_under_way_does_not_bring_a_revoked_certificate_back() {
        let (lately, read) = (Lately::default(), record(1));
        lately.keep(&read);
        assert_eq!(lately.get(&read.sha256), Some(read.clone()));
        lately.revoke(read.sha256);
        lately.keep(&read);
        assert_eq!(lately.get(&read.sha256), None);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let lately = Lately::default();
        for number in 0..=u64::try_from(KEPT).unwrap() {
            lately.keep(&record(number));
            assert!(held(&lately.0).known.len() <= KEPT);
        }
        assert!(lately.get(&record(u64::try_from(KEPT).unwrap()).sha256).is_some());
    }
}
