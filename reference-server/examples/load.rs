//! Authorisations a second through the whole network: real backend and gateway processes of the `tr-net` binary, points
//! of sale that do everything a terminal does save writing its memory to disk, and what it costs the servers.
//!
//! `cargo build --release -p tr-net && cargo run --release -p tr-net --example load [-- --pos 1,64 --seconds 10]`
//!
//! Everything runs on this machine and shares its cores, the points of sale too. Processor time comes from
//! `/proc/PID/task/*/schedstat`, so this is for Linux. Beside it stand the primitives that one authorisation cannot do
//! without, and the ledger alone, measured in the same run: rates change with the machine, ratios hardly do.

#![allow(clippy::print_stdout, reason = "an example that prints its result")]

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Parser;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::client::TlsStream;
use tr_auth_aws_lc::AwsLc;
use tr_hsm::{Attributes, Device, KeyRef, Label, Usage, Vault};
use tr_hsm_software::Params;
use tr_net::admin::{Ask, Told};
use tr_net::backend::Core;
use tr_net::config::{Certificates, DataDir, DeviceLimits, write_private};
use tr_net::engine::{Authorise, Request};
use tr_net::hsm::{self, Hsm};
use tr_net::init::{self, Plan};
use tr_net::store::{DataKey, Executed, IssueCard, Load, NewVoucher, Options, Pan, Sign, Sqlite, Store, Submission};
use tr_net::{clock, commands, tls, ui};
use tr_pki::voucher::Voucher;
use tr_pki::{Role, Verifier};
use tr_protocol::frame::{Frame, MAX_FRAME, Scanner};
use tr_protocol::lifecycle::{Outcome, Standing};
use tr_protocol::message::{ErrorCode, Inner};
use tr_protocol::value::{Amount, Currency, Digest, Time, TransactionId};
use tr_terminal::enrol::EnrolError;
use tr_terminal::memory::Memory;
use tr_terminal::{Event, Output, Sale, Swiped, Terminal};
use zeroize::Zeroizing;

const CURRENCY: &str = "USD";
/// Each sale, in minor units.
const AMOUNT: i64 = 1_25;
/// Credit of each account, and every cap: never reached here.
const PLENTY: i64 = 100_000_000_000;
/// Seconds that are not counted at first.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long anything that must come may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a primitive is done to measure it.
const ROUNDS: u32 = 5_000;

/// Measures authorisations through real backend and gateway processes.
#[derive(Debug, Parser)]
struct Args {
    /// How many points of sale work at once; one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "1,64")]
    pos: Vec<usize>,
    /// How long each measurement lasts.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The program to measure; else the one built beside this example.
    #[arg(long, value_name = "PATH")]
    tr_net: Option<PathBuf>,
    /// What the servers log.
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    log: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let program = match &args.tr_net {
        Some(path) => path.clone(),
        None => beside()?,
    };
    let span = Duration::from_secs(args.seconds.max(1));
    let most = args.pos.iter().copied().max().context("--pos names no number")?;
    ensure!(most > 0, "--pos needs one point of sale or more");
    let dir = tempfile::tempdir()?;
    let passphrase = ui::hex(&init::random::<16>()?);
    let network = Network::make(dir.path(), &passphrase, most).await?;
    let backend = Server::start(&program, "backend", network.backend, dir.path(), &args.log).await?;
    let gateway = Server::start(&program, "gateway", network.gateway, dir.path(), &args.log).await?;
    let mut tills = network.enrol(dir.path(), most).await?;

    let mut results = Vec::new();
    for count in &args.pos {
        // The ledger alone, before and after: what else the machine does then counts on both sides.
        let alone = span.min(Duration::from_secs(4)) / 2;
        let before = ledger(dir.path(), *count, alone).await?;
        let result = measure(&network, &mut tills, *count, span, [&backend, &gateway]).await?;
        let after = ledger(dir.path(), *count, alone).await?;
        results.push((result, before.mean(&after)));
    }
    gateway.stop().await?;
    backend.stop().await?;

    let primitives = Primitives::measure(&network)?;
    println!("\nprimitives of one authorisation, one core, in this run");
    println!("  verify the command (P-256, aws-lc)  {:7.1} us", primitives.verify);
    println!("  sign the answer (P-256, aws-lc)     {:7.1} us", primitives.sign);
    for (result, ledger) in &results {
        result.print(&primitives, ledger);
    }
    Ok(())
}

