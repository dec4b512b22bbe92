//! The backend's end of a link.

use core::future::Future;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{Id, JoinSet};
use tr_protocol::message::{Class, ErrorCode, Link};
use tr_protocol::value::Number;

use super::wire;
use super::{FrameReader, LinkError, LinkLimits};
use crate::tls;

/// One device connected at a gateway, as its task in the backend sees it.
#[derive(Debug)]
pub struct Device {
    /// Its number on this link, for logs.
    pub channel: u64,
    /// The class of its TLS certificate. It is no identity; the individual certificate is.
    pub class: Class,
    /// Its network address, as the gateway saw it.
    pub peer: String,
    /// Where its answers go.
    pub answers: Answers,
    frames: mpsc::Receiver<Vec<u8>>,
}

impl Device {
    /// Its next frame, verbatim and not yet parsed, with its blank line; `None` once the device or the link is gone. A task
    /// that gets `None` finishes.
    pub async fn next_frame(&mut self) -> Option<Vec<u8>> {
        self.frames.recv().await
    }
}

/// Where one device's answers go. Clones lead to the same device.
#[derive(Debug, Clone)]
pub struct Answers {
    via: Arc<[u8]>,
    link: mpsc::Sender<Vec<u8>>,
}

impl Answers {
    /// Sends one complete frame, waiting while the link is busy.
    ///
    /// # Errors
    ///
    /// [`LinkGone`] when the link has ended. The device will ask again.
    pub async fn send(&self, frame: &[u8]) -> Result<(), LinkGone> {
        let message = [&self.via, frame].concat();
        self.link.send(message).await.map_err(|_| LinkGone)
    }
}

/// The link has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link to the gateway has ended")]
pub struct LinkGone;

/// Listens for gateways until `shutdown` completes: mutual TLS with `tls` (which accepts class gateway only), then
/// [`serve_link`] for each. On shutdown no more frames are read; running channel tasks get [`LinkLimits::drain`] to finish.
///
/// `handler` runs once per channel, as its task.
pub async fn serve_gateways<H, F>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    limits: LinkLimits,
    handler: H,
    shutdown: impl Future<Output = ()>,
) where
    H: Fn(Device) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (stop, stopped) = tokio::sync::watch::channel(());
    let slots = Arc::new(Semaphore::new(limits.gateways));
    let mut links = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let (tcp, peer) = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = links.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a gateway's connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            tracing::warn!(%peer, limit = limits.gateways, "refused a connection: too many gateways");
            continue;
        };
        let (tls, limits, handler, mut stopped) = (Arc::clone(&tls), limits.clone(), handler.clone(), stopped.clone());
        links.spawn(async move {
            let _slot = slot;
            let stop = async move { while stopped.changed().await.is_ok() {} };
            serve_gateway(tcp, tls, &limits, handler, stop, peer).await;
        });
    }
    drop(stop);
    while links.join_next().await.is_some() {}
}

async fn serve_gateway<H, F>(
    tcp: TcpStream,
    tls: Arc<ServerConfig>,
    limits: &LinkLimits,
    handler: H,
    stop: impl Future<Output = ()>,
    peer: core::net::SocketAddr,
) where
    H: Fn(Device) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    super::keep_alive(&tcp);
    let accepted = match tls::accept(tls, tcp, limits.handshake).await {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(%peer, reason = %error, "refused a gateway");
            return;
        }
    };
    tracing::info!(%peer, "a gateway is connected");
    match serve_link(accepted.stream, limits, handler, stop).await {
        Ok(()) => tracing::info!(%peer, "a gateway's link has ended"),
        Err(error) => tracing::warn!(%peer, %error, "a gateway's link has broken"),
    }
}

/// Serves one link over an authenticated stream until the gateway closes it or `stop` completes.
///
/// For each channel `handler(device)` becomes a task. When the device or the link goes, [`Device::next_frame`] gives `None`
/// and the task should finish; one that goes on for longer than [`LinkLimits::drain`] after the link's end is dropped. A
/// task that finishes first, or panics, has its device disconnected.
///
/// # Errors
///
/// [`LinkError`] when the link broke or the gateway did not keep to its rules. Nothing that a device sends causes one.
pub async fn serve_link<S, H, F>(
    stream: S,
    limits: &LinkLimits,
    handler: H,
    stop: impl Future<Output = ()>,
) -> Result<(), LinkError>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
    H: Fn(Device) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let (read, write) = tokio::io::split(stream);
    let (queue, queued) = mpsc::channel(limits.queue);
    let mut channels = Channels {
        limits,
        handler,
        queue,
        inboxes: HashMap::new(),
        tasks: JoinSet::new(),
        numbers: HashMap::new(),
    };
    let mut writer = tokio::spawn(write_messages(write, queued, limits.write));
    let mut reader = FrameReader::new(read, 8);
    let ended = {
        tokio::pin!(stop);
        tokio::select! {
            ended = channels.run(&mut reader) => ended,
            () = stop => Ok(()),
            ended = &mut writer => ended.unwrap_or(Ok(())),
        }
    };
    channels.drain().await;
    // The queue's last sender is gone with the tasks, so the writer flushes and ends.
    if !writer.is_finished() {
        let limit = limits.write;
        let _ = tokio::time::timeout(limit, writer).await;
    }
    ended
}

