//! Global token revocation, as Okta's Universal Logout calls it: one request, and everything of one person is over.

use serde_json::{Value, json};

use crate::cut::opens_websocket;
use crate::harness::{Answer, Ask, Browser, House, Plan, Reply, answer, ok};

const PATH: &str = "/oauth2/global-token-revocation/demo";
const ON: &str = "global_revocation = {}";
const TYP: Option<&str> = Some("global-token-revocation+jwt");
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

async fn house() -> House {
    House::of(Plan::default().idp(ON)).await
}

/// The IdP's token for a call, as Okta makes it, with these changes.
fn token(house: &House, typ: Option<&str>, jti: &str, changes: &Value) -> String {
    let now = house.clock.now().secs();
    let mut claims = json!({
        "iss": house.demo.issuer, "sub": "portcullis", "aud": format!("{}{PATH}", house.origin()), "jti": jti,
        "iat": now, "nbf": now - 300, "exp": now + 300,
    });
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    house.demo.idp.sign(typ, &claims).expect("a token")
}

fn call(bearer: &str, subject: &Value) -> Ask {
    Ask::post(PATH, "application/json", json!({ "sub_id": subject }).to_string())
        .with("Authorization", &format!("Bearer {bearer}"))
}

fn email(user: &str) -> Value {
    json!({ "format": "email", "email": format!("{user}@example.com") })
}

async fn revokes(house: &House, jti: &str, subject: &Value) -> Answer {
    let answer = house.asks(&call(&token(house, TYP, jti, &json!({})), subject)).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{}", answer.text());
    answer
}

/// A token that the app makes in the session of `browser`.
pub(crate) async fn minted(browser: &mut Browser) -> String {
    let minted = browser.asks(&Ask::post("/api/token", "application/x-www-form-urlencoded", "")).await.answer;
    minted.json()["access_token"].as_str().expect("a token").to_owned()
}

pub(crate) async fn with_token(house: &House, token: &str) -> Answer {
    house.asks(&Ask::get("/api/x").with("Authorization", &format!("Bearer {token}"))).await
}

#[tokio::test]
async fn everything_of_one_person_is_over_and_nothing_of_anybody_else_also_after_a_restart() {
    let derived = "derived = [{ path = \"/api/token\", response = \"/access_token\" }]";
    let mut house = House::of(Plan::default().idp(ON).app(derived)).await;
    house.backend.does(|seen| match seen.target.as_str() {
        "/ws" => Reply::Echo(SWITCHED.to_vec()),
        "/api/token" => {
            answer("200 OK", "Content-Type: application/json\r\n", "{\"access_token\":\"app-made-0123456789\"}")
        }
        _ => ok("hello from the app"),
    });
    let mut anns = [house.browser_of("ann").await, house.browser_of("ann").await, house.browser_of("ann").await];
    let mut ben = house.browser_of("ben").await;
    let (anns_token, bens_token) = (minted(&mut anns[0]).await, minted(&mut ben).await);
    let (mut anns_socket, mut bens_socket) =
        (opens_websocket(&house, &anns[1]).await, opens_websocket(&house, &ben).await);
    assert_eq!(with_token(&house, &anns_token).await.status, 200);
    house.seconds_pass(1);
    let told = revokes(&house, "j1", &email("ann")).await;
    assert_eq!(told.field("cache-control"), Some("no-store"));
    anns_socket.is_ended().await;
    bens_socket.send(b"still here").await;
    bens_socket.until("still here").await;
    drop((anns_socket, bens_socket));
    for restarted in [false, true] {
        if restarted {
            house.stop();
            house.start();
        }
        for browser in &mut anns {
            browser.fetches("/").await.is_refused("session_revoked");
        }
        assert_eq!(with_token(&house, &anns_token).await.status, 401, "restarted: {restarted}");
        ben.get("/").await.is_let_in();
        assert_eq!(with_token(&house, &bens_token).await.status, 200, "restarted: {restarted}");
    }
    house.seconds_pass(1);
    anns[0].signs_in("ann").await.is_let_in();
    assert_eq!(with_token(&house, &anns_token).await.status, 401, "a new sign-in revives no old token");
    let audited = house.writes_down(&["\"event\":\"revoked\""]).await;
    let line = audited.lines().find(|line| line.contains("\"event\":\"revoked\"")).expect("a line");
    for part in ["\"source\":\"global_revocation\"", "\"idp\":\"demo\"", "\"jti\":\"j1\"", "\"mode\":\"terminate\""] {
        assert!(line.contains(part), "`{part}` is not in {line}");
    }
    assert!(!line.contains("ann@example.com"), "{line}");
}

