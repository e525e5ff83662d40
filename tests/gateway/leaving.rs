//! Signing out by the app's own button.

use crate::harness::{Ask, Browser, House, Plan, Reply, answer, ok};

const PATHS: &str = "logout_paths = [\"/logout\", \"POST /session/end\", \"/doku.php?do=logout\"]";

/// An app with a session of its own, which it ends at its logout.
async fn house() -> House {
    let house = House::of(Plan::default().app(PATHS)).await;
    house.backend.does(|seen| match seen.target.as_str() {
        "/logout" | "/doku.php?do=logout" | "/session/end" => {
            let gone = "Set-Cookie: APPSESSION=; Max-Age=0; Path=/; HttpOnly\r\nLocation: /bye\r\n";
            answer("302 Found", gone, "you are signed out of the app")
        }
        "/refused" | "/logout?refused" => answer("403 Forbidden", "", "the form has no token"),
        _ => answer("200 OK", "Set-Cookie: APPSESSION=a1; Path=/; HttpOnly\r\n", "hello from the app"),
    });
    house
}

fn post(target: &str) -> Ask {
    Ask::post(target, "application/x-www-form-urlencoded", "").with("Sec-Fetch-Mode", "navigate")
}

#[track_caller]
fn is_sent_on(status: u16, location: Option<&str>) {
    assert_eq!((status, location), (303, Some("/oauth2/sign_out")));
}

async fn is_over_for(browser: &mut Browser) {
    browser.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn the_app_hears_it_first_then_the_session_is_over_for_every_copy_then_the_idps() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    ann.get("/").await.is_let_in();
    let (mut copy, mut elsewhere) = (ann.clone(), house.browser_of("ann").await);
    house.seconds_pass(1);
    let gone = ann.get("/logout").await;
    is_sent_on(gone.answer.status, gone.answer.field("location"));
    assert!(!gone.answer.text().contains("signed out of the app"), "{}", gone.answer.text());
    assert_eq!(gone.answer.field("cache-control"), Some("no-store"));
    let heard = house.backend.last();
    assert_eq!(heard.target, "/logout");
    assert!(heard.field("cookie").is_some_and(|cookie| cookie.contains("APPSESSION=a1")), "{}", heard.head);
    // Before the browser goes anywhere: nothing that grew from the session is good for anything.
    is_over_for(&mut copy).await;
    assert!(ann.cookie_names().iter().all(|name| !name.contains("APPSESSION") && !name.contains("portcullis-session")));
    let to_idp = ann.goes_to(&gone.location().expect("a redirect")).await;
    let to = to_idp.location().expect("a redirect");
    assert!(to.as_str().starts_with(&format!("{}/logout?", house.demo.issuer)), "{to}");
    assert!(to.query_pairs().any(|(name, _)| name == "id_token_hint"), "{to}");
    let end = ann.goes_on(to_idp, None).await;
    end.is_told(200, "You are signed out");
    assert_eq!(house.demo.idp.sessions().len(), 1, "the IdP's session of this browser is over, the other stands");
    elsewhere.get("/").await.is_let_in();
    house.seconds_pass(1);
    ann.signs_in("ann").await.is_let_in();
    let audited = house.writes_down(&["\"event\":\"signed_out\"", "\"source\":\"app_logout\""]).await;
    assert_eq!(audited.matches("\"event\":\"signed_out\"").count(), 1, "{audited}");
}

