//! The parsers, each with inputs to begin with and what must be true of whatever it takes.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::admin::{ApprovalRequest, LiftRequest, RevokeRequest};
use portcullis::apps::{Access, App, CanonicalPath, Field, Host};
use portcullis::config::Config;
use portcullis::dpop;
use portcullis::event::poll::{Heard, Poll};
use portcullis::event::reject::Answer;
use portcullis::event::{Subject, command, global, logout, poll, stream_config, token};
use portcullis::evidence::{self, Reading};
use portcullis::identity::{Email, Issuer};
use portcullis::jose::{self, Alg, Keys, Signer};
use portcullis::lineage::{self, AppToken, Media, Names, Scene};
use portcullis::login::{Flows, ReturnPath};
use portcullis::revocation::Standing;
use portcullis::seal::{KeyRing, Purpose};
use portcullis::session::{self, Session};
use portcullis::time::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::run;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const ISSUER: &str = "https://idp.example.com";
const HOST: &str = "wiki.example.com";
const TAKEN: &str = "taken";

/// Its word, or why it is none.
fn became<T, E: std::fmt::Display>(found: &Result<T, E>) -> String {
    found.as_ref().map_or_else(ToString::to_string, |_| TAKEN.to_owned())
}

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

/// An issuer with one key.
struct Signs {
    signer: Signer,
    keys: Keys,
    issuer: Issuer,
    audiences: [String; 1],
}

impl Signs {
    fn new() -> Self {
        let signer = Signer::generate("k1").expect("a key");
        let keys = Keys::parse(signer.jwks().to_string().as_bytes()).expect("keys");
        Self { signer, keys, issuer: Issuer::parse(ISSUER).expect("issuer"), audiences: ["gateway".to_owned()] }
    }

    /// `payload` under a good signature: what a transmitter with a key can send.
    fn signs(&self, typ: &str, payload: &[u8]) -> String {
        let header = format!("{{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"{typ}\"}}");
        self.signer.sign_texts(&header, &text(payload)).expect("a token")
    }
}

const SET: &[u8] = br#"{"iss":"https://idp.example.com","aud":["gateway"],"iat":1700000000,"jti":"j","toe":1699999999.5,"txn":"t","sub_id":{"format":"complex","user":{"format":"aliases","identifiers":[{"format":"email","email":"ann@corp.com"},{"format":"opaque","id":"ann"}]},"device":{"format":"iss_sub","iss":"https://idp.example.com","sub":"d"}},"events":{"https://schemas.openid.net/secevent/caep/event-type/session-revoked":{"event_timestamp":1700000000123,"initiating_entity":"admin","reason_admin":{"en":"left"}}}}"#;
const LOGOUT: &[u8] = br#"{"iss":"https://idp.example.com","aud":"gateway","iat":1700000000,"exp":1700000060,"jti":"j","sub":"ann","sid":"s","events":{"http://schemas.openid.net/event/backchannel-logout":{}}}"#;
const CALLER: &[u8] = br#"{"iss":"https://idp.example.com","aud":"gateway","sub":"portcullis","iat":1700000000,"nbf":1699999700,"exp":1700000300,"jti":"j"}"#;

#[test]
fn jose_compact() {
    let by = Signs::new();
    let good = by.signs("secevent+jwt", SET);
    // With the header as it stands, so that chance meets more than signatures.
    run("jose_compact", &[good.as_bytes()], |input| {
        let expectation = token::expectation(&by.issuer, &by.audiences, &Alg::ALL);
        let compact = text(input);
        let verified = jose::verify::<Map<String, Value>>(&compact, &by.keys, &expectation, NOW);
        if verified.is_ok() {
            let signed = |token: &str| token.rsplit_once('.').map(|(signed, _)| signed.to_owned());
            assert_eq!(signed(&compact), signed(&good), "nobody else signed this");
        }
        became(&verified)
    });
}

#[test]
fn jose_header() {
    let by = Signs::new();
    run("jose_header", &[br#"{"alg":"ES256","kid":"k1","typ":"secevent+jwt"}"#], |header| {
        let compact = by.signer.sign_texts(&text(header), &text(SET)).expect("a token");
        let expectation = token::expectation(&by.issuer, &by.audiences, &Alg::ALL);
        became(&jose::verify::<Map<String, Value>>(&compact, &by.keys, &expectation, NOW))
    });
}

