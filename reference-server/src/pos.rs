//! The shell around the terminal's state machine: sockets, files, time and randomness of one point of sale.
//!
//! ```text
//! DIR/pos.toml       gateway and root fingerprint (public)
//! DIR/pos.keys       key store: identity, class key, storage key
//! DIR/pos.memory     counter, trust, unanswered command: sealed under the storage key
//! DIR/class.pem      the class certificate; DIR/class-ca.pem  whom it trusts in TLS; DIR/root.pem
//! DIR/receipts/      one receipt a decided command
//! ```

use core::net::SocketAddr;
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tr_auth_aws_lc::AwsLc;
use tr_hsm::{Attributes, Usage, Vault};
use tr_pki::voucher::Voucher;
use tr_pki::{Role, Verifier, pem};
use tr_protocol::frame::{Frame, MAX_FRAME, Scanner};
use tr_protocol::message::{ErrorCode, Inner};
use tr_protocol::value::{Amount, Currency, Time, TransactionId};
use tr_terminal::memory::{MAX_SEALED, Memory};
use tr_terminal::{Dropped, Event, Output, Sale, Swiped, Terminal};
use zeroize::Zeroizing;

use crate::config::{create_private_dir, parse_settings, write_private};
use crate::crash::crash_point;
use crate::hsm::{self, Hsm};
use crate::{clock, init, receipt, tls, ui};

/// The settings file's format.
const POS_VERSION: u32 = 1;
/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take; the gateway and the backend need far less.
const ANSWER: Duration = Duration::from_secs(10);
/// How long one attempt may take in all: connection, handshake, sign-on, answer.
const ATTEMPT: Duration = Duration::from_secs(20);
/// Pauses before the second, third … attempt.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];
/// The least first floor of a terminal's time, for a machine whose clock was never set: 2026-11-01T00:00:00Z.
const BUILT: i64 = 1_793_491_200;

/// What `pos.toml` holds.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    version: u32,
    gateway: SocketAddr,
    /// SHA-256 of the root certificate, hexadecimal.
    root: String,
}

/// A point of sale as it lies on disk.
#[derive(Debug)]
pub struct Pos {
    dir: PathBuf,
    settings: Settings,
    hsm: Arc<Hsm>,
    tls: Arc<ClientConfig>,
}

/// What an installer was handed for one terminal.
pub struct Handover<'a> {
    /// The voucher's text.
    pub voucher: &'a str,
    /// SHA-256 of the root, hexadecimal.
    pub root: &'a str,
    /// The PKCS#12 file.
    pub handout: &'a Path,
    /// Its code.
    pub code: &'a str,
    /// The gateway.
    pub gateway: SocketAddr,
}

impl core::fmt::Debug for Handover<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Handover")
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}

