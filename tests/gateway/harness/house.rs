//! The whole arrangement: a scripted IdP with its transmitter, an app, and the gateway between them, from a config as
//! an operator writes it.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use portcullis::app::{self, Running};
use portcullis::config::Config;
use portcullis::demo::idp::{Client, Fault};
use portcullis::demo::transmitter::Order;
use portcullis::demo::{self, Demo};
use portcullis::seal;
use portcullis::secret::Secret;
use portcullis::time::{Clock, Stopwatch, Timestamp};
use serde_json::{Value, json};

use super::backend::Backend;
use super::browser::Browser;
use super::wire::{Answer, Ask, PATIENCE, Wire, soon};

/// Whom SETs are addressed to.
pub(crate) const AUDIENCE: &str = "https://gateway.example";
/// Whom the SETs of the second tenant are addressed to.
pub(crate) const NEIGHBOURS_AUDIENCE: &str = "https://gateway.example/neighbour";
/// The event of an ended session (CAEP §3.1).
pub(crate) const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
/// The event that shows that a stream lives (SSF §8.1.4).
pub(crate) const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
/// What operators present.
const ADMIN_TOKEN: &str = "operators-only-0123456789";
/// When the story begins.
const BEGIN: Timestamp = Timestamp::from_secs(1_795_463_999);

/// What is different about a house. In every text `@port@`, `@tls@`, `@spare@`, `@backend@`, `@legacy@` and `@issuer@`
/// stand for what is only known later.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    server: String,
    ledger: String,
    idp: String,
    stream: String,
    upstreams: String,
    app: String,
    more: String,
    keys: Vec<String>,
    files: Vec<(String, String)>,
    system_clock: bool,
    neighbour: Option<i64>,
    push_token: bool,
    meeting: Option<Meeting>,
}

/// What somebody does with the IdP before the gateway starts.
#[derive(Clone)]
struct Meeting(Arc<dyn Fn(&Demo) + Send + Sync>);

impl std::fmt::Debug for Meeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meeting")
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            server: String::new(),
            ledger: String::new(),
            idp: String::new(),
            stream: String::new(),
            upstreams: "\"http://@backend@\"".to_owned(),
            app: String::new(),
            more: String::new(),
            keys: vec!["ring-1.key".to_owned()],
            files: Vec::new(),
            system_clock: false,
            neighbour: None,
            push_token: true,
            meeting: None,
        }
    }
}

impl Plan {
    /// More lines of `[server]`.
    pub(crate) fn server(self, server: &str) -> Self {
        Self { server: server.to_owned(), ..self }
    }

    /// More lines of `[ledger]`.
    pub(crate) fn ledger(self, ledger: &str) -> Self {
        Self { ledger: ledger.to_owned(), ..self }
    }

    /// More lines of `[idps.demo]`.
    pub(crate) fn idp(self, idp: &str) -> Self {
        Self { idp: idp.to_owned(), ..self }
    }

    /// More lines of `[streams.demo]`.
    pub(crate) fn stream(self, stream: &str) -> Self {
        Self { stream: stream.to_owned(), ..self }
    }

    /// The servers of the app.
    pub(crate) fn upstreams(self, upstreams: &str) -> Self {
        Self { upstreams: upstreams.to_owned(), ..self }
    }

    /// More lines of `[apps.payroll]`.
    pub(crate) fn app(self, app: &str) -> Self {
        Self { app: app.to_owned(), ..self }
    }

    /// More sections.
    pub(crate) fn more(self, more: &str) -> Self {
        Self { more: more.to_owned(), ..self }
    }

    /// A second app, on the same host.
    pub(crate) fn with_wiki(self) -> Self {
        self.more(
            r#"
[apps.wiki]
url = "http://localhost:@port@/wiki"
upstreams = ["http://@backend@"]
idp = "demo"
"#,
        )
    }

    /// A file beside the config.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// No token to push with.
    pub(crate) fn without_push_token(self) -> Self {
        Self { push_token: false, ..self }
    }

    /// Before the gateway starts somebody meets the IdP.
    pub(crate) fn meets(self, with: impl Fn(&Demo) + Send + Sync + 'static) -> Self {
        Self { meeting: Some(Meeting(Arc::new(with))), ..self }
    }

    /// The machine's own clock instead of one that stands still.
    pub(crate) fn real_time(self) -> Self {
        Self { system_clock: true, ..self }
    }

