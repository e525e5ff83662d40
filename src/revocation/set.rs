//! All revocations in force, in memory, for questions of well under a microsecond.
//!
//! One entry per target, each the maximum of its cut-offs: applying a revocation twice, late or out of order gives the
//! same set (law 1), and memory is bounded by subjects, not by event rate (law 10).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use hashbrown::HashMap;

use super::hold::{Holds, OnHold};
use super::rule::{self, Member};
use super::shards::{CutOffs, Passed, Shards};
use super::{Lifted, Mode, Reach, Reestablished, Revocation, Whom};
use crate::identity::{AppKey, TargetHasher, TargetKey, TargetKind};
use crate::time::Timestamp;

/// What a credential must show to be judged.
#[derive(Copy, Clone, Debug)]
pub struct Credential<'a> {
    /// Every handle of the person behind it, hashed.
    pub targets: &'a [(TargetKind, TargetKey)],
    /// When the IdP made the assertion it grew from.
    pub asserted_at: Timestamp,
    /// When the person last proved who they are; `None` proves nothing.
    pub auth_time: Option<Timestamp>,
    /// The app it is used in.
    pub app: AppKey,
}

/// How a credential stands against every revocation in force.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It is terminated: the newest cut-off that covers it. A login must be proven newer than this.
    pub terminated: Option<Timestamp>,
    /// It must be re-established: the newest cut-off that covers it. A newer assertion is enough.
    pub reestablish: Option<Timestamp>,
    /// Whoever is behind it is on hold since then: nothing is enough.
    pub held: Option<Timestamp>,
}

impl Standing {
    /// True if no revocation covers the credential.
    pub const fn is_clear(&self) -> bool {
        self.terminated.is_none() && self.reestablish.is_none() && self.held.is_none()
    }

    /// True if no newer assertion brings it back to life.
    pub const fn is_dead(&self) -> bool {
        self.terminated.is_some() || self.held.is_some()
    }

    /// What holds for a request that carries both credentials (law 5).
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            terminated: self.terminated.max(other.terminated),
            reestablish: self.reestablish.max(other.reestablish),
            held: self.held.max(other.held),
        }
    }
}

/// Subjects that name people by several facts, found by one anchor fact.
#[derive(Debug)]
struct Conjunction {
    members: Vec<Member>,
    cut_offs: CutOffs,
}

/// The keys under which `revocation` stands in the set, one row of members per key of the ring and per app that it is
/// limited to. Nobody is covered by it who shares no key with any row.
pub fn rules(revocation: &Revocation, hashers: &[&TargetHasher]) -> Vec<Vec<Member>> {
    rows(&revocation.whom, &revocation.reach, hashers)
}

fn rows(whom: &Whom, reach: &Reach, hashers: &[&TargetHasher]) -> Vec<Vec<Member>> {
    let mut rules = Vec::new();
    for hasher in hashers {
        let members: Vec<_> =
            whom.targets().iter().map(|target| Member { kind: target.kind, key: hasher.key(target) }).collect();
        match reach {
            Reach::All => rules.push(members),
            Reach::Apps(apps) => rules.extend(apps.iter().map(|app| {
                let app = AppKey::of(app);
                members.iter().map(|m| Member { kind: m.kind, key: m.key.in_app(app) }).collect()
            })),
        }
    }
    rules
}

/// The in-memory index of all revocations in force.
#[derive(Debug)]
pub struct RevocationSet {
    /// Subjects of one target, in every app.
    single: Shards,
    /// The same, each in one app only. Apart from the others: which of two is the wider one cannot be told from keys.
    scoped: Shards,
    /// Every app that a revocation was limited to: few.
    apps: RwLock<Vec<AppKey>>,
    /// Subjects of several targets, under the key of their anchor.
    joint: RwLock<HashMap<u128, Vec<Conjunction>, Passed>>,
    joint_len: AtomicUsize,
    /// True once a revocation was limited to apps: until then nobody pays for the second look.
    per_app: AtomicBool,
    /// When people signed in who may have had to re-establish something, by the key of their `user` target.
    returned: RwLock<HashMap<u128, u32, Passed>>,
    /// True once anything had to be re-established: until then nobody's sign-in is of interest.
    asks: AtomicBool,
    holds: RwLock<Holds>,
    /// True while anybody is on hold: nobody pays for the look otherwise.
    holding: AtomicBool,
}

impl Default for RevocationSet {
    fn default() -> Self {
        Self {
            single: Shards::default(),
            scoped: Shards::default(),
            apps: RwLock::default(),
            joint: RwLock::default(),
            joint_len: AtomicUsize::new(0),
            per_app: AtomicBool::new(false),
            returned: RwLock::default(),
            asks: AtomicBool::new(false),
            holds: RwLock::default(),
            holding: AtomicBool::new(false),
        }
    }
}

