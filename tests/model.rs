//! The revocation set and the enforcer against models so simple that they are right by inspection: a list of all
//! revocations, and every question answered by reading it through.
//!
//! Each test runs under fixed seeds and under a new one. A failing run prints its seed; a seed that failed once belongs
//! in [`SEEDS`].

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test is loud when it is wrong")]

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use portcullis::enforcer::{Enforcer, Settings};
use portcullis::exchanges::{Cut, Exchange, Guard, Held, Kind};
use portcullis::identity::{AppKey, Issuer, Target, TargetHasher, TargetKey, TargetKind};
use portcullis::revocation::{Mode, Origin, Reach, Revocation, RevocationSet, Standing, Whom};
use portcullis::seal::{KeyRing, generate_key};
use portcullis::time::Timestamp;

/// Seeds that are always run.
const SEEDS: [u64; 1] = [20_261_123];

fn seeds() -> impl Iterator<Item = u64> {
    let new = std::hash::RandomState::new().build_hasher().finish();
    SEEDS.into_iter().chain([new]).inspect(|seed| println!("seed {seed}"))
}

/// SplitMix64: every seed gives its own sequence, the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.below(from.len() as u64);
        &from[usize::try_from(at).expect("small")]
    }
}

/// One fact about a person. Few values, so that people share them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct Fact {
    issuer: u64,
    kind: TargetKind,
    value: u64,
}

/// Kinds of which a person has one value at the most, and may have none.
const SINGLE: [TargetKind; 7] = [
    TargetKind::User,
    TargetKind::Email,
    TargetKind::Phone,
    TargetKind::Session,
    TargetKind::Device,
    TargetKind::Tenant,
    TargetKind::OrgUnit,
];
/// Kinds that a revocation may name.
const NAMED: [TargetKind; 9] = [
    TargetKind::User,
    TargetKind::Email,
    TargetKind::Phone,
    TargetKind::Session,
    TargetKind::Device,
    TargetKind::Tenant,
    TargetKind::OrgUnit,
    TargetKind::Group,
    TargetKind::Everyone,
];
const APPS: [&str; 3] = ["wiki", "mail", "pay"];

impl Fact {
    fn random(dice: &mut Dice, issuer: u64, kind: TargetKind) -> Self {
        let value = if kind == TargetKind::Everyone { 0 } else { dice.below(4) };
        Self { issuer, kind, value }
    }

    fn target(self) -> Target {
        let issuer = Issuer::parse(&format!("https://idp{}.example.com", self.issuer)).expect("issuer");
        let value = match self.kind {
            TargetKind::Email => format!("u{}@corp.example", self.value),
            TargetKind::Phone => format!("+1206555010{}", self.value),
            _ => format!("v{}", self.value),
        };
        Target::new(&issuer, self.kind, &value).expect("target")
    }
}

/// What somebody shows.
#[derive(Clone, Debug)]
struct Shown {
    facts: Vec<Fact>,
    asserted_at: u64,
    auth_time: Option<u64>,
}

impl Shown {
    /// A person of whom any fact may be unknown.
    fn random(dice: &mut Dice, now: u64) -> Self {
        let issuer = dice.below(2);
        let mut facts = vec![Fact::random(dice, issuer, TargetKind::Everyone)];
        for kind in SINGLE {
            if !dice.one_in(3) {
                facts.push(Fact::random(dice, issuer, kind));
            }
        }
        for _ in 0..dice.below(3) {
            facts.push(Fact::random(dice, issuer, TargetKind::Group));
        }
        let asserted_at = 1 + dice.below(now);
        // Mostly a login just before the assertion; sometimes an old one, or none that is known, or a claim too new.
        let auth_time = match dice.below(6) {
            0 => None,
            1 => Some(1 + dice.below(asserted_at)),
            2 => Some(asserted_at + 5),
            _ => Some(asserted_at),
        };
        Self { facts, asserted_at, auth_time }
    }

    fn held(&self, keys: &mut Keys) -> Held {
        Held {
            targets: self.facts.iter().map(|fact| (fact.kind, keys.of(*fact))).collect(),
            asserted_at: Timestamp::from_secs(self.asserted_at),
            auth_time: self.auth_time.map(Timestamp::from_secs),
        }
    }
}

/// What a signal says, as the model sees it.
#[derive(Clone, Debug)]
struct Signal {
    facts: Vec<Fact>,
    apps: Option<Vec<&'static str>>,
    mode: Mode,
    cut_off: u64,
}

