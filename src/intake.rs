//! The only door by which a revocation enters.
//!
//! Law 2: enforce, then persist, then acknowledge. A [`Receipt`] means that what it speaks of is in force here *and* on
//! disk. If the disk fails, everything stays in force here, and the sender is told to send it again.

mod approvals;
mod hearing;
mod said;
mod replay;
mod room;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::approvals::Approvals;
pub use self::approvals::{Approved, MAX_AWAITING, NotAwaiting};
use self::room::Room;
use crate::audit::{Audit, Event};
use crate::enforcer::{Applied, Enforcer};
use crate::exchanges::Counts;
use crate::fleet::{Fleet, NotTold, Position};
use crate::ledger::{AppendError, Entry, Ledger, Note, Place, Whence};
use crate::metrics::{Metrics, Recorded};
use crate::outcome::Outcomes;
use crate::revocation::{Fact, Lifted, Mode, Origin, Reestablished, Revocation, RevocationId};
use crate::time::{Clock, Stopwatch, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

/// How much may come in.
#[derive(Copy, Clone, Debug)]
pub struct Settings {
    /// Entries of the revocation set at the most. One is a subject (once per key of the ring), a subject that was ever on
    /// hold, or somebody who is back after having to be. Beyond it nobody new signs in; what is revoked is enforced.
    pub max_subjects: usize,
}

impl Default for Settings {
    /// 300 MB of revocations, at the most.
    fn default() -> Self {
        Self { max_subjects: 5_000_000 }
    }
}

/// What was accepted: in force and durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Revocations put in force.
    pub applied: usize,
    /// Exchanges that they ended.
    pub cut: Counts,
    /// Revocations on disk.
    pub persisted: usize,
    /// What each is called, in their order.
    pub ids: Vec<RevocationId>,
}

/// What was lifted, durably.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifting {
    /// Holds that were in force and are no longer.
    pub lifted: usize,
}

/// Why what is in force here may be forgotten at a restart, or unknown to other gateways.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unkept {
    /// It is not on disk.
    #[error(transparent)]
    Here(#[from] AppendError),
    /// It is on disk here, and no other gateway may know of it yet.
    #[error(transparent)]
    Elsewhere(#[from] NotTold),
}

/// The revocations are in force here, but would be forgotten at a restart, or are unknown to other gateways: the sender
/// must send them again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("in force, but not durable: {why}")]
pub struct NotDurable {
    /// Revocations put in force.
    pub applied: usize,
    /// Exchanges that they ended.
    pub cut: Counts,
    /// What each is called, in their order.
    pub ids: Vec<RevocationId>,
    /// What is missing.
    #[source]
    pub why: Unkept,
}

/// Whom facts concern.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum For {
    /// Every gateway, which is waited for.
    Everyone,
    /// Every gateway, when it can be told.
    EveryoneLater,
    /// This gateway alone.
    Us,
}

/// What a sweep took away.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Subjects that are no longer in force.
    pub subjects: usize,
    /// Records that left the ledger.
    pub records: usize,
}

/// The door. One per gateway.
#[derive(Debug)]
pub struct Intake {
    room: Room,
    enforcer: Enforcer,
    outcomes: Outcomes,
    ledger: Ledger,
    /// The other gateways, if there are any.
    fleet: Option<Fleet>,
    audit: Audit,
    metrics: Arc<Metrics>,
    clock: Clock,
    approvals: Mutex<Approvals>,
    /// The last append failed.
    failing: AtomicBool,
}

impl Intake {
    /// A door to `enforcer`, `outcomes` and `ledger`.
    pub fn new(
        settings: Settings,
        (enforcer, outcomes): (Enforcer, Outcomes),
        ledger: Ledger,
        audit: Audit,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        Self {
            room: Room::new(settings.max_subjects),
            enforcer,
            outcomes,
            ledger,
            fleet: None,
            audit,
            metrics,
            clock,
            approvals: Mutex::new(Approvals::default()),
            failing: AtomicBool::new(false),
        }
    }

    /// The same door, of a gateway that is one of several.
    #[must_use]
    pub fn among(mut self, fleet: Option<Fleet>) -> Self {
        self.fleet = fleet;
        self
    }

