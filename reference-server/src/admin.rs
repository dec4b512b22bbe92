//! Administration: what an operator asks of the network, over a socket in the data directory that only its owner may
//! open, or directly on the store when no backend runs. Never both: the store's lock sees to it.
//!
//! One request and one answer a connection, each a line of JSON. Requests hold names and amounts, answers may hold a
//! card's tracks or a voucher: none of it is logged.

use core::time::Duration;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tr_hsm::{CardData, Payment, Vault};
use tr_pki::Role;
use tr_pki::voucher::{Reference, Voucher};
use tr_track::card::{self, CHECK_DIGITS, Card, CheckValue};
use tr_track::{Expiry, Name};
use zeroize::Zeroizing;

use crate::backend::Core;
use crate::config::DataDir;
use crate::ledger::{Account, month_number};
use crate::store::{IssueCard, Load, NewVoucher, Pan, Store};
use crate::{clock, hsm, init};

/// Longest request, in octets. Answers have no limit: they come from the backend itself.
const MAX_REQUEST: u64 = 64 * 1024;
/// Years a card is good for.
const CARD_YEARS: i16 = 3;
/// Seconds of an hour.
const HOUR: i64 = 3_600;

/// What can be asked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// Register a company.
    Company {
        /// Its name.
        name: String,
        /// How the registration arrived.
        channel: String,
    },
    /// Register a shop.
    Shop {
        /// Its name.
        name: String,
    },
    /// Issue a card.
    Card {
        /// The company.
        company: i64,
        /// `SURNAME/GIVEN`.
        name: Option<String>,
        /// Credit to load at once, in minor units.
        credit: Option<i64>,
    },
    /// Load credit onto a card's account.
    Load {
        /// The company that pays.
        company: i64,
        /// The account.
        account: i64,
        /// How much, in minor units.
        amount: i64,
        /// What makes a repeat harmless.
        reference: String,
    },
    /// A voucher for one terminal of a shop.
    Voucher {
        /// The shop.
        shop: i64,
    },
    /// Accounts and balances.
    Ledger,
}

/// What is told.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// A company or shop has this number.
    Party {
        /// The number.
        number: i64,
    },
    /// A card was issued.
    Card(IssuedCard),
    /// Credit was loaded, now or before.
    Loaded {
        /// How much, in minor units.
        total: i64,
        /// Whether the same load had been made before.
        repeated: bool,
    },
    /// A voucher, to be handed over once.
    Voucher(IssuedVoucher),
    /// The ledger.
    Ledger(Books),
    /// It was refused, or failed.
    Error(String),
}

/// A card's own output, made on request.
#[derive(Clone, Deserialize, Serialize)]
pub struct IssuedCard {
    /// Its account.
    pub account: i64,
    /// Why the credit that was asked for is not on it.
    pub credit_error: Option<String>,
    /// Track 1, sentinels included.
    pub track1: Zeroizing<String>,
    /// Track 2, sentinels included.
    pub track2: Zeroizing<String>,
}

impl core::fmt::Debug for IssuedCard {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IssuedCard")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// What an installer is handed for one terminal.
#[derive(Clone, Deserialize, Serialize)]
pub struct IssuedVoucher {
    /// The terminal's identity.
    pub terminal: String,
    /// The voucher.
    pub voucher: Zeroizing<String>,
    /// SHA-256 of the root certificate, hexadecimal.
    pub root: String,
    /// The file with the class certificate and key.
    pub handout: PathBuf,
    /// Its code.
    pub code: Zeroizing<String>,
    /// When the voucher ends, Unix seconds.
    pub expires: i64,
}

impl core::fmt::Debug for IssuedVoucher {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IssuedVoucher")
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// The whole ledger in figures.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Books {
    /// ISO 4217 code.
    pub currency: String,
    /// The accounts.
    pub accounts: Vec<Line>,
    /// The sum of all balances, in minor units. Zero.
    pub sum: i64,
    /// How many entries there are.
    pub entries: u64,
    /// What an audit found wrong; empty when all agrees.
    pub findings: Vec<String>,
}

/// One account.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Line {
    /// Its kind and number.
    pub account: String,
    /// Its owner.
    pub name: Option<String>,
    /// Minor units.
    pub balance: i64,
}

impl Core {
    /// Does what is asked.
    pub async fn administer(&self, ask: Ask) -> Told {
        match self.try_administer(ask).await {
            Ok(told) => told,
            Err(error) => Told::Error(crate::ui::one_line(&error)),
        }
    }

