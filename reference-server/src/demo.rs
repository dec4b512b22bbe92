//! `tr-net demo`: the whole network at work, told step by step, through the same parts that run alone.
//!
//! Backend and gateway are processes of their own, this program started again; the point of sale runs in here, on the
//! code of `tr-net pos`. Each message is shown in clear beside what the gateway saw of it.

use core::net::SocketAddr;
use core::time::Duration;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::{Child, Command};
use tr_protocol::message::Inner;
use tr_protocol::value::TransactionId;
use tr_terminal::texts::ENGLISH;
use tr_track::f2f::{Motion, Recorder, Stripe};
use tr_track::{Framed, TrackNumber};
use zeroize::Zeroizing;

use crate::admin::{self, Ask, Told};
use crate::backend::Core;
use crate::cashier::{self, Verdict};
use crate::config::{Certificates, DataDir, create_private_dir, write_private};
use crate::init::{self, Plan};
use crate::pos::{Handover, Pos, Settled, Shell, Task, parse_fingerprint};
use crate::{clock, commands, money, receipt, swipe, ui};

const STEPS: usize = 15;
const CURRENCY: &str = "USD";

/// Runs the demo.
///
/// # Errors
/// When a step does not come out as it must.
pub async fn run(keep: bool, data: Option<PathBuf>) -> Result<()> {
    let began = clock::instant();
    let mut demo = Demo::begin(data)?;
    demo.network().await?;
    demo.parties().await?;
    let card = demo.card().await?;
    let pos = demo.enrol().await?;
    let track = demo.read(&card)?;
    let mut shell = pos.shell()?;
    let sale = demo.pay(&mut shell, &track).await?;
    drop(shell);
    demo.lost_answer(&pos, &track).await?;
    let mut shell = pos.shell()?;
    demo.limits(&mut shell, &track).await?;
    demo.reversal(&mut shell, sale).await?;
    drop(shell);
    demo.late(&pos, &track).await?;
    demo.torn(&card)?;
    let mut shell = pos.shell()?;
    demo.thief(&mut shell, &track).await?;
    drop(shell);
    demo.books().await?;
    demo.receipt(&pos, sale)?;
    if keep {
        demo.keep(&card).await?;
    }
    demo.end().await?;
    let took = began.elapsed();
    ui::line(format!(
        "\nEverything came out as it must, in {:.1} s. The data stays in {}",
        took.as_secs_f64(),
        demo.dir.display()
    ));
    Ok(())
}

struct Demo {
    dir: PathBuf,
    step: usize,
    passphrase: Zeroizing<String>,
    data: Option<DataDir>,
    servers: Vec<Server>,
    company: i64,
    shop: i64,
    account: i64,
}

/// A process of the network. It stops when its standard input closes, so it cannot outlive this one.
struct Server {
    name: &'static str,
    child: Child,
}

struct IssuedFiles {
    track1: Zeroizing<String>,
    track2: Zeroizing<String>,
    wav: PathBuf,
}

impl Demo {
    fn begin(data: Option<PathBuf>) -> Result<Self> {
        ui::line("tr-net demo: a meal-voucher network on this machine");
        let dir = match data {
            Some(dir) => dir,
            None => std::env::temp_dir().join(format!("tr-net-demo-{}", ui::hex(&init::random::<4>()?))),
        };
        Ok(Demo {
            dir,
            step: 0,
            passphrase: Zeroizing::new(ui::hex(&init::random::<16>()?)),
            data: None,
            servers: Vec::new(),
            company: 0,
            shop: 0,
            account: 0,
        })
    }

    fn step(&mut self, title: &str) {
        self.step += 1;
        ui::step(self.step, STEPS, title);
    }

    fn data(&self) -> Result<&DataDir> {
        self.data.as_ref().context("there is no network yet")
    }

