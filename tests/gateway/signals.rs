//! How a sender is answered: the exact status, fields and body of each signal endpoint.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use portcullis::demo::idp::LogoutOf;
use portcullis::jose::Signer;
use serde_json::{Value, json};

use crate::harness::{AUDIENCE, Ask, House, Plan, SESSION_REVOKED};

const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
const STREAM_UPDATED: &str = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";

/// A refusal as RFC 8935 §2.3 writes it.
#[track_caller]
fn is_refused(answer: &crate::harness::wire::Answer, code: &str, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    assert_eq!(answer.field("content-type"), Some("application/json"), "{what}");
    assert_eq!(answer.field("content-language"), Some("en"), "{what}");
    let body = answer.json();
    let members: Vec<_> = body.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(members, ["description", "err"], "{what}");
    assert_eq!(body["err"], code, "{what}: {body}");
    assert!(body["description"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
}

#[tokio::test]
async fn a_good_set_gets_202_and_nothing_else_however_often_it_comes() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let set = house.revoking_set(&house.subject_of("ann"));
    for _ in 0..3 {
        let answer = house.pushes(&set).await;
        assert_eq!((answer.status, answer.body.len(), answer.field("content-type")), (202, 0, None));
    }
    ann.fetches("/").await.is_refused("session_revoked");
    house.seconds_pass(1);
    ann.signs_in("ann").await.is_let_in();
    assert_eq!(house.pushes(&set).await.status, 202, "and once more, late");
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn a_push_is_taken_as_transmitters_write_it() {
    let house = House::new().await;
    let set = house.revoking_set(&house.subject_of("ann"));
    let authorization = format!("Bearer {}", house.demo.push_token.expose());
    for (content_type, authorization, body) in [
        ("application/secevent+jwt", authorization.clone(), set.clone()),
        ("Application/SecEvent+JWT; charset=utf-8", authorization.clone(), set.clone()),
        ("application/jwt", authorization.clone(), set.clone()),
        ("application/secevent+jwt", authorization.replace("Bearer", "bearer"), set.clone()),
        ("application/secevent+jwt", house.demo.push_token.expose().clone(), set.clone()),
        ("application/secevent+jwt", authorization.clone(), format!("{set}\n")),
    ] {
        let ask = Ask::post("/oauth2/ssf/demo", content_type, body).with("Authorization", &authorization);
        let answer = house.asks(&ask).await;
        assert_eq!((answer.status, answer.text().as_str()), (202, ""), "{content_type}");
    }
}

#[tokio::test]
async fn a_push_that_is_no_push_is_refused_in_the_words_of_the_rfc() {
    let house = House::new().await;
    let set = house.revoking_set(&house.subject_of("ann"));
    is_refused(&house.asks(&house.unauthorised_push(&set)).await, "authentication_failed", "no secret");
    for wrong in ["Bearer wrong", "Bearer", "Basic YTpi", ""] {
        let ask = house.unauthorised_push(&set).with("Authorization", wrong);
        is_refused(&house.asks(&ask).await, "authentication_failed", wrong);
    }
    let authorization = format!("Bearer {}", house.demo.push_token.expose());
    for content_type in ["text/plain", "application/json", "application/x-www-form-urlencoded", ""] {
        let ask = Ask::post("/oauth2/ssf/demo", content_type, set.clone()).with("Authorization", &authorization);
        is_refused(&house.asks(&ask).await, "invalid_request", content_type);
    }
    for (what, body) in [("nothing", ""), ("no token", "hello"), ("two parts", "a.b"), ("not text", "\u{0}\u{1}")] {
        is_refused(&house.pushes(body).await, "invalid_request", what);
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let ask = Ask::new(method, "/oauth2/ssf/demo").with("Authorization", &authorization);
        assert_eq!(house.asks(&ask).await.status, 405, "{method}");
    }
    assert_eq!(house.asks(&Ask::get("/oauth2/backchannel-logout/demo")).await.status, 405);
    let elsewhere = Ask::post("/oauth2/ssf/other", "application/secevent+jwt", set.clone());
    assert_eq!(house.asks(&elsewhere.with("Authorization", &authorization)).await.status, 404);
    let elsewhere =
        Ask::post("/oauth2/backchannel-logout/other", "application/x-www-form-urlencoded", "logout_token=x");
    assert_eq!(house.asks(&elsewhere).await.status, 404);
    for path in ["/oauth2/ssf/demo", "/oauth2/backchannel-logout/demo"] {
        let large = Ask::post(path, "application/secevent+jwt", "x".repeat(65 * 1024));
        assert_eq!(house.asks(&large.with("Authorization", &authorization)).await.status, 413, "{path}");
    }
    house.browser_of("ann").await.get("/").await.is_let_in();
    assert_eq!(house.metric("portcullis_set_rejected_total{why=\"authentication_failed\"}").await, 5);
}

#[tokio::test]
async fn a_set_that_does_not_hold_is_refused_with_its_code() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let now = house.clock.now();
    let claims = |change: Value| {
        let mut claims = json!({
            "iss": house.demo.issuer, "aud": AUDIENCE, "iat": now, "jti": "j", "sub_id": house.subject_of("ann"),
            "events": { SESSION_REVOKED: { "event_timestamp": now } },
        });
        for (name, value) in change.as_object().expect("an object") {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    };
    let signed = |typ: Option<&str>, change: Value| house.demo.idp.sign(typ, &claims(change)).expect("a token");
    let set = |change: Value| signed(Some("secevent+jwt"), change);
    let stranger = Signer::generate("key-1").expect("a key").sign(Some("secevent+jwt"), &claims(json!({})));
    let unknown = Signer::generate("key-9").expect("a key").sign(Some("secevent+jwt"), &claims(json!({})));
    let logout = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    for (what, token, code) in [
        ("without typ", signed(None, json!({})), "invalid_request"),
        ("as an ID token", signed(Some("JWT"), json!({})), "invalid_request"),
        ("as a logout token", signed(Some("logout+jwt"), json!({})), "invalid_request"),
        ("with the logout event", set(json!({ "events": logout })), "invalid_request"),
        ("a stranger's key under a known name", stranger.expect("a token"), "invalid_key"),
        ("an unknown key", unknown.expect("a token"), "invalid_key"),
        ("another issuer", set(json!({ "iss": "https://evil.example.com" })), "invalid_issuer"),
        ("no issuer", set(json!({ "iss": null })), "invalid_request"),
        ("for somebody else", set(json!({ "aud": "https://other.example.com" })), "invalid_audience"),
        ("for nobody", set(json!({ "aud": null })), "invalid_audience"),
        ("without jti", set(json!({ "jti": null })), "invalid_request"),
        ("with sub", set(json!({ "sub": "00u-ann" })), "invalid_request"),
        ("with exp", set(json!({ "exp": now.secs() + 60 })), "invalid_request"),
        ("from the future", set(json!({ "iat": now.secs() + 3_600 })), "invalid_request"),
        ("without iat", set(json!({ "iat": null })), "invalid_request"),
        ("without events", set(json!({ "events": null })), "invalid_request"),
        ("with no event", set(json!({ "events": {} })), "invalid_request"),
        ("without subject", set(json!({ "sub_id": null })), "invalid_request"),
        ("with half a subject", set(json!({ "sub_id": { "format": "iss_sub", "sub": "x" } })), "invalid_request"),
        (
            "about another issuer's people",
            set(json!({ "sub_id": { "format": "iss_sub", "iss": "https://other.example.com", "sub": "00u-ann" } })),
            "access_denied",
        ),
    ] {
        is_refused(&house.pushes(&token).await, code, what);
    }
    ann.get("/").await.is_let_in();
    let set = set(json!({}));
    assert_eq!(house.pushes(&set).await.status, 202, "and the same without a fault is taken");
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn event_times_are_read_as_they_are_sent_and_never_reach_into_the_future() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    let login = house.clock.now().secs();
    house.seconds_pass(10);
    let subject = house.subject_of("ann");
    // Before the login, in seconds, milliseconds and as a float: ann stays.
    for early in
        [json!(login - 1), json!((login - 1) * 1000), json!(f64::from(u32::try_from(login - 1).expect("small")))]
    {
        let answer = house.pushes(&house.set(&subject, SESSION_REVOKED, &json!({ "event_timestamp": early }))).await;
        assert_eq!(answer.status, 202, "{early}");
        ann.get("/").await.is_let_in();
    }
    for nonsense in [json!(-1), json!(1e300), json!("yesterday")] {
        let answer = house.pushes(&house.set(&subject, SESSION_REVOKED, &json!({ "event_timestamp": nonsense }))).await;
        assert!([202, 400].contains(&answer.status), "{nonsense}: {}", answer.status);
    }
    let future = json!({ "event_timestamp": login + 100_000 });
    assert_eq!(house.pushes(&house.set(&subject, SESSION_REVOKED, &future)).await.status, 202);
    ann.fetches("/").await.is_refused("session_revoked");
    house.seconds_pass(1);
    ann.signs_in("ann").await.is_let_in();
}

#[tokio::test]
async fn a_streams_own_affairs_are_acknowledged_and_end_no_session() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    let stream = json!({ "format": "opaque", "id": house.demo.stream_id });
    for (event, payload) in [
        (VERIFICATION, json!({})),
        (VERIFICATION, json!({ "state": null })),
        (STREAM_UPDATED, json!({ "status": "paused", "reason": "maintenance" })),
        (STREAM_UPDATED, json!({ "status": "enabled" })),
        ("https://schemas.openid.net/secevent/caep/event-type/not-yet-invented", json!({ "x": 1 })),
    ] {
        let answer = house.pushes(&house.set(&stream, event, &payload)).await;
        assert_eq!((answer.status, answer.text().as_str()), (202, ""), "{event} {payload}");
    }
    ann.get("/").await.is_let_in();
    let status = house.operator(Ask::get("/v1/status")).await.json();
    assert_eq!(
        (&status["streams"][0]["accepted"], &status["streams"][0]["refused"]),
        (&json!(5), &json!(0)),
        "{status}"
    );
}

#[tokio::test]
async fn a_logout_token_is_one_and_nothing_else_is() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let now = house.clock.now();
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let signed = |typ: Option<&str>, change: Value| {
        let mut claims = json!({
            "iss": house.demo.issuer, "aud": "portcullis", "iat": now, "exp": now.secs() + 120, "jti": "j",
            "sub": "00u-ann", "events": event,
        });
        for (name, value) in change.as_object().expect("an object") {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        house.demo.idp.sign(typ, &claims).expect("a token")
    };
    let logout = |change: Value| signed(Some("logout+jwt"), change);
    for (what, token) in [
        ("a SET", house.revoking_set(&house.subject_of("ann"))),
        ("an ID token", signed(None, json!({ "events": null, "nonce": "n" }))),
        ("an ID token that says it is one", signed(Some("JWT"), json!({}))),
        ("with a nonce", logout(json!({ "nonce": "n" }))),
        ("without the event", logout(json!({ "events": { SESSION_REVOKED: {} } }))),
        ("without jti", logout(json!({ "jti": null }))),
        ("without iat", logout(json!({ "iat": null }))),
        ("for another client", logout(json!({ "aud": "other" }))),
        ("of another issuer", logout(json!({ "iss": "https://evil.example.com" }))),
        ("expired", logout(json!({ "iat": now.secs() - 3_600, "exp": now.secs() - 3_500 }))),
        ("old, without end", logout(json!({ "iat": now.secs() - 3_600, "exp": null }))),
        ("from the future", logout(json!({ "iat": now.secs() + 3_600, "exp": now.secs() + 3_700 }))),
        ("about nobody", logout(json!({ "sub": null }))),
        ("no token", "x.y.z".to_owned()),
    ] {
        let answer = house.is_told_to_log_out(&token).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")), "{what}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{what}");
    }
    let good = house.demo.idp.logout_token(&LogoutOf::User("ann"), "portcullis").expect("a token");
    let form = "application/x-www-form-urlencoded";
    for body in [format!("logout_token={good}&logout_token={good}"), format!("Logout_Token={good}"), String::new()] {
        let answer = house.asks(&Ask::post("/oauth2/backchannel-logout/demo", form, body)).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")));
    }
    ann.get("/").await.is_let_in();
    for _ in 0..2 {
        let answer = house.is_told_to_log_out(&good).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "also when it comes again");
    }
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn what_cannot_be_written_down_is_in_force_and_the_sender_is_asked_to_repeat() {
    let house = House::new().await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    house.seconds_pass(1);
    let held = rusqlite::Connection::open(house.file("ledger.db")).expect("the ledger");
    held.execute_batch("DROP TABLE revocations").expect("somebody ruins the ledger");
    let set = house.revoking_set(&house.subject_of("ann"));
    let answer = house.pushes(&set).await;
    assert_eq!((answer.status, answer.field("retry-after"), answer.body.len()), (503, Some("5"), 0));
    ann.fetches("/").await.is_refused("session_revoked");
    let ready = house.operator(Ask::get("/ready")).await;
    assert_eq!(ready.status, 503, "a load balancer sends signals elsewhere");
    let token = house.demo.idp.logout_token(&LogoutOf::User("ben"), "portcullis").expect("a token");
    let answer = house.is_told_to_log_out(&token).await;
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("5")));
    ben.fetches("/").await.is_refused("session_revoked");
    let request = json!({ "whom": { "user": "00u-eve" } }).to_string();
    let answer = house.operator(Ask::post("/v1/revocations", "application/json", request)).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
}

