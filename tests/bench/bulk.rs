//! What many revocations cost one gateway: bytes in memory, seconds to replay them at a start, decisions meanwhile, and what
//! it takes to hear them from other gateways.
//!
//! `bulk DIRECTORY COUNT...`: for each count a ledger is made in the directory (if it is not there), in a process of its own.
//! Run it in release mode: `cargo run --release --example bulk -- DIRECTORY 1000000 10000000`.
#![expect(clippy::expect_used, reason = "a program of the bench, run by hand: it may end with a message")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis::audit::{self, Audit, Sink};
use portcullis::enforcer::{self, Enforcer};
use portcullis::exchanges::{self, Cut, Exchange, Held, Kind};
use portcullis::fleet::{Heard, Position};
use portcullis::identity::{AppKey, Issuer, Target, TargetKind};
use portcullis::intake::{self, Intake};
use portcullis::ledger::{self, Ledger, Place};
use portcullis::metrics::Metrics;
use portcullis::outcome::{self, Ceilings, Outcomes};
use portcullis::revocation::{Fact, Mode, Origin, Reach, Revocation, Whom, decode, encode};
use portcullis::seal::{KeyRing, Purpose, generate_key};
use portcullis::time::{Clock, Stopwatch, Timestamp};

/// The one that the gateway runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Revocations in one transaction.
const CHUNK: usize = 10_000;
/// Letters that are heard at once: what a watch brings when it catches up.
const BATCH: usize = 500;
const LIFE: Duration = Duration::from_secs(86_400);
/// Between two decisions of the thread that measures them.
const PACE: Duration = Duration::from_micros(200);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (directory, counts) = arguments.split_first().expect("a directory, then how many revocations");
    if let [number, "alone"] = counts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        return measure(Path::new(directory), number.parse().expect("how many revocations"));
    }
    println!(
        "| revocations | written/s | file, B each | replay | /s | memory, B each | decision p50 / p99 / worst, quiet | while replaying | heard and written/s | opened and decoded/s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for count in counts {
        let program = std::env::current_exe().expect("our own path");
        let ended = Command::new(program).args([directory, count, "alone"]).status().expect("it runs");
        assert!(ended.success(), "{count}: it failed");
    }
}

/// Somebody's revocation, number `n`, as an IdP's event makes one.
fn revocation(issuer: &Issuer, n: usize, now: Timestamp) -> Fact {
    let target = Target::new(issuer, TargetKind::User, &format!("00u{n:017}")).expect("target");
    Fact::Revoked(Revocation {
        whom: Whom::all_of(vec![target]).expect("whom"),
        reach: Reach::All,
        mode: Mode::Terminate,
        cut_off: now,
        origin: Origin::Stream {
            stream: "corp".into(),
            jti: format!("{n:032x}"),
            txn: None,
            event: "https://schemas.openid.net/secevent/caep/event-type/session-revoked".into(),
        },
        reason: None,
        said: Default::default(),
        received_at: now,
    })
}

fn fill(file: &Path, issuer: &Issuer, count: usize, now: Timestamp) -> Option<f64> {
    if file.exists() {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let watch = Stopwatch::start();
    let (ledger, _) = Ledger::open(&ledger::Settings::at(file)).expect("the ledger opens");
    for from in (0..count).step_by(CHUNK) {
        let some: Vec<_> = (from..count.min(from + CHUNK)).map(|n| revocation(issuer, n, now)).collect();
        runtime.block_on(ledger.append(&some)).expect("durable");
    }
    drop(ledger);
    Some(rate(count, watch.elapsed()))
}

#[expect(clippy::cast_precision_loss, reason = "a rate to be read")]
fn rate(count: usize, span: Duration) -> f64 {
    count as f64 / span.as_secs_f64()
}

fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4_096
}

/// One exchange of somebody with as many facts as a usual IdP tells.
fn exchange(ring: &KeyRing, issuer: &Issuer, now: Timestamp) -> Exchange {
    let facts = [
        (TargetKind::User, "ann"),
        (TargetKind::Session, "08a5019c-17e1-4977-8f42-65a12843ea02"),
        (TargetKind::Email, "ann@corp.example"),
        (TargetKind::Group, "staff"),
        (TargetKind::Group, "payroll"),
        (TargetKind::Everyone, ""),
    ];
    let key = |(kind, value): (TargetKind, &str)| {
        (kind, ring.hasher().key(&Target::new(issuer, kind, value).expect("target")))
    };
    let targets = Arc::from(facts.map(key));
    Exchange {
        credentials: vec![Held { targets, asserted_at: now, auth_time: Some(now), imprint: Default::default() }],
        app: AppKey::of("wiki"),
        app_name: "wiki".into(),
        kind: Kind::Request,
        ends_at: None,
    }
}

