//! A network whose programs are started, stopped and killed one by one, and points of sale that talk to them.

use core::time::Duration;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tr_net::admin::Books;
use tr_net::backend::Core;
use tr_net::pos::{Pos, Settled, Shell, Task};
use tr_net::store::{Store, StoredTransaction};
use tr_protocol::lifecycle::Outcome;
use tr_protocol::message::{Inner, ReversalResult, State, StatusAnswer};
use tr_protocol::value::TransactionId;
use tr_terminal::memory::Memory;

use crate::site::{PASSPHRASE, Site, eventually, field, set};

/// What the card of the network holds at first, in minor units.
pub(crate) const CREDIT: i64 = 20_000;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Backend,
    Gateway,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Part::Backend => "backend",
            Part::Gateway => "gateway",
        }
    }
}

/// A process that does not outlive its test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Process(command.spawn().unwrap())
    }

    /// `kill -9`, and waits for the end.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(name).arg(self.0.id().to_string()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network of its own for one test.
pub(crate) struct World {
    pub(crate) site: Site,
    backend: Option<Process>,
    gateway: Option<Process>,
}

/// A card with an account of its own.
pub(crate) struct Card {
    pub(crate) account: String,
    pub(crate) track2: String,
}

impl World {
    /// A network whose programs do not run yet.
    pub(crate) fn new() -> Self {
        let site = Site::new();
        // The tests are faster than any device may be.
        for limit in [
            "connects_per_second",
            "connect_burst",
            "frames_per_second",
            "frame_burst",
        ] {
            set_number(&site.file("data/tr-net.toml"), limit, 1_000_000);
        }
        for limit in ["bytes_per_second", "byte_burst"] {
            set_number(&site.file("data/tr-net.toml"), limit, 1_000_000_000);
        }
        World {
            site,
            backend: None,
            gateway: None,
        }
    }

    /// A network at work.
    pub(crate) fn running() -> Self {
        let mut world = World::new();
        world.start(Part::Backend, &[]);
        world.start(Part::Gateway, &[]);
        world
    }

    fn part(&mut self, part: Part) -> &mut Option<Process> {
        match part {
            Part::Backend => &mut self.backend,
            Part::Gateway => &mut self.gateway,
        }
    }

    /// Starts a program with more in its environment, and waits until it listens.
    pub(crate) fn start(&mut self, part: Part, environment: &[(&str, &str)]) {
        let name = part.name();
        let out = self.site.file(&format!("{name}.out"));
        let log = File::create(self.log_file(part));
        let mut command = self.site.command(&[name, "--log", "info", "--until-stdin-closes"]);
        command
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(File::create(&out).unwrap())
            .stderr(log.unwrap());
        let mut process = Process::spawn(&mut command);
        eventually(name, || {
            let ended = process.0.try_wait().unwrap();
            assert!(ended.is_none(), "the {name} ended: {}", self.log(part));
            fs::read_to_string(&out).unwrap().contains("listening")
        });
        *self.part(part) = Some(process);
        if part == Part::Gateway && self.backend.is_some() {
            let links = |text: &str| text.matches("the link to the backend is up").count();
            eventually("the link", || links(&self.log(part)) > 0);
        }
    }

    /// Starts a program that stands still for ever when it comes to a point.
    pub(crate) fn start_halting(&mut self, part: Part, point: &str) {
        let halt = self.site.path("halted");
        self.start(part, &[("TR_NET_HALT_AT", point), ("TR_NET_HALT_FILE", &halt)]);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, part: Part) {
        self.part(part).take().unwrap().kill();
    }

    /// Ends a program in order.
    pub(crate) fn stop(&mut self, part: Part) {
        let mut process = self.part(part).take().unwrap();
        drop(process.0.stdin.take());
        assert!(process.0.wait().unwrap().success());
    }

    /// Sends a signal by name to a program.
    pub(crate) fn signal(&mut self, part: Part, name: &str) {
        self.part(part).as_ref().unwrap().signal(name);
    }

    /// Waits until a program stands at its point.
    pub(crate) async fn halted(&self) {
        wait_for("the crash point", || self.site.file("halted").exists()).await;
    }

    fn log_file(&self, part: Part) -> PathBuf {
        self.site.file(&format!("{}.log", part.name()))
    }

    pub(crate) fn log(&self, part: Part) -> String {
        fs::read_to_string(self.log_file(part)).unwrap()
    }

    /// A point of sale that is enrolled in a directory.
    pub(crate) fn pos(&self, directory: &str) -> Pos {
        Pos::open(&self.site.file(directory), PASSPHRASE).unwrap()
    }

    /// Enrols a second point of sale of the same shop.
    pub(crate) fn second_pos(&self) -> Pos {
        self.site.enrol("pos2", &self.site.facts.voucher);
        self.pos("pos2")
    }

    /// The ledger, from the backend that runs.
    pub(crate) fn books(&self) -> Books {
        serde_json::from_str(&self.site.ok(&["ledger", "--json"])).unwrap()
    }

