//! Judging the peer's certificate: webpki for chain, validity, name and key usage, then the class.

use core::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible, RootCertStore,
    SignatureScheme,
};
use tr_pki::{Certificate, Role};

use super::{TlsError, check_validity, parse, role_text, time_text};

/// Why a peer's certificate was refused; for this side's log only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    reason: String,
}

impl Refusal {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// The refusal inside an error that rustls reports on this side.
    pub(super) fn in_error(error: &Error) -> Option<Self> {
        let Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) = error else {
            return None;
        };
        cause.downcast_ref::<Self>().cloned()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl core::error::Error for Refusal {}

/// rustls answers `CertificateError::Other`, whatever is inside, with the alert `certificate_unknown`.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

/// One trusted class CA. webpki does not look at an anchor's validity, so it is kept beside it.
#[derive(Debug, Clone)]
pub(super) struct Anchor {
    store: Arc<RootCertStore>,
    not_before: i64,
    not_after: i64,
}

impl Anchor {
    pub(super) fn new(der: &[u8], now: i64) -> Result<Self, TlsError> {
        let view = parse("class CA", der)?;
        if view.role() != Some(Role::ClassCa) {
            return Err(TlsError::WrongRole {
                wanted: Role::ClassCa.name(),
                found: role_text(view.role()),
            });
        }
        check_validity(Role::ClassCa, &view, now)?;
        let mut store = RootCertStore::empty();
        store.add(CertificateDer::from(der.to_vec()))?;
        Ok(Self {
            store: Arc::new(store),
            not_before: view.not_before(),
            not_after: view.not_after(),
        })
    }

    fn valid_at(&self, now: UnixTime) -> bool {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// A server's judge of its clients.
#[derive(Debug)]
pub(super) struct Clients {
    per_anchor: Vec<(Anchor, Arc<dyn ClientCertVerifier>)>,
    accepted: Vec<Role>,
    crypto: Arc<CryptoProvider>,
}

impl Clients {
    pub(super) fn new(trust: &super::Trust, accepted: &[Role], crypto: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let per_anchor = trust
            .anchors
            .iter()
            .map(|anchor| {
                // No hints: a device has one class certificate, and strangers need not learn the CA's name.
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::clone(&anchor.store), Arc::clone(crypto))
                        .clear_root_hint_subjects()
                        .build()
                        .map_err(|error| Error::General(error.to_string()))?;
                Ok((anchor.clone(), verifier))
            })
            .collect::<Result<_, TlsError>>()?;
        Ok(Self {
            per_anchor,
            accepted: accepted.to_vec(),
            crypto: Arc::clone(crypto),
        })
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = by_any(&self.per_anchor, now, |verifier| {
            verifier.verify_client_cert(end_entity, intermediates, now)
        })?;
        check_class(end_entity, &self.accepted)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls_12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(&self.crypto, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

/// A client's judge of its server.
#[derive(Debug)]
pub(super) struct Server {
    per_anchor: Vec<(Anchor, Arc<WebPkiServerVerifier>)>,
    expected: Role,
    crypto: Arc<CryptoProvider>,
}

impl Server {
    pub(super) fn new(trust: &super::Trust, expected: Role, crypto: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let per_anchor = trust
            .anchors
            .iter()
            .map(|anchor| {
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::clone(&anchor.store), Arc::clone(crypto))
                        .build()
                        .map_err(|error| Error::General(error.to_string()))?;
                Ok((anchor.clone(), verifier))
            })
            .collect::<Result<_, TlsError>>()?;
        Ok(Self {
            per_anchor,
            expected,
            crypto: Arc::clone(crypto),
        })
    }
}

impl ServerCertVerifier for Server {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = by_any(&self.per_anchor, now, |verifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        })?;
        check_class(end_entity, &[self.expected])?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls_12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(&self.crypto, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

/// Every certificate here is P-256; nothing else is offered or taken.
const SCHEMES: [SignatureScheme; 1] = [SignatureScheme::ECDSA_NISTP256_SHA256];

/// Tries each anchor that is valid at `now`. Of several refusals the most telling counts: an unknown issuer under one
/// anchor says nothing when the other anchor did issue the certificate.
fn by_any<V, T>(
    per_anchor: &[(Anchor, V)],
    now: UnixTime,
    verify: impl Fn(&V) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut refusal = None;
    for (anchor, verifier) in per_anchor {
        if !anchor.valid_at(now) {
            continue;
        }
        match verify(verifier) {
            Ok(verified) => return Ok(verified),
            Err(error) if refusal.is_none() || !is_unknown_issuer(&error) => refusal = Some(error),
            Err(_) => {}
        }
    }
    let reason = refusal.map_or_else(
        || "every trusted class CA has expired".to_owned(),
        |error| explain(&error),
    );
    Err(Refusal::new(reason).into())
}

/// Another CA of the same name shows as a bad signature.
fn is_unknown_issuer(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
    )
}

fn explain(error: &Error) -> String {
    let Error::InvalidCertificate(certificate) = error else {
        return error.to_string();
    };
    match certificate {
        _ if is_unknown_issuer(error) => "it was not issued by a trusted class CA".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("it expired at {}, now is {}", at(not_after), at(time))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("it is valid only from {}, now is {}", at(not_before), at(time))
        }
        CertificateError::NotValidForName => "it is for another server name".to_owned(),
        other => other.to_string(),
    }
}

fn at(time: &UnixTime) -> String {
    time_text(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

fn check_class(leaf: &CertificateDer<'_>, accepted: &[Role]) -> Result<(), Error> {
    let view = Certificate::parse(leaf)
        .map_err(|error| Refusal::new(format!("it is not of this network's profile: {error}")))?;
    if view.role().is_some_and(|role| accepted.contains(&role)) {
        return Ok(());
    }
    let wanted: Vec<_> = accepted.iter().map(|role| role.name()).collect();
    Err(Refusal::new(format!(
        "its class is {}, {} is wanted here",
        role_text(view.role()),
        wanted.join(" or ")
    ))
    .into())
}

fn check_signature(
    crypto: &CryptoProvider,
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    rustls::crypto::verify_tls13_signature(message, cert, dss, &crypto.signature_verification_algorithms)
        .map_err(|error| Refusal::new(format!("its holder does not prove the private key ({error})")).into())
}

fn tls_12() -> Error {
    Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered)
}
