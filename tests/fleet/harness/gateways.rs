//! Whole gateways, each a process of its own, that share a key ring, an IdP and an engine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use portcullis::demo::transmitter::Transmitter;
use portcullis::demo::{Server, idp::Idp};
use portcullis::identity::{Email, Identity};
use portcullis::seal::{self, KeyRing};
use portcullis::secret::Secret;
use portcullis::session::{Session, SessionId};
use portcullis::time::{Clock, Timestamp};
use serde_json::{Value, json};

use super::{Scratch, own_address, signal, until};

/// What every gateway is reached as, whatever its address.
const HOST: &str = "localhost:8080";
const AUDIENCE: &str = "https://payroll.example.com";
const TOKEN: &str = "a-token-that-is-long-enough-for-operators";
pub(crate) const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// Apps by what they do while their gateway is stale.
pub(crate) const APPS: [(&str, &str); 3] =
    [("serves", "localhost:8080"), ("asks", "asks.localhost:8080"), ("refuses", "refuses.localhost:8080")];

/// Gateways that share everything that a fleet shares. They end with this.
pub(crate) struct Gateways {
    pub(crate) idp: Idp,
    _idp: Server,
    _app: Server,
    all: Vec<Gateway>,
    ring: Arc<KeyRing>,
    http: reqwest::Client,
    begun: Timestamp,
    _scratch: Scratch,
}

/// One of them.
pub(crate) struct Gateway {
    address: SocketAddr,
    admin: SocketAddr,
    config: PathBuf,
    log: PathBuf,
    running: Mutex<Option<Child>>,
}

impl Gateways {
    /// Starts one gateway for each text, which holds its `[fleet]`; each config has `more`. Returns when all are ready.
    pub(crate) async fn start_with(fleets: &[String], more: &str) -> Self {
        let gateways = Self::prepare(fleets, more).await;
        for n in 0..fleets.len() {
            gateways.launch(n);
        }
        for n in 0..fleets.len() {
            gateways.is_ready(n).await;
        }
        gateways
    }

    /// Everything but the processes.
    pub(crate) async fn prepare(fleets: &[String], more: &str) -> Self {
        let scratch = Scratch::new("gateways");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (idp, listener) = Idp::bind(any, Clock::System).await.expect("an IdP");
        // It has no stream until somebody makes one.
        let transmitter = Transmitter::new(idp.clone(), Secret::new(TOKEN.to_owned()));
        let serving_idp = Server::start(listener, idp.router().merge(transmitter.router()));
        let app = tokio::net::TcpListener::bind(any).await.expect("an app");
        let upstream = app.local_addr().expect("its address");
        let serving_app = Server::start(
            app,
            Router::new().route("/stream", axum::routing::get(endless)).fallback(async || "payroll"),
        );
        let key = seal::generate_key().expect("a key");
        let ring = KeyRing::parse([key.expose().as_str()]).expect("key").expect("ring");
        let signs = portcullis::jose::Signer::generate_pem().expect("a key");
        let ring = Arc::new(ring);
        let address = own_address();
        let mut all = Vec::new();
        for (n, fleet) in fleets.iter().enumerate() {
            let dir = scratch.path().join(format!("gw-{n}"));
            std::fs::create_dir(&dir).expect("a directory");
            let [plain, admin] = [free_port(&address), free_port("127.0.0.1")];
            let file = |name: &str, text: &str| scratch.file(&format!("gw-{n}/{name}"), text);
            file("ring.key", key.expose());
            file("admin.token", TOKEN);
            file("push.token", TOKEN);
            file("client.secret", "secret-of-the-client");
            file("hook.key", signs.expose());
            let apps: String = APPS
                .iter()
                .map(|(name, host)| {
                    let does = match *name {
                        "serves" => "serve",
                        "asks" => "reestablish",
                        _ => "refuse",
                    };
                    format!(
                        "[apps.{name}]\nurl = \"http://{host}\"\nupstreams = [\"http://{upstream}\"]\nidp = \"demo\"\n\
                         when_blind = \"{does}\"\n"
                    )
                })
                .collect();
            let text = format!(
                "[server]\nlisten = [\"{address}:{plain}\"]\nthreads = 2\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\
                 token_file = \"admin.token\"\n[keys]\nfiles = [\"ring.key\"]\n[ledger]\npath = \"ledger.db\"\n\
                 [audit]\nto = \"./audit.log\"\n[outcomes]\ngateway = \"gw-{n}\"\n{fleet}\n\
                 [idps.demo]\nissuer = \"{issuer}\"\nclient_id = \"portcullis\"\nclient_secret_file = \"client.secret\"\n\
                 [streams.demo]\nissuer = \"{issuer}\"\naudience = \"{AUDIENCE}\"\npush_token_file = \"push.token\"\n\
                 speaks_for = [\"demo\"]\njwks_uri = \"{issuer}/jwks\"\n{apps}\n{more}\n",
                issuer = idp.issuer(),
                fleet = fleet.replace("@issuer@", idp.issuer().as_str()),
            );
            all.push(Gateway {
                address: format!("{address}:{plain}").parse().expect("an address"),
                admin: format!("127.0.0.1:{admin}").parse().expect("an address"),
                config: file("portcullis.toml", &text),
                log: dir.join("log"),
                running: Mutex::new(None),
            });
        }
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let http = http.timeout(Duration::from_secs(20)).no_proxy().build().expect("a client");
        Self {
            idp,
            _idp: serving_idp,
            _app: serving_app,
            all,
            ring,
            http,
            begun: Clock::System.now(),
            _scratch: scratch,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// What they all seal with.
    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring)
    }

