//! Every parser that faces the network, as a function of bytes. It must not panic, hang or swallow memory, whatever the
//! bytes are; where a parser promises more, that is checked, too.
//!
//! Used twice: by `main.rs` beside this file (the corpus and some seconds of random bytes, in `cargo test`) and by
//! `libfuzzer/` (guided by coverage, for as long as one likes).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use portcullis::admin::{ApprovalRequest, LiftRequest, RevokeRequest};
use portcullis::apps::{Access, App, CanonicalPath, Field, Host, Pattern, Prefix};
use portcullis::config::{Config, File, Files};
use portcullis::decision::Client;
use portcullis::dpop::{self, Use};
use portcullis::event::poll::{Heard, Poll};
use portcullis::event::{Preset, Subject, command, global, logout, stream_config, token};
use portcullis::evidence::{self, Reading};
use portcullis::identity::{Email, Identity, Issuer};
use portcullis::jose::{self, Alg, Expectation, Keys, Signer, Verified};
use portcullis::lineage::{self, AppToken, Lineage, Media, Names, Scene};
use portcullis::login::{self, Flows, ReturnPath};
use portcullis::revalidation::Grant;
use portcullis::revocation::{self, Standing};
use portcullis::seal::{self, KeyRing, Purpose};
use portcullis::secret::Secret;
use portcullis::session::{self, Session, SessionId};
use portcullis::time::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

/// One parser, or a few that belong together.
pub(crate) type Target = fn(&[u8]);

/// All of them, by the name of their corpus.
pub(crate) const TARGETS: [(&str, Target); 22] = [
    ("admin", admin),
    ("bearer", bearer),
    ("body", body),
    ("command", command),
    ("cookies", cookies),
    ("dpop", dpop),
    ("forward", forward),
    ("frames", frames),
    ("global", global),
    ("grant", grant),
    ("host_path", host_path),
    ("jwks", jwks),
    ("jws", jws),
    ("logout", logout),
    ("poll", poll),
    ("record", record),
    ("resume", resume),
    ("return_path", return_path),
    ("session", session_cookie),
    ("set", set),
    ("set_cookie", set_cookie),
    ("stream_config", stream_config),
];

const NOW: Timestamp = Timestamp::from_secs(1_795_463_999);
const ISSUER: &str = "https://idp.example.com";
const AUDIENCE: &str = "https://gateway.example.com";
const HOST: &str = "wiki.example.com";
const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:8080"]
[admin]
token = "0123456789abcdef"
[keys]
files = ["ring.key"]
[ledger]
path = "ledger.db"
[idps.corp]
issuer = "https://idp.example.com"
client_id = "portcullis"
[apps.wiki]
url = "https://wiki.example.com"
upstreams = ["http://10.0.0.5:8080"]
idp = "corp"
access = "either"
bearer = { audience = "https://api.example.com" }
session_cookies = ["SID"]
derived_headers = ["x-api-key"]
derived = [
  { path = "/token", response = ["/access_token", "/a/0/b", "?code"], request = ["refresh_token", "/refresh_token"] },
]
"#;

/// What parsers work with.
struct World {
    app: App,
    ring: KeyRing,
    issuer: Issuer,
    signer: Signer,
    keys: Keys,
    lineage: Lineage,
    fields: Vec<Field>,
}

struct NoFiles(Secret<String>);

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<File> {
        Ok(File { bytes: Zeroizing::new(self.0.expose().clone().into_bytes()), exposed: false })
    }
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let key = seal::generate_key().expect("randomness");
        let config = Config::parse(CONFIG, Path::new("/etc/p/p.toml"), &NoFiles(key)).unwrap_or_else(|f| panic!("{f}"));
        let app: App = (**config.apps.named("wiki").expect("an app")).clone();
        let issuer = Issuer::parse(ISSUER).expect("issuer");
        let signer = Signer::generate("k").expect("signer");
        let keys = Keys::parse(signer.jwks().to_string().as_bytes()).expect("keys");
        let identity = Identity {
            issuer: issuer.clone(),
            subject: "ann".into(),
            sid: Some("08a5019c-17e1-4977".into()),
            email: Email::parse("ann@example.com"),
            phone: None,
            preferred_username: None,
            groups: vec!["staff".into()],
            tenant: None,
            device: None,
            asserted_at: NOW,
            auth_time: Some(NOW),
            session_expiry: None,
        };
        let session = Session::begin(SessionId([1; 16]), "corp", &identity, vec![], &config.keys, NOW);
        let places = app.minting.iter().flat_map(|minting| &minting.places);
        let fields = places.flat_map(|place| place.response.iter().chain(&place.request)).cloned().collect();
        World { app, ring: config.keys, issuer, signer, keys, lineage: Lineage::of(&session), fields }
    })
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The bytes as claims, with the usual ones filled in, signed and verified as they would be.
fn signed<C: DeserializeOwned>(bytes: &[u8], typ: &str, expectation: &Expectation<'_>) -> Option<Verified<C>> {
    let Ok(Value::Object(given)) = serde_json::from_slice(bytes) else { return None };
    let usual = serde_json::json!({ "iss": ISSUER, "aud": AUDIENCE, "iat": NOW, "jti": "1" });
    let Value::Object(mut claims) = usual else { return None };
    if typ != "secevent+jwt" {
        claims.insert("exp".to_owned(), NOW.plus(Duration::from_secs(60)).secs().into());
    }
    claims.extend(given);
    let compact = world().signer.sign(Some(typ), &claims)?;
    jose::verify(&compact, &world().keys, expectation, NOW).ok()
}

