//! Three gateways and an engine: what one accepts, all enforce.

use std::time::{Duration, Instant};

use super::harness::gateways::Gateways;
use super::harness::nats::{Nats, Plan};
use super::harness::until;

/// `[fleet]` for gateways at these NATS servers.
pub(crate) fn at_nats(nats: &Nats) -> String {
    let servers: Vec<_> = nats.urls().iter().map(|url| format!("\"{url}\"")).collect();
    let few = if nats.len() < 3 { "allow = [\"few_replicas\"]\n" } else { "" };
    format!(
        "[fleet]\nengine = \"jetstream\"\nstale_after = \"3s\"\n[fleet.jetstream]\nservers = [{}]\nreplicas = {}\n{few}",
        servers.join(", "),
        nats.len(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_one_gateway_is_in_force_at_all_by_jetstream() {
    let nats = Nats::start(Plan::of(3)).await;
    in_force_at_all(&vec![at_nats(&nats); 3]).await;
}

/// Pushes kills to one gateway after the other; says how long after the answer they were in force at the others.
async fn in_force_at_all(fleets: &[String]) {
    const KILLS: usize = 30;
    let gateways = Gateways::start(fleets).await;
    let bystander = gateways.cookies("bystander", "localhost:8080");
    let mut after = Vec::new();
    for kill in 0..KILLS {
        let user = format!("user-{kill}");
        let cookies = gateways.cookies(&user, "localhost:8080");
        for n in 0..gateways.len() {
            assert_eq!(gateways.asks(n, &cookies).await, Some(200), "{user} is in");
        }
        assert_eq!(gateways.pushes(kill % gateways.len(), &user).await, 202);
        let accepted = Instant::now();
        let looks = (0..gateways.len()).map(|n| {
            let (gateways, cookies) = (&gateways, &cookies);
            async move {
                until("it is in force everywhere", || async {
                    let began = accepted.elapsed();
                    (gateways.asks(n, cookies).await == Some(401)).then_some(began)
                })
                .await
            }
        });
        after.extend(futures_util::future::join_all(looks).await);
    }
    after.sort();
    let at = |share: usize| after[(after.len() - 1) * share / 100];
    println!("after the 202, in force everywhere: p50 {:?}, p99 {:?}, most {:?}", at(50), at(99), at(100));
    for n in 0..gateways.len() {
        assert_eq!(gateways.asks(n, &bystander).await, Some(200), "nobody else is harmed");
    }
}
