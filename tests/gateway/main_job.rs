//! The main job: a session ends when it is said to be over, and only a login that is newer than that leads back.

use crate::harness::{Ask, House, Plan, parameter};

#[tokio::test]
async fn a_revoked_session_and_every_copy_of_it_are_refused_and_a_fresh_login_gets_in() {
    let house = House::new().await;
    let mut ann = house.browser();
    ann.get("/reports?year=2003").await.is_sent_to_idp();
    let arrival = ann.opens("/reports?year=2003", Some("ann")).await;
    arrival.is_let_in();
    assert_eq!(house.backend.last().target, "/reports?year=2003", "the person comes back to where they were");
    let mut thief = ann.clone();
    let mut ben = house.browser_of("ben").await;

    house.revokes("ann").await;
    house.backend.forget();
    for stolen in [&mut ann, &mut thief] {
        stolen.fetches("/api").await.is_refused("session_revoked");
        let to = stolen.get("/").await.is_sent_to_idp();
        assert_eq!(parameter(&to, "prompt").as_deref(), Some("login"));
        assert_eq!(parameter(&to, "max_age").as_deref(), Some("0"));
    }
    assert_eq!(house.backend.count(), 0, "nothing of ann's reaches the app any more");
    ben.get("/").await.is_let_in();

    ann.signs_in("ann").await.is_let_in();
    thief.fetches("/api").await.is_refused("session_revoked");
}

#[tokio::test]
async fn after_a_revocation_the_idps_own_session_is_not_enough() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.revokes_and_keeps("ann").await;
    let arrival = ann.follows("/").await;
    assert!(arrival.is_sign_in_page(), "the IdP asks for the password although it knows ann: {}", arrival.url);
    assert_eq!(arrival.trips, 1);
    ann.goes_on(arrival, Some("ann")).await.is_let_in();
}

#[tokio::test]
async fn an_idp_that_answers_with_an_old_login_gets_a_page_and_never_a_loop() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.revokes_and_keeps("ann").await;
    house.demo.idp.tune(|knobs| knobs.frozen_auth_time = true);
    let mut anew = ann.clone();
    for name in anew.cookie_names() {
        anew.loses(&name);
    }
    // With the dead session the gateway knows what to ask for; without any it learns it from the first answer.
    for (mut browser, trips) in [(ann.clone(), 1), (anew, 2)] {
        let arrival = browser.follows("/").await;
        arrival.is_told(403, "A new login is needed");
        assert_eq!(arrival.trips, trips, "trips to the IdP");
        assert_eq!(browser.fetches("/").await.answer.status, 401, "still outside");
    }
    house.demo.idp.tune(|knobs| knobs.omit_auth_time = true);
    ann.follows("/").await.is_told(403, "A new login is needed");
    house.demo.idp.tune(|knobs| (knobs.frozen_auth_time, knobs.omit_auth_time) = (false, false));
    ann.signs_in("ann").await.is_let_in();
}

#[tokio::test]
async fn reestablishing_asks_the_idp_and_not_the_person() {
    let house = House::of(Plan::default().stream("events = { session-revoked = \"reestablish\" }")).await;
    let mut ann = house.browser_of("ann").await;
    let mut thief = ann.clone();
    thief.forgets_the_idp();
    house.revokes_and_keeps("ann").await;
    ann.fetches("/").await.is_refused("reestablish_required");
    let arrival = ann.follows("/").await;
    arrival.is_let_in();
    assert_eq!((arrival.trips, arrival.was_asked), (1, false));
    assert!(thief.follows("/").await.is_sign_in_page(), "who has only the gateway's cookie is asked for the password");
}

#[tokio::test]
async fn reestablishing_fails_where_the_idp_has_ended_its_session() {
    let house = House::of(Plan::default().stream("events = { session-revoked = \"reestablish\" }")).await;
    let mut ann = house.browser_of("ann").await;
    house.revokes("ann").await;
    assert!(ann.follows("/").await.is_sign_in_page());
}

#[tokio::test]
async fn a_revocation_during_the_code_exchange_is_not_overtaken_by_it() {
    let house = House::new().await;
    let mut ann = house.browser();
    let sent = ann.get("/").await;
    let callback = ann.answered_by_idp(&sent, "ann").await;
    let hold = house.demo.idp.hold("/token");
    let (arrival, ()) = tokio::join!(ann.goes_to(&callback), async {
        hold.arrived().await;
        house.revokes_and_keeps("ann").await;
        drop(hold);
    });
    let to = arrival.is_sent_to_idp();
    assert_eq!(parameter(&to, "prompt").as_deref(), Some("login"), "the login under way is too old by now");
    ann.fetches("/").await.is_refused("login_required");
    ann.goes_on(arrival, Some("ann")).await.is_let_in();
}

#[tokio::test]
async fn tabs_that_sign_in_at_the_same_time_do_not_disturb_each_other() {
    let house = House::new().await;
    let mut ann = house.browser();
    let tabs = [ann.get("/one").await, ann.get("/two").await, ann.get("/three").await];
    let mut callbacks = Vec::new();
    for tab in &tabs {
        callbacks.push(ann.answered_by_idp(tab, "ann").await);
    }
    for (callback, path) in callbacks.iter().zip(["/one", "/two", "/three"]).rev() {
        let page = ann.goes_to(callback).await;
        let arrival = ann.goes_on(page, None).await;
        arrival.is_let_in();
        assert_eq!(arrival.url.path(), path);
    }
}

