//! The operators' console: who gets in, who changes something, and the lines about it.

use serde_json::{Value, json};

use crate::harness::{Arrival, Ask, Browser, House, Plan};

/// A house with a console on its other host, operated by `security`: that is eve.
async fn house() -> House {
    let console = r#"
[apps.ops]
url = "http://127.0.0.1:@port@"
upstreams = ["builtin:console"]
idp = "demo"
allow = { groups = ["security"] }
"#;
    House::of(Plan::default().more(console)).await
}

fn browser(house: &House) -> Browser {
    let mut browser = house.browser();
    browser.at(&format!("http://{}", house.other_host()));
    browser
}

async fn operator(house: &House) -> Browser {
    let mut eve = browser(house);
    let page = eve.signs_in("eve").await;
    assert!(page.answer.status == 200 && page.answer.text().contains("<h1>Now</h1>"), "{}", page.answer.text());
    eve
}

/// A write as a page of the console makes it.
fn write(house: &House, path: &str, body: &Value) -> Ask {
    Ask::post(path, "application/json", body.to_string())
        .with("Origin", &format!("http://{}", house.other_host()))
        .with("X-Portcullis-Console", "1")
        .with("Sec-Fetch-Mode", "cors")
        .with("Sec-Fetch-Site", "same-origin")
}

#[track_caller]
fn is_answered(arrival: &Arrival, status: u16) -> Value {
    assert_eq!(arrival.answer.status, status, "{}", arrival.answer.text());
    arrival.answer.json()
}

#[tokio::test]
async fn only_operators_get_in_and_a_script_is_told_to_sign_in() {
    let house = house().await;
    let mut nobody = browser(&house);
    nobody.get("/").await.is_sent_to_idp();
    nobody.fetches("/api/now").await.is_refused("login_required");
    let mut ben = browser(&house);
    let page = ben.signs_in("ben").await;
    assert_eq!(page.answer.status, 403, "{}", page.answer.text());
    assert_eq!(ben.fetches("/api/now").await.answer.status, 403);
    let refused = ben.asks(&write(&house, "/api/revocations", &json!({ "whom": { "user": "00u-eve" } }))).await;
    assert_eq!(refused.answer.status, 403);
    let mut eve = operator(&house).await;
    let me = is_answered(&eve.fetches("/api/me").await, 200);
    assert_eq!((&me["email"], &me["idp"]), (&json!("eve@example.com"), &json!("demo")));
}

#[tokio::test]
async fn who_operates_is_who_signed_in_whatever_a_header_says() {
    let house = house().await;
    let mut eve = operator(&house).await;
    let mut ask = Ask::get("/api/me").with("Sec-Fetch-Mode", "cors");
    for name in ["X-Forwarded-User", "X-Forwarded-Email", "X-Auth-Request-User", "Remote-User"] {
        ask = ask.with(name, "ann@example.com");
    }
    assert_eq!(is_answered(&eve.asks(&ask).await, 200)["user"], "00u-eve");
}

#[tokio::test]
async fn every_page_comes_with_its_policy_and_all_that_it_is_made_of() {
    let house = house().await;
    let mut eve = operator(&house).await;
    for path in ["/", "/kill", "/revocations", "/people", "/streams", "/apps", "/explain"] {
        let page = eve.get(path).await.answer;
        let policy = page.field("content-security-policy").unwrap_or_default();
        assert!(page.status == 200 && page.text().contains("aria-current=\"page\""), "{path}: {}", page.text());
        for word in ["default-src 'none'", "frame-ancestors 'none'", "script-src 'self'", "style-src 'self'"] {
            assert!(policy.contains(word), "{path}: {policy}");
        }
        for part in page.text().split('"').filter(|part| part.starts_with("/static/")) {
            assert_eq!(eve.fetches(part).await.answer.status, 200, "{part}");
        }
    }
    for path in
        ["/api/now", "/api/outcomes", "/api/holds", "/api/approvals", "/api/apps", "/api/people", "/api/streams/demo"]
    {
        is_answered(&eve.fetches(path).await, 200);
    }
    let url = "/api/explain?url=http%3A%2F%2F127.0.0.1%2Fkill&group=staff";
    let why = is_answered(&eve.fetches(url).await, 200).to_string();
    assert!(why.contains("group security") && why.contains("403 `not_allowed`"), "{why}");
    assert_eq!(eve.fetches("/static/../kill.js").await.answer.status, 404);
    assert_eq!(eve.fetches("/api/secrets").await.answer.status, 404);
}

