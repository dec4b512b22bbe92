//! One device's connection, from its handshake to its end.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tr_pki::Role;
use tr_protocol::Error;
use tr_protocol::frame::{Frame, Scanner};
use tr_protocol::message::{Class, ErrorAnswer, ErrorCode, Outer};
use tr_protocol::value::{Digest, TransactionId};

use super::tap::{Direction, Seen};
use super::{Shared, TokenBucket};
use crate::crash::crash_point;
use crate::link::{FrameReader, Outgoing, Port, code_frame, error_frame, keep_alive, unclean_end};
use crate::{clock, tls};

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// The device closed it.
    Closed,
    /// The connection failed.
    Broken(std::io::Error),
    /// It sent what is no outer frame, or only half of one.
    Bad(Error),
    /// It sent a frame that only others send.
    OutOfPlace,
    /// It was silent for too long.
    Silent,
    /// It did not take its answers.
    CutOff,
    /// The backend ended the channel.
    ByBackend,
    /// The gateway shuts down.
    Shutdown,
}

/// Serves one connection. Never fails: what goes wrong is logged, counted, and stays with this connection.
pub(super) async fn serve(shared: Arc<Shared>, tcp: TcpStream, peer: SocketAddr, mut stopped: watch::Receiver<()>) {
    keep_alive(&tcp);
    let handshake = tls::accept(Arc::clone(&shared.tls), tcp, shared.limits.handshake);
    let accepted = tokio::select! {
        accepted = handshake => accepted,
        _ = stopped.changed() => return,
    };
    let accepted = match accepted {
        Ok(accepted) => accepted,
        Err(reason) => {
            shared.metrics.refused_tls.add();
            tracing::info!(%peer, %reason, "refused a device");
            return;
        }
    };
    let Some(class) = device_class(accepted.class) else {
        shared.metrics.refused_tls.add();
        tracing::info!(%peer, class = %accepted.class, "refused a device: its class is none of a device");
        return;
    };
    shared.metrics.connected.add();
    let (port, answers) = shared.uplink.attach(class, peer, shared.limits.queue);
    let channel = port.channel();
    tracing::debug!(%peer, channel, ?class, "a device is connected");
    let connection = Connection {
        shared: &shared,
        peer,
        channel,
    };
    let end = connection.run(accepted.stream, port, answers, stopped).await;
    connection.report(&end);
}

struct Connection<'a> {
    shared: &'a Shared,
    peer: SocketAddr,
    channel: u64,
}

