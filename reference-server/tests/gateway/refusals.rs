//! Who is not let in: a clear reason in the log, one alert on the wire.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use tr_net::clock;
use tr_net::tls::{self, HandshakeError, Identity, TlsError, Trust};
use tr_pki::Role;

use crate::world::{Ca, Client, DAY, Plan, SOON, World, backend, echo, logged};

const OPAQUE: &str = "the peer refused the connection (TLS alert CertificateUnknown)";

#[tokio::test]
async fn wrong_expired_and_foreign_certificates_are_refused_alike() {
    let (world, _backend) = World::new(Plan::default()).await;
    let ca = &world.ca;
    let foreign = Ca::new();
    for (identity, reason) in [
        (
            ca.identity(Role::ClassGateway),
            "its class is class-gateway, class-pos or class-card is wanted here",
        ),
        (ca.identity(Role::ClassBackend), "its class is class-backend"),
        (ca.identity(Role::ClassWebsite), "its class is class-website"),
        (ca.expired(Role::ClassPos), "it expired at"),
        (
            foreign.identity(Role::ClassPos),
            "it was not issued by a trusted class CA",
        ),
    ] {
        let mut client = world.connect(&identity, &ca.trust()).await.unwrap();
        assert_eq!(client.end().await, OPAQUE, "{reason}");
        logged(&[&client.address.to_string(), "refused a device", reason]).await;
    }
    assert_eq!(world.metrics.refused_tls.get(), 5);
    assert_eq!(world.metrics.connected.get(), 0);
    world.pos().await.echo(1).await;
}

/// A client put together by hand, as an attacker would.
async fn forged(world: &World, config: ClientConfig) -> Client {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = tls::connect(Arc::new(config), world.gateway, name, SOON).await.unwrap();
    Client::new(stream.get_ref().0.local_addr().unwrap(), stream)
}

fn plain_client(world: &World) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(world.ca.certificate().to_vec()))
        .unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
}

#[tokio::test]
async fn no_certificate_and_someone_elses_certificate_are_refused() {
    let (world, _backend) = World::new(Plan::default()).await;
    let mut anonymous = forged(&world, plain_client(&world).with_no_client_auth()).await;
    assert!(anonymous.end().await.contains("CertificateRequired"));
    logged(&[&anonymous.address.to_string(), "the peer presented no certificate"]).await;

    // A true certificate, and a key that is not its own.
    let (_, certificate) = world.ca.issue(Role::ClassPos, clock::now() - 60, DAY);
    let own = aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING);
    let own = PrivatePkcs8KeyDer::from(own.unwrap().to_pkcs8v1().unwrap().as_ref().to_vec());
    let own = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&PrivateKeyDer::from(own)).unwrap();
    let thief = CertifiedKey::new(vec![CertificateDer::from(certificate)], own);
    let config = plain_client(&world).with_client_cert_resolver(Arc::new(SingleCertAndKey::from(thief)));
    let mut thief = forged(&world, config).await;
    assert_eq!(thief.end().await, OPAQUE);
    logged(&[&thief.address.to_string(), "does not prove the private key"]).await;
}

#[tokio::test]
async fn devices_refuse_what_is_not_their_gateway() {
    let (world, _backend) = World::new(Plan::default()).await;
    let pos = world.ca.identity(Role::ClassPos);
    // Another name.
    let config = tls::client_config(&pos, &world.ca.trust(), Role::ClassGateway).unwrap();
    let name = ServerName::try_from("other.test").unwrap();
    let error = tls::connect(config, world.gateway, name, SOON).await.unwrap_err();
    assert!(matches!(&error, HandshakeError::Refused(_)), "{error}");
    assert!(error.to_string().contains("other.test"), "{error}");
    // Another CA.
    let error = world.connect(&pos, &Ca::new().trust()).await.err().unwrap();
    assert!(error.to_string().contains("trusted class CA"), "{error}");
    // Another class.
    let impostor = World::with(
        Ca::new(),
        Plan {
            gateway_role: Role::ClassBackend,
            ..Plan::default()
        },
    )
    .await;
    let error = impostor.device(Role::ClassPos).await.err().unwrap();
    assert!(
        error
            .to_string()
            .contains("its class is class-backend, class-gateway is wanted"),
        "{error}"
    );
}

