//! Gateways that speak through a log in memory, which can be made to fail in every way that a real one does.

mod lead;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

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

/// Who has what, until when, by what.
#[derive(Copy, Clone, Debug)]
struct Lease {
    holder: GatewayId,
    until: Instant,
    fence: u64,
}

/// An engine in memory. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    log: Arc<watch::Sender<Log>>,
    away: Arc<AtomicBool>,
    deaf: Arc<AtomicBool>,
    leases: Arc<Mutex<HashMap<String, Lease>>>,
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

    async fn lease(&self, name: &str, me: GatewayId, term: Duration) -> Result<Option<Fence>, Trouble> {
        self.there()?;
        let (mut leases, now) = (lock(&self.leases), Instant::now());
        let before = leases.get(name).copied();
        if before.is_some_and(|lease| lease.holder != me && now < lease.until) {
            return Ok(None);
        }
        let fence = before.map_or(0, |lease| lease.fence) + 1;
        leases.insert(name.to_owned(), Lease { holder: me, until: now + term, fence });
        Ok(Some(Fence(fence)))
    }

    async fn release(&self, name: &str, me: GatewayId) -> Result<(), Trouble> {
        self.there()?;
        if let Some(lease) = lock(&self.leases).get_mut(name).filter(|lease| lease.holder == me) {
            lease.until = Instant::now();
        }
        Ok(())
    }
}

/// Notes what it hears.
#[derive(Debug)]
struct Ears {
    ledger: Ledger,
    heard: watch::Sender<Vec<String>>,
    /// What it would count, and what others reported.
    counts: Mutex<Vec<Tally>>,
    reported: watch::Sender<Vec<(String, Tally)>>,
    fresh: watch::Sender<Vec<&'static str>>,
    signs: watch::Sender<Vec<(String, Sign)>>,
}

#[async_trait]
impl Hearer for Ears {
    async fn hear(&self, facts: Vec<Heard>, place: Place) -> Result<(), AppendError> {
        let facts: Vec<_> = facts.into_iter().map(|heard| heard.fact).collect();
        self.heard.send_modify(|heard| heard.extend(facts.iter().map(user)));
        let written = Written { facts: &facts, whence: Whence::Elsewhere, place: Some(place), ..Written::default() };
        self.ledger.write(written).await.map(drop)
    }

    fn sign(&self, stream: &str, sign: Sign, _: Timestamp) {
        self.signs.send_modify(|signs| signs.push((stream.to_owned(), sign)));
    }

    fn tallies(&self) -> Vec<Tally> {
        std::mem::take(&mut *lock(&self.counts))
    }

    fn not_told(&self, tallies: Vec<Tally>) {
        lock(&self.counts).extend(tallies);
    }

    fn reported(&self, _: GatewayId, name: &str, tallies: Vec<Tally>) {
        let new = tallies.into_iter().map(|tally| (name.to_owned(), tally));
        self.reported.send_modify(|all| all.extend(new));
    }

    fn would_meet(&self, revocations: &[Revocation]) -> Survey {
        let people = (1..=revocations.len() as u128).map(crate::identity::TargetKey).collect();
        let seen = crate::exchanges::Seen { people, ..crate::exchanges::Seen::default() };
        Survey { apps: [("wiki".into(), seen)].into() }
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
        said: Default::default(),
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
        Self::start_with(scratch, file, engine, ring, Duration::from_secs(10))
    }