impl Signal {
    fn random(dice: &mut Dice, cut_off: u64) -> Self {
        let issuer = dice.below(2);
        let members = if dice.one_in(3) { 2 + dice.below(2) } else { 1 };
        let facts = (0..members)
            .map(|_| {
                let kind = *dice.pick(&NAMED);
                Fact::random(dice, issuer, kind)
            })
            .collect();
        let apps = dice.one_in(3).then(|| APPS.into_iter().filter(|_| dice.one_in(2)).collect());
        let mode = if dice.one_in(2) { Mode::Terminate } else { Mode::Reestablish };
        Self { facts, apps, mode, cut_off }
    }

    fn revocation(&self) -> Revocation {
        Revocation {
            whom: Whom::all_of(self.facts.iter().map(|fact| fact.target()).collect()).expect("whom"),
            reach: self.apps.as_ref().map_or(Reach::All, |a| Reach::Apps(a.iter().map(|a| (*a).to_owned()).collect())),
            mode: self.mode,
            cut_off: Timestamp::from_secs(self.cut_off),
            origin: Origin::Operator,
            reason: None,
            received_at: Timestamp::from_secs(self.cut_off),
        }
    }

    /// Law 8, read aloud: each fact named is one of theirs; or theirs is not known, it only narrows, and a person or a
    /// tenant that was named is theirs.
    fn names(&self, shown: &Shown) -> bool {
        let has = |fact: &Fact| shown.facts.contains(fact);
        let knows = |kind| shown.facts.iter().any(|fact| fact.kind == kind);
        let anchored = self.facts.iter().any(|fact| {
            let anchors = [TargetKind::User, TargetKind::Email, TargetKind::Phone, TargetKind::Tenant];
            anchors.contains(&fact.kind) && has(fact)
        });
        let narrows = [TargetKind::Session, TargetKind::Device, TargetKind::Group, TargetKind::OrgUnit];
        self.facts.iter().all(|fact| has(fact) || (!knows(fact.kind) && anchored && narrows.contains(&fact.kind)))
    }

    /// Laws 1 and 6: an assertion at or before the cut-off is over; a termination is passed only by a newer proof.
    fn standing(&self, shown: &Shown, app: &str) -> Standing {
        let in_reach = self.apps.as_ref().is_none_or(|apps| apps.contains(&app));
        let proof = match self.mode {
            Mode::Terminate => shown.auth_time.unwrap_or(0).min(shown.asserted_at),
            Mode::Reestablish => shown.asserted_at,
        };
        let covered = in_reach && self.names(shown) && proof <= self.cut_off;
        let cut_off = covered.then(|| Timestamp::from_secs(self.cut_off));
        match self.mode {
            Mode::Terminate => Standing { terminated: cut_off, reestablish: None },
            Mode::Reestablish => Standing { terminated: None, reestablish: cut_off },
        }
    }
}

/// The model's whole answer: the newest cut-off of each kind that covers.
fn read_through(signals: &[Signal], shown: &Shown, app: &str) -> Standing {
    signals.iter().fold(Standing::default(), |all, signal| all.and(signal.standing(shown, app)))
}

/// Keys of facts, each hashed once.
struct Keys {
    hasher: TargetHasher,
    known: HashMap<Fact, TargetKey>,
}

impl Keys {
    fn new(hasher: TargetHasher) -> Self {
        Self { hasher, known: HashMap::new() }
    }

    fn of(&mut self, fact: Fact) -> TargetKey {
        *self.known.entry(fact).or_insert_with(|| self.hasher.key(&fact.target()))
    }
}

fn judged(set: &RevocationSet, shown: &Shown, app: &str, keys: &mut Keys) -> Standing {
    set.judge(&shown.held(keys).in_app(AppKey::of(app)))
}