impl RevocationSet {
    /// Puts `revocation` in force, hashed under each key of the ring, because sessions sealed under an older key carry
    /// targets hashed under it.
    pub fn insert(&self, revocation: &Revocation, hashers: &[&TargetHasher]) {
        if let Reach::Apps(apps) = &revocation.reach {
            self.limited_to(apps);
        }
        if revocation.mode == Mode::Reestablish {
            self.asks.store(true, Ordering::Release);
        }
        let rows = rules(revocation, hashers);
        for members in &rows {
            self.insert_members(members, revocation);
        }
        if revocation.mode == Mode::Hold {
            self.with_holds(|holds| holds.hold(revocation, rows));
        }
    }

    /// Takes note that something is limited to `apps`.
    fn limited_to(&self, apps: &[String]) {
        let mut known = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        for app in apps.iter().map(|app| AppKey::of(app)) {
            if !known.contains(&app) {
                known.push(app);
            }
        }
        drop(known);
        self.per_app.store(true, Ordering::Release);
    }

    /// Lifts a hold, hashed under each key of the ring.
    pub fn lift(&self, lifted: &Lifted, hashers: &[&TargetHasher]) {
        self.with_holds(|holds| holds.lift(lifted, rows(&lifted.whom, &lifted.reach, hashers)));
    }

    /// Every hold in force, the newest first.
    pub fn on_hold(&self) -> Vec<OnHold> {
        self.holds.read().unwrap_or_else(PoisonError::into_inner).all()
    }

    /// How many subjects are on hold.
    pub fn subjects_on_hold(&self) -> usize {
        self.holds.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The hold of exactly that subject, if it is on hold.
    pub fn hold_on(&self, whom: &Whom, reach: &Reach) -> Option<OnHold> {
        self.holds.read().unwrap_or_else(PoisonError::into_inner).on(whom, reach)
    }

    /// True if whoever has `targets` is on hold in every app.
    pub fn is_on_hold(&self, targets: &[(TargetKind, TargetKey)]) -> bool {
        self.holds.read().unwrap_or_else(PoisonError::into_inner).of(targets).is_some()
    }

    /// Since when exactly that subject is on hold, and when an operator last lifted it.
    pub fn hold_of(&self, whom: &Whom, reach: &Reach) -> (Option<Timestamp>, Option<Timestamp>) {
        let holds = self.holds.read().unwrap_or_else(PoisonError::into_inner);
        (holds.since(whom, reach), holds.lifted_at(whom, reach))
    }

    fn with_holds(&self, change: impl FnOnce(&mut Holds)) {
        let mut holds = self.holds.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut holds);
        self.holding.store(!holds.is_empty(), Ordering::Release);
    }

    fn insert_members(&self, members: &[Member], revocation: &Revocation) {
        match members {
            [] => {}
            [one] => {
                let of = if matches!(revocation.reach, Reach::All) { &self.single } else { &self.scoped };
                of.raise(one.key, revocation.mode, revocation.cut_off);
            }
            [first, ..] => {
                let anchor = rule::anchor(members).unwrap_or(*first);
                let mut joint = self.joint.write().unwrap_or_else(PoisonError::into_inner);
                let rules = joint.entry(anchor.key.0).or_default();
                if let Some(known) = rules.iter_mut().find(|r| r.members == members) {
                    known.cut_offs.raise(revocation.mode, revocation.cut_off);
                } else {
                    let mut cut_offs = CutOffs::default();
                    cut_offs.raise(revocation.mode, revocation.cut_off);
                    rules.push(Conjunction { members: members.to_vec(), cut_offs });
                    self.joint_len.fetch_add(1, Ordering::Release);
                }
            }
        }
    }

    /// How `credential` stands against everything in force.
    pub fn judge(&self, credential: &Credential<'_>) -> Standing {
        let per_app = self.per_app.load(Ordering::Acquire);
        let joint = self.joint_len.load(Ordering::Acquire) > 0;
        let mut standing = Standing::default();
        for (_, key) in credential.targets {
            standing = standing.and(judge_single(&self.single, *key, credential));
            if per_app {
                standing = standing.and(judge_single(&self.scoped, key.in_app(credential.app), credential));
            }
        }
        if joint {
            standing = standing.and(self.judge_joint(credential.targets, credential));
            if per_app {
                let scoped: Vec<_> =
                    credential.targets.iter().map(|(kind, key)| (*kind, key.in_app(credential.app))).collect();
                standing = standing.and(self.judge_joint(&scoped, credential));
            }
        }
        if self.holding.load(Ordering::Acquire) {
            standing.held = self.held(credential, per_app);
        }
        standing
    }

    /// Since when whoever is behind `credential` is on hold.
    fn held(&self, credential: &Credential<'_>, per_app: bool) -> Option<Timestamp> {
        let holds = self.holds.read().unwrap_or_else(PoisonError::into_inner);
        let everywhere = holds.of(credential.targets);
        if !per_app {
            return everywhere;
        }
        let scoped: Vec<_> = credential.targets.iter().map(|(kind, key)| (*kind, key.in_app(credential.app))).collect();
        everywhere.max(holds.of(&scoped))
    }