    /// Puts `revocations` in force, ends what they cover, writes them down, tells the other gateways. A cut-off in the
    /// future becomes now.
    ///
    /// All of them are in force and on their way to the disk before this waits for the first time: a sender that hangs
    /// up takes nothing back.
    pub async fn accept(&self, revocations: Vec<Revocation>) -> Result<Receipt, NotDurable> {
        self.accept_for(For::Everyone, revocations, Stopwatch::start()).await
    }

    /// The same for a signal that `arrived` a while ago: it had to be verified.
    pub async fn accept_from(&self, arrived: Stopwatch, revocations: Vec<Revocation>) -> Result<Receipt, NotDurable> {
        self.accept_for(For::Everyone, revocations, arrived).await
    }

    /// The same for what concerns this gateway alone.
    pub async fn accept_here(&self, revocations: Vec<Revocation>) -> Result<Receipt, NotDurable> {
        self.accept_for(For::Us, revocations, Stopwatch::start()).await
    }

    async fn accept_for(
        &self,
        whom: For,
        revocations: Vec<Revocation>,
        arrived: Stopwatch,
    ) -> Result<Receipt, NotDurable> {
        let mut cut = Counts::default();
        let mut facts = Vec::with_capacity(revocations.len());
        let mut ids = Vec::with_capacity(revocations.len());
        for mut revocation in revocations {
            let (id, ended) = self.enforce(&mut revocation, None);
            self.metrics.enforced_within(&revocation.origin, arrived.elapsed());
            cut = cut.and(ended);
            ids.push(id);
            facts.push(Fact::Revoked(revocation));
        }
        self.measure();
        let applied = facts.len();
        let mut begun = self.outcomes.to_write(&ids);
        let kept = self.keep(&facts, std::mem::take(&mut begun.notes), whom).await;
        let recorded = match &kept {
            Ok(()) => Recorded::Durable,
            Err(Unkept::Elsewhere(_)) => Recorded::Untold,
            Err(Unkept::Here(_)) => Recorded::NotDurable,
        };
        for fact in &facts {
            if let Fact::Revoked(revocation) = fact {
                self.metrics.revoked(&revocation.origin, revocation.mode, recorded);
            }
        }
        if recorded != Recorded::NotDurable {
            self.outcomes.written(begun);
        }
        match kept {
            Ok(()) => Ok(Receipt { applied, cut, persisted: applied, ids }),
            Err(why) => {
                self.is_not_kept(&why, applied);
                Err(NotDurable { applied, cut, ids, why })
            }
        }
    }

    /// Lifts holds. What nobody is on hold by is noted all the same: the hold may come late.
    ///
    /// All are lifted before this waits for the first time. If the disk fails they are lifted here, the sender is told to
    /// send it again, and a restart holds them again.
    pub async fn lift(&self, liftings: Vec<Lifted>) -> Result<Lifting, NotDurable> {
        let now = self.clock.now();
        let mut done = Lifting::default();
        let mut facts = Vec::with_capacity(liftings.len());
        for mut lifted in liftings {
            lifted.at = lifted.at.min(now);
            if lifted.origin == Origin::Operator {
                // Whoever types it means the hold that they see, also one of this second.
                let (held, _) = self.enforcer.hold_of(&lifted.whom, &lifted.reach);
                lifted.at = held.map_or(lifted.at, |held| lifted.at.max(held.plus(SECOND)));
            }
            let was_held = self.enforcer.lift(&lifted);
            self.outcomes.lifted(&lifted);
            done.lifted += usize::from(was_held);
            tracing::info!(source = lifted.origin.word(), at = %lifted.at, was_held, "a hold is lifted");
            self.metrics.lifted(&lifted.origin);
            self.audit.record(self.lifted(&lifted, was_held));
            facts.push(Fact::Lifted(lifted));
        }
        self.measure();
        self.keep(&facts, vec![], For::Everyone).await.map(|()| done).map_err(|why| {
            self.is_not_kept(&why, facts.len());
            NotDurable { applied: facts.len(), cut: Counts::default(), ids: vec![], why }
        })
    }

    /// Takes note that somebody signed in while something has to be re-established. In force here whatever the disk says:
    /// what is forgotten at a restart costs them another sign-in, and lets nobody in.
    pub async fn reestablished(&self, mut back: Reestablished) {
        back.at = back.at.min(self.clock.now());
        self.enforcer.reestablished(&back);
        self.measure();
        if let Err(why) = self.keep(&[Fact::Reestablished(back)], vec![], For::EveryoneLater).await {
            tracing::warn!(error = %why, "a sign-in after a re-establishment is not on disk");
        }
    }