#[tokio::test]
async fn a_person_is_named_as_the_idp_likes() {
    let house = house().await;
    let subjects = [
        house.subject_of("ann"),
        json!({ "format": "opaque", "id": "00u-ann" }),
        email("ANN"),
        json!({ "format": "aliases", "identifiers": [email("ann"), { "format": "did", "url": "did:x:1" }] }),
    ];
    for (n, subject) in subjects.iter().enumerate() {
        let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
        house.seconds_pass(1);
        revokes(&house, &format!("j{n}"), subject).await;
        ann.fetches("/").await.is_refused("session_revoked");
        ben.get("/").await.is_let_in();
        house.seconds_pass(1);
    }
    let line = "portcullis_revocations_total{mode=\"terminate\",result=\"durable\",source=\"global_revocation\"}";
    assert_eq!(house.metric(line).await, 4);
}

#[tokio::test]
async fn a_call_that_is_none_has_its_exact_status_and_ends_nothing() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let (now, ann_is) = (house.clock.now().secs(), email("ann"));
    let signed = |jti: &str, changes: Value| token(&house, TYP, jti, &changes);
    let id_token = token(&house, Some("JWT"), "t1", &json!({}));
    let set = house.revoking_set(&house.subject_of("ann"));
    for (what, bearer, status) in [
        ("an ID token", id_token, 401),
        ("no typ", token(&house, None, "t2", &json!({})), 401),
        ("a SET", set, 401),
        ("another endpoint", signed("t3", json!({ "aud": format!("{}/oauth2/x", house.origin()) })), 401),
        ("our client id", signed("t4", json!({ "aud": "portcullis" })), 401),
        ("another issuer", signed("t5", json!({ "iss": "https://evil.example.com" })), 401),
        ("another client", signed("t6", json!({ "sub": "other" })), 401),
        ("without end", signed("t7", json!({ "exp": null })), 401),
        ("over", signed("t8", json!({ "iat": now - 400, "exp": now - 100 })), 401),
        ("good for a year", signed("t9", json!({ "exp": now + 31_536_000 })), 401),
        ("from the future", signed("t10", json!({ "iat": now + 3_600, "exp": now + 3_700 })), 401),
        ("without jti", signed("t11", json!({ "jti": null })), 401),
        ("nonsense", "x.y.z".to_owned(), 401),
    ] {
        let answer = house.asks(&call(&bearer, &ann_is)).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.field("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{what}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{what}");
        assert!(!answer.text().contains("ann@"), "{what}: {}", answer.text());
    }
    let bare = Ask::post(PATH, "application/json", json!({ "sub_id": ann_is }).to_string());
    let nobody = house.asks(&bare).await;
    assert_eq!((nobody.status, nobody.field("www-authenticate")), (401, Some("Bearer")));
    for wrong in ["Basic YTpi", "Bearer", "Bearer ", ""] {
        assert_eq!(house.asks(&bare.clone().with("Authorization", wrong)).await.status, 401, "`{wrong}`");
    }
    let twice = call(&signed("t12", json!({})), &ann_is).with("Authorization", "Bearer x");
    assert_eq!(house.asks(&twice).await.status, 401, "two callers");
    let elsewhere = json!({ "format": "iss_sub", "iss": "https://other.example.com", "sub": "00u-ann" });
    let person = house.subject_of("ann");
    for (n, (subject, status)) in [
        (json!("ann"), 400),
        (json!({ "format": "email" }), 400),
        (json!({ "format": "did", "url": "did:x:ann" }), 400),
        (json!({ "format": "complex", "user": person }), 400),
        (json!({ "format": "complex", "tenant": { "format": "opaque", "id": "t" } }), 400),
        (json!({ "format": "badge", "number": 7 }), 400),
        (elsewhere, 403),
        (json!({ "format": "email", "email": "nobody" }), 422),
        (json!({ "format": "phone_number", "phone_number": "none" }), 422),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = house.asks(&call(&signed(&format!("b{n}"), json!({})), &subject)).await;
        assert_eq!(answer.status, status, "{subject}: {}", answer.text());
    }
    for (n, (content_type, body)) in
        [("text/plain", json!({ "sub_id": ann_is }).to_string()), ("application/json", "no".to_owned())]
            .iter()
            .enumerate()
    {
        let ask = Ask::post(PATH, content_type, body.clone());
        let ask = ask.with("Authorization", &format!("Bearer {}", signed(&format!("c{n}"), json!({}))));
        assert_eq!(house.asks(&ask).await.status, 400, "{content_type}");
    }
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(house.asks(&Ask::new(method, PATH)).await.status, 405, "{method}");
    }
    let other = Ask::post("/oauth2/global-token-revocation/other", "application/json", "{}");
    assert_eq!(house.asks(&other).await.status, 404);
    ann.get("/").await.is_let_in();
    let _refusals = house.writes_down(&["\"source\":\"global_revocation\""]).await;
}

