//! An IdP that pushes signals, an app that never ends, the gateway between them, and clients that hang on.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis::app::{self, Running};
use portcullis::config::Config;
use portcullis::demo::{self, idp::Idp};
use portcullis::identity::{Identity, Issuer};
use portcullis::seal::{self, KeyRing};
use portcullis::session::{Session, SessionId};
use portcullis::time::{Clock, Stopwatch, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// What anything may take that must happen at all.
const DEADLINE: Duration = Duration::from_secs(30);
const AUDIENCE: &str = "https://gateway.example";
const PUSH_TOKEN: &str = "push-0123456789abcdef0123456789";
const ADMIN_TOKEN: &str = "admin-0123456789abcdef012345678";
/// A frame of four bytes, masked with zeros, as a client sends it and as the app sends it back.
pub(crate) const PING: &[u8] = b"\x81\x84\0\0\0\0ping";
/// The app's name on the TLS listener.
pub(crate) const TLS_HOST: &str = "wiki.example";

/// Waits for `what`, not for ever.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, event).await {
        Ok(value) => value,
        Err(_) => panic!("it takes too long: {what}"),
    }
}

/// Both directions of a connection.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// By which listener somebody comes in.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Via {
    Plain,
    Tls,
}

/// The whole arrangement.
pub(crate) struct House {
    pub(crate) clock: Clock,
    pub(crate) app: App,
    pub(crate) watch: Stopwatch,
    idp: Idp,
    ring: KeyRing,
    plain: SocketAddr,
    tls: SocketAddr,
    admin: SocketAddr,
    roots: RootCertStore,
    dir: PathBuf,
    _gateway: Running,
    _idp_server: demo::Server,
}

impl Drop for House {
    fn drop(&mut self) {
        let _left_over = fs::remove_dir_all(&self.dir);
    }
}