    /// A second tenant with an IdP and a transmitter of its own, whose people have the same names. Its issuer is
    /// `@neighbour@`, its client secret and push token are in `neighbour.secret` and `neighbour.push`.
    pub(crate) fn with_neighbour(self) -> Self {
        self.with_neighbour_ahead(0)
    }

    /// The same, and its IdP's clock is that many seconds ahead; behind, if negative.
    pub(crate) fn with_neighbour_ahead(self, seconds: i64) -> Self {
        Self { neighbour: Some(seconds), ..self }
    }
}

/// The whole arrangement. Dropping it ends everything.
pub(crate) struct House {
    pub(crate) demo: Demo,
    neighbour: Option<(Demo, Clock)>,
    pub(crate) clock: Clock,
    pub(crate) backend: Backend,
    gateway: Option<Running>,
    plan: Plan,
    ports: Ports,
    dir: Directory,
}

#[derive(Copy, Clone, Debug)]
struct Ports {
    plain: u16,
    admin: u16,
    tls: u16,
    spare: u16,
}

impl Ports {
    /// Ports that are free now. Somebody else may take one before we do: then everything is tried again.
    ///
    /// They lie below those that the system gives to whoever takes any (and to outgoing connections), so that none of
    /// the tests that run beside this one is given them.
    fn free() -> Self {
        const FIRST: u32 = 10_000;
        const COUNT: u32 = 20_000;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut ports = std::iter::repeat_with(|| {
            let offset = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 97;
            u16::try_from(FIRST + offset % COUNT).expect("a port")
        })
        .filter(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
        let mut free = || ports.next().expect("there is no end of them");
        Self { plain: free(), admin: free(), tls: free(), spare: free() }
    }
}

/// A directory that goes with its owner.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("portcullis-gateway-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(self.0.join(name));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _left_over = fs::remove_dir_all(&self.0);
    }
}

impl House {
    /// The usual house.
    pub(crate) async fn new() -> Self {
        Self::of(Plan::default()).await
    }

    /// A house by plan.
    pub(crate) async fn of(plan: Plan) -> Self {
        for _ in 0..4 {
            if let Ok(house) = Box::pin(Self::try_of(plan.clone())).await {
                return house;
            }
        }
        Box::pin(Self::try_of(plan)).await.unwrap_or_else(|why| panic!("the gateway does not start: {why:#}"))
    }

    async fn try_of(plan: Plan) -> anyhow::Result<Self> {
        let backend = Backend::start().await;
        let clock = if plan.system_clock { Clock::System } else { Clock::manual(BEGIN) };
        let ports = Ports::free();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = demo::Settings {
            idp: any,
            app: any,
            gateway: url::Url::parse(&format!("http://localhost:{}", ports.plain))?,
            push_path: "/oauth2/ssf/demo".to_owned(),
            backchannel_path: "/oauth2/backchannel-logout/demo".to_owned(),
            audience: AUDIENCE.to_owned(),
        };
        let demo = demo::start(&settings, &clock).await?;
        // The app of the other host and the TLS listener have callbacks of their own.
        let origins = [
            format!("http://localhost:{}", ports.plain),
            format!("http://127.0.0.1:{}", ports.plain),
            "https://wiki.example.com".to_owned(),
            "https://tls.example.com".to_owned(),
        ];
        let at = |path: &str| origins.iter().map(|origin| format!("{origin}{path}")).collect::<Vec<_>>();
        demo.idp.register(Client {
            id: demo.client_id.clone(),
            secret: demo.client_secret.clone(),
            name: "Payroll 2003".to_owned(),
            redirect_uris: at("/oauth2/callback"),
            post_logout_redirect_uris: at("/oauth2/signed_out").into_iter().chain(at("/")).collect(),
            backchannel_logout_uri: Some(format!("{}/oauth2/backchannel-logout/demo", origins[0])),
        });
        let mut neighbour = None;
        if let Some(ahead) = plan.neighbour {
            let clock = Clock::manual(Timestamp::from_secs(BEGIN.secs().saturating_add_signed(ahead)));
            let settings = demo::Settings {
                gateway: url::Url::parse(&format!("http://127.0.0.1:{}", ports.plain))?,
                push_path: "/oauth2/ssf/neighbour".to_owned(),
                backchannel_path: "/oauth2/backchannel-logout/neighbour".to_owned(),
                audience: NEIGHBOURS_AUDIENCE.to_owned(),
                ..settings
            };
            neighbour = Some((demo::start(&settings, &clock).await?, clock));
        }
        let dir = Directory::new();
        for name in ["ring-1.key", "ring-2.key"] {
            dir.write(name, seal::generate_key().expect("a key").expose());
        }
        dir.write("client.secret", demo.client_secret.expose());
        dir.write("push.token", demo.push_token.expose());
        dir.write("admin.token", ADMIN_TOKEN);
        if let Some((neighbour, _)) = &neighbour {
            dir.write("neighbour.secret", neighbour.client_secret.expose());
            dir.write("neighbour.push", neighbour.push_token.expose());
        }
        for (name, text) in &plan.files {
            dir.write(name, text);
        }
        if let Some(Meeting(meets)) = &plan.meeting {
            meets(&demo);
        }
        let mut house = Self { demo, neighbour, clock, backend, gateway: None, plan, ports, dir };
        house.try_start()?;
        Ok(house)
    }

