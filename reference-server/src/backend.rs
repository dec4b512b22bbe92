//! The backend: it opens what terminals seal, checks who says what, has the engine decide, and signs the answer.
//!
//! [`Core`] is what the network's operator owns: key store, database, certificates, settings. [`run`] serves it to
//! gateways; the administration socket and the command line work on the same `Core`.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tr_auth_aws_lc::AwsLc;
use tr_pki::{Certificate, Role, Verifier};
use tr_protocol::value::Digest;

use crate::config::{Config, DataDir};
use crate::hsm::{self, Hsm};
use crate::link::{self, LinkLimits};
use crate::store::{CertificateRecord, DataKey, Options, Sqlite, Store};
use crate::{clock, init, tls};

mod answer;
mod enrol;
mod session;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Everything a backend works on.
#[derive(Debug)]
pub struct Core {
    /// The data directory.
    pub data: DataDir,
    /// Its settings.
    pub config: Config,
    /// The key store.
    pub hsm: Arc<Hsm>,
    /// The database.
    pub store: Sqlite,
    /// The root certificate, DER.
    pub root: Vec<u8>,
    /// The issuing CA's certificate, DER: the anchor of devices.
    pub issuing: Vec<u8>,
    /// The backend's own certificate, DER.
    pub identity: Vec<u8>,
    /// Its SHA-256, which signatures name.
    pub identity_digest: Digest,
}

impl Core {
    /// Opens the data of a network. Nobody else has it open then.
    ///
    /// # Errors
    /// One line that says what is wrong and what to do.
    pub async fn open(data: DataDir, passphrase: &str) -> Result<Self> {
        Self::open_or_create(data, passphrase, false).await
    }

    /// Makes the database of a new network, with the certificates that exist already.
    ///
    /// # Errors
    /// As [`Core::open`].
    pub async fn create(data: DataDir, passphrase: &str) -> Result<Self> {
        Self::open_or_create(data, passphrase, true).await
    }

    async fn open_or_create(data: DataDir, passphrase: &str, create: bool) -> Result<Self> {
        let config = data.config()?;
        let hsm = hsm::open(&data.file("backend/backend.keys"), passphrase)?;
        let store = Sqlite::open(Options {
            path: data.file("backend/ledger.db"),
            key: DataKey::new(*init::k_db(&data, &hsm)?),
            policy: config.policy.clone(),
            create,
            max_bytes: None,
        })?;
        let identity = init::certificate(&data, Role::Backend)?;
        let core = Core {
            root: init::certificate(&data, Role::Root)?,
            issuing: init::certificate(&data, Role::IssuingCa)?,
            identity_digest: Digest(AwsLc.sha256(&[&identity])),
            identity,
            data,
            config,
            hsm,
            store,
        };
        // Also after a crash between the two: the directory must know who signs the answers.
        if core.store.certificate(core.identity_digest.0).await?.is_none() {
            // Number 1 of the issuing CA is the backend's own certificate.
            core.store.next_issue_number().await?;
            core.store
                .add_certificate(record(&core.identity, Role::Backend)?)
                .await?;
        }
        Ok(core)
    }

    /// Waits for what was submitted and closes the database.
    ///
    /// # Errors
    /// When it did not close cleanly.
    pub async fn close(&self) -> Result<()> {
        self.store.close().await.context("the database did not close cleanly")
    }

    /// SHA-256 of the root certificate.
    #[must_use]
    pub fn root_fingerprint(&self) -> [u8; 32] {
        AwsLc.sha256(&[&self.root])
    }

    /// For how many seconds after its end a device's certificate still opens a limited session.
    #[must_use]
    pub fn grace(&self) -> i64 {
        i64::from(self.config.certificates.grace_days).saturating_mul(DAY)
    }
}

/// What the directory keeps of a certificate.
fn record(der: &[u8], role: Role) -> Result<CertificateRecord> {
    let view = Certificate::parse(der)?;
    Ok(CertificateRecord {
        sha256: AwsLc.sha256(&[der]),
        der: der.to_vec(),
        subject: view.uri().unwrap_or_default().to_owned(),
        role: role.name().to_owned(),
        not_after: view.not_after(),
        revoked: None,
    })
}

/// Serves gateways on `listener` until `shutdown` completes.
///
/// # Errors
/// When the class certificate cannot be used.
pub async fn run(core: Arc<Core>, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<()> {
    let now = clock::now();
    let certificate = init::certificate(&core.data, Role::ClassBackend)?;
    let identity = tls::Identity::new(Arc::clone(&core.hsm), hsm::CLASS.newest(), &certificate, now)?;
    let trust = tls::Trust::new(&[init::certificate(&core.data, Role::ClassCa)?], now)?;
    let config = tls::server_config(&identity, &trust, &[Role::ClassGateway])?;
    tracing::info!(address = %core.config.backend, "the backend listens for gateways");
    let handler = {
        let core = Arc::clone(&core);
        move |device| session::serve(Arc::clone(&core), device)
    };
    link::serve_gateways(listener, config, LinkLimits::default(), handler, shutdown).await;
    Ok(())
}
