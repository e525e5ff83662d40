//! Access tokens of the IdP: who bears one is let in or told what is missing, and is out with everybody else.

use portcullis::demo::idp::Fault;
use serde_json::{Value, json};

use crate::harness::{Answer, Ask, House, Plan, is_refused};

const RULES: &str = r#"bearer = { audience = "https://api.example" }
rules = [
  { path = "/api", access = "bearer" },
  { path = "/both", access = "either" },
  { path = "/api/admin", access = "bearer", allow = { groups = ["admins"] } },
  { path = "/api/write", access = "bearer", allow = { claims = { scope = ["write"] } } },
]"#;

async fn house() -> House {
    House::of(Plan::default().app(RULES)).await
}

/// A token of the IdP's for `user`, with these claims besides or instead of the usual.
fn token(house: &House, user: &str, changes: &Value) -> String {
    signed(house, Some("at+jwt"), user, changes)
}

fn signed(house: &House, typ: Option<&str>, user: &str, changes: &Value) -> String {
    let now = house.clock.now().secs();
    let mut claims = json!({
        "iss": house.demo.issuer, "aud": "https://api.example", "sub": house.demo.idp.subject(user).expect("a user"),
        "email": format!("{user}@example.com"), "client_id": "cli", "scope": "read",
        "iat": now, "exp": now + 600, "auth_time": now, "jti": "j",
    });
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    house.demo.idp.sign(typ, &claims).expect("a token")
}

async fn calls(house: &House, path: &str, token: &str) -> Answer {
    house.asks(&Ask::get(path).with("Authorization", &format!("Bearer {token}"))).await
}

#[tokio::test]
async fn a_token_of_the_idp_is_let_in_where_tokens_are_asked_for_and_the_app_is_told_who() {
    let house = house().await;
    let ann = token(&house, "ann", &json!({}));
    for path in ["/api/x", "/both"] {
        assert_eq!(calls(&house, path, &ann).await.status, 200, "{path}");
        let seen = house.backend.last();
        assert_eq!(seen.field("x-forwarded-user").as_deref(), Some("00u-ann"));
        assert_eq!(seen.field("authorization"), Some(format!("Bearer {ann}")), "the app may look for itself");
    }
    // Elsewhere `Authorization` is the app's own affair, and no evidence.
    assert_eq!(calls(&house, "/", &ann).await.json()["error"], "login_required");
}

#[tokio::test]
async fn a_session_is_enough_where_either_is_and_a_page_is_sent_to_sign_in() {
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    browser.get("/both").await.is_let_in();
    // A cookie comes by itself, wherever a request was made; so it is not enough where a token is asked for.
    is_refused(&browser.get("/api/x").await.answer, "token_required", "");
    is_refused(&house.asks(&Ask::get("/both").with("Accept", "application/json")).await, "login_required", "");
    house.browser().get("/both").await.is_sent_to_idp();
    is_refused(&house.browser().get("/api/x").await.answer, "token_required", "");
    // Both, of one person; both, of two.
    let of = |user: &str| format!("Bearer {}", token(&house, user, &json!({})));
    assert_eq!(browser.asks(&Ask::get("/api/x").with("Authorization", &of("ann"))).await.answer.status, 200);
    let mixed = browser.asks(&Ask::get("/api/x").with("Authorization", &of("ben"))).await.answer;
    assert_eq!((mixed.status, mixed.json()["error"].as_str()), (400, Some("mixed_credentials")));
}

#[tokio::test]
async fn what_is_no_access_token_for_this_app_is_refused_and_the_app_sees_nothing() {
    let house = house().await;
    let now = house.clock.now().secs();
    for (what, token) in [
        ("nothing", String::new()),
        ("no token", "x".to_owned()),
        ("an opaque one, which nobody asks about", "2YotnFZFEjr1zCsicMWpAA".to_owned()),
        ("for another", token(&house, "ann", &json!({ "aud": "https://other.example" }))),
        ("for nobody", token(&house, "ann", &json!({ "aud": null }))),
        ("without an end", token(&house, "ann", &json!({ "exp": null }))),
        ("over", token(&house, "ann", &json!({ "exp": now }))),
        ("an ID token", signed(&house, None, "ann", &json!({ "nonce": "n" }))),
        ("an ID token as at+jwt", token(&house, "ann", &json!({ "nonce": "n" }))),
        ("a SET", signed(&house, Some("secevent+jwt"), "ann", &json!({}))),
        ("bound to a key", token(&house, "ann", &json!({ "cnf": { "jkt": "k" } }))),
    ] {
        for path in ["/api/x", "/both"] {
            let answer = calls(&house, path, &token).await;
            assert!(matches!(answer.json()["error"].as_str(), Some("invalid_token")), "{what}: {}", answer.text());
            assert_eq!(answer.status, 401, "{what}");
        }
    }
    assert_eq!(house.backend.count(), 0);
}

