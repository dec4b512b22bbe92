//! A class CA, key stores, a gateway, a backend that echoes, and devices: all real, on loopback.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tr_auth_aws_lc::AwsLc;
use tr_hsm::{Attributes, Device as _, Label, Usage, Vault};
use tr_hsm_software::{Params, Store};
use tr_net::clock;
use tr_net::gateway::{Gateway, GatewayConfig, IpRules, Limits, Metrics, Tap};
use tr_net::link::{self, Dialer, FrameReader, LinkLimits, Uplink};
use tr_net::logging::{self, LogFormat};
use tr_net::tls::{self, HandshakeError, Identity, Trust};
use tr_pki::ca::{Authority, Issue, Request, Subject, self_signed};
use tr_pki::{Certificate, HostName, Role};
use tr_terminal::key::DeviceKey;

pub(crate) const DAY: i64 = 86_400;
/// Longer than anything here takes, shorter than anyone's patience.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// A class CA with its keys in a key store.
pub(crate) struct Ca {
    hsm: Arc<Store>,
    certificate: Vec<u8>,
    issued: AtomicU32,
    now: i64,
    _folder: TempDir,
}

const CA_KEY: Label = Label::literal("ca");

impl Ca {
    pub(crate) fn new() -> Self {
        let now = clock::now();
        let folder = tempfile::tempdir().unwrap();
        let hsm = Store::create(folder.path().join("keys"), b"a test", Params::INSECURE_FOR_TESTS).unwrap();
        generate(&hsm, CA_KEY);
        let signer = DeviceKey::new(&hsm, CA_KEY.newest());
        let issue = Issue {
            number: 1,
            random: [1; 12],
            not_before: now - DAY,
            lifetime: None,
        };
        let certificate = self_signed(Role::ClassCa, "class", &issue, &signer, &AwsLc).unwrap();
        Self {
            hsm: Arc::new(hsm),
            certificate,
            issued: AtomicU32::new(2),
            now,
            _folder: folder,
        }
    }

    /// A new key in the store, and its certificate.
    pub(crate) fn issue(&self, role: Role, not_before: i64, lifetime: i64) -> (Label, Vec<u8>) {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let label = Label::new(&format!("key-{number}")).unwrap();
        generate(&self.hsm, label);
        let hosts: &[HostName<'_>] = match role.profile().hosts {
            true => &[HostName::Dns("server.test"), HostName::Ip(&[127, 0, 0, 1])],
            false => &[],
        };
        let identity = format!("urn:uuid:00000000-0000-4000-8000-{number:012}");
        let signer = DeviceKey::new(&*self.hsm, CA_KEY.newest());
        let certificate = Authority::new(Certificate::parse(&self.certificate).unwrap(), &signer)
            .unwrap()
            .issue(
                &Request {
                    role,
                    public_key: &self.hsm.public_key(label.newest()).unwrap(),
                    subject: Subject::Entity {
                        identity: &identity,
                        hosts,
                    },
                },
                &Issue {
                    number,
                    random: [2; 12],
                    not_before,
                    lifetime: Some(lifetime),
                },
                &AwsLc,
            )
            .unwrap();
        (label, certificate)
    }

    pub(crate) fn identity(&self, role: Role) -> Identity {
        let (label, certificate) = self.issue(role, self.now - 60, DAY);
        Identity::new(self.hsm(), label.newest(), &certificate, self.now).unwrap()
    }

    /// One whose end was a minute ago.
    pub(crate) fn expired(&self, role: Role) -> Identity {
        let (label, certificate) = self.issue(role, self.now - 3600, 3540);
        Identity::new(self.hsm(), label.newest(), &certificate, self.now - 1800).unwrap()
    }

    pub(crate) fn hsm(&self) -> Arc<Store> {
        Arc::clone(&self.hsm)
    }

    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::new(&[&self.certificate], self.now).unwrap()
    }
}

fn generate(hsm: &Store, label: Label) {
    hsm.generate(label, Attributes::new(Usage::Sign, Usage::Sign.algorithm()))
        .unwrap();
}