#[tokio::test]
async fn the_backend_takes_links_from_gateways_only() {
    let ca = Ca::new();
    let (address, _backend) = backend(&ca, crate::world::loopback(), Plan::default().link, echo).await;
    for role in [Role::ClassPos, Role::ClassCard, Role::ClassWebsite, Role::ClassBackend] {
        let config = tls::client_config(&ca.identity(role), &ca.trust(), Role::ClassBackend).unwrap();
        let name = ServerName::try_from("server.test").unwrap();
        let stream = tls::connect(config, address, name, SOON).await.unwrap();
        let mut client = Client::new(stream.get_ref().0.local_addr().unwrap(), stream);
        assert_eq!(client.end().await, OPAQUE, "{role}");
        logged(&[&client.address.to_string(), "refused a gateway", role.name()]).await;
    }
}

#[tokio::test]
async fn two_class_cas_overlap_while_one_replaces_the_other() {
    let (old, new) = (Ca::new(), Ca::new());
    let both = Trust::new(&[old.certificate(), new.certificate()], clock::now()).unwrap();
    let (world, _backend) = World::new(Plan::default()).await;
    // The gateway knows its own CA alone; these two stand for the devices' side of the same rule.
    let config = tls::server_config(&new.identity(Role::ClassGateway), &both, &tls::DEVICES).unwrap();
    let listener = tokio::net::TcpListener::bind(crate::world::loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut classes = Vec::new();
        for _ in 0..3 {
            let (tcp, _) = listener.accept().await.unwrap();
            let accepted = tls::accept(Arc::clone(&config), tcp, SOON).await;
            classes.push(
                accepted
                    .map(|accepted| accepted.class)
                    .map_err(|error| error.to_string()),
            );
        }
        classes
    });
    for identity in [
        old.identity(Role::ClassPos),
        new.identity(Role::ClassCard),
        world.ca.identity(Role::ClassPos),
    ] {
        let config = tls::client_config(&identity, &both, Role::ClassGateway).unwrap();
        let name = ServerName::try_from("server.test").unwrap();
        drop(tls::connect(config, address, name, SOON).await.unwrap());
    }
    let classes = server.await.unwrap();
    assert_eq!(classes[0], Ok(Role::ClassPos));
    assert_eq!(classes[1], Ok(Role::ClassCard));
    assert!(
        classes[2].as_ref().unwrap_err().contains("trusted class CA"),
        "{classes:?}"
    );
}

#[test]
fn what_cannot_be_configured_says_what_to_do() {
    let ca = Ca::new();
    let now = clock::now();
    let (key, certificate) = ca.issue(Role::ClassGateway, now - 60, DAY);
    let (other, _) = ca.issue(Role::ClassGateway, now - 60, DAY);
    let identity =
        |key: tr_hsm::Label, certificate: &[u8], now| Identity::new(ca.hsm(), key.newest(), certificate, now);
    identity(key, &certificate, now).unwrap();
    let missing = tr_hsm::Label::literal("missing");
    for (result, words) in [
        (identity(other, &certificate, now), "for another key"),
        (identity(missing, &certificate, now), "cannot be used"),
        (identity(key, &certificate, now + 2 * DAY), "expired at"),
        (identity(key, &certificate, now - 2 * DAY), "valid only from"),
        (identity(key, b"nonsense", now), "cannot be read"),
        (
            identity(key, ca.certificate(), now),
            "role class-ca stands where a TLS class is needed",
        ),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{error}");
    }
    assert!(matches!(
        Trust::new::<&[u8]>(&[], now),
        Err(TlsError::RootCount { found: 0 })
    ));
    assert!(matches!(
        Trust::new(&[ca.certificate(); 3], now),
        Err(TlsError::RootCount { found: 3 })
    ));
    assert!(matches!(
        Trust::new(&[certificate], now),
        Err(TlsError::WrongRole { .. })
    ));
    assert!(matches!(
        Trust::new(&[ca.certificate()], now + 11 * 365 * DAY),
        Err(TlsError::Expired { .. })
    ));
}
