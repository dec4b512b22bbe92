//! The command line: what can be asked of `tr-net`, and nothing of how it is done.

use core::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use zeroize::Zeroizing;

/// An open closed-loop payment network for meal vouchers.
#[derive(Debug, Parser)]
#[command(
    name = "tr-net",
    version,
    about,
    long_about = "An open closed-loop payment network for meal vouchers: backend, gateway, terminals and tools.\n\n\
        `tr-net demo` shows all of it on this machine in a few seconds. To run the parts yourself: `init`, then `backend` \
        and `gateway`, then `company add`, `shop add`, `card issue`, `enrol voucher`, `enrol pos`, `pos swipe`.",
    arg_required_else_help = true,
    propagate_version = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What to log on standard error, e.g. `info`, `debug`, `tr_net::gateway=trace`.
    #[arg(
        long,
        global = true,
        env = "TR_NET_LOG",
        default_value = "warn",
        value_name = "FILTER"
    )]
    pub log: String,
    /// How to log.
    #[arg(long, global = true, default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole network at work on this machine, from an empty directory to a verified receipt.
    Demo(Demo),
    /// Make a network: data directory, root and issuing CA, class certificates, key stores, database.
    Init(Init),
    /// Run the backend: it authorises, keeps the ledger, and is reached by gateways only.
    Backend(Server),
    /// Run the gateway: it connects terminals with the backend and cannot read what they say.
    Gateway(Gateway),
    /// Companies, which load credit for their employees.
    #[command(subcommand)]
    Company(Company),
    /// Shops, where employees pay.
    #[command(subcommand)]
    Shop(Shop),
    /// Payment cards.
    #[command(subcommand)]
    Card(Card),
    /// Bring a terminal into the network.
    #[command(subcommand)]
    Enrol(Enrol),
    /// Work as a point of sale.
    #[command(subcommand)]
    Pos(Pos),
    /// Magnetic tracks.
    #[command(subcommand)]
    Track(Track),
    /// Print accounts and balances; their sum is zero.
    Ledger(Ledger),
    /// Check a receipt offline: signatures, certificates, and that question and answer belong together.
    VerifyReceipt(VerifyReceipt),
}

/// Where the data directory is, and the passphrase of its key stores.
#[derive(Args, Clone, Debug)]
pub struct Data {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "tr-net-data", env = "TR_NET_DATA")]
    pub data: PathBuf,
    #[command(flatten)]
    /// The passphrase.
    pub passphrase: Passphrase,
}

/// Where a passphrase comes from; with neither, it is asked for on the terminal.
#[derive(Args, Clone, Debug)]
pub struct Passphrase {
    /// A file whose first line is the passphrase; only its owner may read it.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// The passphrase itself, from the environment only.
    #[arg(
        long = "passphrase-from-environment",
        hide = true,
        env = "TR_NET_PASSPHRASE",
        hide_env_values = true
    )]
    pub from_environment: Option<Hidden>,
}

/// A secret word of the command line or the environment: not shown by `Debug`.
#[derive(Clone)]
pub struct Hidden(Zeroizing<String>);

impl Hidden {
    /// The word.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Hidden {
    fn from(word: String) -> Self {
        Hidden(Zeroizing::new(word))
    }
}

