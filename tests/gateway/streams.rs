//! Streams that the gateway manages: made, watched, and made again; and what apps do when one goes blind (SSF §8.1).

pub(crate) mod transmitter;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use self::transmitter::{By, TOKEN, Transmitter, push};
use crate::harness::{Ask, Backend, GREETING, House, Plan, Reply, SESSION_REVOKED, Seen, answer, ok, soon};

/// What operators see of the stream.
async fn status(house: &House) -> Value {
    let status = house.operator(Ask::get("/v1/status")).await.json();
    let mut streams = status["streams"].as_array().into_iter().flatten();
    streams.find(|stream| stream["name"] == "managed").expect("the stream").clone()
}

/// Waits until the stream is so.
async fn becomes(house: &House, state: &str) -> Value {
    soon(&format!("the stream becomes {state}"), async {
        // Counted once it has taken effect.
        while house.metric(&format!("portcullis_stream_state{{state=\"{state}\",stream=\"managed\"}}")).await == 0 {}
        status(house).await
    })
    .await
}

/// An operator does something with the stream.
async fn operator(house: &House, deed: &str) -> (u16, Value) {
    let body = json!({ "do": deed }).to_string();
    let answer = house.operator(Ask::post("/v1/streams/managed", "application/json", body)).await;
    (answer.status, answer.json())
}

async fn shown(house: &House) -> (u16, Value) {
    let answer = house.operator(Ask::get("/v1/streams/managed")).await;
    (answer.status, answer.json())
}

/// The stream was made, and lives: what it did not tell before that is made up for, and a second has passed.
async fn lives(house: &House) -> Value {
    let live = becomes(house, "live").await;
    house.writes_down(&["\"source\":\"blind_stream\""]).await;
    house.seconds_pass(1);
    live
}