#[tokio::test]
async fn ten_thousand_unknown_keys_make_no_more_than_two_fetches() {
    let house = House::new().await;
    assert_eq!(house.pushes(&house.revoking_set(&house.subject_of("eve"))).await.status, 202);
    let before = house.demo.idp.requests("/jwks");
    let mut wire = house.wire().await;
    let host = house.host();
    for n in 0..10_000 {
        // A header, claims and a signature in form; only the name of the key matters.
        let header = json!({ "alg": "ES256", "typ": "secevent+jwt", "kid": format!("kid-{n}") }).to_string();
        let encode = |text: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
        let token = format!("{}.{}.{}", encode(header.as_bytes()), encode(b"{}"), encode(&[7; 64]));
        wire.send(&house.push(&token).bytes(&host)).await;
        let answer = wire.answer().await.expect("an answer");
        assert_eq!((answer.status, &answer.json()["err"]), (400, &json!("invalid_key")), "kid-{n}");
    }
    let fetches = house.demo.idp.requests("/jwks") - before;
    assert!(fetches <= 2, "{fetches} fetches");
    // A key that is really new is found once the half minute is over.
    house.seconds_pass(31);
    house.demo.idp.rotate_keys();
    let answer = house.pushes(&house.revoking_set(&house.subject_of("eve"))).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

#[tokio::test]
async fn signals_wait_for_keys_that_cannot_be_had() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.idp_fails("/jwks", 500);
    house.demo.idp.rotate_keys();
    house.seconds_pass(31);
    let set = house.revoking_set(&house.subject_of("ann"));
    let answer = house.pushes(&set).await;
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("5")), "nobody can say that it is wrong");
    house.idp_works();
    house.seconds_pass(31);
    assert_eq!(house.pushes(&set).await.status, 202);
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn nothing_secret_is_in_the_audit_log() {
    let house = House::of(Plan::default()).await;
    let mut ann = house.browser_of("ann").await;
    let cookie = ann.cookies();
    house.seconds_pass(1);
    let set = house.revoking_set(&house.subject_of("ann"));
    assert_eq!(house.pushes(&set).await.status, 202);
    ann.fetches("/").await.is_refused("session_revoked");
    assert_eq!(house.pushes(&format!("{set}x")).await.status, 400);
    let sealed = cookie.split_once('=').expect("a cookie").1.to_owned();
    let lines = ["\"event\":\"signed_in\"", "\"event\":\"revoked\"", "\"event\":\"request_refused\""];
    let (path, audited) = (house.file("audit.log"), house.writes_down(&lines).await);
    assert_eq!(std::fs::metadata(path).expect("the audit log").permissions(), Permissions::from_mode(0o100_600));
    let signature = set.rsplit('.').next().expect("a signature").to_owned();
    let secrets = [sealed, signature, house.client_secret().expose().clone(), house.demo.push_token.expose().clone()];
    for secret in secrets.iter().map(|secret| secret.get(..16).expect("long enough")) {
        assert!(!audited.contains(secret), "`{secret}…` is in the audit log");
    }
}
