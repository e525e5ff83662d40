//! Tokens that the app makes: they work without a cookie, and die with the session in which they were made.

use std::io::Write as _;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::harness::{Answer, Ask, House, Plan, Reply, answer, is_refused, ok};

const DERIVED: &str = r#"derived = [
  { path = "/api/token", response = ["/access_token", "/refresh_token"], request = "refresh_token" },
  { path = "/api/revoke", request = ["token", "/token"] },
  { path = "/api/users/*/keys", response = "/keys/0/secret" },
  { path = "/authorize", response = "?code" },
]
derived_headers = ["x-api-key"]"#;

/// The demo's payroll app behind the gateway.
async fn payroll() -> House {
    House::of(Plan::default().upstreams("\"http://@legacy@\"").app(DERIVED)).await
}

/// A scripted app.
async fn scripted() -> House {
    House::of(Plan::default().app(DERIVED)).await
}

/// An answer with tokens.
fn minting(body: &str) -> Reply {
    answer("200 OK", "Content-Type: application/json\r\n", body)
}

/// A pair of tokens.
struct Pair {
    access: String,
    refresh: String,
}

impl Pair {
    #[track_caller]
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let token = |name: &str| answer.json()[name].as_str().expect("a token").to_owned();
        Self { access: token("access_token"), refresh: token("refresh_token") }
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// `user` signs in, and the app's page makes tokens for a script.
async fn minted(house: &House, user: &str) -> Pair {
    let mut browser = house.browser();
    let page = browser.signs_in(user).await;
    assert_eq!(page.answer.status, 200, "{}", page.answer.text());
    Pair::of(&browser.asks(&Ask::post("/api/token", FORM, "")).await.answer)
}

async fn refreshed(house: &House, token: &str) -> Answer {
    house.asks(&Ask::post("/api/token", FORM, format!("refresh_token={token}"))).await
}

async fn payslips(house: &House, token: &str) -> Answer {
    house.asks(&Ask::get("/api/payslips").with("Authorization", &format!("Bearer {token}"))).await
}

#[track_caller]
fn is_served(answer: &Answer, user: &str) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json()["user"].as_str().is_some_and(|found| found.ends_with(user)), "{}", answer.text());
}

#[tokio::test]
async fn a_token_made_in_a_session_works_without_a_cookie_and_never_as_the_app_wrote_it() {
    let house = payroll().await;
    let pair = minted(&house, "ann").await;
    for token in [&pair.access, &pair.refresh] {
        assert!(!token.contains("pay_") && !token.contains("payr_"), "the app's own token went out: {token}");
    }
    is_served(&payslips(&house, &pair.access).await, "ann");
    let second = Pair::of(&refreshed(&house, &pair.refresh).await);
    is_served(&payslips(&house, &second.access).await, "ann");
    assert_eq!(house.metric("portcullis_tokens_sealed_total{app=\"payroll\"}").await, 4);
}

#[tokio::test]
async fn what_grew_from_a_terminated_session_is_over_also_what_is_refreshed_from_it_and_after_a_restart() {
    let mut house = payroll().await;
    let (ann, ben) = (minted(&house, "ann").await, minted(&house, "ben").await);
    let second = Pair::of(&refreshed(&house, &ann.refresh).await);
    house.revokes("ann").await;
    for restarted in [false, true] {
        if restarted {
            house.stop();
            house.start();
        }
        for pair in [&ann, &second] {
            is_refused(&payslips(&house, &pair.access).await, "session_revoked", "error=\"invalid_token\"");
            is_refused(&refreshed(&house, &pair.refresh).await, "session_revoked", "error=\"invalid_token\"");
        }
        is_served(&payslips(&house, &ben.access).await, "ben");
    }
    let _line = house.writes_down(&["\"request_refused\""]).await;
    // A new sign-in makes new tokens and revives no old one.
    let third = minted(&house, "ann").await;
    is_served(&payslips(&house, &third.access).await, "ann");
    is_refused(&payslips(&house, &second.access).await, "session_revoked", "error=\"invalid_token\"");
}

