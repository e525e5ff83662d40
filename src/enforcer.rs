//! The one place that says who may go on: the revocation set and what is in flight, together.
//!
//! Law 3: an exchange *enters, then is judged*; a revocation *is inserted, then cuts*. Whichever way the two meet, the
//! judgement sees the revocation or the cut sees the exchange.

use std::sync::Arc;
use std::time::Duration;

use crate::exchanges::{Counts, Cut, Ended, Exchange, Exchanges, Full, Guard, Runs, Survey};
use crate::identity::{AppKey, Target, TargetKey, TargetKind};
use crate::revocation::{
    Credential, Lifted, OnHold, Reach, Reestablished, Revocation, RevocationId, RevocationSet, Standing, Whom, rules,
};
use crate::seal::KeyRing;
use crate::time::Timestamp;

/// What the enforcer must know about the gateway's credentials.
#[derive(Copy, Clone, Debug)]
pub struct Settings {
    /// The longest life of any credential that the gateway honours (session, bearer), counted from its assertion.
    pub longest_life: Duration,
    /// What clocks may differ by: revocations are kept that much longer.
    pub margin: Duration,
    /// What may be in flight.
    pub exchanges: crate::exchanges::Settings,
}

/// What applying a revocation did.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// How many exchanges it ended.
    pub cut: Counts,
    /// Which.
    pub ended: Ended,
}

/// Owner of the revocation set and of what is in flight. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Enforcer {
    set: Arc<RevocationSet>,
    exchanges: Exchanges,
    ring: Arc<KeyRing>,
    retention: Duration,
}

impl Enforcer {
    /// Nothing in force, nothing in flight. Targets are hashed under every key of `ring`.
    pub fn new(settings: &Settings, ring: Arc<KeyRing>) -> Self {
        Self {
            set: Arc::default(),
            exchanges: Exchanges::new(&settings.exchanges),
            ring,
            retention: settings.longest_life.saturating_add(settings.margin),
        }
    }

    /// Enters `exchange` and judges it, in that order. The exchange is in flight as long as the guard lives, so a
    /// caller that refuses drops the guard; one that forwards keeps it to the end and ends when `cut` says so.
    pub fn admit(&self, exchange: Exchange, cut: &Cut) -> Result<(Standing, Guard), Full> {
        let guard = self.exchanges.enter(exchange, cut)?;
        let standing = guard.judge(&self.set);
        Ok((standing, guard))
    }

    /// Puts `revocation` in force and ends what it covers, in that order.
    pub fn apply(&self, revocation: &Revocation) -> Applied {
        self.set.insert(revocation, &self.ring.hashers());
        let ended = self.exchanges.end_covered(&self.keys(revocation), &self.set);
        Applied { cut: ended.counts(), ended }
    }

    /// Puts `revocation` in force before the first request is let in: nothing is in flight that it could end.
    pub fn restore(&self, revocation: &Revocation) {
        self.set.insert(revocation, &self.ring.hashers());
    }

    /// Lifts a hold; true if there was one, and is no longer.
    pub fn lift(&self, lifted: &Lifted) -> bool {
        let on_hold = || self.set.hold_of(&lifted.whom, &lifted.reach).0.is_some();
        let was = on_hold();
        self.set.lift(lifted, &self.ring.hashers());
        was && !on_hold()
    }

    /// Every hold in force, the newest first.
    pub fn on_hold(&self) -> Vec<OnHold> {
        self.set.on_hold()
    }

    /// How many subjects are on hold.
    pub fn subjects_on_hold(&self) -> usize {
        self.set.subjects_on_hold()
    }

    /// The hold of exactly that subject, if it is on hold.
    pub fn hold_on(&self, whom: &Whom, reach: &Reach) -> Option<OnHold> {
        self.set.hold_on(whom, reach)
    }

    /// True if whoever has all of `targets` is on hold, in all apps.
    pub fn holds_any(&self, targets: &[Target]) -> bool {
        let keys = |hasher: &crate::identity::TargetHasher| -> Vec<_> {
            targets.iter().map(|target| (target.kind, hasher.key(target))).collect()
        };
        self.ring.hashers().into_iter().any(|hasher| self.set.is_on_hold(&keys(hasher)))
    }