    async fn try_administer(&self, ask: Ask) -> Result<Told> {
        Ok(match ask {
            Ask::Company { name, channel } => {
                tracing::info!(channel, "a company registers");
                Told::Party {
                    number: number(self.store.register_company(&party_name(&name)?).await?.account)?,
                }
            }
            Ask::Shop { name } => Told::Party {
                number: number(self.store.register_shop(&party_name(&name)?).await?.account)?,
            },
            Ask::Card { company, name, credit } => Told::Card(self.issue_card(company, name, credit).await?),
            Ask::Load {
                company,
                account,
                amount,
                reference,
            } => {
                let load = Load {
                    reference,
                    company,
                    credits: vec![(account, amount)],
                    now: clock::now(),
                };
                let loaded = self.store.load(load).await?;
                Told::Loaded {
                    total: loaded.total,
                    repeated: loaded.repeated,
                }
            }
            Ask::Voucher { shop } => Told::Voucher(self.voucher(shop).await?),
            Ask::Ledger => Told::Ledger(self.books().await?),
        })
    }

    async fn issue_card(&self, company: i64, name: Option<String>, credit: Option<i64>) -> Result<IssuedCard> {
        let currency = self.config.policy.currency();
        ensure!(
            currency.as_str() == card::CURRENCY,
            "cards of layout 1 carry {}, the programme's currency is {}",
            card::CURRENCY,
            currency.as_str()
        );
        ensure!(credit.is_none_or(|credit| credit > 0), "the credit must be above zero");
        let name = Name::new(name.as_deref().unwrap_or("CARDHOLDER/"))
            .map_err(|error| anyhow!("the name does not fit track 1: {error}"))?;
        let now = clock::now();
        let today = jiff::Timestamp::from_second(now)?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        let year = today.year().checked_add(CARD_YEARS).context("the year")?;
        let expiry = Expiry::new(u8::try_from(year.rem_euclid(100))?, u8::try_from(today.month())?)
            .map_err(|error| anyhow!("{error}"))?;
        let key = self.hsm.info(hsm::CARD_CHECK.newest())?;
        let version = key.version;

        // Numbers are drawn, not counted: one card does not tell another's. A number in use is drawn again.
        for _ in 0..64 {
            let pan = card::pan(u32::from_be_bytes(init::random()?) % (card::MAX_ACCOUNT + 1))
                .map_err(|error| anyhow!("{error}"))?;
            let stored = Pan::new(pan.expose_digits())?;
            if self.store.card(stored.clone()).await?.is_some() {
                continue;
            }
            let data = CardData::new(
                pan.expose_digits().as_bytes(),
                &expiry.digits(),
                &card::service_code().digits(),
            )?;
            let mut digits = Zeroizing::new([0; CHECK_DIGITS]);
            self.hsm
                .check_value(hsm::CARD_CHECK.at(version), &data, digits.as_mut_slice())?;
            let check = CheckValue::new(digits.as_slice()).map_err(|error| anyhow!("{error}"))?;
            let made =
                Card::new(pan, expiry, u16::try_from(version.get())?, check).map_err(|error| anyhow!("{error}"))?;
            let issue = IssueCard {
                company,
                pan: stored,
                last_month: month_number(year, today.month()).context("the month")?,
                check_key_version: version.get(),
                currency,
                now,
            };
            let record = self.store.issue_card(issue).await?;
            let mut credit_error = None;
            if let Some(amount) = credit {
                let reference = format!("issue-{}", record.account);
                let load = Load {
                    reference,
                    company,
                    credits: vec![(record.account, amount)],
                    now,
                };
                // The card is there, and its tracks are told now or never.
                credit_error = self.store.load(load).await.err().map(|error| error.to_string());
            }
            return Ok(IssuedCard {
                account: record.account,
                credit_error,
                track1: Zeroizing::new(made.track1(name).to_framed().expose_text().to_string()),
                track2: Zeroizing::new(made.track2().to_framed().expose_text().to_string()),
            });
        }
        bail!(
            "no free card number was found: the range of issuer {} is nearly full",
            card::IIN
        )
    }