    fn try_start(&mut self) -> anyhow::Result<()> {
        self.dir.write("portcullis.toml", &self.config_text());
        let config = Config::load(&self.config()).map_err(|faults| anyhow::anyhow!("{faults}"))?;
        self.gateway = Some(app::start(config, self.clock.clone())?);
        Ok(())
    }

    /// The config, as an operator would write it.
    fn config_text(&self) -> String {
        let keys: Vec<_> = self.plan.keys.iter().map(|name| format!("\"{name}\"")).collect();
        let Plan { server, ledger, idp, stream, upstreams, app, more, .. } = &self.plan;
        format!(
            r#"
[server]
listen = ["127.0.0.1:@port@"]
threads = 2
{server}
[admin]
listen = "127.0.0.1:{admin}"
token_file = "admin.token"
[keys]
files = [{keys}]
[ledger]
path = "ledger.db"
{ledger}
[audit]
to = "./audit.log"

[idps.demo]
issuer = "@issuer@"
client_id = "portcullis"
client_secret_file = "client.secret"
{idp}
[streams.demo]
issuer = "@issuer@"
audience = "{AUDIENCE}"
{push_token}
speaks_for = ["demo"]
{stream}
[apps.payroll]
url = "http://localhost:@port@"
upstreams = [{upstreams}]
idp = "demo"
{app}
{more}
"#,
            admin = self.ports.admin,
            push_token = if self.plan.push_token { "push_token_file = \"push.token\"" } else { "" },
            keys = keys.join(", "),
        )
        .replace("@port@", &self.ports.plain.to_string())
        .replace("@tls@", &self.ports.tls.to_string())
        .replace("@spare@", &self.ports.spare.to_string())
        .replace("@backend@", &self.backend.address().to_string())
        .replace("@legacy@", &self.demo.app_addr.to_string())
        .replace("@issuer@", self.demo.issuer.as_str())
        .replace("@neighbour@", self.neighbour.as_ref().map_or("", |(neighbour, _)| neighbour.issuer.as_str()))
    }

    /// The second tenant, in a plan that has one.
    pub(crate) fn neighbour(&self) -> &Demo {
        &self.neighbour.as_ref().expect("the plan has a neighbour").0
    }

    /// A browser in which `user` of the second tenant has signed in to the app of the other host.
    pub(crate) async fn browser_of_neighbours(&self, user: &str) -> Browser {
        let mut browser = self.browser();
        browser.at(&format!("http://{}", self.other_host()));
        browser.asks_for_passwords_at(self.neighbour().issuer.as_str());
        browser.signs_in(user).await.is_let_in();
        browser
    }

    /// Stops the gateway.
    pub(crate) fn stop(&mut self) {
        drop(self.gateway.take());
    }

    /// The gateway is told to end what it has begun, and to stop then.
    pub(crate) fn drains(&self) {
        self.gateway.as_ref().expect("a gateway").drain();
    }

