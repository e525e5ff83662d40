//! A stream that the gateways manage, behind a load balancer: what one asks for lands at another.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use portcullis::demo::Server;
use serde_json::json;

use super::super::harness::gateways::{Gateways, SESSION_REVOKED};
use super::super::harness::{Stage, until};

/// A load balancer: the next push goes to the next gateway.
#[derive(Clone, Default)]
struct Balancer(Arc<Mutex<Balance>>);

#[derive(Default)]
struct Balance {
    to: Vec<SocketAddr>,
    next: usize,
    /// Which gateway answered what.
    answers: Vec<(usize, u16)>,
}

impl Balancer {
    fn answers(&self) -> Vec<(usize, u16)> {
        self.0.lock().expect("a lock").answers.clone()
    }
}

async fn forwards(Shared(balancer): Shared<Balancer>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let (n, to) = {
        let mut balance = balancer.0.lock().expect("a lock");
        balance.next = (balance.next + 1) % balance.to.len();
        (balance.next, balance.to[balance.next])
    };
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut ask = client.post(format!("http://{to}/oauth2/ssf/managed")).header("host", "localhost:8080").body(body);
    for name in ["authorization", "content-type", "accept"] {
        ask = ask.header(name, headers[name].as_bytes());
    }
    // One that is dead is what a load balancer says 502 for: the transmitter sends it again.
    let status = ask.send().await.map_or(502, |answer| answer.status().as_u16());
    balancer.0.lock().expect("a lock").answers.push((n, status));
    StatusCode::from_u16(status).expect("a status")
}

async fn all_are(gateways: &Gateways, which: &[usize], state: &str) {
    for n in which {
        until(&format!("the stream is {state} at gateway {n}"), || async {
            (gateways.stream(*n, "managed").await?["state"] == *state).then_some(())
        })
        .await;
    }
}

async fn leaders(gateways: &Gateways) -> Vec<usize> {
    let mut leaders = Vec::new();
    for n in 0..3 {
        if gateways.metric(n, "portcullis_fleet_leads{stream=\"managed\"}").await == Some(1.0) {
            leaders.push(n);
        }
    }
    leaders
}

pub(super) async fn wherever_an_event_lands_every_gateway_sees_that_the_stream_lives(stage: &dyn Stage) {
    let balancer = Balancer::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("its address"));
    let router = axum::Router::new().route("/oauth2/ssf/managed", post(forwards)).with_state(balancer.clone());
    let of = stage.fleet(&stage.addresses());
    let managed = format!(
        "[streams.managed]\nissuer = \"@issuer@\"\naudience = \"{origin}\"\npush_token_file = \"push.token\"\n\
         speaks_for = [\"demo\"]\nverify_every = \"2s\"\n\
         manage = {{ token_file = \"push.token\", push_url = \"{origin}/oauth2/ssf/managed\", events = [\"{SESSION_REVOKED}\"] }}\n"
    );
    let gateways = Gateways::prepare(&vec![format!("{of}\n{managed}"); 3], "").await;
    balancer.0.lock().expect("a lock").to = (0..3).map(|n| gateways.address(n)).collect();
    let _server = Server::start(listener, router);
    for n in 0..3 {
        gateways.launch(n);
    }
    let gateways = &gateways;
    all_are(gateways, &[0, 1, 2], "live").await;
    let verified = balancer.answers().len();
    until("it is verified again, by way of each gateway", || async {
        let since = balancer.answers().split_off(verified);
        (0..3).all(|n| since.iter().any(|(to, _)| *to == n)).then_some(())
    })
    .await;
    all_are(gateways, &[0, 1, 2], "live").await;
    let leader = match leaders(gateways).await[..] {
        [leader] => leader,
        ref leaders => panic!("one asks, and not {leaders:?}"),
    };

    // Operators may ask any of them.
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    let deed = async |what: &str| gateways.operator(others[0], "/v1/streams/managed", &json!({ "do": what })).await;
    for _ in 0..3 {
        let (status, answer) = deed("verify").await;
        assert!(status == 200 && answer["verified_after"].is_u64(), "{status} {answer}");
    }
    let (status, answer) = deed("pause").await;
    assert_eq!(status, 200, "{answer}");
    all_are(gateways, &[0, 1, 2], "paused").await;
    // Longer than the one that leads takes to look at it again.
    tokio::time::sleep(Duration::from_secs(4)).await;
    all_are(gateways, &[0, 1, 2], "paused").await;
    // Whoever leads next does not undo it either.
    gateways.kill(leader);
    until("another leads", || async { (!leaders(gateways).await.is_empty()).then_some(()) }).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    all_are(gateways, &others, "paused").await;
    let (status, answer) = deed("resume").await;
    assert_eq!(status, 200, "{answer}");
    all_are(gateways, &others, "live").await;
    let answers = balancer.answers();
    let refused: Vec<_> = answers.iter().filter(|(_, status)| !matches!(status, 202 | 502 | 503)).collect();
    assert!(refused.is_empty(), "an answer to another gateway's question is welcome: {refused:?}");
    println!("{} events by way of three gateways, none refused", answers.len());
}
