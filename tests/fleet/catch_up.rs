//! How long a gateway takes to hear what it missed, and what that costs whoever uses it meanwhile. By hand, in release:
//!
//!     PORTCULLIS_CATCH_UP=1000000 cargo test --release --test fleet catch_up -- --ignored --nocapture --test-threads 1

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use portcullis::audit::{self, Audit, Sink};
use portcullis::fleet::{Accept, Fleet, Fresh, Heard, Hearer, Parts, Settings, Sign};
use portcullis::identity::{Issuer, Target, TargetKind};
use portcullis::ledger::{self, AppendError, Entry, Ledger, Place, Whence};
use portcullis::metrics::Metrics;
use portcullis::revocation::{Fact, Mode, Origin, Reach, Revocation, Whom};
use portcullis::seal::KeyRing;
use portcullis::time::{Clock, Timestamp};

use super::harness::gateways::Gateways;
use super::harness::{Scratch, Stage, until};

/// Facts that are written down at once.
const CHUNK: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: a measurement, run by hand"]
async fn by_jetstream() {
    catch_up(&crate::nats::Servers::lazy(1).await, "lazy_sync").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: a measurement, run by hand"]
async fn by_postgres() {
    catch_up(&crate::harness::postgres::Postgres::start(&["max_wal_size = 4GB"]).await, "").await;
}

async fn catch_up(stage: &dyn Stage, allows: &str) {
    let facts = std::env::var("PORTCULLIS_CATCH_UP").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let mut fleet = stage.fleet(&stage.addresses());
    if !allows.is_empty() {
        fleet = fleet.replace("allow = [", &format!("allow = [\"{allows}\", "));
    }
    let fleet = fleet.replace("[fleet]\n", "[fleet]\ncatch_up_within = \"30m\"\n");
    let gateways = Gateways::prepare(&[fleet], "").await;
    gateways.launch(0);
    gateways.is_ready(0).await;
    let empty = gateways.memory(0);
    let cookies = gateways.cookies("ann", "localhost:8080");
    let quiet = requests(&gateways, &cookies, Duration::from_secs(5)).await;
    gateways.kill(0);

    let filled = Instant::now();
    fill(stage, gateways.ring(), gateways.idp.issuer(), facts).await;
    println!("{facts} facts told by one gateway: {:.1} s", filled.elapsed().as_secs_f64());

    for what in ["a gateway that missed them", "the same after a restart (kill -9)"] {
        gateways.launch(0);
        let started = Instant::now();
        // The app that `serves` does so from the start on.
        let busy = async {
            let mut all = Vec::new();
            while gateways.ready(0).await.is_none_or(|ready| ready["ready"] != true) {
                all.extend(requests(&gateways, &cookies, Duration::from_millis(500)).await);
            }
            all
        };
        let during = busy.await;
        let took = started.elapsed();
        let memory = gateways.memory(0).saturating_sub(empty);
        println!(
            "{what}: ready after {:.1} s ({:.0} facts/s), {} bytes of memory for each; p99 of requests {:?} meanwhile, \
             {:?} before ({} and {} requests)",
            took.as_secs_f64(),
            facts as f64 / took.as_secs_f64(),
            memory / facts.max(1),
            p99(&during),
            p99(&quiet),
            during.len(),
            quiet.len(),
        );
        let revoked = gateways.cookies("user-0", "localhost:8080");
        assert_eq!(gateways.asks(0, &revoked).await, Some(401), "what was told is in force");
        assert_eq!(gateways.asks(0, &cookies).await, Some(200), "nobody else is harmed");
        gateways.kill(0);
    }
}

/// How long requests took, one after the other, for that long. Those that nobody took are left out.
async fn requests(gateways: &Gateways, cookies: &str, span: Duration) -> Vec<Duration> {
    let (begun, mut all) = (Instant::now(), Vec::new());
    while begun.elapsed() < span {
        let one = Instant::now();
        match gateways.asks(0, cookies).await {
            Some(_) => all.push(one.elapsed()),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    all
}

fn p99(all: &[Duration]) -> Duration {
    let mut sorted = all.to_vec();
    sorted.sort();
    sorted.get(sorted.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
}

/// Hears nobody.
struct Deaf;

#[async_trait]
impl Hearer for Deaf {
    async fn hear(&self, _: Vec<Heard>, _: Place) -> Result<(), AppendError> {
        Ok(())
    }

    fn sign(&self, _: &str, _: Sign, _: Timestamp) {}

    async fn fresh(&self, _: Fresh, _: Fresh) {}
}

/// Lets a gateway of its own tell that many revocations of other people.
async fn fill(stage: &dyn Stage, ring: Arc<KeyRing>, issuer: &Issuer, facts: usize) {
    let scratch = Scratch::new("filler");
    let (ledger, replay) = Ledger::open(&ledger::Settings::at(scratch.path().join("ledger.db"))).expect("opens");
    let (metrics, clock) = (Arc::new(Metrics::new()), Clock::System);
    let lines = audit::Settings { sink: Sink::Off, queue: 10 };
    let settings = Settings {
        name: "filler".to_owned(),
        accept: Accept::Local,
        tell_within: Duration::from_secs(30),
        stale_after: Duration::from_secs(60),
        catch_up_within: Duration::from_secs(600),
        recheck_every: Duration::from_secs(600),
        lead_for: Duration::from_secs(10),
        keep_for: Duration::from_secs(86_400),
    };
    let parts = Parts {
        engine: Arc::from(stage.engine().await),
        ring,
        ledger: ledger.clone(),
        membership: replay.membership().expect("readable"),
        audit: Audit::open(&lines, clock.clone(), Arc::clone(&metrics)).expect("opens"),
        metrics,
        clock: clock.clone(),
    };
    drop(replay);
    let now = clock.now();
    let all: Vec<usize> = (0..facts).collect();
    for some in all.chunks(CHUNK) {
        let some: Vec<_> = some.iter().map(|n| revocation(issuer, *n, now)).collect();
        ledger.write(Entry { facts: &some, whence: Whence::HereForAll, ..Entry::default() }).await.expect("durable");
    }
    let fleet = Fleet::new(settings, parts);
    let telling = tokio::spawn({
        let fleet = fleet.clone();
        async move { fleet.run(&Deaf).await }
    });
    let deadline = Instant::now() + Duration::from_secs(3_600);
    while fleet.standing().has_untold {
        assert!(Instant::now() < deadline, "it takes more than an hour");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    telling.abort();
    until("it has ended", || async { telling.is_finished().then_some(()) }).await;
}

fn revocation(issuer: &Issuer, n: usize, now: Timestamp) -> Fact {
    let target = Target::new(issuer, TargetKind::User, &format!("user-{n}")).expect("target");
    Fact::Revoked(Revocation {
        whom: Whom::all_of(vec![target]).expect("whom"),
        reach: Reach::All,
        mode: Mode::Terminate,
        cut_off: now,
        origin: Origin::Operator,
        reason: None,
        said: Default::default(),
        received_at: now,
    })
}