/// How a gateway under test differs from the usual.
pub(crate) struct Plan {
    pub(crate) limits: Limits,
    pub(crate) link: LinkLimits,
    pub(crate) addresses: IpRules,
    pub(crate) tap: Option<Tap>,
    pub(crate) gateway_role: Role,
    /// Where the backend is or will be; found by the system if `None`.
    pub(crate) backend: Option<SocketAddr>,
}

impl Default for Plan {
    fn default() -> Self {
        let mut link = LinkLimits::default();
        link.back_off_first = Duration::from_millis(20);
        link.back_off_most = Duration::from_millis(100);
        Self {
            limits: Limits::default(),
            link,
            addresses: IpRules::default(),
            tap: None,
            gateway_role: Role::ClassGateway,
            backend: None,
        }
    }
}

/// A running task that ends in order when told to.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(self) {
        drop(self.stop);
        tokio::time::timeout(SOON, self.task)
            .await
            .expect("it stops soon")
            .unwrap();
    }

    /// As kill -9 would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn run<F: Future<Output = ()> + Send + 'static>(task: impl FnOnce(oneshot::Receiver<()>) -> F) -> Running {
    let (stop, stopped) = oneshot::channel();
    Running {
        stop,
        task: tokio::spawn(task(stopped)),
    }
}

/// A backend that answers as `behave` says.
pub(crate) async fn backend<H, F>(ca: &Ca, address: SocketAddr, limits: LinkLimits, behave: H) -> (SocketAddr, Running)
where
    H: Fn(link::Device) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = link::listen("backend", address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = tls::server_config(&ca.identity(Role::ClassBackend), &ca.trust(), &[Role::ClassGateway]).unwrap();
    let running = run(move |stopped| {
        link::serve_gateways(listener, tls, limits, behave, async move {
            let _ = stopped.await;
        })
    });
    (address, running)
}

/// Answers each frame with the same frame.
pub(crate) async fn echo(mut device: link::Device) {
    while let Some(frame) = device.next_frame().await {
        if device.answers.send(&frame).await.is_err() {
            return;
        }
    }
}

/// A class CA, a gateway, and a way to connect to it.
pub(crate) struct World {
    pub(crate) ca: Ca,
    pub(crate) gateway: SocketAddr,
    pub(crate) backend_address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) uplink: Uplink,
    pub(crate) gateway_task: Running,
}

impl World {
    /// A gateway whose backend echoes.
    pub(crate) async fn new(mut plan: Plan) -> (Self, Running) {
        log();
        let ca = Ca::new();
        let (address, backend) = backend(&ca, loopback(), plan.link.clone(), echo).await;
        plan.backend = Some(address);
        let world = Self::with(ca, plan).await;
        world.link_up().await;
        (world, backend)
    }

    /// A gateway alone.
    pub(crate) async fn with(ca: Ca, plan: Plan) -> Self {
        log();
        let backend_address = match plan.backend {
            Some(address) => address,
            None => unused_address().await,
        };
        let identity = ca.identity(plan.gateway_role);
        let config = GatewayConfig {
            listen: loopback(),
            tls: tls::server_config(&identity, &ca.trust(), &tls::DEVICES).unwrap(),
            backend: Dialer {
                address: backend_address,
                name: ServerName::try_from("server.test").unwrap(),
                tls: tls::client_config(&identity, &ca.trust(), Role::ClassBackend).unwrap(),
            },
            addresses: plan.addresses,
            limits: plan.limits,
            link: plan.link,
            tap: plan.tap,
        };
        let gateway = Gateway::bind(config).await.unwrap();
        Self {
            ca,
            gateway: gateway.local_addr(),
            backend_address,
            metrics: gateway.metrics(),
            uplink: gateway.uplink(),
            gateway_task: run(|stopped| {
                gateway.run(async move {
                    let _ = stopped.await;
                })
            }),
        }
    }

