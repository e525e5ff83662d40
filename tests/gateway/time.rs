//! Sessions that end by themselves, and what outlives a restart.

use std::time::Duration;

use crate::harness::{House, Plan};

const SHORT: &str = "[session]\nmax_age = \"1h\"\nidle = \"10m\"";

#[tokio::test]
async fn a_session_that_nobody_uses_ends() {
    let house = House::of(Plan::default().more(SHORT)).await;
    let mut ann = house.browser_of("ann").await;
    let mut unused = ann.clone();
    house.seconds_pass(599);
    ann.get("/").await.is_let_in();
    assert_ne!(ann.cookies(), unused.cookies(), "its use is written down in a new cookie");
    house.seconds_pass(1);
    unused.fetches("/").await.is_refused("session_expired");
    house.seconds_pass(598);
    ann.get("/").await.is_let_in();
    house.seconds_pass(600);
    ann.fetches("/").await.is_refused("session_expired");
    ann.signs_in("ann").await.is_let_in();
}

#[tokio::test]
async fn a_session_in_use_ends_at_its_greatest_age() {
    let house = House::of(Plan::default().more(SHORT)).await;
    let mut ann = house.browser_of("ann").await;
    for _ in 0..11 {
        house.seconds_pass(300);
        ann.get("/").await.is_let_in();
    }
    house.seconds_pass(299);
    ann.get("/").await.is_let_in();
    house.seconds_pass(1);
    ann.fetches("/").await.is_refused("session_expired");
    house.seconds_pass(1);
    let again = ann.follows("/").await;
    assert!(again.is_sign_in_page(), "the login is older than a session may become, so the IdP asks again");
    ann.goes_on(again, Some("ann")).await.is_let_in();
}

#[tokio::test]
async fn the_idp_can_set_the_end_earlier() {
    let house = House::of(Plan::default().more(SHORT)).await;
    house.demo.idp.tune(|knobs| knobs.session_expiry = Some(Duration::from_secs(120)));
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(119);
    ann.get("/").await.is_let_in();
    house.seconds_pass(1);
    ann.fetches("/").await.is_refused("session_expired");

    house.demo.idp.tune(|knobs| knobs.session_expiry = Some(Duration::from_secs(86_400)));
    let mut ben = house.browser_of("ben").await;
    for _ in 0..7 {
        house.seconds_pass(500);
        ben.get("/").await.is_let_in();
    }
    house.seconds_pass(100);
    ben.fetches("/").await.is_refused("session_expired");
}

#[tokio::test]
async fn a_restart_forgets_no_revocation_and_ends_no_session() {
    let mut house = House::new().await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    let mut thief = ann.clone();
    house.revokes("ann").await;
    for _ in 0..2 {
        house.start();
        thief.fetches("/").await.is_refused("session_revoked");
        ben.get("/").await.is_let_in();
    }
    ann.signs_in("ann").await.is_let_in();
    house.start();
    ann.get("/").await.is_let_in();
    thief.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn a_new_key_ends_no_session_and_lets_no_revoked_one_back_in() {
    let mut house = House::new().await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    let mut eve = house.browser_of("eve").await;
    house.revokes("eve").await;

    house.restart_with_keys(&["ring-2.key", "ring-1.key"]);
    eve.fetches("/").await.is_refused("session_revoked");
    ann.get("/").await.is_let_in();
    ben.get("/").await.is_let_in();
    house.revokes("ann").await;
    ann.fetches("/").await.is_refused("session_revoked");
    // What begins now begins under the new key.
    for (browser, user) in [(&mut ann, "ann"), (&mut eve, "eve")] {
        browser.signs_in(user).await.is_let_in();
    }
    house.revokes("eve").await;

    house.restart_with_keys(&["ring-2.key"]);
    ann.get("/").await.is_let_in();
    eve.fetches("/").await.is_refused("session_revoked");
    house.revokes("ann").await;
    ann.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn a_session_goes_with_the_key_it_began_under_however_often_it_was_renewed() {
    let mut house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    let first = ann.clone();
    house.restart_with_keys(&["ring-2.key", "ring-1.key"]);
    house.seconds_pass(600);
    ann.get("/").await.is_let_in();
    assert_ne!(ann.cookies(), first.cookies(), "the session was renewed");
    // Its targets were hashed under the old key: without that no revocation could meet it any more.
    house.restart_with_keys(&["ring-2.key"]);
    ann.fetches("/").await.is_refused("session_unusable");
}