/// `target/release/tr-net` for `target/release/examples/load`.
fn beside() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.parent().and_then(Path::parent).map(|dir| dir.join("tr-net"));
    path.filter(|path| path.is_file())
        .context("there is no tr-net beside this example: build it with the same profile, or name it with --tr-net")
}

/// A network made for this run, with what its points of sale need.
struct Network {
    data: DataDir,
    backend: SocketAddr,
    gateway: SocketAddr,
    root: [u8; 32],
    /// A card's second track and a voucher for each point of sale.
    parties: Vec<(Zeroizing<String>, Zeroizing<String>)>,
    handout: init::Handout,
}

impl Network {
    async fn make(dir: &Path, passphrase: &str, count: usize) -> Result<Self> {
        println!("making a network with {count} points of sale, each with a card of its own");
        write_private(&dir.join("passphrase"), passphrase.as_bytes())?;
        let (backend, gateway) = two_free_ports()?;
        let plan = Plan {
            root_passphrase: None,
            backend,
            gateway,
            policy: commands::policy(CURRENCY, "UTC", PLENTY, PLENTY)?,
            certificates: Certificates::default(),
            now: clock::now(),
        };
        let (data, made) = init::init(&dir.join("network"), passphrase, &plan, &mut |_| {})?;
        let mut config = data.config()?;
        config.limits = unlimited()?;
        data.write_config(&config)?;

        let core = Core::create(data.clone(), passphrase).await?;
        let name = "Load".to_owned();
        let channel = "website".to_owned();
        let company = party(
            core.administer(Ask::Company {
                name: name.clone(),
                channel,
            })
            .await,
        )?;
        let shop = party(core.administer(Ask::Shop { name }).await)?;
        let mut parties = Vec::new();
        let mut handout = None;
        for _ in 0..count {
            let card = Ask::Card {
                company,
                name: None,
                credit: Some(PLENTY),
            };
            let Told::Card(card) = core.administer(card).await else {
                bail!("no card was issued")
            };
            let Told::Voucher(voucher) = core.administer(Ask::Voucher { shop }).await else {
                bail!("no voucher was made")
            };
            if handout.is_none() {
                handout = Some(init::open_handout(&fs::read(&voucher.handout)?, &voucher.code)?);
            }
            parties.push((card.track2.clone(), voucher.voucher.clone()));
        }
        core.close().await?;
        Ok(Network {
            data,
            backend,
            gateway,
            root: made.root,
            parties,
            handout: handout.context("there is no handout")?,
        })
    }

    /// Enrols every point of sale, over the wire. Their keys stand in one store that costs nothing to open.
    async fn enrol(&self, dir: &Path, count: usize) -> Result<Vec<Option<Till>>> {
        println!("enrolling");
        let now = clock::now();
        let store = Hsm::create(dir.join("tills.keys"), b"load", Params::INSECURE_FOR_TESTS)?;
        let attributes = Attributes::new(Usage::Sign, Usage::Sign.algorithm());
        store.import_p256(hsm::CLASS, attributes, &self.handout.scalar)?;
        let store = Arc::new(store);
        let identity = tls::Identity::new(Arc::clone(&store), hsm::CLASS.newest(), &self.handout.certificate, now)?;
        let trust = tls::Trust::new(&[&self.handout.class_ca], now)?;
        let wire = Wire {
            gateway: self.gateway,
            tls: tls::client_config(&identity, &trust, Role::ClassGateway)?,
        };
        let mut tills = Vec::new();
        for (number, (track, voucher)) in self.parties.iter().take(count).enumerate() {
            let label = Label::new(&format!("till-{number}")).map_err(|error| anyhow!("{error}"))?;
            store.generate(label, attributes)?;
            let voucher = Voucher::parse(voucher).map_err(|error| anyhow!("{error}"))?;
            let mut buffer = [0; MAX_FRAME];
            let request = tr_terminal::enrol::request(&*store, label.newest(), &voucher, &AwsLc, &mut buffer)?;
            let began = clock::instant();
            let memory = loop {
                let mut stream = wire.connect().await?;
                stream.write_all(request.as_bytes()).await?;
                let answer = read_frame(&mut stream).await?;
                let answer = Frame::parse_exact(&answer)?;
                let key = label.newest();
                match tr_terminal::enrol::accept(&*store, key, &request, &answer, &self.root, now, &AwsLc) {
                    // The gateway is up, its link to the backend not yet.
                    Err(EnrolError::Refused(ErrorCode::Unavailable)) if began.elapsed() < PATIENCE => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    accepted => break accepted?,
                }
            };
            tills.push(Some(Till {
                hsm: Arc::clone(&store),
                key: label.newest(),
                wire: wire.clone(),
                memory,
                track: track.clone(),
            }));
        }
        Ok(tills)
    }
}