fn audience() -> &'static [String] {
    static AUDIENCES: OnceLock<[String; 1]> = OnceLock::new();
    AUDIENCES.get_or_init(|| [AUDIENCE.to_owned()])
}

/// A SET: its claims, and the subject and events in them.
fn set(bytes: &[u8]) {
    for quirks in Preset::ALL.map(Preset::quirks) {
        let expectation = token::expectation(&world().issuer, audience(), &Alg::ALL, &quirks);
        if let Some(claims) = signed(bytes, "secevent+jwt", &expectation) {
            let event = token::parse(claims, &quirks).ok();
            for at in event.iter().flat_map(|event| [None, event.occurred_at, Some(Timestamp::from_secs(u64::MAX))]) {
                let effective = event.as_ref().map(|event| event.effective_at(at, NOW));
                assert!(effective <= Some(NOW), "no event takes effect in the future");
            }
        }
        if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
            let _ = Subject::parse(&value, &quirks);
        }
    }
}

fn logout(bytes: &[u8]) {
    let expectation = logout::expectation(&world().issuer, audience(), &Alg::ALL);
    if let Some(claims) = signed(bytes, "logout+jwt", &expectation)
        && logout::parse(claims, NOW).is_ok()
    {
        let strict = Preset::Strict.quirks();
        let expectation = token::expectation(&world().issuer, audience(), &Alg::ALL, &strict);
        let as_set = signed(bytes, "secevent+jwt", &expectation);
        assert!(as_set.is_none_or(|claims| token::parse(claims, &strict).is_err()), "one payload passes for both");
    }
}

fn command(bytes: &[u8]) {
    let expectation = command::expectation(&world().issuer, audience(), &Alg::ALL);
    if let Some(claims) = signed(bytes, "command+jwt", &expectation) {
        let _ = command::parse(claims, "portcullis");
    }
}

/// A global token revocation: the body, and the claims of who calls.
fn global(bytes: &[u8]) {
    let _ = global::parse_request(bytes);
    let expectation = global::expectation(&world().issuer, audience(), &Alg::ALL);
    if let Some(claims) = signed(bytes, "global-token-revocation+jwt", &expectation) {
        let _ = global::parse_caller(claims, "portcullis");
    }
}

/// A compact JWS, as a stranger writes it.
fn jws(bytes: &[u8]) {
    let compact = text(bytes);
    let expectation = token::expectation(&world().issuer, audience(), &Alg::ALL, &Preset::Strict.quirks());
    let verified = jose::verify::<Map<String, Value>>(&compact, &world().keys, &expectation, NOW);
    assert!(verified.is_err(), "nobody but the signer signs");
    let _ = jose::verify_by_its_own_key(&compact, "dpop+jwt", 8 * 1024);
    if let Some(claims) = jose::object_without_duplicates(bytes) {
        let again: Map<String, Value> = serde_json::from_slice(bytes).expect("an object is an object to everybody");
        assert_eq!(claims, again, "where nothing is doubled all read the same");
    }
}

/// What a transmitter says of itself and of a stream: metadata, status, scopes.
fn stream_config(bytes: &[u8]) {
    let _ = stream_config::Metadata::parse(bytes, &world().issuer);
    let _ = stream_config::parse_status(bytes, "s-1");
    let _ = stream_config::scopes(bytes, &Url::parse(ISSUER).expect("url"));
}

fn jwks(bytes: &[u8]) {
    let _ = Keys::parse(bytes);
}

