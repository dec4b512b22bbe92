//! What each command of the command line does.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::pki_types::ServerName;
use tr_pki::Role;
use tr_protocol::value::TransactionId;
use zeroize::Zeroizing;

use crate::admin::{self, Ask, Told};
use crate::backend::{self, Core};
use crate::cashier::{self, Verdict};
use crate::cli::{self, Command, Data, Language, Passphrase};
use crate::config::{self, Asking, Certificates, DataDir};
use crate::gateway::{Gateway, GatewayConfig, Limits, WireLog, shutdown_signal};
use crate::init::{self, Plan};
use crate::ledger::{Edition, Policy};
use crate::link::{Dialer, LinkLimits};
use crate::pos::{Handover, Pos, Settled, Shell, Task, parse_fingerprint};
use crate::{clock, demo, hsm, money, receipt, swipe, tls, ui};

/// The card was declined, or the network refused the command.
const DECLINED: u8 = 3;
/// No answer came; the command stays pending.
const UNKNOWN: u8 = 4;

/// Does what was asked.
///
/// # Errors
/// One line that says what is wrong and what to do.
pub async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(args.keep, args.data).await?,
        Command::Init(args) => new_network(&args).await?,
        Command::Backend(args) => serve_backend(&args).await?,
        Command::Gateway(args) => serve_gateway(&args).await?,
        Command::Company(cli::Company::Add(args)) => {
            tracing::debug!(channel = ?args.channel, "registration");
            register(
                &args.data,
                Ask::Company {
                    name: args.name,
                    channel: format!("{:?}", args.channel).to_lowercase(),
                },
                "company",
            )
            .await?;
        }
        Command::Shop(cli::Shop::Add(args)) => register(&args.data, Ask::Shop { name: args.name }, "shop").await?,
        Command::Card(cli::Card::Issue(args)) => issue_card(&args).await?,
        Command::Card(cli::Card::Load(args)) => load_card(&args).await?,
        Command::Enrol(cli::Enrol::Voucher(args)) => voucher(&args).await?,
        Command::Enrol(cli::Enrol::Pos(args)) => enrol(&args).await?,
        Command::Pos(command) => return pos(command).await,
        Command::Track(cli::Track::Decode(args)) => swipe::print(&args.file)?,
        Command::Ledger(args) => ledger(&args).await?,
        Command::VerifyReceipt(args) => verify_receipt(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The passphrase of a key store that is there.
fn passphrase(from: &Passphrase) -> Result<Zeroizing<String>> {
    read_passphrase(from, Asking::Once)
}

fn read_passphrase(from: &Passphrase, asking: Asking) -> Result<Zeroizing<String>> {
    config::passphrase(
        from.passphrase_file.as_deref(),
        from.from_environment.as_ref().map(cli::Hidden::expose),
        "Passphrase of the key store: ",
        asking,
    )
}

/// The rules of a new programme.
///
/// # Errors
/// When they contradict themselves.
pub fn policy(currency: &str, time_zone: &str, per_sale: i64, per_day: i64) -> Result<Policy> {
    let code = tr_protocol::value::Currency::new(currency);
    let code =
        code.with_context(|| format!("`{currency}` is no currency: write three capital letters, such as USD"))?;
    let first = Edition {
        from: jiff::civil::date(2026, 1, 1),
        minimum: 1,
        per_transaction: per_sale,
        per_day,
        credit_days: 365,
    };
    Ok(Policy::new(code, time_zone, vec![first])?)
}

async fn new_network(args: &cli::Init) -> Result<()> {
    let policy = policy(
        &args.currency,
        &args.time_zone,
        money::parse(&args.per_sale, &args.currency)?,
        money::parse(&args.per_day, &args.currency)?,
    )?;
    let root_passphrase = match &args.root_passphrase_file {
        None => None,
        Some(path) => Some(
            config::passphrase(Some(path), None, "", Asking::Once)?
                .to_string()
                .into(),
        ),
    };
    let plan = Plan {
        root_passphrase,
        backend: args.backend,
        gateway: args.gateway,
        policy,
        certificates: Certificates::default(),
        now: clock::now(),
    };
    let secret = read_passphrase(&args.data.passphrase, Asking::Twice)?;
    let (data, made) = init::init(&args.data.data, &secret, &plan, &mut |step| ui::did("init", step))?;
    ui::did("init", "database");
    let database = async { Core::create(data.clone(), &secret).await?.close().await };
    if let Err(error) = database.await {
        data.discard();
        return Err(error);
    }
    for (role, file) in &made.certificates {
        ui::did(role.name(), data.file(file).display());
    }
    ui::good(format!("a new network in {}", data.path().display()));
    ui::line(format!("  root SHA-256  {}", ui::hex(&made.root)));
    ui::line(format!(
        "Move {} to a safe place: nothing in daily work needs it.",
        data.file("root").display()
    ));
    Ok(())
}

/// Completes when the program is asked to stop: SIGTERM, Ctrl-C, or, where its starter asked for it, the end of standard
/// input.
async fn stopped(with_stdin: bool) {
    let closed = async {
        if with_stdin {
            let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
        } else {
            core::future::pending::<()>().await;
        }
    };
    tokio::select! {
        watched = shutdown_signal() => if let Err(error) = watched {
            tracing::warn!(%error, "signals cannot be watched: stop this program with kill -9");
            core::future::pending::<()>().await;
        },
        () = closed => {}
    }
}

async fn serve_backend(args: &cli::Server) -> Result<()> {
    let data = DataDir::open(&args.data.data)?;
    let core = Arc::new(Core::open(data, &passphrase(&args.data.passphrase)?).await?);
    let address = core.config.backend;
    let listener = crate::link::listen("backend", address)
        .await
        .with_context(|| address_is_set_in(&core.data))?;
    let administration = tokio::spawn(admin::serve(Arc::clone(&core)));
    ui::line(format!("backend: listening on {address}; stop it with Ctrl-C"));
    let served = tokio::select! {
        served = backend::run(Arc::clone(&core), listener, stopped(args.until_stdin_closes)) => served,
        ended = administration => match ended {
            Ok(Err(error)) => Err(error),
            _ => bail!("the administration socket ended"),
        },
    };
    core.close().await?;
    served
}

fn address_is_set_in(data: &DataDir) -> String {
    format!("see {}", data.file("tr-net.toml").display())
}

async fn serve_gateway(args: &cli::Gateway) -> Result<()> {
    let data = DataDir::open(&args.data.data)?;
    let config = data.config()?;
    let keys = hsm::open(&data.file("gateway/gateway.keys"), &passphrase(&args.data.passphrase)?)?;
    let now = clock::now();
    let certificate = init::certificate(&data, Role::ClassGateway)?;
    let identity = tls::Identity::new(keys, hsm::CLASS.newest(), &certificate, now)?;
    let trust = tls::Trust::new(&[init::certificate(&data, Role::ClassCa)?], now)?;
    let tap = match &args.wire_log {
        None => None,
        Some(path) => Some(
            WireLog::open(path)
                .with_context(|| format!("cannot write the wire log {}", path.display()))?
                .tap(),
        ),
    };
    let gateway = Gateway::bind(GatewayConfig {
        listen: config.gateway,
        tls: tls::server_config(&identity, &trust, &tls::DEVICES)?,
        backend: Dialer {
            address: config.backend,
            name: ServerName::IpAddress(config.backend.ip().into()),
            tls: tls::client_config(&identity, &trust, Role::ClassBackend)?,
        },
        addresses: config.addresses.rules()?,
        limits: Limits::from(&config.limits),
        link: LinkLimits::default(),
        tap,
    })
    .await
    .with_context(|| address_is_set_in(&data))?;
    ui::line(format!(
        "gateway: listening on {}; stop it with Ctrl-C",
        gateway.local_addr()
    ));
    gateway.run(stopped(args.until_stdin_closes)).await;
    Ok(())
}

async fn ask(data: &Data, ask: Ask) -> Result<Told> {
    let dir = DataDir::open(&data.data)?;
    admin::ask(&dir, || passphrase(&data.passphrase), ask).await
}

async fn register(data: &Data, what: Ask, kind: &str) -> Result<()> {
    let Told::Party { number } = ask(data, what).await? else {
        bail!("the backend gave another answer")
    };
    ui::line(format!("{kind} {number}"));
    Ok(())
}

async fn issue_card(args: &cli::IssueCard) -> Result<()> {
    let currency = DataDir::open(&args.data.data)?.config()?.policy.currency();
    let credit = args
        .credit
        .as_deref()
        .map(|text| money::parse(text, currency.as_str()))
        .transpose()?;
    let company = number("company", args.company)?;
    if let Some(path) = &args.wav {
        swipe::writable(path)?;
    }
    let told = ask(
        &args.data,
        Ask::Card {
            company,
            name: args.name.clone(),
            credit,
        },
    )
    .await?;
    let Told::Card(card) = told else {
        bail!("the backend gave another answer")
    };
    ui::line(format!("account  {}", card.account));
    ui::line(format!("track 1  {}", *card.track1));
    ui::line(format!("track 2  {}", *card.track2));
    if let Some(path) = &args.wav {
        swipe::write_wav(path, &card.track1, &card.track2)?;
        ui::line(format!("swipe    {}", path.display()));
    }
    if let Some(error) = card.credit_error {
        bail!(
            "the card was issued without its credit ({error}): load it with `tr-net card load --account {}`",
            card.account
        );
    }
    Ok(())
}

/// A number as the ledger has it. A larger one is nobody's.
fn number(what: &str, number: u64) -> Result<i64> {
    i64::try_from(number)
        .ok()
        .with_context(|| format!("there is no such {what}"))
}

async fn load_card(args: &cli::LoadCard) -> Result<()> {
    let currency = DataDir::open(&args.data.data)?.config()?.policy.currency();
    let amount = money::parse(&args.amount, currency.as_str())?;
    let (company, account) = (number("company", args.company)?, number("account", args.account)?);
    let told = ask(
        &args.data,
        Ask::Load {
            company,
            account,
            amount,
            reference: args.reference.clone(),
        },
    )
    .await?;
    let Told::Loaded { total, repeated } = told else {
        bail!("the backend gave another answer")
    };
    let again = if repeated {
        " (it had been loaded before; nothing was changed)"
    } else {
        ""
    };
    ui::line(format!(
        "loaded {} {}{again}",
        money::format(total, currency.as_str()),
        currency.as_str()
    ));
    Ok(())
}

async fn voucher(args: &cli::EnrolVoucher) -> Result<()> {
    let told = ask(
        &args.data,
        Ask::Voucher {
            shop: number("shop", args.shop)?,
        },
    )
    .await?;
    let Told::Voucher(voucher) = told else {
        bail!("the backend gave another answer")
    };
    let until = jiff::Timestamp::from_second(voucher.expires)?;
    ui::line(format!("terminal  {}", voucher.terminal));
    ui::line(format!("voucher   {}   (once, until {until})", *voucher.voucher));
    ui::line(format!("root      {}", voucher.root));
    ui::line(format!("handout   {}", voucher.handout.display()));
    ui::line(format!("code      {}", *voucher.code));
    ui::line("Hand over all four; the voucher and the code by another way than the file.");
    Ok(())
}

async fn enrol(args: &cli::EnrolPos) -> Result<()> {
    let handover = Handover {
        voucher: args.voucher.expose(),
        root: &args.root,
        handout: &args.handout,
        code: args.code.expose(),
        gateway: args.gateway,
    };
    let asking = if args.pos.pos.join("pos.keys").exists() {
        Asking::Once
    } else {
        Asking::Twice
    };
    let secret = read_passphrase(&args.pos.passphrase, asking)?;
    let pos = Pos::enrol(&args.pos.pos, &secret, &handover).await?;
    let shell = pos.shell()?;
    let identity = shell.terminal().identity().to_urn();
    ui::good(format!(
        "enrolled {} in {}",
        String::from_utf8_lossy(&identity),
        pos.dir().display()
    ));
    Ok(())
}

async fn pos(command: cli::Pos) -> Result<ExitCode> {
    match command {
        cli::Pos::Swipe(args) => {
            let track = read_card(&args.wav, args.language)?;
            let pos = open(&args.pos)?;
            let mut shell = ready(&pos).await?;
            let currency = shell.shop().map(|(_, currency)| currency).context("not signed on")?;
            let amount = money::parse(&args.amount, currency.as_str())?;
            shell.prepare(&Task::Pay {
                amount,
                partial: args.partial,
                track: &track,
            })?;
            let (code, settled) = finish(&mut shell, args.language).await?;
            let receipt = settled.and_then(|settled| settled.receipt);
            if let (Some(to), Some(from)) = (&args.receipt, receipt) {
                config::write_private(to, &std::fs::read(from)?)?;
            }
            Ok(code)
        }
        cli::Pos::Balance(args) => {
            let track = read_card(&args.wav, args.language)?;
            let pos = open(&args.pos)?;
            let mut shell = ready(&pos).await?;
            shell.prepare(&Task::Balance(&track))?;
            Ok(finish(&mut shell, args.language).await?.0)
        }
        cli::Pos::Reverse(args) => about(&args, Task::Reverse).await,
        cli::Pos::Status(args) => about(&args, Task::Status).await,
        cli::Pos::Cancel(args) => {
            let pos = open(&args.pos)?;
            let mut shell = pos.shell()?;
            if !shell.is_pending() {
                ui::line("no command waits for an answer");
                return Ok(ExitCode::SUCCESS);
            }
            if !shell.give_up()? {
                ui::line("the question is given up; it changed nothing");
                return Ok(ExitCode::SUCCESS);
            }
            Ok(finish(&mut shell, args.language).await?.0)
        }
        cli::Pos::Retry(args) => {
            let pos = open(&args.pos)?;
            let mut shell = pos.shell()?;
            if !shell.is_pending() {
                ui::line("no command waits for an answer");
                return Ok(ExitCode::SUCCESS);
            }
            Ok(finish(&mut shell, args.language).await?.0)
        }
    }
}

fn read_card(path: &Path, language: Language) -> Result<Zeroizing<String>> {
    swipe::track2(path).context(cashier::texts(language).swipe_again)
}

async fn about(args: &cli::Original, task: impl FnOnce(TransactionId) -> Task<'static>) -> Result<ExitCode> {
    let id = TransactionId::new(args.id).context("a sale's id is 1 or more")?;
    let pos = open(&args.pos)?;
    let mut shell = ready(&pos).await?;
    shell.prepare(&task(id))?;
    Ok(finish(&mut shell, args.language).await?.0)
}

fn open(args: &cli::PosDir) -> Result<Pos> {
    Pos::open(&args.pos, &passphrase(&args.passphrase)?)
}

/// A shell that is connected and has nothing pending.
async fn ready(pos: &Pos) -> Result<Shell<'_>> {
    let mut shell = pos.shell()?;
    if shell.is_pending() {
        bail!("a command still waits for its answer: run `tr-net pos retry`, or `tr-net pos cancel` to give it up");
    }
    shell.connect_patiently().await?;
    Ok(shell)
}