#[test]
fn the_set_answers_like_a_list_of_all_revocations() {
    const ROUNDS: usize = 500;
    const STEPS: usize = 200;
    const NOW: u64 = 1_000;
    for seed in seeds() {
        let mut dice = Dice(seed);
        let hashers = [TargetHasher::new(&[1; 32]), TargetHasher::new(&[2; 32])];
        let mut rings = hashers.clone().map(Keys::new);
        let (mut questions, mut covered) = (0, 0);
        for round in 0..ROUNDS {
            let set = RevocationSet::default();
            let mut signals: Vec<Signal> = Vec::new();
            for step in 0..STEPS {
                match dice.below(5) {
                    // In any order of their cut-offs.
                    0 => {
                        let cut_off = 1 + dice.below(NOW);
                        signals.push(Signal::random(&mut dice, cut_off));
                    }
                    // Once more, as redelivery and replay do.
                    1 if !signals.is_empty() => {
                        let again = dice.pick(&signals).clone();
                        signals.push(again);
                    }
                    _ => {
                        let shown = Shown::random(&mut dice, NOW);
                        let app = *dice.pick(&APPS);
                        let expected = read_through(&signals, &shown, app);
                        // Whichever key of the ring the session was sealed under.
                        let keys = &mut rings[usize::from(dice.one_in(2))];
                        let found = judged(&set, &shown, app, keys);
                        assert_eq!(
                            found, expected,
                            "seed {seed}, round {round}, step {step}: {shown:?} in {app}\n{signals:#?}"
                        );
                        questions += 1;
                        covered += usize::from(!expected.is_clear());
                        continue;
                    }
                }
                let newest = signals.last().expect("just pushed").revocation();
                set.insert(&newest, &hashers.each_ref());
            }
        }
        let share = covered * 100 / questions;
        assert!((10..=90).contains(&share), "seed {seed}: {share} % covered is too one-sided to tell anything");
    }
}

#[test]
fn the_same_revocations_in_any_order_are_the_same_set() {
    const NOW: u64 = 1_000;
    for seed in seeds() {
        let mut dice = Dice(seed);
        let hasher = TargetHasher::new(&[1; 32]);
        let mut keys = Keys::new(hasher.clone());
        for round in 0..50 {
            let signals: Vec<_> = (0..60)
                .map(|_| {
                    let cut_off = 1 + dice.below(NOW);
                    Signal::random(&mut dice, cut_off).revocation()
                })
                .collect();
            let (forward, backward) = (RevocationSet::default(), RevocationSet::default());
            for (one, other) in signals.iter().zip(signals.iter().rev()) {
                forward.insert(one, &[&hasher]);
                backward.insert(other, &[&hasher]);
                if dice.one_in(3) {
                    backward.insert(dice.pick(&signals), &[&hasher]);
                }
            }
            assert_eq!(forward.len(), backward.len(), "seed {seed}, round {round}");
            for _ in 0..100 {
                let (shown, app) = (Shown::random(&mut dice, NOW), *dice.pick(&APPS));
                let answers = (judged(&forward, &shown, app, &mut keys), judged(&backward, &shown, app, &mut keys));
                assert_eq!(answers.0, answers.1, "seed {seed}, round {round}: {shown:?} in {app}");
            }
        }
    }
}

#[test]
fn dropping_the_old_never_touches_what_may_still_be_needed() {
    const NOW: u64 = 1_000;
    for seed in seeds() {
        let mut dice = Dice(seed);
        let hasher = TargetHasher::new(&[1; 32]);
        let mut keys = Keys::new(hasher.clone());
        for round in 0..100 {
            let set = RevocationSet::default();
            let all: Vec<_> = (0..60)
                .map(|_| {
                    let cut_off = 1 + dice.below(NOW);
                    Signal::random(&mut dice, cut_off)
                })
                .collect();
            for signal in &all {
                set.insert(&signal.revocation(), &[&hasher]);
            }
            let horizon = dice.below(NOW);
            let before = set.len();
            let dropped = set.drop_older_than(Timestamp::from_secs(horizon));
            assert_eq!(set.len(), before - dropped, "seed {seed}, round {round}");
            let kept: Vec<_> = all.iter().filter(|signal| signal.cut_off >= horizon).cloned().collect();
            for _ in 0..50 {
                let (shown, app) = (Shown::random(&mut dice, NOW), *dice.pick(&APPS));
                let found = judged(&set, &shown, app, &mut keys);
                let (least, most) = (read_through(&kept, &shown, app), read_through(&all, &shown, app));
                // Nothing that must be kept is gone, and nothing is there that never was.
                assert!(
                    found.and(least) == found && found.and(most) == most,
                    "seed {seed}, round {round}, horizon {horizon}: {found:?} is not between {least:?} and {most:?}"
                );
            }
        }
    }
}

/// A long exchange in flight.
struct Flight {
    shown: Vec<Shown>,
    app: &'static str,
    cut: Cut,
    guard: Guard,
}

impl Flight {
    fn is_covered(&self, signals: &[Signal]) -> bool {
        self.shown.iter().any(|shown| !read_through(signals, shown, self.app).is_clear())
    }
}

