//! Outcomes of a fleet: each gateway counts for itself and tells the others its totals; the answer of any of them adds all up.
//! The gateway that accepted the signal tells whoever is to be told: it stands first in the fleet's log.

use std::collections::BTreeMap;

use super::book::Told;
use super::distinct::Distinct;
use super::record::{Elsewhere, News, Record};
use super::{Outcomes, State};
use crate::audit::Event;
use crate::exchanges::Ended;
use crate::fleet::{Fleet, GatewayId, Heard, Peer, Position, Prints, Tally};
use crate::ledger::Place;
use crate::revocation::{Fact, Revocation, RevocationId};

/// Tallies of other gateways in all outcomes together; about 400 bytes each, prints besides.
const MOST_TALLIES: usize = 50_000;
/// Gateways that may have counted one outcome.
const MOST_GATEWAYS: usize = 1_000;
/// Revocations of which it is noted when all gateways have applied them. Beyond that the oldest are not.
const MOST_AWAITED: usize = 10_000;
/// After so many seconds it is noted who has not.
const AWAITED_FOR: std::time::Duration = std::time::Duration::from_secs(60);
/// Gateways that are named in one line.
const NAMED: usize = 32;

/// The gateways, at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Roll {
    /// This gateway's id; `None` for one that is alone.
    pub(super) me: Option<GatewayId>,
    pub(super) peers: Vec<Peer>,
}

/// How a gateway stands to a revocation.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Applied,
    Behind,
    Silent,
}

impl Roll {
    fn of(fleet: Option<&Fleet>) -> Self {
        fleet.map_or_else(Self::default, |fleet| Self { me: Some(fleet.me()), peers: fleet.peers() })
    }

    /// How `peer` stands to the revocation of that record.
    pub(super) fn stand(record: &Record, peer: &Peer) -> Stand {
        let is_there =
            record.stands.as_ref().is_some_and(|(epoch, at)| *epoch == peer.epoch && peer.applied >= Position(*at));
        // Whoever counted it has applied it.
        if is_there || record.elsewhere.contains_key(&peer.id.to_string()) {
            Stand::Applied
        } else if peer.is_silent {
            Stand::Silent
        } else {
            Stand::Behind
        }
    }

    /// The names of those that stand so.
    pub(super) fn names(&self, record: &Record, stand: Stand) -> impl Iterator<Item = String> {
        self.peers.iter().filter(move |peer| Self::stand(record, peer) == stand).map(|peer| peer.name.clone())
    }
}

/// At most so many names, and how many more there are.
pub(super) fn in_short(mut names: Vec<String>) -> Vec<String> {
    if names.len() > NAMED {
        let more = names.split_off(NAMED).len();
        names.push(format!("and {more} more"));
    }
    names
}

impl Outcomes {
    /// The same, of a gateway that is one of several.
    pub fn among(&self, fleet: &Fleet) {
        // Once; a second fleet there is not.
        let _ = self.0.fleet.set(fleet.clone());
    }

    /// The gateways as they are now. Asked before the book is opened: no lock is taken under its.
    pub(super) fn roll(&self) -> Roll {
        Roll::of(self.0.fleet.get())
    }

    /// Something was counted that the other gateways should hear of.
    pub(super) fn has_counted(&self) {
        if let Some(fleet) = self.0.fleet.get() {
            fleet.has_counted();
        }
    }

    /// A revocation of another gateway is in force, and ended these exchanges here.
    pub fn begin_heard(&self, revocation: &Revocation, ended: &Ended, at: Position, place: &Place) -> RevocationId {
        let id = self.begun(revocation, ended, true);
        self.state().book.stands(id, &place.epoch, at.0, false);
        self.has_counted();
        id
    }

    /// What this gateway told stands in the fleet's log of that epoch.
    pub fn stands(&self, told: &[Heard], epoch: &str) {
        let now = self.0.clock.now();
        let mut state = self.state();
        for heard in told {
            let Fact::Revoked(revocation) = &heard.fact else { continue };
            let id = self.known(&state.book, revocation);
            let State { book, awaited, .. } = &mut *state;
            let is_first = book.stands(id, epoch, heard.at.0, true);
            if is_first && book.get(id).is_some_and(|record| !record.is_heard && !record.is_everyday()) {
                awaited.push_back((id, now));
                if awaited.len() > MOST_AWAITED {
                    awaited.pop_front();
                }
            }
        }
        drop(state);
        self.note_applied();
    }

    /// What was counted here of outcomes that all gateways know, where it has changed since the last call.
    pub fn tallies(&self) -> Vec<Tally> {
        self.state().book.tallies()
    }

    /// These are to be among the next tallies again.
    pub fn not_told(&self, tallies: &[Tally]) {
        let mut state = self.state();
        for tally in tallies {
            state.book.is_counted(tally.id);
        }
    }