fn two_free_ports() -> Result<(SocketAddr, SocketAddr)> {
    let bind = || TcpListener::bind("127.0.0.1:0");
    let (one, two) = (bind()?, bind()?);
    Ok((one.local_addr()?, two.local_addr()?))
}

/// What is measured is the network, not its limits.
fn unlimited() -> Result<DeviceLimits> {
    Ok(toml::from_str(
        "connects_per_second = 100000\nconnect_burst = 100000\nconnections_per_ip = 4096\nframes_per_second = 1000000\n\
         frame_burst = 1000000\nbytes_per_second = 1000000000\nbyte_burst = 1000000000\n",
    )?)
}

fn party(told: Told) -> Result<i64> {
    match told {
        Told::Party { number } => Ok(number),
        other => bail!("not registered: {other:?}"),
    }
}

/// The way to the gateway.
#[derive(Clone)]
struct Wire {
    gateway: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
}

impl Wire {
    async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::IpAddress(self.gateway.ip().into());
        Ok(tls::connect(Arc::clone(&self.tls), self.gateway, name, PATIENCE).await?)
    }
}

async fn read_frame(stream: &mut TlsStream<TcpStream>) -> Result<Vec<u8>> {
    let mut scanner = Scanner::new();
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await?;
        ensure!(count > 0, "the connection was closed");
        received.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(length) = scanner.scan(&received).map_err(|error| anyhow!("{error}"))? {
            received.truncate(length);
            return Ok(received);
        }
    }
}

/// A point of sale between two measurements.
struct Till {
    hsm: Arc<Hsm>,
    key: KeyRef,
    wire: Wire,
    memory: Memory,
    track: Zeroizing<String>,
}

/// What all points of sale of one measurement share.
#[derive(Default)]
struct Shared {
    online: AtomicU64,
    go: AtomicBool,
    counting: AtomicBool,
    stop: AtomicBool,
    done: AtomicU64,
}

impl Till {
    /// Connects, waits for the others, sells until it is told to stop. Returns the latencies that counted.
    async fn work(mut self, shared: Arc<Shared>) -> Result<(Self, Vec<Duration>)> {
        let mut latencies = Vec::new();
        let device = Arc::clone(&self.hsm);
        let mut terminal = Box::new(Terminal::new(&*device, self.key, AwsLc, self.memory.clone())?);
        let mut stream = self.wire.connect().await?;
        terminal.connect(&Zeroizing::new(init::random()?))?;
        drive(&mut terminal, &mut stream).await?;
        shared.online.fetch_add(1, Ordering::SeqCst);
        while !shared.go.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while !shared.stop.load(Ordering::SeqCst) {
            let began = clock::instant();
            terminal.authorise(&Sale {
                amount: u64::try_from(AMOUNT).ok().and_then(Amount::new).context("the amount")?,
                currency: Currency::new(CURRENCY).context("the currency")?,
                partial: false,
                card: Swiped {
                    track: &self.track,
                    salt: init::random()?,
                },
                time: Time::from_unix(clock::now()).context("the clock")?,
            })?;
            drive(&mut terminal, &mut stream).await?;
            if shared.counting.load(Ordering::SeqCst) {
                latencies.push(began.elapsed());
                shared.done.fetch_add(1, Ordering::Relaxed);
            }
            terminal.acknowledge();
        }
        self.memory = terminal.memory().clone();
        drop(terminal);
        Ok((self, latencies))
    }
}