#[tokio::test]
async fn who_is_not_admitted_is_told_that_another_token_may_be() {
    let house = house().await;
    let reader = token(&house, "ann", &json!({}));
    for path in ["/api/admin/x", "/api/write"] {
        let answer = calls(&house, path, &reader).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (403, Some("not_allowed")), "{path}");
        assert!(answer.field("www-authenticate").is_some_and(|field| field.contains("insufficient_scope")));
    }
    let admin = token(&house, "ann", &json!({ "groups": ["admins"], "scope": "read write" }));
    for path in ["/api/admin/x", "/api/write"] {
        assert_eq!(calls(&house, path, &admin).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn after_a_termination_only_a_login_that_is_newer_counts_whenever_the_token_was_issued() {
    let mut house = house().await;
    let login = house.clock.now().secs();
    let (before, bens) = (token(&house, "ann", &json!({})), token(&house, "ben", &json!({})));
    house.revokes("ann").await;
    let refreshed = |house: &House| token(house, "ann", &json!({ "auth_time": login }));
    let silent = |house: &House| token(house, "ann", &json!({ "auth_time": null }));
    for restarted in [false, true] {
        if restarted {
            house.stop();
            house.start();
        }
        let fresh = "error=\"insufficient_user_authentication\"";
        is_refused(&calls(&house, "/api/x", &before).await, "session_revoked", fresh);
        is_refused(&calls(&house, "/api/x", &refreshed(&house)).await, "session_revoked", fresh);
        is_refused(&calls(&house, "/api/x", &silent(&house)).await, "session_revoked", fresh);
        assert_eq!(calls(&house, "/api/x", &bens).await.status, 200);
        assert_eq!(calls(&house, "/api/x", &token(&house, "ann", &json!({}))).await.status, 200, "a new login");
    }
    let told = calls(&house, "/api/x", &before).await;
    house.seconds_pass(60);
    let later = calls(&house, "/api/x", &before).await;
    let max_age = |answer: &Answer| -> u64 {
        let field = answer.field("www-authenticate").expect("a challenge").to_owned();
        let (_, rest) = field.split_once("max_age=\"").expect("max_age");
        rest.split('"').next().and_then(|text| text.parse().ok()).expect("a number")
    };
    assert_eq!(max_age(&later), max_age(&told) + 60, "what counts is after the cut-off (RFC 9470 §3)");
}

#[tokio::test]
async fn a_token_that_does_not_say_when_its_person_signed_in_counts_by_its_issue_if_the_app_wants_that() {
    let rules =
        RULES.replace("audience = \"https://api.example\"", "audience = \"https://api.example\", unproven = \"iat\"");
    let house = House::of(Plan::default().app(&rules)).await;
    let silent = |house: &House| token(house, "ann", &json!({ "auth_time": null }));
    let before = silent(&house);
    assert_eq!(calls(&house, "/api/x", &before).await.status, 200);
    house.revokes("ann").await;
    assert_eq!(calls(&house, "/api/x", &before).await.status, 401);
    assert_eq!(calls(&house, "/api/x", &silent(&house)).await.status, 200);
}

#[tokio::test]
async fn a_session_of_the_idps_ends_its_tokens_and_no_others() {
    let house = house().await;
    let of = |sid: &str| token(&house, "ann", &json!({ "sid": sid }));
    let (one, two) = (of("one"), of("two"));
    house.seconds_pass(1);
    let subject = json!({
        "format": "complex", "user": house.subject_of("ann"), "session": { "format": "opaque", "id": "one" }
    });
    house.says_it_is_over_for(&subject).await;
    assert_eq!(calls(&house, "/api/x", &one).await.json()["error"], "session_revoked");
    assert_eq!(calls(&house, "/api/x", &two).await.status, 200);
}

#[tokio::test]
async fn grpc_is_told_in_its_own_words() {
    let house = house().await;
    let ask = |token: Option<&str>| {
        let ask = Ask::post("/api/x", "application/grpc", "");
        token.map_or_else(|| ask.clone(), |token| ask.clone().with("Authorization", &format!("Bearer {token}")))
    };
    let ann = token(&house, "ann", &json!({}));
    assert_eq!(house.asks(&ask(Some(&ann))).await.status, 200);
    house.revokes("ann").await;
    for token in [None, Some("x"), Some(ann.as_str())] {
        let answer = house.asks(&ask(token)).await;
        assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("16")));
    }
}

#[tokio::test]
async fn when_the_idps_keys_cannot_be_had_tokens_wait_and_sessions_go_on() {
    let mut house = house().await;
    let mut browser = house.browser_of("ann").await;
    let ann = token(&house, "ann", &json!({}));
    // A gateway that has just started knows no keys yet.
    house.stop();
    house.demo.idp.tune(|knobs| {
        for path in ["/jwks", "/.well-known/openid-configuration"] {
            knobs.faults.insert(path.to_owned(), Fault { status: Some(503), delay: None });
        }
    });
    house.start();
    house.backend.forget();
    let answer = calls(&house, "/api/x", &ann).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (503, Some("idp_unavailable")));
    assert!(answer.field("retry-after").is_some());
    assert_eq!(house.backend.count(), 0);
    browser.get("/").await.is_let_in();
}

#[tokio::test]
async fn another_proxys_question_is_answered_for_tokens_too() {
    let plan = Plan::default().server("trusted_proxies = [\"127.0.0.1\"]").app(RULES);
    let house = House::of(plan).await;
    let ask = |path: &str, token: Option<&str>| {
        let ask = Ask::get("/oauth2/auth/nginx").with("X-Original-URL", &format!("{}{path}", house.origin()));
        let ask = ask.with("X-Original-Method", "GET");
        token.map_or_else(|| ask.clone(), |token| ask.clone().with("Authorization", &format!("Bearer {token}")))
    };
    let ann = token(&house, "ann", &json!({}));
    let answer = house.asks(&ask("/api/x", Some(&ann))).await;
    assert_eq!((answer.status, answer.field("x-auth-request-user")), (200, Some("00u-ann")), "{}", answer.text());
    assert_eq!(house.asks(&ask("/api/x", None)).await.status, 401);
    assert_eq!(house.asks(&ask("/", Some(&ann))).await.status, 401, "there a login is asked for");
    house.revokes("ann").await;
    is_refused(&house.asks(&ask("/api/x", Some(&ann))).await, "session_revoked", "insufficient_user_authentication");
}
