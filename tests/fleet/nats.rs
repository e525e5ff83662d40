//! JetStream: the conformance suite, and what only NATS can do wrong.

use super::harness::nats::{Nats, Plan};

#[tokio::test]
async fn three_servers_are_one_cluster() {
    let nats = Nats::start(Plan::of(3)).await;
    assert_eq!(nats.urls().len(), 3);
    nats.kill(1);
    nats.restart(1).await;
    nats.pause(2);
    nats.resume(2);
}