impl Connection<'_> {
    async fn run<S>(
        &self,
        stream: S,
        port: Port,
        answers: mpsc::Receiver<Outgoing>,
        mut stopped: watch::Receiver<()>,
    ) -> End
    where
        S: AsyncRead + AsyncWrite,
    {
        let limits = &self.shared.limits;
        let (read, write) = tokio::io::split(stream);
        let writer = self.write_answers(write, answers);
        tokio::pin!(writer);
        let end = tokio::select! {
            end = self.read_frames(read, &port) => end,
            end = &mut writer => return end,
            cut_off = port.ended() => if cut_off { End::CutOff } else { End::ByBackend },
            _ = stopped.changed() => End::Shutdown,
        };
        let last_words = async {
            match &end {
                End::Bad(error) => port.answer(error_frame(&ErrorAnswer::about(error))).await,
                End::OutOfPlace => port.answer(code_frame(ErrorCode::OutOfPlace)).await,
                // Whether answered or not, this is all the time there is.
                End::Shutdown => drop(timeout(limits.grace, port.settled()).await),
                End::CutOff | End::Silent | End::Closed | End::Broken(_) | End::ByBackend => {}
            }
        };
        tokio::select! {
            () = last_words => {}
            end = &mut writer => return end,
        }
        if matches!(end, End::CutOff) {
            return end;
        }
        // With the port the last sender goes, so the writer ends when it has written what is queued.
        drop(port);
        let _ = timeout(limits.write, writer).await;
        end
    }

    /// Reads, checks and forwards frames until something ends the connection.
    async fn read_frames<R: AsyncRead + Unpin>(&self, read: R, port: &Port) -> End {
        let limits = &self.shared.limits;
        let mut reader = FrameReader::new(read, 1);
        let mut scanner = Scanner::new();
        let now = clock::instant();
        let mut frames = TokenBucket::new(limits.frames_per_second, limits.frame_burst, now);
        let mut octets = TokenBucket::new(limits.bytes_per_second, limits.byte_burst, now);
        let mut idle_until = Instant::now() + limits.idle;
        // Set while part of a frame is there.
        let mut frame_until = None;
        loop {
            match scanner.scan(reader.buffered()) {
                Ok(Some(length)) => {
                    let frame = reader.take(length);
                    if let Err(end) = self.pass(&frame, port).await {
                        return end;
                    }
                    self.throttle(frames.take(1, clock::instant())).await;
                    idle_until = Instant::now() + limits.idle;
                    frame_until = None;
                    continue;
                }
                Ok(None) => {}
                Err(error) => return self.bad(reader.buffered(), error),
            }
            let inside_frame = !reader.buffered().is_empty();
            let until = match inside_frame {
                true => *frame_until.get_or_insert_with(|| Instant::now() + limits.frame),
                false => idle_until,
            };
            let count = match timeout_at(until, reader.read_more()).await {
                Err(_) => {
                    self.shared.metrics.timed_out.add();
                    return match Frame::parse(reader.buffered()) {
                        Err(error) if inside_frame => self.bad(reader.buffered(), error),
                        _ => End::Silent,
                    };
                }
                Ok(count) => match count.or_else(unclean_end) {
                    Ok(0) => return End::Closed,
                    Ok(count) => count,
                    Err(error) => return End::Broken(error),
                },
            };
            let wait = octets.take(u32::try_from(count).unwrap_or(u32::MAX), clock::instant());
            self.throttle(wait).await;
            frame_until = frame_until.map(|until| until + wait);
        }
    }

    /// Passes one frame on if a device may send it; a backend that is away is no fault of the frame.
    async fn pass(&self, bytes: &[u8], port: &Port) -> Result<(), End> {
        let frame = Frame::parse_exact(bytes).map_err(|error| self.bad(bytes, error))?;
        let message = Outer::parse(&frame).map_err(|error| self.bad(bytes, error))?;
        let request = match message {
            Outer::Enrol(message) => Some(message.id),
            Outer::Authenticate(message) => Some(message.id),
            Outer::Sealed(_) => None,
            Outer::EnrolAnswer(_) | Outer::AuthenticateAnswer(_) | Outer::ErrorAnswer(_) => {
                self.shared.metrics.refused_frames.add();
                self.show(Direction::Refused, bytes);
                return Err(End::OutOfPlace);
            }
        };
        if port.forward(bytes).await.is_ok() {
            self.shared.metrics.forwarded.add();
            self.show(Direction::ToBackend, bytes);
            return Ok(());
        }
        self.shared.metrics.unavailable.add();
        self.show(Direction::Refused, bytes);
        port.answer(error_frame(&unavailable(&frame, request))).await;
        Ok(())
    }

    /// Counts and shows what is no outer frame.
    fn bad(&self, bytes: &[u8], error: Error) -> End {
        self.shared.metrics.bad_frames.add();
        self.show(Direction::Refused, bytes);
        End::Bad(error)
    }

    async fn throttle(&self, wait: Duration) {
        if !wait.is_zero() {
            self.shared.metrics.throttled.add();
            tokio::time::sleep(wait).await;
        }
    }

    /// Writes queued answers until there are no more senders or the device takes too long over one.
    async fn write_answers<W: AsyncWrite + Unpin>(&self, mut write: W, mut answers: mpsc::Receiver<Outgoing>) -> End {
        let limit = self.shared.limits.write;
        while let Some(answer) = answers.recv().await {
            // Not the handshake's answers, nor the sign-on's, which is message 0: a command's.
            if answer.frame.starts_with(b"TR1 D sealed\n") && !answer.frame.starts_with(b"TR1 D sealed\nindex=0\n") {
                crash_point("gateway-answering");
            }
            let written = async {
                write.write_all(&answer.frame).await?;
                write.flush().await
            };
            match timeout(limit, written).await {
                Err(_) => return End::CutOff,
                Ok(Err(error)) => return End::Broken(error),
                Ok(Ok(())) if answer.from_backend => {
                    self.shared.metrics.answered.add();
                    self.show(Direction::ToDevice, &answer.frame);
                }
                Ok(Ok(())) => self.show(Direction::FromGateway, &answer.frame),
            }
        }
        let _ = timeout(limit, write.shutdown()).await;
        End::Closed
    }

    fn show(&self, direction: Direction, frame: &[u8]) {
        if let Some(tap) = &self.shared.tap {
            tap.see(&Seen {
                channel: self.channel,
                peer: self.peer,
                direction,
                frame,
            });
        }
    }

    fn report(&self, end: &End) {
        let (peer, channel, metrics) = (self.peer, self.channel, &self.shared.metrics);
        match end {
            End::Closed | End::Shutdown => tracing::debug!(%peer, channel, "a device has left"),
            End::Broken(error) => tracing::debug!(%peer, channel, %error, "a device's connection broke"),
            End::ByBackend => tracing::debug!(%peer, channel, "closed a device at the backend's wish"),
            End::Bad(error) => tracing::info!(%peer, channel, %error, "closed a device for a bad frame"),
            End::OutOfPlace => tracing::info!(%peer, channel, "closed a device for a frame that devices do not send"),
            End::Silent => tracing::info!(%peer, channel, "closed a device that was silent for too long"),
            End::CutOff => {
                metrics.cut_off.add();
                tracing::info!(%peer, channel, "cut off a device that does not read its answers");
            }
        }
    }
}

/// The class of a device's certificate; `None` for what is no device.
fn device_class(role: Role) -> Option<Class> {
    match role {
        Role::ClassPos => Some(Class::Pos),
        Role::ClassCard => Some(Class::Card),
        _ => None,
    }
}

/// That the backend cannot be reached, said to the request that it answers if it has an id.
fn unavailable(frame: &Frame<'_>, request: Option<TransactionId>) -> ErrorAnswer<'static> {
    let answer = ErrorAnswer::of(ErrorCode::Unavailable);
    let Some(id) = request else {
        return answer;
    };
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, frame.before_signatures()).as_ref());
    answer.to(id, Digest(digest))
}