impl Pos {
    /// Makes a key, redeems the voucher, and keeps certificate and trust. An interrupted enrolment goes on where it
    /// stopped: the same request gets the same certificate.
    ///
    /// # Errors
    /// When the directory holds an enrolled terminal, or a step fails.
    pub async fn enrol(dir: &Path, passphrase: &str, handover: &Handover<'_>) -> Result<Self> {
        let root = parse_fingerprint(handover.root)?;
        let voucher = Voucher::parse(handover.voucher).map_err(|error| anyhow!("the voucher is mistyped: {error}"))?;
        ensure!(
            !dir.join("pos.memory").exists(),
            "{} holds an enrolled terminal: name another directory with --pos",
            dir.display()
        );
        create_private_dir(dir)?;
        create_private_dir(&dir.join("receipts"))?;
        let keys = dir.join("pos.keys");
        let hsm = if keys.exists() {
            hsm::open(&keys, passphrase)?
        } else {
            make_keys(dir, &keys, passphrase, handover)?
        };
        let settings = Settings {
            version: POS_VERSION,
            gateway: handover.gateway,
            root: ui::hex(&root),
        };
        write_private(&dir.join("pos.toml"), toml::to_string(&settings)?.as_bytes())?;
        let pos = Pos {
            dir: dir.to_owned(),
            tls: tls_config(dir, &hsm)?,
            settings,
            hsm,
        };

        // The request is kept until it is answered: a repeat must be identical, and signatures are not.
        let request_file = dir.join("enrolment.request");
        let mut buffer = [0; MAX_FRAME];
        if !is_for(&request_file, &voucher)? {
            let request =
                tr_terminal::enrol::request(&*pos.hsm, hsm::IDENTITY.newest(), &voucher, &AwsLc, &mut buffer)?;
            write_private(&request_file, request.as_bytes())?;
        }
        let request = fs::read(&request_file)?;
        let mut stream = pos.connect().await?;
        stream.write_all(&request).await?;
        let answer = read_frame(&mut stream)
            .await
            .context("the network gave no answer: try again")?;
        let request_frame =
            Frame::parse_exact(&request).map_err(|error| anyhow!("{}: {error}", request_file.display()))?;
        let answer_frame = Frame::parse_exact(&answer).map_err(|error| anyhow!("the answer is malformed: {error}"))?;
        let memory = tr_terminal::enrol::accept(
            &*pos.hsm,
            hsm::IDENTITY.newest(),
            &request_frame,
            &answer_frame,
            &root,
            BUILT.max(clock::now()),
            &AwsLc,
        )?;
        if let Ok(tr_protocol::message::Outer::EnrolAnswer(answer)) = tr_protocol::message::Outer::parse(&answer_frame)
        {
            let mut der = vec![0; answer.root.len()];
            answer
                .root
                .octets(&mut der)
                .map_err(|kind| anyhow!("{}", kind.code()))?;
            write_private(
                &dir.join("root.pem"),
                pem::encode(pem::Label::Certificate, &der)?.as_bytes(),
            )?;
        }
        pos.save(&memory)?;
        // The memory is what counts; a request that is left behind does no harm.
        let _ = fs::remove_file(&request_file);
        Ok(pos)
    }

    /// Opens an enrolled terminal.
    ///
    /// # Errors
    /// When it is not enrolled, the passphrase is wrong, or another process has it open.
    pub fn open(dir: &Path, passphrase: &str) -> Result<Self> {
        let path = dir.join("pos.toml");
        ensure!(
            path.exists() && dir.join("pos.memory").exists(),
            "{} holds no enrolled terminal: run `tr-net enrol pos --pos {}`",
            dir.display(),
            dir.display()
        );
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let settings: Settings = parse_settings(&path, &text)?;
        ensure!(
            settings.version == POS_VERSION,
            "{} has version {}, this program reads {POS_VERSION}",
            path.display(),
            settings.version
        );
        let hsm = hsm::open(&dir.join("pos.keys"), passphrase)?;
        let tls = tls_config(dir, &hsm)?;
        Ok(Pos {
            dir: dir.to_owned(),
            settings,
            hsm,
            tls,
        })
    }

    /// The terminal at work. Nothing is connected yet.
    ///
    /// # Errors
    /// When the memory cannot be opened.
    pub fn shell(&self) -> Result<Shell<'_>> {
        let path = self.dir.join("pos.memory");
        let sealed = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let memory = Memory::unseal(&*self.hsm, hsm::STORAGE, &sealed).with_context(|| {
            format!(
                "{} does not open: it was altered, or belongs to another terminal",
                path.display()
            )
        })?;
        self.shell_with(memory)
    }

    /// The terminal as it was when its memory was copied: what a delayed message looks like to the network.
    ///
    /// # Errors
    /// When the memory's certificate cannot be read.
    pub fn shell_with(&self, memory: Memory) -> Result<Shell<'_>> {
        let terminal = Terminal::new(&*self.hsm, hsm::IDENTITY.newest(), AwsLc, memory)?;
        Ok(Shell {
            pos: self,
            terminal: Box::new(terminal),
            stream: None,
            shop: None,
            seen: Seen::default(),
        })
    }

    /// Puts a memory back, for one that was worked on with [`Pos::shell_with`].
    ///
    /// # Errors
    /// When it cannot be saved.
    pub fn keep(&self, memory: &Memory) -> Result<()> {
        self.save(memory)
    }

    /// The terminal's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// SHA-256 of the root, hexadecimal.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.settings.root
    }

    fn save(&self, memory: &Memory) -> Result<()> {
        let mut sealed = [0; MAX_SEALED];
        let sealed = memory.seal(&*self.hsm, hsm::STORAGE, &mut sealed)?;
        write_private(&self.dir.join("pos.memory"), sealed)
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let gateway = self.settings.gateway;
        let name = ServerName::IpAddress(gateway.ip().into());
        Ok(tls::connect(Arc::clone(&self.tls), gateway, name, CONNECT).await?)
    }
}

