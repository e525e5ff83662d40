//! OpenID Provider Commands: the IdP says what becomes of somebody, and is told how they stand.

use serde_json::{Value, json};

use crate::harness::{Answer, Ask, Browser, House, Plan};

const PATH: &str = "/oauth2/commands/demo";
const TYP: Option<&str> = Some("command+jwt");
const FORM: &str = "application/x-www-form-urlencoded";

async fn house() -> House {
    House::of(Plan::default().idp("commands = {}")).await
}

async fn house_for_tenants() -> House {
    let house = House::of(Plan::default().idp("commands = { widest = \"tenant\" }")).await;
    for (user, tenant) in [("ann", "t-one"), ("ben", "t-two")] {
        house.idp_says(user, &json!({ "tenant": tenant }));
    }
    house
}

/// The IdP's command, as the draft has it, with these changes.
fn token(house: &House, typ: Option<&str>, changes: &Value) -> String {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let (now, n) = (house.clock.now().secs(), NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let mut claims = json!({
        "iss": house.demo.issuer, "aud": format!("{}{PATH}", house.origin()), "client_id": "portcullis",
        "jti": format!("c{n}"), "iat": now, "exp": now + 60, "tenant": "t-one", "sub": house.demo.idp.subject("ann"),
    });
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    house.demo.idp.sign(typ, &claims).expect("a token")
}

fn posted(token: &str) -> Ask {
    let mut form = form_urlencoded::Serializer::new(String::new());
    Ask::post(PATH, FORM, form.append_pair("command_token", token).append_pair("more", "x").finish())
}

/// Ann's IdP commands something about her; a second passes before, so that it is newer than what was.
async fn commands(house: &House, command: &str) -> Answer {
    house.seconds_pass(1);
    house.asks(&posted(&token(house, TYP, &json!({ "command": command })))).await
}

#[track_caller]
fn stands(answer: &Answer, status: u16, state: &str) {
    let body = answer.json();
    assert_eq!((answer.status, body["account_state"].as_str()), (status, Some(state)), "{}", answer.text());
    assert_eq!(body["sub"].as_str(), Some("00u-ann"), "{}", answer.text());
    let error = if status == 409 { Some("incompatible_state") } else { None };
    assert_eq!(body["error"].as_str(), error, "{}", answer.text());
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("content-type"), Some("application/json"));
}

#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str, what: &str) {
    let body = answer.json();
    assert_eq!((answer.status, body["error"].as_str()), (status, Some(error)), "{what}: {}", answer.text());
    assert_eq!(answer.field("cache-control"), Some("no-store"), "{what}");
    assert!(!answer.text().contains("00u-ann"), "{what}: {}", answer.text());
}

async fn is_on_hold(browser: &mut Browser) {
    let answer = browser.fetches("/").await.answer;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (403, Some("on_hold")), "{}", answer.text());
}

async fn comes_back(house: &House, browser: &mut Browser, user: &str) {
    house.seconds_pass(1);
    browser.signs_in(user).await.is_let_in();
}

#[tokio::test]
async fn invalidate_ends_everything_of_one_person_who_may_sign_in_again() {
    let house = house().await;
    let (mut ann, mut phone, mut ben) =
        (house.browser_of("ann").await, house.browser_of("ann").await, house.browser_of("ben").await);
    stands(&commands(&house, "invalidate").await, 200, "active");
    for browser in [&mut ann, &mut phone] {
        browser.fetches("/").await.is_refused("session_revoked");
    }
    ben.get("/").await.is_let_in();
    comes_back(&house, &mut ann, "ann").await;
    let audited = house.writes_down(&["\"event\":\"revoked\""]).await;
    let line = audited.lines().find(|line| line.contains("\"event\":\"revoked\"")).expect("a line");
    for part in ["\"source\":\"command\"", "\"idp\":\"demo\"", "\"jti\":\"c", "\"mode\":\"terminate\""] {
        assert!(line.contains(part), "`{part}` is not in {line}");
    }
    let line = "portcullis_revocations_total{mode=\"terminate\",result=\"durable\",source=\"command\"}";
    assert_eq!(house.metric(line).await, 1);
}