#[test]
fn jwks() {
    let good = Signs::new().signer.jwks().to_string();
    let rsa = br#"{"keys":[{"kty":"RSA","kid":"r","use":"sig","key_ops":["verify"],"alg":"RS256","e":"AQAB","n":"sXch"},{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    run("jwks", &[good.as_bytes(), rsa], |input| match Keys::parse(input) {
        Ok(keys) if keys.is_empty() => "empty".to_owned(),
        Ok(keys) => {
            assert!(keys.len() <= 100);
            let by = Signs::new();
            let expectation = token::expectation(&by.issuer, &by.audiences, &Alg::ALL);
            let stranger = jose::verify::<Map<String, Value>>(&by.signs("secevent+jwt", SET), &keys, &expectation, NOW);
            assert!(stranger.is_err(), "a key that is not there");
            TAKEN.to_owned()
        }
        Err(why) => why.to_string(),
    });
}

#[test]
fn set_claims() {
    let by = Signs::new();
    run("set_claims", &[SET], |payload| {
        let expectation = token::expectation(&by.issuer, &by.audiences, &Alg::ALL);
        let compact = by.signs("secevent+jwt", payload);
        let event = jose::verify(&compact, &by.keys, &expectation, NOW).and_then(token::parse);
        if let Ok(event) = &event {
            assert!(!event.jti.is_empty() && !event.events.is_empty());
            for at in [None, event.occurred_at, Some(Timestamp::from_secs(u64::MAX))] {
                assert!(event.effective_at(at, NOW) <= NOW, "never in the future");
            }
        }
        became(&event)
    });
}

#[test]
fn subject() {
    let simple = br#"{"format":"iss_sub","iss":"https://idp.example.com","sub":"ann"}"#;
    let addresses = br#"{"format":"ip-addresses","ip-addresses":["10.0.0.1","2001:db8::1"]}"#;
    let complex = br#"{"format":"complex","user":{"format":"aliases","identifiers":[{"format":"email","email":"a@b.c"}]},"rack":{"format":"opaque","id":"r"}}"#;
    run("subject", &[simple, addresses, complex], |input| match serde_json::from_slice(input) {
        Err(_) => "no JSON".to_owned(),
        Ok(value) => {
            let subject = Subject::parse(&value);
            if let Ok(Subject::Complex(members)) = &subject {
                assert!((1..=8).contains(&members.len()));
            }
            became(&subject)
        }
    });
}

#[test]
fn logout_token() {
    let by = Signs::new();
    run("logout_token", &[LOGOUT], |payload| {
        let expectation = logout::expectation(&by.issuer, &by.audiences, &Alg::ALL);
        let compact = by.signs("logout+jwt", payload);
        let token = jose::verify(&compact, &by.keys, &expectation, NOW).and_then(|token| logout::parse(token, NOW));
        let as_set = token::expectation(&by.issuer, &by.audiences, &Alg::ALL);
        let set = jose::verify(&by.signs("secevent+jwt", payload), &by.keys, &as_set, NOW).and_then(token::parse);
        assert!(token.is_err() || set.is_err(), "one payload passes for both");
        became(&token)
    });
}

#[test]
fn global_caller() {
    let by = Signs::new();
    run("global_caller", &[CALLER], |payload| {
        let expectation = global::expectation(&by.issuer, &by.audiences, &Alg::ALL);
        let compact = by.signs("global-token-revocation+jwt", payload);
        let caller = jose::verify(&compact, &by.keys, &expectation, NOW);
        became(&caller.and_then(|token| global::parse_caller(token, "portcullis")))
    });
}

#[test]
fn command_token() {
    let by = Signs::new();
    let good = br#"{"iss":"https://idp.example.com","aud":"gateway","client_id":"portcullis","iat":1700000000,"exp":1700000060,"jti":"j","command":"suspend","sub":"ann"}"#;
    run("command_token", &[good], |payload| {
        let expectation = command::expectation(&by.issuer, &by.audiences, &Alg::ALL);
        let compact = by.signs("command+jwt", payload);
        became(
            &jose::verify(&compact, &by.keys, &expectation, NOW).and_then(|token| command::parse(token, "portcullis")),
        )
    });
}

