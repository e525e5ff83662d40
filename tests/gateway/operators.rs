//! The operators' door, as a playbook uses it.

use serde_json::{Value, json};

use crate::harness::{Answer, Ask, Browser, House, Plan, Reply, Wire, ok};

const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";

/// A house with two apps, and streams in both.
async fn house() -> House {
    let house = House::of(Plan::default().with_wiki()).await;
    house.backend.does(|seen| {
        if seen.target.ends_with("/stream") { Reply::Open(STREAM.to_vec()) } else { ok("hello from the app") }
    });
    house
}

async fn streams(house: &House, browser: &Browser, path: &str) -> Wire {
    let mut wire = house.wire().await;
    wire.send(&Ask::get(path).with("Cookie", &browser.cookies()).bytes(&house.host())).await;
    wire.until("data: 1").await;
    wire
}

async fn asks(house: &House, path: &str, key: Option<&str>, body: &Value) -> Answer {
    let mut ask = Ask::post(path, "application/json", body.to_string());
    if let Some(key) = key {
        ask = ask.with("Idempotency-Key", key);
    }
    house.operator(ask).await
}

#[tokio::test]
async fn a_dry_run_counts_whom_it_would_meet_by_app_and_ends_nothing() {
    let house = house().await;
    let (ann, phone, ben) =
        (house.browser_of("ann").await, house.browser_of("ann").await, house.browser_of("ben").await);
    let mut wires = Vec::new();
    for (browser, path) in
        [(&ann, "/stream"), (&ann, "/wiki/stream"), (&ann, "/wiki/stream"), (&phone, "/wiki/stream"), (&ben, "/stream")]
    {
        wires.push(streams(&house, browser, path).await);
    }
    house.seconds_pass(1);
    let email = json!({ "email": "ann@example.com" });
    let payroll = json!({ "app": "payroll", "people": 1, "sessions": 1, "exchanges": { "sse": 1 } });
    let wiki = json!({ "app": "wiki", "people": 1, "sessions": 2, "exchanges": { "sse": 3 } });
    let both = json!({ "app": "payroll", "people": 2, "sessions": 2, "exchanges": { "sse": 2 } });
    for (request, expected) in [
        (json!({ "whom": email }), json!({ "people": 1, "sessions": 2, "exchanges": 4, "apps": [payroll, wiki] })),
        (
            json!({ "whom": email, "apps": ["wiki"], "mode": "hold" }),
            json!({ "people": 1, "sessions": 2, "exchanges": 3, "apps": [wiki] }),
        ),
        (
            json!({ "whom": { "everyone": true }, "mode": "reestablish" }),
            json!({ "people": 2, "sessions": 3, "exchanges": 5, "apps": [both, wiki] }),
        ),
        (json!({ "whom": { "user": "nobody" } }), json!({ "people": 0, "sessions": 0, "exchanges": 0, "apps": [] })),
        (
            json!({ "whom": email, "as_of": house.clock.now().secs() - 60 }),
            json!({ "people": 0, "sessions": 0, "exchanges": 0, "apps": [] }),
        ),
    ] {
        let mut request = request;
        request["dry_run"] = json!(true);
        let answer = asks(&house, "/v1/revocations", None, &request).await;
        assert_eq!((answer.status, &answer.json()["met"]), (200, &expected), "{request}: {}", answer.text());
        assert_eq!(answer.json()["cut"], expected["exchanges"], "{request}");
    }
    assert_eq!(house.operator(Ask::get("/v1/status")).await.json()["exchanges"], 5);
    let answer = asks(&house, "/v1/revocations", None, &json!({ "whom": email })).await.json();
    assert_eq!((&answer["cut"], &answer["met"]["sessions"]), (&json!(4), &json!(2)), "{answer}");
    for wire in &mut wires[..4] {
        wire.is_ended().await;
    }
    assert_eq!(house.operator(Ask::get("/v1/status")).await.json()["exchanges"], 1, "ben's goes on");
}

