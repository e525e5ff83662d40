//! Gateways that speak through a log in memory, which can be made to fail in every way that a real one does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use tokio::sync::watch;

use super::*;
use crate::audit::{self, Sink};
use crate::identity::{Issuer, Target, TargetKind};
use crate::ledger::scratch::Scratch;
use crate::ledger::{AppendError, Entry as Written, Whence};
use crate::revocation::{Mode, Origin, Reach, Revocation, Whom};
use crate::seal::generate_key;
use crate::time::Timestamp;

/// What a log holds: letters in order, under the number of its life.
#[derive(Clone, Debug, Default)]
struct Log {
    life: u32,
    letters: Vec<Letter>,
}

/// An engine in memory. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    log: Arc<watch::Sender<Log>>,
    away: Arc<AtomicBool>,
    deaf: Arc<AtomicBool>,
    leases: Arc<Mutex<Vec<(String, GatewayId)>>>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let log = Arc::new(watch::Sender::new(Log::default()));
        Self { log, away: Arc::default(), deaf: Arc::default(), leases: Arc::default() }
    }

    fn is_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
        self.log.send_modify(|_| {});
    }

    /// Connected, and hears nothing.
    fn is_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::SeqCst);
    }

    fn replace(&self) {
        self.log.send_modify(|log| *log = Log { life: log.life + 1, letters: vec![] });
    }

    fn put(&self, letter: Letter) {
        self.log.send_modify(|log| log.letters.push(letter));
    }

    fn letters(&self) -> Vec<Letter> {
        self.log.borrow().letters.clone()
    }

    fn there(&self) -> Result<(), Trouble> {
        if self.away.load(Ordering::SeqCst) { Err(Trouble::Away("cut off".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Engine for Memory {
    async fn open(&self) -> Result<Extent, Trouble> {
        self.there()?;
        let log = self.log.borrow();
        Ok(Extent { epoch: log.life.to_string(), last: Position(log.letters.len() as u64) })
    }

    async fn append(&self, letters: &[Letter]) -> Result<(), Trouble> {
        self.there()?;
        self.log.send_modify(|log| {
            for letter in letters {
                if !log.letters.iter().any(|known| known.id == letter.id) {
                    log.letters.push(letter.clone());
                }
            }
        });
        Ok(())
    }

    async fn follow(&self, after: Position, me: GatewayId) -> Result<Following, Trouble> {
        self.there()?;
        // A new watch hears, as a new connection does.
        self.deaf.store(false, Ordering::SeqCst);
        let engine = self.clone();
        let life = self.log.borrow().life;
        let begin = (self.log.subscribe(), usize::try_from(after.0).expect("a short log"));
        let letters = futures_util::stream::unfold(begin, move |(mut log, from)| {
            let engine = engine.clone();
            async move {
                loop {
                    let now = log.borrow_and_update().clone();
                    if now.life != life {
                        return Some((Err(Trouble::Gone), (log, from)));
                    }
                    if let Err(trouble) = engine.there() {
                        return Some((Err(trouble), (log, from)));
                    }
                    let new: Vec<_> = (1u64..)
                        .zip(&now.letters)
                        .skip(from)
                        .filter(|(_, letter)| letter.to == To::Everyone || letter.to == To::One(me))
                        .map(|(at, l)| Entry { position: Position(at), to: l.to, body: l.body.clone() })
                        .collect();
                    if !new.is_empty() && !engine.deaf.load(Ordering::SeqCst) {
                        return Some((Ok(new), (log, now.letters.len())));
                    }
                    if log.changed().await.is_err() {
                        return None;
                    }
                }
            }
        });
        Ok(letters.boxed())
    }

    async fn forget_older_than(&self, _: Duration) -> Result<(), Trouble> {
        Ok(())
    }

    async fn lease(&self, name: &str, me: GatewayId, _: Duration) -> Result<Option<Fence>, Trouble> {
        self.there()?;
        let mut leases = lock(&self.leases);
        if !leases.iter().any(|(known, _)| known == name) {
            leases.push((name.to_owned(), me));
        }
        Ok(leases.iter().any(|(known, who)| known == name && *who == me).then_some(Fence(1)))
    }

    async fn release(&self, name: &str, _: GatewayId) -> Result<(), Trouble> {
        lock(&self.leases).retain(|(known, _)| known != name);
        Ok(())
    }
}

/// Notes what it hears.
#[derive(Debug)]
struct Ears {
    ledger: Ledger,
    heard: watch::Sender<Vec<String>>,
    fresh: watch::Sender<Vec<&'static str>>,
}

#[async_trait]
impl Hearer for Ears {
    async fn hear(&self, facts: Vec<Fact>, place: Place) -> Result<(), AppendError> {
        self.heard.send_modify(|heard| heard.extend(facts.iter().map(user)));
        let written = Written { facts: &facts, whence: Whence::Elsewhere, place: Some(place), ..Written::default() };
        self.ledger.write(written).await.map(drop)
    }

    async fn fresh(&self, from: Fresh, to: Fresh) {
        if from != to {
            self.fresh.send_modify(|all| all.push(to.word()));
        }
    }
}

fn user(fact: &Fact) -> String {
    match fact {
        Fact::Revoked(revocation) => revocation.whom.targets()[0].value.clone(),
        other => format!("{other:?}"),
    }
}

fn of(user: &str) -> Fact {
    let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
    Fact::Revoked(Revocation {
        whom: Whom::all_of(vec![Target::new(&issuer, TargetKind::User, user).expect("target")]).expect("whom"),
        reach: Reach::All,
        mode: Mode::Terminate,
        cut_off: Timestamp::from_secs(1_000),
        origin: Origin::Operator,
        reason: None,
        received_at: Timestamp::from_secs(1_000),
    })
}

fn ring() -> Arc<KeyRing> {
    let key = generate_key().expect("randomness");
    Arc::new(KeyRing::parse([key.expose().as_str()]).expect("key").expect("ring"))
}

/// A gateway in the fleet, until it is dropped.
struct Gateway {
    fleet: Fleet,
    ears: Arc<Ears>,
    metrics: Arc<Metrics>,
    task: tokio::task::JoinHandle<()>,
}

impl Gateway {
    fn start(scratch: &Scratch, file: &str, engine: &Memory, ring: &Arc<KeyRing>) -> Self {
        let (ledger, replay) = Ledger::open(&crate::ledger::Settings::at(scratch.file(file))).expect("opens");
        let membership = replay.membership().expect("readable");
        let metrics = Arc::new(Metrics::new());
        let clock = Clock::manual(Timestamp::from_secs(2_000));
        let lines = audit::Settings { sink: Sink::Off, queue: 10 };
        let settings = Settings {
            name: file.to_owned(),
            accept: Accept::Fleet,
            tell_within: Duration::from_secs(5),
            stale_after: Duration::from_millis(600),
            catch_up_within: Duration::from_secs(30),
            recheck_every: Duration::from_secs(60),
            keep_for: Duration::from_secs(3_600),
        };
        let parts = Parts {
            engine: Arc::new(engine.clone()),
            ring: Arc::clone(ring),
            ledger: ledger.clone(),
            membership,
            audit: Audit::open(&lines, clock.clone(), Arc::clone(&metrics)).expect("opens"),
            metrics: Arc::clone(&metrics),
            clock,
        };
        let fleet = Fleet::new(settings, parts);
        let ears = Arc::new(Ears { ledger, heard: watch::Sender::default(), fresh: watch::Sender::default() });
        #[expect(clippy::disallowed_methods, reason = "the gateway's own task set is not here")]
        let task = tokio::spawn({
            let (fleet, ears) = (fleet.clone(), Arc::clone(&ears));
            async move { fleet.run(&*ears).await }
        });
        Self { fleet, ears, metrics, task }
    }

    /// Accepts, as the intake does: written down, then told.
    async fn accepts(&self, user: &str) -> Result<(), NotTold> {
        let facts = [of(user)];
        let entry = Written { facts: &facts, whence: Whence::HereForAll, ..Written::default() };
        let first = self.ears.ledger.write(entry).await.expect("durable");
        self.fleet.tell(first, &facts).await
    }

    async fn hears(&self, users: &[&str]) {
        let all = |heard: &Vec<String>| users.iter().all(|user| heard.iter().any(|known| known == user));
        within(self.ears.heard.subscribe().wait_for(all)).await.expect("there");
    }

    async fn becomes(&self, word: &str) {
        within(self.ears.fresh.subscribe().wait_for(|all| all.last() == Some(&word))).await.expect("there");
    }

    async fn shows(&self, line: &str) {
        for _ in 0..3_000 {
            if self.metrics.render().contains(line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no `{line}` in\n{}", self.metrics.render());
    }

    /// Ends as a process does that is killed: nothing is tidied up.
    async fn ends(self) -> Vec<String> {
        self.task.abort();
        let _ = self.task.await;
        self.ears.heard.borrow().clone()
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it comes to that")
}

#[tokio::test]
async fn what_one_accepts_all_others_hear_and_those_that_come_later_too() {
    let (scratch, engine, ring) = (Scratch::new(), Memory::new(), ring());
    let [a, b] = ["a", "b"].map(|file| Gateway::start(&scratch, file, &engine, &ring));
    a.becomes("fresh").await;
    a.accepts("ann").await.expect("told");
    b.accepts("bob").await.expect("told");
    a.hears(&["bob"]).await;
    b.hears(&["ann"]).await;
    let c = Gateway::start(&scratch, "c", &engine, &ring);
    c.hears(&["ann", "bob"]).await;
    assert_eq!(a.ends().await, ["bob"], "nobody hears what they said themselves");
}

#[tokio::test]
async fn after_a_restart_only_what_is_new_is_heard() {
    let (scratch, engine, ring) = (Scratch::new(), Memory::new(), ring());
    let [a, b] = ["a", "b"].map(|file| Gateway::start(&scratch, file, &engine, &ring));
    a.accepts("ann").await.expect("told");
    b.hears(&["ann"]).await;
    b.ends().await;
    a.accepts("bob").await.expect("told");
    let b = Gateway::start(&scratch, "b", &engine, &ring);
    b.hears(&["bob"]).await;
    assert_eq!(b.ends().await, ["bob"]);
}

#[tokio::test]
async fn what_cannot_be_told_is_told_once_the_engine_is_back_even_after_a_restart() {
    let (scratch, engine, ring) = (Scratch::new(), Memory::new(), ring());
    let [a, b] = ["a", "b"].map(|file| Gateway::start(&scratch, file, &engine, &ring));
    b.becomes("fresh").await;
    engine.is_away(true);
    assert!(matches!(a.accepts("ann").await, Err(NotTold::Trouble(Trouble::Away(_)))));
    assert!(a.accepts("bob").await.is_err());
    a.ends().await;
    b.becomes("stale").await;
    let a = Gateway::start(&scratch, "a", &engine, &ring);
    engine.is_away(false);
    b.hears(&["ann", "bob"]).await;
    b.becomes("fresh").await;
    a.accepts("eve").await.expect("told");
}

#[tokio::test]
async fn a_watch_that_is_connected_and_hears_nothing_is_noticed_and_made_anew() {
    let (scratch, engine, ring) = (Scratch::new(), Memory::new(), ring());
    let [a, b] = ["a", "b"].map(|file| Gateway::start(&scratch, file, &engine, &ring));
    b.becomes("fresh").await;
    engine.is_deaf(true);
    a.accepts("ann").await.expect("the engine takes it");
    b.hears(&["ann"]).await;
    b.becomes("fresh").await;
}

#[tokio::test]
async fn a_log_that_is_taken_away_is_filled_again_and_the_alarm_rings() {
    let (scratch, engine, ring) = (Scratch::new(), Memory::new(), ring());
    let [a, b] = ["a", "b"].map(|file| Gateway::start(&scratch, file, &engine, &ring));
    a.accepts("ann").await.expect("told");
    b.accepts("bob").await.expect("told");
    b.hears(&["ann"]).await;
    a.hears(&["bob"]).await;
    engine.replace();
    for gateway in [&a, &b] {
        gateway.shows("portcullis_fleet_log_replaced_total 1").await;
    }
    let c = Gateway::start(&scratch, "c", &engine, &ring);
    c.hears(&["ann", "bob"]).await;
}

#[tokio::test]
async fn whoever_has_the_engine_and_no_key_changes_nothing_and_is_noticed() {
    let (scratch, engine, ring) = (Scratch::new(), Memory::new(), ring());
    let [a, b] = ["a", "b"].map(|file| Gateway::start(&scratch, file, &engine, &ring));
    a.accepts("ann").await.expect("told");
    b.hears(&["ann"]).await;
    // Everything that was ever said is said again, changed, and to others.
    for letter in engine.letters() {
        let mut changed = letter.clone();
        if let Some(last) = changed.body.last_mut() {
            *last ^= 1;
        }
        let to = To::Everyone;
        for forged in [letter.clone(), changed, Letter { to, ..letter }] {
            engine.put(forged);
        }
    }
    engine.put(Letter { id: "x".into(), to: To::Everyone, body: vec![] });
    b.shows("portcullis_fleet_illegible_total{why=\"forged\"}").await;
    a.accepts("bob").await.expect("told");
    b.hears(&["bob"]).await;
    let heard = b.ends().await;
    assert!(heard.iter().all(|user| user == "ann" || user == "bob"), "{heard:?}");
}

#[tokio::test]
async fn what_a_gateway_lacks_the_key_for_it_reads_once_it_has_it() {
    let (scratch, engine) = (Scratch::new(), Memory::new());
    let [old, new] = [(); 2].map(|()| generate_key().expect("randomness"));
    let ring = |keys: &[&crate::secret::Secret<String>]| {
        let keys = keys.iter().map(|key| key.expose().as_str());
        Arc::new(KeyRing::parse(keys).expect("keys").expect("ring"))
    };
    let a = Gateway::start(&scratch, "a", &engine, &ring(&[&new, &old]));
    let b = Gateway::start(&scratch, "b", &engine, &ring(&[&old]));
    a.accepts("ann").await.expect("told");
    b.shows("portcullis_fleet_illegible_total{why=\"unknown_key\"}").await;
    let c = Gateway::start(&scratch, "c", &engine, &ring(&[&old]));
    c.accepts("bob").await.expect("told");
    b.hears(&["bob"]).await;
    assert_eq!(b.ends().await, ["bob"]);
    let b = Gateway::start(&scratch, "b", &engine, &ring(&[&new, &old]));
    b.hears(&["ann"]).await;
}