#[tokio::test]
async fn what_ends_with_the_session_is_cut_and_what_does_not_goes_on() {
    let house = house().await;
    let (mut ann, ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    house.backend.does(|seen| match seen.target.as_str() {
        "/stream" => Reply::Open(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n".to_vec()),
        _ => ok("hello from the app"),
    });
    let mut streams = Vec::new();
    for browser in [&ann, &ben] {
        let mut wire = house.wire().await;
        wire.send(&Ask::get("/stream").with("Cookie", &browser.cookies()).bytes(&house.host())).await;
        wire.until("data: 1").await;
        streams.push(wire);
    }
    house.seconds_pass(1);
    let gone = ann.get("/logout").await;
    is_sent_on(gone.answer.status, gone.answer.field("location"));
    streams[0].is_ended().await;
    assert_eq!(house.metric("portcullis_exchanges_cut_total{kind=\"sse\"}").await, 1);
}

#[tokio::test]
async fn each_written_form_signs_out_and_nothing_else_does() {
    let house = house().await;
    for (what, ask, over) in [
        ("a path", Ask::get("/logout").with("Accept", "text/html"), true),
        ("a form", post("/logout"), true),
        ("a method", post("/session/end"), true),
        ("another method", Ask::get("/session/end").with("Accept", "text/html"), false),
        ("a parameter", Ask::get("/doku.php?do=logout").with("Accept", "text/html"), true),
        ("another parameter", Ask::get("/doku.php?do=show").with("Accept", "text/html"), false),
        ("a longer path", Ask::get("/logout/x").with("Accept", "text/html"), false),
        ("what the app refuses", Ask::get("/logout?refused").with("Accept", "text/html"), false),
        (
            "a page of another site",
            Ask::get("/logout").with("Sec-Fetch-Site", "cross-site").with("Accept", "text/html"),
            false,
        ),
        (
            "a page of a sibling",
            Ask::get("/logout").with("Sec-Fetch-Site", "same-site").with("Accept", "text/html"),
            true,
        ),
    ] {
        let mut ann = house.browser_of("ann").await;
        let mut copy = ann.clone();
        house.seconds_pass(1);
        let before = house.backend.count();
        let gone = ann.asks(&ask).await;
        assert_eq!(house.backend.count(), before + 1, "{what}: the app hears it");
        if over {
            is_sent_on(gone.answer.status, gone.answer.field("location"));
            is_over_for(&mut copy).await;
        } else {
            assert_ne!(gone.answer.field("location"), Some("/oauth2/sign_out"), "{what}");
            copy.get("/").await.is_let_in();
        }
        house.seconds_pass(1);
    }
}

#[tokio::test]
async fn a_script_gets_the_apps_answer_and_loses_its_session() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    let mut copy = ann.clone();
    house.backend.does(|seen| match seen.target.as_str() {
        "/logout" => answer("200 OK", "Content-Type: application/json\r\n", "{\"bye\":true}"),
        _ => ok("hello from the app"),
    });
    house.seconds_pass(1);
    let script = Ask::post("/logout", "application/json", "{}").with("Sec-Fetch-Mode", "cors");
    let told = ann.asks(&script).await.answer;
    assert_eq!((told.status, told.text().as_str()), (200, "{\"bye\":true}"));
    assert_eq!(ann.cookie_names(), ["APPSESSION"], "the app forgot to end its own");
    is_over_for(&mut copy).await;
    house.seconds_pass(1);
    ann.signs_in("ann").await.is_let_in();
    let cookie = house.backend.last().field("cookie");
    assert_eq!(cookie, None, "and what it left behind is dead all the same");
}

#[tokio::test]
async fn an_answer_without_end_outlives_the_session_by_no_more_than_its_last_words() {
    let house = house().await;
    let ann = house.browser_of("ann").await;
    let endless = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n".to_vec();
    house.backend.does(move |_| Reply::Endless(endless.clone()));
    let mut wire = house.wire().await;
    let ask = Ask::post("/logout", "text/plain", "").with("Sec-Fetch-Mode", "cors").with("Cookie", &ann.cookies());
    wire.send(&ask.bytes(&house.host())).await;
    let come = wire.rest().await;
    assert!(come.len() < 1 << 20, "{} bytes came", come.len());
}

#[tokio::test]
async fn without_a_session_and_without_such_paths_it_is_a_request_like_any_other() {
    let house = house().await;
    let mut stranger = house.browser();
    stranger.get("/logout").await.is_sent_to_idp();
    assert_eq!(house.backend.count(), 0);
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    ann.get("/logout").await.is_let_in();
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn a_proxy_that_asks_lets_it_through_to_the_app_and_the_session_is_over() {
    let house = House::of(Plan::default().app(PATHS).server("trusted_proxies = [\"127.0.0.1/32\"]")).await;
    let ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let asked = |target: &str| {
        Ask::get("/oauth2/auth/nginx")
            .with("X-Original-URL", &format!("{}{target}", house.origin()))
            .with("X-Original-Method", "GET")
            .with("Cookie", &ann.cookies())
    };
    assert_eq!(house.asks(&asked("/")).await.status, 200);
    let told = house.asks(&asked("/logout")).await;
    assert_eq!((told.status, told.field("x-auth-request-user")), (200, Some("00u-ann")));
    assert_eq!(house.asks(&asked("/")).await.status, 401);
}