    async fn voucher(&self, shop: i64) -> Result<IssuedVoucher> {
        let expires =
            clock::now().saturating_add(i64::from(self.config.certificates.voucher_hours).saturating_mul(HOUR));
        let terminal = init::new_identity()?;
        let voucher = Voucher::new(Reference(init::random()?), init::random()?);
        self.store
            .register_voucher(NewVoucher {
                reference: voucher.reference().to_string(),
                secret: Zeroizing::new(voucher.secret().to_vec()),
                expires,
                uri: terminal.clone(),
                role: Role::Pos.name().to_owned(),
                shop: Some(shop),
            })
            .await?;
        Ok(IssuedVoucher {
            terminal,
            voucher: Zeroizing::new(voucher.to_text().as_str().to_owned()),
            root: crate::ui::hex(&self.root_fingerprint()),
            handout: self.data.file("handout/pos-class.p12"),
            code: init::handout_code(&self.data, &self.hsm)?,
            expires,
        })
    }

    async fn books(&self) -> Result<Books> {
        let report = self.store.ledger().await?;
        let accounts = report.accounts.into_iter().map(|line| Line {
            account: account_text(line.account),
            name: line.name,
            balance: line.balance,
        });
        Ok(Books {
            currency: self.config.policy.currency().as_str().to_owned(),
            accounts: accounts.collect(),
            sum: report.sum,
            entries: report.entries,
            findings: self.store.audit().await?,
        })
    }
}

/// A name that a terminal can show and a message can carry.
fn party_name(name: &str) -> Result<String> {
    let name = name.trim();
    tr_protocol::value::Text::new(name).map_err(|_| {
        anyhow!("{name:?} cannot be a name: write at least one character, and no line ends or control characters")
    })?;
    Ok(name.to_owned())
}

fn number(account: Account) -> Result<i64> {
    match account {
        Account::Company(number) | Account::Shop(number) | Account::Card(number) => Ok(number),
        other => bail!("{other:?} has no number"),
    }
}

/// An account as people name it.
fn account_text(account: Account) -> String {
    match account {
        Account::Company(number) => format!("company {number}"),
        Account::Shop(number) => format!("shop {number}"),
        Account::Card(number) => format!("card account {number}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Where the socket is.
fn socket(data: &DataDir) -> PathBuf {
    data.file("backend/admin.sock")
}

/// Serves the socket until the task is dropped.
///
/// # Errors
/// When the socket cannot be made.
pub async fn serve(core: Arc<Core>) -> Result<()> {
    let path = socket(&core.data);
    // The store's lock is held, so a socket that is there was left behind.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", path.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&path)
        .with_context(|| format!("cannot make the administration socket {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let _remove = RemoveOnDrop(path);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: the backend must not end for that.
                tracing::warn!(%error, "an administration connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            if let Err(error) = answer(&core, stream).await {
                tracing::warn!("administration: {error:#}");
            }
        });
    }
}

struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        // Best effort: the next start removes what is left behind.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn answer(core: &Core, stream: UnixStream) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = Zeroizing::new(String::new());
    BufReader::new(read.take(MAX_REQUEST)).read_line(&mut line).await?;
    let told = match serde_json::from_str(&line) {
        Ok(ask) => core.administer(ask).await,
        Err(error) => Told::Error(format!("the request cannot be read: {error}")),
    };
    let mut text = Zeroizing::new(serde_json::to_vec(&told)?);
    text.push(b'\n');
    write.write_all(&text).await?;
    write.shutdown().await?;
    Ok(())
}

/// Asks the running backend, or works on the store itself when none runs. `passphrase` is asked for only then.
///
/// # Errors
/// What the network refuses, or why it cannot be asked.
pub async fn ask(data: &DataDir, passphrase: impl FnOnce() -> Result<Zeroizing<String>>, ask: Ask) -> Result<Told> {
    let told = match UnixStream::connect(socket(data)).await {
        Ok(stream) => over_socket(stream, &ask).await?,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            let core = Core::open(data.clone(), &passphrase()?).await?;
            let told = core.administer(ask).await;
            core.store.close().await?;
            told
        }
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot use the administration socket {}", socket(data).display()));
        }
    };
    match told {
        Told::Error(error) => bail!(error),
        told => Ok(told),
    }
}

async fn over_socket(stream: UnixStream, ask: &Ask) -> Result<Told> {
    let (read, mut write) = stream.into_split();
    let mut text = serde_json::to_vec(ask)?;
    text.push(b'\n');
    write.write_all(&text).await?;
    let mut line = Zeroizing::new(String::new());
    BufReader::new(read).read_line(&mut line).await?;
    serde_json::from_str(&line)
        .context("the backend went away before it answered: look whether it still runs, then ask again")
}
