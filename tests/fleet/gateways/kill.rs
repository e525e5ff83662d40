use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::super::harness::{Stage, until};
use super::Fleet;

/// Pushes kills to one gateway after the other, and looks at all of them from the moment of the answer on.
pub(super) async fn a_kill_at_one_gateway_is_in_force_at_all(stage: &dyn Stage) {
    const KILLS: usize = 40;
    let fleet = Fleet::of(stage, 3).await;
    let gateways = &fleet.gateways;
    let bystander = gateways.cookies("bystander", "localhost:8080");
    let asked = AtomicUsize::new(0);
    // Others who use every gateway all the while, and of whom nobody is harmed.
    let load = futures_util::future::join_all((0..gateways.len() * 2).map(|client| {
        let (asked, bystander) = (&asked, &bystander);
        async move {
            loop {
                let status = gateways.asks(client % gateways.len(), bystander).await;
                assert_eq!(status, Some(200), "nobody else is harmed");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    let mut passed_at = Vec::new();
    let kills = async {
        for kill in 0..KILLS {
            let user = format!("user-{kill}");
            let cookies = gateways.cookies(&user, "localhost:8080");
            for n in 0..gateways.len() {
                assert_eq!(gateways.asks(n, &cookies).await, Some(200), "{user} is in");
            }
            gateways.sends(kill % gateways.len(), &user).await;
            let accepted = Instant::now();
            // The last request at each gateway that was still let through: when it began.
            let looks = (0..gateways.len()).map(|n| {
                let cookies = &cookies;
                async move {
                    let last = std::cell::Cell::new(Duration::ZERO);
                    until("it is in force everywhere", || async {
                        let began = accepted.elapsed();
                        match gateways.asks(n, cookies).await {
                            Some(401) => Some(()),
                            _ => {
                                last.set(began);
                                None
                            }
                        }
                    })
                    .await;
                    last.get()
                }
            });
            passed_at.extend(futures_util::future::join_all(looks).await);
        }
    };
    tokio::select! {
        _ = load => {}
        () = kills => {}
    }
    let by_sub = serde_json::json!({ "whom": { "user": "payee" }, "idp": "demo" });
    gateways.operates(0, "/v1/revocations", &by_sub).await;
    let payee = gateways.cookies("payee", "localhost:8080");
    for n in 0..gateways.len() {
        until("what an operator does is in force", || async {
            (gateways.asks(n, &payee).await == Some(401)).then_some(())
        })
        .await;
    }
    passed_at.sort();
    let at = |share: usize| passed_at[(passed_at.len() - 1) * share / 100];
    println!(
        "{KILLS} kills at 3 gateways, beside {} requests of others: the last request that passed began after the 202: \
         p50 {:?}, p99 {:?}, most {:?}",
        asked.load(Ordering::Relaxed),
        at(50),
        at(99),
        at(100)
    );
}