/// Each way to hold somebody, and its way back.
#[tokio::test]
async fn who_is_suspended_archived_or_deleted_does_not_get_in_until_the_idp_says_so_also_after_a_restart() {
    let mut house = house().await;
    let mut ben = house.browser_of("ben").await;
    for (away, state, back) in
        [("suspend", "suspended", "reactivate"), ("archive", "archived", "restore"), ("delete", "unknown", "activate")]
    {
        let mut ann = house.browser_of("ann").await;
        stands(&commands(&house, away).await, 200, state);
        stands(&commands(&house, "audit").await, 200, state);
        is_on_hold(&mut ann).await;
        house.stop();
        house.start();
        house.seconds_pass(1);
        let told = ann.signs_in("ann").await;
        assert_ne!(told.answer.status, 200, "{away}: {}", told.answer.text());
        stands(&commands(&house, "audit").await, 200, state);
        stands(&commands(&house, back).await, 200, "active");
        comes_back(&house, &mut ann, "ann").await;
        stands(&commands(&house, "audit").await, 200, "active");
        ben.get("/").await.is_let_in();
        house.seconds_pass(1);
    }
}

#[tokio::test]
async fn a_command_that_does_not_fit_the_state_says_how_the_account_stands() {
    let house = house().await;
    for (before, command, status, state) in [
        ("audit", "reactivate", 409, "active"),
        ("audit", "restore", 409, "active"),
        ("audit", "activate", 200, "active"),
        ("suspend", "suspend", 409, "suspended"),
        ("audit", "invalidate", 409, "suspended"),
        ("audit", "restore", 409, "suspended"),
        ("audit", "activate", 409, "suspended"),
        ("audit", "archive", 200, "archived"),
        ("audit", "archive", 409, "archived"),
        ("audit", "suspend", 409, "archived"),
        ("audit", "reactivate", 409, "archived"),
        ("audit", "delete", 200, "unknown"),
        ("audit", "delete", 409, "unknown"),
        ("audit", "invalidate", 409, "unknown"),
        ("audit", "reactivate", 409, "unknown"),
        ("audit", "activate", 200, "active"),
        ("audit", "reactivate", 409, "active"),
    ] {
        commands(&house, before).await;
        stands(&commands(&house, command).await, status, state);
    }
}

#[tokio::test]
async fn what_an_operator_holds_no_command_lifts() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    let whom = json!({ "user": "00u-ann" });
    house.operator_revokes(&json!({ "whom": whom, "mode": "hold" })).await;
    for (command, status) in
        [("audit", 200), ("reactivate", 409), ("activate", 409), ("suspend", 409), ("reactivate", 409), ("delete", 409)]
    {
        stands(&commands(&house, command).await, status, "suspended");
        is_on_hold(&mut ann).await;
    }
    let lifted = house.operator(Ask::post("/v1/lifts", "application/json", json!({ "whom": whom }).to_string())).await;
    assert_eq!(lifted.json()["lifted"], 1);
    stands(&commands(&house, "audit").await, 200, "active");
}

#[tokio::test]
async fn commands_that_come_late_undo_nothing_that_is_newer() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let [suspends, reactivates, invalidates] =
        ["suspend", "reactivate", "invalidate"].map(|command| token(&house, TYP, &json!({ "command": command })));
    house.seconds_pass(1);
    stands(&commands(&house, "suspend").await, 200, "suspended");
    stands(&house.asks(&posted(&reactivates)).await, 409, "suspended");
    is_on_hold(&mut ann).await;
    stands(&commands(&house, "reactivate").await, 200, "active");
    comes_back(&house, &mut ann, "ann").await;
    assert_eq!(house.asks(&posted(&invalidates)).await.status, 200);
    // It is over before it began: a newer word lifted it.
    house.asks(&posted(&suspends)).await;
    ann.get("/").await.is_let_in();
    stands(&commands(&house, "audit").await, 200, "active");
}

