//! A stream whose events are fetched (RFC 8936): each takes effect, and is acknowledged once it is durable.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::backend::Seen;
use crate::harness::{AUDIENCE, Ask, Backend, House, Plan, Reply, SESSION_REVOKED, answer, ok};

/// What the gateway presents.
const TOKEN: &str = "the-pollers-token";

/// A transmitter that is polled, and never holds an answer back.
struct Transmitter {
    backend: Backend,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// SETs that are neither acknowledged nor refused, by name.
    waiting: BTreeMap<String, String>,
    /// In one answer at most.
    batch: usize,
    /// Requests that tell something are answered so, as often as is said here.
    deaf: Vec<Reply>,
    /// The gateway's ledger.
    ledger: PathBuf,
    /// Revocations in it when something was acknowledged.
    durable: Vec<i64>,
}

impl State {
    fn polled(&mut self, request: &Value) -> Reply {
        let acks: Vec<_> = request["ack"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let refused: Vec<_> = request["setErrs"].as_object().into_iter().flatten().map(|(jti, _)| jti).collect();
        if (!acks.is_empty() || !refused.is_empty())
            && let Some(reply) = self.deaf.pop()
        {
            return reply;
        }
        if !acks.is_empty() && !self.ledger.as_os_str().is_empty() {
            let ledger = rusqlite::Connection::open(&self.ledger).expect("the ledger");
            let count = ledger.query_row("SELECT count(*) FROM revocations", [], |row| row.get(0));
            self.durable.push(count.expect("a number"));
        }
        for jti in acks.into_iter().chain(refused.into_iter().map(String::as_str)) {
            self.waiting.remove(jti);
        }
        let sets: BTreeMap<_, _> = self.waiting.iter().take(self.batch).collect();
        ok(&json!({ "sets": sets, "moreAvailable": self.waiting.len() > self.batch }).to_string())
    }
}

impl Transmitter {
    async fn start() -> Self {
        let state = Arc::new(Mutex::new(State { batch: 100, ..State::default() }));
        let (backend, shared) = (Backend::start().await, Arc::clone(&state));
        backend.does(move |seen| shared.lock().expect("lock").polled(&body(seen)));
        Self { backend, state }
    }

    /// A house with this transmitter's stream.
    fn plan(&self) -> Plan {
        let url = format!("http://{}/poll?stream_id=s-1", self.backend.address());
        Plan::default().more(&format!(
            r#"[streams.polled]
issuer = "@issuer@"
audience = "{AUDIENCE}"
delivery = "poll"
poll_url = "{url}"
poll_token = "{TOKEN}"
speaks_for = ["demo"]"#
        ))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("lock")
    }

    /// From now on there is a SET of that name to be fetched.
    fn offers(&self, jti: &str, set: String) {
        self.state().waiting.insert(jti.to_owned(), set);
    }

    /// Waits until it hears a request like that.
    async fn hears(&self, what: &str, wanted: impl Fn(&Value) -> bool) {
        self.backend.sees(what, |log| log.iter().any(|seen| wanted(&body(seen)))).await;
    }