    pub(crate) async fn link_up(&self) {
        tokio::time::timeout(SOON, self.uplink.wait_up())
            .await
            .expect("the link comes up");
    }

    pub(crate) async fn pos(&self) -> Client {
        self.device(Role::ClassPos).await.unwrap()
    }

    pub(crate) async fn device(&self, role: Role) -> Result<Client, HandshakeError> {
        self.connect(&self.ca.identity(role), &self.ca.trust()).await
    }

    pub(crate) async fn connect(&self, identity: &Identity, trust: &Trust) -> Result<Client, HandshakeError> {
        let config = tls::client_config(identity, trust, Role::ClassGateway).unwrap();
        let stream = tls::connect(config, self.gateway, ServerName::try_from("127.0.0.1").unwrap(), SOON).await?;
        Ok(Client::new(stream.get_ref().0.local_addr().unwrap(), stream))
    }
}

/// A device's connection.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    reader: FrameReader<ReadHalf<Stream>>,
    write: WriteHalf<Stream>,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
type Stream = Box<dyn Duplex>;

impl Client {
    pub(crate) fn new(address: SocketAddr, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let stream: Stream = Box::new(stream);
        let (read, write) = tokio::io::split(stream);
        Self {
            address,
            reader: FrameReader::new(read, 1),
            write,
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write.write_all(bytes).await?;
        self.write.flush().await
    }

    /// The next frame as text, `None` at the end.
    pub(crate) async fn receive(&mut self) -> Option<String> {
        let frame = tokio::time::timeout(SOON, self.reader.next_frame())
            .await
            .expect("something comes or the connection ends");
        frame.ok()?.map(|frame| String::from_utf8(frame).unwrap())
    }

    /// What the connection ends with, as rustls names it.
    pub(crate) async fn end(&mut self) -> String {
        loop {
            match tokio::time::timeout(SOON, self.reader.next_frame())
                .await
                .expect("the connection ends")
            {
                Ok(Some(_)) => {}
                Ok(None) => return "closed".to_owned(),
                Err(link::FrameError::Io(error)) => return tls::handshake_error(error).to_string(),
                Err(error) => return error.to_string(),
            }
        }
    }

    /// Sends a sealed frame and expects it back.
    pub(crate) async fn echo(&mut self, index: u32) {
        let frame = sealed(index);
        self.send(frame.as_bytes()).await;
        assert_eq!(self.receive().await, Some(frame));
    }
}

/// What [`sealed`] frames carry.
pub(crate) const PAYLOAD: &str = "c2VhbGVkIHRvIHRoZSBiYWNrZW5k";

/// A sealed frame as a device sends it. Nothing here can open it, nor can a gateway.
pub(crate) fn sealed(index: u32) -> String {
    format!("TR1 D sealed\nindex={index}\npayload={PAYLOAD}\n\n")
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// An address where nobody listens now.
pub(crate) async fn unused_address() -> SocketAddr {
    TcpListener::bind(loopback()).await.unwrap().local_addr().unwrap()
}

/// What all tests of this process have logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = logging::subscriber(LogFormat::Human, "tr_net=debug", false, move || writer.clone()).unwrap();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    })
}

/// Everything that this process has logged.
pub(crate) fn all_logged() -> String {
    String::from_utf8_lossy(&log().0.lock().unwrap()).into_owned()
}

/// Waits for a log line with all of `words` and returns it.
pub(crate) async fn logged(words: &[&str]) -> String {
    eventually(|| {
        all_logged()
            .lines()
            .find(|line| words.iter().all(|word| line.contains(word)))
            .map(str::to_owned)
    })
    .await
    .unwrap_or_else(|| panic!("no log line with {words:?}"))
}

/// Asks again and again until there is something, for a while.
pub(crate) async fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..500 {
        if let Some(found) = ask() {
            return Some(found);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

/// The name of a file in a folder that is removed with the returned guard.
pub(crate) fn scratch(name: &str) -> (TempDir, Box<Path>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name).into_boxed_path();
    (folder, path)
}