    /// The memory that the process of one has in use, in bytes.
    pub(crate) fn memory(&self, n: usize) -> usize {
        let process = self.all[n].running.lock().expect("a lock").as_ref().map(Child::id).expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1_024
    }

    /// Starts the process of one.
    pub(crate) fn launch(&self, n: usize) {
        let gateway = &self.all[n];
        let log = std::fs::File::options().append(true).create(true).open(&gateway.log).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["run", "-c"])
            .arg(&gateway.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the gateway starts");
        *gateway.running.lock().expect("a lock") = Some(child);
    }

    /// Where people reach it.
    pub(crate) fn address(&self, n: usize) -> SocketAddr {
        self.all[n].address
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&self, n: usize) {
        if let Some(mut child) = self.all[n].running.lock().expect("a lock").take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends its process a signal.
    pub(crate) fn signal(&self, n: usize, name: &str) {
        let process = self.all[n].running.lock().expect("a lock").as_ref().map(Child::id);
        signal(process.expect("it runs"), name);
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn is_ready(&self, n: usize) {
        until("the gateway is ready", || async { (self.ready(n).await?["ready"] == true).then_some(()) }).await;
    }

    /// What `/ready` says, if it says anything.
    pub(crate) async fn ready(&self, n: usize) -> Option<Value> {
        let answer = self.http.get(format!("http://{}/ready", self.all[n].admin)).send().await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }

    /// What `/v1/status` says of the fleet.
    pub(crate) async fn standing(&self, n: usize) -> Option<Value> {
        let url = format!("http://{}/v1/status", self.all[n].admin);
        let answer = self.http.get(url).bearer_auth(TOKEN).send().await.ok()?;
        let status: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        Some(status["fleet"].clone())
    }

    /// What `/v1/status` says of a stream.
    pub(crate) async fn stream(&self, n: usize, name: &str) -> Option<Value> {
        let url = format!("http://{}/v1/status", self.all[n].admin);
        let answer = self.http.get(url).bearer_auth(TOKEN).send().await.ok()?;
        let status: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        status["streams"].as_array()?.iter().find(|stream| stream["name"] == name).cloned()
    }

    /// How many holds it shows.
    pub(crate) async fn holds(&self, n: usize) -> Option<usize> {
        let url = format!("http://{}/v1/holds", self.all[n].admin);
        let answer = self.http.get(url).bearer_auth(TOKEN).send().await.ok()?;
        let holds: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        Some(holds.as_array()?.len())
    }

    /// One line of the metrics.
    pub(crate) async fn metric(&self, n: usize, name: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.all[n].admin);
        let text = self.http.get(url).bearer_auth(TOKEN).send().await.ok()?.text().await.ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    }

    /// What it logged.
    pub(crate) fn log(&self, n: usize) -> String {
        std::fs::read_to_string(&self.all[n].log).unwrap_or_default()
    }

    /// The cookies of somebody who signed in before all of this began, in the app of that host.
    pub(crate) fn cookies(&self, user: &str, host: &str) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let at = self.begun.minus(Duration::from_secs(60));
        let identity = Identity {
            issuer: self.idp.issuer().clone(),
            subject: user.into(),
            sid: Some(format!("sid-{user}")),
            email: Email::parse(&format!("{user}@corp.example")),
            phone: None,
            preferred_username: Some(user.into()),
            groups: vec![],
            tenant: None,
            device: None,
            asserted_at: at,
            auth_time: Some(at),
            session_expiry: None,
        };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let session = Session::begin(SessionId(id), "demo", &identity, vec![], &self.ring, at);
        let name = host.split(':').next().expect("a host");
        let cookies = session.seal(&self.ring, name).expect("sealed");
        cookies.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// The status of a request for data at gateway `n`, with those cookies; `None` if nobody answers.
    pub(crate) async fn get(&self, n: usize, host: &str, cookies: &str) -> Option<u16> {
        let url = format!("http://{}/data", self.all[n].address);
        let ask =
            self.http.get(url).header("Host", host).header("Cookie", cookies).header("Accept", "application/json");
        ask.send().await.ok().map(|answer| answer.status().as_u16())
    }

    /// The same in the app that everybody knows.
    pub(crate) async fn asks(&self, n: usize, cookies: &str) -> Option<u16> {
        self.get(n, HOST, cookies).await
    }

    /// A SET that ends the sessions of `user`; 0 if nobody answers.
    pub(crate) async fn pushes(&self, n: usize, user: &str) -> u16 {
        self.pushes_set(n, &self.set(user, Clock::System.now())).await
    }

    /// The same until it is taken, as a transmitter does.
    pub(crate) async fn sends(&self, n: usize, user: &str) {
        let set = self.set(user, Clock::System.now());
        until("the event is taken", || async {
            match self.pushes_set(n, &set).await {
                202 => Some(()),
                0 | 503 => None,
                status => panic!("{status} is no answer to a good event"),
            }
        })
        .await;
    }

    /// The SET.
    pub(crate) fn set(&self, user: &str, at: Timestamp) -> String {
        let subject = json!({ "format": "iss_sub", "iss": self.idp.issuer(), "sub": user });
        let events = json!({ SESSION_REVOKED: { "event_timestamp": at } });
        self.idp.set(&json!({ "aud": AUDIENCE, "sub_id": subject, "events": events })).expect("a SET")
    }

    /// The answer to a pushed SET; 0 if nobody answers within some seconds.
    pub(crate) async fn pushes_set(&self, n: usize, set: &str) -> u16 {
        let url = format!("http://{}/oauth2/ssf/demo", self.all[n].address);
        let ask = self.http.post(url).header("Host", HOST).header("Content-Type", "application/secevent+jwt");
        let ask = ask.header("Accept", "application/json").bearer_auth(TOKEN).body(set.to_owned());
        ask.timeout(Duration::from_secs(5)).send().await.map_or(0, |answer| answer.status().as_u16())
    }

    /// A stream of server-sent events at gateway `n` that is open, with those cookies.
    pub(crate) async fn opens(&self, n: usize, cookies: &str) -> reqwest::Response {
        let url = format!("http://{}/stream", self.all[n].address);
        let ask =
            self.http.get(url).header("Host", HOST).header("Cookie", cookies).header("Accept", "text/event-stream");
        let mut stream = ask.timeout(Duration::from_secs(600)).send().await.expect("an answer");
        assert_eq!(stream.status(), 200);
        assert!(matches!(stream.chunk().await, Ok(Some(_))), "it has begun");
        stream
    }

    /// What an operator sees there, if they see anything.
    pub(crate) async fn sees(&self, n: usize, path: &str) -> Option<Value> {
        let url = format!("http://{}{path}", self.all[n].admin);
        let answer = self.http.get(url).bearer_auth(TOKEN).send().await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }

    /// The answer to a call of an operator, who calls again if told to.
    pub(crate) async fn operates(&self, n: usize, path: &str, body: &Value) -> Value {
        until("the call is answered", || async {
            match self.operator(n, path, body).await {
                (200, answer) => Some(answer),
                (503, _) => None,
                (status, answer) => panic!("{status}: {answer}"),
            }
        })
        .await
    }

    /// A call of an operator.
    pub(crate) async fn operator(&self, n: usize, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("http://{}{path}", self.all[n].admin);
        let ask = self.http.post(url).bearer_auth(TOKEN).header("Content-Type", "application/json");
        let answer = ask.body(body.to_string()).send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or_default())
    }
}

impl Drop for Gateways {
    fn drop(&mut self) {
        for n in 0..self.all.len() {
            self.kill(n);
        }
    }
}

/// Server-sent events that begin and never end.
async fn endless() -> axum::response::Response {
    use futures_util::StreamExt as _;
    let begins = futures_util::stream::once(async { Ok::<_, std::convert::Infallible>("data: hello\n\n") });
    let body = axum::body::Body::from_stream(begins.chain(futures_util::stream::pending()));
    axum::response::Response::builder().header("Content-Type", "text/event-stream").body(body).expect("an answer")
}

/// A port that nobody has on that address at the moment.
fn free_port(address: &str) -> u16 {
    let listener = std::net::TcpListener::bind((address, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}