#[test]
fn stream_metadata() {
    let issuer = Issuer::parse(ISSUER).expect("issuer");
    let good = br#"{"issuer":"https://idp.example.com","jwks_uri":"https://idp.example.com/jwks","configuration_endpoint":"https://idp.example.com/streams","default_subjects":"NONE","critical_subject_members":["tenant"]}"#;
    run("stream_metadata", &[good], |input| became(&stream_config::Metadata::parse(input, &issuer)));
}

#[test]
fn stream_status() {
    let good = br#"{"stream_id":"s-1","status":"paused","reason":"licence"}"#;
    run("stream_status", &[good], |input| became(&stream_config::parse_status(input, "s-1")));
}

#[test]
fn global_body() {
    let body = br#"{"sub_id":{"format":"email","email":"ann@corp.com"}}"#;
    let older = br#"{"subject":{"format":"aliases","identifiers":[{"format":"opaque","id":"a"}]},"x":1}"#;
    run("global_body", &[body, older], |input| became(&global::parse_request(input)));
}

#[test]
fn poll_answer() {
    let answer = br#"{"sets":{"j1":"a.b.c","j2":"d.e.f"},"moreAvailable":true}"#;
    run("poll_answer", &[answer, br#"{"sets":{}}"#, b"{}"], |input| {
        let mut poll = Poll::default();
        let mut words = Vec::new();
        for round in 0..3 {
            let asked = poll.request().body["maxEvents"].as_u64().expect("a number");
            let retry_after = text(input.get(..8).unwrap_or_default());
            let what = match round {
                1 => Heard::Answer { status: 503, retry_after: Some(&retry_after), body: input },
                _ => Heard::Answer { status: 200, retry_after: Some(&retry_after), body: input },
            };
            let sets = poll.heard(what, Duration::from_millis(10));
            assert!(sets.len() as u64 <= asked, "more than was asked for");
            words.push(format!("{} {}", sets.len().min(3), poll.trouble().is_some()));
            for set in sets {
                poll.settle(set.jti, poll::Outcome::Refused(Answer::invalid_state()));
            }
            let rest = poll.rest(Duration::ZERO, u32::MAX);
            assert!(rest <= Duration::from_secs(3_600), "{rest:?}");
        }
        if words == ["2 false", "0 true", "2 false"] { TAKEN.to_owned() } else { words.join(", ") }
    });
}

/// What a gateway is configured with: a ring of keys, and an app that makes tokens.
struct Gateway {
    ring: KeyRing,
    app: Arc<App>,
    settings: session::Settings,
}

impl Gateway {
    fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("portcullis-fuzz-{}-{next}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let write = |name: &str, text: &str| {
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(dir.join(name));
            file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())).expect("a file");
        };
        write("ring.key", portcullis::seal::generate_key().expect("a key").expose());
        write(
            "portcullis.toml",
            r#"
            server.listen = ["127.0.0.1:1"]
            admin = { listen = "127.0.0.1:2", token = "0123456789abcdef" }
            keys.files = ["ring.key"]
            ledger.path = "ledger.db"
            [idps.corp]
            issuer = "https://idp.example.com"
            client_id = "portcullis"
            client_secret = "secret-of-a-client"
            [apps.wiki]
            url = "http://localhost:1"
            upstreams = ["http://127.0.0.1:3"]
            idp = "corp"
            session_cookies = ["SESSION"]
            derived = [{ path = "/token", response = "/access_token" }]
            "#,
        );
        let config = Config::load(&dir.join("portcullis.toml")).map_err(|faults| faults.to_string()).expect("a config");
        let _left_over = fs::remove_dir_all(&dir);
        let host = Host::parse("localhost:1").expect("a host");
        let app = Arc::clone(config.apps.any_of(&host).expect("the app"));
        Self { ring: config.keys, app, settings: config.session }
    }

    /// The cookies of a request with that `Cookie` field.
    fn cookies(&self, field: &[u8]) -> String {
        let Ok(value) = http::HeaderValue::from_bytes(field) else { return "no field".to_owned() };
        let headers = http::HeaderMap::from_iter([(http::header::COOKIE, value)]);
        let Some(cookies) = evidence::cookies(&headers) else { return "no cookies".to_owned() };
        let flows = Flows::read(cookies.iter().copied(), &self.ring, HOST);
        let session = session::gather(cookies.iter().copied());
        let collected = evidence::collect(Some(&cookies), &self.app, &self.ring, &self.settings, NOW);
        let names = Names::default();
        let scene = Scene { app: &self.app, ring: &self.ring, names: &names, behind: None, public: true, horizon: NOW };
        let received = lineage::receive(&cookies, &scene, |_| Standing::default());
        let leaked = received.field.as_deref().map(text).unwrap_or_default();
        assert!(!leaked.split("; ").any(|pair| pair.starts_with("SESSION=")), "an unsealed session cookie: {leaked}");
        assert!(!leaked.contains("__Host-portcullis"), "a cookie of our own: {leaked}");
        let nobody = format!("{collected:?}").starts_with("Nothing");
        if nobody && session == Ok(None) && received.faults.is_empty() {
            return TAKEN.to_owned();
        }
        format!(
            "{nobody} {:?} {:?} {}",
            session.map(|whole| whole.is_some()),
            received.faults.first(),
            format!("{flows:?}").len() > 60
        )
    }
}

