//! An app's own session dies with the sign-in that it grew from, and no later sign-in brings it back.
#![expect(clippy::expect_used, reason = "a test that cannot set itself up has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis::app::{self, Running};
use portcullis::config::Config;
use portcullis::demo::{self, Demo, idp, legacy};
use portcullis::time::{Clock, Timestamp};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

const OPERATOR: &str = "0123456789abcdef-operator";

/// What operators and probes call with.
fn client() -> Client {
    Client::builder().build().expect("a client")
}

/// The demo's IdP and app with a gateway between them, on a clock that is moved by hand.
struct House {
    _gateway: Running,
    demo: Demo,
    clock: Clock,
    origin: String,
    admin: String,
    state: PathBuf,
}

impl House {
    async fn new() -> Self {
        let [port, admin] = free_ports();
        let origin = format!("http://localhost:{port}");
        let any = "127.0.0.1:0".parse().expect("address");
        let settings = demo::Settings {
            idp: any,
            app: any,
            gateway: origin.parse().expect("url"),
            push_path: "/oauth2/ssf/demo".into(),
            backchannel_path: "/oauth2/backchannel-logout/demo".into(),
            audience: "gateway".into(),
        };
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let demo = demo::start(&settings, &clock).await.expect("the demo starts");
        let state = std::env::temp_dir().join(format!("portcullis-lineage-{}", std::process::id()));
        fs::create_dir_all(&state).expect("directory");
        let key = portcullis::seal::generate_key().expect("key");
        write(&state, "ring.key", key.expose());
        let config = format!(
            r#"
            server.listen = ["127.0.0.1:{port}"]
            admin = {{ listen = "127.0.0.1:{admin}", token = "{OPERATOR}" }}
            keys.files = ["ring.key"]
            ledger.path = "ledger.db"
            audit.to = "off"
            [idps.demo]
            issuer = "{issuer}"
            client_id = "{client}"
            client_secret = "{secret}"
            [apps.payroll]
            url = "{origin}"
            upstreams = ["http://{app}"]
            idp = "demo"
            "#,
            issuer = demo.issuer,
            client = demo.client_id,
            secret = demo.client_secret.expose(),
            app = demo.app_addr,
        );
        write(&state, "portcullis.toml", &config);
        let config = Config::load(&state.join("portcullis.toml")).map_err(|f| f.to_string()).expect("config");
        let gateway = app::start(config, clock.clone()).expect("the gateway starts");
        Self { _gateway: gateway, demo, clock, origin, admin: format!("http://127.0.0.1:{admin}"), state }
    }

    /// An operator ends what Ann has, in this mode; the clock is in another second before and after.
    async fn end(&self, mode: &str) {
        self.clock.advance(Duration::from_secs(5));
        let order = json!({ "whom": { "email": "ann@example.com" }, "mode": mode });
        let request = client().post(format!("{}/v1/revocations", self.admin)).bearer_auth(OPERATOR);
        let answer = request.header("content-type", "application/json").body(order.to_string()).send().await;
        assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
        self.clock.advance(Duration::from_secs(5));
    }
}

impl Drop for House {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.state));
    }
}

/// A browser as far as cookies and redirects go.
#[derive(Clone)]
struct Browser {
    http: Client,
    /// By origin and name.
    jar: BTreeMap<(String, String), String>,
}

impl Browser {
    fn new() -> Self {
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("client");
        Self { http, jar: BTreeMap::new() }
    }

    async fn send(&mut self, request: RequestBuilder, origin: &str) -> Response {
        let cookies: Vec<_> =
            self.jar.iter().filter(|((at, _), _)| at == origin).map(|((_, name), v)| format!("{name}={v}")).collect();
        let request = request.header("sec-fetch-mode", "navigate").header("accept", "text/html");
        let request = if cookies.is_empty() { request } else { request.header(COOKIE, cookies.join("; ")) };
        let response = request.send().await.expect("an answer");
        for field in response.headers().get_all(SET_COOKIE) {
            let field = field.to_str().expect("text");
            let (name, value) = field.split(';').next().and_then(|pair| pair.split_once('=')).expect("pair");
            let key = (origin.to_owned(), name.to_owned());
            if value.is_empty() || field.contains("Max-Age=0") {
                self.jar.remove(&key);
            } else {
                self.jar.insert(key, value.to_owned());
            }
        }
        response
    }

    async fn get(&mut self, house: &House, path: &str) -> Response {
        self.send(self.http.get(format!("{}{path}", house.origin)), &house.origin).await
    }

