//! rustls-webpki, which rustls asks, takes the TLS class certificates.

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tr_pki::{Certificate, Role};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyUsage, anchor_from_trusted_cert};

use crate::support::{Key, NOW, Pki, issue};

fn verify(pki: &Pki, role: Role, usage: impl ExtendedKeyUsageValidator) -> Result<(), webpki::Error> {
    let leaf = CertificateDer::from(pki.entity(role, &Key::new(9), &issue(7, NOW)));
    let ca = CertificateDer::from(pki.class.as_slice());
    let anchors = [anchor_from_trusted_cert(&ca).unwrap()];
    let leaf = EndEntityCert::try_from(&leaf)?;
    let time = UnixTime::since_unix_epoch(core::time::Duration::from_secs(NOW.try_into().unwrap()));
    let algorithms = &[webpki::ring::ECDSA_P256_SHA256];
    leaf.verify_for_usage(algorithms, &anchors, &[], time, usage, None, None)?;
    if role.profile().hosts {
        for name in ["gateway.example.net", "127.0.0.1"] {
            leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap())?;
        }
    }
    Ok(())
}

#[test]
fn webpki_takes_class_certificates_for_what_they_are() {
    let pki = Pki::new();
    for role in [Role::ClassPos, Role::ClassCard] {
        assert_eq!(verify(&pki, role, KeyUsage::client_auth()), Ok(()), "{role}");
        assert!(verify(&pki, role, KeyUsage::server_auth()).is_err(), "{role}");
    }
    for role in [Role::ClassGateway, Role::ClassBackend, Role::ClassWebsite] {
        assert_eq!(verify(&pki, role, KeyUsage::client_auth()), Ok(()), "{role}");
        assert_eq!(verify(&pki, role, KeyUsage::server_auth()), Ok(()), "{role}");
    }
    // Individual certificates open no TLS connection.
    assert!(verify(&pki, Role::Pos, KeyUsage::client_auth()).is_err());
}

/// What a server does after the handshake: the class, by our own usage.
#[test]
fn the_class_is_seen_after_the_handshake() {
    let pki = Pki::new();
    let leaf = pki.entity(Role::ClassCard, &Key::new(9), &issue(7, NOW));
    let leaf = Certificate::parse(&leaf).unwrap();
    assert_eq!(leaf.role(), Some(Role::ClassCard));
}