#[tokio::test]
async fn a_playbook_that_asks_twice_under_one_key_throws_nobody_out_twice() {
    let mut house = house().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let request = json!({ "whom": { "email": "ann@example.com" }, "reason": "INC-4711" });
    let first = asks(&house, "/v1/revocations", Some("INC-4711"), &request).await;
    assert_eq!((first.status, first.field("idempotency-replayed")), (200, None), "{}", first.text());
    ann.fetches("/").await.is_refused("session_revoked");
    house.seconds_pass(1);
    ann.signs_in("ann").await.is_let_in();
    house.seconds_pass(1);
    let again = asks(&house, "/v1/revocations", Some("INC-4711"), &request).await;
    assert_eq!((again.status, again.field("idempotency-replayed")), (200, Some("true")));
    assert_eq!(again.text(), first.text());
    ann.get("/").await.is_let_in();
    let other = json!({ "whom": { "email": "ben@example.com" } });
    let refused = asks(&house, "/v1/revocations", Some("INC-4711"), &other).await;
    assert_eq!((refused.status, &refused.json()["field"]), (422, &json!("Idempotency-Key")), "{}", refused.text());
    // With the moment in it, the same request is the same revocation, whatever is forgotten in between.
    let mut dated = request.clone();
    dated["as_of"] = first.json()["revocations"][0]["cut_off"].clone();
    house.stop();
    house.start();
    for key in [Some("INC-4711"), None] {
        assert_eq!(asks(&house, "/v1/revocations", key, &dated).await.status, 200);
    }
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn a_lifting_with_a_moment_lifts_no_newer_hold() {
    let house = house().await;
    let hold = json!({ "whom": { "email": "ann@example.com" }, "mode": "hold" });
    let mut lift = json!({ "whom": { "email": "ann@example.com" } });
    let lifted = async |lift: &Value| {
        let answer = asks(&house, "/v1/lifts", None, lift).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["lifted"].clone()
    };
    assert_eq!(asks(&house, "/v1/revocations", None, &hold).await.status, 200);
    lift["as_of"] = json!(house.clock.now());
    assert_eq!(lifted(&lift).await, json!(1));
    house.seconds_pass(2);
    assert_eq!(asks(&house, "/v1/revocations", None, &hold).await.status, 200);
    assert_eq!(lifted(&lift).await, json!(0), "the playbook meant the first");
    assert_eq!(house.operator(Ask::get("/v1/holds")).await.json().as_array().map(Vec::len), Some(1));
    lift.as_object_mut().expect("an object").remove("as_of");
    assert_eq!(lifted(&lift).await, json!(1));
}

#[tokio::test]
async fn the_door_describes_itself_and_says_what_is_wrong_with_a_request() {
    let house = house().await;
    let described = Wire::once(
        house.admin_address(),
        &Ask::get("/v1/openapi.json").with("Connection", "close").bytes(&house.admin_address().to_string()),
    )
    .await;
    assert_eq!((described.status, described.field("content-type")), (200, Some("application/json")));
    assert_eq!(described.json()["openapi"], "3.1.0");
    for (request, field) in [
        (json!({ "whom": {} }), "whom"),
        (json!({ "whom": { "email": "ann" } }), "whom.email"),
        (json!({ "whom": { "user": "a" }, "idp": "demi" }), "idp"),
        (json!({ "whom": { "user": "a" }, "apps": ["payrol"] }), "apps"),
        (json!({ "whom": { "user": "a" }, "as_of": house.clock.now().secs() + 60 }), "as_of"),
    ] {
        let answer = asks(&house, "/v1/revocations", None, &request).await;
        let problem = answer.json();
        assert_eq!((answer.status, &problem["field"]), (422, &json!(field)), "{problem}");
        assert!(problem["remedy"].is_string(), "{problem}");
    }
}
