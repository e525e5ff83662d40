//! What is known of one revocation's effects: how it began, what it met since. Pure; the clock is an argument.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::distinct::Distinct;
use crate::evidence::Sort;
use crate::exchanges::{Counts, Kind};
use crate::fleet::Tally;
use crate::identity::{TargetKey, TargetKind};
use crate::revocation::{Origin, Revocation, RevocationId};
use crate::time::Timestamp;

/// The record of one revocation, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: RevocationId,
    pub(super) revocation: Revocation,
    /// When it came into force here.
    pub(super) in_force_at: Timestamp,
    /// When it was on disk here.
    pub(super) persisted_at: Option<Timestamp>,
    /// What it cut was not written down: the gateway ended at that moment, or was an older one.
    #[serde(default)]
    pub(super) is_from_ledger: bool,
    /// Times that the sender sent it again.
    #[serde(default)]
    pub(super) redelivered: u64,
    /// Exchanges that it ended, in the order of [`Kind::ALL`].
    pub(super) cut: [usize; Kind::ALL.len()],
    /// People whose credentials were seen.
    pub(super) people: Distinct,
    /// Credentials that were seen, in the order of [`Sort::ALL`].
    pub(super) credentials: [Distinct; Sort::ALL.len()],
    /// Members of the subject that somebody it met never learned, and that were passed over (law 8).
    #[serde(default)]
    pub(super) passed_over: BTreeSet<TargetKind>,
    /// Requests refused since: the same compromise, not a new one.
    pub(super) refusals: u64,
    pub(super) first_refusal_at: Option<Timestamp>,
    pub(super) last_refusal_at: Option<Timestamp>,
    /// Sign-ins that did not prove to be newer.
    #[serde(default)]
    pub(super) sign_ins_refused: u64,
    /// People who signed in again.
    pub(super) back: Distinct,
    pub(super) back_at: Option<Timestamp>,
    /// When the hold was lifted.
    #[serde(default)]
    pub(super) lifted_at: Option<Timestamp>,
    /// Messages about it that were handed to the outbox.
    #[serde(default)]
    pub(super) revision: u32,
    /// The message that everything has calmed down was among them, or there is none to come.
    #[serde(default)]
    pub(super) settled: bool,
    /// Another gateway accepted it: that one tells others what it did.
    #[serde(default)]
    pub(super) is_heard: bool,
    /// Where it stands in the fleet's log of that epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stands: Option<(String, u64)>,
    /// What other gateways counted, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) elsewhere: BTreeMap<String, Elsewhere>,
    /// There was no room for what some counted.
    #[serde(default)]
    pub(super) is_incomplete: bool,
    /// Others were told that a credential was used, and that somebody is back, wherever that was.
    #[serde(default)]
    pub(super) said: (bool, bool),
}

/// What another gateway counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Elsewhere {
    /// What people call it.
    pub(super) name: String,
    pub(super) tally: Tally,
}

/// Something about an outcome that others may want to know at once.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// The revocation is in force and on disk.
    InForce,
    /// A credential that it covers was used for the first time since.
    FirstRefusal,
    /// Somebody whom it met signed in again, the first.
    SignedInAgain,
    /// Some time has passed: this is what it came to so far.
    Settled,
}

impl News {
    /// The word for messages and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::FirstRefusal => "first_refusal",
            Self::SignedInAgain => "signed_in_again",
            Self::Settled => "settled",
        }
    }
}

/// One credential that a revocation met.
#[derive(Copy, Clone, Debug)]
pub(super) struct Met<'a> {
    pub(super) sort: Sort,
    /// Of the credential, under a key.
    pub(super) print: u64,
    /// Every handle of the person behind it.
    pub(super) targets: &'a [(TargetKind, TargetKey)],
}