/// Whether a request that was kept is for this voucher: a new voucher wants a new request.
fn is_for(request: &Path, voucher: &Voucher) -> Result<bool> {
    if !request.exists() {
        return Ok(false);
    }
    let octets = fs::read(request).with_context(|| format!("cannot read {}", request.display()))?;
    let reference = voucher.reference().to_string();
    Ok(Frame::parse_exact(&octets)
        .is_ok_and(|frame| frame.get("voucher").is_some_and(|field| field.value == reference)))
}

/// Keys of a new terminal: its own, and the class key of the handout. Made under another name, so that a key store that is
/// there has all of them.
fn make_keys(dir: &Path, keys: &Path, passphrase: &str, handover: &Handover<'_>) -> Result<Arc<Hsm>> {
    let bundle = fs::read(handover.handout).with_context(|| format!("cannot read {}", handover.handout.display()))?;
    let handout = init::open_handout(&bundle, handover.code)?;
    for (name, der) in [("class.pem", &handout.certificate), ("class-ca.pem", &handout.class_ca)] {
        write_private(&dir.join(name), pem::encode(pem::Label::Certificate, der)?.as_bytes())?;
    }
    let making = dir.join("pos.keys.making");
    let left_behind = [making.clone(), dir.join("pos.keys.making.lock")];
    let tidy = || left_behind.iter().for_each(|file| drop(fs::remove_file(file)));
    tidy();
    let hsm = hsm::create(&making, passphrase, hsm::TERMINAL_KEYS)?;
    let attributes = Attributes::new(Usage::Sign, Usage::Sign.algorithm());
    hsm.import_p256(hsm::CLASS, attributes, &handout.scalar)?;
    drop(hsm);
    fs::rename(&making, keys).with_context(|| format!("cannot make {}", keys.display()))?;
    tidy();
    hsm::open(keys, passphrase)
}

fn tls_config(dir: &Path, hsm: &Arc<Hsm>) -> Result<Arc<ClientConfig>> {
    let now = clock::now();
    let certificate = |name: &str| -> Result<Vec<u8>> {
        let path = dir.join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        pem::decode(pem::Label::Certificate, &text).with_context(|| format!("{} is no certificate", path.display()))
    };
    let identity = tls::Identity::new(Arc::clone(hsm), hsm::CLASS.newest(), &certificate("class.pem")?, now)?;
    let trust = tls::Trust::new(&[certificate("class-ca.pem")?], now)?;
    Ok(tls::client_config(&identity, &trust, Role::ClassGateway)?)
}

/// Reads a SHA-256 in hexadecimal.
///
/// # Errors
/// When it is not 64 hexadecimal digits.
pub fn parse_fingerprint(text: &str) -> Result<[u8; 32]> {
    let text = text.trim();
    let wrong = || anyhow!("a fingerprint is 64 hexadecimal digits, `{text}` is not");
    ensure!(text.len() == 64 && text.is_ascii(), wrong());
    let mut out = [0; 32];
    for (at, octet) in out.iter_mut().enumerate() {
        let digits = text.get(at * 2..at * 2 + 2).ok_or_else(wrong)?;
        *octet = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(out)
}

async fn read_frame(stream: &mut TlsStream<TcpStream>) -> Result<Vec<u8>> {
    let mut scanner = Scanner::new();
    let mut received = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        let count = tokio::time::timeout(ANSWER, stream.read(&mut buffer))
            .await
            .context("nothing came in time")??;
        ensure!(count > 0, "the connection was closed");
        received.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(length) = scanner.scan(&received).map_err(|error| anyhow!("{error}"))? {
            received.truncate(length);
            return Ok(received);
        }
    }
}

