//! Holds: nobody gets in who is on hold, however they prove who they are, until it is lifted.

use serde_json::json;

use crate::cut::opens_websocket;
use crate::harness::{Ask, Browser, House};

async fn lifts(house: &House, request: &serde_json::Value) -> serde_json::Value {
    let answer = house.operator(Ask::post("/v1/lifts", "application/json", request.to_string())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn holds(house: &House) -> serde_json::Value {
    house.operator(Ask::get("/v1/holds")).await.json()
}

/// A script is told in a word, a page in plain words.
async fn is_held(browser: &mut Browser) {
    let told = browser.fetches("/").await.answer;
    assert_eq!((told.status, told.json()["error"].as_str()), (403, Some("on_hold")));
    browser.get("/").await.is_told(403, "Your access is on hold");
}

#[tokio::test]
async fn nobody_on_hold_gets_in_by_any_login_and_a_lifting_asks_for_a_new_one() {
    let mut house = crate::cut::house().await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    let mut socket = opens_websocket(&house, &ann).await;
    house.seconds_pass(1);
    let whom = json!({ "user": "00u-ann" });
    house.operator_revokes(&json!({ "whom": whom, "mode": "hold", "reason": "stolen laptop" })).await;
    socket.is_ended().await;
    let mut elsewhere = house.browser();
    for restarted in [false, true] {
        if restarted {
            house.stop();
            house.start();
        }
        house.seconds_pass(5);
        is_held(&mut ann).await;
        // A new login, in another browser, with the password typed.
        elsewhere.forgets_the_idp();
        elsewhere.opens("/", Some("ann")).await.is_told(403, "Your access is on hold");
        ben.get("/").await.is_let_in();
        let seen = holds(&house).await;
        assert_eq!(
            (seen[0]["whom"].as_str(), seen[0]["reason"].as_str()),
            (Some("user 00u-ann"), Some("stolen laptop"))
        );
        assert_eq!(seen.as_array().map(Vec::len), Some(1), "{seen}");
    }
    assert_eq!(lifts(&house, &json!({ "whom": { "user": "00u-ben" } })).await["lifted"], 0, "it is not ben's");
    is_held(&mut ann).await;
    assert_eq!(
        lifts(&house, &json!({ "whom": whom, "reason": "found" })).await,
        json!({ "lifted": 1, "durable": true })
    );
    assert_eq!(holds(&house).await, json!([]));
    ann.fetches("/").await.is_refused("session_revoked");
    house.seconds_pass(2);
    ann.signs_in("ann").await.is_let_in();
    house.stop();
    house.start();
    ann.get("/").await.is_let_in();
    let audited = house.writes_down(&["\"event\":\"lifted\"", "\"was_held\":true", "\"mode\":\"hold\""]).await;
    assert!(audited.contains("\"event\":\"request_refused\""), "{audited}");
}

#[tokio::test]
async fn a_hold_in_one_app_is_lifted_in_that_app() {
    let house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    house.seconds_pass(1);
    let of_app = json!({ "whom": { "user": "00u-ann" }, "apps": ["payroll"] });
    let mut hold = of_app.clone();
    hold["mode"] = json!("hold");
    house.operator_revokes(&hold).await;
    is_held(&mut ann).await;
    assert_eq!(lifts(&house, &json!({ "whom": { "user": "00u-ann" } })).await["lifted"], 0, "that is another hold");
    is_held(&mut ann).await;
    assert_eq!(lifts(&house, &of_app).await["lifted"], 1);
    house.seconds_pass(2);
    ann.signs_in("ann").await.is_let_in();
}