impl House {
    pub(crate) async fn new(clock: Clock) -> Self {
        let app = App::start().await;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (idp, listener) = Idp::bind(any, clock.clone()).await.expect("an IdP");
        let idp_server = demo::Server::start(listener, idp.router());
        let holders: [_; 3] = std::array::from_fn(|_| std::net::TcpListener::bind(any).expect("a port"));
        let [plain, tls, admin] = holders.map(|holder| holder.local_addr().expect("an address"));
        let dir = std::env::temp_dir().join(format!("portcullis-cut-{}-{}", std::process::id(), plain.port()));
        fs::create_dir(&dir).expect("a directory");
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let cert = CertificateParams::new([TLS_HOST.to_owned()]).and_then(|params| params.signed_by(&key, &ca));
        let ring = seal::generate_key().expect("a key");
        let config = format!(
            r#"
[server]
listen = ["{plain}"]
tls = [{{ listen = "{tls}", cert_file = "tls.pem", key_file = "tls.key" }}]
threads = 2
[admin]
listen = "{admin}"
token_file = "admin.token"
[keys]
files = ["ring.key"]
[ledger]
path = "ledger.db"
[audit]
to = "./audit.log"
[idps.corp]
issuer = "{issuer}"
client_id = "portcullis"
client_secret_file = "client.secret"
[streams.corp]
issuer = "{issuer}"
audience = "{AUDIENCE}"
jwks_uri = "{issuer}/jwks"
push_token_file = "push.token"
speaks_for = ["corp"]
[apps.plain]
url = "http://localhost:{port}"
upstreams = ["http://{app}"]
idp = "corp"
rules = [{{ path = "/public", access = "public" }}]
[apps.wiki]
url = "https://{TLS_HOST}"
upstreams = ["http://{app}"]
idp = "corp"
"#,
            port = plain.port(),
            issuer = idp.issuer(),
            app = app.address,
        );
        for (name, text) in [
            ("portcullis.toml", config.as_str()),
            ("ring.key", ring.expose()),
            ("client.secret", "0123456789abcdef0123456789abcdef"),
            ("push.token", PUSH_TOKEN),
            ("admin.token", ADMIN_TOKEN),
            ("tls.pem", &cert.expect("a certificate").pem()),
            ("tls.key", &key.serialize_pem()),
        ] {
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(dir.join(name));
            file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
        }
        let config = Config::load(&dir.join("portcullis.toml")).unwrap_or_else(|faults| panic!("{faults}"));
        let gateway = app::start(config, clock.clone()).expect("a gateway");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).expect("PEM")).expect("an authority");
        let ring = KeyRing::parse([ring.expose().as_str()]).expect("a key").expect("a ring");
        let watch = Stopwatch::start();
        let (_gateway, _idp_server) = (gateway, idp_server);
        Self { clock, app, watch, idp, ring, plain, tls, admin, roots, dir, _gateway, _idp_server }
    }

    /// The cookie of a session of `user` that began a minute ago.
    pub(crate) fn cookie(&self, user: &str, via: Via, session_expiry: Option<Timestamp>) -> String {
        let now = self.clock.now();
        let login = now.minus(Duration::from_secs(60));
        let identity = Identity {
            issuer: Issuer::parse(self.idp.issuer().as_str()).expect("an issuer"),
            subject: user.to_owned(),
            sid: Some(format!("sid-{user}")),
            email: None,
            phone: None,
            preferred_username: None,
            groups: vec![],
            tenant: None,
            device: None,
            asserted_at: login,
            auth_time: Some(login),
            session_expiry,
        };
        let id = SessionId(*b"0123456789abcdef");
        let session = Session::begin(id, "corp", &identity, vec![], &self.ring, now);
        let host = if let Via::Plain = via { "localhost" } else { TLS_HOST };
        let parts = session.seal(&self.ring, host).expect("sealed");
        parts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// A connection to a listener, with these protocols offered if it is for TLS.
    pub(crate) async fn connect(&self, via: Via, protocols: &[&str]) -> Box<dyn Io> {
        let address = if let Via::Plain = via { self.plain } else { self.tls };
        let stream = soon("a connection", TcpStream::connect(address)).await.expect("somebody listens");
        let Via::Tls = via else { return Box::new(stream) };
        let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(TLS_HOST).expect("a name");
        let connector = TlsConnector::from(Arc::new(config));
        Box::new(soon("a handshake", connector.connect(name, stream)).await.expect("TLS"))
    }

    /// Begins an exchange: a first line without version, further fields each with a line end, and what follows the head.
    pub(crate) async fn begin(&self, via: Via, user: &str, line: &str, fields: &str, body: &[u8]) -> Client {
        let cookie = self.cookie(user, via, None);
        self.begin_with(via, &cookie, line, fields, body).await
    }

    /// As [`House::begin`], with that cookie.
    pub(crate) async fn begin_with(&self, via: Via, cookie: &str, line: &str, fields: &str, body: &[u8]) -> Client {
        let mut stream = self.connect(via, &["http/1.1"]).await;
        let host = match via {
            Via::Plain => format!("localhost:{}", self.plain.port()),
            Via::Tls => TLS_HOST.to_owned(),
        };
        let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n{fields}\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).await.expect("sent");
        let (mut from, to) = tokio::io::split(stream);
        let (got, come) = watch::channel(Got::default());
        let watch = self.watch;
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = from.read(&mut buffer).await {
                got.send_modify(|got| got.take(&buffer[..read]));
            }
            got.send_modify(|got| got.ended = Some(watch.elapsed()));
        });
        Client { got: come, to, _task: task }
    }

    /// Opens a WebSocket.
    pub(crate) async fn websocket(&self, via: Via, user: &str) -> Client {
        let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        // pingora ends one now and then right after the 101: if the app answers before the end of the (empty) request
        // body was passed on, that end is taken for the end of the WebSocket. Browsers connect again, and so does this.
        for _ in 0..5 {
            let mut client = self.begin(via, user, "GET /ws", fields, b"").await;
            let switched = |got: &Got| got.says("101 Switching") && got.says("\r\n\r\n") || got.ended.is_some();
            client.has("a WebSocket", switched).await;
            // The error is the end, which shows below.
            let _sent = client.to.write_all(PING).await;
            let _sent = client.to.flush().await;
            let got = client.has("an echo", |got| got.tail.ends_with(PING) || got.ended.is_some()).await;
            assert!(got.says("101 Switching"), "{}", got.text());
            if got.ended.is_none() {
                return client;
            }
        }
        panic!("no WebSocket of {user} lives");
    }

    /// One answer to one request on a connection of its own, without cookies.
    async fn call(&self, to: SocketAddr, request: String) -> String {
        let mut stream = TcpStream::connect(to).await.expect("somebody listens");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        soon("an answer", stream.read_to_end(&mut answer)).await.expect("an answer");
        String::from_utf8(answer).expect("text")
    }

    /// Pushes the end of all sessions of `user`, as a signed SET; says when it was acknowledged.
    pub(crate) async fn revoke(&self, user: &str) -> Duration {
        let claims = json!({
            "aud": AUDIENCE,
            "sub_id": { "format": "iss_sub", "iss": self.idp.issuer(), "sub": user },
            "events": { demo::transmitter::SESSION_REVOKED: { "event_timestamp": self.clock.now() } },
        });
        let set = self.idp.set(&claims).expect("a SET");
        let request = format!(
            "POST /oauth2/ssf/corp HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {PUSH_TOKEN}\r\n\
             Content-Type: application/secevent+jwt\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{set}",
            self.plain.port(),
            set.len(),
        );
        let answer = self.call(self.plain, request).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        self.watch.elapsed()
    }

    /// A number among the metrics.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\nConnection: close\r\n\r\n",
            self.admin
        );
        let answer = self.call(self.admin, request).await;
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {answer}")).trim().parse().expect("a number")
    }

    /// Waits until nothing is in flight at the gateway.
    pub(crate) async fn is_quiet(&self) {
        soon("nothing in flight", async {
            while self.metric("portcullis_requests_in_flight").await > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// What the audit log says.
    pub(crate) fn audit(&self) -> String {
        fs::read_to_string(self.dir.join("audit.log")).expect("an audit log")
    }
}

/// What a client got so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Got {
    pub(crate) bytes: usize,
    /// The first kilobytes.
    head: Vec<u8>,
    /// The last bytes.
    pub(crate) tail: Vec<u8>,
    /// When the other side was gone.
    pub(crate) ended: Option<Duration>,
}

impl Got {
    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.head.extend(bytes.iter().take(8_192usize.saturating_sub(self.head.len())));
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(64)..]);
        self.tail.drain(..self.tail.len().saturating_sub(64));
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    pub(crate) fn says(&self, text: &str) -> bool {
        self.text().contains(text)
    }
}