    /// Since when exactly that subject is on hold, and when an operator last lifted it.
    pub fn hold_of(&self, whom: &Whom, reach: &Reach) -> (Option<Timestamp>, Option<Timestamp>) {
        self.set.hold_of(whom, reach)
    }

    /// True once anything had to be re-established: from then on it matters who signs in.
    pub fn asks_to_reestablish(&self) -> bool {
        self.set.asks_to_reestablish()
    }

    /// Takes note that somebody signed in. Nothing but that lets a credential of an app's live on that no session stands
    /// beside.
    pub fn reestablished(&self, back: &Reestablished) {
        self.set.reestablished(back, &self.ring.hashers());
    }

    /// When whoever has these targets last signed in, as far as anything had to be re-established then.
    pub fn returned_at(&self, targets: &[(TargetKind, TargetKey)]) -> Option<Timestamp> {
        self.set.returned_at(targets)
    }

    /// Ends what runs on credentials that reached their own end.
    pub fn end_over(&self, now: Timestamp) -> Counts {
        self.exchanges.cut_over(now)
    }

    /// Ends everything in flight because the gateway stops.
    pub fn leave_all(&self) -> Counts {
        self.exchanges.leave_all()
    }

    /// Whether anything in flight runs on a credential with that key.
    pub fn runs_on(&self, key: TargetKey) -> bool {
        self.exchanges.runs_on(key)
    }

    /// What is in flight on credentials with one of `keys`, at most so many.
    pub fn of(&self, keys: &[TargetKey], most: usize) -> Vec<Runs> {
        self.exchanges.of(keys, most)
    }

    /// Ends what people have in flight in `app`, which they must not use at the moment.
    pub fn end_in(&self, app: AppKey) -> Counts {
        self.exchanges.cut_in(app)
    }

    /// What [`Enforcer::apply`] would end, with nothing put in force.
    pub fn would_cut(&self, revocation: &Revocation) -> Counts {
        self.would_meet(revocation).total().exchanges
    }

    /// The same, by app, with the sessions and people behind it.
    pub fn would_meet(&self, revocation: &Revocation) -> Survey {
        let alone = RevocationSet::default();
        alone.insert(revocation, &self.ring.hashers());
        self.exchanges.survey_covered(&self.keys(revocation), &alone)
    }

    /// How `credential` stands now.
    pub fn judge(&self, credential: &Credential<'_>) -> Standing {
        self.set.judge(credential)
    }

    /// How an exchange in flight stands now: why it was cut, or whether its answer may still go out.
    pub fn judge_again(&self, guard: &Guard) -> Standing {
        guard.judge(&self.set)
    }

    /// Drops revocations that no living credential can be old enough to meet (law 10); says how many subjects.
    pub fn sweep(&self, now: Timestamp) -> usize {
        self.set.drop_older_than(self.horizon(now))
    }

    /// Revocations with a cut-off before this moment have nothing left to do.
    pub fn horizon(&self, now: Timestamp) -> Timestamp {
        now.minus(self.retention)
    }

    /// Subjects in force (a subject counts once per key of the ring).
    pub fn size(&self) -> usize {
        self.set.len()
    }

    /// Everything of the revocation set that takes room.
    pub fn entries(&self) -> usize {
        self.set.entries()
    }

    /// Exchanges in flight, by kind.
    pub fn exchanges(&self) -> Counts {
        self.exchanges.counts()
    }

    /// Exchanges in flight.
    pub fn in_flight(&self) -> usize {
        self.exchanges.len()
    }

    /// A name for `target` that logs may show: the same for the same target, worth nothing to who reads it.
    pub fn pseudonym(&self, target: &Target) -> String {
        format!("{:?}", self.ring.hasher().key(target)).chars().take(8).collect()
    }

    /// The name of `revocation`, the same on every gateway with these keys.
    pub fn id_of(&self, revocation: &Revocation) -> RevocationId {
        revocation.id(self.ring.hasher())
    }