/// What to do with a card or an earlier sale. It holds a card's track, so it has no `Debug`.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "a track must not be printed by mistake")]
pub enum Task<'a> {
    /// Pay.
    Pay {
        /// Minor units.
        amount: i64,
        /// Whether a part would be taken.
        partial: bool,
        /// Track 2, sentinels included.
        track: &'a str,
    },
    /// Undo a sale.
    Reverse(TransactionId),
    /// Ask what became of one.
    Status(TransactionId),
    /// Ask for a card's balance.
    Balance(&'a str),
}

/// A decided command, verbatim.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The signed command.
    pub command: String,
    /// The signed answer.
    pub answer: String,
    /// Where the receipt was written, for a sale or a reversal.
    pub receipt: Option<PathBuf>,
    /// Why it was not.
    pub receipt_error: Option<String>,
}

impl Settled {
    /// Calls `read` with the answer as a message.
    ///
    /// # Errors
    /// When the answer cannot be read; it was read before, so this does not happen.
    pub fn read<T>(&self, read: impl FnOnce(&Inner<'_>) -> T) -> Result<T> {
        self.read_both(|_, answer| read(answer))
    }

    /// Calls `read` with command and answer as messages.
    ///
    /// # Errors
    /// As [`Settled::read`].
    pub fn read_both<T>(&self, read: impl FnOnce(&Inner<'_>, &Inner<'_>) -> T) -> Result<T> {
        let [command, answer] = [&self.command, &self.answer].map(|text| Frame::parse_exact(text.as_bytes()));
        let (command, answer) = (command?, answer?);
        Ok(read(&Inner::parse(&command)?, &Inner::parse(&answer)?))
    }
}

/// The outer frames of a connection, as they went over the wire: for the demo.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Sent, oldest first.
    pub sent: Vec<String>,
    /// Received, oldest first.
    pub received: Vec<String>,
}

/// A terminal at work: its state machine, and at most one connection.
#[derive(Debug)]
pub struct Shell<'p> {
    pos: &'p Pos,
    terminal: Box<Terminal<'p, Hsm, AwsLc>>,
    stream: Option<TlsStream<TcpStream>>,
    shop: Option<(String, Currency)>,
    seen: Seen,
}

/// What [`Shell::drive`] stopped at.
enum Stop {
    Online,
    Answer(Settled),
    Dropped(Dropped),
}

