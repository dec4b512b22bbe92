//! TLS 1.3 on both hops, device–gateway and gateway–backend, authenticated both ways with class certificates.
//!
//! - Private keys stay in their HSM: [`Identity`] signs handshakes through [`tr_hsm::Device`].
//! - The class CA is the only anchor; system roots are never consulted. Two may be trusted while one replaces the other.
//! - A certificate's class is its private extended key usage. It is judged in the handshake, after chain, validity, name and
//!   key usage, so that no caller can forget it; [`Accepted::class`] and [`peer_class`] tell it afterwards.
//! - A refusal says why in the log of the side that refuses and nothing on the wire: every judgement on a certificate
//!   becomes the one alert `certificate_unknown`.
//! - Sessions are not resumed and no tickets are sent. A resumed session skips the certificate checks, so a certificate that
//!   expired or whose CA was withdrawn would live on; connections last for hours, so a full handshake costs nothing
//!   that counts; and a server without tickets keeps no state for strangers.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::TcpStream as BlockingStream;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, ServerConfig, StreamOwned};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tr_hsm::{Device, KeyRef};
use tr_pki::{Certificate, Role};

use crate::clock::TlsClock;

pub use verify::Refusal;

mod key;
mod verify;

/// Why a TLS configuration cannot be made. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The HSM does not give the key's public half.
    #[error(
        "the private key {key} of the {role} certificate cannot be used ({reason}); check the HSM file and its passphrase"
    )]
    KeyUnusable {
        /// Which key.
        key: KeyRef,
        /// The certificate's role.
        role: Role,
        /// What the HSM says.
        reason: String,
    },
    /// Certificate and key do not belong together.
    #[error("the {role} certificate is for another key than {key}; issue a certificate for the key that is in the HSM")]
    KeyMismatch {
        /// Which key.
        key: KeyRef,
        /// The certificate's role.
        role: Role,
    },
    /// The certificate cannot be read.
    #[error("a {what} certificate cannot be read ({reason}); it must be one DER certificate of this network's profile")]
    Unreadable {
        /// Which one.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A certificate of another role than this place needs.
    #[error("a certificate of role {found} stands where {wanted} is needed; check which file is configured")]
    WrongRole {
        /// What is needed.
        wanted: &'static str,
        /// What the certificate says.
        found: &'static str,
    },
    /// Past its notAfter.
    #[error("the {role} certificate expired at {not_after}; issue a new one (this machine's clock says {now})")]
    Expired {
        /// The certificate's role.
        role: Role,
        /// Its end.
        not_after: String,
        /// The time used.
        now: String,
    },
    /// Before its notBefore.
    #[error("the {role} certificate is valid only from {not_before}; this machine's clock says {now}: set the clock")]
    NotYetValid {
        /// The certificate's role.
        role: Role,
        /// Its start.
        not_before: String,
        /// The time used.
        now: String,
    },
    /// Trust needs one class CA, or two during a rotation.
    #[error("{found} class CAs are configured; one is needed, two only while one replaces the other")]
    RootCount {
        /// How many were given.
        found: usize,
    },
    /// What rustls refuses.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Why a connection did not come about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// No TCP connection.
    #[error("{address} cannot be reached: {source}")]
    Unreachable {
        /// Where to.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Too slow.
    #[error("no TLS handshake within {} ms", limit.as_millis())]
    TimedOut {
        /// How long it was allowed to take.
        limit: Duration,
    },
    /// This side refused the peer's certificate.
    #[error("the peer's certificate is refused: {0}")]
    Refused(Refusal),
    /// The peer presented no certificate.
    #[error("the peer presented no certificate")]
    NoCertificate,
    /// The peer refused, with a TLS alert.
    #[error("the peer refused the connection (TLS alert {alert})")]
    PeerRefused {
        /// The alert's name.
        alert: String,
    },
    /// What came is no acceptable TLS 1.3.
    #[error("not an acceptable TLS 1.3 handshake: {0}")]
    Tls(rustls::Error),
    /// The connection broke.
    #[error("the connection broke during the handshake: {0}")]
    Broken(io::Error),
}

/// A class certificate with its private key in an HSM.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    role: Role,
    not_after: i64,
}

