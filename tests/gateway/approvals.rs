//! A stream that revokes more people in a minute than it may: what goes beyond is acknowledged, kept, and not in force.

use serde_json::{Value, json};

use crate::harness::{Ask, House, Plan};

async fn approvals(house: &House) -> Value {
    house.operator(Ask::get("/v1/approvals")).await.json()
}

async fn decides(house: &House, request: &Value) -> Value {
    let answer = house.operator(Ask::post("/v1/approvals", "application/json", request.to_string())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn beyond_its_rate_a_stream_revokes_nobody_until_somebody_approves() {
    let mut house = House::of(Plan::default().stream("users_per_minute = 1")).await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    house.seconds_pass(1);
    // The one who is within it, once more, and one beyond.
    for user in ["ann", "ann", "ben"] {
        let set = house.revoking_set(&house.subject_of(user));
        assert_eq!(house.pushes(&set).await.status, 202, "{user}: acknowledged");
    }
    house.seconds_pass(1);
    ann.fetches("/").await.is_refused("session_revoked");
    for restarted in [false, true] {
        if restarted {
            house.stop();
            house.start();
        }
        ben.get("/").await.is_let_in();
        let waiting = approvals(&house).await;
        assert_eq!(waiting.as_array().map(Vec::len), Some(1), "{waiting}");
        assert_eq!((&waiting[0]["stream"], &waiting[0]["source"]), (&json!("demo"), &json!("stream")));
        assert_eq!(waiting[0]["revocation"]["whom"], json!("user 00u-ben"));
    }
    let unclear = house.operator(Ask::post("/v1/approvals", "application/json", r#"{"approve":true}"#)).await;
    assert_eq!(unclear.status, 422, "{}", unclear.text());
    assert_eq!(decides(&house, &json!({ "stream": "other", "approve": true })).await["decided"], 0);
    ben.get("/").await.is_let_in();
    assert_eq!(decides(&house, &json!({ "stream": "demo", "approve": true })).await["decided"], 1);
    ben.fetches("/").await.is_refused("session_revoked");
    assert_eq!(approvals(&house).await, json!([]));
    house.seconds_pass(1);
    ben.signs_in("ben").await.is_let_in();
    house.writes_down(&["\"event\":\"awaiting_approval\"", "\"event\":\"decided\""]).await;
}

#[tokio::test]
async fn a_stream_reaches_its_domains_and_apps_and_no_others() {
    let plan = Plan::default().stream("email_domains = [\"corp.example\"]\napps = [\"wiki\"]");
    let house = House::of(plan.more(
        "[apps.wiki]\nurl = \"http://wiki.localhost:@port@\"\nupstreams = [\"http://127.0.0.1:1\"]\nidp = \"demo\"",
    ))
    .await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let refused = house.pushes(&house.revoking_set(&json!({ "format": "email", "email": "ann@example.com" }))).await;
    assert_eq!((refused.status, &refused.json()["err"]), (400, &json!("access_denied")), "{}", refused.text());
    assert_eq!(house.pushes(&house.revoking_set(&house.subject_of("ann"))).await.status, 202);
    house.seconds_pass(1);
    ann.get("/").await.is_let_in();
}