#[tokio::test]
async fn metadata_says_what_is_done_here() {
    for (plan, tenants) in [("commands = {}", false), ("commands = { widest = \"tenant\" }", true)] {
        let house = House::of(Plan::default().idp(plan)).await;
        let changes =
            json!({ "command": "metadata", "sub": null, "callback_token": "t", "metadata": { "domains": [] } });
        let answer = house.asks(&posted(&token(&house, TYP, &changes))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        let told = answer.json();
        assert_eq!(told["context"], json!({ "iss": house.demo.issuer, "tenant": "t-one" }));
        assert_eq!(told["command_endpoint"], json!(format!("{}{PATH}", house.origin())));
        assert_eq!(told["client_id"], "portcullis");
        let listed: Vec<&str> =
            told["commands_supported"].as_array().expect("a list").iter().flat_map(Value::as_str).collect();
        let mut expected = vec![
            "metadata",
            "activate",
            "suspend",
            "reactivate",
            "archive",
            "restore",
            "delete",
            "audit",
            "invalidate",
        ];
        if tenants {
            expected.extend(["suspend_tenant", "archive_tenant", "delete_tenant", "invalidate_tenant"]);
        }
        assert_eq!(listed, expected);
        let bare = json!({ "command": "metadata", "sub": null, "tenant": null });
        let answer = house.asks(&posted(&token(&house, TYP, &bare))).await.json();
        assert_eq!(answer["context"], json!({ "iss": house.demo.issuer }));
    }
}

#[tokio::test]
async fn a_command_for_a_tenant_reaches_its_people_and_no_others_and_answers_as_asked() {
    let house = house_for_tenants().await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    let of_tenant = |command: &str| token(&house, TYP, &json!({ "command": command, "sub": null }));
    house.seconds_pass(1);
    let answer = house.asks(&posted(&of_tenant("invalidate_tenant"))).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "total_accounts": 0 })));
    ann.fetches("/").await.is_refused("session_revoked");
    ben.get("/").await.is_let_in();
    comes_back(&house, &mut ann, "ann").await;
    house.seconds_pass(1);
    let streamed = posted(&of_tenant("suspend_tenant")).with("Accept", "text/event-stream");
    let answer = house.asks(&streamed).await;
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("text/event-stream")));
    assert_eq!(answer.text(), "id: 1\nevent: command-complete\ndata: {\"total_accounts\":0}\n\n");
    is_on_hold(&mut ann).await;
    ben.get("/").await.is_let_in();
    // The tenant's hold is not hers: the IdP has no command that lifts it, an operator has.
    stands(&commands(&house, "audit").await, 200, "suspended");
    stands(&commands(&house, "reactivate").await, 409, "suspended");
    let again = posted(&of_tenant("invalidate_tenant")).with("Last-Event-Id", "1");
    refused(&house.asks(&again).await, 404, "last-event-id-unavailable", "to go on where it ended");
}

#[tokio::test]
async fn a_command_wider_than_the_config_allows_is_refused_and_written_down() {
    let house = house().await;
    house.idp_says("ann", &json!({ "tenant": "t-one" }));
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    for command in ["invalidate_tenant", "suspend_tenant", "archive_tenant", "delete_tenant"] {
        let answer = house.asks(&posted(&token(&house, TYP, &json!({ "command": command, "sub": null })))).await;
        refused(&answer, 400, "unsupported_command", command);
    }
    ann.get("/").await.is_let_in();
    house.writes_down(&["\"source\":\"command\"", "too_wide"]).await;
    assert_eq!(house.metric("portcullis_set_rejected_total{why=\"too_wide\"}").await, 4);
}