impl core::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// `demo`.
#[derive(Args, Debug)]
pub struct Demo {
    /// Leave backend and gateway running until Ctrl-C, and print commands to try.
    #[arg(long)]
    pub keep: bool,
    /// Where to put the demo's data; a new directory under the system's temporary one by default.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `init`.
#[derive(Args, Debug)]
pub struct Init {
    #[command(flatten)]
    /// Data directory and passphrase.
    pub data: Data,
    /// A passphrase of its own for the root's key store, which goes offline; without it, the network's.
    #[arg(long, value_name = "FILE")]
    pub root_passphrase_file: Option<PathBuf>,
    /// Where the backend will listen for gateways.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7711")]
    pub backend: SocketAddr,
    /// Where the gateway will listen for terminals.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7710")]
    pub gateway: SocketAddr,
    /// ISO 4217 code of the programme's currency.
    #[arg(long, value_name = "CODE", default_value = "USD")]
    pub currency: String,
    /// IANA name of the time zone in which a day begins and ends.
    #[arg(long, value_name = "ZONE", default_value = "America/New_York")]
    pub time_zone: String,
    /// Most that one sale may take.
    #[arg(long, value_name = "AMOUNT", default_value = "25.00")]
    pub per_sale: String,
    /// Most that one card may spend on one day.
    #[arg(long, value_name = "AMOUNT", default_value = "40.00")]
    pub per_day: String,
}

/// `backend`.
#[derive(Args, Debug)]
pub struct Server {
    #[command(flatten)]
    /// Data directory and passphrase.
    pub data: Data,
    /// Stop when standard input closes: for programs that start this one.
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
}

/// `gateway`.
#[derive(Args, Debug)]
pub struct Gateway {
    #[command(flatten)]
    /// Data directory and passphrase.
    pub data: Data,
    /// Append every message as the gateway sees it to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub wire_log: Option<PathBuf>,
    /// Stop when standard input closes: for programs that start this one.
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
}

/// `company …`.
#[derive(Debug, Subcommand)]
pub enum Company {
    /// Register a company and print its number.
    Add(AddCompany),
}

/// `company add`.
#[derive(Args, Debug)]
pub struct AddCompany {
    #[command(flatten)]
    /// Data directory and passphrase.
    pub data: Data,
    /// Its name.
    pub name: String,
    /// How the registration arrived.
    #[arg(long, default_value = "other", value_name = "CHANNEL")]
    pub channel: Channel,
}

/// How a registration arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Channel {
    /// The website.
    Website,
    /// By post.
    Post,
    /// By telephone.
    Phone,
    /// Any other way.
    Other,
}

/// `shop …`.
#[derive(Debug, Subcommand)]
pub enum Shop {
    /// Register a shop and print its number.
    Add(AddShop),
}

/// `shop add`.
#[derive(Args, Debug)]
pub struct AddShop {
    #[command(flatten)]
    /// Data directory and passphrase.
    pub data: Data,
    /// Its name, as terminals show it.
    pub name: String,
}

/// `card …`.
#[derive(Debug, Subcommand)]
pub enum Card {
    /// Issue a magnetic card: print its tracks, and write its swipe as a WAV file.
    Issue(IssueCard),
    /// Load credit onto a card, from its company.
    Load(LoadCard),
}

/// `card issue`.
#[derive(Args, Debug)]
pub struct IssueCard {
    #[command(flatten)]
    /// Data directory and passphrase.
    pub data: Data,
    /// Number of the company that the cardholder works for.
    #[arg(long, value_name = "N")]
    pub company: u64,
    /// Name on the card, `SURNAME/GIVEN`; a card without one is as good.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Credit to load at once, such as 30.00.
    #[arg(long, value_name = "AMOUNT")]
    pub credit: Option<String>,
    /// Where to write the swipe: stereo, track 1 left and track 2 right; only its owner may read it.
    #[arg(long, value_name = "FILE")]
    pub wav: Option<PathBuf>,
}

/// `card load`.
#[derive(Args, Debug)]
pub struct LoadCard {
    #[command(flatten)]
    /// Data directory and passphrase.
    pub data: Data,
    /// Number of the company that pays.
    #[arg(long, value_name = "N")]
    pub company: u64,
    /// Number of the card's account, as `card issue` and `ledger` print it.
    #[arg(long, value_name = "N")]
    pub account: u64,
    /// How much, such as 30.00.
    #[arg(long, value_name = "AMOUNT")]
    pub amount: String,
    /// Your own name for this load: the same name never loads twice.
    #[arg(long, value_name = "TEXT")]
    pub reference: String,
}

/// `enrol …`.
#[derive(Debug, Subcommand)]
pub enum Enrol {
    /// As the operator: print a voucher and the root's fingerprint for one terminal of a shop.
    Voucher(EnrolVoucher),
    /// As the terminal: make a key, redeem the voucher, keep the certificate.
    Pos(EnrolPos),
}

/// `enrol voucher`.
#[derive(Args, Debug)]
pub struct EnrolVoucher {
    #[command(flatten)]
    /// Data directory and passphrase.
    pub data: Data,
    /// Number of the shop.
    #[arg(long, value_name = "N")]
    pub shop: u64,
}

/// Where a terminal keeps itself, and the passphrase of its key store.
#[derive(Args, Clone, Debug)]
pub struct PosDir {
    /// The terminal's directory.
    #[arg(long, value_name = "DIR", default_value = "tr-net-pos", env = "TR_NET_POS")]
    pub pos: PathBuf,
    #[command(flatten)]
    /// The passphrase.
    pub passphrase: Passphrase,
}

