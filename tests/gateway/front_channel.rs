//! Front-channel logout: a frame of the IdP's sign-out page ends one session, and nobody can make more of it.

use std::collections::BTreeSet;

use crate::harness::{Answer, Ask, House, Plan};

const PATH: &str = "/oauth2/frontchannel-logout/demo";

async fn house() -> House {
    House::of(Plan::default().idp("frontchannel_logout = true")).await
}

async fn is_asked(house: &House, query: &str) -> Answer {
    house.asks(&Ask::get(&format!("{PATH}?{query}"))).await
}

/// The `sid`s that the IdP has given `user`.
fn sids(house: &House, user: &str) -> BTreeSet<String> {
    house.demo.idp.sessions().into_iter().filter(|s| s.user == user).map(|s| s.sid).collect()
}

#[tokio::test]
async fn one_of_two_sessions_is_over_and_stays_so_after_a_restart() {
    let mut house = house().await;
    let mut office = house.browser_of("ann").await;
    let first = sids(&house, "ann").pop_first().expect("a session");
    let (mut home, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    assert_eq!(sids(&house, "ann").len(), 2);
    house.seconds_pass(1);
    // As Entra asks: without `iss`.
    let told = is_asked(&house, &format!("sid={first}")).await;
    assert_eq!((told.status, told.body.len(), told.field("cache-control")), (200, 0, Some("no-store")));
    for restarted in [false, true] {
        if restarted {
            house.stop();
            house.start();
        }
        office.fetches("/").await.is_refused("session_revoked");
        home.get("/").await.is_let_in();
        ben.get("/").await.is_let_in();
    }
    house.seconds_pass(1);
    office.signs_in("ann").await.is_let_in();
    let audited = house.writes_down(&["\"source\":\"frontchannel\""]).await;
    assert!(!audited.contains(&first), "{audited}");
}

#[tokio::test]
async fn the_answer_is_the_same_for_whoever_is_named() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    let known = sids(&house, "ann").pop_first().expect("a session");
    house.seconds_pass(1);
    let own = house.demo.issuer.as_str().to_owned();
    let issuer: String = form_urlencoded::byte_serialize(own.as_bytes()).collect();
    let seen = |answer: &Answer| {
        let fields = ["content-security-policy", "cache-control", "set-cookie", "x-frame-options", "content-type"];
        (answer.status, answer.text(), fields.map(|name| answer.field(name).map(str::to_owned)))
    };
    let stranger = "08a5019c-17e1-4977-8f42-65a12843ea02";
    let usual = seen(&is_asked(&house, &format!("sid={stranger}")).await);
    assert_eq!((usual.0, usual.1.as_str()), (200, ""));
    assert!(usual.2[0].as_deref().is_some_and(|policy| policy.contains("frame-ancestors http")), "{usual:?}");
    assert_eq!((&usual.2[2], &usual.2[3]), (&None, &None), "no cookie of a stranger, no bar to frames");
    for harmless in [
        String::new(),
        "sid=short".to_owned(),
        "sid=0000000000000000000".to_owned(),
        format!("sid={known}&sid={known}"),
        format!("sid={known}&iss=https%3A%2F%2Fevil.example.com"),
        format!("sid=%00{known}"),
    ] {
        assert_eq!(seen(&is_asked(&house, &harmless).await), usual, "`{harmless}`");
    }
    // An image on somebody's page: the browser says what it is.
    let image = Ask::get(&format!("{PATH}?sid={known}")).with("Sec-Fetch-Dest", "image");
    assert_eq!(seen(&house.asks(&image).await), usual);
    ann.get("/").await.is_let_in();
    for method in ["POST", "PUT"] {
        assert_eq!(house.asks(&Ask::new(method, &format!("{PATH}?sid={known}"))).await.status, 405, "{method}");
    }
    assert_eq!(house.asks(&Ask::get("/oauth2/frontchannel-logout/other?sid=x")).await.status, 404);
    ann.get("/").await.is_let_in();
    assert_eq!(seen(&is_asked(&house, &format!("iss={issuer}&sid={known}")).await), usual);
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn the_browsers_own_cookie_goes_with_its_session_and_with_no_other() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    let sid = sids(&house, "ann").pop_first().expect("a session");
    house.seconds_pass(1);
    let own = ann.cookies();
    let of_another = Ask::get(&format!("{PATH}?sid=08a5019c-17e1-4977-8f42-65a12843ea02")).with("Cookie", &own);
    assert_eq!(house.asks(&of_another).await.field("set-cookie"), None);
    ann.get("/").await.is_let_in();
    let told = house.asks(&Ask::get(&format!("{PATH}?sid={sid}")).with("Cookie", &own)).await;
    let gone = told.field("set-cookie").unwrap_or_default();
    assert!(gone.starts_with("__Host-portcullis=;") && gone.contains("Max-Age=0"), "{gone}");
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn it_has_a_bound_and_goes_on_after_it() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    let sid = sids(&house, "ann").pop_first().expect("a session");
    house.seconds_pass(1);
    for n in 0..100 {
        assert_eq!(is_asked(&house, &format!("sid=0a1b2c3d4e5f-{n:05}")).await.status, 200, "{n}");
    }
    let refused = is_asked(&house, &format!("sid={sid}")).await;
    assert_eq!((refused.status, refused.field("retry-after"), refused.body.len()), (429, Some("1"), 0));
    ann.get("/").await.is_let_in();
    assert_eq!(house.metric("portcullis_set_rejected_total{why=\"too_many\"}").await, 1);
    house.seconds_pass(1);
    assert_eq!(is_asked(&house, &format!("sid={sid}")).await.status, 200);
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn it_is_off_unless_the_config_has_it() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    let sid = sids(&house, "ann").pop_first().expect("a session");
    house.seconds_pass(1);
    assert_eq!(is_asked(&house, &format!("sid={sid}")).await.status, 404);
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn what_cannot_be_written_down_is_in_force_and_not_called_done() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    let sid = sids(&house, "ann").pop_first().expect("a session");
    house.seconds_pass(1);
    let held = rusqlite::Connection::open(house.file("ledger.db")).expect("the ledger");
    held.execute_batch("DROP TABLE revocations").expect("somebody ruins the ledger");
    assert_eq!(is_asked(&house, &format!("sid={sid}")).await.status, 503);
    ann.fetches("/").await.is_refused("session_revoked");
}