    /// Waits until the gateway has stopped by itself.
    pub(crate) async fn has_stopped(&self) {
        let gateway = self.gateway.as_ref().expect("a gateway");
        soon("the gateway stops", async {
            while !gateway.has_ended() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Waits until nobody is let in any more.
    pub(crate) async fn is_closed(&self) {
        soon("the listener is closed", async {
            while tokio::net::TcpStream::connect(self.address()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// A second gateway with the same keys and apps, and a ledger of its own; where it listens.
    pub(crate) fn sibling(&self) -> (Running, SocketAddr) {
        let Ports { plain, admin, spare, tls } = self.ports;
        let text = self.config_text();
        let text = text.replace(&format!("[\"127.0.0.1:{plain}\"]"), &format!("[\"127.0.0.1:{spare}\"]"));
        let text = text.replace(&format!("\"127.0.0.1:{admin}\""), &format!("\"127.0.0.1:{tls}\""));
        self.dir.write("sibling.toml", &text.replace("ledger.db", "sibling.db").replace("audit.log", "sibling.log"));
        let config = Config::load(&self.file("sibling.toml")).unwrap_or_else(|faults| panic!("{faults}"));
        let running = app::start(config, self.clock.clone()).expect("the sibling starts");
        (running, SocketAddr::from(([127, 0, 0, 1], spare)))
    }

    /// Starts the gateway again, where it was. A gateway that was stopped gives back its address and its ledger when the
    /// last of its tasks is gone, a moment later.
    pub(crate) fn start(&mut self) {
        self.stop();
        let waiting = Stopwatch::start();
        while let Err(why) = self.try_start() {
            assert!(waiting.elapsed() < PATIENCE, "the gateway does not start again: {why:#}");
            std::thread::yield_now();
        }
    }

    /// Stops the gateway and starts it again with another ring of keys.
    pub(crate) fn restart_with_keys(&mut self, names: &[&str]) {
        self.stop();
        self.plan.keys = names.iter().map(|name| (*name).to_owned()).collect();
        self.start();
    }

    /// The config's file.
    pub(crate) fn config(&self) -> PathBuf {
        self.file("portcullis.toml")
    }

    /// A file beside the config.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.dir.0).join(name)
    }

    /// Where the gateway listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.plain))
    }

    /// Where the gateway listens for TLS, if its plan says so.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.tls))
    }

    /// `localhost:8080`
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.ports.plain)
    }

    /// `http://localhost:8080`
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.host())
    }

    /// `127.0.0.1:8080`, the host of the second app where there is one.
    pub(crate) fn other_host(&self) -> String {
        format!("127.0.0.1:{}", self.ports.plain)
    }

