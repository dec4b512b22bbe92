//! Counters, for whoever exposes them.

use core::sync::atomic::{AtomicU64, Ordering};

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a gateway has counted since it started.
        #[derive(Debug, Default)]
        #[non_exhaustive]
        pub struct Metrics { $($(#[$doc])* pub $name: Counter,)* }

        /// The counters at one moment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
        #[non_exhaustive]
        pub struct Snapshot { $($(#[$doc])* pub $name: u64,)* }

        impl Metrics {
            /// Reads all counters, each by itself.
            #[must_use]
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.get(),)* }
            }
        }
    };
}

metrics! {
    /// Connections let in before the handshake.
    accepted,
    /// Connections closed before the handshake: address, count or rate.
    refused_admission,
    /// Handshakes that failed or were refused.
    refused_tls,
    /// Connections with a finished handshake.
    connected,
    /// Frames passed to the backend.
    forwarded,
    /// Answers of the backend passed to devices.
    answered,
    /// Frames that are no frames of the protocol.
    bad_frames,
    /// Frames that a device may not send.
    refused_frames,
    /// Frames refused because the backend was away.
    unavailable,
    /// Waits for a connection's rate.
    throttled,
    /// Connections closed for silence or half a frame.
    timed_out,
    /// Connections cut off because the device did not read.
    cut_off,
}
