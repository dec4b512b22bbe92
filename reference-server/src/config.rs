//! The data directory and its settings: where each party keeps what, who may read it, and the passphrase that opens it.
//!
//! ```text
//! DIR/tr-net.toml      settings (public)
//! DIR/certificates/    root, issuing CA, class CA, servers: PEM, public
//! DIR/root             the root's key store: move it away after `init`, nothing in daily work needs it
//! DIR/backend/         key store, wrapped K_DB, ciphered database, administration socket
//! DIR/gateway/         key store of the gateway
//! DIR/handout/         what an installer hands to a terminal: class certificate and key as PKCS#12
//! ```

use core::net::SocketAddr;
use core::num::NonZeroU32;
use std::fs;
use std::io::{IsTerminal, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::gateway::{IpNet, IpRules, Limits};
use crate::ledger::Policy;

/// The settings file's format.
pub const CONFIG_VERSION: u32 = 1;
/// Longest passphrase read from a file, in octets: more is a wrong file.
const MAX_PASSPHRASE: u64 = 1024;

/// The most days that a device's certificate may be good for: the profile's.
pub const MAX_DEVICE_DAYS: u32 = 90;
/// The most days that an expired device may still repeat and query.
pub const MAX_GRACE_DAYS: u32 = 90;
/// The most hours that a voucher may wait.
pub const MAX_VOUCHER_HOURS: u32 = 24 * 31;

/// What `tr-net.toml` holds. Unknown fields are refused.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Format of this file: [`CONFIG_VERSION`].
    pub version: u32,
    /// Where the backend listens for gateways.
    pub backend: SocketAddr,
    /// Where the gateway listens for devices.
    pub gateway: SocketAddr,
    /// Money and its rules, as dated editions.
    pub policy: Policy,
    /// Life times of device certificates.
    #[serde(default)]
    pub certificates: Certificates,
    /// What one device may take of the gateway, and all of them together.
    #[serde(default)]
    pub limits: DeviceLimits,
    /// Which addresses may connect to the gateway.
    #[serde(default)]
    pub addresses: Addresses,
}

/// Life times of certificates.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Certificates {
    /// Days a device's certificate is good for.
    pub device_days: u32,
    /// Days after expiry in which a device may still repeat, query and renew, and nothing else.
    pub grace_days: u32,
    /// Hours an enrolment voucher is good for.
    pub voucher_hours: u32,
}

impl Default for Certificates {
    fn default() -> Self {
        Certificates {
            device_days: 90,
            grace_days: 30,
            voucher_hours: 72,
        }
    }
}

/// Address ranges such as `192.0.2.0/24`. Denied ranges win; without an allow list every other address may connect.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Addresses {
    /// Ranges that may connect; empty for all.
    pub allow: Vec<String>,
    /// Ranges that may not.
    pub deny: Vec<String>,
}

impl Addresses {
    /// The rules for the gateway.
    ///
    /// # Errors
    /// The first range that is none.
    pub fn rules(&self) -> Result<IpRules> {
        let parse = |texts: &[String]| -> Result<Vec<IpNet>> {
            texts
                .iter()
                .map(|text| {
                    text.parse()
                        .with_context(|| format!("`{text}` in [addresses] of tr-net.toml"))
                })
                .collect()
        };
        Ok(IpRules {
            allow: parse(&self.allow)?,
            deny: parse(&self.deny)?,
        })
    }
}

/// The gateway's limits towards devices that an operator may set; see [`gateway::Limits`](crate::gateway::Limits), which
/// has the defaults. None of them can be 0.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceLimits {
    /// Connections at once, handshakes included.
    pub connections: NonZeroU32,
    /// Connections at once from one address (IPv6: one /64).
    pub connections_per_ip: NonZeroU32,
    /// New connections a second from one address, on average.
    pub connects_per_second: NonZeroU32,
    /// New connections at once from one address before that average counts.
    pub connect_burst: NonZeroU32,
    /// Frames a second of one connection, on average.
    pub frames_per_second: NonZeroU32,
    /// Frames at once before that average counts.
    pub frame_burst: NonZeroU32,
    /// Octets a second of one connection, on average.
    pub bytes_per_second: NonZeroU32,
    /// Octets at once before that average counts.
    pub byte_burst: NonZeroU32,
}

impl Default for DeviceLimits {
    fn default() -> Self {
        let limits = Limits::default();
        let least_one = |value| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
        DeviceLimits {
            connections: least_one(u32::try_from(limits.connections).unwrap_or(u32::MAX)),
            connections_per_ip: least_one(limits.connections_per_ip),
            connects_per_second: least_one(limits.connects_per_second),
            connect_burst: least_one(limits.connect_burst),
            frames_per_second: least_one(limits.frames_per_second),
            frame_burst: least_one(limits.frame_burst),
            bytes_per_second: least_one(limits.bytes_per_second),
            byte_burst: least_one(limits.byte_burst),
        }
    }
}

