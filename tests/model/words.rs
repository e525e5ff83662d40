//! People, what they show, what signals say of them; and the model's answers, read aloud from the laws.

use std::collections::HashMap;

use portcullis::exchanges::Held;
use portcullis::identity::{Issuer, Target, TargetHasher, TargetKey, TargetKind};
use portcullis::revocation::{Lifted, Mode, Origin, Reach, Revocation, Standing, Whom};
use portcullis::time::Timestamp;

use super::Dice;

/// One fact about a person. Few values, so that people share them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fact {
    pub(crate) issuer: u64,
    pub(crate) kind: TargetKind,
    pub(crate) value: u64,
}

/// Kinds of which a person has one value at the most, and may have none.
pub(crate) const SINGLE: [TargetKind; 7] = [
    TargetKind::User,
    TargetKind::Email,
    TargetKind::Phone,
    TargetKind::Session,
    TargetKind::Device,
    TargetKind::Tenant,
    TargetKind::OrgUnit,
];
/// Kinds that a revocation may name.
pub(crate) const NAMED: [TargetKind; 9] = [
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
pub(crate) const APPS: [&str; 3] = ["wiki", "mail", "pay"];

impl Fact {
    pub(crate) fn random(dice: &mut Dice, issuer: u64, kind: TargetKind) -> Self {
        let value = if kind == TargetKind::Everyone { 0 } else { dice.below(4) };
        Self { issuer, kind, value }
    }

    pub(crate) fn target(self) -> Target {
        let issuer = Issuer::parse(&format!("https://idp{}.example.com", self.issuer)).expect("issuer");
        let value = match self.kind {
            TargetKind::Email => format!("u{}@corp.example", self.value),
            TargetKind::Phone => format!("+1206555010{}", self.value),
            TargetKind::Gateway => format!("{:032x}", self.value),
            _ => format!("v{}", self.value),
        };
        Target::new(&issuer, self.kind, &value).expect("target")
    }
}

/// What somebody shows.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) facts: Vec<Fact>,
    pub(crate) asserted_at: u64,
    pub(crate) auth_time: Option<u64>,
}

impl Shown {
    /// A person of whom any fact may be unknown.
    pub(crate) fn random(dice: &mut Dice, now: u64) -> Self {
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

    pub(crate) fn held(&self, keys: &mut Keys) -> Held {
        Held {
            targets: self.facts.iter().map(|fact| (fact.kind, keys.of(*fact))).collect(),
            asserted_at: Timestamp::from_secs(self.asserted_at),
            auth_time: self.auth_time.map(Timestamp::from_secs),
            imprint: Default::default(),
        }
    }
}

/// What a signal says, as the model sees it.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    pub(crate) facts: Vec<Fact>,
    pub(crate) apps: Option<Vec<&'static str>>,
    pub(crate) mode: Mode,
    pub(crate) cut_off: u64,
}

impl Signal {
    pub(crate) fn random(dice: &mut Dice, cut_off: u64) -> Self {
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

    pub(crate) fn revocation(&self) -> Revocation {
        Revocation {
            whom: Whom::all_of(self.facts.iter().map(|fact| fact.target()).collect()).expect("whom"),
            reach: self.apps.as_ref().map_or(Reach::All, |a| Reach::Apps(a.iter().map(|a| (*a).to_owned()).collect())),
            mode: self.mode,
            cut_off: Timestamp::from_secs(self.cut_off),
            origin: Origin::Operator,
            reason: None,
            said: Default::default(),
            received_at: Timestamp::from_secs(self.cut_off),
        }
    }

    /// Law 8, read aloud: each fact named is one of theirs; or theirs is not known, it only narrows, and a person or a
    /// tenant that was named is theirs.
    pub(crate) fn names(&self, shown: &Shown) -> bool {
        let has = |fact: &Fact| shown.facts.contains(fact);
        let knows = |kind| shown.facts.iter().any(|fact| fact.kind == kind);
        let matched = |kinds: &[TargetKind]| self.facts.iter().any(|fact| kinds.contains(&fact.kind) && has(fact));
        let person = matched(&[TargetKind::User, TargetKind::Email, TargetKind::Phone]);
        let tenant = matched(&[TargetKind::Tenant]);
        let passed_over = |kind| match kind {
            TargetKind::Session | TargetKind::Device => person,
            TargetKind::Group | TargetKind::OrgUnit => person || tenant,
            _ => false,
        };
        self.facts.iter().all(|fact| has(fact) || (!knows(fact.kind) && passed_over(fact.kind)))
    }

    /// Laws 1 and 6: an assertion at or before the cut-off is over; a termination is passed only by a newer proof.
    pub(crate) fn standing(&self, shown: &Shown, app: &str) -> Standing {
        let in_reach = self.apps.as_ref().is_none_or(|apps| apps.contains(&app));
        let proof = match self.mode {
            Mode::Terminate | Mode::Hold => shown.auth_time.unwrap_or(0).min(shown.asserted_at),
            Mode::Reestablish => shown.asserted_at,
        };
        let covered = in_reach && self.names(shown) && proof <= self.cut_off;
        let cut_off = covered.then(|| Timestamp::from_secs(self.cut_off));
        match self.mode {
            Mode::Terminate | Mode::Hold => Standing { terminated: cut_off, reestablish: None, held: None },
            Mode::Reestablish => Standing { terminated: None, reestablish: cut_off, held: None },
        }
    }
}

/// A lifting: of a hold that names the same, in the same apps.
#[derive(Clone, Debug)]
pub(crate) struct Lift {
    pub(crate) of: Signal,
    pub(crate) at: u64,
}

impl Lift {
    pub(crate) fn lifted(&self) -> Lifted {
        let Revocation { whom, reach, origin, .. } = self.of.revocation();
        let at = Timestamp::from_secs(self.at);
        Lifted { whom, reach, at, origin, reason: None, received_at: at }
    }
}

/// Since when somebody is on hold: named by a hold that no lifting of the same is newer than.
pub(crate) fn held(signals: &[Signal], lifts: &[Lift], shown: &Shown, app: &str) -> Option<Timestamp> {
    let same = |one: &Signal, other: &Signal| {
        let (one, other) = (one.revocation(), other.revocation());
        one.whom == other.whom && one.reach == other.reach
    };
    let in_force = |hold: &&Signal| {
        hold.mode == Mode::Hold
            && hold.apps.as_ref().is_none_or(|apps| apps.contains(&app))
            && hold.names(shown)
            && !lifts.iter().any(|lift| same(&lift.of, hold) && lift.at > hold.cut_off)
    };
    signals.iter().filter(in_force).map(|hold| Timestamp::from_secs(hold.cut_off)).max()
}

/// The model's whole answer: the newest cut-off of each kind that covers.
pub(crate) fn read_through(signals: &[Signal], shown: &Shown, app: &str) -> Standing {
    signals.iter().fold(Standing::default(), |all, signal| all.and(signal.standing(shown, app)))
}

/// Keys of facts, each hashed once.
pub(crate) struct Keys {
    hasher: TargetHasher,
    known: HashMap<Fact, TargetKey>,
}

impl Keys {
    pub(crate) fn new(hasher: TargetHasher) -> Self {
        Self { hasher, known: HashMap::new() }
    }

    pub(crate) fn of(&mut self, fact: Fact) -> TargetKey {
        *self.known.entry(fact).or_insert_with(|| self.hasher.key(&fact.target()))
    }
}