impl Identity {
    /// Ties `certificate` (DER, of role ClassPos … ClassWebsite) to the signing key `key` of `device`. `now` is what its
    /// validity is judged by.
    ///
    /// # Errors
    ///
    /// When the certificate cannot be read, is no class certificate, is not valid now, or is not for that key, and when
    /// the HSM refuses the key.
    pub fn new<D>(device: Arc<D>, key: KeyRef, certificate: &[u8], now: i64) -> Result<Self, TlsError>
    where
        D: Device + Send + Sync + 'static,
    {
        let view = parse("class", certificate)?;
        let role = view
            .role()
            .filter(|role| role.profile().issuer == Role::ClassCa && !role.is_ca())
            .ok_or_else(|| TlsError::WrongRole {
                wanted: "a TLS class",
                found: role_text(view.role()),
            })?;
        check_validity(role, &view, now)?;
        let public = device.public_key(key).map_err(|error| TlsError::KeyUnusable {
            key,
            role,
            reason: error.to_string(),
        })?;
        if view.public_key() != &public {
            return Err(TlsError::KeyMismatch { key, role });
        }
        let not_after = view.not_after();
        let chain = vec![CertificateDer::from(certificate.to_vec())];
        let signing = Arc::new(key::HsmKey::new(device, key));
        Ok(Self {
            certified: Arc::new(CertifiedKey::new(chain, signing)),
            role,
            not_after,
        })
    }

    /// The certificate's role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The end of its validity, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.not_after
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("role", &self.role)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// The class CAs whose certificates are accepted: one, or two while one replaces the other.
#[derive(Debug, Clone)]
pub struct Trust {
    anchors: Vec<verify::Anchor>,
}

impl Trust {
    /// Takes the class CA certificates (DER). One that is not valid `now` is an error; one that expires later is no longer
    /// counted from then on.
    ///
    /// # Errors
    ///
    /// When there are none or more than two, or one cannot be read, is no class CA or is not valid now.
    pub fn new<C: AsRef<[u8]>>(class_cas: &[C], now: i64) -> Result<Self, TlsError> {
        if class_cas.is_empty() || class_cas.len() > 2 {
            return Err(TlsError::RootCount { found: class_cas.len() });
        }
        let anchors = class_cas
            .iter()
            .map(|der| verify::Anchor::new(der.as_ref(), now))
            .collect::<Result<_, _>>()?;
        Ok(Self { anchors })
    }
}

/// The configuration of a listening side. `accepted` are the classes that clients may have.
///
/// # Errors
///
/// What rustls refuses; not expected with an [`Identity`] and a [`Trust`].
pub fn server_config(identity: &Identity, trust: &Trust, accepted: &[Role]) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier = verify::Clients::new(trust, accepted, &provider())?;
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(TlsClock))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(resolver(identity)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// The configuration of a connecting side. `expected` is the class that the server must have.
///
/// # Errors
///
/// What rustls refuses; not expected with an [`Identity`] and a [`Trust`].
pub fn client_config(identity: &Identity, trust: &Trust, expected: Role) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier = verify::Server::new(trust, expected, &provider())?;
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(TlsClock))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver(identity)));
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// What clients of a gateway must be.
pub const DEVICES: [Role; 2] = [Role::ClassPos, Role::ClassCard];

/// A connection that a server accepted, and the class of its client.
#[derive(Debug)]
pub struct Accepted {
    /// The encrypted stream.
    pub stream: server::TlsStream<TcpStream>,
    /// The client's class.
    pub class: Role,
}

/// Accepts a TLS client within `limit`.
///
/// # Errors
///
/// [`HandshakeError`] says whether the peer was refused, refused us, or never spoke TLS.
pub async fn accept(config: Arc<ServerConfig>, tcp: TcpStream, limit: Duration) -> Result<Accepted, HandshakeError> {
    let stream = tokio::time::timeout(limit, TlsAcceptor::from(config).accept(tcp))
        .await
        .map_err(|_| HandshakeError::TimedOut { limit })?
        .map_err(handshake_error)?;
    let class = peer_class(stream.get_ref().1.peer_certificates()).ok_or(HandshakeError::NoCertificate)?;
    Ok(Accepted { stream, class })
}