/// A client that reads whatever comes.
pub(crate) struct Client {
    got: watch::Receiver<Got>,
    to: WriteHalf<Box<dyn Io>>,
    _task: JoinSet<()>,
}

impl Client {
    /// Waits until what came is as `wanted` says.
    pub(crate) async fn has(&self, what: &str, wanted: impl FnMut(&Got) -> bool) -> Got {
        soon(what, self.got.clone().wait_for(wanted)).await.expect("it reads").clone()
    }

    /// What came, and when it ended.
    pub(crate) async fn ends(&self, what: &str) -> Got {
        self.has(what, |got| got.ended.is_some()).await
    }

    pub(crate) fn now(&self) -> Got {
        self.got.borrow().clone()
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.to.write_all(bytes).await.expect("sent");
        self.to.flush().await.expect("sent");
    }
}

/// How many exchanges of a person on a path are open at the app.
type Open = HashMap<(String, String), usize>;

/// An app whose answers do not end by themselves.
pub(crate) struct App {
    address: SocketAddr,
    open: watch::Sender<Open>,
    read_on: watch::Sender<bool>,
    _task: JoinSet<()>,
}

impl App {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let open = watch::Sender::new(Open::new());
        let read_on = watch::Sender::new(false);
        let mut task = JoinSet::new();
        let (theirs, told) = (open.clone(), read_on.subscribe());
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, theirs.clone(), told.clone()));
            }
        });
        Self { address, open, read_on, _task: task }
    }

    /// From now on it reads what it left lying.
    pub(crate) fn reads_on(&self) {
        self.read_on.send_replace(true);
    }

    /// Waits until so many exchanges of `user` on `path` are open here.
    pub(crate) async fn has(&self, user: &str, path: &str, wanted: usize) {
        let key = (path.to_owned(), user.to_owned());
        let what = format!("{wanted} exchanges of {user} on {path} at the app");
        soon(&what, self.open.subscribe().wait_for(|open| open.get(&key).copied().unwrap_or_default() == wanted))
            .await
            .expect("the app runs");
    }
}

async fn serve(mut stream: TcpStream, open: watch::Sender<Open>, read_on: watch::Receiver<bool>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(1..) => {}
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let user = text.lines().find_map(|line| line.strip_prefix("x-forwarded-user: ")).unwrap_or_default().to_owned();
    let key = (path.clone(), user);
    open.send_modify(|open| *open.entry(key.clone()).or_default() += 1);
    // The error is the end.
    let _ended = go_on(&path, &mut stream, read_on).await;
    open.send_modify(|open| *open.entry(key).or_default() -= 1);
}

async fn go_on(path: &str, stream: &mut TcpStream, mut read_on: watch::Receiver<bool>) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    match path {
        "/ws" => {
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            while let read @ 1.. = stream.read(&mut buffer).await? {
                stream.write_all(buffer.get(..read).unwrap_or_default()).await?;
            }
        }
        "/file" | "/stream" => {
            let length = if path == "/file" { "Content-Length: 1000000000" } else { "Connection: close" };
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n").as_bytes()).await?;
            // The first megabytes at once, then a slow one.
            for _ in 0..80 {
                stream.write_all(&buffer).await?;
            }
            let mut pace = tokio::time::interval(Duration::from_millis(50));
            loop {
                pace.tick().await;
                stream.write_all(buffer.get(..1_024).unwrap_or_default()).await?;
            }
        }
        "/events" | "/public" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n";
            stream.write_all(head.as_bytes()).await?;
            while let 1.. = stream.read(&mut buffer).await? {}
        }
        // Reads nothing until it is told to: what is on its way to it stands still.
        "/stuck" => {
            let _dropped = read_on.wait_for(|on| *on).await.is_err();
            while let 1.. = stream.read(&mut buffer).await? {}
        }
        // Never answers.
        _ => while let 1.. = stream.read(&mut buffer).await? {},
    }
    Ok(())
}