/// `enrol pos`.
#[derive(Args, Debug)]
pub struct EnrolPos {
    #[command(flatten)]
    /// The terminal.
    pub pos: PosDir,
    /// The voucher, as `enrol voucher` printed it; from the environment it does not show among the running programs.
    #[arg(long, value_name = "TEXT", env = "TR_NET_VOUCHER", hide_env_values = true)]
    pub voucher: Hidden,
    /// SHA-256 of the root certificate, as `enrol voucher` printed it.
    #[arg(long, value_name = "HEX")]
    pub root: String,
    /// The handout with the TLS class certificate and key (PKCS#12).
    #[arg(long, value_name = "FILE")]
    pub handout: PathBuf,
    /// The handout's code, as `enrol voucher` printed it.
    #[arg(long, value_name = "TEXT", env = "TR_NET_CODE", hide_env_values = true)]
    pub code: Hidden,
    /// The gateway.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7710")]
    pub gateway: SocketAddr,
}

/// `pos …`.
#[derive(Debug, Subcommand)]
pub enum Pos {
    /// Read a swipe and pay.
    Swipe(Swipe),
    /// Get the answer of the command that has none yet, by repeating it.
    Retry(PosOnly),
    /// Give up the sale that has no answer yet: it is undone, or never executed.
    Cancel(PosOnly),
    /// Undo a sale.
    Reverse(Original),
    /// Ask what became of a sale.
    Status(Original),
    /// Read a swipe and ask for the balance.
    Balance(Balance),
}

/// `pos swipe`.
#[derive(Args, Debug)]
pub struct Swipe {
    #[command(flatten)]
    /// The terminal.
    pub pos: PosDir,
    /// The recorded swipe.
    #[arg(long, value_name = "FILE")]
    pub wav: PathBuf,
    /// How much, such as 12.50.
    #[arg(long, value_name = "AMOUNT")]
    pub amount: String,
    /// Take a part if the card has not enough.
    #[arg(long)]
    pub partial: bool,
    /// Where to write the receipt; the terminal keeps one too.
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Language of what the cashier reads.
    #[arg(long, value_name = "LANGUAGE", default_value = "en", env = "TR_NET_LANGUAGE")]
    pub language: Language,
}

/// Languages of what cashiers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English.
    En,
    /// Spanish.
    Es,
}

/// A terminal and nothing else.
#[derive(Args, Debug)]
pub struct PosOnly {
    #[command(flatten)]
    /// The terminal.
    pub pos: PosDir,
    /// Language of what the cashier reads.
    #[arg(long, value_name = "LANGUAGE", default_value = "en", env = "TR_NET_LANGUAGE")]
    pub language: Language,
}

/// A terminal and one of its sales.
#[derive(Args, Debug)]
pub struct Original {
    #[command(flatten)]
    /// The terminal.
    pub pos: PosDir,
    /// The sale's id, as its receipt says.
    #[arg(long, value_name = "ID")]
    pub id: u64,
    /// Language of what the cashier reads.
    #[arg(long, value_name = "LANGUAGE", default_value = "en", env = "TR_NET_LANGUAGE")]
    pub language: Language,
}

/// `pos balance`.
#[derive(Args, Debug)]
pub struct Balance {
    #[command(flatten)]
    /// The terminal.
    pub pos: PosDir,
    /// The recorded swipe.
    #[arg(long, value_name = "FILE")]
    pub wav: PathBuf,
    /// Language of what the cashier reads.
    #[arg(long, value_name = "LANGUAGE", default_value = "en", env = "TR_NET_LANGUAGE")]
    pub language: Language,
}

/// `track …`.
#[derive(Debug, Subcommand)]
pub enum Track {
    /// Read a recorded swipe: WAV, `.MAG` or flux CSV.
    Decode(Decode),
}

/// `track decode`.
#[derive(Args, Debug)]
pub struct Decode {
    /// The recording.
    pub file: PathBuf,
}

/// `ledger`.
#[derive(Args, Debug)]
pub struct Ledger {
    #[command(flatten)]
    /// Data directory and passphrase.
    pub data: Data,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `verify-receipt`.
#[derive(Args, Debug)]
pub struct VerifyReceipt {
    /// The receipt.
    pub receipt: PathBuf,
    /// SHA-256 of the root certificate that you trust, as `init` and `enrol voucher` printed it.
    #[arg(long, value_name = "HEX")]
    pub root: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
