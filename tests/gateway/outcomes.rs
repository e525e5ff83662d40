//! What a revocation did is known afterwards: whom it met, what it cut and refused, who came back, what is left.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::identity::Issuer;
use portcullis::jose::{self, Alg, Audience, Exp, Expectation, Keys};
use serde_json::{Value, json};

use crate::cut::opens_websocket;
use crate::global::{minted, with_token};
use crate::harness::soon;
use crate::harness::{AUDIENCE, Answer, Ask, Backend, House, Plan, Reply, SESSION_REVOKED, answer, ok};

const PATH: &str = "/oauth2/global-token-revocation/demo";
const DERIVED: &str = "derived = [{ path = \"/api/token\", response = \"/access_token\" }]";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const EVENT: &str = "urn:portcullis:secevent:event-type:revocation-outcome";
const RECEIVER: &str = "https://soc.example";
const GATEWAY: &str = "https://gateway.example/portcullis";

/// An app with a WebSocket, tokens and a cookie of its own.
fn app(house: &House) {
    house.backend.does(|seen| match seen.target.as_str() {
        "/ws" => Reply::Echo(SWITCHED.to_vec()),
        "/api/token" => {
            answer("200 OK", "Content-Type: application/json\r\n", "{\"access_token\":\"app-made-0123456789\"}")
        }
        "/cookie" => answer("200 OK", "Set-Cookie: APP=secret-of-the-app; Path=/; HttpOnly\r\n", "hello"),
        _ => ok("hello from the app"),
    });
}

/// Okta's call (Universal Logout) for everything of `user`; the caller's token has that `jti`.
async fn universal_logout(house: &House, jti: &str, user: &str) -> Answer {
    let now = house.clock.now().secs();
    let claims = json!({
        "iss": house.demo.issuer, "sub": "portcullis", "aud": format!("{}{PATH}", house.origin()), "jti": jti,
        "iat": now, "nbf": now - 300, "exp": now + 300,
    });
    let token = house.demo.idp.sign(Some("global-token-revocation+jwt"), &claims).expect("a token");
    let subject = json!({ "sub_id": { "format": "email", "email": format!("{user}@example.com") } });
    let call = Ask::post(PATH, "application/json", subject.to_string());
    house.asks(&call.with("Authorization", &format!("Bearer {token}"))).await
}

