//! Who is on hold: nobody in who matches, however new their assertion, until the hold is lifted.
//!
//! Holds and liftings of the same subject are maxima (law 1): late, doubled or out of order they come to the same.
//! Few subjects are on hold, so they stand beside the set's cut-offs and cost nothing while there are none.

use std::collections::HashMap;

use super::rule::{self, Member};
use super::{Lifted, Origin, Reach, Revocation, Whom};
use crate::identity::{TargetKey, TargetKind};
use crate::time::Timestamp;

/// One hold in force, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnHold {
    /// What put it in force.
    pub revocation: Revocation,
    /// Since when.
    pub since: Timestamp,
}

/// What is known of one subject.
#[derive(Debug)]
struct Known {
    /// Which of the known this is: two holds of the same people in some of the same apps are two holds.
    number: usize,
    /// What operators said. No signal lifts their holds: an IdP that enables an account knows nothing of an incident.
    operators: Word,
    /// What signals said. An operator lifts their holds, too.
    signals: Word,
}

/// What one side said of a subject.
#[derive(Debug, Default)]
struct Word {
    held: Option<OnHold>,
    lifted: Option<Timestamp>,
}

impl Word {
    fn hold(&mut self, revocation: &Revocation) {
        let since = revocation.cut_off;
        if self.held.as_ref().is_none_or(|held| held.since < since) {
            self.held = Some(OnHold { revocation: revocation.clone(), since });
        }
    }

    fn lift(&mut self, at: Timestamp) {
        self.lifted = self.lifted.max(Some(at));
    }

    /// The hold in force. A lifting of the same second is the older (law 1: in doubt, closed).
    fn in_force(&self) -> Option<&OnHold> {
        self.held.as_ref().filter(|held| self.lifted.is_none_or(|lifted| held.since >= lifted))
    }
}

impl Known {
    /// The hold in force; an operator's, if there are two.
    fn in_force(&self) -> Option<&OnHold> {
        self.operators.in_force().or_else(|| self.signals.in_force())
    }

    /// Since when it is on hold, if it is.
    fn since(&self) -> Option<Timestamp> {
        let since = |word: &Word| word.in_force().map(|held| held.since);
        since(&self.operators).max(since(&self.signals))
    }
}

/// A hold in force, under the key of one of its members.
#[derive(Debug)]
struct Rule {
    of: usize,
    members: Vec<Member>,
    since: Timestamp,
}

/// Everybody who is on hold, and everybody whose hold was lifted.
#[derive(Debug, Default)]
pub(super) struct Holds {
    known: HashMap<(Whom, Reach), Known>,
    rules: HashMap<u128, Vec<Rule>>,
    /// How many of the known are on hold: asked at every revocation.
    in_force: usize,
}

impl Holds {
    /// Puts a hold in force; `rows` are its keys.
    pub(super) fn hold(&mut self, revocation: &Revocation, rows: Vec<Vec<Member>>) {
        let by_operator = revocation.origin == Origin::Operator;
        self.change((&revocation.whom, &revocation.reach), rows, |known| {
            if by_operator { &mut known.operators } else { &mut known.signals }.hold(revocation);
        });
    }

    /// Lifts the hold of that subject, if it is from before; `rows` are its keys.
    pub(super) fn lift(&mut self, lifted: &Lifted, rows: Vec<Vec<Member>>) {
        self.change((&lifted.whom, &lifted.reach), rows, |known| {
            known.signals.lift(lifted.at);
            if lifted.origin == Origin::Operator {
                known.operators.lift(lifted.at);
            }
        });
    }

    fn change(&mut self, (whom, reach): (&Whom, &Reach), rows: Vec<Vec<Member>>, change: impl FnOnce(&mut Known)) {
        let number = self.known.len();
        let known = self.known.entry((whom.clone(), reach.clone())).or_insert_with(|| Known {
            number,
            operators: Word::default(),
            signals: Word::default(),
        });
        let was_held = known.since().is_some();
        change(known);
        let (number, since) = (known.number, known.since());
        match (was_held, since.is_some()) {
            (false, true) => self.in_force += 1,
            (true, false) => self.in_force -= 1,
            (true, true) | (false, false) => {}
        }
        self.index(number, rows, since);
    }

    /// Brings the index up to what is known of one subject.
    fn index(&mut self, number: usize, rows: Vec<Vec<Member>>, since: Option<Timestamp>) {
        for members in rows {
            let Some(anchor) = rule::anchor(&members) else { continue };
            let rules = self.rules.entry(anchor.key.0).or_default();
            rules.retain(|rule| rule.of != number || rule.members != members);
            if let Some(since) = since {
                rules.push(Rule { of: number, members, since });
            } else if rules.is_empty() {
                self.rules.remove(&anchor.key.0);
            }
        }
    }

    /// Since when somebody with `targets` is on hold.
    pub(super) fn of(&self, targets: &[(TargetKind, TargetKey)]) -> Option<Timestamp> {
        let found = targets.iter().filter_map(|(_, key)| self.rules.get(&key.0)).flatten();
        found.filter(|rule| rule::matches(&rule.members, targets)).map(|rule| rule.since).max()
    }

    fn look_up(&self, whom: &Whom, reach: &Reach) -> Option<&Known> {
        self.known.get(&(whom.clone(), reach.clone()))
    }

    /// Since when exactly that subject is on hold.
    pub(super) fn since(&self, whom: &Whom, reach: &Reach) -> Option<Timestamp> {
        self.look_up(whom, reach)?.since()
    }

    /// The hold of exactly that subject, if it is on hold.
    pub(super) fn on(&self, whom: &Whom, reach: &Reach) -> Option<OnHold> {
        self.look_up(whom, reach)?.in_force().cloned()
    }

    /// When an operator last lifted the hold of exactly that subject.
    pub(super) fn lifted_at(&self, whom: &Whom, reach: &Reach) -> Option<Timestamp> {
        self.look_up(whom, reach)?.operators.lifted
    }

    /// Every hold in force, the newest first.
    pub(super) fn all(&self) -> Vec<OnHold> {
        let mut all: Vec<_> = self.known.values().filter_map(|known| known.in_force().cloned()).collect();
        all.sort_by(|a, b| {
            b.since.cmp(&a.since).then_with(|| a.revocation.whom.to_string().cmp(&b.revocation.whom.to_string()))
        });
        all
    }

    /// Subjects that are on hold, or were: a lifting is kept, because the hold may come late.
    pub(super) fn known(&self) -> usize {
        self.known.len()
    }

    /// Subjects whose hold is in force.
    pub(super) const fn len(&self) -> usize {
        self.in_force
    }

    /// True if nobody is on hold.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