    /// Waits until it is told that this was taken.
    async fn hears_ack_of(&self, jti: &str) {
        self.hears(&format!("an ack of {jti}"), |body| acks(body, jti)).await;
    }
}

/// What a request says; null if it is not there as a whole yet.
fn body(seen: &Seen) -> Value {
    serde_json::from_slice(&seen.body).unwrap_or_default()
}

fn acks(body: &Value, jti: &str) -> bool {
    body["ack"].as_array().is_some_and(|acks| acks.iter().any(|ack| ack == jti))
}

/// What operators are told about the stream.
async fn status(house: &House) -> Value {
    let status = house.operator(Ask::get("/v1/status")).await.json();
    let mut streams = status["streams"].as_array().into_iter().flatten();
    streams.find(|stream| stream["name"] == "polled").expect("the stream").clone()
}

/// A SET of that name, with changes.
fn set(house: &House, jti: &str, user: &str, change: &Value) -> String {
    let now = house.clock.now();
    let mut claims = json!({
        "iss": house.demo.issuer, "aud": AUDIENCE, "iat": now, "jti": jti, "sub_id": house.subject_of(user),
        "events": { SESSION_REVOKED: { "event_timestamp": now } },
    });
    for (name, value) in change.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    house.demo.idp.sign(Some("secevent+jwt"), &claims).expect("a token")
}

#[tokio::test]
async fn a_polled_event_takes_effect_and_is_acknowledged_once_it_is_durable() {
    let transmitter = Transmitter::start().await;
    let house = House::of(transmitter.plan()).await;
    transmitter.state().ledger = house.file("ledger.db");
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    transmitter.offers("j1", set(&house, "j1", "ann", &json!({})));
    transmitter.hears_ack_of("j1").await;
    ann.fetches("/").await.is_refused("session_revoked");
    house.seconds_pass(1);
    ann.signs_in("ann").await.is_let_in();
    // It comes once more although it was acknowledged: acknowledged again, and nobody is harmed.
    transmitter.backend.forget();
    transmitter.offers(
        "j1",
        set(
            &house,
            "j1",
            "ann",
            &json!({ "iat": house.clock.now().secs() - 2,
        "events": { SESSION_REVOKED: { "event_timestamp": house.clock.now().secs() - 1 } } }),
        ),
    );
    transmitter.hears_ack_of("j1").await;
    ann.get("/").await.is_let_in();
    assert_eq!(transmitter.state().durable.first(), Some(&1), "it was in the ledger when it was acknowledged");

    let seen = transmitter.backend.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/poll?stream_id=s-1"));
    assert_eq!(seen.field("authorization"), Some(format!("Bearer {TOKEN}")));
    assert_eq!(seen.field("content-type").as_deref(), Some("application/json"));
    assert_eq!(seen.field("content-language"), None, "no errors, no language");
    let polled = status(&house).await;
    assert_eq!((&polled["polled"], &polled["accepted"], &polled["refused"]), (&json!(true), &json!(2), &json!(0)));
    assert_eq!(polled["last_poll_at"], json!(house.clock.now()));
    assert!(!house.audited().contains(TOKEN));

    let push = Ask::post("/oauth2/ssf/polled", "application/secevent+jwt", set(&house, "j2", "ann", &json!({})));
    let answer = house.asks(&push.with("Authorization", &format!("Bearer {TOKEN}"))).await;
    assert_eq!(answer.status, 404, "nobody pushes on it");
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn a_bad_event_is_reported_with_its_code_and_stops_no_other() {
    let transmitter = Transmitter::start().await;
    transmitter.state().batch = 2;
    let house = House::of(transmitter.plan()).await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let others = json!({ "format": "iss_sub", "iss": "https://other.example.com", "sub": "00u-ann" });
    let bad = [
        ("a", "hello".to_owned(), "invalid_request"),
        ("b", set(&house, "b", "ann", &json!({ "aud": "https://other.example.com" })), "invalid_audience"),
        ("c", set(&house, "c", "ann", &json!({ "iss": "https://other.example.com" })), "invalid_issuer"),
        ("d", set(&house, "d", "ann", &json!({ "sub_id": others })), "access_denied"),
        ("e", set(&house, "another", "ann", &json!({})), "invalid_request"),
        ("f", format!("{}x", set(&house, "f", "ann", &json!({}))), "invalid_"),
    ];
    {
        // All at once, so that they come in pieces.
        let mut state = transmitter.state();
        for (jti, set, _) in &bad {
            state.waiting.insert((*jti).to_owned(), set.clone());
        }
        state.waiting.insert("z".to_owned(), set(&house, "z", "ann", &json!({})));
    }
    transmitter.hears_ack_of("z").await;
    ann.fetches("/").await.is_refused("session_revoked");
    for (jti, _, code) in bad {
        let told = transmitter.backend.seen().into_iter().find(|seen| body(seen)["setErrs"][jti].is_object());
        let told = told.unwrap_or_else(|| panic!("{jti} was not refused"));
        assert_eq!(told.field("content-language").as_deref(), Some("en"), "{jti}");
        let error = &body(&told)["setErrs"][jti];
        assert!(error["err"].as_str().is_some_and(|err| err.starts_with(code)), "{jti}: {error}");
        assert!(error["description"].as_str().is_some_and(|text| !text.is_empty()), "{jti}: {error}");
        assert!(!transmitter.backend.seen().iter().any(|seen| acks(&body(seen), jti)), "{jti} is not acknowledged");
    }
    assert_eq!(house.metric("portcullis_set_rejected_total{why=\"access_denied\"}").await, 1);
}

#[tokio::test]
async fn a_transmitter_that_fails_is_asked_again_and_told_again() {
    let transmitter = Transmitter::start().await;
    let broken = answer("500 Internal Server Error", "", "");
    let denied = answer("401 Unauthorized", "", "");
    let busy = answer("503 Service Unavailable", "Retry-After: 1\r\n", "");
    transmitter.state().deaf = vec![busy, denied, broken];
    let house = House::of(transmitter.plan()).await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    transmitter.offers("j1", set(&house, "j1", "ann", &json!({})));
    let told = |log: &Vec<Seen>| log.iter().filter(|seen| acks(&body(seen), "j1")).count();
    transmitter.backend.sees("the ack, until it is heard", |log| told(log) == 4).await;
    ann.fetches("/").await.is_refused("session_revoked");
    transmitter.offers("j2", set(&house, "j2", "ann", &json!({})));
    transmitter.hears_ack_of("j2").await;
    assert_eq!(told(&transmitter.backend.seen()), 4, "and not once it was heard");
}

#[tokio::test]
async fn a_restart_between_effect_and_acknowledgement_loses_nothing_and_harms_nobody() {
    let transmitter = Transmitter::start().await;
    transmitter.state().deaf = vec![Reply::Open(Vec::new())];
    let mut house = House::of(transmitter.plan()).await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    transmitter.offers("j1", set(&house, "j1", "ann", &json!({})));
    transmitter.hears_ack_of("j1").await;
    ann.fetches("/").await.is_refused("session_revoked");
    assert_eq!(transmitter.state().waiting.len(), 1, "the transmitter never heard it");
    house.stop();
    transmitter.backend.forget();
    house.start();
    house.seconds_pass(1);
    ann.signs_in("ann").await.is_let_in();
    transmitter.hears_ack_of("j1").await;
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn what_cannot_be_written_down_is_in_force_and_not_acknowledged_until_it_is() {
    let transmitter = Transmitter::start().await;
    let house = House::of(transmitter.plan()).await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    house.ruins_the_ledger();
    transmitter.offers("j1", set(&house, "j1", "ann", &json!({})));
    let begun = transmitter.backend.count();
    transmitter.backend.sees("it is asked for again and again", |log| log.len() >= begun + 3).await;
    ann.fetches("/").await.is_refused("session_revoked");
    let told = |body: &Value| body.get("ack").is_some() || body.get("setErrs").is_some();
    assert!(!transmitter.backend.seen().iter().any(|seen| told(&body(seen))), "neither acknowledged nor refused");
    house.mends_the_ledger();
    transmitter.hears_ack_of("j1").await;
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn a_poll_that_is_denied_is_shown_until_it_goes_again() {
    let transmitter = Transmitter::start().await;
    transmitter.backend.says(answer("401 Unauthorized", "", ""));
    let house = House::of(transmitter.plan()).await;
    // What came of a request is noted before the next one.
    transmitter.backend.sees("two polls", |log| log.len() >= 2).await;
    let denied = status(&house).await;
    assert!(denied["poll_trouble"].as_str().is_some_and(|why| why.contains("refuses our token (401)")), "{denied}");
    assert_eq!((&denied["polled"], &denied["last_poll_at"]), (&json!(true), &Value::Null));
    transmitter.backend.says(ok("{}"));
    let before = transmitter.backend.count();
    transmitter.backend.sees("polls that go", |log| log.len() >= before + 3).await;
    let fine = status(&house).await;
    assert_eq!((&fine["poll_trouble"], &fine["last_poll_at"]), (&Value::Null, &json!(house.clock.now())));
}