#[tokio::test]
async fn it_is_off_unless_the_config_has_it() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    assert_eq!(house.asks(&call(&token(&house, TYP, "j1", &json!({})), &email("ann"))).await.status, 404);
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn a_token_counts_once_and_a_late_one_ends_no_newer_session() {
    let house = house().await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    house.seconds_pass(1);
    let token = token(&house, TYP, "j1", &json!({}));
    assert_eq!(house.asks(&call(&token, &email("ann"))).await.status, 204);
    ann.fetches("/").await.is_refused("session_revoked");
    for user in ["ann", "ben"] {
        let again = house.asks(&call(&token, &email(user))).await;
        assert_eq!(again.status, 401, "whoever caught it cannot turn it on {user}");
    }
    ben.get("/").await.is_let_in();
    // It was made before the second login, and held back until after it.
    let held_back = self::token(&house, TYP, "j2", &json!({}));
    house.seconds_pass(2);
    ann.signs_in("ann").await.is_let_in();
    house.seconds_pass(2);
    assert_eq!(house.asks(&call(&held_back, &email("ann"))).await.status, 204);
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn what_cannot_be_written_down_is_in_force_and_the_same_token_may_come_again() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    house.ruins_the_ledger();
    let token = token(&house, TYP, "j1", &json!({}));
    for _ in 0..2 {
        let answer = house.asks(&call(&token, &email("ann"))).await;
        assert_eq!((answer.status, answer.field("retry-after"), answer.body.len()), (503, Some("5"), 0));
        ann.fetches("/").await.is_refused("session_revoked");
    }
    house.mends_the_ledger();
    for status in [204, 401] {
        assert_eq!(
            house.asks(&call(&token, &email("ann"))).await.status,
            status,
            "it counts when it is on disk, and once"
        );
    }
}

#[tokio::test]
async fn a_playbook_presents_a_secret_and_the_idps_tokens_do_not_count_then() {
    const SECRET: &str = "a-playbooks-secret-0123456789";
    let plan = Plan::default().idp("global_revocation = { token_file = \"playbook.token\" }");
    let house = House::of(plan.file("playbook.token", SECRET)).await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    house.seconds_pass(1);
    for wrong in [token(&house, TYP, "j1", &json!({})), "a-playbooks-secret".to_owned(), format!("{SECRET}x")] {
        assert_eq!(house.asks(&call(&wrong, &email("ann"))).await.status, 401);
    }
    ann.get("/").await.is_let_in();
    for _ in 0..2 {
        assert_eq!(house.asks(&call(SECRET, &email("ann"))).await.status, 204);
    }
    ann.fetches("/").await.is_refused("session_revoked");
    ben.get("/").await.is_let_in();
    assert!(!house.audited().contains(SECRET));
    house.seconds_pass(1);
    ann.signs_in("ann").await.is_let_in();
}

#[tokio::test]
async fn the_callers_issuer_keys_and_endpoint_can_be_others_than_the_idps() {
    let on = "global_revocation = { issuer = \"https://org.okta.example\", jwks_uri = \"@issuer@/jwks\", audience = \"https://public.example/revoke\" }";
    let house = House::of(Plan::default().idp(on)).await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let usual = token(&house, TYP, "j1", &json!({}));
    assert_eq!(house.asks(&call(&usual, &email("ann"))).await.status, 401);
    ann.get("/").await.is_let_in();
    let changes = json!({ "iss": "https://org.okta.example", "aud": "https://public.example/revoke" });
    let subject = json!({ "format": "iss_sub", "iss": "https://org.okta.example", "sub": "00u-ann" });
    let answer = house.asks(&call(&token(&house, TYP, "j2", &changes), &subject)).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    ann.fetches("/").await.is_refused("session_revoked");
}