#[tokio::test]
async fn after_a_reestablishment_a_token_waits_for_its_person_and_then_lives_on() {
    let mut house = payroll().await;
    let (ann, ben) = (minted(&house, "ann").await, minted(&house, "ben").await);
    house.operator_revokes(&json!({ "whom": { "email": "ann@example.com" }, "mode": "reestablish" })).await;
    let fresh = "error=\"insufficient_user_authentication\"";
    is_refused(&payslips(&house, &ann.access).await, "reestablish_required", fresh);
    is_refused(&refreshed(&house, &ann.refresh).await, "reestablish_required", fresh);
    is_served(&payslips(&house, &ben.access).await, "ben");
    // Somebody else's sign-in says nothing of Ann.
    let _bens = house.browser().signs_in("ben").await;
    is_refused(&payslips(&house, &ann.access).await, "reestablish_required", fresh);
    house.stop();
    house.start();
    is_refused(&payslips(&house, &ann.access).await, "reestablish_required", fresh);
    let _anns = house.browser().signs_in("ann").await;
    for restarted in [false, true] {
        if restarted {
            house.stop();
            house.start();
        }
        is_served(&payslips(&house, &ann.access).await, "ann");
        let second = Pair::of(&refreshed(&house, &ann.refresh).await);
        is_served(&payslips(&house, &second.access).await, "ann");
    }
    // The next one counts again, for what was refreshed as well.
    let second = Pair::of(&refreshed(&house, &ann.refresh).await);
    house.operator_revokes(&json!({ "whom": { "email": "ann@example.com" }, "mode": "reestablish" })).await;
    is_refused(&payslips(&house, &second.access).await, "reestablish_required", fresh);
}

#[tokio::test]
async fn a_token_dies_with_the_sign_out_of_its_session_and_at_its_own_end() {
    let house = payroll().await;
    let mut browser = house.browser();
    let _page = browser.signs_in("ann").await;
    let pair = Pair::of(&browser.asks(&Ask::post("/api/token", FORM, "")).await.answer);
    let other = minted(&house, "ann").await;
    house.seconds_pass(1);
    let _out = browser.get("/oauth2/sign_out").await;
    is_refused(&payslips(&house, &pair.access).await, "session_revoked", "error=\"invalid_token\"");
    is_served(&payslips(&house, &other.access).await, "ann");

    let second = Pair::of(&refreshed(&house, &other.refresh).await);
    house.seconds_pass(30 * 86_400 - 2);
    is_served(&payslips(&house, &second.access).await, "ann");
    house.seconds_pass(1);
    // Refreshing moves no end.
    is_refused(&payslips(&house, &second.access).await, "invalid_token", "error=\"invalid_token\"");
}

#[tokio::test]
async fn a_token_does_not_outlive_what_the_idp_says_of_its_session() {
    let house = payroll().await;
    let ends = house.clock.now().secs() + 600;
    house.idp_says("ann", &json!({ "session_expiry": ends }));
    let pair = minted(&house, "ann").await;
    is_served(&payslips(&house, &pair.access).await, "ann");
    house.seconds_pass(600);
    is_refused(&payslips(&house, &pair.access).await, "invalid_token", "error=\"invalid_token\"");
}

