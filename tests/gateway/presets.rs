//! What a product really sends ends exactly whom it names where the stream has the product's preset, and nobody where it
//! has none.

use serde_json::{Value, json};

use crate::harness::{AUDIENCE, Ask, House, Plan, SESSION_REVOKED};

/// Okta's SET as Okta documents it: no `sub_id`, the subject inside the event, a time of 13 digits.
fn as_okta_sends_it(house: &House, user: &str) -> String {
    let subject = json!({
        "format": "iss_sub", "iss": house.demo.issuer, "sub": house.subject_of(user)["sub"],
    });
    let event = json!({
        "subject": subject,
        "reason_admin": { "en": "User logout from Okta" },
        "event_timestamp": house.clock.now().secs() * 1000 + 643,
    });
    signed(house, Some("secevent+jwt"), &json!({ SESSION_REVOKED: event }))
}

fn signed(house: &House, typ: Option<&str>, events: &Value) -> String {
    let claims = json!({
        "iss": house.demo.issuer, "jti": "24c63fb56e5a2d77a6b512616ca9fa24", "iat": house.clock.now(), "aud": AUDIENCE,
        "events": events,
    });
    house.demo.idp.sign(typ, &claims).expect("a token")
}

#[tokio::test]
async fn oktas_set_ends_exactly_whom_it_names_where_the_stream_is_oktas() {
    let house = House::of(Plan::default().stream("preset = \"okta\"")).await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    let mut ann_at_home = house.browser_of("ann").await;
    house.seconds_pass(1);
    let set = as_okta_sends_it(&house, "ann");
    for _ in 0..2 {
        let answer = house.pushes(&set).await;
        assert_eq!((answer.status, answer.text().as_str()), (202, ""));
    }
    ann.fetches("/").await.is_refused("session_revoked");
    ann_at_home.fetches("/").await.is_refused("session_revoked");
    ben.get("/").await.is_let_in();
    // An ID token is signed by the same keys.
    for typ in [None, Some("JWT")] {
        let token = signed(&house, typ, &json!({ SESSION_REVOKED: { "subject": house.subject_of("ben") } }));
        assert_eq!(house.pushes(&token).await.json()["err"], "invalid_request", "{typ:?}");
    }
    ben.get("/").await.is_let_in();
    house.seconds_pass(1);
    ann.signs_in("ann").await.is_let_in();
}

#[tokio::test]
async fn oktas_set_is_refused_where_the_stream_is_nobodys() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let answer = house.pushes(&as_okta_sends_it(&house, "ann")).await;
    assert_eq!((answer.status, &answer.json()["err"]), (400, &json!("invalid_request")));
    assert_eq!(answer.json()["description"], "`sub_id` is missing");
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn a_subject_may_call_the_issuer_by_a_name_that_the_config_knows() {
    let legacy = "https://legacy.example.com/";
    let subject = |house: &House| json!({ "format": "iss_sub", "iss": legacy, "sub": house.subject_of("ann")["sub"] });
    let known = format!("subject_issuers = {{ \"{legacy}\" = \"demo\" }}");
    for (stream, taken) in [(known.as_str(), true), ("", false)] {
        let house = House::of(Plan::default().stream(stream)).await;
        let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
        house.seconds_pass(1);
        let answer = house.pushes(&house.revoking_set(&subject(&house))).await;
        if taken {
            assert_eq!(answer.status, 202, "{}", answer.text());
            ann.fetches("/").await.is_refused("session_revoked");
        } else {
            assert_eq!(answer.json()["err"], "access_denied");
            ann.get("/").await.is_let_in();
        }
        ben.get("/").await.is_let_in();
    }
}

#[tokio::test]
async fn google_has_nothing_to_present_when_it_pushes_and_its_signature_counts() {
    let house = House::of(Plan::default().stream("preset = \"google-risc\"").without_push_token()).await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let subject = json!({ "subject_type": "iss-sub", "iss": house.demo.issuer, "sub": house.subject_of("ann")["sub"] });
    let set = signed(&house, Some("secevent+jwt"), &json!({ SESSION_REVOKED: { "subject": subject } }));
    let unsigned = set.rsplit_once('.').map(|(signed, _)| format!("{signed}.")).expect("a token");
    let push = |set: &str| Ask::post("/oauth2/ssf/demo", "application/secevent+jwt", set.to_owned());
    assert_eq!(house.asks(&push(&unsigned)).await.json()["err"], "invalid_key");
    ann.get("/").await.is_let_in();
    assert_eq!(house.asks(&push(&set)).await.status, 202);
    ann.fetches("/").await.is_refused("session_revoked");
}