fn dpop(bytes: &[u8]) {
    let used_for = Use { method: "GET", url: "https://wiki.example.com/a", token: "the token" };
    let _ = dpop::verify(&text(bytes), &used_for, NOW);
    // Behind a signature that holds.
    if let Some((header, payload)) = text(bytes).split_once('\n')
        && let Some(proof) = world().signer.sign_texts(header, payload)
    {
        let _ = dpop::verify(&proof, &used_for, NOW);
    }
}

/// The answer of a poll endpoint: status and `Retry-After` in the first line, then the body.
fn poll(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (head, body) = bytes.split_at(end);
    let head = text(head).into_owned();
    let status = head.get(..3).and_then(|status| status.parse().ok()).unwrap_or(200);
    let mut poll = Poll::default();
    let _ = poll.request();
    let heard = Heard::Answer { status, retry_after: head.get(4..), body: body.get(1..).unwrap_or_default() };
    let sets = poll.heard(heard, Duration::from_secs(1));
    for set in sets {
        poll.settle(set.jti, portcullis::event::poll::Outcome::Later);
    }
    assert!(poll.rest(Duration::from_secs(1), 7) <= Duration::from_secs(24 * 60 * 60), "it polls again some time");
    let _ = poll.request();
}

/// The cookies of a request, one `Cookie` field a line.
fn cookies(bytes: &[u8]) {
    let World { app, ring, lineage, .. } = world();
    let mut headers = http::HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(50) {
        if let Ok(value) = http::HeaderValue::from_bytes(line) {
            headers.append(http::header::COOKIE, value);
        }
        for pair in evidence::pairs(line) {
            assert!(line.get(pair).is_some_and(|pair| !pair.is_empty()), "a pair stands in its field");
        }
    }
    let cookies = evidence::cookies(&headers);
    let settings = session::Settings { max_age: Duration::from_secs(3_600), idle: Duration::from_secs(600) };
    let _ = evidence::collect(cookies.as_deref(), app, ring, &settings, NOW);
    let given = cookies.unwrap_or_default();
    let _ = session::gather(given.iter().copied());
    let _ = Flows::read(given.iter().copied(), ring, HOST);
    let names = Names::default();
    let scene = Scene { app, ring, names: &names, behind: Some(lineage), public: false, horizon: Timestamp::ZERO };
    let received = lineage::receive(&given, &scene, |_| Standing::default());
    let passed = received.field.as_deref().map(text).unwrap_or_default();
    assert!(!passed.split("; ").any(|pair| pair.starts_with("SID=")), "no session cookie reaches the app unsealed");
    let _ = Client::of(&http::Method::GET, &headers);
}

/// What stands inside the seal of a session, and the seal itself.
fn session_cookie(bytes: &[u8]) {
    let ring = &world().ring;
    let _ = Session::open(ring, HOST, &text(bytes));
    if let Some(sealed) = ring.seal(Purpose::Session, HOST, bytes)
        && let Ok(session) = Session::open(ring, HOST, &sealed)
        && let Some(again) = session.seal(ring, HOST)
    {
        let whole: String = again.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(Session::open(ring, HOST, &whole).ok(), Some(session), "what was read is written as it was");
    }
}

/// What stands inside the seal of a grant, and the seal itself.
fn grant(bytes: &[u8]) {
    let (ring, id) = (&world().ring, SessionId([1; 16]));
    assert!(Grant::open(ring, id, &text(bytes)).is_none());
    if let Some(sealed) = ring.seal(Purpose::Grant, &id.to_string(), bytes)
        && let Some(grant) = Grant::open(ring, id, &sealed)
    {
        assert!(grant.seal(ring).is_some());
    }
}

/// A record of the ledger: not the network's, but written by other versions.
fn record(bytes: &[u8]) {
    if let Ok(fact) = revocation::decode(bytes) {
        assert_eq!(revocation::decode(&revocation::encode(&fact)).ok(), Some(fact));
    }
}

/// Bodies and addresses in which an app gives out tokens.
fn body(bytes: &[u8]) {
    let fields = &world().fields;
    for media in [Media::Json, Media::Form] {
        let same = lineage::replace(media, bytes, fields.iter(), |found| Some(found.to_owned()));
        if let (Media::Json, Some(same)) = (media, &same) {
            let [before, after] = [bytes, same].map(|json| serde_json::from_slice::<Value>(json).ok());
            assert_eq!(before, after, "the same tokens make the same body");
        }
        let mut taken = Vec::new();
        let sealed = lineage::replace(media, bytes, fields.iter(), |found| {
            taken.push(found.to_owned());
            Some(format!("x{}", taken.len() - 1))
        });
        // What is sealed is found again at the same places, and nothing else is.
        let mut put_back = 0;
        let back = sealed.and_then(|sealed| {
            lineage::replace(media, &sealed, fields.iter(), |found| {
                put_back += 1;
                let n = found.strip_prefix('x').and_then(|n| n.parse::<usize>().ok()).expect("a seal");
                taken.get(n).cloned()
            })
        });
        assert!(back.is_none() || put_back == taken.len(), "{put_back} of {taken:?} put back");
    }
    let _ = lineage::replace_in_address(&text(bytes), fields.iter(), |_| Some("x".to_owned()));
    let _ = Media::of(&text(bytes));
}

