//! What the events of CAEP and RISC do to whom they name, over real pushes.

use serde_json::{Value, json};

use crate::harness::{House, Plan};

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";

async fn says(house: &House, event: &str, subject: &Value, payload: &Value) {
    house.seconds_pass(1);
    let answer = house.pushes(&house.set(subject, event, payload)).await;
    assert_eq!(answer.status, 202, "{event}: {}", answer.text());
    house.seconds_pass(1);
}

#[tokio::test]
async fn a_disabled_account_is_held_until_it_is_enabled_whatever_comes_late() {
    let mut house = House::new().await;
    let mut ann = house.browser_of("ann").await;
    let subject = house.subject_of("ann");
    house.seconds_pass(1);
    let early = house.clock.now().secs();
    says(&house, &format!("{RISC}account-disabled"), &subject, &json!({ "reason": "hijacking" })).await;
    ann.get("/").await.is_told(403, "Your access is on hold");
    house.stop();
    house.start();
    ann.get("/").await.is_told(403, "Your access is on hold");
    says(&house, &format!("{RISC}account-enabled"), &subject, &json!({})).await;
    ann.fetches("/").await.is_refused("session_revoked");
    ann.signs_in("ann").await.is_let_in();
    // The same once more, from before it was enabled.
    says(&house, &format!("{RISC}account-disabled"), &subject, &json!({ "event_timestamp": early })).await;
    ann.get("/").await.is_let_in();
}

#[tokio::test]
async fn a_device_that_no_longer_complies_is_held_and_no_other() {
    let house = House::of(Plan::default().idp("claims = { device = \"device_id\" }")).await;
    house.idp_says("ann", &json!({ "device_id": "laptop" }));
    let mut laptop = house.browser_of("ann").await;
    house.idp_says("ann", &json!({ "device_id": "phone" }));
    let mut phone = house.browser_of("ann").await;
    let mut unknown = house.browser_of("ben").await;
    let device = json!({ "format": "complex", "device": { "format": "opaque", "id": "laptop" },
        "tenant": { "format": "opaque", "id": "t" } });
    let is_now = |status: &str| json!({ "previous_status": "compliant", "current_status": status });
    let change = format!("{CAEP}device-compliance-change");
    // The IdP says no tenant: nobody is of it, and nobody is of another.
    says(&house, &change, &device, &is_now("not-compliant")).await;
    laptop.get("/").await.is_let_in();
    let device = json!({ "format": "complex", "device": { "format": "opaque", "id": "laptop" } });
    says(&house, &change, &device, &is_now("not-compliant")).await;
    laptop.get("/").await.is_told(403, "Your access is on hold");
    phone.get("/").await.is_let_in();
    unknown.get("/").await.is_let_in();
    says(&house, &change, &device, &is_now("compliant")).await;
    laptop.fetches("/").await.is_refused("session_revoked");
}

#[tokio::test]
async fn a_risk_or_a_changed_credential_asks_the_idp_and_a_stream_may_say_otherwise() {
    let plan = Plan::default()
        .stream("events = { credential-change = \"ignore\", risk-level-change = { action = \"terminate\", at_least = \"MEDIUM\" } }");
    for (house, credential, medium) in [
        (House::new().await, Some("reestablish_required"), None),
        (House::of(plan).await, None, Some("session_revoked")),
    ] {
        let mut ann = house.browser_of("ann").await;
        let subject = house.subject_of("ann");
        let risk = |level: &str| json!({ "principal": "USER", "current_level": level });
        let change = |change: &str| json!({ "credential_type": "password", "change_type": change });
        for (event, payload, expected) in [
            ("credential-change", change("create"), None),
            ("credential-change", change("update"), credential),
            ("risk-level-change", risk("LOW"), None),
            ("risk-level-change", risk("MEDIUM"), medium),
        ] {
            says(&house, &format!("{CAEP}{event}"), &subject, &payload).await;
            match expected {
                None => ann.get("/").await.is_let_in(),
                Some(word) => {
                    ann.fetches("/").await.is_refused(word);
                    ann.signs_in("ann").await.is_let_in();
                }
            }
        }
    }
}