    /// What the app's page says of whose session it is; the status, if there is no page.
    async fn me(&mut self, house: &House) -> Result<Value, StatusCode> {
        let answer = self.get(house, "/api/me").await;
        if answer.status() != StatusCode::OK {
            return Err(answer.status());
        }
        Ok(serde_json::from_slice(&answer.bytes().await.expect("body")).expect("JSON"))
    }

    /// Follows the way from the gateway to the IdP and back; types name and password if `user` is given.
    async fn sign_in(&mut self, house: &House, user: Option<&str>) {
        let ask = location(&self.get(house, "/").await);
        let issuer = house.demo.issuer.as_str();
        assert!(ask.starts_with(issuer), "{ask}");
        let request = match user {
            None => self.http.get(&ask),
            Some(user) => self.http.post(&ask).body(format!("user={user}&password={}", idp::PASSWORD)),
        };
        let back = location(&self.send(request, issuer).await);
        let answer = self.send(self.http.get(&back), &house.origin).await;
        assert!(answer.status().is_success() || answer.status().is_redirection(), "{}", answer.status());
        // The first look at the page makes the app's session.
        assert_eq!(self.get(house, "/").await.status(), StatusCode::OK);
    }

    fn app_cookie(&self, house: &House) -> Option<&String> {
        self.jar.get(&(house.origin.clone(), legacy::COOKIE.to_owned()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_session_lives_and_dies_with_the_sign_in_that_it_grew_from() {
    let house = House::new().await;
    let mut browser = Browser::new();
    browser.sign_in(&house, Some("ann")).await;

    // The app gets its own id back; the browser never held it.
    let me = browser.me(&house).await.expect("a page");
    assert_eq!(me["session"]["user"], "00u-ann");
    let first = me["session_id"].as_str().expect("an id").to_owned();
    let held = browser.app_cookie(&house).expect("the app's cookie").clone();
    assert_ne!(held, first);
    assert!(!held.contains(&first));

    // Re-established by a silent sign-in: the app's session goes on.
    let before = browser.clone();
    house.end("reestablish").await;
    assert_eq!(browser.me(&house).await.err(), Some(StatusCode::FOUND));
    browser.sign_in(&house, None).await;
    assert_eq!(browser.me(&house).await.expect("a page")["session_id"], first.as_str());

    // Terminated: both cookies, copied before, are refused, in whatever state they were copied.
    let copied = browser.clone();
    house.end("terminate").await;
    for mut thief in [before, copied] {
        assert_eq!(thief.me(&house).await.err(), Some(StatusCode::FOUND));
    }

    // Somebody else signs in with the same browser: it is not Ann's session that they find.
    let stale = browser.app_cookie(&house).expect("the app's cookie, still").clone();
    browser.jar.retain(|(origin, _), _| *origin == house.origin);
    browser.sign_in(&house, Some("ben")).await;
    let me = browser.me(&house).await.expect("a page");
    assert_eq!(me["session"]["user"], "00u-ben");
    assert_ne!(me["session_id"], first.as_str());
    assert_ne!(browser.app_cookie(&house), Some(&stale));

    // Nor do they by putting it back, nor Ann by a fresh sign-in of her own; and both are told to forget it.
    let mut ann = Browser::new();
    ann.sign_in(&house, Some("ann")).await;
    for mut person in [browser, ann] {
        person.jar.insert((house.origin.clone(), legacy::COOKIE.to_owned()), stale.clone());
        let me = person.me(&house).await.expect("a page");
        assert_eq!((&me["session_id"], &me["session"]), (&Value::Null, &Value::Null));
        assert_eq!(person.app_cookie(&house), None);
        // The raw id, learned elsewhere, is no cookie either.
        person.jar.insert((house.origin.clone(), legacy::COOKIE.to_owned()), first.clone());
        assert_eq!(person.me(&house).await.expect("a page")["session_id"], Value::Null);
    }
    let metrics = client().get(format!("{}/metrics", house.admin)).send().await.expect("an answer");
    let text = metrics.text().await.expect("text");
    assert!(text.contains("portcullis_seal_failures_total{kind=\"no_seal\"} 2"), "{text}");
}

fn location(answer: &Response) -> String {
    let location = answer.headers().get(LOCATION).expect("a redirect");
    location.to_str().expect("text").to_owned()
}

/// Two ports that nobody has, as far as one can know.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("port"));
    listeners.map(|listener| listener.local_addr().expect("address").port())
}

fn write(directory: &Path, name: &str, text: &str) {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(directory.join(name));
    std::io::Write::write_all(&mut file.expect("file"), text.as_bytes()).expect("written");
}
