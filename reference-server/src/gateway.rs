//! The gateway: the only way from a device to the backend.
//!
//! It terminates the devices' TLS (class certificates, both ways), filters, limits, and passes frames verbatim over the
//! [`link`]. It reads the outer frame and nothing else: payloads are sealed between device and backend.
//!
//! What a device can do to others is bounded before it can cost anything: addresses are filtered and counted before the
//! handshake, frames are cut in a fixed buffer and checked as they arrive, kinds and verbs that a device has no business
//! sending are refused, rates are held by waiting (never by queueing), and every wait has a time-out. A bad outer frame is
//! answered with `I error` (code, offset, key) and closes that connection alone.

use core::future::Future;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use filter::{BadNet, IpNet, IpRules};
pub use limits::TokenBucket;
pub use metrics::{Metrics, Snapshot};
pub use tap::{Direction, Seen, Tap, WireLog};

use crate::clock;
use crate::link::{self, Dialer, LinkLimits, ListenError, Uplink};
use limits::{Admission, Doorkeeper};

mod device;
mod filter;
mod limits;
mod metrics;
mod tap;

/// How a gateway is set up.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where devices connect.
    pub listen: SocketAddr,
    /// TLS towards devices ([`server_config`](crate::tls::server_config) with the classes that may connect, usually [`DEVICES`](crate::tls::DEVICES)).
    pub tls: Arc<ServerConfig>,
    /// The backend.
    pub backend: Dialer,
    /// Addresses that may connect.
    pub addresses: IpRules,
    /// Limits towards devices.
    pub limits: Limits,
    /// Limits of the link.
    pub link: LinkLimits,
    /// Sees every outer frame as it passes; see [`WireLog`].
    pub tap: Option<Tap>,
}

/// Limits towards devices.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at once, handshakes included.
    pub connections: usize,
    /// Connections at once from one address (IPv6: one /64).
    pub connections_per_ip: u32,
    /// New connections a second from one address, on average; each costs a handshake.
    pub connects_per_second: u32,
    /// New connections at once from one address before that average counts.
    pub connect_burst: u32,
    /// Frames a second of one connection, on average. A faster device is made to wait.
    pub frames_per_second: u32,
    /// Frames at once before that average counts.
    pub frame_burst: u32,
    /// Octets a second of one connection, on average.
    pub bytes_per_second: u32,
    /// Octets at once before that average counts.
    pub byte_burst: u32,
    /// How long the TLS handshake may take.
    pub handshake: Duration,
    /// How long a connection may be silent between frames.
    pub idle: Duration,
    /// How long a frame may take from its first octet to its last, waits for the rate apart.
    pub frame: Duration,
    /// How long a device may take to accept one answer.
    pub write: Duration,
    /// Answers waiting for one device to read them; one more cuts it off.
    pub queue: usize,
    /// How long unanswered frames are waited for at shutdown.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            connections_per_ip: 256,
            connects_per_second: 64,
            connect_burst: 256,
            frames_per_second: 50,
            frame_burst: 100,
            bytes_per_second: 64 * 1024,
            byte_burst: 128 * 1024,
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(15 * 60),
            frame: Duration::from_secs(5),
            write: Duration::from_secs(5),
            queue: 16,
            grace: Duration::from_secs(2),
        }
    }
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The port towards devices.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The wire log.
    #[error("the wire log {} cannot be written: {source}; choose another file or free the disk", path.display())]
    WireLog {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// A gateway that listens.
#[derive(Debug)]
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    link_task: JoinHandle<()>,
}

/// What all connections of one gateway share.
#[derive(Debug)]
struct Shared {
    tls: Arc<ServerConfig>,
    limits: Limits,
    tap: Option<Tap>,
    uplink: Uplink,
    metrics: Arc<Metrics>,
    doorkeeper: Doorkeeper,
}

impl Gateway {
    /// Opens the port and starts connecting to the backend. The backend need not be there yet: devices are told that it is
    /// unavailable until it is.
    ///
    /// # Errors
    ///
    /// [`GatewayError::Listen`].
    pub async fn bind(config: GatewayConfig) -> Result<Self, GatewayError> {
        let listener = link::listen("gateway", config.listen).await?;
        let address = listener.local_addr().unwrap_or(config.listen);
        let (uplink, link_task) = Uplink::start(config.backend, config.link);
        let doorkeeper = Doorkeeper::new(config.addresses, &config.limits);
        Ok(Self {
            listener,
            address,
            shared: Arc::new(Shared {
                tls: config.tls,
                limits: config.limits,
                tap: config.tap,
                uplink,
                metrics: Arc::default(),
                doorkeeper,
            }),
            link_task,
        })
    }

    /// Where it listens, with the port that the system chose if the configured one was 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// Its end of the link, e.g. to wait until the backend is reached.
    #[must_use]
    pub fn uplink(&self) -> Uplink {
        self.shared.uplink.clone()
    }

    /// Serves devices until `shutdown` completes. Then it accepts nobody, reads nothing more, waits up to
    /// [`Limits::grace`] for answers that are under way, and closes every connection.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(());
        let mut devices = JoinSet::new();
        tracing::info!(address = %self.address, "the gateway listens");
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = devices.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((tcp, peer)) => self.admit(tcp, peer, &stopped, &mut devices),
                    Err(error) => {
                        // Out of file descriptors, most likely: wait for some to be freed.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        drop(self.listener);
        drop(stop);
        tracing::info!(connections = devices.len(), "the gateway shuts down");
        while devices.join_next().await.is_some() {}
        self.link_task.abort();
        // Aborted on purpose: its result says nothing.
        let _ = self.link_task.await;
    }

    /// Starts a task for a new connection, or closes it at once.
    fn admit(&self, tcp: TcpStream, peer: SocketAddr, stopped: &watch::Receiver<()>, devices: &mut JoinSet<()>) {
        let metrics = &self.shared.metrics;
        match self.shared.doorkeeper.admit(peer.ip(), clock::instant()) {
            Admission::Granted(place) => {
                metrics.accepted.add();
                let task = device::serve(Arc::clone(&self.shared), tcp, peer, stopped.clone());
                devices.spawn(async move {
                    let _place = place;
                    task.await;
                });
            }
            Admission::Refused(reason) => {
                metrics.refused_admission.add();
                tracing::debug!(%peer, reason, "refused a connection");
            }
        }
    }
}

/// Completes when the process is asked to end: SIGTERM or SIGINT (ctrl-c).
///
/// # Errors
///
/// When the system does not let signals be watched.
pub async fn shutdown_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Addresses are counted as what one party can have: an IPv4 address, or an IPv6 network of 64 bits.
fn counted(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}