#[tokio::test]
async fn an_operator_ends_sessions_and_the_audit_log_says_who() {
    let house = house().await;
    let (mut ann, mut eve) = (house.browser_of("ann").await, operator(&house).await);
    house.seconds_pass(1);
    let mut request = json!({ "whom": { "email": "ann@example.com" }, "reason": "INC-4711", "dry_run": true });
    let would = is_answered(&eve.asks(&write(&house, "/api/revocations", &request)).await, 200);
    assert_eq!(would["durable"], false);
    ann.get("/").await.is_let_in();
    request["dry_run"] = json!(false);
    let done = is_answered(&eve.asks(&write(&house, "/api/revocations", &request)).await, 200);
    assert_eq!(done["durable"], true);
    ann.fetches("/").await.is_refused("session_revoked");
    let id = done["revocations"][0]["outcome"].as_str().expect("an id").to_owned();
    let line = house.writes_down(&["operated", "00u-eve", "\"action\":\"revoke\"", &id, "INC-4711"]).await;
    assert!(!line.contains("ann@example.com") && line.contains("\"result\":\"done\""), "{line}");
    assert_eq!(is_answered(&eve.fetches(&format!("/api/outcomes/{id}")).await, 200)["reason"], "INC-4711");
    let person = is_answered(&eve.fetches("/api/people?who=ann%40example.com").await, 200);
    assert_eq!(person["sessions"].as_array().map(Vec::len), Some(1), "{person}");
    // A hold, and its end.
    let hold = json!({ "whom": { "user": "00u-ann" }, "mode": "hold" });
    is_answered(&eve.asks(&write(&house, "/api/revocations", &hold)).await, 200);
    assert_eq!(is_answered(&eve.fetches("/api/holds").await, 200).as_array().map(Vec::len), Some(1));
    let lifted = eve.asks(&write(&house, "/api/lifts", &json!({ "whom": { "user": "00u-ann" } }))).await;
    assert_eq!(is_answered(&lifted, 200)["lifted"], 1);
    house.writes_down(&["operated", "00u-eve", "\"action\":\"lift\""]).await;
    let mistake = eve.asks(&write(&house, "/api/revocations", &json!({ "whom": { "email": "ann" } }))).await;
    assert_eq!(is_answered(&mistake, 422)["field"], "whom.email");
}

#[tokio::test]
async fn nothing_is_changed_by_what_does_not_come_from_a_page_of_the_console() {
    let house = house().await;
    let (mut ann, mut eve) = (house.browser_of("ann").await, operator(&house).await);
    house.seconds_pass(1);
    let body = json!({ "whom": { "email": "ann@example.com" } }).to_string();
    let (ours, theirs) = (format!("http://{}", house.other_host()), house.origin());
    let post = || Ask::post("/api/revocations", "application/json", body.clone());
    for (what, ask) in [
        ("no header of ours", post().with("Origin", &ours)),
        ("no origin", post().with("X-Portcullis-Console", "1")),
        ("another origin", post().with("Origin", &theirs).with("X-Portcullis-Console", "1")),
        ("no origin to name", post().with("Origin", "null").with("X-Portcullis-Console", "1")),
        (
            "the browser says cross-site",
            post().with("Origin", &ours).with("X-Portcullis-Console", "1").with("Sec-Fetch-Site", "cross-site"),
        ),
        ("a form", Ask::post("/api/revocations", "text/plain", body.clone()).with("Origin", &theirs)),
    ] {
        assert_eq!(eve.asks(&ask).await.answer.status, 403, "{what}");
    }
    let text =
        Ask::post("/api/revocations", "text/plain", body).with("Origin", &ours).with("X-Portcullis-Console", "1");
    assert_eq!(eve.asks(&text).await.answer.status, 415);
    ann.get("/").await.is_let_in();
    house.writes_down(&["operated", "00u-eve", "\"result\":\"foreign_origin\""]).await;
}

#[tokio::test]
async fn what_changes_something_takes_a_fresh_sign_in() {
    let house = house().await;
    let (mut ann, mut eve) = (house.browser_of("ann").await, operator(&house).await);
    house.seconds_pass(301);
    let request = json!({ "whom": { "email": "ann@example.com" } });
    let refused = is_answered(&eve.asks(&write(&house, "/api/revocations", &request)).await, 401);
    assert_eq!(refused["error"], "fresh_login_required");
    for (path, body) in [
        ("/api/lifts", json!({ "whom": { "user": "00u-ann" } })),
        ("/api/approvals", json!({ "all": true, "approve": true })),
        ("/api/streams/demo", json!({ "do": "verify" })),
    ] {
        assert_eq!(is_answered(&eve.asks(&write(&house, path, &body)).await, 401)["error"], "fresh_login_required");
    }
    ann.get("/").await.is_let_in();
    // To look first takes none.
    let dry = json!({ "whom": { "email": "ann@example.com" }, "dry_run": true });
    is_answered(&eve.asks(&write(&house, "/api/revocations", &dry)).await, 200);
    let start = format!("{}%2Fkill", refused["login_url"].as_str().expect("a way"));
    let back = eve.opens(&start, Some("eve")).await;
    assert!(back.was_asked, "the IdP asked for the password again");
    assert_eq!(back.url.path(), "/kill", "and back to where they were: {}", back.url);
    is_answered(&eve.asks(&write(&house, "/api/revocations", &request)).await, 200);
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn an_operator_who_ends_their_own_session_hears_that_it_is_done_and_is_out() {
    let house = house().await;
    let mut eve = operator(&house).await;
    house.seconds_pass(1);
    let request = json!({ "whom": { "email": "eve@example.com" } });
    let done = is_answered(&eve.asks(&write(&house, "/api/revocations", &request)).await, 200);
    assert_eq!(done["durable"], true);
    eve.fetches("/api/now").await.is_refused("session_revoked");
    house.writes_down(&["operated", "\"action\":\"revoke\"", "\"result\":\"done\""]).await;
}

#[tokio::test]
async fn a_page_hears_what_happens_until_its_operator_is_revoked() {
    let house = house().await;
    let eve = operator(&house).await;
    let mut wire = house.wire().await;
    wire.send(&Ask::get("/api/events").with("Cookie", &eve.cookies()).bytes(&house.other_host())).await;
    wire.until("event: now").await;
    wire.until("\"streams\":[{").await;
    house.seconds_pass(1);
    house.operator_revokes(&json!({ "whom": { "email": "eve@example.com" } })).await;
    wire.is_ended().await;
}