/// The channels of one link.
struct Channels<'a, H> {
    limits: &'a LinkLimits,
    handler: H,
    queue: mpsc::Sender<Vec<u8>>,
    /// Where each channel's frames go.
    inboxes: HashMap<Number, Inbox>,
    tasks: JoinSet<()>,
    /// Whose task each is.
    numbers: HashMap<Id, Number>,
}

struct Inbox {
    frames: mpsc::Sender<Vec<u8>>,
    via: Arc<[u8]>,
    task: Id,
}

impl<H, F> Channels<'_, H>
where
    H: Fn(Device) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    async fn run<R: AsyncRead + Unpin>(&mut self, reader: &mut FrameReader<R>) -> Result<(), LinkError> {
        // Set between an `I via` and the frame that it announces.
        let mut via = None;
        loop {
            let frame = tokio::select! {
                Some(done) = self.tasks.join_next_with_id() => {
                    let id = done.map_or_else(|panic| panic.id(), |(id, ())| id);
                    self.finished(id).await;
                    continue;
                }
                frame = reader.next_frame() => frame?,
            };
            let Some(frame) = frame else {
                return Ok(());
            };
            if let Some(channel) = via.take() {
                self.deliver(channel, frame);
                continue;
            }
            match wire::parse(&frame)? {
                Link::Opened(message) => self.open(message.channel, message.class, message.peer.as_str())?,
                Link::Via(message) => via = Some(message.channel),
                Link::Closed(message) => {
                    self.inboxes.remove(&message.channel);
                }
            }
        }
    }

    /// Starts a channel's task.
    fn open(&mut self, channel: Number, class: Class, peer: &str) -> Result<(), LinkError> {
        if self.inboxes.contains_key(&channel) {
            let reason = format!("channel {} was opened twice", channel.get());
            return Err(LinkError::Rules { reason });
        }
        if self.inboxes.len() >= self.limits.channels {
            tracing::warn!(limit = self.limits.channels, "refused a device: too many channels");
            self.tell(wire::closed(channel));
            return Ok(());
        }
        let (frames, receiver) = mpsc::channel(self.limits.frames_per_channel);
        let via: Arc<[u8]> = wire::via(channel).into();
        let device = Device {
            channel: channel.get(),
            class,
            peer: peer.to_owned(),
            answers: Answers {
                via: Arc::clone(&via),
                link: self.queue.clone(),
            },
            frames: receiver,
        };
        let task = self.tasks.spawn((self.handler)(device)).id();
        self.numbers.insert(task, channel);
        self.inboxes.insert(channel, Inbox { frames, via, task });
        Ok(())
    }

    /// Hands a device's frame to its task. Never waits.
    fn deliver(&self, channel: Number, frame: Vec<u8>) {
        let Some(inbox) = self.inboxes.get(&channel) else {
            tracing::debug!(channel = channel.get(), "dropped a frame of a channel that is closed");
            return;
        };
        match inbox.frames.try_send(frame) {
            // A task that is just ending: `finished` tells the gateway.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::debug!(channel = channel.get(), "refused a frame: the channel's queue is full");
                self.tell([&inbox.via, wire::code_frame(ErrorCode::Busy).as_slice()].concat());
            }
        }
    }

    /// Queues a message if there is room. What is said so is never needed for correctness.
    fn tell(&self, message: Vec<u8>) {
        let _ = self.queue.try_send(message);
    }

    async fn finished(&mut self, id: Id) {
        let Some(channel) = self.numbers.remove(&id) else {
            return;
        };
        // Gone already when the device went first.
        if self.inboxes.get(&channel).is_some_and(|inbox| inbox.task == id) {
            self.inboxes.remove(&channel);
            let _ = self.queue.send(wire::closed(channel)).await;
        }
    }

    /// Ends every channel and waits for the tasks.
    async fn drain(self) {
        let Self {
            limits,
            inboxes,
            mut tasks,
            ..
        } = self;
        drop(inboxes);
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(limits.drain, all).await.is_err() {
            tracing::warn!(left = tasks.len(), "dropped channel tasks that did not finish");
        }
    }
}

/// Writes queued messages, several at once when they have piled up, until every sender is gone.
pub(super) async fn write_messages<W: AsyncWrite>(
    mut write: WriteHalf<W>,
    mut queued: mpsc::Receiver<Vec<u8>>,
    limit: Duration,
) -> Result<(), LinkError> {
    let mut batch = Vec::new();
    while queued.recv_many(&mut batch, 64).await > 0 {
        let bytes = batch.concat();
        batch.clear();
        let written = async {
            write.write_all(&bytes).await?;
            write.flush().await
        };
        tokio::time::timeout(limit, written)
            .await
            .map_err(|_| LinkError::Stalled { limit })?
            .map_err(LinkError::Write)?;
    }
    let _ = tokio::time::timeout(limit, write.shutdown()).await;
    Ok(())
}