/// The outcomes that operators are told of, the newest first.
async fn outcomes(house: &House) -> Vec<Value> {
    let answer = house.operator(Ask::get("/v1/outcomes")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["outcomes"].as_array().expect("a list").clone()
}

/// The outcome of the signal of that name.
async fn outcome_of(house: &House, jti: &str) -> Value {
    let of_jti: Vec<_> = outcomes(house).await.into_iter().filter(|outcome| outcome["jti"] == jti).collect();
    assert_eq!(of_jti.len(), 1, "one outcome for {jti}: {of_jti:?}");
    of_jti.into_iter().next().expect("one")
}

/// The gateway's files as they are at this moment: what would be left of a gateway that was killed now.
struct Killed(Vec<(String, Vec<u8>)>);

impl Killed {
    fn now(house: &House) -> Self {
        let files = ["ledger.db", "ledger.db-wal"].into_iter();
        Self(files.filter_map(|name| Some((name.to_owned(), fs::read(house.file(name)).ok()?))).collect())
    }

    /// Starts the gateway on what was left.
    async fn starts_again(self, house: &mut House) {
        house.stop();
        // It has let go of its files a moment later, and removes some of them by name then.
        let lock = fs::File::open(house.file("ledger.db.lock")).expect("a lock");
        soon("a gateway that has stopped", async {
            while lock.try_lock().is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(lock);
        for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
            let _may_be_missing = fs::remove_file(house.file(name));
        }
        for (name, bytes) in self.0 {
            fs::write(house.file(&name), bytes).expect("a file");
        }
        house.start();
    }
}

/// Waits until the gateway has written down what it counted.
async fn is_written_down(house: &House, what: &str) {
    let file = rusqlite::Connection::open(house.file("ledger.db")).expect("the ledger");
    soon(&format!("{what} in the ledger"), async {
        loop {
            let found = file.query_row("SELECT count(*) FROM outcomes WHERE text LIKE ?1", [what], |row| row.get(0));
            if found.is_ok_and(|found: i64| found > 0) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn universal_logout_of_three_sessions_and_a_token_is_four_credentials_and_its_cut_streams() {
    let mut house = House::of(Plan::default().idp("global_revocation = {}").app(DERIVED)).await;
    app(&house);
    let mut anns = [house.browser_of("ann").await, house.browser_of("ann").await, house.browser_of("ann").await];
    let mut ben = house.browser_of("ben").await;
    let anns_token = minted(&mut anns[0]).await;
    let mut socket = opens_websocket(&house, &anns[1]).await;
    house.seconds_pass(1);
    let before = house.clock.now();
    assert_eq!(universal_logout(&house, "j1", "ann").await.status, 204);
    socket.is_ended().await;
    drop(socket);

    let outcome = outcome_of(&house, "j1").await;
    for (name, expected) in [
        ("source", json!("global_revocation")),
        ("idp", json!("demo")),
        ("mode", json!("terminate")),
        ("received_at", json!(before)),
        ("in_force_at", json!(before)),
        ("persisted_at", json!(before)),
        ("cut", json!({ "websocket": 1 })),
        ("refusals", json!(0)),
        ("people", json!({ "seen": 1, "or_more": false })),
        ("redelivered", json!(0)),
    ] {
        assert_eq!(outcome[name], expected, "{name} of {outcome}");
    }
    assert_eq!(outcome["credentials"]["all"]["seen"], 1, "the session of the WebSocket: {outcome}");
    assert!(!outcome.to_string().contains("ann@example.com"), "addresses have pseudonyms: {outcome}");
    assert_eq!(outcome["left"]["sessions_until"], json!(before.plus(Duration::from_secs(12 * 3_600))));
    assert_eq!(outcome["applied_by"].as_array().map(Vec::len), Some(1));

    for (round, killed) in [(1, false), (2, true)] {
        for browser in &mut anns {
            browser.fetches("/").await.is_refused("session_revoked");
        }
        assert_eq!(with_token(&house, &anns_token).await.status, 401);
        ben.get("/").await.is_let_in();
        let outcome = outcome_of(&house, "j1").await;
        let seen = &outcome["credentials"];
        let counts = ["all", "sessions", "app_tokens", "app_cookies"].map(|kind| seen[kind]["seen"].as_u64());
        assert_eq!(counts, [Some(4), Some(3), Some(1), Some(0)], "{outcome}");
        assert_eq!(outcome["refusals"], 4 * round, "{outcome}");
        assert_eq!((&outcome["cut"], &outcome["people"]["seen"]), (&json!({ "websocket": 1 }), &json!(1)));
        if !killed {
            is_written_down(&house, "%\"refusals\":4,%").await;
            Killed::now(&house).starts_again(&mut house).await;
            app(&house);
        }
    }
    let audited = house.writes_down(&["\"event\":\"revoked_credential_used\""]).await;
    let lines = audited.lines().filter(|line| line.contains("\"event\":\"revoked_credential_used\"")).count();
    assert_eq!(lines, 1, "one line, however often:\n{audited}");
}

#[tokio::test]
async fn a_replay_two_hours_later_is_the_same_compromise_and_a_new_sign_in_is_the_end_of_it() {
    let plan = Plan::default().idp("global_revocation = {}").more("[session]\nidle = \"12h\"");
    let house = House::of(plan).await;
    app(&house);
    let mut ann = house.browser_of("ann").await;
    ann.get("/cookie").await;
    let stolen = ann.clone();
    house.seconds_pass(1);
    assert_eq!(universal_logout(&house, "j1", "ann").await.status, 204);
    let first = house.clock.now();
    ann.fetches("/").await.is_refused("session_revoked");
    house.seconds_pass(60);
    ann.signs_in("ann").await.is_let_in();
    let back = house.clock.now();
    house.seconds_pass(7_200);
    for _ in 0..3 {
        stolen.clone().fetches("/").await.is_refused("session_revoked");
    }
    ann.get("/").await.is_let_in();
    let outcome = outcome_of(&house, "j1").await;
    for (name, expected) in [
        // Her own: a script's, the page that led to the sign-in, and the app's old cookie after it. Then the three.
        ("refusals", json!(6)),
        ("first_refusal_at", json!(first)),
        ("last_refusal_at", json!(house.clock.now())),
        ("signed_in_again", json!({ "seen": 1, "or_more": false })),
        ("signed_in_again_at", json!(back)),
        ("people", json!({ "seen": 1, "or_more": false })),
    ] {
        assert_eq!(outcome[name], expected, "{name} of {outcome}");
    }
    let seen = &outcome["credentials"];
    assert_eq!((&seen["sessions"]["seen"], &seen["app_cookies"]["seen"]), (&json!(1), &json!(1)), "{outcome}");
    assert_eq!(outcomes(&house).await.len(), 1, "no new one");
    let audited = house.writes_down(&["\"event\":\"signed_in_again\""]).await;
    assert_eq!(audited.matches("\"event\":\"revoked_credential_used\"").count(), 1);
    // The thief has the app's cookie beside a session of their own: it is taken out, and that is counted too.
    let app_cookie = stolen.cookies().split("; ").find(|cookie| cookie.starts_with("APP=")).expect("sealed").to_owned();
    let cookies = format!("{}; {app_cookie}", ann.cookies().replace("APP=", "OTHER="));
    let alone = house.asks(&Ask::get("/").with("Cookie", &cookies)).await;
    assert_eq!(alone.status, 200, "{}", alone.text());
    assert_eq!(outcome_of(&house, "j1").await["refusals"], 7);
}

#[tokio::test]
async fn a_signal_that_comes_again_has_the_same_outcome_and_a_refused_sign_in_is_counted() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let now = house.clock.now();
    let claims = json!({
        "iss": house.demo.issuer, "aud": AUDIENCE, "iat": now, "jti": "s1", "txn": "t1",
        "sub_id": house.subject_of("ann"), "events": { SESSION_REVOKED: { "event_timestamp": now } },
    });
    let set = house.demo.idp.sign(Some("secevent+jwt"), &claims).expect("a SET");
    for _ in 0..3 {
        assert_eq!(house.pushes(&set).await.status, 202);
        house.seconds_pass(1);
    }
    ann.fetches("/").await.is_refused("session_revoked");
    let outcome = outcome_of(&house, "s1").await;
    let told = ["redelivered", "txn", "stream", "refusals"].map(|name| outcome[name].clone());
    assert_eq!(told, [json!(2), json!("t1"), json!("demo"), json!(1)], "{outcome}");
    let id = outcome["id"].as_str().expect("an id");
    for id in [id, id.split_at(8).0] {
        let one = house.operator(Ask::get(&format!("/v1/outcomes/{id}"))).await;
        assert_eq!((one.status, &one.json()["jti"]), (200, &json!("s1")));
    }
    for (path, status) in [("/v1/outcomes/00000000", 404), ("/v1/outcomes/x", 404), ("/v1/outcomes?since=soon", 400)] {
        assert_eq!(house.operator(Ask::get(path)).await.status, status, "{path}");
    }
    assert_eq!(house.asks(&Ask::get("/v1/outcomes")).await.status, 401, "it is not an app's path");
}

/// Somebody who wants to know.
struct Receiver {
    backend: Backend,
    /// What it answers.
    says: Arc<Mutex<&'static str>>,
}

impl Receiver {
    async fn start(says: &'static str) -> Self {
        let (backend, says) = (Backend::start().await, Arc::new(Mutex::new(says)));
        let said = Arc::clone(&says);
        backend.does(move |_| answer(*said.lock().expect("lock"), "Retry-After: 1\r\n", ""));
        Self { backend, says }
    }

    fn says_now(&self, says: &'static str) {
        *self.says.lock().expect("lock") = says;
    }

    fn plan(&self) -> Plan {
        let key = jose::Signer::generate_pem().expect("a key");
        Plan::default()
            .more(&format!(
                r#"[outcomes]
gateway = "gw-7"
[outcomes.webhook]
url = "http://{}/hook"
issuer = "{GATEWAY}"
audience = "{RECEIVER}"
token_file = "hook.token"
key_file = "hook.key""#,
                self.backend.address()
            ))
            .file("hook.token", "what-the-receiver-knows")
            .file("hook.key", key.expose())
    }

    /// Waits for a message of that kind of news that has come as a whole; verified.
    async fn hears(&self, house: &House, news: &str) -> Value {
        let heard = Mutex::new(None);
        let keys = keys(house).await;
        let found = |claims: &Value| claims["events"][EVENT]["news"] == news;
        self.backend
            .sees(news, |log| {
                *heard.lock().expect("lock") =
                    log.iter().filter_map(|seen| verified(&seen.body, &keys, house)).find(found);
                heard.lock().expect("lock").is_some()
            })
            .await;
        heard.into_inner().expect("lock").expect("a message")
    }

    fn tries(&self) -> usize {
        self.backend.count()
    }
}

async fn keys(house: &House) -> Keys {
    let jwks = house.asks(&Ask::get("/oauth2/jwks")).await;
    assert_eq!(jwks.status, 200, "{}", jwks.text());
    assert!(!jwks.text().contains("\"d\""), "no private key");
    Keys::parse(&jwks.body).expect("keys")
}

/// What stands in a SET, if it is one of the gateway's for this receiver.
fn verified(body: &[u8], keys: &Keys, house: &House) -> Option<Value> {
    let issuer = Issuer::parse(GATEWAY).expect("issuer");
    let expectation = Expectation {
        types: &["secevent+jwt"],
        type_required: true,
        algs: &[Alg::Es256],
        issuer: &issuer,
        audience: Audience::Any(&[RECEIVER.to_owned()]),
        skew: Duration::ZERO,
        exp: Exp::Forbidden,
    };
    let compact = std::str::from_utf8(body).ok()?;
    jose::verify::<Value>(compact, keys, &expectation, house.clock.now()).ok().map(jose::Verified::into_inner)
}

#[tokio::test]
async fn whoever_wants_to_know_is_told_with_the_same_txn_though_they_were_down_and_the_gateway_was_killed() {
    let receiver = Receiver::start("503 Service Unavailable").await;
    let mut house = House::of(receiver.plan()).await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let now = house.clock.now();
    let claims = json!({
        "iss": house.demo.issuer, "aud": AUDIENCE, "iat": now, "jti": "s1", "txn": "case-4711",
        "sub_id": house.subject_of("ann"), "events": { SESSION_REVOKED: { "event_timestamp": now } },
    });
    let set = house.demo.idp.sign(Some("secevent+jwt"), &claims).expect("a SET");
    assert_eq!(house.pushes(&set).await.status, 202, "nobody waits for the receiver");
    receiver.backend.sees("a try", |log| !log.is_empty()).await;
    let killed = Killed::now(&house);
    house.stop();
    receiver.says_now("202 Accepted");
    receiver.backend.forget();
    killed.starts_again(&mut house).await;
    let told = receiver.hears(&house, "in_force").await;
    let outcome = &told["events"][EVENT]["outcome"];
    assert_eq!((&told["txn"], &told["sub_id"]), (&json!("case-4711"), &house.subject_of("ann")), "{told}");
    assert_eq!(told["jti"], format!("{}.1", outcome["id"].as_str().expect("an id")), "{told}");
    assert_eq!((&outcome["jti"], &outcome["persisted_at"]), (&json!("s1"), &json!(now)), "{told}");
    assert_eq!(outcome["applied_by"], json!(["gw-7"]));
    let hook = receiver.backend.last();
    assert_eq!(hook.field("content-type").as_deref(), Some("application/secevent+jwt"));
    assert_eq!(hook.field("authorization").as_deref(), Some("Bearer what-the-receiver-knows"));

    house.seconds_pass(1);
    ann.fetches("/").await.is_refused("session_revoked");
    let told = receiver.hears(&house, "first_refusal").await;
    assert_eq!(told["events"][EVENT]["outcome"]["refusals"], 1, "{told}");
    ann.signs_in("ann").await.is_let_in();
    receiver.hears(&house, "signed_in_again").await;
    house.seconds_pass(300);
    let told = receiver.hears(&house, "settled").await;
    assert_eq!((&told["txn"], &told["events"][EVENT]["revision"]), (&json!("case-4711"), &json!(4)), "{told}");
    let audited = house.audited();
    assert!(!audited.contains("what-the-receiver-knows"));
}

#[tokio::test]
async fn a_receiver_that_refuses_or_redirects_is_followed_nowhere_and_stands_in_nobodys_way() {
    let receiver = Receiver::start("302 Found").await;
    let house = House::of(receiver.plan()).await;
    let mut ann = house.browser_of("ann").await;
    house.says_it_is_over_for(&house.subject_of("ann")).await;
    receiver.backend.sees("a try", |log| !log.is_empty()).await;
    ann.fetches("/").await.is_refused("session_revoked");
    receiver.says_now("400 Bad Request");
    let before = receiver.tries();
    receiver.backend.sees("a try that is refused", |log| log.len() > before).await;
    assert!(receiver.backend.seen().iter().all(|seen| seen.target == "/hook"), "no redirect is followed");
    receiver.says_now("202 Accepted");
    receiver.hears(&house, "in_force").await;
    let taken = "portcullis_outcome_messages_total{result=\"taken\"}";
    soon("a message that is taken", async {
        while house.metric(taken).await == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