    /// Writes `facts` down, and `notes` beside them; then tells the other gateways.
    async fn keep(&self, facts: &[Fact], notes: Vec<Note>, whom: For) -> Result<(), Unkept> {
        let fleet = self.fleet.as_ref().filter(|_| whom != For::Us);
        let whence = if fleet.is_some() { Whence::HereForAll } else { Whence::Here };
        let watch = Stopwatch::start();
        let written = self.ledger.write(Entry { facts, whence, notes, place: None }).await;
        self.failing.store(written.is_err(), Ordering::Relaxed);
        let first = written?;
        self.metrics.appended(watch.elapsed());
        match (fleet, whom) {
            (Some(fleet), For::Everyone) if !facts.is_empty() => fleet.tell(first, facts).await?,
            (Some(fleet), _) => fleet.tell_later(),
            (None, _) => {}
        }
        Ok(())
    }

    fn is_not_kept(&self, why: &Unkept, facts: usize) {
        let (revocations, text) = (facts, why.to_string());
        match why {
            Unkept::Here(_) => {
                tracing::error!(error = %why, revocations, "revocations are in force but not on disk");
                self.audit.record(Event::LedgerFailed { revocations, why: text });
            }
            Unkept::Elsewhere(_) => {
                tracing::error!(
                    error = %why,
                    revocations,
                    "revocations are in force and on disk here, but other gateways may not know of them yet"
                );
                self.audit.record(Event::FleetUntold { revocations, why: text });
            }
        }
    }

    /// Drops, from memory and from disk, what no credential can be old enough to meet (law 10).
    pub async fn sweep(&self) -> Result<Swept, AppendError> {
        let now = self.clock.now();
        let subjects = self.enforcer.sweep(now);
        self.room.looked(now);
        self.expire_awaiting(self.enforcer.horizon(now));
        self.measure();
        self.outcomes.sweep(self.enforcer.horizon(now));
        let records = self.ledger.forget_before(self.enforcer.horizon(now)).await?;
        Ok(Swept { subjects, records })
    }

    /// True unless the last revocation could not be written down.
    pub fn is_durable(&self) -> bool {
        !self.failing.load(Ordering::Relaxed)
    }

    /// True while more is in force than the settings allow: nobody new may sign in. Everything is still enforced.
    pub fn is_crowded(&self) -> bool {
        self.room.is_none()
    }

    /// Entries that are there, and how many there may be.
    pub fn room(&self) -> (usize, usize) {
        (self.enforcer.entries(), self.room.most())
    }

    /// Puts a revocation in force, accepted here or heard from another gateway there.
    fn enforce(&self, revocation: &mut Revocation, heard: Option<(Position, &Place)>) -> (RevocationId, Counts) {
        let now = self.clock.now();
        self.date(revocation, now);
        let Applied { cut, ended } = self.enforcer.apply(revocation);
        let id = match heard {
            None => self.outcomes.begin(revocation, &ended),
            Some((at, place)) => self.outcomes.begin_heard(revocation, &ended, at, place),
        };
        self.metrics.enforced_after(&revocation.origin, now.since(revocation.cut_off));
        self.metrics.cut(cut);
        tracing::info!(
            source = revocation.origin.word(),
            mode = revocation.mode.word(),
            cut_off = %revocation.cut_off,
            cut = cut.total(),
            "a revocation is in force"
        );
        self.audit.record(self.event(revocation, (id, cut)));
        (id, cut)
    }

    /// No cut-off is in the future (law 1), but for an operator's hold in the very second in which one was lifted: whoever
    /// types it means that it holds.
    fn date(&self, revocation: &mut Revocation, now: Timestamp) {
        revocation.cut_off = revocation.cut_off.min(now);
        if revocation.mode == Mode::Hold && revocation.origin == Origin::Operator {
            let (_, lifted) = self.enforcer.hold_of(&revocation.whom, &revocation.reach);
            revocation.cut_off = lifted.map_or(revocation.cut_off, |lifted| revocation.cut_off.max(lifted));
        }
    }