/// Does what the machine says until it is online, or has an approval.
async fn drive(terminal: &mut Terminal<'_, Hsm, AwsLc>, stream: &mut TlsStream<TcpStream>) -> Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match terminal.poll() {
            Output::Save => terminal.saved(),
            Output::Send(octets) => {
                stream.write_all(octets).await?;
                terminal.sent();
            }
            Output::Event(Event::Online(_)) => return Ok(()),
            Output::Event(Event::Answer(answer)) => {
                return match answer.message {
                    Inner::AuthoriseAnswer(word) if word.outcome == Outcome::Approved => Ok(()),
                    other => bail!("a sale was not approved: {other:?}"),
                };
            }
            Output::Event(Event::Dropped(reason)) => bail!("the connection was dropped: {reason}"),
            Output::Idle => {
                let count = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await??;
                ensure!(count > 0, "the network closed the connection");
                terminal.handle_input(buffer.get(..count).unwrap_or_default())?;
            }
        }
    }
}

/// A server process. It stops when its standard input closes.
struct Server {
    name: &'static str,
    child: Child,
    id: u32,
}

impl Server {
    async fn start(program: &Path, name: &'static str, address: SocketAddr, dir: &Path, log: &str) -> Result<Self> {
        let mut child = Command::new(program)
            .arg(name)
            .arg("--data")
            .arg(dir.join("network"))
            .arg("--passphrase-file")
            .arg(dir.join("passphrase"))
            .args(["--log", log, "--until-stdin-closes"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join(format!("{name}.log")))?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} did not start", program.display()))?;
        let began = clock::instant();
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = child.try_wait()? {
                let log = fs::read_to_string(dir.join(format!("{name}.log"))).unwrap_or_default();
                bail!("the {name} ended with {status}: {}", log.trim());
            }
            ensure!(began.elapsed() < PATIENCE, "the {name} did not come up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let id = child.id().context("the process has ended")?;
        println!("the {name} runs as process {id}");
        Ok(Server { name, child, id })
    }

    async fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        ensure!(status.success(), "the {} ended with {status}", self.name);
        Ok(())
    }
}

/// Processor time of a process in nanoseconds, by the names of its threads.
fn processor_time(process: u32) -> Result<BTreeMap<String, u64>> {
    let mut times = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?.path();
        // A thread may end between the listing and the reading.
        let (Ok(name), Ok(stat)) = (
            fs::read_to_string(task.join("comm")),
            fs::read_to_string(task.join("schedstat")),
        ) else {
            continue;
        };
        let spent: u64 = stat.split_ascii_whitespace().next().context("schedstat")?.parse()?;
        // Tokio's workers, the main thread among them, are one party.
        let name = match name.trim() {
            "tokio-rt-worker" | "tr-net" => "network threads",
            other => other,
        };
        *times.entry(name.to_owned()).or_default() += spent;
    }
    Ok(times)
}