impl Record {
    /// A revocation that came into force at `now`.
    pub(super) fn begin(id: RevocationId, revocation: Revocation, now: Timestamp) -> Self {
        Self {
            id,
            revocation,
            in_force_at: now,
            persisted_at: None,
            is_from_ledger: false,
            redelivered: 0,
            cut: [0; Kind::ALL.len()],
            people: Distinct::default(),
            credentials: Default::default(),
            passed_over: BTreeSet::new(),
            refusals: 0,
            first_refusal_at: None,
            last_refusal_at: None,
            sign_ins_refused: 0,
            back: Distinct::default(),
            back_at: None,
            lifted_at: None,
            revision: 0,
            settled: false,
            is_heard: false,
            stands: None,
            elsewhere: BTreeMap::new(),
            is_incomplete: false,
            said: (false, false),
        }
    }

    /// A revocation of which nothing is known but itself: it stood in the ledger.
    pub(super) fn from_ledger(id: RevocationId, revocation: Revocation) -> Self {
        let at = revocation.received_at;
        Self { persisted_at: Some(at), is_from_ledger: true, settled: true, ..Self::begin(id, revocation, at) }
    }

    /// It ended these exchanges.
    pub(super) fn cut(&mut self, counts: &Counts) {
        for (mine, kind) in self.cut.iter_mut().zip(Kind::ALL) {
            *mine = mine.saturating_add(counts.of(kind));
        }
    }

    /// It met that credential; the print of the person if they are a new one.
    pub(super) fn meet(&mut self, met: &Met<'_>, room: bool) -> Option<u64> {
        if let Some(credentials) = self.credentials.get_mut(met.sort as usize) {
            credentials.insert(met.print, room);
        }
        let members = self.revocation.whom.targets();
        if members.len() > 1 {
            let unknown = members.iter().map(|member| member.kind);
            self.passed_over.extend(unknown.filter(|kind| !met.targets.iter().any(|(known, _)| known == kind)));
        }
        let person = print_of_person(met.targets)?;
        self.people.insert(person, room).then_some(person)
    }

    /// A request with a credential that it covers was refused.
    pub(super) fn refuse(&mut self, now: Timestamp) -> Option<News> {
        self.refusals = self.refusals.saturating_add(1);
        self.last_refusal_at = Some(now);
        let first = self.first_refusal_at.is_none();
        first.then(|| {
            self.first_refusal_at = Some(now);
            News::FirstRefusal
        })
    }

    /// Somebody whom it names, or of whom it met something, signed in.
    pub(super) fn sign_in(&mut self, person: u64, room: bool, now: Timestamp) -> Option<News> {
        self.back.insert(person, room);
        let first = self.back_at.is_none();
        first.then(|| {
            self.back_at = Some(now);
            News::SignedInAgain
        })
    }

    /// True if it names a person or a session of theirs: whoever signs in under that name is back. A group's members are
    /// back only if they were met.
    pub(super) fn is_about_somebody(&self) -> bool {
        let reach = self.revocation.whom.reach();
        reach.names_a_person() || reach == TargetKind::Session
    }

    /// True if people end such sessions themselves, all day: there is nothing to tell of it.
    pub(super) const fn is_everyday(&self) -> bool {
        matches!(self.revocation.origin, Origin::SignOut | Origin::AppLogout { .. })
    }

    /// Prints that it holds.
    pub(super) fn prints(&self) -> usize {
        let own: usize = self.credentials.iter().chain([&self.people, &self.back]).map(Distinct::count).sum();
        let others = self.elsewhere.values().flat_map(|other| other.tally.prints());
        own + others.map(|prints| prints.some.len()).sum::<usize>()
    }
}

/// Who is behind a credential, in 64 bits: the same for all of one person's. `None` where no `sub` is known.
pub(super) fn print_of_person(targets: &[(TargetKind, TargetKey)]) -> Option<u64> {
    let (_, key) = targets.iter().find(|(kind, _)| *kind == TargetKind::User)?;
    Some(low_half(key.0))
}

/// A key is a hash under a key: half of it tells people apart as well.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
const fn low_half(key: u128) -> u64 {
    key as u64
}