/// Gets the answer of what is pending and shows it to the cashier.
async fn finish(shell: &mut Shell<'_>, language: Language) -> Result<(ExitCode, Option<Settled>)> {
    let texts = cashier::texts(language);
    let settled = match shell.settle().await {
        Ok(settled) => settled,
        Err(error) => {
            anstream::eprintln!("tr-net: {}", ui::one_line(&error));
            ui::line(texts.unknown);
            return Ok((ExitCode::from(UNKNOWN), None));
        }
    };
    let (text, verdict) = settled.read_both(|command, answer| cashier::words(texts, command, answer))??;
    ui::line(text);
    if let Some(path) = &settled.receipt {
        ui::line(format!("receipt {}", path.display()));
    }
    if let Some(error) = &settled.receipt_error {
        // The command stays pending, so that `retry` can write the receipt.
        bail!("the receipt could not be written ({error}): mend that, then run `tr-net pos retry`");
    }
    shell.acknowledge()?;
    let code = match verdict {
        Verdict::Done => ExitCode::SUCCESS,
        Verdict::Declined => ExitCode::from(DECLINED),
    };
    Ok((code, Some(settled)))
}

async fn ledger(args: &cli::Ledger) -> Result<()> {
    let Told::Ledger(books) = ask(&args.data, Ask::Ledger).await? else {
        bail!("the backend gave another answer")
    };
    if args.json {
        ui::line(serde_json::to_string_pretty(&books)?);
    } else {
        print_books(&books);
    }
    if books.sum != 0 || !books.findings.is_empty() {
        bail!("the ledger does not agree with itself: stop the backend and keep the data for the auditor");
    }
    Ok(())
}

/// Prints the ledger as a table.
pub fn print_books(books: &admin::Books) {
    let currency = books.currency.as_str();
    for line in &books.accounts {
        let name = line.name.as_deref().unwrap_or_default();
        ui::line(format!(
            "  {:<24} {:>12}  {name}",
            line.account,
            money::format(line.balance, currency)
        ));
    }
    ui::line(format!(
        "  {:<24} {:>12}  {currency}, {} entries",
        "sum",
        money::format(books.sum, currency),
        books.entries
    ));
    for finding in &books.findings {
        ui::refused(finding);
    }
}

fn verify_receipt(args: &cli::VerifyReceipt) -> Result<()> {
    let text =
        std::fs::read_to_string(&args.receipt).with_context(|| format!("cannot read {}", args.receipt.display()))?;
    let proof = receipt::verify(&text, &parse_fingerprint(&args.root)?)
        .with_context(|| format!("{} proves nothing", args.receipt.display()))?;
    for (name, value) in &proof.facts {
        ui::line(format!("  {name:<10} {value}"));
    }
    ui::good("both signatures, both certificates and their root hold; the answer is to this command");
    Ok(())
}
