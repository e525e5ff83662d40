//! Who fetches the events of a stream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::routing::post;
use base64::Engine as _;
use portcullis::demo::Server;
use portcullis::time::Clock;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::super::harness::gate::Gate;
use super::super::harness::gateways::Gateways;
use super::super::harness::{Stage, until};

/// How long nobody may poll.
const LEAD_FOR: Duration = Duration::from_secs(5);
/// How long the transmitter holds an answer back while it has nothing to say.
const HELD: Duration = Duration::from_millis(400);
const HOST: &str = "localhost:8080";

/// A transmitter that is polled. It knows the gateways apart by their tokens.
#[derive(Clone, Default)]
struct Transmitter(Arc<Mutex<State>>, Arc<Notify>);

#[derive(Default)]
struct State {
    /// SETs that nobody has acknowledged, by name.
    waiting: BTreeMap<String, String>,
    /// How often each was acknowledged.
    acks: BTreeMap<String, usize>,
    refused: Vec<Value>,
    polls: Vec<Poll>,
}

#[derive(Clone, Debug)]
struct Poll {
    by: String,
    began: Instant,
    ended: Option<Instant>,
}

/// Notes when a poll ends, also one whose gateway is gone.
struct UnderWay(Transmitter, usize);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.polls[self.1].ended = Some(Instant::now());
    }
}

impl Transmitter {
    async fn start() -> (Self, Server, String) {
        let transmitter = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/poll", listener.local_addr().expect("its address"));
        let router = axum::Router::new().route("/poll", post(polled)).with_state(transmitter.clone());
        (transmitter, Server::start(listener, router), url)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("a lock")
    }

    fn offers(&self, set: String) -> String {
        let payload = set.split('.').nth(1).expect("a payload");
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64");
        let claims: Value = serde_json::from_slice(&payload).expect("JSON");
        let jti = claims["jti"].as_str().expect("a name").to_owned();
        self.state().waiting.insert(jti.clone(), set);
        self.1.notify_waiters();
        jti
    }

    async fn is_told(&self, jti: &str) {
        until("it is acknowledged", || async { (self.state().acks.contains_key(jti)).then_some(()) }).await;
    }

    /// Who has polled since then, in their order.
    fn pollers(&self, since: Instant) -> Vec<String> {
        let mut names: Vec<_> =
            self.state().polls.iter().filter(|poll| poll.began > since).map(|poll| poll.by.clone()).collect();
        names.dedup();
        names
    }

    /// Who polls now: the one that began last.
    async fn poller(&self) -> usize {
        let by = until("somebody polls", || async { self.state().polls.last().map(|poll| poll.by.clone()) }).await;
        by.strip_prefix("poller-").and_then(|n| n.parse().ok()).expect("one of us")
    }

    /// How long it takes until another than `n` polls.
    async fn takes_over(&self, n: usize, since: Instant) -> Duration {
        let by = format!("poller-{n}");
        until("another polls", || async {
            let state = self.state();
            let other = state.polls.iter().find(|poll| poll.began > since && poll.by != by)?;
            Some(other.began - since)
        })
        .await
    }
}

async fn polled(Shared(transmitter): Shared<Transmitter>, headers: HeaderMap, Json(ask): Json<Value>) -> Json<Value> {
    let by = headers["authorization"].to_str().expect("text").trim_start_matches("Bearer ").to_owned();
    let under_way = {
        let mut state = transmitter.state();
        for jti in ask["ack"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            state.waiting.remove(jti);
            *state.acks.entry(jti.to_owned()).or_default() += 1;
        }
        if ask["setErrs"].is_object() {
            state.refused.push(ask["setErrs"].clone());
        }
        state.polls.push(Poll { by, began: Instant::now(), ended: None });
        UnderWay(transmitter.clone(), state.polls.len() - 1)
    };
    let news = transmitter.1.notified();
    let has_nothing = transmitter.state().waiting.is_empty();
    if has_nothing && ask["returnImmediately"] != true {
        let _ = tokio::time::timeout(HELD, news).await;
    }
    let sets = transmitter.state().waiting.clone();
    drop(under_way);
    Json(json!({ "sets": sets, "moreAvailable": false }))
}

/// Three gateways that are told of one polled stream.
async fn three(stage: &dyn Stage, url: &str) -> (Gateways, Vec<Gate>) {
    let (mut gates, mut through) = (Vec::new(), Vec::new());
    for server in stage.addresses() {
        let gate = Gate::before(server).await;
        through.push(gate.address());
        gates.push(gate);
    }
    let of = stage.fleet(&through).replacen("[fleet]", &format!("[fleet]\nlead_for = \"{}s\"", LEAD_FOR.as_secs()), 1);
    let fleets: Vec<_> = (0..3)
        .map(|n| {
            format!(
                "{of}\n[streams.polled]\nissuer = \"@issuer@\"\naudience = \"https://payroll.example.com\"\n\
                 delivery = \"poll\"\npoll_url = \"{url}\"\npoll_token = \"poller-{n}\"\nspeaks_for = [\"demo\"]\n\
                 jwks_uri = \"@issuer@/jwks\"\n"
            )
        })
        .collect();
    (Gateways::start_with(&fleets, "").await, gates)
}

async fn is_out_everywhere(gateways: &Gateways, running: &[usize], cookies: &str) {
    for n in running {
        until("it is in force", || async { (gateways.asks(*n, cookies).await == Some(401)).then_some(()) }).await;
    }
}