    fn approvals(&self) -> std::sync::MutexGuard<'_, Approvals> {
        self.approvals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self) {
        self.metrics.awaiting_approval(self.approvals().waiting());
        let now = self.clock.now();
        self.room.measure(self.enforcer.entries(), now, || {
            self.enforcer.sweep(now);
            self.enforcer.entries()
        });
        self.metrics.set_size(self.enforcer.size(), self.room());
        self.metrics.crowded(self.is_crowded());
        self.metrics.on_hold(self.enforcer.subjects_on_hold());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Sink;
    use crate::exchanges::{Cut, Exchange, Held, Kind};
    use crate::identity::{AppKey, Issuer, Target, TargetKind};
    use crate::ledger::scratch::Scratch;
    use crate::revocation::{Reach, Whom};
    use crate::seal::{KeyRing, generate_key};

    const NOW: Timestamp = Timestamp::from_secs(1_795_463_999);

    /// A gateway's inside, in a directory of its own.
    struct House {
        scratch: Scratch,
        ring: Arc<KeyRing>,
        clock: Clock,
        metrics: Arc<Metrics>,
        enforcer: Enforcer,
        intake: Intake,
        replayed: usize,
    }

    impl House {
        fn new() -> Self {
            let key = generate_key().expect("randomness");
            let ring = KeyRing::parse([key.expose().as_str()]).expect("key").expect("ring");
            Self::open(Scratch::new(), Arc::new(ring), Clock::manual(NOW), 1_000, None)
        }

        fn open(s: Scratch, ring: Arc<KeyRing>, clock: Clock, max_subjects: usize, max_bytes: Option<u64>) -> Self {
            let metrics = Arc::new(Metrics::new());
            let enforcer = Enforcer::new(
                &crate::enforcer::Settings {
                    longest_life: Duration::from_secs(43_200),
                    margin: Duration::from_secs(300),
                    exchanges: crate::exchanges::Settings::default(),
                },
                Arc::clone(&ring),
            );
            let file = crate::ledger::Settings { max_bytes, ..crate::ledger::Settings::at(s.file("ledger.db")) };
            let (ledger, replay) = Ledger::open(&file).expect("opens");
            let lines = crate::audit::Settings { sink: Sink::File(s.file("audit.log")), queue: 1_000 };
            let audit = Audit::open(&lines, clock.clone(), Arc::clone(&metrics)).expect("opens");
            let settings = Settings { max_subjects };
            let others = (audit.clone(), Arc::clone(&metrics), clock.clone());
            let outcomes = crate::outcome::tests::settings();
            let outcomes = Outcomes::open(outcomes, None, Arc::clone(&ring), (ledger.clone(), &replay), others);
            let both = (enforcer.clone(), outcomes.expect("opens"));
            let intake = Intake::new(settings, both, ledger, audit, Arc::clone(&metrics), clock.clone());
            let replayed = intake.replay(replay).expect("readable");
            Self { scratch: s, ring, clock, metrics, enforcer, intake, replayed }
        }

        /// The same gateway after a restart.
        fn restarted(self) -> Self {
            let Self { scratch, ring, clock, intake, .. } = self;
            drop(intake);
            Self::open(scratch, ring, clock, 1_000, None)
        }

        fn signed_in(&self, kind: TargetKind, value: &str, at: Timestamp) -> Exchange {
            let targets = Arc::new([(kind, self.ring.hasher().key(&target(kind, value)))]);
            Exchange {
                credentials: vec![Held { targets, asserted_at: at, auth_time: Some(at), imprint: Default::default() }],
                app: AppKey::of("wiki"),
                app_name: "wiki".into(),
                kind: Kind::EventStream,
                ends_at: None,
            }
        }

        fn is_clear(&self, user: &str, at: Timestamp) -> bool {
            let exchange = self.signed_in(TargetKind::User, user, at);
            self.enforcer.admit(exchange, &Cut::new()).expect("room").0.is_clear()
        }

        fn audited(self) -> String {
            let Self { scratch, intake, .. } = self;
            drop(intake);
            std::fs::read_to_string(scratch.file("audit.log")).expect("read")
        }
    }

    fn target(kind: TargetKind, value: &str) -> Target {
        Target::new(&Issuer::parse("https://idp.example.com").expect("issuer"), kind, value).expect("target")
    }

    fn revocation(kind: TargetKind, value: &str) -> Revocation {
        Revocation {
            whom: Whom::all_of(vec![target(kind, value)]).expect("whom"),
            reach: Reach::All,
            mode: Mode::Terminate,
            cut_off: NOW,
            origin: Origin::Stream { stream: "corp".into(), jti: "j1".into(), txn: None, event: "e".into() },
            reason: None,
            said: Default::default(),
            received_at: NOW,
        }
    }

    fn before(span: u64) -> Timestamp {
        NOW.minus(Duration::from_secs(span))
    }

    fn after(span: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(span))
    }

    #[tokio::test]
    async fn what_is_acknowledged_is_in_force_and_survives_a_restart() {
        let house = House::new();
        let cut = Cut::new();
        let guard = house.enforcer.admit(house.signed_in(TargetKind::User, "ann", before(60)), &cut).expect("room").1;
        let accepted = house.intake.accept(vec![revocation(TargetKind::User, "ann")]).await.expect("durable");
        assert_eq!((accepted.applied, accepted.persisted, accepted.cut.of(Kind::EventStream)), (1, 1, 1));
        assert!(cut.is_cancelled());
        drop(guard);
        let house = house.restarted();
        assert_eq!(house.replayed, 1);
        assert!(!house.is_clear("ann", NOW), "revoked before the restart, and after it");
        assert!(house.is_clear("ann", after(1)) && house.is_clear("bob", NOW));
    }

    #[tokio::test]
    async fn what_the_ledger_does_not_take_stays_in_force_and_is_not_acknowledged() {
        let house = House::new();
        let House { scratch, ring, clock, intake, .. } = house;
        drop(intake);
        let house = House::open(scratch, ring, clock, 1_000, Some(1));
        let large = Revocation { reason: Some("x".repeat(50_000)), ..revocation(TargetKind::User, "ann") };
        let refused = house.intake.accept(vec![large]).await.expect_err("the ledger is full");
        assert!(matches!(refused.why, Unkept::Here(AppendError::Full)), "{refused:?}");
        assert_eq!(refused.applied, 1);
        assert!(!house.is_clear("ann", NOW));
        let counted = "portcullis_revocations_total{mode=\"terminate\",result=\"not_durable\",source=\"stream\"} 1";
        assert!(house.metrics.render().contains(counted));
        assert!(house.audited().contains("\"event\":\"ledger_failed\""));
    }

    #[tokio::test]
    async fn a_sender_that_hangs_up_takes_nothing_back() {
        let house = House::new();
        {
            let accepting = std::pin::pin!(house.intake.accept(vec![revocation(TargetKind::User, "ann")]));
            // Whether or not the disk was quick: nobody waits for the answer.
            let _ = futures_util::poll!(accepting);
        }
        assert!(!house.is_clear("ann", NOW), "in force before the first wait");
        assert_eq!(house.restarted().replayed, 1, "and written down all the same");
    }

    fn lift(user: &str, at: Timestamp, origin: Origin) -> Lifted {
        let whom = Whom::all_of(vec![target(TargetKind::User, user)]).expect("whom");
        Lifted { whom, reach: Reach::All, at, origin, reason: None, received_at: NOW }
    }

    #[tokio::test]
    async fn a_hold_outlives_restarts_and_sweeps_until_it_is_lifted_and_then_a_newer_login_is_enough() {
        let mut house = House::new();
        let hold = Revocation { mode: Mode::Hold, ..revocation(TargetKind::User, "ann") };
        house.intake.accept(vec![hold.clone()]).await.expect("durable");
        assert!(!house.is_clear("ann", after(600)), "however new the login");
        for _ in 0..2 {
            house.clock.advance(Duration::from_secs(500_000));
            house.intake.sweep().await.expect("swept");
            house = house.restarted();
            assert!(!house.is_clear("ann", house.clock.now()), "no age makes it void");
        }
        // The hold that is lifted is the one that came later, though it is the older.
        let event = Origin::Stream { stream: "corp".into(), jti: "j2".into(), txn: None, event: "enabled".into() };
        let done = house.intake.lift(vec![lift("ann", after(1), event.clone())]).await.expect("durable");
        assert_eq!(
            (done.lifted, house.intake.lift(vec![lift("bob", NOW, event)]).await.expect("durable").lifted),
            (1, 0)
        );
        house.intake.accept(vec![hold]).await.expect("durable");
        assert!(!house.is_clear("ann", NOW) && house.is_clear("ann", after(2)), "delivered again, it holds nobody");
        house.clock.advance(Duration::from_secs(500_000));
        house.intake.sweep().await.expect("swept");
        let house = house.restarted();
        let again = Revocation { mode: Mode::Hold, ..revocation(TargetKind::User, "ann") };
        house.intake.accept(vec![again]).await.expect("durable");
        assert!(house.is_clear("ann", after(2)), "and not after a sweep and a restart either");
    }

    #[tokio::test]
    async fn what_awaits_approval_is_not_in_force_and_not_lost_until_somebody_decides() {
        let mut house = House::new();
        let (ann, bob) = (revocation(TargetKind::User, "ann"), revocation(TargetKind::User, "bob"));
        house.intake.await_approval(vec![ann.clone(), bob.clone()]).await.expect("written down");
        house.intake.await_approval(vec![ann.clone()]).await.expect("delivered again");
        let ids = |house: &House| house.intake.awaiting().iter().map(|(id, _)| *id).collect::<Vec<_>>();
        for _ in 0..2 {
            assert!(house.is_clear("ann", NOW) && house.is_clear("bob", NOW));
            assert_eq!(house.intake.awaiting().len(), 2);
            assert!(house.metrics.render().contains("portcullis_revocations_awaiting_approval 2"));
            house = house.restarted();
        }
        let (of_ann, of_bob) = (house.enforcer.id_of(&ann), house.enforcer.id_of(&bob));
        let done = house.intake.decide(&[of_ann, of_ann], true, Some("they left")).await.expect("durable");
        assert_eq!((done.decided, done.receipt.applied), (1, 1));
        let done = house.intake.decide(&[of_bob], false, None).await.expect("durable");
        assert_eq!((done.decided, done.receipt.applied), (1, 0));
        for _ in 0..2 {
            assert!(!house.is_clear("ann", NOW) && house.is_clear("bob", NOW) && house.is_clear("ann", after(1)));
            house.intake.await_approval(vec![ann.clone(), bob.clone()]).await.expect("known");
            assert_eq!(ids(&house), [], "what was decided does not ask again");
            house = house.restarted();
        }
        let said = house.audited();
        for words in ["awaiting_approval", "\"approved\":true,\"why\":\"they left\"", "\"approved\":false"] {
            assert!(said.contains(words), "`{words}` is not in\n{said}");
        }
    }

    #[tokio::test]
    async fn nobody_decides_on_what_can_end_nothing_any_more_and_a_hold_never_becomes_that() {
        let house = House::new();
        let hold = Revocation { mode: Mode::Hold, ..revocation(TargetKind::User, "ann") };
        house
            .intake
            .await_approval(vec![revocation(TargetKind::User, "bob"), hold.clone()])
            .await
            .expect("written down");
        house.clock.advance(Duration::from_secs(500_000));
        house.intake.sweep().await.expect("swept");
        assert_eq!(house.intake.awaiting().len(), 1);
        let house = house.restarted();
        let id = house.enforcer.id_of(&hold);
        assert_eq!(house.intake.decide(&[id], true, None).await.expect("durable").decided, 1);
        house.intake.sweep().await.expect("swept");
        let house = house.restarted();
        assert!(house.intake.awaiting().is_empty() && !house.is_clear("ann", house.clock.now()));
    }

    #[tokio::test]
    async fn what_an_operator_holds_no_signal_lifts_and_an_operator_lifts_what_signals_hold() {
        let mut house = House::new();
        let by_signal = Revocation { mode: Mode::Hold, ..revocation(TargetKind::User, "ann") };
        let typed = Revocation { origin: Origin::Operator, ..by_signal.clone() };
        let event = by_signal.origin.clone();
        house.clock.advance(Duration::from_secs(500_000));
        let now = house.clock.now();
        // The signal's hold is the newer one: it must not stand for the operator's.
        let newer = Revocation { cut_off: after(9), ..by_signal };
        house.intake.accept(vec![typed.clone(), newer]).await.expect("durable");
        house.intake.sweep().await.expect("swept");
        assert_eq!(house.intake.lift(vec![lift("ann", after(20), event.clone())]).await.expect("durable").lifted, 0);
        for _ in 0..2 {
            assert!(!house.is_clear("ann", now));
            let held = house.enforcer.on_hold();
            assert_eq!((held.len(), &held[0].revocation.origin), (1, &Origin::Operator));
            house = house.restarted();
        }
        assert_eq!(house.intake.lift(vec![lift("ann", now, Origin::Operator)]).await.expect("durable").lifted, 1);
        let again = Revocation { mode: Mode::Hold, cut_off: after(30), ..revocation(TargetKind::User, "ann") };
        house.intake.accept(vec![again]).await.expect("durable");
        assert!(house.is_clear("ann", now), "an operator's word is newer than the signal's");
        let house = house.restarted();
        assert!(house.is_clear("ann", now));
    }

    #[tokio::test]
    async fn an_operator_holds_and_lifts_within_one_second_as_often_as_they_like() {
        let house = House::new();
        let hold = Revocation { mode: Mode::Hold, origin: Origin::Operator, ..revocation(TargetKind::User, "ann") };
        for round in 0..3 {
            house.intake.accept(vec![hold.clone()]).await.expect("durable");
            assert!(!house.is_clear("ann", after(600)), "round {round}");
            let done = house.intake.lift(vec![lift("ann", NOW, Origin::Operator)]).await.expect("durable");
            assert!(done.lifted == 1 && house.is_clear("ann", after(600)), "round {round}");
        }
    }

    #[tokio::test]
    async fn a_cut_off_in_the_future_becomes_now() {
        let house = House::new();
        let future = Revocation { cut_off: after(86_400), ..revocation(TargetKind::User, "ann") };
        house.intake.accept(vec![future]).await.expect("durable");
        assert!(!house.is_clear("ann", NOW) && house.is_clear("ann", after(1)));
        let house = house.restarted();
        assert!(!house.is_clear("ann", NOW) && house.is_clear("ann", after(1)), "and it is written down as now");
    }

    #[tokio::test]
    async fn a_sweep_forgets_in_memory_and_on_disk_what_nobody_can_meet_any_more() {
        let house = House::new();
        let old = Revocation { cut_off: before(10), ..revocation(TargetKind::User, "old") };
        house.intake.accept(vec![old, revocation(TargetKind::User, "ann")]).await.expect("durable");
        house.clock.advance(Duration::from_secs(43_500));
        assert_eq!(house.intake.sweep().await.expect("swept"), Swept { subjects: 1, records: 1 });
        assert!(!house.is_clear("ann", NOW));
        house.clock.advance(Duration::from_secs(1));
        let house = house.restarted();
        assert_eq!((house.replayed, house.enforcer.size()), (0, 0), "a replay passes over what is too old");
    }

    #[tokio::test]
    async fn a_crowded_gateway_says_so_and_enforces_all_the_same() {
        let house = House::new();
        let House { scratch, ring, clock, intake, .. } = house;
        drop(intake);
        let house = House::open(scratch, ring, clock, 2, None);
        let accept =
            |users: &[&str]| house.intake.accept(users.iter().map(|user| revocation(TargetKind::User, user)).collect());
        accept(&["ann", "bob"]).await.expect("durable");
        assert!(!house.intake.is_crowded());
        accept(&["eve"]).await.expect("durable");
        assert!(house.intake.is_crowded() && !house.is_clear("eve", NOW));
        house.clock.advance(Duration::from_secs(50_000));
        house.intake.sweep().await.expect("swept");
        assert!(!house.intake.is_crowded());
    }

    #[tokio::test]
    async fn the_audit_log_names_nobody_by_address_or_session() {
        let house = House::new();
        let sid = "s-0123456789";
        let revoked = [
            (TargetKind::Email, "ann@corp.example"),
            (TargetKind::Phone, "+12065550123"),
            (TargetKind::Session, sid),
            (TargetKind::Gateway, "0123456789abcdef"),
            (TargetKind::User, "ann"),
        ];
        let all = revoked.iter().map(|(kind, value)| revocation(*kind, value)).collect();
        house.intake.accept(all).await.expect("durable");
        let said = house.audited();
        for hidden in ["ann@corp.example", "2065550123", sid, "0123456789abcdef"] {
            assert!(!said.contains(hidden), "`{hidden}` is in\n{said}");
        }
        for shown in ["\"target\":\"user ann\"", "gateway_session 01234567", "email #", "\"jti\":\"j1\""] {
            assert!(said.contains(shown), "`{shown}` is not in\n{said}");
        }
    }
}