impl From<&DeviceLimits> for Limits {
    fn from(set: &DeviceLimits) -> Self {
        Limits {
            connections: usize::try_from(set.connections.get()).unwrap_or(usize::MAX),
            connections_per_ip: set.connections_per_ip.get(),
            connects_per_second: set.connects_per_second.get(),
            connect_burst: set.connect_burst.get(),
            frames_per_second: set.frames_per_second.get(),
            frame_burst: set.frame_burst.get(),
            bytes_per_second: set.bytes_per_second.get(),
            byte_burst: set.byte_burst.get(),
            ..Limits::default()
        }
    }
}

/// A data directory: only its owner may enter it.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Makes a new, empty data directory with its folders.
    ///
    /// # Errors
    /// When the path exists and is not an empty directory, or cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        if path.exists() {
            let mut entries = fs::read_dir(path)
                .with_context(|| format!("{} is not a directory that can be read", path.display()))?;
            ensure!(
                entries.next().is_none(),
                "{} is not empty: name a new directory with --data, nothing was changed",
                path.display()
            );
        }
        create_private_dir(path)?;
        // Not made if it is there: of two that begin at once, one goes on.
        let first = path.join("certificates");
        fs::DirBuilder::new().mode(0o700).create(&first).with_context(|| {
            format!(
                "cannot make {}: is another `tr-net init` at work here? nothing was changed",
                first.display()
            )
        })?;
        for folder in ["root", "backend", "gateway", "handout"] {
            create_private_dir(&path.join(folder))?;
        }
        Ok(DataDir { path: path.to_owned() })
    }

    /// Opens an existing data directory.
    ///
    /// # Errors
    /// When it is not one, or others than its owner may enter it.
    pub fn open(path: &Path) -> Result<Self> {
        ensure!(
            path.join("tr-net.toml").is_file(),
            "{} holds no network: make one with `tr-net init --data {}`",
            path.display(),
            path.display()
        );
        let mode = fs::metadata(path)?.permissions().mode();
        ensure!(
            mode & 0o077 == 0,
            "{} may be entered by others (mode {:o}): run `chmod 700 {}`",
            path.display(),
            mode & 0o777,
            path.display()
        );
        Ok(DataDir { path: path.to_owned() })
    }

    /// Removes everything in a directory that [`DataDir::create`] has just made, after a failure: what is half made serves
    /// nobody, and would be in the way of the next attempt.
    pub fn discard(self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let path = entry.path();
            // Best effort: the failure that led here is what is reported.
            let _ = if path.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads the settings.
    ///
    /// # Errors
    /// When the file is missing, malformed, or of another version.
    pub fn config(&self) -> Result<Config> {
        let path = self.file("tr-net.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let config: Config = parse_settings(&path, &text)?;
        ensure!(
            config.version == CONFIG_VERSION,
            "{} has version {}, this program reads version {CONFIG_VERSION}",
            path.display(),
            config.version
        );
        let certificates = &config.certificates;
        for (name, found, most) in [
            ("device_days", certificates.device_days, MAX_DEVICE_DAYS),
            ("grace_days", certificates.grace_days, MAX_GRACE_DAYS),
            ("voucher_hours", certificates.voucher_hours, MAX_VOUCHER_HOURS),
        ] {
            let least = u32::from(name != "grace_days");
            ensure!(
                (least..=most).contains(&found),
                "{}: {name} is {found}, it must be {least} to {most}; correct it",
                path.display()
            );
        }
        Ok(config)
    }

    /// Writes the settings.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        write_private(&self.file("tr-net.toml"), toml::to_string(config)?.as_bytes())
    }
}

/// Reads a settings file; what is wrong with it is told in one line.
///
/// # Errors
/// What is wrong and where.
pub fn parse_settings<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let what = error.message().trim().replace('\n', ", ");
        anyhow!("{} is not valid, line {line}: {what}; correct it", path.display())
    })
}

/// Makes a directory that only its owner may enter, or checks that an existing one is a directory.
///
/// # Errors
/// When it cannot be made.
pub fn create_private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the directory {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    Ok(())
}

/// Writes a whole file that only its owner may read: a crash leaves the old file or the new one.
///
/// # Errors
/// When a step fails; the old file then stands.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = parent.join(name);
    let written = (|| {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(parent)?.sync_all()
    })();
    if let Err(error) = written {
        // Best effort: the name that matters was not touched.
        let _ = fs::remove_file(&temporary);
        return Err(error).with_context(|| format!("cannot write {}: nothing was changed", path.display()));
    }
    Ok(())
}