#[test]
fn cookies() {
    let gateway = Gateway::new();
    let sealed = gateway.ring.seal(Purpose::Session, HOST, &[1; 80]).expect("a seal");
    let ours = format!("a=b; __Host-portcullis={sealed}; __Host-portcullis-0=x; SESSION=raw; theme=dark");
    run("cookies", &[b"theme=dark; lang=en", ours.as_bytes()], |field| gateway.cookies(field));
}

#[test]
fn session_text() {
    let gateway = Gateway::new();
    run("session_text", &[b"not a session"], |input| {
        // Under a good seal, as an older gateway of the fleet may have made it; and as it is.
        let sealed = gateway.ring.seal(Purpose::Session, HOST, input).expect("a seal");
        let (inside, outside) =
            (Session::open(&gateway.ring, HOST, &sealed), Session::open(&gateway.ring, HOST, &text(input)));
        assert!(outside.is_err(), "nobody sealed this");
        assert!(Session::open(&gateway.ring, "other.example.com", &sealed).is_err(), "made for another host");
        match inside {
            Err(why) if input == b"not a session" => format!("{why}").replace(&format!("{why}"), TAKEN),
            other => became(&other),
        }
    });
}

#[test]
fn app_token() {
    let gateway = Gateway::new();
    run("app_token", &[b"app-made"], |input| {
        let header = http::HeaderValue::from_bytes(&[b"Bearer ", input].concat());
        let Ok(value) = header else { return "no field".to_owned() };
        assert!(AppToken::open(&gateway.ring, &gateway.app, &text(input)).is_err(), "nobody sealed this");
        let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
        let with = Reading { app: &gateway.app, ring: &gateway.ring, horizon: Timestamp::ZERO, now: NOW };
        let mut borne = evidence::in_headers(&headers, Access::Login, &with);
        evidence::in_body(&mut borne, "application/json", input, [].iter(), &with);
        assert!(borne.bearers.is_empty() && borne.headers.is_empty(), "nobody sealed this");
        if borne.faults == ["no_seal"] { TAKEN.to_owned() } else { format!("{:?}", borne.faults) }
    });
}

#[test]
fn json_body() {
    let fields = ["/access_token", "/data/0/token", "/a~1b"].map(|text| Field::parse(text).expect("a field"));
    let body = br#"{"access_token":"abc","data":[{"token":"d\u0065f"}],"a/b":"x","n":1.0e2}"#;
    run("json_body", &[body], |input| replaced(Media::Json, input, &fields));
}

#[test]
fn form_body() {
    let fields = ["token", "a b"].map(|text| Field::parse(text).unwrap_or_else(|| Field::Form(text.to_owned())));
    run("form_body", &[b"grant_type=refresh&token=a%62c&a+b=c&token=d"], |input| replaced(Media::Form, input, &fields));
}

/// Replacing by the same is undone by replacing back, and what is replaced is JSON as before.
fn replaced(media: Media, body: &[u8], fields: &[Field]) -> String {
    let mut found = Vec::new();
    let sealed = lineage::replace(media, body, fields.iter(), |token| {
        found.push(token.to_owned());
        Some(format!("sealed-{}", found.len() - 1))
    });
    let Some(sealed) = sealed else { return "nothing there".to_owned() };
    assert!(!found.is_empty());
    let back = lineage::replace(media, &sealed, fields.iter(), |token| {
        let n = token.strip_prefix("sealed-").and_then(|n| n.parse::<usize>().ok()).expect("only what was sealed");
        Some(found[n].clone())
    });
    let back = back.expect("the same places again");
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    // A number beyond all numbers is passed on as it is.
    if let (Media::Json, Some(before)) = (media, read(body)) {
        assert!(read(&sealed).is_some(), "JSON stays JSON");
        assert_eq!(read(&back), Some(before), "another text than before");
    }
    if found.len() > 2 { TAKEN.to_owned() } else { format!("{} found", found.len()) }
}

