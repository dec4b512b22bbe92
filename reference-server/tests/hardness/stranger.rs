//! A device made by hand: it speaks the protocol with whatever certificate and key it is given.

use core::time::Duration;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tempfile::TempDir;
use tr_auth::{ConnectionId, Expected, Identity as Credential, Initiator, message_buffer};
use tr_auth_aws_lc::AwsLc;
use tr_hsm::{Attributes, Device as _, Label, Usage, Vault as _};
use tr_hsm_software::{Params, Store};
use tr_net::tls::{self, HandshakeError, Identity, Trust};
use tr_net::{clock, hsm, init};
use tr_pki::ca::{Authority, Issue, Request, Subject, self_signed};
use tr_pki::{Certificate, Role, Time};
use tr_protocol::frame::{Frame, MAX_FRAME, Scanner};
use tr_protocol::message::{Authenticate, Extra, Message, Outer, Step};
use tr_protocol::value::{Binary, TransactionId};
use tr_terminal::key::DeviceKey;

use crate::site::{Site, Voucher, eventually};

pub(crate) const DAY: i64 = 86_400;
const LIMIT: Duration = Duration::from_secs(10);

/// Keys of nobody that the network knows.
pub(crate) struct Keys {
    pub(crate) store: Arc<Store>,
    _folder: TempDir,
}

impl Keys {
    pub(crate) fn new(labels: &[Label]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path().join("keys"), b"a test", Params::INSECURE_FOR_TESTS).unwrap();
        for label in labels {
            store
                .generate(*label, Attributes::new(Usage::Sign, Usage::Sign.algorithm()))
                .unwrap();
        }
        Self {
            store: Arc::new(store),
            _folder: folder,
        }
    }

    pub(crate) fn public(&self, label: Label) -> [u8; 65] {
        self.store.public_key(label.newest()).unwrap()
    }
}

/// Certifies a key as anything, with a CA's certificate and key, for so many seconds from the CA's own beginning.
pub(crate) fn certify(ca: (&[u8], &Store, Label), role: Role, key: &[u8; 65], identity: &str, seconds: i64) -> Vec<u8> {
    let (certificate, store, label) = ca;
    let authority = Certificate::parse(certificate).unwrap();
    let signer = DeviceKey::new(store, label.newest());
    let hosts: &[tr_pki::HostName<'_>] = match role.profile().hosts {
        true => &[tr_pki::HostName::Ip(&[127, 0, 0, 1])],
        false => &[],
    };
    let request = Request {
        role,
        public_key: key,
        subject: Subject::Entity { identity, hosts },
    };
    let issue = Issue {
        number: 77_000,
        random: init::random().unwrap(),
        not_before: authority.not_before(),
        lifetime: Some(seconds),
    };
    Authority::new(authority, &signer)
        .unwrap()
        .issue(&request, &issue, &AwsLc)
        .unwrap()
}

/// A CA that nobody asked for, of role `Root` or `ClassCa`; `Root` comes with an issuing CA of its own.
pub(crate) fn foreign_ca(keys: &Keys, role: Role, label: Label) -> Vec<u8> {
    let issue = Issue {
        number: 1,
        random: init::random().unwrap(),
        not_before: clock::now() - DAY,
        lifetime: None,
    };
    let signer = DeviceKey::new(&*keys.store, label.newest());
    let own = self_signed(role, "tr root", &issue, &signer, &AwsLc).unwrap();
    if role == Role::ClassCa {
        return own;
    }
    let request = Request {
        role: Role::IssuingCa,
        public_key: &keys.public(label),
        subject: Subject::Authority { name: "tr CA 1" },
    };
    let authority = Authority::new(Certificate::parse(&own).unwrap(), &signer).unwrap();
    authority.issue(&request, &issue, &AwsLc).unwrap()
}

/// The class identity that a terminal is handed, taken out of its handout.
pub(crate) fn class_identity(site: &Site, voucher: &Voucher) -> (Identity, Trust) {
    let now = clock::now();
    let bundle = fs::read(site.file("data/handout/pos-class.p12")).unwrap();
    let handout = init::open_handout(&bundle, &voucher.code).unwrap();
    let keys = Keys::new(&[]);
    keys.store
        .import_p256(
            hsm::CLASS,
            Attributes::new(Usage::Sign, Usage::Sign.algorithm()),
            &handout.scalar,
        )
        .unwrap();
    let identity = Identity::new(Arc::clone(&keys.store), hsm::CLASS.newest(), &handout.certificate, now).unwrap();
    (identity, Trust::new(&[handout.class_ca], now).unwrap())
}

/// The TLS side of a device that has a handout.
pub(crate) fn class_config(site: &Site) -> Arc<ClientConfig> {
    let (identity, trust) = class_identity(site, &site.facts.voucher);
    tls::client_config(&identity, &trust, Role::ClassGateway).unwrap()
}

