use super::super::harness::gateways::APPS;
use super::super::harness::{Stage, until};
use super::Fleet;

/// Three apps, each with its own answer to not knowing.
pub(super) async fn a_gateway_that_is_cut_off_goes_stale_does_what_its_apps_want_and_heals(stage: &dyn Stage) {
    let fleet = Fleet::of(stage, 3).await;
    let gateways = &fleet.gateways;
    let of = |user: &str| APPS.map(|(_, host)| (host, gateways.cookies(user, host)));
    let (ann, bob) = (of("ann"), of("bob"));
    for n in 0..3 {
        for (host, cookies) in ann.iter().chain(&bob) {
            assert_eq!(gateways.get(n, host, cookies).await, Some(200), "everybody is in, everywhere");
        }
    }
    fleet.cuts_off(2);
    gateways.sends(0, "ann").await;
    fleet.stands(2, "stale").await;
    until("it says so where load balancers look, and stays with them", || async {
        let ready = gateways.ready(2).await?;
        let says = ready["reasons"].to_string().contains("does not hear the other gateways");
        (says && ready["ready"] == true).then_some(())
    })
    .await;
    until("the metrics say so", || async {
        (gateways.metric(2, "portcullis_fleet_stale").await == Some(1.0)).then_some(())
    })
    .await;
    // What Bob, of whom nobody said anything, meets at a gateway that does not know that.
    let [(serves, to_serves), (asks, to_asks), (refuses, to_refuses)] = &bob;
    until("apps do as they said", || async {
        let met = [
            gateways.get(2, serves, to_serves).await,
            gateways.get(2, asks, to_asks).await,
            gateways.get(2, refuses, to_refuses).await,
        ];
        (met == [Some(200), Some(401), Some(503)]).then_some(())
    })
    .await;
    assert_eq!(gateways.get(2, serves, &ann[0].1).await, Some(200), "that is what `serve` means");
    let status = gateways.pushes(2, "eve").await;
    assert!(matches!(status, 503 | 0), "a signal here is to be sent again, and not {status}");
    for (host, cookies) in &bob {
        assert_eq!(gateways.get(0, host, cookies).await, Some(200), "elsewhere nobody notices");
    }
    fleet.reconnects(2);
    fleet.is_fresh(2).await;
    until("it says so", || async { (gateways.ready(2).await?["reasons"] == serde_json::json!([])).then_some(()) })
        .await;
    until("what was accepted elsewhere is in force", || async {
        (gateways.get(2, serves, &ann[0].1).await == Some(401)).then_some(())
    })
    .await;
    assert_eq!(gateways.get(2, refuses, to_refuses).await, Some(200), "it opens by itself");
    // The signal that could not be told is in force here, and is told now.
    let eve = gateways.cookies("eve", serves);
    until("what could not be told is told", || async { (gateways.asks(0, &eve).await == Some(401)).then_some(()) })
        .await;
    assert_eq!(gateways.get(0, asks, to_asks).await, Some(200), "what one gateway doubted concerns nobody else");
}