    /// Another gateway tells how far it is, and what it counted.
    pub fn reported(&self, from: GatewayId, name: &str, tallies: Vec<Tally>) {
        let mut state = self.state();
        let mut news: Vec<Told> = Vec::new();
        for tally in tallies {
            let id = tally.id;
            news.extend(state.book.counted_elsewhere(from, name, tally).into_iter().map(|what| (id, what)));
        }
        let has_news = !news.is_empty();
        state.news.extend(news);
        drop(state);
        if has_news {
            self.0.changed.notify_one();
        }
        self.note_applied();
    }

    /// Notes in the audit log which revocations are in force at all gateways, and of which that took too long.
    pub(super) fn note_applied(&self) {
        if self.state().awaited.is_empty() {
            return;
        }
        let (roll, now) = (self.roll(), self.0.clock.now());
        let mut events = Vec::new();
        {
            let mut state = self.state();
            let State { book, awaited, .. } = &mut *state;
            while let Some((id, since)) = awaited.front().copied() {
                let Some(record) = book.get(id) else {
                    awaited.pop_front();
                    continue;
                };
                let is_waited_for = roll.names(record, Stand::Behind).next().is_some();
                if is_waited_for && now.since(since) < AWAITED_FOR {
                    break;
                }
                awaited.pop_front();
                let own = std::iter::once(self.0.settings.gateway.clone());
                events.push(Event::FleetApplied {
                    outcome: id,
                    applied_by: in_short(own.chain(roll.names(record, Stand::Applied)).collect()),
                    behind: in_short(roll.names(record, Stand::Behind).collect()),
                    silent: in_short(roll.names(record, Stand::Silent).collect()),
                });
            }
        }
        for event in events {
            self.0.audit.record(event);
        }
    }
}

impl Record {
    /// It stands in the log there. Whoever told it first accepted it, and is the one that tells others of it.
    pub(super) fn stands_at(&mut self, epoch: &str, at: u64, is_own: bool) -> bool {
        match &self.stands {
            Some((known, before)) if known == epoch && *before <= at => return false,
            Some(_) => {}
            None => self.is_heard = !is_own,
        }
        self.stands = Some((epoch.to_owned(), at));
        true
    }

    /// What this gateway counted, as others are told.
    pub(super) fn tally(&self) -> Tally {
        self.counted(Distinct::travelling)
    }

    /// The same with everything that it tells apart.
    pub(super) fn whole(&self) -> Tally {
        self.counted(|prints| Prints {
            some: prints.prints().to_vec(),
            all: prints.count(),
            or_more: prints.has_more(),
        })
    }

    fn counted(&self, prints: impl Fn(&Distinct) -> Prints) -> Tally {
        Tally {
            id: self.id,
            cut: self.cut.to_vec(),
            people: prints(&self.people),
            credentials: self.credentials.iter().map(&prints).collect(),
            back: prints(&self.back),
            back_at: self.back_at,
            refusals: self.refusals,
            first_refusal_at: self.first_refusal_at,
            last_refusal_at: self.last_refusal_at,
            sign_ins_refused: self.sign_ins_refused,
            redelivered: self.redelivered,
            passed_over: self.passed_over.iter().copied().collect(),
        }
    }

    /// Another gateway counted that. What it is worth telling of it, if this gateway is the one that tells.
    pub(super) fn counted_elsewhere(&mut self, from: GatewayId, name: &str, tally: Tally, room: bool) -> Vec<News> {
        let from = from.to_string();
        if !self.elsewhere.contains_key(&from) && (!room || self.elsewhere.len() >= MOST_GATEWAYS) {
            self.is_incomplete = true;
            return vec![];
        }
        let news = [
            (tally.first_refusal_at.is_some() && !self.said.0, News::FirstRefusal),
            (tally.back_at.is_some() && !self.said.1, News::SignedInAgain),
        ];
        self.elsewhere.insert(from, Elsewhere { name: name.to_owned(), tally });
        news.into_iter().filter(|(is_news, _)| *is_news).map(|(_, what)| what).collect()
    }

    /// True if others are to be told of that, which may have been news at several gateways.
    pub(super) const fn is_still_news(&mut self, news: News) -> bool {
        let said = match news {
            News::FirstRefusal => &mut self.said.0,
            News::SignedInAgain => &mut self.said.1,
            News::InForce | News::Settled => return true,
        };
        !std::mem::replace(said, true)
    }
}

/// True while another tally fits in.
pub(super) const fn is_room(tallies: usize) -> bool {
    tallies < MOST_TALLIES
}

/// What is in a map by the words of its kinds; kinds that there is none of are not there.
pub(super) fn by_word(counts: &[usize]) -> BTreeMap<String, usize> {
    let known = crate::exchanges::Kind::ALL.iter().zip(counts);
    known.filter(|(_, count)| **count > 0).map(|(kind, count)| (kind.word().to_owned(), *count)).collect()
}