    async fn network(&mut self) -> Result<()> {
        self.step("A network is made, and its servers start");
        ensure!(
            !self.dir.exists() || fs::read_dir(&self.dir)?.next().is_none(),
            "{} is not empty: name a new directory with --data",
            self.dir.display()
        );
        create_private_dir(&self.dir)?;
        write_private(&self.dir.join("passphrase"), self.passphrase.as_bytes())?;
        let (backend, gateway) = two_free_ports()?;
        let plan = Plan {
            root_passphrase: None,
            backend,
            gateway,
            policy: commands::policy(CURRENCY, "America/New_York", 25_00, 42_00)?,
            certificates: Certificates::default(),
            now: clock::now(),
        };
        let network = self.dir.join("network");
        let (data, made) = init::init(&network, &self.passphrase, &plan, &mut |step| ui::did("operator", step))?;
        Core::create(data.clone(), &self.passphrase).await?.close().await?;
        ui::did(
            "operator",
            format!("ciphered database {}", data.file("backend/ledger.db").display()),
        );
        ui::did("operator", format!("root certificate, SHA-256 {}", ui::hex(&made.root)));
        self.data = Some(data);
        self.start("backend", &[], backend).await?;
        let wire_log = self.dir.join("gateway.wire.jsonl");
        let wire_log = wire_log
            .to_str()
            .context("the directory's name is no UTF-8")?
            .to_owned();
        self.start("gateway", &["--wire-log", &wire_log], gateway).await
    }