/// Microseconds per `count`, by thread.
fn spent(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>, count: u64) -> Vec<(String, f64)> {
    after
        .iter()
        .map(|(name, after)| {
            let before = before.get(name).copied().unwrap_or_default();
            (name.clone(), micros(after.saturating_sub(before)) / real(count))
        })
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn real(count: u64) -> f64 {
    count.max(1) as f64
}

fn micros(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1e6
}

struct Measured {
    count: usize,
    rate: f64,
    latencies: Vec<Duration>,
    /// Per session opened: TLS with the gateway, EDHOC and sign-on with the backend; microseconds, backend and gateway.
    session: [f64; 2],
    /// Per authorisation, by thread; microseconds, backend and gateway.
    sale: [Vec<(String, f64)>; 2],
    /// Per authorisation, what the points of sale themselves took.
    tills: f64,
}

async fn measure(
    network: &Network,
    tills: &mut [Option<Till>],
    count: usize,
    span: Duration,
    servers: [&Server; 2],
) -> Result<Measured> {
    println!("\n{count} points of sale against {}", network.gateway);
    let times = || -> Result<_> {
        let own = processor_time(std::process::id())?.values().sum::<u64>();
        Ok(([processor_time(servers[0].id)?, processor_time(servers[1].id)?], own))
    };
    let (before, _) = times()?;
    let shared = Arc::new(Shared::default());
    let mut work = Vec::new();
    for slot in tills.iter_mut().take(count) {
        let till = slot.take().context("a point of sale is missing")?;
        work.push(tokio::spawn(till.work(Arc::clone(&shared))));
    }
    while shared.online.load(Ordering::SeqCst) < u64::try_from(count)? {
        ensure!(
            !work.iter().any(tokio::task::JoinHandle::is_finished),
            "a point of sale gave up"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (online, _) = times()?;
    let sum = |times: &BTreeMap<String, u64>| times.values().sum::<u64>();
    let opened = u64::try_from(count)?;
    let session = [0, 1].map(|at| micros(sum(&online[at]).saturating_sub(sum(&before[at]))) / real(opened));
    println!("  all are signed on");

    shared.go.store(true, Ordering::SeqCst);
    tokio::time::sleep(WARM_UP).await;
    let (from, own_from) = times()?;
    let began = clock::instant();
    shared.counting.store(true, Ordering::SeqCst);
    let mut seen = 0;
    while began.elapsed() < span {
        tokio::time::sleep(Duration::from_secs(1).min(span.saturating_sub(began.elapsed()))).await;
        let done = shared.done.load(Ordering::Relaxed);
        println!("  {:3} s  {:6} authorisations", began.elapsed().as_secs(), done - seen);
        seen = done;
        ensure!(
            !work.iter().any(tokio::task::JoinHandle::is_finished),
            "a point of sale gave up"
        );
    }
    let (to, own_to) = times()?;
    let took = began.elapsed();
    let done = shared.done.load(Ordering::Relaxed);
    shared.counting.store(false, Ordering::SeqCst);
    shared.stop.store(true, Ordering::SeqCst);

    let mut latencies = Vec::new();
    for (slot, task) in tills.iter_mut().zip(work) {
        let (till, own) = task.await??;
        *slot = Some(till);
        latencies.extend(own);
    }
    latencies.sort_unstable();
    Ok(Measured {
        count,
        rate: real(done) / took.as_secs_f64(),
        latencies,
        session,
        sale: [0, 1].map(|at| spent(&from[at], &to[at], done)),
        tills: micros(own_to.saturating_sub(own_from)) / real(done),
    })
}

impl Measured {
    fn print(&self, primitives: &Primitives, ledger: &Ledger) {
        println!("\n{} points of sale", self.count);
        println!(
            "  {:8.0} authorisations a second, all signed, ciphered and durable",
            self.rate
        );
        let latency = |share: usize| {
            let at = self.latencies.len().saturating_sub(1) * share / 100;
            self.latencies.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        println!("  latency  p50 {:.2} ms  p99 {:.2} ms", latency(50), latency(99));
        println!(
            "  processor time per session opened: backend {:.0} us, gateway {:.0} us",
            self.session[0], self.session[1]
        );
        println!("  processor time per authorisation:");
        let mut servers = 0.0;
        for (name, threads) in ["backend", "gateway"].into_iter().zip(&self.sale) {
            for (thread, spent) in threads {
                println!("  {spent:8.1} us  {name}, {thread}");
                servers += spent;
            }
        }
        println!("  {servers:8.1} us  both servers");
        println!("  {:8.1} us  points of sale, for comparison", self.tills);
        println!(
            "  {:8.1} us  the ledger alone, {} under way ({:.0} /s)",
            ledger.spent, self.count, ledger.rate
        );
        let base = primitives.verify + primitives.sign + ledger.spent;
        println!(
            "  {:8.2}     both servers / (verify + sign + ledger = {base:.1} us)",
            servers / base
        );
        let backend: f64 = self.sale[0].iter().map(|(_, spent)| spent).sum();
        println!("  {:8.2}     backend alone / the same", backend / base);
    }
}

/// Microseconds on one core.
struct Primitives {
    verify: f64,
    sign: f64,
}

impl Primitives {
    fn measure(network: &Network) -> Result<Self> {
        let path = network.data.path().join("primitives.keys");
        let store = Hsm::create(path, b"load", Params::INSECURE_FOR_TESTS)?;
        let key = Label::literal("primitives");
        store.generate(key, Attributes::new(Usage::Sign, Usage::Sign.algorithm()))?;
        let public = store.public_key(key.newest())?;
        // About the length of a signed command.
        let message = [b'm'; 420];
        let signature = store.sign(key.newest(), &message)?;
        let sign = each(|| store.sign(key.newest(), &message).map(drop).map_err(Into::into))?;
        let verify = each(|| {
            AwsLc
                .verify(&public, &message, &signature)
                .map_err(|_| anyhow!("does not verify"))
        })?;
        Ok(Primitives { verify, sign })
    }
}

fn each(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let own = || -> Result<u64> {
        let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
        Ok(stat.split_ascii_whitespace().next().context("schedstat")?.parse()?)
    };
    for _ in 0..ROUNDS / 10 {
        run()?;
    }
    let before = own()?;
    for _ in 0..ROUNDS {
        run()?;
    }
    Ok(micros(own()?.saturating_sub(before)) / f64::from(ROUNDS))
}

/// The store with all its rules and nothing around it: no network, no signatures.
struct Ledger {
    /// Microseconds of processor time per authorisation.
    spent: f64,
    rate: f64,
}

impl Ledger {
    fn mean(&self, other: &Self) -> Self {
        Ledger {
            spent: f64::midpoint(self.spent, other.spent),
            rate: f64::midpoint(self.rate, other.rate),
        }
    }
}

async fn ledger(dir: &Path, count: usize, span: Duration) -> Result<Ledger> {
    const EVIDENCE: usize = 520;
    const ANSWER: usize = 480;
    let now = clock::now();
    let currency = Currency::new(CURRENCY).context("the currency")?;
    let dir = tempfile::tempdir_in(dir)?;
    let store = Sqlite::open(Options {
        path: dir.path().join("ledger.db"),
        key: DataKey::new([1; 32]),
        policy: commands::policy(CURRENCY, "UTC", PLENTY, PLENTY)?,
        create: true,
        max_bytes: None,
    })?;
    let company = store.register_company("Load").await?.account.number();
    let shop = store.register_shop("Load").await?.account.number();
    let mut parties = Vec::new();
    for number in 0..count {
        let pan = Pan::new(&format!("99990000{number:08}"))?;
        let issue = IssueCard {
            company,
            pan: pan.clone(),
            last_month: 2_100 * 12,
            check_key_version: 1,
            currency,
            now,
        };
        let credits = vec![(store.issue_card(issue).await?.account, PLENTY)];
        store
            .load(Load {
                reference: number.to_string(),
                company,
                credits,
                now,
            })
            .await?;
        let uri = init::new_identity()?;
        store
            .register_voucher(NewVoucher {
                reference: uri.clone(),
                secret: Zeroizing::new(vec![1; 32]),
                expires: now,
                uri: uri.clone(),
                role: Role::Pos.name().to_owned(),
                shop: Some(shop),
            })
            .await?;
        parties.push((uri, pan));
    }
    let own = || -> Result<u64> { Ok(processor_time(std::process::id())?.values().sum()) };
    let mut sales = 0_u64;
    let mut under_way = VecDeque::new();
    let (before, began) = (own()?, clock::instant());
    while began.elapsed() < span || !under_way.is_empty() {
        while under_way.len() < count && began.elapsed() < span {
            let (uri, pan) = &parties[usize::try_from(sales % u64::try_from(count)?)?];
            let request = Request::Authorise(Authorise {
                amount: AMOUNT,
                currency,
                partial: false,
                verdict: None,
                check_key_version: Some(1),
            });
            let submission = Submission {
                terminal: uri.clone(),
                command: tr_net::engine::Command {
                    id: TransactionId::new(sales / u64::try_from(count)? + 1).context("an id")?,
                    digest: Digest(AwsLc.sha256(&[&sales.to_be_bytes()])),
                    standing: Standing::Full,
                    request,
                },
                card: Some(pan.clone()),
                evidence: vec![b'e'; EVIDENCE],
                now,
            };
            let sign: Sign = Box::new(|_| Ok(vec![b'a'; ANSWER]));
            under_way.push_back(store.execute(submission, sign));
            sales += 1;
        }
        if let Some(first) = under_way.pop_front() {
            let Executed::Answered { repeated: false, .. } = first.await? else {
                bail!("the ledger did not answer")
            };
        }
    }
    let spent = micros(own()?.saturating_sub(before)) / real(sales);
    let rate = real(sales) / began.elapsed().as_secs_f64();
    store.close().await?;
    Ok(Ledger { spent, rate })
}