    fn keys(&self, revocation: &Revocation) -> Vec<TargetKey> {
        rules(revocation, &self.ring.hashers()).into_iter().flatten().map(|member| member.key).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::exchanges::{Held, Kind};
    use crate::identity::{AppKey, Issuer};
    use crate::revocation::{Mode, Origin, Reach, Whom};
    use crate::seal::generate_key;

    const LOGIN: Timestamp = Timestamp::from_secs(1_000);
    const CUT_OFF: Timestamp = Timestamp::from_secs(2_000);

    fn enforcer() -> Enforcer {
        let key = generate_key().expect("randomness");
        let ring = KeyRing::parse([key.expose().as_str()]).expect("key").expect("ring");
        let settings = Settings {
            longest_life: Duration::from_secs(43_200),
            margin: Duration::from_secs(300),
            exchanges: crate::exchanges::Settings::default(),
        };
        Enforcer::new(&settings, Arc::new(ring))
    }

    fn target(kind: TargetKind, value: &str) -> Target {
        Target::new(&Issuer::parse("https://idp.example.com").expect("issuer"), kind, value).expect("target")
    }

    fn held(enforcer: &Enforcer, facts: &[(TargetKind, &str)]) -> Held {
        let key = |(kind, value): &(TargetKind, &str)| (*kind, enforcer.ring.hasher().key(&target(*kind, value)));
        Held {
            targets: facts.iter().map(key).collect(),
            asserted_at: LOGIN,
            auth_time: Some(LOGIN),
            imprint: Default::default(),
        }
    }

    fn exchange(enforcer: &Enforcer, user: &str) -> Exchange {
        Exchange {
            credentials: vec![held(enforcer, &[(TargetKind::User, user), (TargetKind::Group, "staff")])],
            app: AppKey::of("wiki"),
            app_name: "wiki".into(),
            kind: Kind::WebSocket,
            ends_at: None,
        }
    }

    fn revocation(targets: Vec<Target>) -> Revocation {
        Revocation {
            whom: Whom::all_of(targets).expect("whom"),
            reach: Reach::All,
            mode: Mode::Terminate,
            cut_off: CUT_OFF,
            origin: Origin::Operator,
            reason: None,
            said: Default::default(),
            received_at: CUT_OFF,
        }
    }

    fn of_user(user: &str) -> Revocation {
        revocation(vec![target(TargetKind::User, user)])
    }

    /// One step of a request or of a revocation.
    #[derive(Copy, Clone, Debug, PartialEq)]
    enum Step {
        Enter,
        Check,
        Insert,
        Cut,
    }

    const REQUEST: &[Step] = &[Step::Enter, Step::Check];
    const REVOCATION: &[Step] = &[Step::Insert, Step::Cut];

    /// Every way to put the steps of all sides in one row, each with the number of its side, in which each side keeps its own
    /// order.
    fn interleavings(sides: &[&[Step]]) -> Vec<Vec<(usize, Step)>> {
        if sides.iter().all(|steps| steps.is_empty()) {
            return vec![vec![]];
        }
        let mut all = Vec::new();
        for (n, side) in sides.iter().enumerate() {
            let Some((first, rest)) = side.split_first() else { continue };
            let mut left = sides.to_vec();
            left[n] = rest;
            all.extend(interleavings(&left).into_iter().map(|row| [vec![(n, *first)], row].concat()));
        }
        all
    }

    /// The sides that meet, and in how many ways they can: (sum of steps)! / product of (steps of each side)!.
    const MEETINGS: [(&[&[Step]], usize); 4] = [
        (&[REQUEST, REVOCATION], 6),
        (&[REQUEST, REQUEST, REVOCATION], 90),
        (&[REQUEST, REVOCATION, REVOCATION], 90),
        (&[REQUEST, REQUEST, REVOCATION, REVOCATION], 2520),
    ];

    #[test]
    fn the_interleavings_are_all_that_there_are() {
        for (sides, number) in MEETINGS {
            let mut all: Vec<_> = interleavings(sides).iter().map(|row| format!("{row:?}")).collect();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), number, "{} sides", sides.len());
        }
    }

    /// Whom the revocations of a test are about: all of them Ann, none of them Bob.
    fn of_ann() -> Vec<Revocation> {
        let both = || vec![target(TargetKind::User, "ann"), target(TargetKind::Group, "staff")];
        let wiki = || Reach::Apps(vec!["wiki".into()]);
        let terminate = [
            of_user("ann"),
            revocation(both()),
            Revocation { reach: wiki(), ..of_user("ann") },
            Revocation { reach: wiki(), ..revocation(both()) },
        ];
        let reestablish = terminate.clone().map(|known| Revocation { mode: Mode::Reestablish, ..known });
        terminate.into_iter().chain(reestablish).collect()
    }

    #[test]
    fn in_every_interleaving_a_revoked_exchange_is_refused_or_cut_and_nobody_elses_is() {
        let kinds = of_ann();
        for (sides, number) in MEETINGS {
            for (n, row) in interleavings(sides).iter().enumerate() {
                // Every kind in every row; in turn, where there are thousands.
                let few = number < 1_000;
                for kind in kinds.iter().enumerate().filter(|(k, _)| few || n % kinds.len() == *k).map(|(_, kind)| kind)
                {
                    meet(sides, row, kind);
                }
            }
        }
    }

    /// Lets the sides meet in that row. The last revocation is of that kind, one before it of the other mode.
    fn meet(sides: &[&[Step]], row: &[(usize, Step)], kind: &Revocation) {
        let enforcer = enforcer();
        let other = if kind.mode == Mode::Terminate { Mode::Reestablish } else { Mode::Terminate };
        let last = sides.len() - 1;
        let of_side = |n| if n == last { kind.clone() } else { Revocation { mode: other, ..of_user("ann") } };
        let bob = Cut::new();
        let (_, bobs) = enforcer.admit(exchange(&enforcer, "bob"), &bob).expect("room");
        let cuts: Vec<_> = sides.iter().map(|_| Cut::new()).collect();
        let mut guards: Vec<_> = sides.iter().map(|_| None).collect();
        let (mut refused, mut ended) = (vec![false; sides.len()], 0);
        for (n, step) in row {
            match step {
                Step::Enter => {
                    // One request is Ann's, another is hers and Bob's.
                    let mut entering = exchange(&enforcer, "ann");
                    if *n == 1 {
                        entering.credentials.insert(0, held(&enforcer, &[(TargetKind::User, "bob")]));
                    }
                    guards[*n] = Some(enforcer.exchanges.enter(entering, &cuts[*n]).expect("room"));
                }
                Step::Check => {
                    let guard: &Guard = guards[*n].as_ref().expect("entered before");
                    refused[*n] = !guard.judge(&enforcer.set).is_clear();
                }
                Step::Insert => enforcer.set.insert(&of_side(*n), &enforcer.ring.hashers()),
                Step::Cut => {
                    let keys = enforcer.keys(&of_side(*n));
                    ended += enforcer.exchanges.cut_covered(&keys, &enforcer.set).total();
                }
            }
        }
        let requests: Vec<_> = (0..sides.len()).filter(|n| sides[*n] == REQUEST).collect();
        for n in &requests {
            assert!(refused[*n] || cuts[*n].is_cancelled(), "{row:?}: an exchange of ann's lives on after {kind:?}");
        }
        let cancelled = requests.iter().filter(|n| cuts[**n].is_cancelled()).count();
        assert_eq!(ended, cancelled, "{row:?}: each is counted once");
        assert!(!bob.is_cancelled() && bobs.judge(&enforcer.set).is_clear(), "{row:?}: bob's was ended by {kind:?}");
    }

    #[test]
    fn the_wrong_order_on_either_side_would_let_one_live() {
        // Not a promise but a check of the test above: it can tell the right order from the wrong ones.
        let enforcer = enforcer();
        let ann = of_user("ann");
        // Judged before it entered, with the whole revocation in between.
        let judged = enforcer.judge(&exchange(&enforcer, "ann").credentials[0].in_app(AppKey::of("wiki")));
        enforcer.apply(&ann);
        let cut = Cut::new();
        let _guard = enforcer.exchanges.enter(exchange(&enforcer, "ann"), &cut).expect("room");
        assert!(judged.is_clear() && !cut.is_cancelled());
    }

    #[test]
    fn threads_that_race_never_let_a_revoked_exchange_live() {
        const ROUNDS: usize = 1_000;
        let enforcer = enforcer();
        let (start, end) = (Barrier::new(2), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let revoked = of_user(&format!("user {round}"));
                    start.wait();
                    enforcer.apply(&revoked);
                    end.wait();
                }
            });
            for round in 0..ROUNDS {
                let entering = exchange(&enforcer, &format!("user {round}"));
                let cut = Cut::new();
                start.wait();
                let (standing, guard) = enforcer.admit(entering, &cut).expect("room");
                end.wait();
                assert!(!standing.is_clear() || cut.is_cancelled(), "round {round}: the exchange lives on");
                drop(guard);
            }
        });
    }

    #[test]
    fn only_those_covered_are_cut_and_each_once() {
        let enforcer = enforcer();
        let (ann, bob) = (Cut::new(), Cut::new());
        let _ann = enforcer.admit(exchange(&enforcer, "ann"), &ann).expect("room");
        let _bob = enforcer.admit(exchange(&enforcer, "bob"), &bob).expect("room");
        assert_eq!(enforcer.would_cut(&of_user("ann")).of(Kind::WebSocket), 1);
        assert!(!ann.is_cancelled() && enforcer.size() == 0, "a dry run does nothing");
        assert_eq!(enforcer.apply(&of_user("ann")).cut.total(), 1);
        assert!(ann.is_cancelled() && !bob.is_cancelled());
        assert_eq!(enforcer.apply(&of_user("ann")).cut.total(), 0, "the second time there is nothing left to cut");
        assert_eq!(enforcer.apply(&revocation(vec![target(TargetKind::Group, "staff")])).cut.total(), 1);
        assert!(bob.is_cancelled());
    }

    #[test]
    fn a_complex_subject_cuts_who_matches_all_of_it() {
        let enforcer = enforcer();
        let rule = revocation(vec![target(TargetKind::User, "ann"), target(TargetKind::Device, "laptop")]);
        for (facts, expected) in [
            (vec![(TargetKind::User, "ann"), (TargetKind::Device, "laptop")], true),
            (vec![(TargetKind::User, "ann"), (TargetKind::Device, "phone")], false),
            (vec![(TargetKind::User, "ann")], true),
            (vec![(TargetKind::Device, "laptop")], false),
        ] {
            let cut = Cut::new();
            let entering = Exchange { credentials: vec![held(&enforcer, &facts)], ..exchange(&enforcer, "nobody") };
            let _guard = enforcer.exchanges.enter(entering, &cut).expect("room");
            enforcer.apply(&rule);
            assert_eq!(cut.is_cancelled(), expected, "{facts:?}");
        }
    }

    #[test]
    fn one_revoked_credential_spoils_the_exchange() {
        let enforcer = enforcer();
        let both = ["ann", "bob"].map(|user| held(&enforcer, &[(TargetKind::User, user)]));
        let entering = Exchange { credentials: both.into(), ..exchange(&enforcer, "nobody") };
        let cut = Cut::new();
        let (standing, guard) = enforcer.admit(entering, &cut).expect("room");
        assert!(standing.is_clear());
        enforcer.apply(&of_user("bob"));
        assert!(cut.is_cancelled());
        assert_eq!(enforcer.judge_again(&guard).terminated, Some(CUT_OFF));
    }

    #[test]
    fn a_revocation_limited_to_an_app_cuts_in_that_app_only() {
        let enforcer = enforcer();
        let (wiki, mail) = (Cut::new(), Cut::new());
        let in_mail = Exchange { app: AppKey::of("mail"), ..exchange(&enforcer, "ann") };
        let _wiki = enforcer.admit(exchange(&enforcer, "ann"), &wiki).expect("room");
        let _mail = enforcer.admit(in_mail, &mail).expect("room");
        let limited = Revocation { reach: Reach::Apps(vec!["mail".into()]), ..of_user("ann") };
        assert_eq!(enforcer.would_cut(&limited).total(), 1);
        assert_eq!(enforcer.apply(&limited).cut.total(), 1);
        assert!(mail.is_cancelled() && !wiki.is_cancelled());
    }

    #[test]
    fn a_revocation_is_kept_for_as_long_as_a_credential_can_live() {
        let enforcer = enforcer();
        enforcer.apply(&of_user("ann"));
        let last = CUT_OFF.plus(Duration::from_secs(43_500));
        assert_eq!(enforcer.sweep(last), 0);
        assert_eq!(enforcer.size(), 1);
        assert_eq!(enforcer.sweep(last.plus(Duration::from_secs(1))), 1);
        assert_eq!(enforcer.size(), 0);
    }
}