/// How long decisions take until `over`, one every [`PACE`].
fn decisions(enforcer: &Enforcer, exchange: impl Fn() -> Exchange, over: impl Fn(usize) -> bool) -> String {
    let mut spans = Vec::new();
    while !over(spans.len()) {
        let (exchange, cut) = (exchange(), Cut::new());
        let watch = Stopwatch::start();
        let (standing, guard) = enforcer.admit(exchange, &cut).expect("room");
        assert!(standing.is_clear(), "the bench measures a request that passes");
        drop(guard);
        spans.push(watch.elapsed());
        // Nobody unparks it: a pace, not a wait for something.
        std::thread::park_timeout(PACE);
    }
    spans.sort_unstable();
    let at = |part: usize| spans.get(spans.len() * part / 1_000).or_else(|| spans.last()).copied().unwrap_or_default();
    format!("{:.1?} / {:.1?} / {:.1?}", at(500), at(990), at(1_000))
}

fn measure(directory: &Path, count: usize) {
    let now = Clock::System.now();
    let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
    let file: PathBuf = directory.join(format!("bulk-{count}.db"));
    let written =
        fill(&file, &issuer, count, now).map_or_else(|| "(was there)".to_owned(), |rate| format!("{rate:.0}"));
    let size = std::fs::metadata(&file).expect("the ledger").len() / u64::try_from(count.max(1)).unwrap_or(1);

    let key = generate_key().expect("a key");
    let ring = Arc::new(KeyRing::parse([key.expose().as_str()]).expect("key").expect("ring"));
    let metrics = Arc::new(Metrics::new());
    let settings = enforcer::Settings {
        longest_life: LIFE,
        margin: Duration::from_secs(60),
        exchanges: exchanges::Settings::default(),
    };
    let enforcer = Enforcer::new(&settings, Arc::clone(&ring));
    let lines = audit::Settings { sink: Sink::Off, queue: 1 };
    let audit = Audit::open(&lines, Clock::System, Arc::clone(&metrics)).expect("nothing to open");
    let (ledger, replay) = Ledger::open(&ledger::Settings::at(&file)).expect("the ledger opens");
    let remembered = outcome::Settings {
        most: 10_000,
        gateway: "gw-1".into(),
        clear: false,
        ceilings: Ceilings { session: LIFE, app_token: None, anything: LIFE },
        settle: Duration::from_secs(300),
    };
    let others = (audit.clone(), Arc::clone(&metrics), Clock::System);
    let outcomes =
        Outcomes::open(remembered, None, Arc::clone(&ring), (ledger.clone(), &replay), others).expect("readable");
    let both = (enforcer.clone(), outcomes);
    let intake =
        Intake::new(intake::Settings { max_subjects: usize::MAX }, both, ledger, audit, metrics, Clock::System);

    let ask = || exchange(&ring, &issuer, now);
    let quiet = decisions(&enforcer, ask, |done| done == 5_000);
    let before = resident();
    let over = AtomicBool::new(false);
    let (seconds, meanwhile) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| decisions(&enforcer, ask, |_| over.load(Ordering::Relaxed)));
        let watch = Stopwatch::start();
        let replayed = intake.replay(replay).expect("readable");
        let seconds = watch.elapsed();
        assert_eq!(replayed, count, "all of it is in force");
        over.store(true, Ordering::Relaxed);
        (seconds, asking.join().expect("decisions"))
    });
    let each = (resident().saturating_sub(before)) / count.max(1);

    let (heard, opened) = hearing(&intake, &ring, &issuer, count, now);
    println!(
        "| {count} | {written} | {size} | {:.1} s | {:.0} | {each} | {quiet} | {meanwhile} | {heard:.0} | {opened:.0} |",
        seconds.as_secs_f64(),
        rate(count, seconds),
    );
}

fn heard(facts: &[Fact]) -> Vec<Heard> {
    (1..).map(Position).zip(facts).map(|(at, fact)| Heard { fact: fact.clone(), at }).collect()
}

/// How many letters a second a gateway can take in: put in force and written down; and opened and decoded before that, by one
/// thread.
fn hearing(intake: &Intake, ring: &KeyRing, issuer: &Issuer, count: usize, now: Timestamp) -> (f64, f64) {
    const HEARD: usize = 100_000;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let facts: Vec<_> = (count..count + HEARD).map(|n| revocation(issuer, n, now)).collect();
    let sealed: Vec<_> = facts
        .iter()
        .map(|fact| ring.seal_bytes(Purpose::Fleet, "everyone", &encode(fact)).expect("randomness"))
        .collect();
    let watch = Stopwatch::start();
    for one in sealed {
        let opened = ring.open_bytes(Purpose::Fleet, "everyone", one).expect("ours");
        assert!(decode(&opened.text).is_ok(), "what was sealed is read");
    }
    let opened = rate(HEARD, watch.elapsed());
    let hear = |number: usize, some: &[Fact]| {
        let place = Place { epoch: "bench".into(), position: u64::try_from(number).unwrap_or(0) };
        runtime.block_on(intake.hear(heard(some), place, false)).expect("durable");
    };
    // The first that is heard makes an index over all that is there, once in the life of a ledger.
    hear(0, facts.get(..1).unwrap_or_default());
    let watch = Stopwatch::start();
    facts.chunks(BATCH).enumerate().for_each(|(n, some)| hear(n, some));
    (rate(HEARD, watch.elapsed()), opened)
}