#[test]
fn return_path() {
    let origin = url::Url::parse("https://wiki.example.com").expect("a URL");
    run("return_path", &[b"/wiki/page?a=b", b"https://wiki.example.com/x", b"//evil.com", b"/\\evil.com"], |input| {
        let path = ReturnPath::parse(&text(input), &origin);
        let path = path.as_str();
        assert!(path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/\\"), "`{path}`");
        let there = origin.join(path).expect("a URL");
        assert_eq!(there.origin(), origin.origin(), "`{path}`");
        assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "`{path}` in a field of an answer");
        assert_eq!(ReturnPath::parse(path, &origin).as_str(), path, "the same again");
        if path == "/" { "front page".to_owned() } else { TAKEN.to_owned() }
    });
}

#[test]
fn path() {
    run("path", &[b"/a/b%20c;x/%E2%82%AC", b"/a/../b", b"/%2e%2e/x", b"//a"], |input| {
        let path = CanonicalPath::parse(&text(input));
        if let Ok(path) = &path {
            assert!(path.as_str().starts_with('/'));
            assert_eq!(CanonicalPath::parse(path.as_str()).ok().as_ref(), Some(path), "the same again");
            assert!(!path.as_str().split('/').any(|segment| segment == "." || segment == ".."), "{path}");
        }
        became(&path)
    });
}

#[test]
fn host() {
    run("host", &[b"wiki.example.com:443", b"[::1]:80", b"WIKI.example.com."], |input| {
        match Host::parse(&text(input)) {
            Some(host) => {
                assert_eq!(Host::parse(host.as_str()).as_ref(), Some(&host), "the same again");
                assert!(!host.as_str().bytes().any(|byte| byte.is_ascii_uppercase()), "{}", host.as_str());
                TAKEN.to_owned()
            }
            None => "no host".to_owned(),
        }
    });
}

#[test]
fn email() {
    run("email", &[b"Ann.Lee@Corp.com", b"a@b@c"], |input| match Email::parse(&text(input)) {
        Some(email) => {
            assert_eq!(Email::parse(email.as_str()).as_ref(), Some(&email), "the same again");
            assert!(email.domain().is_ascii() && email.as_str().matches('@').count() == 1);
            TAKEN.to_owned()
        }
        None => "no address".to_owned(),
    });
}

#[test]
fn dpop_proof() {
    let signer = Signer::generate("k").expect("a key");
    let used = dpop::Use { method: "GET", url: "https://wiki.example.com/api", token: "t" };
    let ath = URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"t").as_ref());
    let good = format!(
        r#"{{"jti":"j","htm":"GET","htu":"https://wiki.example.com/api?x","iat":{},"ath":"{ath}"}}"#,
        NOW.secs()
    );
    let jwk = signer.jwks()["keys"][0].clone();
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk}}}"#);
    run("dpop_proof", &[good.as_bytes()], |input| {
        let signed = signer.sign_texts(&header, &text(input)).expect("a proof");
        let with_its_header = signer.sign_texts(&text(input), &good).expect("a proof");
        let _refused_or_not = dpop::verify(&with_its_header, &used, NOW);
        assert!(dpop::verify(&text(input), &used, NOW).is_err(), "nobody signed this");
        became(&dpop::verify(&signed, &used, NOW))
    });
}

#[test]
fn operators_json() {
    fn reads<T: DeserializeOwned>(input: &[u8]) -> &'static str {
        match serde_json::from_slice::<T>(input) {
            Ok(_) => TAKEN,
            Err(why) if why.is_data() => "other members",
            Err(_) => "no JSON",
        }
    }
    let revoke =
        br#"{"idp":"corp","whom":{"user":"ann","everyone":false},"apps":["wiki"],"mode":"terminate","dry_run":true}"#;
    run("operators_json", &[revoke], |input| {
        let (lift, approval) = (reads::<LiftRequest>(input), reads::<ApprovalRequest>(input));
        match reads::<RevokeRequest>(input) {
            TAKEN => TAKEN.to_owned(),
            word => format!("{word}, {lift}, {approval}"),
        }
    });
}