    /// True once anything had to be re-established.
    pub fn asks_to_reestablish(&self) -> bool {
        self.asks.load(Ordering::Acquire)
    }

    /// Takes note of a sign-in, hashed under each key of the ring. Of several the newest counts.
    pub fn reestablished(&self, back: &Reestablished, hashers: &[&TargetHasher]) {
        let at = u32::try_from(back.at.secs()).unwrap_or(u32::MAX);
        let mut returned = self.returned.write().unwrap_or_else(PoisonError::into_inner);
        for hasher in hashers {
            let known = returned.entry(hasher.key(&back.who).0).or_default();
            *known = (*known).max(at);
        }
    }

    /// When whoever has these targets last signed in, if anything had to be re-established by then.
    pub fn returned_at(&self, targets: &[(TargetKind, TargetKey)]) -> Option<Timestamp> {
        if !self.asks_to_reestablish() {
            return None;
        }
        let returned = self.returned.read().unwrap_or_else(PoisonError::into_inner);
        let users = targets.iter().filter(|(kind, _)| *kind == TargetKind::User);
        users.filter_map(|(_, key)| returned.get(&key.0)).max().map(|at| Timestamp::from_secs(u64::from(*at)))
    }

    fn judge_joint(&self, targets: &[(TargetKind, TargetKey)], credential: &Credential<'_>) -> Standing {
        let joint = self.joint.read().unwrap_or_else(PoisonError::into_inner);
        targets
            .iter()
            .filter_map(|(_, key)| joint.get(&key.0))
            .flatten()
            .filter(|conjunction| rule::matches(&conjunction.members, targets))
            .fold(Standing::default(), |standing, conjunction| standing.and(conjunction.cut_offs.judge(credential)))
    }

    /// Drops what no credential can be old enough to meet any more (law 10), and what is superseded: whoever it covers,
    /// another entry covers as long. Says how many subjects that was. Nothing that anybody is refused for by this alone
    /// is dropped.
    pub fn drop_older_than(&self, moment: Timestamp) -> usize {
        let mut oldest = None;
        let mut keeps = |cut_offs: CutOffs| {
            let keeps = !cut_offs.older_than(moment);
            if keeps && let Some(asked) = cut_offs.reestablish() {
                oldest = Some(oldest.map_or(asked, |oldest: u32| oldest.min(asked)));
            }
            keeps
        };
        let mut dropped = self.single.retain(|_, cut_offs| keeps(cut_offs));
        let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner).clone();
        dropped += self.scoped.retain(|key, cut_offs| {
            // In its app it says of these people what is said of them in every app.
            let is_said_of_all =
                |app: &AppKey| self.single.get(key.in_app(*app)).is_some_and(|all| all.cover(cut_offs));
            keeps(cut_offs) && !apps.iter().any(is_said_of_all)
        });
        let mut joint = self.joint.write().unwrap_or_else(PoisonError::into_inner);
        let mut left = 0;
        joint.retain(|_, rules| {
            let before = rules.len();
            rules.retain(|rule| keeps(rule.cut_offs) && !self.is_superseded(rule));
            dropped += before - rules.len();
            left += rules.len();
            !rules.is_empty()
        });
        self.joint_len.store(left, Ordering::Release);
        drop(joint);
        // Who came back before anything was asked that is still asked: of no use to anybody.
        let mut returned = self.returned.write().unwrap_or_else(PoisonError::into_inner);
        returned.retain(|_, at| u64::from(*at) >= moment.secs() && oldest.is_some_and(|asked| *at > asked));
        dropped
    }

    /// True if everybody whom `rule` names has one target of which alone the same is said: a person whose session on a
    /// device was ended, and then all that they have. Only facts count that whoever matches must have (law 8).
    fn is_superseded(&self, rule: &Conjunction) -> bool {
        let said_alone = |key| self.single.get(key).into_iter().chain(self.scoped.get(key));
        let must_match = rule.members.iter().filter(|member| rule::must_match(member.kind));
        must_match.flat_map(|member| said_alone(member.key)).any(|alone| alone.cover(rule.cut_offs))
    }

    /// Subjects in force (a subject counts once per key of the ring, and once more while it is on hold).
    pub fn len(&self) -> usize {
        self.of_cut_offs() + self.subjects_on_hold()
    }

    /// Everything that takes room: subjects in force, those that were on hold once, and people who are back.
    pub fn entries(&self) -> usize {
        let known = self.holds.read().unwrap_or_else(PoisonError::into_inner).known();
        let returned = self.returned.read().unwrap_or_else(PoisonError::into_inner).len();
        self.of_cut_offs() + known + returned
    }

    fn of_cut_offs(&self) -> usize {
        self.single.len() + self.scoped.len() + self.joint_len.load(Ordering::Acquire)
    }

    /// True if nothing is in force.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn judge_single(of: &Shards, key: TargetKey, credential: &Credential<'_>) -> Standing {
    of.get(key).map_or_else(Standing::default, |cut_offs| cut_offs.judge(credential))
}
