//! A network in a directory of its own, and its programs as processes.
//!
//! Making one takes seconds, so one is made for all tests, and each test gets a copy with ports of its own.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::Instant;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tr_net::config::DataDir;
use tr_net::hsm::{self, Hsm};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tr-net");
/// The passphrase of every key store here. It must turn up nowhere.
pub(crate) const PASSPHRASE: &str = "vierzehn wilde Otter 7319";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A network with a company, a shop, a card, an enrolled point of sale and a voucher that nobody has used.
pub(crate) struct Site {
    /// `data`, `pos`, `card.wav`, `spare.wav` and logs lie in it.
    pub(crate) folder: TempDir,
    pub(crate) backend: SocketAddr,
    pub(crate) gateway: SocketAddr,
    pub(crate) facts: Arc<Facts>,
}

/// What the commands that made the network printed.
pub(crate) struct Facts {
    pub(crate) company: String,
    pub(crate) shop: String,
    pub(crate) account: String,
    pub(crate) root: String,
    pub(crate) track1: String,
    pub(crate) track2: String,
    pub(crate) voucher: Voucher,
    /// The voucher of the point of sale that is enrolled.
    pub(crate) used: Voucher,
}

/// What `enrol voucher` prints.
#[derive(Clone)]
pub(crate) struct Voucher {
    pub(crate) text: String,
    pub(crate) code: String,
}

struct Template {
    folder: TempDir,
    facts: Arc<Facts>,
}

static TEMPLATE: Mutex<Weak<Template>> = Mutex::new(Weak::new());

impl Template {
    /// The template, made once, and again only if no test holds it.
    fn get() -> Arc<Self> {
        let mut made = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
        made.upgrade().unwrap_or_else(|| {
            let template = Arc::new(Self::make());
            *made = Arc::downgrade(&template);
            template
        })
    }

    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Site {
            folder,
            backend: unused_address(),
            gateway: unused_address(),
            facts: Arc::new(Facts::none()),
        };
        let made = site.ok(&[
            "init",
            "--backend",
            &site.backend.to_string(),
            "--gateway",
            &site.gateway.to_string(),
        ]);
        let backend = site.start("backend", &[]);
        let gateway = site.start("gateway", &[]);
        let number = |text: String| text.split_whitespace().nth(1).unwrap().to_owned();
        let company = number(site.ok(&["company", "add", "Acme Mills"]));
        let shop = number(site.ok(&["shop", "add", "Corner Deli"]));
        let card = site.ok(&[
            "card",
            "issue",
            "--company",
            &company,
            "--name",
            "DOE/JANE",
            "--credit",
            "200.00",
            "--wav",
            &site.path("card.wav"),
        ]);
        let used = site.voucher(&shop);
        let facts = Facts {
            account: field(&card, "account"),
            root: field(&made, "root SHA-256"),
            track1: card
                .lines()
                .find_map(|line| line.strip_prefix("track 1  "))
                .unwrap()
                .to_owned(),
            track2: field(&card, "track 2"),
            voucher: site.voucher(&shop),
            used,
            company,
            shop,
        };
        site.facts = Arc::new(facts);
        site.enrol("pos", &site.facts.used);
        gateway.stop();
        backend.stop();
        Template {
            facts: site.facts,
            folder: site.folder,
        }
    }
}

impl Facts {
    fn none() -> Self {
        let voucher = Voucher {
            text: String::new(),
            code: String::new(),
        };
        Facts {
            company: String::new(),
            shop: String::new(),
            account: String::new(),
            root: String::new(),
            track1: String::new(),
            track2: String::new(),
            used: voucher.clone(),
            voucher,
        }
    }
}

/// The word after a name at the start of a line.
pub(crate) fn field(text: &str, name: &str) -> String {
    text.lines()
        .find_map(|line| line.trim_start().strip_prefix(name)?.split_whitespace().next())
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .to_owned()
}

impl Site {
    pub(crate) fn new() -> Self {
        let template = Template::get();
        let folder = tempfile::tempdir().unwrap();
        copy(template.folder.path(), folder.path());
        let site = Site {
            folder,
            backend: unused_address(),
            gateway: unused_address(),
            facts: Arc::clone(&template.facts),
        };
        set(&site.file("data/tr-net.toml"), "backend = ", &site.backend.to_string());
        set(&site.file("data/tr-net.toml"), "gateway = ", &site.gateway.to_string());
        set(&site.file("pos/pos.toml"), "gateway = ", &site.gateway.to_string());
        site
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn data(&self) -> DataDir {
        DataDir::open(&self.file("data")).unwrap()
    }

    /// The backend's key store, while no backend has it.
    pub(crate) fn backend_keys(&self) -> Arc<Hsm> {
        hsm::open(&self.file("data/backend/backend.keys"), PASSPHRASE).unwrap()
    }

    /// The program with the network's directories and passphrase in its environment, and nothing else that it reads.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.settled(Command::new(PROGRAM), arguments)
    }

    /// As [`Site::command`], started by another program.
    pub(crate) fn settled(&self, mut command: Command, arguments: &[&str]) -> Command {
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TR_NET_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .env("TR_NET_DATA", self.file("data"))
            .env("TR_NET_POS", self.file("pos"))
            .env("TR_NET_PASSPHRASE", PASSPHRASE)
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// Runs what must go well, and returns what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.out
    }