impl Shell<'_> {
    /// The machine inside.
    #[must_use]
    pub fn terminal(&self) -> &Terminal<'_, Hsm, AwsLc> {
        &self.terminal
    }

    /// The frames that went over the wire since the last call.
    pub fn take_seen(&mut self) -> Seen {
        core::mem::take(&mut self.seen)
    }

    /// The shop's name and the currency, once signed on.
    #[must_use]
    pub fn shop(&self) -> Option<(&str, Currency)> {
        self.shop.as_ref().map(|(name, currency)| (name.as_str(), *currency))
    }

    /// Whether a command waits for its answer.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.terminal.pending().is_some()
    }

    /// Connects, shakes hands and signs on. What is pending is sent at once, and its answer returned.
    ///
    /// # Errors
    /// When the network cannot be reached or refuses. What is pending stays so.
    pub async fn connect(&mut self) -> Result<Option<Settled>> {
        self.disconnect();
        self.stream = Some(self.pos.connect().await?);
        self.terminal.tell_time(clock::now());
        self.terminal.connect(&Zeroizing::new(init::random()?))?;
        loop {
            match self.drive().await? {
                Stop::Online if self.is_pending() => {}
                Stop::Online => return Ok(None),
                Stop::Answer(settled) => return Ok(Some(settled)),
                Stop::Dropped(reason) => return Err(reason.into()),
            }
        }
    }

    /// As [`connect`](Shell::connect), and again after a pause while the gateway says that it cannot reach its backend.
    ///
    /// # Errors
    /// As [`connect`](Shell::connect).
    pub async fn connect_patiently(&mut self) -> Result<Option<Settled>> {
        let unavailable = Dropped::Refused(ErrorCode::Unavailable);
        for pause in PAUSES {
            match self.connect().await {
                Err(error) if error.downcast_ref() == Some(&unavailable) => tokio::time::sleep(pause).await,
                other => return other,
            }
        }
        self.connect().await
    }

    /// Gives the connection up.
    pub fn disconnect(&mut self) {
        self.stream = None;
        self.terminal.disconnected();
    }

    /// Prepares a task: from here on it is pending, and survives anything.
    ///
    /// # Errors
    /// When another command is pending, a value cannot be sent, or the memory cannot be saved.
    pub fn prepare(&mut self, task: &Task<'_>) -> Result<TransactionId> {
        let time = Time::from_unix(clock::now()).context("the clock")?;
        let swiped = |track| -> Result<Swiped<'_>> {
            Ok(Swiped {
                track,
                salt: init::random()?,
            })
        };
        let id = match *task {
            Task::Pay { amount, partial, track } => {
                let currency = self
                    .shop
                    .as_ref()
                    .map(|(_, currency)| *currency)
                    .context("not signed on")?;
                let amount = u64::try_from(amount)
                    .ok()
                    .and_then(Amount::new)
                    .context("the amount is out of range")?;
                self.terminal.authorise(&Sale {
                    amount,
                    currency,
                    partial,
                    card: swiped(track)?,
                    time,
                })?
            }
            Task::Reverse(original) => {
                self.terminal
                    .reverse(original, tr_protocol::message::ReversalReason::Cancelled, time)?
            }
            Task::Status(original) => self.terminal.status(original, time)?,
            Task::Balance(track) => self.terminal.balance(&swiped(track)?, time)?,
        };
        self.save()?;
        crash_point("command-stored");
        Ok(id)
    }

    /// Replaces the pending sale by its reversal.
    ///
    /// # Errors
    /// When no sale is pending, or the memory cannot be saved.
    pub fn cancel(&mut self) -> Result<TransactionId> {
        let time = Time::from_unix(clock::now()).context("the clock")?;
        let id = self
            .terminal
            .cancel(tr_protocol::message::ReversalReason::Timeout, time)?;
        self.save()?;
        Ok(id)
    }

    /// Gives up whatever is pending: a sale is replaced by its reversal, a reversal goes on, and a question is forgotten.
    /// Returns whether something is left to [`settle`](Shell::settle).
    ///
    /// # Errors
    /// When nothing is pending, or the memory cannot be saved.
    pub fn give_up(&mut self) -> Result<bool> {
        let time = Time::from_unix(clock::now()).context("the clock")?;
        if self.terminal.forget().is_ok() {
            self.save()?;
            return Ok(false);
        }
        // A reversal that is under way needs no other.
        if self
            .terminal
            .cancel(tr_protocol::message::ReversalReason::Cancelled, time)
            .is_ok()
        {
            self.save()?;
        }
        Ok(self.is_pending())
    }

    /// Sends what is pending until its answer is known, in new sessions if need be.
    ///
    /// # Errors
    /// When no attempt got an answer; the command stays pending.
    pub async fn settle(&mut self) -> Result<Settled> {
        let mut last = None;
        for attempt in 0..=PAUSES.len() {
            if attempt > 0 {
                tokio::time::sleep(PAUSES[attempt - 1]).await;
            }
            // One deadline for the whole attempt: a line that drips is no line.
            let trying = async {
                if self.stream.is_some() {
                    self.once().await
                } else {
                    self.connect().await
                }
            };
            let tried = tokio::time::timeout(ATTEMPT, trying).await;
            let tried = tried.unwrap_or_else(|_| Err(anyhow!("no answer came within {} s", ATTEMPT.as_secs())));
            match tried {
                Ok(Some(settled)) => return Ok(settled),
                Ok(None) => last = Some(anyhow!("no answer came")),
                Err(error) => {
                    tracing::info!(attempt, "no answer yet: {error:#}");
                    self.disconnect();
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| anyhow!("no answer came")))
    }

    async fn once(&mut self) -> Result<Option<Settled>> {
        loop {
            match self.drive().await? {
                Stop::Online => {}
                Stop::Answer(settled) => return Ok(Some(settled)),
                Stop::Dropped(reason) => return Err(reason.into()),
            }
        }
    }

    /// The answer has been shown: the command is done.
    ///
    /// # Errors
    /// When the memory cannot be saved; the command then stays pending, which does no harm.
    pub fn acknowledge(&mut self) -> Result<()> {
        self.terminal.acknowledge();
        self.save()
    }

    fn save(&mut self) -> Result<()> {
        self.pos.save(self.terminal.memory())?;
        self.terminal.saved();
        Ok(())
    }

    /// Sends octets as they are on the live connection and returns the frame that comes back: what a thief of the line
    /// would do.
    ///
    /// # Errors
    /// When not connected, or nothing comes back.
    pub async fn exchange_raw(&mut self, octets: &[u8]) -> Result<String> {
        let stream = self.stream.as_mut().context("not connected")?;
        stream.write_all(octets).await?;
        Ok(String::from_utf8(read_frame(stream).await?)?)
    }

    /// The sealed frame that frames would travel in now, without sending it.
    ///
    /// # Errors
    /// When the session is not up.
    pub fn seal_verbatim(&mut self, frames: &[u8]) -> Result<Vec<u8>> {
        self.terminal.seal_verbatim(frames)?;
        let Output::Send(frame) = self.terminal.poll() else {
            bail!("nothing was sealed")
        };
        let frame = frame.to_vec();
        self.terminal.sent();
        Ok(frame)
    }

    /// Does what the machine says until something has happened.
    async fn drive(&mut self) -> Result<Stop> {
        loop {
            match self.terminal.poll() {
                Output::Save => self.save()?,
                Output::Send(octets) => {
                    let stream = self.stream.as_mut().context("not connected")?;
                    stream.write_all(octets).await.context("the connection broke")?;
                    self.seen.sent.push(String::from_utf8_lossy(octets).into_owned());
                    self.terminal.sent();
                }
                Output::Event(Event::Online(online)) => {
                    self.shop = Some((online.shop.as_str().to_owned(), online.currency));
                    return Ok(Stop::Online);
                }
                Output::Event(Event::Dropped(dropped)) => {
                    self.disconnect();
                    return Ok(Stop::Dropped(dropped));
                }
                Output::Event(Event::Answer(answer)) => {
                    let mut settled = Settled {
                        command: answer.command.as_str().to_owned(),
                        answer: answer.answer.as_str().to_owned(),
                        receipt: None,
                        receipt_error: None,
                    };
                    let receipted = matches!(answer.message, Inner::AuthoriseAnswer(_) | Inner::ReversalAnswer(_));
                    if receipted {
                        // The answer counts, with or without its receipt.
                        match self.write_receipt(&settled) {
                            Ok(path) => settled.receipt = Some(path),
                            Err(error) => settled.receipt_error = Some(format!("{error:#}")),
                        }
                    }
                    return Ok(Stop::Answer(settled));
                }
                Output::Idle => {
                    let stream = self.stream.as_mut().context("not connected")?;
                    let mut buffer = [0; 4096];
                    let read = tokio::time::timeout(ANSWER, stream.read(&mut buffer)).await;
                    let count = read
                        .context("no answer came in time")?
                        .context("the connection broke")?;
                    ensure!(count > 0, "the network closed the connection");
                    let octets = buffer.get(..count).unwrap_or_default();
                    self.seen.received.push(String::from_utf8_lossy(octets).into_owned());
                    self.terminal.handle_input(octets)?;
                }
            }
        }
    }

    fn write_receipt(&self, settled: &Settled) -> Result<PathBuf> {
        let memory = self.terminal.memory();
        let root = fs::read_to_string(self.pos.dir.join("root.pem"))?;
        let root = pem::decode(pem::Label::Certificate, &root)?;
        let certificates = [
            memory.certificate(),
            self.terminal.backend_certificate(),
            memory.issuer(),
            &root,
        ];
        let text = receipt::write(&settled.command, &settled.answer, certificates)?;
        let digest = AwsLc.sha256(&[settled.command.as_bytes()]);
        let id = Frame::parse_exact(settled.command.as_bytes())
            .ok()
            .and_then(|frame| Some(frame.get("id")?.value.to_owned()));
        let id = id.unwrap_or_else(|| ui::hex(&digest));
        let path = self.pos.dir.join("receipts").join(format!("{id}.receipt"));
        write_private(&path, text.as_bytes())?;
        Ok(path)
    }
}
