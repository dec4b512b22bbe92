//! The link between gateway and backend: one TLS connection that carries every device's frames.
//!
//! Each connected device is a *channel*, numbered by the gateway. `I opened` (with the device's class and address) and
//! `I closed` tell its life; before each device frame, which travels verbatim, goes an `I via` frame with the channel's
//! number. Answers come back the same way. The blank line that ends every frame is the only framing, so a frame that the backend
//! dislikes never harms the link.
//!
//! - [`serve_link`] is the backend's end: it starts one task per channel, with a [`Device`] to receive from and answer to.
//!   [`serve_gateways`] is the listener around it.
//! - [`Uplink`] is the gateway's end: it connects, connects again with a bounded back-off, and gives each device a
//!   [`Port`].
//!
//! Every queue is bounded. The reading ends never wait for one channel: a backend task that does not keep up gets its
//! device an `I error` busy, and a device that does not read its answers loses its connection.
//!
//! A new link knows nothing of an old one. When the link breaks, the backend's channel tasks end, and with them the
//! sessions; devices with a frame unanswered are told `I error` failed (they must ask what became of it), and their next
//! frame opens a channel of the same number on the next link. While there is no link they are told `I error` unavailable.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

pub use dial::{Dialer, Outgoing, Port, Unavailable, Uplink};
pub(crate) use frames::unclean_end;
pub use frames::{FrameError, FrameReader};
pub use serve::{Answers, Device, LinkGone, serve_gateways, serve_link};
pub use tr_protocol::message::Class;
pub use wire::{code_frame, error_frame};

mod dial;
mod frames;
mod serve;
mod wire;

/// Limits of one link. The defaults suit a gateway with some thousands of devices.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LinkLimits {
    /// Channels open at once; more are closed again at once.
    pub channels: usize,
    /// Frames of one device waiting for its task; the next is answered `busy`.
    pub frames_per_channel: usize,
    /// Messages waiting to be written to the link; then their senders wait.
    pub queue: usize,
    /// How long connecting and the TLS handshake may take.
    pub handshake: Duration,
    /// How long one write may take before the other end counts as dead.
    pub write: Duration,
    /// How long channel tasks may go on after their link has ended.
    pub drain: Duration,
    /// First wait before connecting again; it doubles at each failure.
    pub back_off_first: Duration,
    /// Longest wait before connecting again.
    pub back_off_most: Duration,
    /// Gateways connected to one backend at once.
    pub gateways: usize,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            channels: 16_384,
            frames_per_channel: 8,
            queue: 1_024,
            handshake: Duration::from_secs(5),
            write: Duration::from_secs(10),
            drain: Duration::from_secs(5),
            back_off_first: Duration::from_millis(100),
            back_off_most: Duration::from_secs(2),
            gateways: 16,
        }
    }
}

/// Why a link ended other than by the peer's closing it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Reading failed, or a frame was too long or cut off.
    #[error("the link cannot be read: {0}")]
    Read(#[from] FrameError),
    /// Writing failed.
    #[error("the link cannot be written: {0}")]
    Write(io::Error),
    /// The peer took nothing for too long.
    #[error("the other end of the link took nothing for {} ms", limit.as_millis())]
    Stalled {
        /// How long it was waited for.
        limit: Duration,
    },
    /// The peer does not keep to the link's order of messages.
    #[error("the other end of the link broke its rules: {reason}")]
    Rules {
        /// What it did.
        reason: String,
    },
}

/// A listener that could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another program has the port.
    #[error(
        "the {what} cannot listen on {address}: the port is taken; stop the program that has it or choose another port"
    )]
    Taken {
        /// Who wanted to listen.
        what: &'static str,
        /// Where.
        address: SocketAddr,
    },
    /// The system forbids this port.
    #[error("the {what} may not listen on {address}: choose a port from 1024 up, or grant the right to this one")]
    Forbidden {
        /// Who wanted to listen.
        what: &'static str,
        /// Where.
        address: SocketAddr,
    },
    /// Another reason.
    #[error("the {what} cannot listen on {address}: {source}; check that this machine has the address")]
    Other {
        /// Who wanted to listen.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// Has the system ask a silent peer whether it still lives: a machine that vanished is noticed within some 25 seconds, idle
/// or not, and answers are not held back to fill packets. Both are of no consequence where the system refuses them.
pub(crate) fn keep_alive(tcp: &TcpStream) {
    let probe = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    let socket = SockRef::from(tcp);
    let _ = socket.set_tcp_keepalive(&probe);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(Duration::from_secs(25)));
    let _ = tcp.set_nodelay(true);
}

/// Opens a listener for `what` ("gateway", "backend").
///
/// # Errors
///
/// [`ListenError`] says why not and what to do.
pub async fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken { what, address },
        io::ErrorKind::PermissionDenied => ListenError::Forbidden { what, address },
        _ => ListenError::Other { what, address, source },
    })
}