    pub(crate) fn voucher(&self, shop: &str) -> Voucher {
        let printed = self.ok(&["enrol", "voucher", "--shop", shop]);
        Voucher {
            text: field(&printed, "voucher"),
            code: field(&printed, "code"),
        }
    }

    /// The arguments that enrol a point of sale.
    pub(crate) fn enrolment(&self, pos: &str, voucher: &Voucher) -> Vec<String> {
        let words = [
            "enrol",
            "pos",
            "--pos",
            &self.path(pos),
            "--voucher",
            &voucher.text,
            "--root",
            &self.facts.root,
            "--handout",
            &self.path("data/handout/pos-class.p12"),
            "--code",
            &voucher.code,
            "--gateway",
            &self.gateway.to_string(),
        ];
        words.map(str::to_owned).to_vec()
    }

    pub(crate) fn enrol(&self, pos: &str, voucher: &Voucher) {
        let arguments = self.enrolment(pos, voucher);
        self.ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Pays with the card.
    pub(crate) fn pay(&self, amount: &str) -> Ran {
        self.run(&["pos", "swipe", "--wav", &self.path("card.wav"), "--amount", amount])
    }

    /// Starts `backend` or `gateway` and waits until it listens.
    pub(crate) fn start(&self, what: &str, arguments: &[&str]) -> Server {
        self.start_as(what, self.command(&[&[what], arguments].concat()))
    }

    /// As [`Site::start`], with a command of the caller's own.
    pub(crate) fn start_as(&self, what: &str, mut command: Command) -> Server {
        let (out, err) = (self.file(&format!("{what}.out")), self.file(&format!("{what}.err")));
        let child = command
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        let server = Server { child, err };
        eventually(what, || fs::read_to_string(&out).unwrap().contains("listening"));
        server
    }

    /// Backend and gateway; the backend logs from `info` on.
    pub(crate) fn serve(&self) -> (Server, Server) {
        let backend = self.start("backend", &["--log", "info"]);
        let gateway = self.start("gateway", &["--log", "info"]);
        (backend, gateway)
    }

    /// What the directories of network and terminal hold: locks and sockets, which hold nothing, apart.
    pub(crate) fn content(&self) -> Content {
        let mut content = Content::new();
        for folder in ["data", "pos"] {
            hash_folder(&self.file(folder), &mut content);
        }
        content
    }
}

pub(crate) type Content = BTreeMap<PathBuf, Option<[u8; 32]>>;

fn hash_folder(folder: &Path, content: &mut Content) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            content.insert(path.clone(), None);
            hash_folder(&path, content);
        } else if !kind.is_socket() && path.extension().is_none_or(|extension| extension != "lock") {
            let hash = Sha256::digest(fs::read(&path).unwrap()).into();
            content.insert(path, Some(hash));
        }
    }
}

/// What a program that has ended left behind.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl core::fmt::Debug for Ran {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        writeln!(f, "status {}\n{}\n{}", self.code, self.out, self.err)
    }
}

impl Ran {
    /// It failed with one line that has all of `words`, and no sign of a crash.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str]) {
        assert_eq!(self.code, 1, "{self:?}");
        let one_line = self.err.ends_with('\n') && self.err.lines().count() == 1;
        assert!(one_line && self.err.starts_with("tr-net: "), "{self:?}");
        assert!(
            !self.err.contains("panicked") && !self.err.contains("RUST_BACKTRACE"),
            "{self:?}"
        );
        let parts: Vec<&str> = self.err.trim().split(": ").collect();
        assert!(parts.windows(2).all(|two| two[0] != two[1]), "said twice: {self:?}");
        for word in words {
            assert!(self.err.contains(word), "no `{word}` in {self:?}");
        }
    }
}

/// A backend or gateway that runs.
pub(crate) struct Server {
    child: Child,
    err: PathBuf,
}

impl Server {
    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    /// Waits for a line with all of `words`.
    #[track_caller]
    pub(crate) fn logged(&self, words: &[&str]) -> String {
        self.logged_after(0, words)
    }

    /// As [`Server::logged`], after so many octets of the log.
    #[track_caller]
    pub(crate) fn logged_after(&self, start: usize, words: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log().split_off(start);
            if let Some(line) = log.lines().find(|line| words.iter().all(|word| line.contains(word))) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "no line with {words:?} in\n{log}");
            sleep(Duration::from_millis(10));
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&self) -> bool {
        // A process that has ended and was not waited for is a zombie.
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        !status
            .lines()
            .any(|line| line.starts_with("State:") && line.contains('Z'))
    }

    /// Ends it in order, and sees that it does.
    pub(crate) fn stop(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: waited too long");
        sleep(Duration::from_millis(10));
    }
}

/// An address that nobody listens on, given once. Its port is below those that the system gives to connections, so that
/// nobody takes it while its server restarts.
pub(crate) fn unused_address() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const PORTS: u32 = 20_000;
    // Two programs that run at once begin far from each other.
    let begin = std::process::id().wrapping_mul(617);
    loop {
        let port = FIRST + begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", u16::try_from(port).unwrap())) {
            return listener.local_addr().unwrap();
        }
    }
}

/// Sets a line of a settings file.
pub(crate) fn set(path: &Path, start: &str, value: &str) {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| match line.starts_with(start) {
        true => format!("{start}\"{value}\"\n"),
        false => format!("{line}\n"),
    });
    fs::write(path, lines.collect::<String>()).unwrap();
}

/// Copies a folder with what is in it; rights are copied with the files.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
