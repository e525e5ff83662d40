use serde_json::json;

use super::super::harness::{Stage, until};
use super::Fleet;

/// A hold that one operator puts in force here, and another lifts there.
pub(super) async fn what_one_operator_holds_another_lifts_at_another_gateway(stage: &dyn Stage) {
    let fleet = Fleet::of(stage, 3).await;
    let gateways = &fleet.gateways;
    let ann = json!({ "whom": { "user": "ann" }, "idp": "demo" });
    let mut held = ann.clone();
    held["mode"] = json!("hold");
    gateways.operates(0, "/v1/revocations", &held).await;
    let cookies = gateways.cookies("ann", "localhost:8080");
    let on_hold = async |n: usize, expected: usize| {
        until(&format!("gateway {n} knows {expected} holds"), || async {
            (gateways.holds(n).await? == expected).then_some(())
        })
        .await;
    };
    for n in 0..3 {
        on_hold(n, 1).await;
        assert!(matches!(gateways.asks(n, &cookies).await, Some(401 | 403)), "nobody gets in");
    }
    let (status, answer) = gateways.operator(2, "/v1/lifts", &ann).await;
    assert_eq!((status, &answer["lifted"]), (200, &json!(1)), "{answer}");
    for n in 0..3 {
        on_hold(n, 0).await;
        assert_eq!(gateways.asks(n, &cookies).await, Some(401), "the way back is a new login all the same");
    }
    // Nobody who was away brings the hold back.
    gateways.kill(1);
    gateways.launch(1);
    gateways.is_ready(1).await;
    on_hold(1, 0).await;
}