/// One `Set-Cookie` field of an app.
fn set_cookie(bytes: &[u8]) {
    let World { app, ring, lineage, .. } = world();
    let names = Names::default();
    let _ = lineage::dress(bytes, (app, ring, &names), Some(lineage), &[], "/a/b", NOW);
    let _ = lineage::dress(bytes, (app, ring, &names), None, &[], &text(bytes), NOW);
}

/// Headers that bear tokens, one `name: value` a line; and tokens by themselves.
fn bearer(bytes: &[u8]) {
    let World { app, ring, .. } = world();
    let mut headers = http::HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(50) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let name = http::HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value.get(1..).unwrap_or_default())) {
            headers.append(name, value);
        }
    }
    let with = Reading { app, ring, horizon: Timestamp::ZERO, now: NOW };
    for by in [Access::Login, Access::Either, Access::Bearer] {
        let mut borne = evidence::in_headers(&headers, by, &with);
        evidence::in_body(&mut borne, "application/json", bytes, world().fields.iter(), &with);
        assert!(borne.bearers.is_empty(), "no bytes of chance are a token");
    }
    let _ = AppToken::open(ring, app, &text(bytes));
}

/// Hosts and paths: what is decided on is read the same way again.
fn host_path(bytes: &[u8]) {
    let given = text(bytes);
    if let Some(host) = Host::parse(&given) {
        assert_eq!(Host::parse(host.as_str()).as_ref(), Some(&host), "`{given}`");
    }
    if let Ok(path) = CanonicalPath::parse(&given) {
        assert!(path.as_str().starts_with('/'), "`{given}`");
        let again = CanonicalPath::parse(path.as_str()).expect("a canonical path is a path");
        assert_eq!(again.as_str(), path.as_str(), "`{given}` has one form");
        let all = Prefix::parse("/").expect("prefix");
        assert!(path.is_below(&all));
    }
    let _ = Prefix::parse(&given);
    let _ = Pattern::parse(&given);
}

/// What another proxy asks about: the path behind `/oauth2/auth`, then its headers, one `name: value` a line.
fn forward(bytes: &[u8]) {
    let given = text(bytes);
    let mut lines = given.split('\n');
    let rest = lines.next().unwrap_or_default();
    let mut request = http::Request::get("/").header("host", HOST);
    for (name, value) in lines.take(50).filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    if let Ok(request) = request.body(()) {
        let _ = portcullis::endpoint::reads_original(rest, &request.into_parts().0);
    }
}

/// What an app sends on a WebSocket.
fn frames(bytes: &[u8]) {
    assert!(portcullis::proxy::passes_alike(bytes));
}

/// Where a person is sent after a login: never anywhere else.
fn return_path(bytes: &[u8]) {
    let origin = Url::parse("https://wiki.example.com").expect("url");
    let path = ReturnPath::parse(&text(bytes), &origin);
    let url = origin.join(path.as_str()).expect("a URL");
    assert_eq!(url.origin(), origin.origin(), "`{}`", path.as_str());
    assert!(path.as_str().starts_with('/') && !path.as_str().starts_with("//"), "`{}`", path.as_str());
    assert!(path.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "`{}` stands in a field", path.as_str());
    assert_eq!(ReturnPath::parse(path.as_str(), &origin).as_str(), path.as_str(), "it leads to the same place again");
}

/// The query with which a browser comes back from the IdP.
fn resume(bytes: &[u8]) {
    let _ = login::resume(&text(bytes), &Flows::default(), NOW);
}

/// The JSON of operators.
fn admin(bytes: &[u8]) {
    let idps: BTreeMap<_, _> = [("corp".to_owned(), world().issuer.clone())].into();
    let apps = portcullis::apps::Apps::new(vec![world().app.clone()]);
    if let Ok(request) = serde_json::from_slice::<RevokeRequest>(bytes) {
        let _ = request.revocations(&idps, &apps, NOW);
    }
    let _ = serde_json::from_slice::<LiftRequest>(bytes);
    let _ = serde_json::from_slice::<ApprovalRequest>(bytes);
}
