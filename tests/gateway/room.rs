//! The bound of what is in force: nobody new gets in before anything is forgotten.

use serde_json::json;

use crate::harness::{Ask, House, Plan};

/// What `[ledger] max_subjects` says.
const MOST: usize = 100;
/// Longer than any credential lives here.
const EVERYTHING_IS_OVER: u64 = 25 * 3_600;

async fn reasons(house: &House) -> String {
    let ready = house.operator(Ask::get("/ready")).await;
    assert_eq!(ready.status, 200, "it stays in the load balancer: {}", ready.text());
    ready.text()
}

#[tokio::test]
async fn beyond_the_bound_nobody_new_signs_in_and_everything_is_enforced_until_there_is_room_again() {
    let mut house = House::of(Plan::default().ledger(&format!("max_subjects = {MOST}"))).await;
    let (mut ann, mut ben) = (house.browser_of("ann").await, house.browser_of("ben").await);
    for n in 0..MOST {
        house.operator_revokes(&json!({ "whom": { "user": format!("somebody-{n}") } })).await;
    }
    assert_eq!(house.metric("portcullis_crowded").await, 0, "exactly full is not over");
    house.browser().opens("/", Some("ann")).await.is_let_in();

    // One more: it is taken like the others, and is in force.
    house.operator_revokes(&json!({ "whom": { "user": "00u-ben" } })).await;
    for restarted in [false, true] {
        if restarted {
            house.stop();
            house.start();
        }
        assert_eq!(house.metric("portcullis_crowded").await, 1);
        assert!(reasons(&house).await.contains("`ledger.max_subjects` is 100: nobody new can sign in"));
        ben.fetches("/").await.is_refused("session_revoked");
        // Who is signed in goes on; who is not comes later, by whichever door.
        ann.get("/").await.is_let_in();
        for path in ["/", "/oauth2/start?rd=%2F", "/oauth2/sign_in"] {
            let told = house.browser().get(path).await;
            told.is_told(503, "Nobody can sign in at the moment");
            assert_eq!(told.answer.field("retry-after"), Some("60"), "{path}");
        }
        house.browser().fetches("/").await.is_refused("login_required");
        // Revocations are taken all the same.
        house.operator_revokes(&json!({ "whom": { "user": format!("late-{restarted}") } })).await;
    }
    house.operator_revokes(&json!({ "whom": { "user": "00u-ann" } })).await;
    ann.fetches("/").await.is_refused("session_revoked");
    ann.get("/").await.is_told(503, "Nobody can sign in at the moment");

    // All of that is older than whatever may still be shown: it goes first, once anything has to go.
    house.seconds_pass(EVERYTHING_IS_OVER);
    house.operator_revokes(&json!({ "whom": { "user": "somebody" } })).await;
    assert_eq!(
        (house.metric("portcullis_crowded").await, house.metric("portcullis_revocation_set_entries").await),
        (0, 1)
    );
    assert!(!reasons(&house).await.contains("max_subjects"));
    ben.opens("/", Some("ben")).await.is_let_in();
}
