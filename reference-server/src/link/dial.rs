//! The gateway's end of a link.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tr_protocol::message::{Class, ErrorCode, Link};
use tr_protocol::value::Number;

use super::serve::write_messages;
use super::wire;
use super::{FrameReader, LinkError, LinkLimits};
use crate::{clock, tls};

/// The first channel's number.
const FIRST: Number = match Number::new(1) {
    Some(number) => number,
    None => panic!("1 is a number"),
};

/// How to reach the backend.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// Its address.
    pub address: SocketAddr,
    /// The DNS name or IP address that its certificate must have.
    pub name: ServerName<'static>,
    /// TLS, expecting class backend ([`tls::client_config`]).
    pub tls: Arc<ClientConfig>,
}

/// The backend cannot be reached at the moment; nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the backend cannot be reached")]
pub struct Unavailable;

/// The gateway's end of the link, which connects by itself and connects again whenever it breaks. Clones are the same link.
#[derive(Debug, Clone)]
pub struct Uplink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    next_channel: AtomicU64,
    /// Whether the link is up; for those who wait for it.
    up: watch::Sender<bool>,
    connects: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    link: Option<Up>,
    devices: HashMap<Number, Entry>,
}

/// The link that is up now.
#[derive(Debug, Clone)]
struct Up {
    epoch: u64,
    queue: mpsc::Sender<Vec<u8>>,
}

#[derive(Debug)]
struct Entry {
    answers: mpsc::Sender<Outgoing>,
    state: Arc<PortState>,
    /// The link on which the backend knows this channel; 0 for none.
    announced: u64,
}

#[derive(Debug, Default)]
struct PortState {
    /// A frame went to the backend and nothing came back since.
    awaiting: AtomicBool,
    answered: Notify,
    /// The device did not take its answers.
    cut_off: AtomicBool,
    cut: Notify,
}

impl Uplink {
    /// Starts connecting; the task goes on until it is aborted.
    #[must_use]
    pub fn start(dialer: Dialer, limits: LinkLimits) -> (Self, JoinHandle<()>) {
        let uplink = Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                next_channel: AtomicU64::new(1),
                up: watch::Sender::new(false),
                connects: AtomicU64::new(0),
            }),
        };
        let task = tokio::spawn(keep_connected(Arc::clone(&uplink.shared), dialer, limits));
        (uplink, task)
    }

    /// A new channel for a device. `queue` bounds the answers that wait for it to read; one more, and it is cut off.
    #[must_use]
    pub fn attach(&self, class: Class, peer: SocketAddr, queue: usize) -> (Port, mpsc::Receiver<Outgoing>) {
        let number = self.shared.next_channel.fetch_add(1, Ordering::Relaxed);
        let channel = Number::new(number & Number::MAX).unwrap_or(FIRST);
        let (answers, receiver) = mpsc::channel(queue.max(1));
        let state = Arc::new(PortState::default());
        let entry = Entry {
            answers: answers.clone(),
            state: Arc::clone(&state),
            announced: 0,
        };
        self.shared.lock().devices.insert(channel, entry);
        let port = Port {
            channel,
            opened: wire::opened(channel, class, &peer.to_string()),
            via: wire::via(channel),
            answers,
            state,
            shared: Arc::clone(&self.shared),
        };
        (port, receiver)
    }

    /// Whether the link is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        *self.shared.up.borrow()
    }

    /// How often the link has come up.
    #[must_use]
    pub fn connects(&self) -> u64 {
        self.shared.connects.load(Ordering::Relaxed)
    }

    /// Waits until the link is up.
    pub async fn wait_up(&self) {
        // The sender lives in `shared`, so this cannot fail.
        let _ = self.shared.up.subscribe().wait_for(|up| *up).await;
    }
}

/// A frame on its way to a device.
#[derive(Debug)]
pub struct Outgoing {
    /// The frame.
    pub frame: Vec<u8>,
    /// Whether the backend said it, rather than the gateway.
    pub from_backend: bool,
}

