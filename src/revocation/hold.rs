//! Who is on hold: nobody in who matches, however new their assertion, until the hold is lifted.
//!
//! Holds and liftings of the same subject are two maxima (law 1): late, doubled or out of order they come to the same.
//! Few subjects are on hold, so they stand beside the set's cut-offs and cost nothing while there are none.

use std::collections::HashMap;

use super::rule::{self, Member};
use super::{Lifted, Reach, Revocation, Whom};
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
    held: Option<OnHold>,
    lifted: Option<Timestamp>,
}

impl Known {
    /// Since when it is on hold, if it is. A lifting of the same second is the older (law 1: in doubt, closed).
    fn since(&self) -> Option<Timestamp> {
        let since = self.held.as_ref()?.since;
        self.lifted.is_none_or(|lifted| since >= lifted).then_some(since)
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
}

impl Holds {
    /// Puts a hold in force; `rows` are its keys.
    pub(super) fn hold(&mut self, revocation: &Revocation, rows: Vec<Vec<Member>>) {
        let since = revocation.cut_off;
        let known = self.known(&revocation.whom, &revocation.reach);
        if known.held.as_ref().is_none_or(|held| held.since < since) {
            known.held = Some(OnHold { revocation: revocation.clone(), since });
        }
        let (number, since) = (known.number, known.since());
        self.index(number, rows, since);
    }

    /// Lifts the hold of that subject, if it is from before; `rows` are its keys.
    pub(super) fn lift(&mut self, lifted: &Lifted, rows: Vec<Vec<Member>>) {
        let known = self.known(&lifted.whom, &lifted.reach);
        known.lifted = known.lifted.max(Some(lifted.at));
        let (number, since) = (known.number, known.since());
        self.index(number, rows, since);
    }

    fn known(&mut self, whom: &Whom, reach: &Reach) -> &mut Known {
        let number = self.known.len();
        self.known.entry((whom.clone(), reach.clone())).or_insert_with(|| Known { number, held: None, lifted: None })
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

    /// Since when exactly that subject is on hold.
    pub(super) fn since(&self, whom: &Whom, reach: &Reach) -> Option<Timestamp> {
        self.known.get(&(whom.clone(), reach.clone()))?.since()
    }

    /// The hold of exactly that subject, if it is on hold.
    pub(super) fn on(&self, whom: &Whom, reach: &Reach) -> Option<OnHold> {
        let known = self.known.get(&(whom.clone(), reach.clone()))?;
        known.held.clone().filter(|_| known.since().is_some())
    }

    /// When the hold of exactly that subject was last lifted.
    pub(super) fn lifted_at(&self, whom: &Whom, reach: &Reach) -> Option<Timestamp> {
        self.known.get(&(whom.clone(), reach.clone()))?.lifted
    }

    /// Every hold in force, the newest first.
    pub(super) fn all(&self) -> Vec<OnHold> {
        let in_force = self.known.values().filter(|known| known.since().is_some());
        let mut all: Vec<_> = in_force.filter_map(|known| known.held.clone()).collect();
        all.sort_by(|a, b| {
            b.since.cmp(&a.since).then_with(|| a.revocation.whom.to_string().cmp(&b.revocation.whom.to_string()))
        });
        all
    }

    /// Subjects whose hold is in force.
    pub(super) fn len(&self) -> usize {
        self.known.values().filter(|known| known.since().is_some()).count()
    }

    /// True if nobody is on hold.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