/// Waits until everything had to be re-established for that stream so many times.
async fn reestablishes(house: &House, times: usize) {
    soon(&format!("everything is re-established {times} times"), async {
        while house.audited().matches("\"source\":\"blind_stream\"").count() < times {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// `session-revoked` for a user, as of now.
fn revoking(house: &House, user: &str) -> String {
    house.revoking_set(&house.subject_of(user))
}

#[tokio::test]
async fn a_pushed_stream_is_made_verified_and_used() {
    let transmitter = Transmitter::start().await;
    let house = transmitter.house(By::Push).await;
    let created = transmitter.is_asked("POST /stream", 1).await;
    // Only what is the receiver's to say (SSF §8.1.1.1).
    let secret = format!("Bearer {}", house.demo.push_token.expose());
    let url = format!("{}/oauth2/ssf/managed", house.origin());
    assert_eq!(
        created[0].body,
        json!({
            "delivery": { "method": "urn:ietf:rfc:8935", "endpoint_url": url, "authorization_header": secret },
            "events_requested": [SESSION_REVOKED], "description": "portcullis managed",
        })
    );
    assert_eq!(created[0].authorization, format!("Bearer {TOKEN}"));
    let asked = transmitter.is_asked("POST /verify", 1).await;
    assert_eq!(asked[0].body["stream_id"], "stream-1");
    assert_eq!(status(&house).await["state"], "late", "not heard yet");
    transmitter.pushes_what_was_asked(&house).await;
    let live = lives(&house).await;
    assert_eq!((&live["lag"], &live["trouble"]), (&json!(0), &Value::Null));
    assert_eq!(house.metric("portcullis_stream_state{state=\"live\",stream=\"managed\"}").await, 1);

    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    assert_eq!(house.asks(&push(&house, &revoking(&house, "ann"))).await.status, 202);
    ann.fetches("/").await.is_refused("session_revoked");
    house.writes_down(&["\"event\":\"stream_changed\",\"stream\":\"managed\",\"from\":\"late\",\"to\":\"live\""]).await;
    assert!(!house.audited().contains(TOKEN));
}

#[tokio::test]
async fn a_polled_stream_is_made_and_polled_where_the_transmitter_says() {
    let transmitter = Transmitter::start().await;
    let house = transmitter.house(By::Poll).await;
    let created = transmitter.is_asked("POST /stream", 1).await;
    let expected = json!({
        "delivery": { "method": "urn:ietf:rfc:8936" },
        "events_requested": [SESSION_REVOKED], "description": "portcullis managed",
    });
    assert_eq!(created[0].body, expected);
    becomes(&house, "live").await;
    let polls = transmitter.calls("POST /poll");
    assert!(polls.iter().all(|poll| poll.stream_id.as_deref() == Some("stream-1")), "with the query that it gave");
    assert!(polls.iter().all(|poll| poll.authorization == format!("Bearer {TOKEN}")));
}

#[tokio::test]
async fn a_verification_event_counts_with_a_state_that_was_asked_for_or_none() {
    let transmitter = Transmitter::start().await;
    let house = transmitter.house(By::Push).await;
    transmitter.is_asked("POST /verify", 1).await;
    // Unsolicited, right after the stream was made, and without a state: taken (SSF §8.1.4).
    for payload in [json!({}), json!({ "state": null })] {
        assert_eq!(transmitter.pushes_verification(&house, &payload).await, (202, String::new()), "{payload}");
    }
    becomes(&house, "live").await;
    let (code, text) = transmitter.pushes_verification(&house, &json!({ "state": "made up" })).await;
    assert_eq!((code, text.contains("\"err\":\"invalid_state\"")), (400, true), "{text}");
    // Two more are asked for before the first arrives; each is fresh, and each counts, in any order and twice.
    house.seconds_pass(60);
    transmitter.is_asked("POST /verify", 2).await;
    house.seconds_pass(60);
    let asked = transmitter.is_asked("POST /verify", 3).await;
    let states: Vec<_> = asked.iter().map(|call| call.body["state"].as_str().expect("a state").to_owned()).collect();
    assert!(states[0] != states[1] && states[1] != states[2] && states[0].len() >= 16, "{states:?}");
    for state in [&states[2], &states[0], &states[0], &states[1]] {
        let payload = json!({ "state": state });
        assert_eq!(transmitter.pushes_verification(&house, &payload).await, (202, String::new()));
    }
}

#[tokio::test]
async fn a_stream_is_read_changed_and_deleted() {
    let transmitter = Transmitter::start().await;
    let mut house = transmitter.house(By::Push).await;
    transmitter.is_asked("POST /verify", 1).await;
    let (code, seen) = shown(&house).await;
    assert_eq!(
        (code, &seen["transmitter"]["stream_id"], &seen["transmitter"]["status"]),
        (200, &json!("stream-1"), &json!("enabled"))
    );
    assert_eq!(
        transmitter.calls("GET /stream").last().and_then(|call| call.stream_id.clone()).as_deref(),
        Some("stream-1")
    );

    // After a restart the stream that is there is found again, and left alone as it is right.
    transmitter.backend.forget();
    house.start();
    transmitter.is_asked("POST /verify", 1).await;
    assert!(transmitter.calls("POST /stream").is_empty() && transmitter.calls("PATCH /stream").is_empty());

    // Somebody changed it: it is brought back, by a PATCH of what is ours; and by PUT where PATCH is not allowed.
    for (verb, whim) in [("PATCH /stream", ""), ("PUT /stream", "PATCH /stream")] {
        transmitter.backend.forget();
        transmitter.has_whim(move |call| (call.what == whim).then(|| answer("405 Method Not Allowed", "", "")));
        if let Some(stream) = &mut transmitter.state().stream {
            stream["events_requested"] = json!(["urn:other"]);
        }
        house.start();
        let changed = transmitter.is_asked(verb, 1).await;
        assert_eq!(
            (&changed[0].body["stream_id"], &changed[0].body["events_requested"]),
            (&json!("stream-1"), &json!([SESSION_REVOKED]))
        );
        let members = changed[0].body.as_object().expect("an object").len();
        assert_eq!(members, 4, "nothing that is the transmitter's to say: {}", changed[0].body);
        assert!(transmitter.calls("POST /stream").is_empty());
        transmitter.is_asked("POST /verify", 1).await;
    }

    let (code, deleted) = operator(&house, "delete").await;
    assert_eq!((code, &deleted["state"], deleted.get("transmitter")), (200, &json!("gone"), None), "{deleted}");
    let calls = transmitter.calls("DELETE /stream");
    assert_eq!(calls.iter().map(|call| call.stream_id.as_deref()).collect::<Vec<_>>(), [Some("stream-1")]);
    becomes(&house, "gone").await;
    let before = house.audited().matches("blind_stream").count();
    house.seconds_pass(3_600);
    // What was deleted on purpose is not made again by itself, however long it stays dark.
    reestablishes(&house, before + 1).await;
    assert_eq!(shown(&house).await.1["state"], "gone");
    assert!(transmitter.calls("POST /stream").is_empty());
    let (code, made) = operator(&house, "create").await;
    assert_eq!(
        (code, &made["anew"], &made["transmitter"]["stream_id"]),
        (200, &json!(true), &json!("stream-2")),
        "{made}"
    );
}

#[tokio::test]
async fn where_only_one_stream_is_allowed_the_one_that_is_there_is_adopted() {
    let transmitter = Transmitter::start().await;
    // One of ours by method and audience, and pushed elsewhere: the list does not show it as ours.
    transmitter.state().stream = Some(json!({
        "stream_id": "old", "delivery": { "method": "urn:ietf:rfc:8935", "endpoint_url": "https://old.example.com/push" },
        "aud": ["https://other.example.com", crate::harness::AUDIENCE], "events_requested": ["urn:old"], "events_delivered": [],
    }));
    let house = transmitter.house(By::Push).await;
    let changed = transmitter.is_asked("PATCH /stream", 1).await;
    assert_eq!(transmitter.calls("POST /stream").len(), 1, "it was asked for, and refused with 409");
    assert_eq!(changed[0].body["stream_id"], "old");
    assert_eq!(changed[0].body["delivery"]["endpoint_url"], format!("{}/oauth2/ssf/managed", house.origin()));
    transmitter.is_asked("POST /verify", 1).await;
    transmitter.pushes_what_was_asked(&house).await;
    becomes(&house, "live").await;
}

#[tokio::test]
async fn a_transmitter_that_offers_the_least_that_is_allowed_will_do() {
    // Create, read, get status, verify, delete; 405 for all else (CAEP interoperability profile).
    let transmitter = Transmitter::start().await;
    transmitter.has_whim(|call| {
        let more = ["PATCH /stream", "PUT /stream", "POST /status", "POST /subject:add"].contains(&call.what.as_str());
        (more || (call.what == "GET /stream" && call.stream_id.is_none()))
            .then(|| answer("405 Method Not Allowed", "", ""))
    });
    let house = transmitter.house(By::Push).await;
    transmitter.is_asked("POST /verify", 1).await;
    transmitter.pushes_what_was_asked(&house).await;
    becomes(&house, "live").await;
    let (code, refused) = operator(&house, "pause").await;
    assert_eq!(code, 502);
    assert_eq!(refused["error"], "the transmitter does not allow that (405)");
    assert_eq!(shown(&house).await.1["transmitter"]["status"], "enabled");
    assert_eq!(operator(&house, "delete").await.0, 200);
}

#[tokio::test]
async fn an_operator_pauses_resumes_and_verifies() {
    let transmitter = Transmitter::start().await;
    let house = transmitter.house(By::Poll).await;
    becomes(&house, "live").await;
    let (code, paused) = operator(&house, "pause").await;
    assert_eq!((code, &paused["state"], &paused["transmitter"]["status"]), (200, &json!("paused"), &json!("paused")));
    assert_eq!(transmitter.calls("POST /status")[0].body, json!({ "stream_id": "stream-1", "status": "paused" }));
    becomes(&house, "paused").await;
    house.seconds_pass(200);
    assert_eq!(transmitter.calls("POST /status").len(), 1, "what was paused here is not resumed by itself");
    assert_eq!(operator(&house, "resume").await.0, 200);
    becomes(&house, "live").await;
    let (code, verified) = operator(&house, "verify").await;
    assert_eq!((code, verified["verified_after"].is_u64()), (200, true), "{verified}");

    for (path, expected) in [("/v1/streams/demo", 422), ("/v1/streams/none", 404)] {
        let refused = house.operator(Ask::post(path, "application/json", "{\"do\":\"verify\"}")).await;
        assert_eq!(refused.status, expected, "{}", refused.text());
    }
    let pushed = house.operator(Ask::get("/v1/streams/demo")).await.json();
    assert_eq!(pushed["state"], "unsupervised", "a pushed stream that others manage: nothing is claimed");
    let refused = house.operator(Ask::post("/v1/streams/managed", "application/json", "{\"do\":\"dance\"}")).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn a_stream_that_the_transmitter_stops_is_known_at_once_and_asked_back() {
    let transmitter = Transmitter::start().await;
    let house = transmitter.house(By::Push).await;
    transmitter.is_asked("POST /verify", 1).await;
    transmitter.pushes_what_was_asked(&house).await;
    becomes(&house, "live").await;
    transmitter.has_whim(|call| (call.what == "POST /status").then(|| answer("403 Forbidden", "", "")));
    transmitter.state().status = "paused";
    let updated = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";
    let subject = json!({ "format": "opaque", "id": "stream-1" });
    let set = house.set(&subject, updated, &json!({ "status": "paused", "reason": "licence" }));
    assert_eq!(house.asks(&push(&house, &set)).await.status, 202);
    becomes(&house, "paused").await;
    transmitter.is_asked("POST /status", 1).await;
    // It does not let us; some time later it does.
    transmitter.has_whim(|_| None);
    house.seconds_pass(121);
    transmitter.is_asked("POST /status", 2).await;
    transmitter.is_asked("POST /verify", 2).await;
    transmitter.pushes_what_was_asked(&house).await;
    becomes(&house, "live").await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_goes_blind_and_apps_reestablish_until_it_returns() {
    let transmitter = Transmitter::start().await;
    let house = transmitter.house(By::Poll).await;
    lives(&house).await;
    let mut ann = house.browser_of("ann").await;
    transmitter.state().speaks = false;
    house.seconds_pass(170);
    ann.get("/").await.is_let_in();
    assert_ne!(status(&house).await["state"], "blind", "within its bound");
    house.seconds_pass(131);
    becomes(&house, "blind").await;
    house
        .writes_down(&["\"to\":\"blind\"", "\"source\":\"blind_stream\",\"stream\":\"managed\"", "\"app\":\"payroll\""])
        .await;
    ann.fetches("/").await.is_refused("reestablish_required");
    house.seconds_pass(1);
    // The IdP vouches for her again, without a question.
    let again = ann.follows("/").await;
    again.is_let_in();
    assert!(again.trips == 1 && !again.was_asked);
    // It stays blind: from time to time once more.
    house.seconds_pass(900);
    reestablishes(&house, 3).await;
    ann.fetches("/").await.is_refused("reestablish_required");
    house.seconds_pass(1);
    ann.follows("/").await.is_let_in();
    // It returns, and everything heals by itself. What is polled was not lost: nobody is asked again.
    transmitter.state().speaks = true;
    becomes(&house, "live").await;
    ann.get("/").await.is_let_in();
    assert_eq!(house.metric("portcullis_stream_state{state=\"live\",stream=\"managed\"}").await, 1);
    assert_eq!(house.metric("portcullis_stream_state{state=\"blind\",stream=\"managed\"}").await, 0);
}

#[tokio::test]
async fn an_app_that_refuses_is_closed_while_the_stream_is_blind_and_opens_by_itself() {
    let transmitter = Transmitter::start().await;
    let plan = Plan::default()
        .server("trusted_proxies = [\"127.0.0.1/32\"]")
        .app("when_blind = \"refuse\"\nrules = [{ path = \"/open\", access = \"public\" }]");
    let house = transmitter.house_with(By::Poll, &format!("token = \"{TOKEN}\""), "", plan).await;
    becomes(&house, "live").await;
    let mut ann = house.browser_of("ann").await;
    house.backend.does(|seen| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
        if seen.target == "/events" { Reply::Open(head.into()) } else { ok(GREETING) }
    });
    let mut events = house.wire().await;
    events.send(&Ask::get("/events").with("Cookie", &ann.cookies()).bytes(&house.host())).await;
    events.until("data: 1").await;
    transmitter.state().speaks = false;
    house.seconds_pass(301);
    becomes(&house, "blind").await;
    soon("the stream of events is cut", events.is_ended()).await;
    let page = ann.get("/").await.answer;
    assert_eq!((page.status, page.field("retry-after")), (503, Some("30")));
    assert!(page.text().contains("payroll is closed for the moment"), "{}", page.text());
    let script = ann.fetches("/").await.answer;
    assert_eq!((script.status, script.json()["error"].as_str()), (503, Some("blind")));
    assert_eq!(ann.get("/oauth2/start").await.answer.status, 503, "a sign-in would lead nowhere");
    assert_eq!(house.browser().get("/open").await.answer.status, 200, "what is public stays open");
    let asked = [("Method", "GET"), ("Proto", "http"), ("Host", &house.host()), ("Uri", "/")];
    let verdict = asked
        .iter()
        .fold(Ask::get("/oauth2/auth/traefik"), |ask, (name, value)| ask.with(&format!("X-Forwarded-{name}"), value));
    let verdict = house.asks(&verdict.with("Cookie", &ann.cookies())).await;
    assert_eq!((verdict.status, verdict.json()["error"].as_str()), (503, Some("blind")), "{}", verdict.text());
    transmitter.state().speaks = true;
    becomes(&house, "live").await;
    ann.get("/").await.is_let_in();
    assert!(house.metric("portcullis_requests_blocked_total{reason=\"blind\"}").await >= 3);
}

#[tokio::test]
async fn an_app_that_serves_goes_on() {
    let transmitter = Transmitter::start().await;
    let plan = Plan::default().app("when_blind = \"serve\"");
    let house = transmitter.house_with(By::Poll, &format!("token = \"{TOKEN}\""), "", plan).await;
    becomes(&house, "live").await;
    let mut ann = house.browser_of("ann").await;
    transmitter.state().speaks = false;
    house.seconds_pass(301);
    becomes(&house, "blind").await;
    house.writes_down(&["\"to\":\"blind\""]).await;
    ann.get("/").await.is_let_in();
    assert!(!house.audited().contains("blind_stream"));
}

#[tokio::test]
async fn a_stream_that_is_deleted_is_made_anew_and_what_it_missed_is_made_up_for() {
    let transmitter = Transmitter::start().await;
    let house = transmitter.house(By::Poll).await;
    lives(&house).await;
    let mut ann = house.browser_of("ann").await;
    transmitter.backend.forget();
    transmitter.state().stream = None;
    // Found out by the next poll already, or by the question for the status.
    transmitter.is_asked("POST /stream", 1).await;
    becomes(&house, "live").await;
    let (_, seen) = shown(&house).await;
    assert_eq!(seen["transmitter"]["stream_id"], "stream-2");
    house.writes_down(&["\"to\":\"gone\"", "\"from\":\"gone\""]).await;
    ann.fetches("/").await.is_refused("reestablish_required");
    house.seconds_pass(1);
    ann.follows("/").await.is_let_in();
}

/// An authorization server: gives out tokens, and writes down for what.
async fn authorization_server() -> Backend {
    let backend = Backend::start().await;
    let given = AtomicUsize::new(0);
    backend.does(move |_| {
        let number = given.fetch_add(1, Ordering::Relaxed) + 1;
        ok(&json!({ "access_token": format!("at-{number}"), "token_type": "bearer", "expires_in": 1000 }).to_string())
    });
    backend
}

/// What was asked for a token, by name.
fn form(seen: &Seen) -> BTreeMap<String, String> {
    form_urlencoded::parse(&seen.body).into_owned().collect()
}

#[tokio::test]
async fn tokens_are_got_as_an_oauth_client_and_got_anew_before_their_end_and_once_when_refused() {
    let (transmitter, server) = (Transmitter::start().await, authorization_server().await);
    let credential =
        format!("token_url = \"http://{}/token\", client_id = \"gw\", client_secret = \"s3cret:/\"", server.address());
    // It publishes its scopes (RFC 9728): those are asked for.
    let resource = format!("http://{}/stream", transmitter.backend.address());
    let document = json!({ "resource": resource, "scopes_supported": ["x", "ssf.manage"] }).to_string();
    transmitter.says_to("GET /.well-known/oauth-protected-resource/stream", ok(&document));
    let house = transmitter.house_with(By::Poll, &credential, "", Plan::default()).await;
    lives(&house).await;
    assert_eq!(server.count(), 1, "one for all calls, polls too");
    let (asked, first) = (server.last(), form(&server.last()));
    // RFC 6749 §2.3.1: each part form-encoded, then both together in base64.
    assert_eq!(asked.field("authorization").as_deref(), Some("Basic Z3c6czNjcmV0JTNBJTJG"));
    assert_eq!((first["grant_type"].as_str(), first["scope"].as_str()), ("client_credentials", "ssf.manage"));
    assert!(!first.contains_key("client_secret"));
    assert!(transmitter.calls("POST /poll").iter().all(|poll| poll.authorization == "Bearer at-1"));
    // 80 % of its life are over.
    house.seconds_pass(799);
    server.sees("the next token", |log| log.len() == 2).await;
    transmitter.backend.forget();
    transmitter
        .backend
        .sees("a call with it", |log| {
            log.iter().any(|seen| seen.field("authorization").as_deref() == Some("Bearer at-2"))
        })
        .await;
    // The transmitter forgets it: another is got, once, and the call is made again.
    transmitter.has_whim(|call| (call.authorization == "Bearer at-2").then(|| answer("401 Unauthorized", "", "")));
    house.seconds_pass(60);
    server.sees("another token", |log| log.len() == 3).await;
    transmitter
        .backend
        .sees("a call with that", |log| {
            log.iter().any(|seen| seen.field("authorization").as_deref() == Some("Bearer at-3"))
        })
        .await;
    becomes(&house, "live").await;
    assert!(!house.audited().contains("s3cret"));
}

#[tokio::test]
async fn a_client_shows_who_it_is_as_it_is_registered() {
    let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    for (way, credential) in [
        ("post", "client_secret_file = \"secret\", auth = \"post\", scopes = [\"streams\"]"),
        ("key", "key_file = \"client.key\", key_id = \"k1\""),
    ] {
        let (transmitter, server) = (Transmitter::start().await, authorization_server().await);
        let token_url = format!("http://{}/token", server.address());
        let credential = format!("token_url = \"{token_url}\", client_id = \"gw\", {credential}");
        let plan = Plan::default().file("secret", "s3cret").file("client.key", &key);
        let house = transmitter.house_with(By::Poll, &credential, "", plan).await;
        lives(&house).await;
        let (asked, sent) = (server.last(), form(&server.last()));
        assert_eq!(asked.field("authorization"), None, "{way}");
        assert_eq!(sent["client_id"], "gw", "{way}");
        if way == "post" {
            assert_eq!((sent["client_secret"].as_str(), sent["scope"].as_str()), ("s3cret", "streams"));
            continue;
        }
        // Nothing published, nothing configured: the usual two.
        assert_eq!(sent["scope"], "ssf.manage ssf.read");
        assert_eq!(sent["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let part = |number: usize| {
            let part = sent["client_assertion"].split('.').nth(number).expect("a part");
            let bytes =
                base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, part).expect("base64");
            serde_json::from_slice::<Value>(&bytes).expect("JSON")
        };
        assert_eq!((&part(0)["alg"], &part(0)["kid"]), (&json!("ES256"), &json!("k1")));
        let claims = part(1);
        assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&json!("gw"), &json!("gw"), &json!(token_url)));
        assert!(claims["jti"].is_string() && claims["exp"].as_u64() > claims["iat"].as_u64(), "{claims}");
    }
}

#[tokio::test]
async fn what_somebody_has_to_change_is_said() {
    let others = json!({ "aud": "https://other.example.com" });
    for (name, whim, makes, expected) in [
        ("403", Some(("POST /stream", "403 Forbidden")), json!({}), "forbids it (403)"),
        ("401", Some(("GET /stream", "401 Unauthorized")), json!({}), "does not accept our token (401)"),
        ("no stream management", Some(("GET /metadata", "404 Not Found")), json!({}), "set `metadata_url`"),
        ("for somebody else", None, others, "set `audience` to what it says"),
    ] {
        let transmitter = Transmitter::start().await;
        transmitter.state().makes = makes;
        if let Some((what, status)) = whim {
            transmitter.says_to(what, answer(status, "", ""));
        }
        let house = transmitter.house(By::Poll).await;
        let said = soon(name, async {
            loop {
                if let Value::String(trouble) = &status(&house).await["trouble"] {
                    return trouble.clone();
                }
            }
        });
        let said = said.await;
        assert!(said.contains(expected), "{name}: {said}");
        let (code, refused) = operator(&house, "create").await;
        assert_eq!(code, 502, "{name}: {refused}");
        assert!(transmitter.calls("POST /poll").is_empty(), "{name}");
        house.seconds_pass(301);
        becomes(&house, "blind").await;
    }
}

#[tokio::test]
async fn our_token_goes_nowhere_but_to_the_transmitter() {
    let elsewhere = Backend::start().await;
    let place = |path: &str| format!("http://{}{path}", elsewhere.address());
    for (name, metadata, makes) in [
        ("the configuration", json!({ "configuration_endpoint": place("/stream") }), json!({})),
        ("the status", json!({ "status_endpoint": place("/status") }), json!({})),
        ("the verification", json!({ "verification_endpoint": place("/verify") }), json!({})),
        ("the subjects", json!({ "add_subject_endpoint": place("/add"), "default_subjects": "NONE" }), json!({})),
        ("the polls", json!({}), json!({ "delivery": { "endpoint_url": place("/poll") } })),
        ("a cloud's metadata", json!({}), json!({ "delivery": { "endpoint_url": "http://169.254.169.254/latest" } })),
    ] {
        let transmitter = Transmitter::start().await;
        (transmitter.state().metadata, transmitter.state().makes) = (metadata, makes);
        let house = transmitter.house(By::Poll).await;
        if name == "the subjects" {
            lives(&house).await;
            house.browser_of("ann").await;
        }
        soon(name, async {
            while name != "the subjects"
                && status(&house).await["trouble"].as_str().is_none_or(|why| !why.contains("manage.hosts"))
            {
            }
        })
        .await;
        house.seconds_pass(130);
        shown(&house).await;
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test]
async fn who_signs_in_is_added_and_removed_when_their_last_session_ends() {
    let transmitter = Transmitter::start().await;
    transmitter.state().metadata = json!({ "default_subjects": "NONE" });
    let house = transmitter.house(By::Poll).await;
    lives(&house).await;
    // It is busy at first: the sign-in does not wait, and the subject is added later.
    transmitter.says_to("POST /subject:add", answer("429 Too Many Requests", "", ""));
    house.browser_of("ann").await;
    let added = transmitter.is_asked("POST /subject:add", 1).await;
    assert_eq!(added[0].body, json!({ "stream_id": "stream-1", "subject": house.subject_of("ann") }));
    transmitter.has_whim(|_| None);
    // What came of it is noted long before two more polls.
    let polls = transmitter.calls("POST /poll").len();
    transmitter.is_asked("POST /poll", polls + 2).await;
    house.seconds_pass(3);
    transmitter.is_asked("POST /subject:add", 2).await;
    // A second session, an hour later; the first one ends after twelve.
    house.seconds_pass(3_600);
    // So long a silence was darkness; whoever signs in in the same second would have to do it again.
    reestablishes(&house, 2).await;
    house.seconds_pass(1);
    house.browser_of("ann").await;
    house.seconds_pass(11 * 3_600 + 60);
    becomes(&house, "live").await;
    assert!(transmitter.calls("POST /subject:remove").is_empty(), "one of her sessions goes on");
    house.seconds_pass(3_600);
    let removed = transmitter.is_asked("POST /subject:remove", 1).await;
    assert_eq!(removed[0].body, json!({ "stream_id": "stream-1", "subject": house.subject_of("ann") }));
    assert_eq!(transmitter.calls("POST /subject:add").len(), 2, "known already, she was not added again");
}

#[tokio::test]
async fn where_the_transmitter_tells_of_all_nobody_is_added_unless_the_config_knows_better() {
    for (subjects, adds) in [("", false), ("subjects = \"none\"", true), ("subjects = \"all\"", false)] {
        let transmitter = Transmitter::start().await;
        let token = format!("token = \"{TOKEN}\"");
        let house = transmitter.house_with(By::Poll, &token, subjects, Plan::default()).await;
        lives(&house).await;
        house.browser_of("ann").await;
        if adds {
            transmitter.is_asked("POST /subject:add", 1).await;
        }
        // Whatever would be added is, before it is verified again.
        let verified = transmitter.calls("POST /verify").len();
        house.seconds_pass(130);
        transmitter.is_asked("POST /verify", verified + 1).await;
        assert_eq!(!transmitter.calls("POST /subject:add").is_empty(), adds, "`{subjects}`");
    }
}

#[tokio::test]
async fn a_stream_that_cannot_end_a_session_is_shown_to_be_one() {
    let transmitter = Transmitter::start().await;
    transmitter.state().makes = json!({ "events_delivered": ["urn:other"] });
    let house = transmitter.house(By::Poll).await;
    let live = lives(&house).await;
    assert!(
        live["trouble"].as_str().is_some_and(|why| why.contains("no event on this stream that ends a session")),
        "{live}"
    );
    assert_eq!(shown(&house).await.1["transmitter"]["events"], json!(["urn:other"]));
}

#[tokio::test]
async fn what_a_transmitter_puts_off_is_asked_for_again() {
    let transmitter = Transmitter::start().await;
    let mut house = transmitter.house(By::Push).await;
    transmitter.is_asked("POST /verify", 1).await;
    if let Some(stream) = &mut transmitter.state().stream {
        stream["events_requested"] = json!(["urn:other"]);
    }
    transmitter.backend.forget();
    // What the gateway asked for before it was stopped it does not know any more.
    transmitter.state().asked.clear();
    // 202: it will do it, some time (SSF §8.1.1.3).
    transmitter.says_to("PATCH /stream", answer("202 Accepted", "", ""));
    house.start();
    transmitter.is_asked("PATCH /stream", 1).await;
    soon("it is said", async {
        while status(&house).await["trouble"].as_str().is_none_or(|why| !why.contains("(202)")) {}
    })
    .await;
    transmitter.has_whim(|_| None);
    house.seconds_pass(3);
    transmitter.is_asked("PATCH /stream", 2).await;
    transmitter.is_asked("POST /verify", 1).await;
    transmitter.pushes_what_was_asked(&house).await;
    becomes(&house, "live").await;
}

#[tokio::test]
async fn what_the_transmitter_calls_critical_and_nobody_understands_discards_the_event() {
    for (critical, over) in [(json!([]), true), (json!(["rack"]), false)] {
        let transmitter = Transmitter::start().await;
        transmitter.state().metadata = json!({ "critical_subject_members": critical });
        let house = transmitter.house(By::Push).await;
        transmitter.is_asked("POST /verify", 1).await;
        transmitter.pushes_what_was_asked(&house).await;
        lives(&house).await;
        let mut ann = house.browser_of("ann").await;
        house.seconds_pass(1);
        let rack = json!({ "format": "opaque", "id": "7" });
        let subject = json!({ "format": "complex", "user": house.subject_of("ann"), "rack": rack });
        assert_eq!(house.asks(&push(&house, &house.revoking_set(&subject))).await.status, 202);
        if over {
            ann.fetches("/").await.is_refused("session_revoked");
        } else {
            ann.get("/").await.is_let_in();
            assert_eq!(house.metric("portcullis_unmatched_subject_total").await, 1);
        }
    }
}
