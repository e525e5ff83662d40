//! IdPs that send nothing: their sessions are asked after, and what the IdP no longer stands by ends.

use std::time::Duration;

use portcullis::demo::idp::Client;
use portcullis::secret::Secret;
use serde_json::{Value, json};

use crate::cut::opens_websocket;
use crate::harness::{Ask, House, Plan, Reply, is_refused, ok, parameter, soon};

/// Checked in the background, at short intervals of the machine's own time.
const REFRESH: &str = "revalidate = { every = \"2s\", by = \"refresh\" }";
/// Checked with the browser, at intervals of the test's time.
const SILENT: &str = "revalidate = { every = \"60s\", by = \"silent\", grace = \"60s\" }";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
/// Where the app of these tests makes tokens.
const DERIVED: &str = "derived = [{ path = \"/token\", response = \"/access_token\" }]";

async fn house(idp: &str) -> House {
    let house = House::of(Plan::default().idp(idp).app(DERIVED)).await;
    house.demo.idp.tune(|knobs| knobs.refresh_tokens = true);
    house.backend.does(|seen| match seen.target.as_str() {
        "/ws" => Reply::Echo(SWITCHED.to_vec()),
        "/token" => {
            let body = "{\"access_token\":\"a-token-of-the-app\"}";
            crate::harness::answer("200 OK", "Content-Type: application/json\r\n", body)
        }
        _ => ok("hello from the app"),
    });
    house
}

fn disable(house: &House, user: &str) {
    house.demo.idp.tune(|knobs| {
        knobs.disabled.insert(user.to_owned());
    });
}

/// Waits until a line of the metrics has reached that value.
async fn counts(house: &House, line: &str, least: u64) {
    let reached = async {
        while house.metric(line).await < least {
            tokio::task::yield_now().await;
        }
    };
    soon(&format!("{line} at {least}"), reached).await;
}

fn verdicts(result: &str) -> String {
    format!("portcullis_revalidations_total{{by=\"refresh\",idp=\"demo\",result=\"{result}\"}}")
}

async fn status(house: &House) -> Value {
    house.operator(Ask::get("/v1/status")).await.json()["idps"][0]["revalidation"].clone()
}

#[tokio::test]
async fn a_disabled_account_loses_everything_that_grew_from_its_session_within_the_interval() {
    let mut house = house(REFRESH).await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    let minted = ann.fetches("/token").await.answer.json()["access_token"].as_str().expect("a token").to_owned();
    let with_token = Ask::get("/api").with("Authorization", &format!("Bearer {minted}"));
    assert_eq!(house.asks(&with_token).await.status, 200);
    // A restart in between: the tokens were replaced, and are still there.
    counts(&house, &verdicts("stands"), 4).await;
    house.start();
    counts(&house, &verdicts("stands"), 4).await;
    let mut socket = opens_websocket(&house, &ann).await;
    let seen = status(&house).await;
    assert_eq!((&seen["by"], &seen["sessions"], &seen["refused"]), (&json!("refresh"), &json!(2), &json!(0)), "{seen}");

    disable(&house, "ann");
    socket.is_ended().await;
    let audited = house.writes_down(&["\"session_refused\"", "\"source\":\"revalidation\""]).await;
    assert!(audited.contains("\"by\":\"refresh\"") && audited.contains("00u-ann"), "{audited}");
    ann.fetches("/").await.is_refused("session_revoked");
    is_refused(&house.asks(&with_token).await, "session_revoked", "error=\"invalid_token\"");
    ben.get("/").await.is_let_in();
    assert_eq!(house.metric(&verdicts("refused")).await, 1);
    // It is no ban: the account comes back, and with it the person, by a new proof.
    house.demo.idp.tune(|knobs| knobs.disabled.clear());
    house.seconds_pass(1);
    let back = ann.signs_in("ann").await;
    back.is_let_in();
    assert!(back.was_asked, "a termination asks for the password");
    is_refused(&house.asks(&with_token).await, "session_revoked", "error=\"invalid_token\"");
}