    /// The same where nobody may lead for so long at the most.
    fn start_with(scratch: &Scratch, file: &str, engine: &Memory, ring: &Arc<KeyRing>, lead_for: Duration) -> Self {
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
            lead_for,
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
        let ears = Arc::new(Ears {
            ledger,
            heard: watch::Sender::default(),
            counts: Mutex::default(),
            reported: watch::Sender::default(),
            fresh: watch::Sender::default(),
            signs: watch::Sender::default(),
        });
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

    /// Waits until it knows that the others have applied everything.
    async fn knows_that_all_applied(&self, others: usize) {
        for _ in 0..3_000 {
            let newest = self.fleet.standing().newest_fact;
            let peers = self.fleet.peers();
            if newest > Position(0) && peers.len() == others && peers.iter().all(|peer| peer.applied >= newest) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?} of {:?}", self.fleet.peers(), self.fleet.standing());
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

#[tokio::test]
async fn every_gateway_knows_how_far_the_others_are_and_remembers_them() {
    let (scratch, engine, ring) = (Scratch::new(), Memory::new(), ring());
    let [a, b, c] = ["a", "b", "c"].map(|file| Gateway::start(&scratch, file, &engine, &ring));
    a.accepts("ann").await.expect("told");
    for gateway in [&a, &b, &c] {
        gateway.knows_that_all_applied(2).await;
    }
    let names: Vec<_> = a.fleet.peers().into_iter().map(|peer| (peer.name, peer.is_silent)).collect();
    assert_eq!(names, [("b".to_owned(), false), ("c".to_owned(), false)]);
    c.ends().await;
    b.accepts("bob").await.expect("told");
    a.hears(&["bob"]).await;
    for _ in 0..3_000 {
        let newest = a.fleet.standing().newest_fact;
        let (there, behind): (Vec<_>, Vec<_>) = a.fleet.peers().into_iter().partition(|peer| peer.applied >= newest);
        if let ([one], [other]) = (&*there, &*behind) {
            assert_eq!((&*one.name, &*other.name), ("b", "c"), "who is not there has not applied it");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?} of {:?}", a.fleet.peers(), a.fleet.standing());
}

#[tokio::test]
async fn what_one_counts_the_others_hear_also_when_the_engine_was_away() {
    let (scratch, engine, ring) = (Scratch::new(), Memory::new(), ring());
    let [a, b] = ["a", "b"].map(|file| Gateway::start(&scratch, file, &engine, &ring));
    b.becomes("fresh").await;
    let tally = report::tests::tally;
    let hears = async |refusals: u64| {
        let is_there = |all: &Vec<(String, Tally)>| all.iter().any(|(from, t)| from == "a" && t.refusals == refusals);
        within(b.ears.reported.subscribe().wait_for(is_there)).await.expect("there");
    };
    lock(&a.ears.counts).push(tally(1, 3));
    a.fleet.has_counted();
    hears(3).await;
    engine.is_away(true);
    lock(&a.ears.counts).push(tally(1, 4));
    a.fleet.has_counted();
    b.becomes("stale").await;
    engine.is_away(false);
    a.fleet.has_counted();
    hears(4).await;
}

#[tokio::test]
async fn a_question_is_answered_by_all_that_are_there_and_whoever_is_not_is_named() {
    let (scratch, engine, ring) = (Scratch::new(), Memory::new(), ring());
    let [a, b, c] = ["a", "b", "c"].map(|file| Gateway::start(&scratch, file, &engine, &ring));
    a.accepts("ann").await.expect("told");
    a.knows_that_all_applied(2).await;
    for gateway in [&a, &b, &c] {
        gateway.becomes("fresh").await;
    }
    let Fact::Revoked(revocation) = of("ann") else { panic!("a revocation") };
    // A machine in need may be late once.
    for round in 0.. {
        let asked = a.fleet.would_meet(std::slice::from_ref(&revocation)).await;
        let names: Vec<_> = asked.answers.iter().map(|(name, _)| &**name).collect();
        if names == ["b", "c"] && asked.silent.is_empty() {
            assert!(asked.answers.iter().all(|(_, sight)| sight.total.people.all == 1));
            break;
        }
        assert!(round < 20, "{asked:?}");
    }
    c.ends().await;
    let asked = a.fleet.would_meet(std::slice::from_ref(&revocation)).await;
    assert!(asked.silent.contains(&"c".to_owned()), "{asked:?}");
    engine.is_away(true);
    let asked = a.fleet.would_meet(&[revocation]).await;
    assert_eq!((asked.answers.len(), asked.silent), (0, vec!["b".to_owned(), "c".to_owned()]));
}

#[tokio::test]
async fn old_questions_are_answered_by_nobody() {
    let (scratch, engine, ring) = (Scratch::new(), Memory::new(), ring());
    let a = Gateway::start(&scratch, "a", &engine, &ring);
    a.becomes("fresh").await;
    let ask = |id, sent_at| {
        let ask = ask::Ask { id, sent_at: Timestamp::from_secs(sent_at), revocations: vec![] };
        message::passing(&ring, GatewayId(9), &message::Passing::Ask(ask)).expect("sealed")
    };
    for (id, sent_at) in [(1, 1_969), (2, 2_031), (3, 1_970)] {
        engine.put(ask(id, sent_at));
    }
    for _ in 0..3_000 {
        let answered: Vec<_> = engine.letters().into_iter().filter(|letter| letter.id.starts_with("answer-")).collect();
        if let [answer] = &*answered {
            assert_eq!((answer.id.rsplit('-').next(), answer.to), (Some("3"), To::One(GatewayId(9))));
            return;
        }
        assert!(answered.is_empty(), "{answered:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody answers");
}