/// Connects to a TLS server within `limit`; its certificate must name `name` (a DNS name or an IP address) and have the class
/// that `config` expects.
///
/// In TLS 1.3 a client finishes before the server has judged its certificate: a refusal arrives with the first read,
/// as an error that [`handshake_error`] puts into words.
///
/// # Errors
///
/// [`HandshakeError`] says whether the server cannot be reached, was refused, or refused us.
pub async fn connect(
    config: Arc<ClientConfig>,
    address: SocketAddr,
    name: ServerName<'static>,
    limit: Duration,
) -> Result<client::TlsStream<TcpStream>, HandshakeError> {
    let attempt = async {
        let tcp = TcpStream::connect(address)
            .await
            .map_err(|source| HandshakeError::Unreachable { address, source })?;
        tcp.set_nodelay(true).map_err(HandshakeError::Broken)?;
        TlsConnector::from(config)
            .connect(name, tcp)
            .await
            .map_err(handshake_error)
    };
    tokio::time::timeout(limit, attempt)
        .await
        .map_err(|_| HandshakeError::TimedOut { limit })?
}

/// As [`connect`], for a program without tokio. `limit` also becomes the stream's read and write time-out, which the caller
/// may change on the inner socket.
///
/// # Errors
///
/// As [`connect`].
pub fn connect_blocking(
    config: Arc<ClientConfig>,
    address: SocketAddr,
    name: ServerName<'static>,
    limit: Duration,
) -> Result<StreamOwned<ClientConnection, BlockingStream>, HandshakeError> {
    let tcp = BlockingStream::connect_timeout(&address, limit)
        .map_err(|source| HandshakeError::Unreachable { address, source })?;
    tcp.set_nodelay(true)
        .and_then(|()| tcp.set_read_timeout(Some(limit)))
        .and_then(|()| tcp.set_write_timeout(Some(limit)))
        .map_err(HandshakeError::Broken)?;
    let connection = ClientConnection::new(config, name).map_err(HandshakeError::Tls)?;
    let mut stream = StreamOwned::new(connection, tcp);
    while stream.conn.is_handshaking() {
        match stream.conn.complete_io(&mut stream.sock) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(HandshakeError::TimedOut { limit });
            }
            Err(error) => return Err(handshake_error(error)),
        }
    }
    Ok(stream)
}

/// Puts an error of a handshake, or of the first read after one, into words.
#[must_use]
pub fn handshake_error(error: io::Error) -> HandshakeError {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return HandshakeError::Broken(error);
    };
    match tls {
        rustls::Error::AlertReceived(alert) => HandshakeError::PeerRefused {
            alert: format!("{alert:?}"),
        },
        rustls::Error::NoCertificatesPresented => HandshakeError::NoCertificate,
        tls => match Refusal::in_error(tls) {
            Some(refusal) => HandshakeError::Refused(refusal),
            None => HandshakeError::Tls(tls.clone()),
        },
    }
}

/// The class of a verified peer: the role that its certificate's private extended key usage says.
#[must_use]
pub fn peer_class(certificates: Option<&[CertificateDer<'_>]>) -> Option<Role> {
    let leaf = certificates?.first()?;
    Certificate::parse(leaf).ok()?.role()
}

/// The cryptography of both hops: TLS 1.3 suites and the two curves, by aws-lc.
fn provider() -> Arc<CryptoProvider> {
    let all = aws_lc_rs::default_provider();
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
            aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
            aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1],
        ..all
    })
}

fn resolver(identity: &Identity) -> SingleCertAndKey {
    SingleCertAndKey::from(CertifiedKey::clone(&identity.certified))
}

fn parse<'a>(what: &'static str, der: &'a [u8]) -> Result<Certificate<'a>, TlsError> {
    Certificate::parse(der).map_err(|error| TlsError::Unreadable {
        what,
        reason: error.to_string(),
    })
}

fn check_validity(role: Role, view: &Certificate<'_>, now: i64) -> Result<(), TlsError> {
    if now > view.not_after() {
        return Err(TlsError::Expired {
            role,
            not_after: time_text(view.not_after()),
            now: time_text(now),
        });
    }
    if now < view.not_before() {
        return Err(TlsError::NotYetValid {
            role,
            not_before: time_text(view.not_before()),
            now: time_text(now),
        });
    }
    Ok(())
}

fn role_text(role: Option<Role>) -> &'static str {
    role.map_or("none of this network", Role::name)
}

fn time_text(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}