#[tokio::test]
async fn who_signs_out_or_is_revoked_is_asked_after_no_more() {
    let house = house(REFRESH).await;
    let (mut ann, _ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    let live = "portcullis_revalidation_sessions{idp=\"demo\",state=\"live\"}";
    counts(&house, live, 2).await;
    ann.get("/oauth2/sign_out").await;
    house.revokes("ben").await;
    let gone = async {
        while house.metric(live).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("nobody is left to ask after", gone).await;
    assert!(!house.audited().contains("session_refused"), "their end was no refusal");
}

#[tokio::test]
async fn silence_is_borne_for_a_while_and_then_a_new_assertion_is_needed() {
    let house = house("revalidate = { every = \"2s\", by = \"refresh\", patience = \"60s\" }").await;
    let mut ann = house.browser_of("ann").await;
    let mut socket = opens_websocket(&house, &ann).await;
    house.idp_fails("/token", 503);
    counts(&house, &verdicts("no_verdict"), 2).await;
    ann.get("/").await.is_let_in();
    assert!(status(&house).await["trouble"].as_str().is_some_and(|why| why.contains("token endpoint")));
    house.seconds_pass(60);
    socket.is_ended().await;
    house.writes_down(&["no verdict for too long", "\"mode\":\"reestablish\""]).await;
    ann.fetches("/").await.is_refused("reestablish_required");
    house.idp_works();
    house.seconds_pass(1);
    let back = ann.follows("/").await;
    back.is_let_in();
    assert!(!back.was_asked, "the IdP vouches for her without a question");
}

#[tokio::test]
async fn nobody_is_signed_out_for_a_mistake_in_our_registration() {
    let house = house(REFRESH).await;
    let mut ann = house.browser_of("ann").await;
    house.demo.idp.register(Client {
        id: house.demo.client_id.clone(),
        secret: Secret::new("another secret".to_owned()),
        name: "Payroll 2003".to_owned(),
        redirect_uris: vec![],
        post_logout_redirect_uris: vec![],
        backchannel_logout_uri: None,
    });
    disable(&house, "ann");
    counts(&house, &verdicts("misconfigured"), 1).await;
    house.seconds_pass(1_000);
    counts(&house, &verdicts("misconfigured"), 2).await;
    ann.get("/").await.is_let_in();
    let seen = status(&house).await;
    assert_eq!((&seen["overdue"], &seen["trouble"]), (&json!(1), &json!("the IdP refused this client")), "{seen}");
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_asks_for_a_new_assertion_and_kills_nothing_else() {
    let mut house = house(REFRESH).await;
    let mut ann = house.browser_of("ann").await;
    let minted = ann.fetches("/token").await.answer.json()["access_token"].as_str().expect("a token").to_owned();
    let with_token = Ask::get("/api").with("Authorization", &format!("Bearer {minted}"));
    // The gateway ends while the IdP is at work on a call, and never learns what came of it.
    let hold = house.demo.idp.hold("/token");
    hold.arrived().await;
    house.stop();
    drop(hold);
    // What the gateway has is not good any more, as if it had been replaced.
    house.demo.idp.tune(|knobs| knobs.refresh_tokens = false);
    disable(&house, "ann");
    house.start();
    house.writes_down(&["a lost answer may have used up", "\"mode\":\"reestablish\""]).await;
    assert_eq!(house.asks(&with_token).await.status, 401);
    house.demo.idp.tune(|knobs| knobs.disabled.clear());
    house.seconds_pass(1);
    let back = ann.follows("/").await;
    back.is_let_in();
    assert!(!back.was_asked);
    assert_eq!(house.asks(&with_token).await.status, 200, "what grew from the session lives on");
}

#[tokio::test]
async fn whose_groups_are_taken_away_needs_a_new_assertion_and_gets_one_without_them() {
    let house = house(REFRESH).await;
    let mut ann = house.browser_of("ann").await;
    house.idp_says("ann", &json!({ "groups": ["staff", "payroll", "more"] }));
    counts(&house, &verdicts("stands"), 3).await;
    ann.get("/").await.is_let_in();
    house.idp_says("ann", &json!({ "groups": ["staff"] }));
    house.writes_down(&["no longer says of the person", "\"mode\":\"reestablish\""]).await;
    house.seconds_pass(1);
    ann.follows("/").await.is_let_in();
    let groups = house.backend.last().field("x-forwarded-groups");
    assert_eq!(groups.as_deref(), Some("staff"));
}

#[tokio::test]
async fn a_session_without_refresh_token_is_checked_with_the_browser() {
    let house = house("revalidate = { every = \"60s\", by = \"refresh\" }").await;
    house.demo.idp.tune(|knobs| knobs.refresh_tokens = false);
    let mut ann = house.browser_of("ann").await;
    let line = "portcullis_revalidation_grants_not_kept_total{idp=\"demo\",why=\"no_refresh_token\"}";
    assert_eq!(house.metric(line).await, 1);
    house.seconds_pass(60);
    let sent = ann.get("/").await;
    assert_eq!(parameter(&sent.is_sent_to_idp(), "prompt").as_deref(), Some("none"));
    // This time it brings one.
    house.demo.idp.tune(|knobs| knobs.refresh_tokens = true);
    ann.goes_on(sent, None).await.is_let_in();
    house.seconds_pass(60);
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn the_next_page_goes_through_the_idp_and_its_yes_renews_the_session() {
    let house = house(SILENT).await;
    let mut ann = house.browser_of("ann").await;
    let first = house.writes_down(&["\"signed_in\""]).await;
    house.seconds_pass(30);
    ann.get("/").await.is_let_in();
    for _ in 0..3 {
        house.seconds_pass(61);
        ann.fetches("/").await.is_let_in();
        // A frame cannot be sent away: the IdP may not get its cookies there.
        let frame = Ask::get("/").with("Sec-Fetch-Mode", "navigate").with("Sec-Fetch-Dest", "iframe");
        ann.asks(&frame).await.is_let_in();
        let sent = ann.get("/").await;
        let url = sent.is_sent_to_idp();
        let asked = ["prompt", "login_hint"].map(|name| parameter(&url, name));
        assert_eq!(asked, [Some("none".to_owned()), Some("ann".to_owned())]);
        let back = ann.goes_on(sent, None).await;
        back.is_let_in();
        assert_eq!((back.trips, back.was_asked), (1, false));
        ann.get("/").await.is_let_in();
    }
    // It is the same session: what ends it ends all that was made in it.
    let id = |audited: &str| -> Vec<String> {
        let events = audited.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event"));
        let of = events.filter(|event| event["event"] == "signed_in");
        of.map(|event| event["session"].as_str().expect("an id").to_owned()).collect()
    };
    let all = soon("four sign-ins in the audit log", async {
        loop {
            let all = id(&house.audited());
            if all.len() >= 4 {
                return all;
            }
            tokio::task::yield_now().await;
        }
    });
    let (all, first) = (all.await, id(&first));
    assert!(all.iter().all(|session| *session == first[0]), "{all:?}");
    let stands = "portcullis_revalidations_total{by=\"silent\",idp=\"demo\",result=\"stands\"}";
    assert_eq!(house.metric(stands).await, 3);
}

#[tokio::test]
async fn the_idps_no_ends_the_session_for_every_copy_of_its_cookie_and_a_login_begins() {
    let house = house(SILENT).await;
    let mut ann = house.browser_of("ann").await;
    let minted = ann.fetches("/token").await.answer.json()["access_token"].as_str().expect("a token").to_owned();
    let with_token = Ask::get("/api").with("Authorization", &format!("Bearer {minted}"));
    let mut copy = ann.clone();
    house.demo.idp.forget(|_| true);
    house.seconds_pass(61);
    copy.fetches("/").await.is_let_in();
    let asked = ann.follows("/").await;
    assert!(asked.is_sign_in_page(), "at {}", asked.url);
    assert_eq!(parameter(&asked.url, "prompt").as_deref(), Some("login"));
    copy.fetches("/").await.is_refused("session_revoked");
    is_refused(&house.asks(&with_token).await, "session_revoked", "error=\"invalid_token\"");
    house.writes_down(&["\"session_refused\"", "\"by\":\"silent\"", "00u-ann"]).await;
    house.seconds_pass(2);
    ann.types_password(&asked, "ann").await;
    ann.signs_in("ann").await.is_let_in();
}

#[tokio::test]
async fn scripts_and_streams_of_a_browser_that_shows_no_new_page_end_after_the_grace() {
    let house = house(SILENT).await;
    let mut ann = house.browser_of("ann").await;
    let mut socket = opens_websocket(&house, &ann).await;
    house.seconds_pass(119);
    ann.fetches("/").await.is_let_in();
    house.seconds_pass(1);
    ann.fetches("/").await.is_refused("revalidation_required");
    socket.is_ended().await;
    // The way back needs no password.
    let back = ann.follows("/").await;
    back.is_let_in();
    assert!(!back.was_asked);
}

#[tokio::test]
async fn an_idp_whose_yes_is_old_gets_a_page_and_never_a_loop() {
    let house = house(SILENT).await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(61);
    let long_ago = house.clock.now().minus(Duration::from_secs(90));
    house.idp_says("ann", &json!({ "iat": long_ago }));
    let told = ann.follows("/").await;
    assert_eq!((told.trips, told.answer.status), (1, 403), "{}", told.answer.text());
}

#[tokio::test]
async fn an_idp_with_a_fault_ends_nothing() {
    let house = house(SILENT).await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(61);
    let sent = ann.get("/").await;
    let state = parameter(&sent.is_sent_to_idp(), "state").expect("a state");
    let issuer: String = form_urlencoded::byte_serialize(house.demo.issuer.as_str().as_bytes()).collect();
    let fault = format!("{}/oauth2/callback?error=temporarily_unavailable&state={state}&iss={issuer}", house.origin());
    let told = ann.goes_to(&fault.parse().expect("a URL")).await;
    assert_eq!(told.answer.status, 503);
    ann.fetches("/").await.is_let_in();
    ann.follows("/").await.is_let_in();
}