    /// Balance of the card of the network and number of entries, of a ledger that agrees with itself.
    pub(crate) fn state(&self) -> (i64, u64) {
        let books = self.books();
        assert!(books.sum == 0 && books.findings.is_empty(), "{books:?}");
        (balance(&books, &self.site.facts.account), books.entries)
    }

    /// Issues another card.
    pub(crate) fn card(&self, credit: &str) -> Card {
        let printed = self.site.ok(&[
            "card",
            "issue",
            "--company",
            &self.site.facts.company,
            "--credit",
            credit,
        ]);
        Card {
            account: field(&printed, "account"),
            track2: field(&printed, "track 2"),
        }
    }

    /// Pays with the card of the network.
    pub(crate) fn pay(&self, amount: i64) -> Task<'_> {
        Task::Pay {
            amount,
            partial: false,
            track: &self.site.facts.track2,
        }
    }

    /// What the database holds of a command, while no backend runs.
    pub(crate) async fn stored(&self, terminal: &str, id: TransactionId) -> Option<StoredTransaction> {
        let core = Core::open(self.site.data(), PASSPHRASE).await.unwrap();
        let stored = core.store.stored(terminal, id).await.unwrap();
        core.close().await.unwrap();
        stored
    }

    /// Everything that the database holds of a terminal, while no backend runs.
    pub(crate) async fn transactions(&self, terminal: &str) -> Vec<StoredTransaction> {
        let core = Core::open(self.site.data(), PASSPHRASE).await.unwrap();
        let stored = core.store.transactions(terminal, 1_000).await.unwrap();
        core.close().await.unwrap();
        stored
    }
}

/// The balance of an account in minor units.
#[track_caller]
pub(crate) fn balance(books: &Books, account: &str) -> i64 {
    let account = format!("card account {account}");
    let line = books.accounts.iter().find(|line| line.account == account);
    line.unwrap_or_else(|| panic!("no {account} in {books:?}")).balance
}

/// Sets a number of the settings file.
pub(crate) fn set_number(path: &std::path::Path, name: &str, value: u64) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(&format!("\n{name} = ")), "no {name} in {text}");
    // `set` writes a string; a number has no quotes.
    set(path, &format!("{name} = "), "?");
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, text.replace("\"?\"", &value.to_string())).unwrap();
}

/// Waits, and lets others work meanwhile.
pub(crate) async fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: waited too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Connects, as soon as the gateway has found its backend.
pub(crate) async fn online(shell: &mut Shell<'_>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = shell.connect().await {
        assert!(Instant::now() < deadline, "{error:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Sends what is pending until it is answered, however long the gateway takes to find its backend again.
pub(crate) async fn settle(shell: &mut Shell<'_>) -> Settled {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match shell.settle().await {
            Ok(settled) => return settled,
            Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
        }
    }
}

/// The terminal's identity as the database names it.
pub(crate) fn urn(shell: &Shell<'_>) -> String {
    String::from_utf8(shell.terminal().identity().to_urn().to_vec()).unwrap()
}

/// The memory as it is now.
pub(crate) fn memory(shell: &Shell<'_>) -> Memory {
    shell.terminal().memory().clone()
}

/// What a point of sale would send now: the signed command and its D frame.
pub(crate) fn pending(shell: &Shell<'_>) -> Vec<u8> {
    let (command, data) = shell.terminal().pending().unwrap();
    [command, data].concat()
}

/// The outcome of a sale, its amount in minor units, and the rule that cut it.
#[track_caller]
pub(crate) fn sale(settled: &Settled) -> (Outcome, u64, Option<String>) {
    let read = settled.read(|answer| match answer {
        Inner::AuthoriseAnswer(answer) => Some((
            answer.outcome,
            answer.amount.minor_units(),
            answer.rule.map(|rule| rule.as_str().to_owned()),
        )),
        _ => None,
    });
    read.unwrap()
        .unwrap_or_else(|| panic!("no answer to a sale: {}", settled.answer))
}

/// How a reversal ended.
#[track_caller]
pub(crate) fn reversal(settled: &Settled) -> ReversalResult {
    let read = settled.read(|answer| match answer {
        Inner::ReversalAnswer(answer) => Some(answer.outcome),
        _ => None,
    });
    read.unwrap()
        .unwrap_or_else(|| panic!("no answer to a reversal: {}", settled.answer))
}

/// The state of an original, its amount, and the digest of its answer.
#[track_caller]
pub(crate) fn status(settled: &Settled) -> (State, Option<u64>, Option<[u8; 32]>) {
    let read = settled.read(|answer| match answer {
        Inner::StatusAnswer(StatusAnswer {
            state, amount, answer, ..
        }) => Some((
            *state,
            amount.map(|amount| amount.minor_units()),
            answer.map(|digest| digest.0),
        )),
        _ => None,
    });
    read.unwrap()
        .unwrap_or_else(|| panic!("no answer to a status query: {}", settled.answer))
}

/// The code of a signed error.
#[track_caller]
pub(crate) fn error(settled: &Settled) -> String {
    let read = settled.read(|answer| match answer {
        Inner::ErrorAnswer(answer) => Some(answer.code.as_str().to_owned()),
        _ => None,
    });
    read.unwrap().unwrap_or_else(|| panic!("no error: {}", settled.answer))
}