/// How often a person is asked for a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// It opens something.
    Once,
    /// It is new: a slip of the hand would lock its owner out.
    Twice,
}

/// Where the passphrase of a key store comes from: a file, the environment, else a prompt.
///
/// # Errors
/// When the file cannot be read or others may read it, or no terminal is there to ask on.
pub fn passphrase(
    file: Option<&Path>,
    environment: Option<&str>,
    prompt: &str,
    asking: Asking,
) -> Result<Zeroizing<String>> {
    let text = if let Some(path) = file {
        let handle =
            fs::File::open(path).with_context(|| format!("cannot read the passphrase file {}", path.display()))?;
        let mode = handle.metadata()?.permissions().mode();
        ensure!(
            mode & 0o077 == 0,
            "the passphrase file {} may be read by others: run `chmod 600 {}`",
            path.display(),
            path.display()
        );
        let mut text = Zeroizing::new(String::new());
        handle
            .take(MAX_PASSPHRASE.saturating_add(1))
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read the passphrase file {}", path.display()))?;
        ensure!(
            text.len() as u64 <= MAX_PASSPHRASE,
            "the passphrase file {} is longer than {MAX_PASSPHRASE} octets: is it the right file?",
            path.display()
        );
        Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())
    } else if let Some(value) = environment {
        Zeroizing::new(value.to_owned())
    } else if std::io::stdin().is_terminal() {
        let word = Zeroizing::new(rpassword::prompt_password(prompt)?);
        if asking == Asking::Twice {
            let again = Zeroizing::new(rpassword::prompt_password("The same once more: ")?);
            ensure!(word == again, "the two passphrases differ: nothing was made");
        }
        word
    } else {
        bail!("no passphrase: give --passphrase-file, set TR_NET_PASSPHRASE, or run on a terminal");
    };
    ensure!(!text.is_empty(), "the passphrase is empty");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_setting_is_refused_by_name() {
        let text = "version = 1\nbackend = \"127.0.0.1:1\"\ngateway = \"127.0.0.1:2\"\ncolour = 3\n";
        let error = toml::from_str::<Config>(text).unwrap_err().to_string();
        assert!(error.contains("colour"), "{error}");
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct LimitsFile {
        #[serde(default)]
        limits: DeviceLimits,
    }

    fn limits(text: &str) -> Result<Limits, String> {
        toml::from_str(text)
            .map(|file: LimitsFile| Limits::from(&file.limits))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn limits_left_out_are_the_gateway_s_own() {
        let default = format!("{:?}", Limits::default());
        assert_eq!(format!("{:?}", limits("").unwrap()), default);
        assert_eq!(format!("{:?}", limits("[limits]\n").unwrap()), default);
        let set = limits("[limits]\nframes_per_second = 7\nconnections = 9\n").unwrap();
        assert_eq!((set.frames_per_second, set.connections), (7, 9));
        assert_eq!(set.frame_burst, Limits::default().frame_burst);
    }

    #[test]
    fn limits_of_nought_or_unknown_ones_are_refused() {
        let nought = limits("[limits]\nframe_burst = 0\n").unwrap_err();
        assert!(
            nought.contains("frame_burst = 0") && nought.contains("nonzero"),
            "{nought}"
        );
        let unknown = limits("[limits]\nframes = 1\n").unwrap_err();
        assert!(unknown.contains("frames"), "{unknown}");
    }

    #[test]
    fn address_ranges_are_read_or_named() {
        let rules = |deny: &str| {
            Addresses {
                allow: Vec::new(),
                deny: vec![deny.to_owned()],
            }
            .rules()
        };
        let rules_of = rules("192.0.2.0/24").unwrap();
        assert!(!rules_of.permit("192.0.2.7".parse().unwrap()) && rules_of.permit("198.51.100.7".parse().unwrap()));
        assert!(format!("{:#}", rules("192.0.2.0/99").unwrap_err()).contains("`192.0.2.0/99` in [addresses]"));
    }

    #[test]
    fn create_refuses_a_directory_in_use() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "x").unwrap();
        let error = DataDir::create(dir.path()).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
    }

    #[test]
    fn passphrase_file_open_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        fs::write(&path, "secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(
            passphrase(Some(&path), None, "", Asking::Once)
                .unwrap_err()
                .to_string()
                .contains("chmod 600")
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(*passphrase(Some(&path), None, "", Asking::Once).unwrap(), "secret");
    }
}