#[tokio::test]
async fn a_late_callback_continues_for_who_is_signed_in_and_is_explained_to_who_is_not() {
    let house = House::new().await;
    let mut ann = house.browser();
    let mut elsewhere = house.browser();
    let sent = ann.get("/").await;
    let callback = ann.answered_by_idp(&sent, "ann").await;
    elsewhere.goes_to(&callback).await.is_told(400, "no longer under way");
    let page = ann.goes_to(&callback).await;
    ann.goes_on(page, None).await.is_let_in();

    let again = ann.goes_to(&callback).await;
    again.is_told(200, "Taking you back");
    ann.goes_on(again, None).await.is_let_in();
    house.revokes_and_keeps("ann").await;
    ann.goes_to(&callback).await.is_told(400, "no longer under way");
}

#[tokio::test]
async fn an_answer_is_taken_from_the_idp_that_was_asked_and_once() {
    let house = House::new().await;
    let mut ann = house.browser();
    let sent = ann.get("/").await;
    let callback = ann.answered_by_idp(&sent, "ann").await;
    for (issuer, words) in
        [("https://evil.example.com", "not one that was asked for"), ("", "not one that was asked for")]
    {
        let mut forged = callback.clone();
        let kept: Vec<_> = callback.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
        forged.query_pairs_mut().clear().extend_pairs(kept);
        if !issuer.is_empty() {
            forged.query_pairs_mut().append_pair("iss", issuer);
        }
        ann.clone().goes_to(&forged).await.is_told(400, words);
    }
    assert_eq!(house.demo.idp.requests("/token"), 0, "no code goes to the IdP on a forged answer");
    let mut stale = ann.clone();
    ann.goes_to(&callback).await.is_told(200, "Taking you back");
    // The code was spent, and with it every browser that has the flow's cookie.
    stale.goes_to(&callback).await.is_told(502, "You are not signed in");
    assert_eq!(stale.cookie_names(), [""; 0]);
}

#[tokio::test]
async fn a_planted_session_does_not_become_that_of_who_signs_in() {
    let house = House::new().await;
    let mut eve = house.browser_of("eve").await;
    let mut ann = house.browser();
    for pair in eve.cookies().split("; ") {
        let (name, value) = pair.split_once('=').expect("a cookie");
        ann.has_cookie(name, value);
    }
    let page = ann.goes_to(&format!("{}/oauth2/start", house.origin()).parse().expect("url")).await;
    ann.goes_on(page, Some("ann")).await.is_let_in();
    assert_ne!(ann.cookies(), eve.cookies());
    ann.get("/").await.is_let_in();
    assert_eq!(house.backend.last().field("x-forwarded-user").as_deref(), Some("00u-ann"));
    eve.get("/").await.is_let_in();
    assert_eq!(house.backend.last().field("x-forwarded-user").as_deref(), Some("00u-eve"));
    house.revokes("eve").await;
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn whoever_logs_in_within_the_second_of_the_revocation_waits_for_its_end_and_gets_in() {
    let house = House::of(Plan::default().real_time()).await;
    let mut ann = house.browser_of("ann").await;
    house.revokes("ann").await;
    ann.fetches("/").await.is_refused("session_revoked");
    ann.signs_in("ann").await.is_let_in();
}

#[tokio::test]
async fn another_program_can_begin_a_login_here_and_only_with_our_idp() {
    let house = House::new().await;
    let mut ann = house.browser();
    let issuer = house.demo.issuer.as_str();
    let start = |issuer: &str, target: &str| {
        let pairs = [("iss", issuer), ("login_hint", "ann"), ("target_link_uri", target)];
        format!("/oauth2/start?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    };
    let sent = ann.get(&start(issuer, &format!("{}/reports", house.origin()))).await;
    assert_eq!(parameter(&sent.is_sent_to_idp(), "login_hint").as_deref(), Some("ann"));
    let arrival = ann.goes_on(sent, Some("ann")).await;
    arrival.is_let_in();
    assert_eq!(arrival.url.path(), "/reports");

    let arrival = ann.opens(&start(issuer, "https://evil.example.com/x"), Some("ann")).await;
    arrival.is_let_in();
    assert_eq!((arrival.url.host_str(), arrival.url.path()), (Some("localhost"), "/"), "never to another site");
    ann.get(&start("https://evil.example.com", "/")).await.is_told(400, "another sign-in service");
}

#[tokio::test]
async fn while_the_idp_is_down_nobody_new_gets_in_and_whoever_is_in_goes_on() {
    let mut house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    let mut ben = house.browser();
    house.idp_fails("/token", 503);
    let arrival = ben.signs_in("ben").await;
    arrival.is_told(503, "Sign-in is not possible right now");
    assert!(arrival.answer.field("retry-after").is_some());
    ann.get("/").await.is_let_in();

    house.idp_fails("/.well-known/openid-configuration", 503);
    house.start();
    let arrival = house.browser().get("/").await;
    arrival.is_told(503, "Sign-in is not possible right now");
    ann.get("/").await.is_let_in();
    house.idp_works();
    house.seconds_pass(60);
    house.browser_of("ben").await.get("/").await.is_let_in();
}

#[tokio::test]
async fn what_is_revoked_stays_so_after_every_cache_was_warmed() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    // One connection, kept open, over which ann was let in a moment ago.
    let mut wire = house.wire().await;
    let ask = Ask::get("/").with("Cookie", &ann.cookies()).with("Accept", "*/*").bytes(&house.host());
    for _ in 0..3 {
        wire.send(&ask).await;
        assert_eq!(wire.answer().await.expect("an answer").status, 200);
    }
    house.revokes("ann").await;
    wire.send(&ask).await;
    let answer = wire.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("session_revoked")));
    for path in ["/oauth2/userinfo", "/oauth2/auth"] {
        assert_eq!(ann.asks(&Ask::get(path)).await.answer.status, 401, "{path}");
    }
}