/// One device's place on the link. Dropping it closes the channel.
#[derive(Debug)]
pub struct Port {
    channel: Number,
    opened: Vec<u8>,
    via: Vec<u8>,
    answers: mpsc::Sender<Outgoing>,
    state: Arc<PortState>,
    shared: Arc<Shared>,
}

impl Port {
    /// The channel's number; it is unique in this process.
    #[must_use]
    pub fn channel(&self) -> u64 {
        self.channel.get()
    }

    /// Sends one frame to the backend, verbatim, waiting while the link is busy.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] when the link is down; the device has not been told.
    pub async fn forward(&self, frame: &[u8]) -> Result<(), Unavailable> {
        let (queue, opens) = {
            let mut state = self.shared.lock();
            let link = state.link.clone().ok_or(Unavailable)?;
            let entry = state.devices.get_mut(&self.channel).ok_or(Unavailable)?;
            let opens = entry.announced != link.epoch;
            entry.announced = link.epoch;
            self.state.awaiting.store(true, Ordering::Relaxed);
            (link.queue, opens)
        };
        let mut message = if opens { self.opened.clone() } else { Vec::new() };
        message.extend_from_slice(&self.via);
        message.extend_from_slice(frame);
        if queue.send(message).await.is_ok() {
            return Ok(());
        }
        // The link broke. Whoever clears `awaiting` tells the device, so it is told once.
        if self.state.awaiting.swap(false, Ordering::Relaxed) {
            return Err(Unavailable);
        }
        Ok(())
    }

    /// Queues a frame of the gateway's own for the device, waiting while it does not read.
    pub async fn answer(&self, frame: Vec<u8>) {
        // The receiver outlives the port, except while the connection is being torn down.
        let _ = self
            .answers
            .send(Outgoing {
                frame,
                from_backend: false,
            })
            .await;
    }

    /// Whether a frame went to the backend and nothing came back yet.
    #[must_use]
    pub fn is_awaiting(&self) -> bool {
        self.state.awaiting.load(Ordering::Relaxed)
    }

    /// Waits until nothing is awaited from the backend.
    pub async fn settled(&self) {
        loop {
            let answered = self.state.answered.notified();
            if !self.is_awaiting() {
                return;
            }
            answered.await;
        }
    }