pub(super) async fn one_gateway_polls_a_stream_and_when_it_dies_another_does(stage: &dyn Stage) {
    let (transmitter, _server, url) = Transmitter::start().await;
    let (gateways, _gates) = three(stage, &url).await;
    let mut offered = Vec::new();
    let mut next = 0;
    let mut offers = |many: usize| {
        let new: Vec<_> = (next..next + many)
            .map(|n| {
                let user = format!("user-{n}");
                let cookies = gateways.cookies(&user, HOST);
                (transmitter.offers(gateways.set(&user, Clock::System.now())), cookies)
            })
            .collect();
        next += many;
        offered.extend(new.clone());
        new
    };
    // As soon as somebody polls, one does; and goes on to.
    let first = transmitter.poller().await;
    let began = Instant::now();
    for (jti, cookies) in offers(10) {
        transmitter.is_told(&jti).await;
        is_out_everywhere(&gateways, &[0, 1, 2], &cookies).await;
    }
    assert_eq!(transmitter.pollers(began), [format!("poller-{first}")], "one polls");
    let others: Vec<_> = (0..3).filter(|n| *n != first).collect();
    until("everybody knows which", || async {
        for n in 0..3 {
            let stream = gateways.stream(n, "polled").await?;
            let leads = gateways.metric(n, "portcullis_fleet_leads{stream=\"polled\"}").await?;
            if stream["leader"] != format!("gw-{first}") || (leads == 1.0) != (n == first) {
                return None;
            }
        }
        Some(())
    })
    .await;
    until("who does not poll sees the stream live all the same", || async {
        (gateways.stream(others[0], "polled").await?["state"] == "live").then_some(())
    })
    .await;

    // It dies in the middle.
    let new = offers(10);
    gateways.kill(first);
    let killed = Instant::now();
    let after = transmitter.takes_over(first, killed).await;
    println!("kill -9 of the gateway that polled: another polled {after:?} later; `lead_for` is {LEAD_FOR:?}");
    assert!(after < LEAD_FOR * 3, "even on a machine that has other things to do");
    for (jti, cookies) in new.iter().chain(&offers(10)) {
        transmitter.is_told(jti).await;
        is_out_everywhere(&gateways, &others, cookies).await;
    }

    // The next one stops in order.
    gateways.launch(first);
    gateways.is_ready(first).await;
    let second = transmitter.poller().await;
    gateways.signal(second, "TERM");
    let after = transmitter.takes_over(second, Instant::now()).await;
    let last =
        |state: &State| state.polls.iter().filter(|poll| poll.by == format!("poller-{second}")).next_back().cloned();
    let last = last(&transmitter.state()).expect("it polled");
    let gap = {
        let state = transmitter.state();
        let next = state.polls.iter().find(|poll| poll.began > last.began).expect("another polls");
        next.began - last.ended.unwrap_or(last.began)
    };
    println!("SIGTERM: another polled {after:?} later, {gap:?} after the last poll had ended");
    let running: Vec<_> = (0..3).filter(|n| *n != second).collect();
    for (jti, cookies) in offers(10) {
        transmitter.is_told(&jti).await;
        is_out_everywhere(&gateways, &running, &cookies).await;
    }

    for (_, cookies) in &offered {
        is_out_everywhere(&gateways, &running, cookies).await;
    }
    let state = transmitter.state();
    for pair in state.polls.windows(2) {
        let (one, two) = (&pair[0], &pair[1]);
        let ended = one.ended.expect("over");
        assert!(one.by == two.by || ended <= two.began, "two poll at the same time: {one:?} and {two:?}");
    }
    assert!(state.waiting.is_empty() && state.refused.is_empty(), "{:?}", state.refused);
    assert_eq!(state.acks.len(), offered.len(), "every one was acknowledged, and nothing else");
    println!(
        "{} SETs by {} polls: all in force everywhere, {} acknowledged once, {} more often, 0 lost",
        offered.len(),
        state.polls.len(),
        state.acks.values().filter(|times| **times == 1).count(),
        state.acks.values().filter(|times| **times > 1).count(),
    );
}

pub(super) async fn while_the_engine_is_away_everybody_polls_and_nobody_acknowledges(stage: &dyn Stage) {
    let (transmitter, _server, url) = Transmitter::start().await;
    let (gateways, gates) = three(stage, &url).await;
    let ann = gateways.cookies("ann", HOST);
    transmitter.poller().await;
    gates.iter().for_each(Gate::shut);
    until("everybody polls", || async {
        let since = Instant::now().checked_sub(Duration::from_secs(3))?;
        let pollers: std::collections::BTreeSet<_> = transmitter.pollers(since).into_iter().collect();
        (pollers.len() == 3).then_some(())
    })
    .await;
    let jti = transmitter.offers(gateways.set("ann", Clock::System.now()));
    is_out_everywhere(&gateways, &[0, 1, 2], &ann).await;
    let asked = transmitter.state().polls.len();
    until("it comes to each of them again", || async { (transmitter.state().polls.len() >= asked + 6).then_some(()) })
        .await;
    assert_eq!(transmitter.state().acks.get(&jti), None, "the others may not know of it");
    gates.iter().for_each(Gate::open);
    transmitter.is_told(&jti).await;
    until("one polls, and nobody else", || async {
        let now = Instant::now();
        tokio::time::sleep(Duration::from_secs(2)).await;
        (transmitter.pollers(now).len() == 1).then_some(())
    })
    .await;
    assert!(transmitter.state().refused.is_empty());
}