    async fn start(&mut self, name: &'static str, more: &[&str], address: SocketAddr) -> Result<()> {
        let log = fs::File::create(self.dir.join(format!("{name}.log")))?;
        let child = Command::new(std::env::current_exe()?)
            .arg(name)
            .arg("--data")
            .arg(self.data()?.path())
            .arg("--passphrase-file")
            .arg(self.dir.join("passphrase"))
            .args(["--log", "info", "--until-stdin-closes"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("the {name} did not start"))?;
        let mut server = Server { name, child };
        // It is up when its port answers. A program that ended says why in its log.
        for _ in 0..600 {
            if let Some(status) = server.child.try_wait()? {
                let log = fs::read_to_string(self.dir.join(format!("{name}.log"))).unwrap_or_default();
                bail!("the {name} ended with {status}: {}", log.trim());
            }
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                ui::did(
                    name,
                    format!("process {} listens on {address}", server.child.id().unwrap_or_default()),
                );
                self.servers.push(server);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the {name} did not come up within 30 s")
    }

    async fn ask(&self, ask: Ask) -> Result<Told> {
        admin::ask(self.data()?, || Ok(self.passphrase.clone()), ask).await
    }

    async fn parties(&mut self) -> Result<()> {
        self.step("A company and a shop register");
        let told = self
            .ask(Ask::Company {
                name: "Acme Widgets".to_owned(),
                channel: "website".to_owned(),
            })
            .await?;
        let Told::Party { number } = told else {
            bail!("another answer")
        };
        self.company = number;
        ui::did("company", format!("Acme Widgets is company {number}"));
        let Told::Party { number } = self
            .ask(Ask::Shop {
                name: "Café Sol".to_owned(),
            })
            .await?
        else {
            bail!("another answer")
        };
        self.shop = number;
        ui::did("shop", format!("Café Sol is shop {number}"));
        Ok(())
    }

    async fn card(&mut self) -> Result<IssuedFiles> {
        self.step("The company issues a magnetic card and loads 60.00 USD of credit");
        let ask = Ask::Card {
            company: self.company,
            name: Some("DOE/JANE".to_owned()),
            credit: Some(60_00),
        };
        let Told::Card(card) = self.ask(ask).await? else {
            bail!("another answer")
        };
        self.account = card.account;
        let wav = self.dir.join("card.wav");
        swipe::write_wav(&wav, &card.track1, &card.track2)?;
        ui::did("issuer", format!("account {}, credit 60.00 {CURRENCY}", card.account));
        ui::did("track 1", &*card.track1);
        ui::did("track 2", &*card.track2);
        ui::did("swipe", wav.display());
        Ok(IssuedFiles {
            track1: card.track1,
            track2: card.track2,
            wav,
        })
    }

    async fn enrol(&mut self) -> Result<Pos> {
        self.step("A point of sale enrols with a voucher");
        let Told::Voucher(voucher) = self.ask(Ask::Voucher { shop: self.shop }).await? else {
            bail!("another answer")
        };
        ui::did("operator", format!("voucher {}", *voucher.voucher));
        let gateway = self.data()?.config()?.gateway;
        let handover = Handover {
            voucher: &voucher.voucher,
            root: &voucher.root,
            handout: &voucher.handout,
            code: &voucher.code,
            gateway,
        };
        let pos = Pos::enrol(&self.dir.join("pos"), &self.passphrase, &handover).await?;
        ui::did(
            "pos",
            "made its own key; sent a PKCS#10 request with HMAC(voucher, request), never the voucher",
        );
        ui::did("pos", format!("is {} from now on", voucher.terminal));
        Ok(pos)
    }

    fn read(&mut self, card: &IssuedFiles) -> Result<Zeroizing<String>> {
        self.step("The card is swiped");
        let track = swipe::track2(&card.wav)?;
        ensure!(
            *track == *card.track2,
            "the swipe reads otherwise than the card was written"
        );
        ui::did(
            "pos",
            format!("read {} from the waveform: parity, LRC, grammar and Luhn hold", *track),
        );
        Ok(track)
    }

    async fn pay(&mut self, shell: &mut Shell<'_>, track: &str) -> Result<TransactionId> {
        self.step("A sale of 12.50: approved");
        shell.connect().await?;
        let (shop, _) = shell.shop().context("not signed on")?;
        ui::did(
            "pos",
            format!("mutual authentication (EDHOC, suite -21), then signed on for {shop}"),
        );
        show_handshake(shell);
        let id = shell.prepare(&Task::Pay {
            amount: 12_50,
            partial: false,
            track,
        })?;
        let settled = show(shell, Some(Verdict::Done)).await?.settled;
        shell.acknowledge()?;
        ensure!(settled.receipt.is_some(), "there is no receipt");
        Ok(id)
    }

    async fn lost_answer(&mut self, pos: &Pos, track: &str) -> Result<()> {
        self.step("A sale whose answer is lost with the power: repeated, it gets the same signed answer");
        let mut shell = pos.shell()?;
        shell.connect().await?;
        shell.take_seen();
        shell.prepare(&Task::Pay {
            amount: 3_00,
            partial: false,
            track,
        })?;
        let first = shell.settle().await?;
        drop(shell);
        ui::did(
            "pos",
            "power cut before the answer was kept; the command is still in its sealed memory",
        );
        let mut shell = pos.shell()?;
        ensure!(shell.is_pending(), "the command was not kept");
        let second = show(&mut shell, Some(Verdict::Done)).await?.settled;
        ensure!(
            first.command == second.command && first.answer == second.answer,
            "the answers differ"
        );
        ui::good("same command, same answer, byte for byte, in a new session under new keys; one debit");
        shell.acknowledge()
    }

    async fn limits(&mut self, shell: &mut Shell<'_>, track: &str) -> Result<()> {
        self.step("A sale of 30.00 where 25.00 is the most: approved in part");
        shell.connect().await?;
        shell.take_seen();
        shell.prepare(&Task::Pay {
            amount: 30_00,
            partial: true,
            track,
        })?;
        show(shell, Some(Verdict::Done)).await?;
        shell.acknowledge()?;
        self.step("One more sale of 5.00: declined, with the rule, what is left, and what would be approved");
        shell.prepare(&Task::Pay {
            amount: 5_00,
            partial: false,
            track,
        })?;
        show(shell, Some(Verdict::Declined)).await?;
        shell.acknowledge()
    }

    async fn reversal(&mut self, shell: &mut Shell<'_>, sale: TransactionId) -> Result<()> {
        self.step("The first sale is reversed");
        shell.prepare(&Task::Reverse(sale))?;
        show(shell, Some(Verdict::Done)).await?;
        shell.acknowledge()
    }

    async fn late(&mut self, pos: &Pos, track: &str) -> Result<()> {
        self.step("A reversal overtakes its sale: the late sale is refused");
        let mut shell = pos.shell()?;
        shell.connect().await?;
        shell.take_seen();
        let sale = shell.prepare(&Task::Pay {
            amount: 4_00,
            partial: false,
            track,
        })?;
        let delayed = shell.terminal().memory().clone();
        let reversal = shell.cancel()?;
        ui::did(
            "pos",
            format!("sale {sale} is stuck on its way; the cashier cancels: reversal {reversal}"),
        );
        show(&mut shell, Some(Verdict::Done)).await?;
        shell.acknowledge()?;
        let after = shell.terminal().memory().clone();
        drop(shell);
        ui::did("pos", format!("now sale {sale} arrives after all"));
        let mut shell = pos.shell_with(delayed)?;
        show(&mut shell, Some(Verdict::Declined)).await?;
        drop(shell);
        pos.keep(&after)
    }

    fn torn(&mut self, card: &IssuedFiles) -> Result<()> {
        self.step("A torn card: parity holds, the LRC does not");
        let framed = Framed::parse(&card.track2).map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut bits = framed.to_bits();
        // Two bits of one digit: its parity still holds.
        for bit in [5 * 8, 5 * 8 + 1] {
            bits.flip(bit);
        }
        let stripe = Stripe::iso(&bits, TrackNumber::Two).map_err(|error| anyhow::anyhow!("{error}"))?;
        let motion = Motion::steady(300).map_err(|error| anyhow::anyhow!("{error}"))?;
        let recorder = Recorder::new(48_000).map_err(|error| anyhow::anyhow!("{error}"))?;
        let samples = Zeroizing::new(stripe.samples(motion, recorder).collect());
        let path = self.dir.join("torn.wav");
        swipe::write_samples(&path, &[samples])?;
        match swipe::track2(&path) {
            Ok(_) => bail!("a torn card was read"),
            Err(error) => ui::refused(format!("{error:#}")),
        }
        ui::did("pos", ENGLISH.swipe_again);
        Ok(())
    }

    async fn thief(&mut self, shell: &mut Shell<'_>, track: &str) -> Result<()> {
        self.step("A thief on the line replays a frame, then forges one");
        shell.connect().await?;
        shell.take_seen();
        shell.prepare(&Task::Balance(track))?;
        let replayed = show(shell, Some(Verdict::Done)).await?.sent;
        let command = shell
            .terminal()
            .pending()
            .map(|(command, data)| [command, data].concat())
            .unwrap_or_default();
        shell.acknowledge()?;
        let answer = shell.exchange_raw(replayed.as_bytes()).await?;
        ensure!(
            answer.contains("code=auth-failed"),
            "a replayed frame was taken: {answer}"
        );
        ui::refused("the replayed frame: its key was erased when it was first opened");
        let forged = shell.seal_verbatim(&command)?;
        let forged = flip_payload(String::from_utf8(forged)?);
        let answer = shell.exchange_raw(forged.as_bytes()).await?;
        ensure!(
            answer.contains("code=auth-failed"),
            "a forged frame was taken: {answer}"
        );
        ui::refused("the forged frame: one changed character, and the seal does not open");
        for line in answer.trim_end().lines() {
            ui::did("", line);
        }
        Ok(())
    }

    async fn books(&mut self) -> Result<()> {
        self.step("The ledger");
        let Told::Ledger(books) = self.ask(Ask::Ledger).await? else {
            bail!("another answer")
        };
        commands::print_books(&books);
        ensure!(
            books.sum == 0 && books.findings.is_empty(),
            "the ledger does not sum to zero"
        );
        let spent = 3_00 + 25_00;
        let left = books
            .accounts
            .iter()
            .find(|line| line.account.contains("card"))
            .map(|line| line.balance);
        ensure!(left == Some(60_00 - spent), "the card's balance is {left:?}");
        ui::good(format!(
            "it sums to zero; the card holds {} {CURRENCY}",
            money::format(60_00 - spent, CURRENCY)
        ));
        Ok(())
    }

    fn receipt(&mut self, pos: &Pos, sale: TransactionId) -> Result<()> {
        self.step("A signed receipt, checked offline");
        let path = pos.dir().join(format!("receipts/{sale}.receipt"));
        let proof = receipt::verify(&fs::read_to_string(&path)?, &parse_fingerprint(pos.root())?)?;
        for (name, value) in &proof.facts {
            ui::did(name, value);
        }
        ui::good(format!(
            "tr-net verify-receipt {} --root {}",
            path.display(),
            pos.root()
        ));
        Ok(())
    }

    async fn keep(&self, card: &IssuedFiles) -> Result<()> {
        let data = self.data()?.path().display();
        let dir = self.dir.display();
        let wav = card.wav.display();
        ui::line(format!(
            "\nThe network keeps running ({} characters on track 1). In another terminal, try:",
            card.track1.len()
        ));
        ui::line(format!(
            "  export TR_NET_DATA={data} TR_NET_POS={dir}/pos TR_NET_PASSPHRASE=$(cat {dir}/passphrase)"
        ));
        ui::line(format!("  tr-net pos balance --wav {wav}"));
        ui::line(format!("  tr-net pos swipe --wav {wav} --amount 1.50"));
        ui::line(format!(
            "  tr-net card load --company {} --account {} --amount 20.00 --reference try-1",
            self.company, self.account
        ));
        ui::line(format!("  tr-net track decode {wav}"));
        ui::line("  tr-net ledger");
        ui::line("Ctrl-C ends it.");
        Ok(tokio::signal::ctrl_c().await?)
    }

    /// Ends the servers, the gateway first, and waits for them.
    async fn end(&mut self) -> Result<()> {
        for mut server in self.servers.drain(..).rev() {
            drop(server.child.stdin.take());
            let ended = tokio::time::timeout(Duration::from_secs(15), server.child.wait()).await;
            let status = ended.with_context(|| format!("the {} did not end", server.name))??;
            ensure!(
                status.success(),
                "the {} ended with {status}; see its log in {}",
                server.name,
                self.dir.display()
            );
        }
        Ok(())
    }
}

/// Two ports that nobody listens on.
fn two_free_ports() -> Result<(SocketAddr, SocketAddr)> {
    let bind = || TcpListener::bind("127.0.0.1:0");
    let (one, two) = (bind()?, bind()?);
    Ok((one.local_addr()?, two.local_addr()?))
}

/// A command that was settled and shown.
struct Shown {
    settled: Settled,
    /// The sealed frame that the command went in.
    sent: String,
}

/// Settles what is pending and shows question and answer, in clear and as the gateway saw them.
async fn show(shell: &mut Shell<'_>, expected: Option<Verdict>) -> Result<Shown> {
    let (command, data) = shell.terminal().pending().context("nothing is pending")?;
    let question = String::from_utf8_lossy(&[command, data].concat()).into_owned();
    let settled = shell.settle().await?;
    let seen = shell.take_seen();
    ui::beside(
        "pos to backend, in clear",
        question.trim_end(),
        "what the gateway saw",
        last(&seen.sent),
    );
    ui::beside(
        "backend to pos, in clear",
        settled.answer.trim_end(),
        "what the gateway saw",
        last(&seen.received),
    );
    let (words, verdict) = settled.read_both(|command, answer| cashier::words(&ENGLISH, command, answer))??;
    match verdict {
        Verdict::Done => ui::good(&words),
        Verdict::Declined => ui::refused(&words),
    }
    ensure!(
        expected.is_none_or(|expected| expected == verdict),
        "that is not what should have come out"
    );
    ensure!(
        settled.read(|answer| !matches!(answer, Inner::ErrorAnswer(_)))?,
        "an error came out"
    );
    let sent = seen.sent.into_iter().next_back().unwrap_or_default();
    Ok(Shown { settled, sent })
}

fn show_handshake(shell: &mut Shell<'_>) {
    let seen = shell.take_seen();
    let lengths = |frames: &[String]| {
        frames
            .iter()
            .map(|frame| frame.len().to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    ui::did(
        "gateway",
        format!(
            "saw handshake frames of {} octets going up and {} coming down",
            lengths(&seen.sent),
            lengths(&seen.received)
        ),
    );
}

fn last(frames: &[String]) -> &str {
    frames.last().map_or("", |frame| frame.trim_end())
}

/// Changes one character in the middle of a sealed frame's payload.
fn flip_payload(frame: String) -> String {
    let middle = frame.len() / 2;
    let flipped = |(at, character): (usize, char)| match (at == middle, character) {
        (false, same) => same,
        (true, 'A') => 'B',
        (true, _) => 'A',
    };
    frame.char_indices().map(flipped).collect()
}