#[tokio::test]
async fn what_is_no_command_has_its_exact_answer_and_ends_nothing() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let now = house.clock.now().secs();
    let with = |changes: Value| {
        let mut all = json!({ "command": "invalidate" });
        all.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        token(&house, TYP, &all)
    };
    let typed = |typ: Option<&str>| token(&house, typ, &json!({ "command": "invalidate" }));
    let invalid = "invalid_request";
    for (what, token, status, error) in [
        ("an ID token", typed(Some("JWT")), 400, invalid),
        ("no typ", typed(None), 400, invalid),
        ("a SET", house.revoking_set(&house.subject_of("ann")), 400, invalid),
        ("a logout token", typed(Some("logout+jwt")), 400, invalid),
        ("a global revocation", typed(Some("global-token-revocation+jwt")), 400, invalid),
        ("another endpoint", with(json!({ "aud": format!("{}/oauth2/x", house.origin()) })), 400, invalid),
        ("our client id", with(json!({ "aud": "portcullis" })), 400, invalid),
        ("another issuer", with(json!({ "iss": "https://evil.example.com" })), 401, "unrecognized_provider"),
        ("another client", with(json!({ "client_id": "other" })), 400, invalid),
        ("no client", with(json!({ "client_id": null })), 400, invalid),
        ("without end", with(json!({ "exp": null })), 400, invalid),
        ("over", with(json!({ "iat": now - 400, "exp": now - 100 })), 400, invalid),
        ("good for a year", with(json!({ "exp": now + 31_536_000 })), 400, invalid),
        ("from the future", with(json!({ "iat": now + 3_600, "exp": now + 3_660 })), 400, invalid),
        ("without jti", with(json!({ "jti": null })), 400, invalid),
        ("with a nonce", with(json!({ "nonce": "n" })), 400, invalid),
        ("with a call-back", with(json!({ "callback_token": "t" })), 400, invalid),
        ("about nobody", with(json!({ "sub": null })), 400, invalid),
        ("no command", with(json!({ "command": null })), 400, invalid),
        ("later", with(json!({ "command": "invalidate_async", "callback_token": "t" })), 400, "unsupported_command"),
        ("new claims", with(json!({ "command": "maintain" })), 400, "unsupported_command"),
        ("a new provider", with(json!({ "command": "migrate" })), 400, "unsupported_command"),
        ("a list of people", with(json!({ "command": "audit_tenant", "sub": null })), 400, "unsupported_command"),
        ("an unknown one", with(json!({ "command": "https://x.example/y" })), 400, "unsupported_command"),
        ("nonsense", "x.y.z".to_owned(), 400, invalid),
    ] {
        refused(&house.asks(&posted(&token)).await, status, error, what);
    }
    let good = token(&house, TYP, &json!({ "command": "invalidate" }));
    for (what, ask) in [
        ("JSON", Ask::post(PATH, "application/json", json!({ "command_token": good }).to_string())),
        ("no token", Ask::post(PATH, FORM, "token=x")),
        ("two tokens", Ask::post(PATH, FORM, format!("command_token={good}&command_token={good}"))),
        ("nothing", Ask::post(PATH, FORM, "")),
    ] {
        refused(&house.asks(&ask).await, 400, invalid, what);
    }
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(house.asks(&Ask::new(method, PATH)).await.status, 405, "{method}");
    }
    assert_eq!(house.asks(&Ask::post("/oauth2/commands/other", FORM, "command_token=x")).await.status, 404);
    ann.get("/").await.is_let_in();
    // No other endpoint takes a command either.
    assert_eq!(house.pushes(&good).await.status, 400);
    assert_eq!(house.is_told_to_log_out(&good).await.status, 400);
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn a_foreign_key_is_no_provider_of_ours() {
    let (house, stranger) = (house().await, house().await);
    let claims = json!({
        "iss": house.demo.issuer, "aud": format!("{}{PATH}", house.origin()), "client_id": "portcullis", "jti": "s1",
        "iat": house.clock.now(), "exp": house.clock.now().secs() + 60, "command": "invalidate", "sub": "00u-ann",
    });
    let signed = stranger.demo.idp.sign(TYP, &claims).expect("a token");
    let answer = house.asks(&posted(&signed)).await;
    // Its key has a name that the IdP's has, too, or another one: either way it is not the IdP.
    assert!(matches!(answer.status, 400 | 401), "{}", answer.text());
}

#[tokio::test]
async fn they_are_off_unless_the_config_has_them() {
    let house = House::new().await;
    assert_eq!(commands(&house, "invalidate").await.status, 404);
}

#[tokio::test]
async fn a_token_counts_once() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let token = token(&house, TYP, &json!({ "command": "invalidate" }));
    stands(&house.asks(&posted(&token)).await, 200, "active");
    refused(&house.asks(&posted(&token)).await, 400, "invalid_request", "again");
    ann.fetches("/").await.is_refused("session_revoked");
    assert_eq!(house.metric("portcullis_set_rejected_total{why=\"replayed\"}").await, 1);
}

#[tokio::test]
async fn what_cannot_be_written_down_is_in_force_and_the_same_token_may_come_again() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    house.ruins_the_ledger();
    let suspends = token(&house, TYP, &json!({ "command": "suspend" }));
    for _ in 0..2 {
        let answer = house.asks(&posted(&suspends)).await;
        assert_eq!((answer.status, answer.field("retry-after"), answer.body.len()), (503, Some("5"), 0));
        is_on_hold(&mut ann).await;
    }
    house.mends_the_ledger();
    // It was in force all the time, and so the account stands as it was wanted.
    stands(&house.asks(&posted(&suspends)).await, 409, "suspended");
    refused(&house.asks(&posted(&suspends)).await, 400, "invalid_request", "once it is on disk it counts once");
    let mut house = house;
    house.stop();
    house.start();
    stands(&commands(&house, "audit").await, 200, "suspended");
}

#[tokio::test]
async fn the_endpoint_can_have_another_name_outside() {
    let house = House::of(Plan::default().idp("commands = { audience = \"https://public.example/commands\" }")).await;
    refused(&commands(&house, "invalidate").await, 400, "invalid_request", "the usual name");
    let changes = json!({ "command": "invalidate", "aud": "https://public.example/commands" });
    stands(&house.asks(&posted(&token(&house, TYP, &changes))).await, 200, "active");
}