    /// Waits until the backend closes the channel or the device is cut off for not reading; tells whether it was cut off.
    pub async fn ended(&self) -> bool {
        loop {
            let cut = self.state.cut.notified();
            if !self.shared.lock().devices.contains_key(&self.channel) {
                return self.state.cut_off.load(Ordering::Relaxed);
            }
            cut.await;
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let queue = {
            let mut state = self.shared.lock();
            let known = state.devices.remove(&self.channel).map_or(0, |entry| entry.announced);
            state
                .link
                .as_ref()
                .filter(|link| link.epoch == known)
                .map(|link| link.queue.clone())
        };
        let Some(queue) = queue else {
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(message)) = queue.try_send(wire::closed(self.channel)) {
            // The backend must learn of it; outside a runtime the whole link is going anyway.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    let _ = queue.send(message).await;
                });
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn went_up(&self, queue: mpsc::Sender<Vec<u8>>) {
        let epoch = self.connects.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.lock().link = Some(Up { epoch, queue });
        self.up.send_replace(true);
    }

    /// Tells every device with a frame unanswered that it cannot know its fate.
    fn went_down(&self) {
        self.up.send_replace(false);
        let mut state = self.lock();
        state.link = None;
        for entry in state.devices.values() {
            if entry.state.awaiting.swap(false, Ordering::Relaxed) {
                // A device whose queue is full does not read; it will time out by itself.
                let frame = wire::code_frame(ErrorCode::Failed);
                let _ = entry.answers.try_send(Outgoing {
                    frame,
                    from_backend: false,
                });
                entry.state.answered.notify_waiters();
            }
        }
    }

    /// Hands an answer to its device without waiting.
    fn route(&self, channel: Number, frame: Vec<u8>) {
        let mut state = self.lock();
        let Some(entry) = state.devices.get(&channel) else {
            tracing::debug!(channel = channel.get(), "dropped an answer: the device has left");
            return;
        };
        let full = matches!(
            entry.answers.try_send(Outgoing {
                frame,
                from_backend: true
            }),
            Err(mpsc::error::TrySendError::Full(_))
        );
        entry.state.awaiting.store(false, Ordering::Relaxed);
        entry.state.answered.notify_waiters();
        if full {
            entry.state.cut_off.store(true, Ordering::Relaxed);
            let (link, known) = (state.link.clone(), entry.announced);
            state.end(channel);
            drop(state);
            if let Some(link) = link.filter(|link| link.epoch == known) {
                // Else the backend learns of it when it next answers to nobody.
                let _ = link.queue.try_send(wire::closed(channel));
            }
        }
    }
}

impl State {
    /// Forgets a channel and wakes its port.
    fn end(&mut self, channel: Number) {
        if let Some(entry) = self.devices.remove(&channel) {
            entry.state.cut.notify_waiters();
        }
    }
}

/// Connects, serves the link, and connects again, forever.
async fn keep_connected(shared: Arc<Shared>, dialer: Dialer, limits: LinkLimits) {
    let mut wait = limits.back_off_first;
    let mut told = false;
    loop {
        let attempt = tls::connect(
            Arc::clone(&dialer.tls),
            dialer.address,
            dialer.name.clone(),
            limits.handshake,
        );
        match attempt.await {
            Ok(stream) => {
                super::keep_alive(stream.get_ref().0);
                let since = clock::instant();
                let ended = run_link(&shared, stream, &limits, dialer.address).await;
                match ended {
                    Ok(()) => tracing::warn!(backend = %dialer.address, "the backend closed the link"),
                    Err(reason) => tracing::warn!(backend = %dialer.address, %reason, "the link to the backend broke"),
                }
                told = false;
                // A link that breaks at once (a refused certificate shows only then) counts as a failure.
                if since.elapsed() > limits.back_off_most {
                    wait = limits.back_off_first;
                }
            }
            Err(error) if told => tracing::debug!(reason = %error, "the backend is still away"),
            Err(error) => {
                tracing::warn!(reason = %error, "no link to the backend; trying again");
                told = true;
            }
        }
        tokio::time::sleep(wait).await;
        wait = wait.saturating_mul(2).min(limits.back_off_most);
    }
}

/// Serves one link until it ends.
async fn run_link<S>(shared: &Shared, stream: S, limits: &LinkLimits, address: SocketAddr) -> Result<(), LinkError>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (read, write) = tokio::io::split(stream);
    let (queue, queued) = mpsc::channel(limits.queue);
    shared.went_up(queue);
    tracing::info!(backend = %address, "the link to the backend is up");
    let down = Down(shared);
    let mut reader = FrameReader::new(read, 8);
    let ended = tokio::select! {
        ended = read_answers(shared, &mut reader) => ended,
        ended = write_messages(write, queued, limits.write) => ended,
    };
    drop(down);
    ended
}

/// Marks the link as down however serving it ends.
struct Down<'a>(&'a Shared);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        self.0.went_down();
    }
}

async fn read_answers<R: AsyncRead + Unpin>(shared: &Shared, reader: &mut FrameReader<R>) -> Result<(), LinkError> {
    while let Some(frame) = reader.next_frame().await? {
        match wire::parse(&frame)? {
            Link::Via(message) => match reader.next_frame().await? {
                Some(answer) => shared.route(message.channel, answer),
                None => return Ok(()),
            },
            Link::Closed(message) => shared.lock().end(message.channel),
            Link::Opened(message) => {
                let reason = format!("the backend opened channel {}", message.channel.get());
                return Err(LinkError::Rules { reason });
            }
        }
    }
    Ok(())
}
