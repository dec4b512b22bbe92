//! Whoever is not who they must be: refused, with one answer that tells a stranger nothing, and a reason in the log that
//! tells the operator everything.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use tr_auth_aws_lc::AwsLc;
use tr_hsm::Label;
use tr_net::backend::Core;
use tr_net::store::Store as _;
use tr_net::tls::{self, Identity};
use tr_net::{clock, hsm, init};
use tr_pki::voucher::{Reference, Voucher};
use tr_pki::{Certificate, Role, Verifier as _};
use tr_protocol::frame::{Frame, MAX_FRAME};
use tr_protocol::message::{Enrol, Extra, Message};
use tr_protocol::value::{Binary, Digest, Text, TransactionId};

use crate::site::{PASSPHRASE, Ran, Server, Site};
use crate::stranger::{
    DAY, Keys, Stranger, certificate_of, certify, class_config, class_identity, foreign_ca, without_digest,
};

const KEY: Label = Label::literal("stranger");
const CA: Label = Label::literal("stranger-ca");
const NOBODY: &str = "urn:uuid:00000000-0000-4000-8000-00000000dead";

/// Every refusal of who somebody is looks like this on the wire, to the octet, but for the request's digest.
const OPAQUE: &str = "TR1 I error\ncode=auth-failed\ndigest=<43 characters>\nre=1\n\n";

/// As [`OPAQUE`], inside the handshake: EDHOC's error of code 1 with one fixed text.
const OPAQUE_HANDSHAKE: &str = "TR1 I authenticate\ndigest=<43 characters>\nmessage=AWdyZWZ1c2Vk\nre=2\nstep=error\n\n";

/// The line of the backend's log that a refusal left, and only one.
fn reason(backend: &Server, before: usize) -> String {
    let line = backend.logged_after(before, &["refused: "]);
    let (_, reason) = line.split_once("refused: ").unwrap();
    let (reason, _) = reason.split_once(" channel=").unwrap();
    reason.to_owned()
}

#[test]
fn certificates_that_do_not_hold_get_one_answer_and_reasons_of_their_own() {
    let site = Site::new();
    // Without a grace time, what has expired by seconds has expired for good.
    let settings = site.file("data/tr-net.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("grace_days = 30", "grace_days = 0")).unwrap();
    let keys = Keys::new(&[KEY, CA]);
    let data = site.data();
    assert_eq!(data.config().unwrap().certificates.grace_days, 0);
    let issuing = init::certificate(&data, Role::IssuingCa).unwrap();
    let own = init::certificate(&data, Role::Backend).unwrap();
    let class = init::certificate(&data, Role::ClassGateway).unwrap();
    let foreign = foreign_ca(&keys, Role::Root, CA);
    let public = keys.public(KEY);
    let theirs = certificate_of(&site);
    let (expired, card, other_backend, unlisted) = {
        let store = site.backend_keys();
        let ours = |role, seconds| certify((&issuing, &store, hsm::ISSUING_CA), role, &public, NOBODY, seconds);
        (
            ours(Role::Pos, 1),
            ours(Role::VirtualCard, DAY),
            ours(Role::Backend, DAY),
            ours(Role::Pos, DAY),
        )
    };
    let stranger = certify((&foreign, &keys.store, CA), Role::Pos, &public, NOBODY, DAY);

    let (backend, _gateway) = site.serve();
    let mut reasons = BTreeSet::new();
    for (what, chain, words) in [
        ("expired beyond the grace time", vec![&expired], &["notAfter"][..]),
        (
            "a virtual card on a connection of POS class",
            vec![&card],
            &["role is virtual-card, expected pos"],
        ),
        (
            "a backend as a device",
            vec![&other_backend],
            &["role is backend, expected pos"],
        ),
        (
            "a foreign root",
            vec![&stranger],
            &["certificate 0: issuer: no trust anchor"],
        ),
        (
            "a foreign root that is sent along",
            vec![&stranger, &foreign],
            &["certificate 1: issuer: no trust anchor"],
        ),
        (
            "the backend's own certificate, presented back",
            vec![&own],
            &["our own"],
        ),
        (
            "someone else's certificate without its key",
            vec![&theirs],
            &["signature"],
        ),
        (
            "issued, but not by this backend's book",
            vec![&unlisted],
            &["not in the directory"],
        ),
        ("a TLS class certificate", vec![&class], &["role is class-gateway"]),
    ] {
        let before = backend.log().len();
        let mut client = Stranger::connect(&site);
        let chain: Vec<&[u8]> = chain.iter().map(|der| der.as_slice()).collect();
        let answer = client.shake_hands(&site, &chain, &keys.store, KEY);
        assert_eq!(without_digest(&answer), OPAQUE_HANDSHAKE, "{what}");
        assert_eq!(client.receive(), None, "{what}: the connection ends");
        let reason = reason(&backend, before);
        assert!(words.iter().all(|word| reason.contains(word)), "{what}: {reason}");
        reasons.insert(reason);
    }
    assert_eq!(reasons.len(), 9, "{reasons:#?}");

    // The others are none the worse for it.
    assert_eq!(site.pay("1.00").code, 0);
}

#[test]
fn the_stranger_made_by_hand_is_let_in_with_a_certificate_that_holds() {
    let site = Site::new();
    let _servers = site.serve();
    let own = certificate_of(&site);
    let mut client = Stranger::connect(&site);
    let keys = hsm::open(&site.file("pos/pos.keys"), PASSPHRASE).unwrap();
    // Its certificate was read above, since the key store has one opener.
    let answer = client.shake_hands_as(&site, &[&own], &keys, hsm::IDENTITY, &own);
    assert!(
        answer.starts_with("TR1 I authenticate\n") && answer.contains("step=4"),
        "{answer}"
    );
}

#[test]
fn a_revoked_terminal_is_refused_as_anyone_else_and_sells_nothing() {
    let site = Site::new();
    let own = certificate_of(&site);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let core = Core::open(site.data(), PASSPHRASE).await.unwrap();
        core.store
            .revoke_certificate(AwsLc.sha256(&[&own]), clock::now())
            .await
            .unwrap();
        core.close().await.unwrap();
    });
    let (backend, _gateway) = site.serve();
    let ledger = site.ok(&["ledger"]);
    let before = backend.log().len();
    let mut client = Stranger::connect(&site);
    {
        let keys = hsm::open(&site.file("pos/pos.keys"), PASSPHRASE).unwrap();
        let answer = client.shake_hands_as(&site, &[&own], &keys, hsm::IDENTITY, &own);
        assert_eq!(without_digest(&answer), OPAQUE_HANDSHAKE);
        assert_eq!(client.receive(), None);
    }
    assert!(reason(&backend, before).contains("is revoked"));
    site.pay("1.00")
        .refused(&["the peer ended the handshake", "in its log"]);
    assert_eq!(ledger, site.ok(&["ledger"]));
}