#[test]
fn a_revocation_cuts_all_that_it_covers_and_nothing_else() {
    const STEPS: usize = 6_000;
    const MOST_SIGNALS: usize = 150;
    for seed in seeds() {
        let mut dice = Dice(seed);
        let key = generate_key().expect("randomness");
        let ring = Arc::new(KeyRing::parse([key.expose().as_str()]).expect("key").expect("ring"));
        let mut keys = Keys::new(ring.hasher().clone());
        let settings = Settings {
            longest_life: Duration::from_secs(43_200),
            margin: Duration::from_secs(300),
            exchanges: portcullis::exchanges::Settings::default(),
        };
        let mut enforcer = Enforcer::new(&settings, Arc::clone(&ring));
        let (mut signals, mut people, mut flights): (Vec<Signal>, Vec<Shown>, Vec<Flight>) = Default::default();
        let (mut now, mut cuts, mut refusals) = (100, 0, 0);
        for step in 0..STEPS {
            let here = format!("seed {seed}, step {step}");
            now += dice.below(3);
            match dice.below(10) {
                // Somebody signs in.
                0 | 1 => {
                    let mut shown = Shown::random(&mut dice, now);
                    shown.asserted_at = now;
                    shown.auth_time = if dice.one_in(4) { shown.auth_time } else { Some(now) };
                    people.push(shown);
                }
                // A request, with one credential or two; some stay.
                2..=6 if !people.is_empty() => {
                    let shown: Vec<_> = (0..1 + dice.below(5) / 4).map(|_| dice.pick(&people).clone()).collect();
                    let app = *dice.pick(&APPS);
                    let cut = Cut::new();
                    let exchange = Exchange {
                        credentials: shown.iter().map(|shown| shown.held(&mut keys)).collect(),
                        app: AppKey::of(app),
                        app_name: app.into(),
                        kind: *dice.pick(&Kind::ALL),
                        ends_at: None,
                    };
                    let (standing, guard) = enforcer.admit(exchange, &cut).expect("room");
                    let expected = shown
                        .iter()
                        .fold(Standing::default(), |all, shown| all.and(read_through(&signals, shown, app)));
                    assert_eq!(standing, expected, "{here}");
                    if !standing.is_clear() {
                        refusals += 1;
                    } else if dice.one_in(2) {
                        flights.push(Flight { shown, app, cut, guard });
                    }
                }
                // A stream ends by itself.
                7 if !flights.is_empty() => {
                    let at = dice.below(flights.len() as u64);
                    flights.swap_remove(usize::try_from(at).expect("small"));
                }
                // A revocation: mostly of just now, sometimes late, sometimes once more.
                8 => {
                    let signal = match dice.below(4) {
                        0 if !signals.is_empty() => dice.pick(&signals).clone(),
                        1 => {
                            let late = now - dice.below(50);
                            Signal::random(&mut dice, late)
                        }
                        _ => Signal::random(&mut dice, now),
                    };
                    let alive = flights.iter().filter(|flight| !flight.cut.is_cancelled()).count();
                    let would = enforcer.would_cut(&signal.revocation());
                    let did = enforcer.apply(&signal.revocation()).cut;
                    assert_eq!(would, did, "{here}: the dry run said something else about {signal:?}");
                    signals.push(signal);
                    for flight in &flights {
                        assert_eq!(
                            flight.cut.is_cancelled(),
                            flight.is_covered(&signals),
                            "{here}: {:?}",
                            flight.shown
                        );
                        let again = enforcer.judge_again(&flight.guard);
                        assert_eq!(again.is_clear(), !flight.cut.is_cancelled(), "{here}");
                    }
                    let left = flights.iter().filter(|flight| !flight.cut.is_cancelled()).count();
                    assert_eq!(did.total(), alive - left, "{here}: the count is of what was ended");
                    cuts += did.total();
                }
                // A gateway that starts anew, before the list is too long to be read through.
                _ if signals.len() > MOST_SIGNALS => {
                    flights.clear();
                    assert_eq!(enforcer.in_flight(), 0, "{here}");
                    signals.clear();
                    enforcer = Enforcer::new(&settings, Arc::clone(&ring));
                }
                _ => assert_eq!(enforcer.in_flight(), flights.len(), "{here}"),
            }
            // People come and go; those who are long revoked would make every request a refusal.
            if people.len() > 40 {
                people.drain(..20);
            }
        }
        assert!(cuts > 100 && refusals > 100, "seed {seed}: {cuts} cuts and {refusals} refusals tell too little");
    }
}