#[tokio::test]
async fn a_seal_that_does_not_open_is_no_token_and_no_unsealed_one_ever_counts() {
    let house = scripted().await;
    house.backend.says(minting(r#"{"access_token":"a","refresh_token":"r"}"#));
    let mut browser = house.browser();
    let _page = browser.signs_in("ann").await;
    let good = Pair::of(&browser.asks(&Ask::post("/api/token", FORM, "")).await.answer).access;
    house.backend.forget();
    let cut = good.get(..good.len() - 4).expect("ascii").to_owned();
    let (doubled, foreign) = (format!("{good}{good}"), format!("pct1_{}", "A".repeat(200)));
    for token in ["a", "pct1_", "", &cut, &doubled, &foreign] {
        let field = format!("Bearer {token}");
        let alone = house.asks(&Ask::get("/x").with("Authorization", &field)).await;
        is_refused(&alone, "invalid_token", "error=\"invalid_token\"");
        // Law 5: it spoils a good session, too.
        let beside = browser.asks(&Ask::get("/x").with("Authorization", &field)).await;
        is_refused(&beside.answer, "invalid_token", "error=\"invalid_token\"");
        let keyed = house.asks(&Ask::get("/x").with("X-Api-Key", token)).await;
        is_refused(&keyed, "invalid_token", "error=\"invalid_token\"");
        let body = house.asks(&Ask::post("/api/revoke", FORM, format!("token={token}"))).await;
        assert_eq!(body.status, 401, "`{token}` in a body: {}", body.text());
    }
    let twice = Ask::get("/x").with("Authorization", &format!("Bearer {good}"));
    let twice = twice.with("Authorization", &format!("Bearer {good}"));
    assert_eq!(house.asks(&twice).await.status, 401);
    assert_eq!(house.backend.count(), 0, "the app saw nothing of it");
    assert!(house.metric("portcullis_seal_failures_total{kind=\"no_seal\"}").await > 0);
    for kind in ["broken_seal", "unknown_key"] {
        assert!(house.metric(&format!("portcullis_seal_failures_total{{kind=\"{kind}\"}}")).await > 0, "{kind}");
    }
    assert!(!house.audited().contains(&cut), "nothing of a token is written down");
}

#[tokio::test]
async fn two_peoples_credentials_in_one_request_are_refused() {
    let house = scripted().await;
    house.backend.says(minting(r#"{"access_token":"a","refresh_token":"r"}"#));
    let (ann, ben) = (minted(&house, "ann").await, minted(&house, "ben").await);
    house.backend.forget();
    let both = Ask::get("/x").with("Authorization", &format!("Bearer {}", ann.access)).with("X-Api-Key", &ben.access);
    let refused = house.asks(&both).await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (400, Some("mixed_credentials")));
    let mut browser = house.browser();
    let _page = browser.signs_in("ben").await;
    house.backend.forget();
    let refused = browser.asks(&Ask::get("/x").with("Authorization", &format!("Bearer {}", ann.access))).await.answer;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (400, Some("mixed_credentials")));
    assert_eq!(house.backend.count(), 0);
}

#[tokio::test]
async fn the_app_gets_its_token_back_wherever_it_stood() {
    let house = scripted().await;
    house.backend.says(minting(r#"{"access_token":"sk\n\u00e4+/=","refresh_token":"r&r"}"#));
    let pair = minted(&house, "ann").await;
    house.backend.says(minting(r#"{"access_token":"plain","refresh_token":"r&r"}"#));
    let plain = minted(&house, "ann").await;
    let basic = |pair: &str| {
        use base64::Engine as _;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    };
    for (name, value, expected) in [
        ("Authorization", format!("Bearer {}", plain.access), "Bearer plain".to_owned()),
        ("Authorization", format!("token {}", plain.access), "token plain".to_owned()),
        ("Authorization", basic(&format!("ann:{}", plain.access)), basic("ann:plain")),
        ("Authorization", basic(&format!("{}:", plain.access)), basic("plain:")),
        ("X-Api-Key", plain.access.clone(), "plain".to_owned()),
    ] {
        let answer = house.asks(&Ask::get("/x").with(name, &value)).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(house.backend.last().field(name), Some(expected));
        assert_eq!(house.backend.last().field("x-forwarded-user").as_deref(), Some("00u-ann"), "the app is told who");
    }
    // What is no header text cannot stand in one; in a body it can.
    assert_eq!(house.asks(&Ask::get("/x").with("X-Api-Key", &pair.access)).await.status, 401);
    let form = Ask::post("/api/revoke", FORM, format!("a=%20&token={}", pair.refresh));
    assert_eq!(house.asks(&form).await.status, 200);
    assert_eq!(String::from_utf8_lossy(&house.backend.last().body), "a=%20&token=r%26r");
    let body = format!(r#"{{ "n": 1.0, "token": "{}" }}"#, pair.access);
    let answer = house.asks(&Ask::post("/api/revoke", "application/json", body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = house.backend.last();
    assert_eq!(String::from_utf8_lossy(&seen.body), "{ \"n\": 1.0, \"token\": \"sk\\nä+/=\" }");
    assert_eq!(seen.field("content-length"), Some(seen.body.len().to_string()));
    // Sent in pieces, without a length.
    let chunks = Ask::new("POST", "/api/revoke").with("Content-Type", FORM).with("Transfer-Encoding", "chunked");
    let mut bytes = chunks.bytes(&house.host());
    let body = format!("token={}", pair.refresh);
    let (one, two) = body.split_at(20);
    for piece in [one, two, ""] {
        bytes.extend_from_slice(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes());
    }
    let answer = crate::harness::Wire::once(house.address(), &bytes).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(String::from_utf8_lossy(&house.backend.last().body), "token=r%26r");
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let house = scripted().await;
    house.backend.says(minting(r#"{"access_token":"a","refresh_token":"r"}"#));
    let pair = minted(&house, "ann").await;
    let body = format!("refresh_token={}", pair.refresh);
    let head = Ask::new("POST", "/api/token").with("Content-Type", FORM).with("Expect", "100-continue");
    let head = head.with("Content-Length", &body.len().to_string());
    let mut wire = house.wire().await;
    wire.send(&head.bytes(&house.host())).await;
    let asked = wire.head().await.expect("an interim answer");
    assert_eq!(asked.status, 100);
    wire.send(body.as_bytes()).await;
    assert_eq!(wire.answer().await.expect("an answer").status, 200);
    let seen = house.backend.last();
    assert_eq!((String::from_utf8_lossy(&seen.body).as_ref(), seen.field("expect")), ("refresh_token=r", None));
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes()).expect("memory");
    packed.finish().expect("memory")
}

fn reply(fields: &str, body: &[u8]) -> Reply {
    let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    Reply::Bytes([head.as_bytes(), body].concat())
}

#[tokio::test]
async fn an_answer_keeps_its_form_and_every_other_byte() {
    let house = scripted().await;
    let mut browser = house.browser();
    browser.signs_in("ann").await.is_let_in();
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    let text = r#"{ "keys": [ {"id": 1.50, "secret":"k1"}, {"secret":"k2"} ] }"#;
    let chunked = |pieces: &[&str]| {
        let pieces: String = pieces.iter().map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).collect();
        Reply::Bytes(
            format!("HTTP/1.1 200 OK\r\n{json}Transfer-Encoding: chunked\r\n\r\n{pieces}0\r\n\r\n").into_bytes(),
        )
    };
    let (start, end) = text.split_at(30);
    for (what, reply, packed) in [
        ("with a length", reply(json, text.as_bytes()), false),
        ("in chunks", chunked(&[start, end]), false),
        ("to the end", Reply::Last(format!("HTTP/1.1 200 OK\r\n{json}\r\n{text}").into_bytes()), false),
        ("packed", reply(&format!("{json}Content-Encoding: gzip\r\n"), &gzip(text)), true),
    ] {
        house.backend.says(reply);
        let ask = Ask::post("/api/users/ann/keys", "", "").with("Accept-Encoding", "br, gzip;q=0.5");
        let answer = browser.asks(&ask).await.answer;
        assert_eq!(answer.field("content-encoding"), packed.then_some("gzip"), "{what}");
        let body = if packed {
            let mut plain = String::new();
            std::io::Read::read_to_string(&mut GzDecoder::new(answer.body.as_slice()), &mut plain).expect("gzip");
            plain
        } else {
            answer.text()
        };
        let value: Value = serde_json::from_str(&body).unwrap_or_else(|why| panic!("{what}: {why}: {body}"));
        let token = value["keys"][0]["secret"].as_str().expect("a token").to_owned();
        assert_eq!(body.replace(&token, "k1"), text, "{what}");
        assert_eq!(house.backend.last().field("accept-encoding").as_deref(), Some("gzip"), "{what}");
        house.backend.says(ok("{}"));
        let used = house.asks(&Ask::get("/x").with("X-Api-Key", &token)).await;
        assert_eq!((used.status, house.backend.last().field("x-api-key").as_deref()), (200, Some("k1")), "{what}");
    }
}

#[tokio::test]
async fn what_is_no_answer_with_tokens_goes_through_as_it_is() {
    let house = scripted().await;
    let mut browser = house.browser();
    browser.signs_in("ann").await.is_let_in();
    let json = "Content-Type: application/json\r\n";
    let large = format!(r#"{{"access_token":"a","pad":"{}"}}"#, "x".repeat(1 << 20));
    let stream = format!("HTTP/1.1 200 OK\r\n{json}\r\n{large}").into_bytes();
    for (what, reply, body) in [
        ("a page", reply("Content-Type: text/html\r\n", b"<p>{\"access_token\":\"a\"}"), "<p>{\"access_token\":\"a\"}"),
        ("broken JSON", reply(json, b"{\"access_token\":\"a\""), "{\"access_token\":\"a\""),
        ("no JSON at all", reply(json, b"\xff\xfe"), "\u{fffd}\u{fffd}"),
        ("a failure", answer("503 Service Unavailable", json, "{\"access_token\":\"a\"}"), "{\"access_token\":\"a\"}"),
        ("something else", reply(json, b"[1]"), "[1]"),
        ("a large one", reply(json, large.as_bytes()), large.as_str()),
        ("a large one without a length", Reply::Last(stream), large.as_str()),
        ("one that is not what it says", reply(&format!("{json}Content-Encoding: gzip\r\n"), b"{}"), "{}"),
    ] {
        house.backend.says(reply);
        let answer = browser.asks(&Ask::post("/api/token", FORM, "")).await.answer;
        assert!(answer.text() == body, "{what}: {} bytes came", answer.body.len());
    }
    house.backend.forget();
    let used = house.asks(&Ask::get("/x").with("Authorization", "Bearer a")).await;
    is_refused(&used, "invalid_token", "error=\"invalid_token\"");
    assert_eq!(house.metric("portcullis_seal_failures_total{kind=\"answer_too_large\"}").await, 2);
    assert_eq!(house.metric("portcullis_seal_failures_total{kind=\"answer_packed\"}").await, 1);
    assert_eq!(house.backend.count(), 0);
}

#[tokio::test]
async fn a_phone_app_gets_its_tokens_by_a_code_that_carries_the_session() {
    let house = scripted().await;
    house.backend.does(|seen| match seen.target.split('?').next() {
        Some("/authorize") => answer("302 Found", "Location: com.corp.app:/cb?code=c0de&state=s\r\n", ""),
        Some("/token") => panic!("no such place"),
        _ => minting(r#"{"access_token":"a","refresh_token":"r"}"#),
    });
    let mut browser = house.browser();
    let _page = browser.signs_in("ann").await;
    let sent = browser.get("/authorize?client=phone").await.location().expect("a redirect");
    let code = crate::harness::parameter(&sent, "code").expect("a code");
    assert!(!code.contains("c0de") && sent.as_str().ends_with("&state=s"), "{sent}");
    let pair = Pair::of(&refreshed(&house, &code).await);
    assert_eq!(String::from_utf8_lossy(&house.backend.last().body), "refresh_token=c0de");
    assert_eq!(payslips(&house, &pair.access).await.status, 200);
    house.revokes("ann").await;
    is_refused(&payslips(&house, &pair.access).await, "session_revoked", "error=\"invalid_token\"");
    is_refused(&refreshed(&house, &code).await, "session_revoked", "error=\"invalid_token\"");
}

#[tokio::test]
async fn a_jwt_stays_readable_and_counts_only_with_its_seal() {
    let house = scripted().await;
    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln";
    house.backend.says(minting(&json!({ "access_token": JWT, "refresh_token": "r" }).to_string()));
    let pair = minted(&house, "ann").await;
    assert!(pair.access.starts_with(&format!("{JWT}.")), "a client can look into it: {}", pair.access);
    assert_eq!(payslips(&house, &pair.access).await.status, 200);
    assert_eq!(house.backend.last().field("authorization"), Some(format!("Bearer {JWT}")));
    is_refused(&payslips(&house, JWT).await, "invalid_token", "error=\"invalid_token\"");
    house.revokes("ann").await;
    is_refused(&payslips(&house, &pair.access).await, "session_revoked", "error=\"invalid_token\"");
}

#[tokio::test]
async fn on_public_paths_a_dead_token_does_not_reach_the_app() {
    let plan = Plan::default().app(&format!("{DERIVED}\nrules = [{{ path = \"/open\", access = \"public\" }}]"));
    let house = House::of(plan).await;
    house.backend.says(minting(r#"{"access_token":"a","refresh_token":"r"}"#));
    let pair = minted(&house, "ann").await;
    let open = |field: &str| Ask::get("/open").with("Authorization", field);
    let field = format!("Bearer {}", pair.access);
    for (field, expected) in [(field.as_str(), Some("Bearer a")), ("Bearer theirs", Some("Bearer theirs"))] {
        assert_eq!(house.asks(&open(field)).await.status, 200);
        assert_eq!(house.backend.last().field("authorization").as_deref(), expected, "{field}");
    }
    house.revokes("ann").await;
    assert_eq!(house.asks(&open(&field)).await.status, 200);
    assert_eq!(house.backend.last().field("authorization"), None);
}

const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n";

#[tokio::test]
async fn what_an_agent_has_open_on_a_token_ends_with_the_session_that_it_came_from() {
    let house = scripted().await;
    house.backend.does(|seen| match seen.target.as_str() {
        "/events" => Reply::Open(EVENTS.to_vec()),
        _ => minting(r#"{"access_token":"a","refresh_token":"r"}"#),
    });
    let (ann, ben) = (minted(&house, "ann").await, minted(&house, "ben").await);
    let listens = async |token: &str| {
        let mut wire = house.wire().await;
        let ask = Ask::get("/events").with("Authorization", &format!("Bearer {token}"));
        wire.send(&ask.bytes(&house.host())).await;
        wire.until("data: one").await;
        wire
    };
    let (mut anns, mut bens) = (listens(&ann.access).await, listens(&ben.access).await);
    house.operator_revokes(&json!({ "whom": { "email": "ann@example.com" }, "mode": "reestablish" })).await;
    anns.is_ended().await;
    let _back = house.browser().signs_in("ann").await;
    let mut anns = listens(&ann.access).await;
    house.revokes("ann").await;
    anns.is_ended().await;
    assert_eq!(house.metric("portcullis_exchanges_cut_total{kind=\"sse\"}").await, 2);
    // Nobody else's ends before its time, and then it does.
    let running = |seen: &crate::harness::Seen| seen.target == "/events" && !seen.ended;
    assert_eq!(house.backend.seen().into_iter().filter(running).count(), 1);
    house.seconds_pass(30 * 86_400);
    bens.is_ended().await;
}

#[tokio::test]
async fn a_token_that_is_being_made_when_the_session_ends_does_not_get_out() {
    let house = scripted().await;
    let mut browser = house.browser();
    browser.signs_in("ann").await.is_let_in();
    let part =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"access_token\":\"a\"";
    house.backend.says(Reply::Open(part.to_vec()));
    let mut wire = house.wire().await;
    let ask = Ask::post("/api/token", FORM, "").with("Cookie", &browser.cookies());
    wire.send(&ask.bytes(&house.host())).await;
    house.backend.sees("the app is at work", |log| log.iter().any(|seen| seen.target == "/api/token")).await;
    house.revokes("ann").await;
    let rest = String::from_utf8_lossy(&wire.rest().await).into_owned();
    assert!(!rest.contains("access_token"), "{rest}");
}

#[tokio::test]
async fn a_body_with_tokens_in_it_is_no_larger_than_the_app_allows() {
    let house = House::of(Plan::default().app(&format!("{DERIVED}\nmax_body = \"2KiB\""))).await;
    house.backend.says(minting(r#"{"access_token":"a","refresh_token":"r"}"#));
    let pair = minted(&house, "ann").await;
    let chunks = Ask::new("POST", "/api/revoke").with("Content-Type", FORM).with("Transfer-Encoding", "chunked");
    for (pad, status) in [(10, 200), (4_000, 413)] {
        let body = format!("token={}&pad={}", pair.access, "x".repeat(pad));
        let mut bytes = chunks.bytes(&house.host());
        bytes.extend_from_slice(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes());
        assert_eq!(crate::harness::Wire::once(house.address(), &bytes).await.status, status, "{pad} more bytes");
    }
}