    /// A browser that nobody has used yet.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self)
    }

    /// A browser in which `user` has signed in.
    pub(crate) async fn browser_of(&self, user: &str) -> Browser {
        let mut browser = self.browser();
        browser.signs_in(user).await.is_let_in();
        browser
    }

    /// A new connection to the gateway.
    pub(crate) async fn wire(&self) -> Wire {
        Wire::to(self.address()).await
    }

    /// One request to the gateway, without cookies, on a connection of its own.
    pub(crate) async fn asks(&self, ask: &Ask) -> Answer {
        Wire::once(self.address(), &ask.bytes(&self.host())).await
    }

    /// Lets time pass. The second in which something happened counts as before it.
    pub(crate) fn seconds_pass(&self, seconds: u64) {
        for clock in self.neighbour.iter().map(|(_, clock)| clock).chain([&self.clock]) {
            clock.advance(Duration::from_secs(seconds));
        }
    }

    /// From now on the IdP answers every request to `path` with this status and does nothing.
    pub(crate) fn idp_fails(&self, path: &str, status: u16) {
        let fault = Fault { status: Some(status), delay: None };
        self.demo.idp.tune(|knobs| {
            knobs.faults.insert(path.to_owned(), fault);
        });
    }

    /// The IdP does again what it should.
    pub(crate) fn idp_works(&self) {
        self.demo.idp.tune(|knobs| knobs.faults.clear());
    }

    /// From now on the IdP says this of `user`, besides or instead of the usual.
    pub(crate) fn idp_says(&self, user: &str, claims: &Value) {
        let claims = claims.as_object().expect("an object").clone();
        self.demo.idp.tune(|knobs| {
            knobs.extra_claims.insert(user.to_owned(), claims);
        });
    }

    /// The IdP ends the sessions of `user` and says so; the gateway takes it. A second passes before and after, so
    /// that logins are clearly older or newer.
    pub(crate) async fn revokes(&self, user: &str) {
        self.orders(Order { user: user.to_owned(), ..Order::default() }).await;
    }

    /// As [`House::revokes`], and the IdP's own session goes on, as at some IdPs.
    pub(crate) async fn revokes_and_keeps(&self, user: &str) {
        self.orders(Order { user: user.to_owned(), keep: true, ..Order::default() }).await;
    }

    async fn orders(&self, order: Order) {
        self.seconds_pass(1);
        let sent = self.demo.transmitter.revoke(&order).await.expect("a known user");
        let delivery = sent.delivery.expect("the stream is enabled");
        assert_eq!((delivery.status, delivery.answer.as_str()), (Some(202), ""), "the SET is taken");
        self.seconds_pass(1);
    }

    /// A SET of the transmitter's with this subject and event.
    pub(crate) fn set(&self, subject: &Value, event: &str, payload: &Value) -> String {
        let claims = json!({ "aud": AUDIENCE, "sub_id": subject, "events": { event: payload } });
        self.demo.idp.set(&claims).expect("a SET")
    }

    /// A SET that says that the sessions of `subject` were revoked now.
    pub(crate) fn revoking_set(&self, subject: &Value) -> String {
        self.set(subject, SESSION_REVOKED, &json!({ "event_timestamp": self.clock.now() }))
    }

    /// The subject that names a user by issuer and `sub`.
    pub(crate) fn subject_of(&self, user: &str) -> Value {
        json!({ "format": "iss_sub", "iss": self.demo.issuer, "sub": self.demo.idp.subject(user).expect("a known user") })
    }

    /// How a SET is pushed (RFC 8935 §2.1).
    pub(crate) fn push(&self, set: &str) -> Ask {
        self.unauthorised_push(set).with("Authorization", &format!("Bearer {}", self.demo.push_token.expose()))
    }

    /// The same without the transmitter's secret.
    pub(crate) fn unauthorised_push(&self, set: &str) -> Ask {
        Ask::post("/oauth2/ssf/demo", "application/secevent+jwt", set).with("Accept", "application/json")
    }

    /// The gateway's answer to a pushed SET.
    pub(crate) async fn pushes(&self, set: &str) -> Answer {
        self.asks(&self.push(set)).await
    }

    /// Pushes a SET that ends the sessions of `subject`, between two seconds; it must be taken.
    pub(crate) async fn says_it_is_over_for(&self, subject: &Value) {
        self.seconds_pass(1);
        let answer = self.pushes(&self.revoking_set(subject)).await;
        assert_eq!((answer.status, answer.text().as_str()), (202, ""));
        self.seconds_pass(1);
    }

    /// The gateway's answer to a logout token.
    pub(crate) async fn is_told_to_log_out(&self, token: &str) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", token).finish();
        self.asks(&Ask::post("/oauth2/backchannel-logout/demo", "application/x-www-form-urlencoded", form)).await
    }

    /// A call of an operator.
    pub(crate) async fn operator(&self, ask: Ask) -> Answer {
        let ask = self.as_operator(ask).with("Connection", "close");
        Wire::once(self.admin_address(), &ask.bytes(&self.admin_address().to_string())).await
    }

    /// A request with what operators present.
    pub(crate) fn as_operator(&self, ask: Ask) -> Ask {
        ask.with("Authorization", &format!("Bearer {ADMIN_TOKEN}"))
    }

    /// Somebody ruins the ledger's file: nothing can be written down any more.
    pub(crate) fn ruins_the_ledger(&self) {
        self.meddles_with_the_ledger("ALTER TABLE revocations RENAME TO elsewhere");
    }

    /// Somebody mends what was ruined.
    pub(crate) fn mends_the_ledger(&self) {
        self.meddles_with_the_ledger("ALTER TABLE elsewhere RENAME TO revocations");
    }

    fn meddles_with_the_ledger(&self, sql: &str) {
        let held = rusqlite::Connection::open(self.file("ledger.db")).expect("the ledger");
        held.execute_batch(sql).expect("it can be written");
    }

    /// Where operators come in.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.admin))
    }

    /// An operator ends somebody's sessions.
    pub(crate) async fn operator_revokes(&self, request: &Value) -> Value {
        self.seconds_pass(1);
        let answer = self.operator(Ask::post("/v1/revocations", "application/json", request.to_string())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.seconds_pass(1);
        answer.json()
    }

    /// The value of a line of the metrics; 0 if it is not there.
    pub(crate) async fn metric(&self, line: &str) -> u64 {
        let text = self.operator(Ask::get("/metrics")).await.text();
        let value = text.lines().find_map(|l| l.strip_prefix(line)).map(str::trim);
        value.map_or(0, |value| value.parse().expect("a number"))
    }

    /// What the audit log says once all these `words` stand in it: it is written a moment after what it tells of.
    pub(crate) async fn writes_down(&self, words: &[&str]) -> String {
        soon(&format!("{words:?} in the audit log"), async {
            loop {
                let audited = self.audited();
                if words.iter().all(|word| audited.contains(word)) {
                    return audited;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// What the audit log says so far.
    pub(crate) fn audited(&self) -> String {
        fs::read_to_string(self.file("audit.log")).unwrap_or_default()
    }

    /// The gateway's secret at the IdP, for tests that look for it where it must not be.
    pub(crate) const fn client_secret(&self) -> &Secret<String> {
        &self.demo.client_secret
    }
}