#[test]
fn an_expired_terminal_is_limited_within_the_grace_time_and_refused_after_it() {
    let site = Site::new();
    // A terminal for a day, so that the backend's own certificate outlives it.
    let settings = site.file("data/tr-net.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("device_days = 90", "device_days = 1")).unwrap();
    {
        let _servers = site.serve();
        site.enrol("pos2", &site.facts.voucher);
    }
    for (days, refused) in [(0, None), (2, Some(false)), (40, Some(true))] {
        let at = |command: &mut std::process::Command| {
            command.env("TR_NET_TEST_CLOCK", (days * DAY).to_string());
        };
        let start = |what: &str| {
            let mut command = site.command(&[what, "--log", "info"]);
            at(&mut command);
            site.start_as(what, command)
        };
        let (backend, _gateway) = (start("backend"), start("gateway"));
        let (pos, wav) = (site.path("pos2"), site.path("card.wav"));
        let mut command = site.command(&["pos", "swipe", "--pos", &pos, "--wav", &wav, "--amount", "1.00"]);
        at(&mut command);
        let ran = Ran::from(command.output().unwrap());
        match refused {
            None => assert_eq!(ran.code, 0, "{ran:?}"),
            // A limited session: it opens, and a new sale is refused by name.
            Some(false) => {
                assert_eq!(ran.code, 3, "{ran:?}");
                backend.logged(&["a session is up", "limited=true"]);
            }
            Some(true) => {
                ran.refused(&["the peer ended the handshake", "in its log"]);
                backend.logged(&["handshake refused", "notAfter"]);
            }
        }
    }
}

fn request(keys: &Keys, voucher: &Voucher) -> Vec<u8> {
    let mut out = [0; MAX_FRAME];
    let frame = tr_terminal::enrol::request(&*keys.store, KEY.newest(), voucher, &AwsLc, &mut out).unwrap();
    frame.as_bytes().to_vec()
}

/// A request whose PKCS#10 was altered after it was signed, with a MAC that holds.
fn unsigned_request(keys: &Keys, voucher: &Voucher) -> Vec<u8> {
    let frame = request(keys, voucher);
    let frame = Frame::parse_exact(&frame).unwrap();
    let Ok(tr_protocol::message::Outer::Enrol(made)) = tr_protocol::message::Outer::parse(&frame) else {
        panic!("no enrolment");
    };
    let mut der = vec![0; made.csr.len()];
    made.csr.octets(&mut der).unwrap();
    *der.last_mut().unwrap() ^= 1;
    let altered = Enrol {
        csr: Binary::new(&der).unwrap(),
        id: TransactionId::MIN,
        mac: Digest(voucher.mac(&AwsLc, &der)),
        voucher: Text::new(made.voucher.as_str()).unwrap(),
        extra: Extra::default(),
    };
    let mut out = [0; MAX_FRAME];
    altered.encode(&mut out).unwrap().finish().unwrap().as_bytes().to_vec()
}

#[test]
fn enrolment_without_a_good_voucher_gets_one_answer_and_reasons_of_their_own() {
    let site = Site::new();
    let (backend, _gateway) = site.serve();
    let keys = Keys::new(&[KEY]);
    let good = Voucher::parse(&site.facts.voucher.text).unwrap();
    let used = Voucher::parse(&site.facts.used.text).unwrap();
    let unknown = Reference([0xde, 0xad, 0xbe, 0xef]);
    let mut reasons = BTreeSet::new();
    for (what, octets, words) in [
        (
            "a wrong secret",
            request(&keys, &Voucher::new(good.reference(), [7; 16])),
            "MAC",
        ),
        (
            "an unknown reference",
            request(&keys, &Voucher::new(unknown, *good.secret())),
            "no voucher deadbeef",
        ),
        (
            "a used voucher with another request",
            request(&keys, &used),
            "was used by another request",
        ),
        (
            "a request that its key has not signed",
            unsigned_request(&keys, &good),
            "certification request",
        ),
    ] {
        let before = backend.log().len();
        let mut client = Stranger::connect(&site);
        let answer = client.exchange(&octets);
        assert_eq!(without_digest(&answer), OPAQUE, "{what}");
        assert_eq!(client.receive(), None, "{what}: the connection ends");
        let reason = reason(&backend, before);
        assert!(reason.contains(words), "{what}: {reason}");
        reasons.insert(reason);
    }
    assert_eq!(reasons.len(), 4, "{reasons:#?}");
    // None of this has used the voucher up.
    site.enrol("pos2", &site.facts.voucher);
}

#[test]
fn an_identical_enrolment_gets_the_same_certificate_until_the_voucher_expires() {
    let site = Site::new();
    let keys = Keys::new(&[KEY]);
    let voucher = Voucher::parse(&site.facts.voucher.text).unwrap();
    let octets = request(&keys, &voucher);
    let first = {
        let _servers = site.serve();
        let first = Stranger::connect(&site).exchange(&octets);
        assert!(first.starts_with("TR1 I enrol\n"), "{first}");
        assert_eq!(
            Stranger::connect(&site).exchange(&octets),
            first,
            "in another connection"
        );
        // The same key and voucher signed anew is another request.
        let again = Stranger::connect(&site).exchange(&request(&keys, &voucher));
        assert_eq!(without_digest(&again), OPAQUE);
        first
    };
    {
        let _servers = site.serve();
        assert_eq!(Stranger::connect(&site).exchange(&octets), first, "after a restart");
    }
    let mut command = site.command(&["backend", "--log", "info"]);
    command.env("TR_NET_TEST_CLOCK", (73 * 3600).to_string());
    let backend = site.start_as("backend", command);
    let _gateway = site.start("gateway", &[]);
    let late = Stranger::connect(&site).exchange(&octets);
    assert_eq!(without_digest(&late), OPAQUE);
    backend.logged(&["enrolment refused", "has expired"]);
}

#[test]
fn an_expired_voucher_enrols_nobody() {
    let site = Site::new();
    let mut command = site.command(&["backend", "--log", "info"]);
    command.env("TR_NET_TEST_CLOCK", (73 * 3600).to_string());
    let backend = site.start_as("backend", command);
    let _gateway = site.start("gateway", &[]);
    let arguments = site.enrolment("pos2", &site.facts.voucher);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The gateway may still be on its way to the backend.
    drop(Stranger::connect(&site));
    site.run(&arguments)
        .refused(&["the voucher is wrong, used or expired", "ask the operator"]);
    backend.logged(&["enrolment refused", "has expired"]);
    assert!(!site.file("pos2/pos.memory").exists());
}

#[test]
fn a_device_refuses_a_network_whose_root_it_was_not_told() {
    let site = Site::new();
    let _servers = site.serve();
    drop(Stranger::connect(&site));
    let mut arguments = site.enrolment("pos2", &site.facts.voucher);
    let at = arguments.iter().position(|word| word == "--root").unwrap() + 1;
    let right = core::mem::replace(&mut arguments[at], "ab".repeat(32));
    let run = |arguments: &[String]| site.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    run(&arguments).refused(&["root is not the one that the operator named", "do not trust it"]);
    assert!(!site.file("pos2/pos.memory").exists() && !site.file("pos2/root.pem").exists());
    // It was a slip of the hand: with the right one the same request gets its certificate.
    arguments[at] = right;
    let ran = run(&arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// Presents no certificate.
#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn tls_lets_in_nobody_without_the_right_class() {
    let site = Site::new();
    let now = clock::now();
    let keys = Keys::new(&[KEY, CA]);
    let public = keys.public(KEY);
    let data = site.data();
    let class_ca = init::certificate(&data, Role::ClassCa).unwrap();
    let foreign = foreign_ca(&keys, Role::ClassCa, CA);
    let (backend, gateway, old) = {
        let store = site.backend_keys();
        let ours = |role, seconds| certify((&class_ca, &store, hsm::CLASS_CA), role, &public, NOBODY, seconds);
        (
            ours(Role::ClassBackend, DAY),
            ours(Role::ClassGateway, DAY),
            ours(Role::ClassPos, 1),
        )
    };
    let stranger = certify((&foreign, &keys.store, CA), Role::ClassPos, &public, NOBODY, 9 * DAY);
    let (_, trust) = class_identity(&site, &site.facts.voucher);
    let config = |certificate: &[u8], at: i64| -> Arc<ClientConfig> {
        let identity = Identity::new(Arc::clone(&keys.store), KEY.newest(), certificate, at).unwrap();
        tls::client_config(&identity, &trust, Role::ClassGateway).unwrap()
    };
    let mut nothing = ClientConfig::clone(&class_config(&site));
    nothing.client_auth_cert_resolver = Arc::new(Nothing);

    let (_, gateway_process) = &site.serve();
    for (what, config, words) in [
        ("a backend", config(&backend, now), "class-backend"),
        ("a gateway", config(&gateway, now), "class-gateway"),
        (
            "an expired class",
            config(&old, Certificate::parse(&old).unwrap().not_before()),
            "expired",
        ),
        (
            "a foreign CA",
            config(&stranger, now),
            "not issued by a trusted class CA",
        ),
        ("nobody", Arc::new(nothing), "no certificate"),
    ] {
        let before = gateway_process.log().len();
        let mut client = Stranger::with(config, &site).unwrap();
        // In TLS 1.3 the refusal comes with the first read.
        let end = std::io::Read::read(&mut client.stream, &mut [0; 64])
            .map(|_| ())
            .map_err(tls::handshake_error);
        let alert = end.unwrap_err().to_string();
        let wanted = if what == "nobody" {
            "CertificateRequired"
        } else {
            "CertificateUnknown"
        };
        assert!(alert.contains(wanted), "{what}: {alert}");
        let line = gateway_process.logged_after(before, &["refused a device"]);
        assert!(line.contains(words), "{what}: {line}");
    }
    assert_eq!(site.pay("1.00").code, 0);
}

#[test]
fn the_backends_own_port_is_for_gateways_only() {
    let site = Site::new();
    let (backend, _gateway) = site.serve();
    let (identity, trust) = class_identity(&site, &site.facts.voucher);
    let config = tls::client_config(&identity, &trust, Role::ClassBackend).unwrap();
    let name = ServerName::IpAddress(site.backend.ip().into());
    let limit = core::time::Duration::from_secs(5);
    let mut stream = tls::connect_blocking(config, site.backend, name, limit).unwrap();
    let end = std::io::Read::read(&mut stream, &mut [0; 64]).map_err(tls::handshake_error);
    let alert = end.unwrap_err().to_string();
    assert!(alert.contains("CertificateUnknown"), "{alert}");
    backend.logged(&["class-pos"]);
}

#[test]
fn a_terminal_refuses_a_gateway_of_another_network() {
    let (ours, theirs) = (Site::new(), Site::new());
    // A whole network of its own, made anew: its CAs are others.
    fs::remove_dir_all(theirs.file("data")).unwrap();
    theirs.ok(&[
        "init",
        "--backend",
        &theirs.backend.to_string(),
        "--gateway",
        &theirs.gateway.to_string(),
    ]);
    let _servers = theirs.serve();
    crate::site::set(&ours.file("pos/pos.toml"), "gateway = ", &theirs.gateway.to_string());
    let before = ours.content();
    ours.pay("1.00").refused(&["certificate is refused"]);
    assert_eq!(before, ours.content());
}