/// A connection to a gateway.
pub(crate) struct Stranger {
    pub(crate) stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Stranger {
    /// Connects with a handout's class identity, once the gateway has reached the backend.
    pub(crate) fn connect(site: &Site) -> Self {
        let config = class_config(site);
        let mut stranger = None;
        eventually("the network is up", || {
            let mut fresh = Self::with(Arc::clone(&config), site).unwrap();
            let answer = fresh.exchange(b"TR1 D sealed\nindex=0\npayload=AAAA\n\n");
            let up = answer.contains("code=out-of-place");
            assert!(up || answer.contains("code=unavailable"), "{answer}");
            stranger = Some(fresh);
            up
        });
        stranger.unwrap()
    }

    pub(crate) fn with(config: Arc<ClientConfig>, site: &Site) -> Result<Self, HandshakeError> {
        let name = ServerName::IpAddress(site.gateway.ip().into());
        let stream = tls::connect_blocking(config, site.gateway, name, LIMIT)?;
        Ok(Self { stream })
    }

    /// Sends octets and returns the frame that comes back.
    pub(crate) fn exchange(&mut self, octets: &[u8]) -> String {
        self.stream.write_all(octets).unwrap();
        self.receive().expect("an answer")
    }

    /// The next frame, `None` when the connection ends.
    pub(crate) fn receive(&mut self) -> Option<String> {
        let (mut scanner, mut received, mut buffer) = (Scanner::new(), Vec::new(), [0; MAX_FRAME]);
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("neither an answer nor an end within {LIMIT:?}")
                }
                Err(_) => return None,
                Ok(count) => received.extend_from_slice(&buffer[..count]),
            }
            if let Some(length) = scanner.scan(&received).unwrap() {
                assert_eq!(length, received.len(), "one answer at a time");
                return Some(String::from_utf8(received).unwrap());
            }
        }
    }

    /// Shakes hands as whoever holds `chain`, signing with `key`, and returns the network's last word.
    pub(crate) fn shake_hands(&mut self, site: &Site, chain: &[&[u8]], store: &Store, key: Label) -> String {
        // Who we are is of no concern to the check of the backend, as long as it is not the backend.
        let own = certificate_of(site);
        self.shake_hands_as(site, chain, store, key, &own)
    }

    /// As [`Stranger::shake_hands`], for a caller who has the terminal's key store open.
    pub(crate) fn shake_hands_as(
        &mut self,
        site: &Site,
        chain: &[&[u8]],
        store: &Store,
        key: Label,
        own: &[u8],
    ) -> String {
        let mut out = [0; 64];
        let connection = ConnectionId::new(b"hand").unwrap();
        let (state, length) = Initiator::start(&AwsLc, &init::random().unwrap(), connection, &mut out).unwrap();
        let answer = self.exchange(&authenticate(1, Step::One, &out[..length]));
        let frame = Frame::parse_exact(answer.as_bytes()).unwrap();
        let Ok(Outer::AuthenticateAnswer(answer)) = Outer::parse(&frame) else {
            panic!("no message_2: {answer}");
        };
        let mut message_2 = vec![0; answer.message.len()];
        answer.message.octets(&mut message_2).unwrap();

        let issuing = init::certificate(&site.data(), Role::IssuingCa).unwrap();
        let expected = Expected {
            anchors: &[Certificate::parse(&issuing).unwrap()],
            roles: &[Role::Backend],
            time: Time::known(clock::now()),
            grace: 0,
            own,
            understood: &[],
        };
        let ready = state.process(&AwsLc, &mut message_2, &expected).unwrap();
        let signer = DeviceKey::new(store, key.newest());
        let credential = Credential { chain, signer: &signer };
        let mut out = vec![0; message_buffer(chain, &[])];
        let (_, length) = ready.message_3(&AwsLc, &credential, &[], &mut out).unwrap();
        self.exchange(&authenticate(2, Step::Three, &out[..length]))
    }
}

fn authenticate(id: u64, step: Step, message: &[u8]) -> Vec<u8> {
    let request = Authenticate {
        id: TransactionId::new(id).unwrap(),
        message: Binary::new(message).unwrap(),
        step,
        extra: Extra::default(),
    };
    let mut out = [0; MAX_FRAME];
    request.encode(&mut out).unwrap().finish().unwrap().as_bytes().to_vec()
}

/// The certificate of the enrolled terminal, while no other process has its key store.
pub(crate) fn certificate_of(site: &Site) -> Vec<u8> {
    let pos = tr_net::pos::Pos::open(&site.file("pos"), crate::site::PASSPHRASE).unwrap();
    pos.shell().unwrap().terminal().memory().certificate().to_vec()
}

/// An answer with the digest of the request, which differs each time, left out.
pub(crate) fn without_digest(answer: &str) -> String {
    let lines = answer.split_inclusive('\n');
    lines
        .map(|line| match line.split_once('=') {
            Some(("digest", digest)) => format!("digest=<{} characters>\n", digest.trim_end().len()),
            _ => line.to_owned(),
        })
        .collect()
}
