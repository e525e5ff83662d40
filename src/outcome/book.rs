//! Every outcome that is remembered, and how to find those that a credential belongs to. Bounded; the oldest goes first.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::fleetwide::is_room;
use super::record::{Met, News, Record, print_of_person};
use crate::exchanges::Counts;
use crate::fleet::{GatewayId, Tally};
use crate::identity::TargetHasher;
use crate::revocation::{Cover, Credential, Explanation, Lifted, RevocationId};
use crate::time::Timestamp;

/// Prints of people and credentials in all outcomes together, 8 bytes each. Beyond it no more are told apart.
const MOST_PRINTS: usize = 1_000_000;
/// Outcomes of one person, or of one group, that a credential is counted in: the newest.
const MOST_AT_ONCE: usize = 16;

/// Outcomes under one key that are looked at, the newest first: a refusal must cost the same whoever revokes a person every
/// second.
const LOOKED_AT: usize = 64;

/// Tallies that other gateways are told at once.
const AT_ONCE: usize = 1_000;

/// Something to be told of the outcome of that id.
pub(super) type Told = (RevocationId, News);

/// A credential that was met, and what is to be counted of it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Seen<'a> {
    pub(super) met: Met<'a>,
    pub(super) credential: Credential<'a>,
}

#[derive(Debug)]
struct Page {
    record: Record,
    cover: Cover,
    place: Place,
    /// Changes so far.
    version: u64,
}

/// By what pages are in order: those that people make all day by signing out go first, then the oldest; a number keeps
/// those of one second apart.
type Place = (bool, Timestamp, u64);

/// All outcomes that are remembered.
#[derive(Debug)]
pub(super) struct Book {
    most: usize,
    pages: HashMap<RevocationId, Page>,
    /// Those that would go first.
    order: BTreeSet<(Place, RevocationId)>,
    /// By the keys under which somebody named is found, oldest first.
    by_key: HashMap<u128, Vec<RevocationId>>,
    /// By people who were met, oldest first.
    by_person: HashMap<u64, Vec<RevocationId>>,
    /// Not on disk as they are here.
    dirty: BTreeSet<RevocationId>,
    /// What was counted here since the other gateways were told.
    counted: BTreeSet<RevocationId>,
    next: u64,
    prints: usize,
    /// Tallies of other gateways.
    tallies: usize,
}

impl Book {
    /// An empty book of at most `most` outcomes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            pages: HashMap::new(),
            order: BTreeSet::new(),
            by_key: HashMap::new(),
            by_person: HashMap::new(),
            dirty: BTreeSet::new(),
            counted: BTreeSet::new(),
            next: 0,
            prints: 0,
            tallies: 0,
        }
    }

    /// Outcomes in it.
    pub(super) fn len(&self) -> usize {
        self.pages.len()
    }

    pub(super) fn get(&self, id: RevocationId) -> Option<&Record> {
        self.pages.get(&id).map(|page| &page.record)
    }

    /// Changes one record; it will be written.
    pub(super) fn change<T>(&mut self, id: RevocationId, change: impl FnOnce(&mut Record) -> T) -> Option<T> {
        self.page(id, |page, _| change(&mut page.record))
    }

    /// Newest first.
    pub(super) fn newest(&self) -> Vec<&Record> {
        let mut pages: Vec<_> = self.pages.values().collect();
        pages.sort_by_key(|page| std::cmp::Reverse((page.place.1, page.place.2)));
        pages.into_iter().map(|page| &page.record).collect()
    }

    /// The one outcome whose id begins so.
    pub(super) fn beginning_with(&self, text: &str) -> Option<&Record> {
        let mut found = self.pages.values().filter(|page| page.record.id.to_string().starts_with(text));
        match (found.next(), found.next()) {
            (Some(page), None) => Some(&page.record),
            _ => None,
        }
    }

    /// Opens a page, unless there is one; says which had to go for it.
    pub(super) fn open(&mut self, record: Record, hashers: &[&TargetHasher]) -> Vec<RevocationId> {
        if self.pages.contains_key(&record.id) {
            return vec![];
        }
        let mut gone = Vec::new();
        while self.pages.len() >= self.most {
            let Some((_, oldest)) = self.order.first().copied() else { break };
            self.close(oldest);
            gone.push(oldest);
        }
        let (id, mut cover) = (record.id, Cover::of(&record.revocation, hashers));
        if let Some(at) = record.lifted_at {
            cover.lift(at);
        }
        for key in cover.anchors().map(|key| key.0).collect::<HashSet<_>>() {
            self.by_key.entry(key).or_default().push(id);
        }
        for person in record.people.prints() {
            self.by_person.entry(*person).or_default().push(id);
        }
        let place = (!record.is_everyday(), record.revocation.received_at, self.next);
        self.next += 1;
        self.prints += record.prints();
        self.tallies += record.elsewhere.len();
        if !record.tally().is_empty() {
            self.counted.insert(id);
        }
        self.order.insert((place, id));
        self.dirty.insert(id);
        self.pages.insert(id, Page { record, cover, place, version: 0 });
        gone
    }

    /// What is not on disk as it is here, each with its version.
    pub(super) fn dirty(&self) -> impl Iterator<Item = (&Record, u64)> {
        self.dirty.iter().filter_map(|id| self.versioned(*id))
    }

    /// A record and its version.
    pub(super) fn versioned(&self, id: RevocationId) -> Option<(&Record, u64)> {
        self.pages.get(&id).map(|page| (&page.record, page.version))
    }

    /// The page is on disk as it was in that version, with that `change` to it.
    pub(super) fn written(&mut self, id: RevocationId, version: u64, change: impl FnOnce(&mut Record)) {
        let Some(page) = self.pages.get_mut(&id) else { return };
        change(&mut page.record);
        if page.version == version {
            self.dirty.remove(&id);
        }
    }

    /// A page that was just opened came from the disk.
    pub(super) fn is_written(&mut self, id: RevocationId) {
        self.dirty.remove(&id);
    }

    /// A hold was lifted.
    pub(super) fn lift(&mut self, lifted: &Lifted) {
        let is_meant = |page: &&Page| {
            let revocation = &page.record.revocation;
            page.cover.holds() && revocation.whom == lifted.whom && revocation.reach == lifted.reach
        };
        let ids: Vec<_> = self.pages.values().filter(is_meant).map(|page| page.record.id).collect();
        for id in ids {
            self.page(id, |page, _| {
                page.cover.lift(lifted.at);
                if !page.cover.holds() {
                    page.record.lifted_at = Some(lifted.at);
                }
            });
        }
    }

    /// Closes what nothing can meet any more: with a cut-off before that moment, and no hold; says which.
    pub(super) fn sweep(&mut self, horizon: Timestamp) -> Vec<RevocationId> {
        let is_over = |page: &&Page| page.record.revocation.cut_off < horizon && !page.cover.holds();
        let over: Vec<_> = self.pages.values().filter(is_over).map(|page| page.record.id).collect();
        for id in &over {
            self.close(*id);
        }
        over
    }

    /// A revocation ended exchanges that ran on these credentials.
    pub(super) fn cut<'a>(&mut self, id: RevocationId, counts: &Counts, seen: impl Iterator<Item = Seen<'a>>) {
        let people = self.page(id, |page, room| {
            page.record.cut(counts);
            let covered = seen.filter(|seen| page.cover.covers(&seen.credential));
            covered.filter_map(|seen| page.record.meet(&seen.met, room)).collect::<Vec<_>>()
        });
        for person in people.into_iter().flatten() {
            self.by_person.entry(person).or_default().push(id);
        }
        if counts.total() > 0 {
            self.is_counted(id);
        }
    }

    /// Something was counted here that the other gateways have not been told.
    pub(super) fn is_counted(&mut self, id: RevocationId) {
        if self.pages.contains_key(&id) {
            self.counted.insert(id);
        }
    }

    /// It stands in the fleet's log there; true if that was not known.
    pub(super) fn stands(&mut self, id: RevocationId, epoch: &str, at: u64, is_own: bool) -> bool {
        let is_known =
            |record: &Record| matches!(&record.stands, Some((known, before)) if known == epoch && *before <= at);
        if self.get(id).is_none_or(is_known) {
            return false;
        }
        self.change(id, |record| record.stands_at(epoch, at, is_own)).unwrap_or_default()
    }

    /// What was counted of outcomes that all gateways know, since it was asked last.
    pub(super) fn tallies(&mut self) -> Vec<Tally> {
        let stands = |id: &RevocationId| self.pages.get(id).is_some_and(|page| page.record.stands.is_some());
        let told: Vec<_> = self.counted.iter().copied().filter(stands).take(AT_ONCE).collect();
        for id in &told {
            self.counted.remove(id);
        }
        told.iter().filter_map(|id| self.get(*id)).map(Record::tally).filter(|tally| !tally.is_empty()).collect()
    }

    /// Another gateway counted that.
    pub(super) fn counted_elsewhere(&mut self, from: GatewayId, name: &str, tally: Tally) -> Vec<News> {
        let (id, room) = (tally.id, is_room(self.tallies));
        let Some(before) = self.get(id).map(|record| record.elsewhere.len()) else { return vec![] };
        let changed = self.page(id, |page, has_room| {
            let tally = if has_room { tally } else { tally.without_prints() };
            let news = page.record.counted_elsewhere(from, name, tally, room);
            (news, page.record.elsewhere.len())
        });
        let (news, after) = changed.unwrap_or_default();
        self.tallies += after.saturating_sub(before);
        news
    }

    /// A request was refused, and brought these credentials.
    pub(super) fn refused(&mut self, seen: &[Seen<'_>], now: Timestamp) -> Vec<Told> {
        let mut counted: Vec<RevocationId> = Vec::new();
        for one in seen {
            for id in self.that_cover(&one.credential) {
                self.meet(id, &one.met);
                if !counted.contains(&id) {
                    counted.push(id);
                }
            }
        }
        let mut told = Vec::new();
        for id in counted {
            self.is_counted(id);
            told.extend(self.change(id, |record| record.refuse(now)).flatten().map(|news| (id, news)));
        }
        told
    }

    /// A sign-in was refused because what it proved is not new enough.
    pub(super) fn sign_in_refused(&mut self, credential: &Credential<'_>) {
        for id in self.that_cover(credential) {
            self.is_counted(id);
            self.change(id, |record| record.sign_ins_refused = record.sign_ins_refused.saturating_add(1));
        }
    }

    /// Somebody signed in.
    pub(super) fn signed_in(&mut self, credential: &Credential<'_>, now: Timestamp) -> Vec<Told> {
        let Some(person) = print_of_person(credential.targets) else { return vec![] };
        let is_theirs = |page: &Page| page.record.is_about_somebody() && page.cover.names(credential);
        let mut ids = self.found(credential, is_theirs);
        for id in self.by_person.get(&person).into_iter().flatten().rev().take(MOST_AT_ONCE) {
            if !ids.contains(id) {
                ids.push(*id);
            }
        }
        ids.retain(|id| self.get(*id).is_some_and(|record| !record.back.contains(person)));
        let mut told = Vec::new();
        for id in ids {
            self.is_counted(id);
            let news = self.page(id, |page, room| page.record.sign_in(person, room, now));
            told.extend(news.flatten().map(|news| (id, news)));
        }
        told
    }

    fn meet(&mut self, id: RevocationId, met: &Met<'_>) {
        if let Some(person) = self.page(id, |page, room| page.record.meet(met, room)).flatten() {
            self.by_person.entry(person).or_default().push(id);
        }
    }

    /// Changes a page; it will be written. There may be room for more prints, or not.
    fn page<T>(&mut self, id: RevocationId, change: impl FnOnce(&mut Page, bool) -> T) -> Option<T> {
        let room = self.prints < MOST_PRINTS;
        let page = self.pages.get_mut(&id)?;
        let before = page.record.prints();
        let changed = change(page, room);
        page.version += 1;
        self.prints = (self.prints + page.record.prints()).saturating_sub(before);
        self.dirty.insert(id);
        Some(changed)
    }

    /// What the newest revocation that covers a credential, and says anything to people, says.
    pub(super) fn said_to(&self, credential: &Credential<'_>) -> Option<Explanation> {
        let ids = self.that_cover(credential);
        let revocations = ids.iter().filter_map(|id| self.get(*id)).map(|record| &record.revocation);
        let saying = revocations.filter(|revocation| !revocation.said.is_empty());
        saying.max_by_key(|revocation| revocation.cut_off).map(|revocation| revocation.said.clone())
    }

    fn that_cover(&self, credential: &Credential<'_>) -> Vec<RevocationId> {
        self.found(credential, |page| page.cover.covers(credential))
    }

    /// The newest pages that stand under any of a credential's keys and are what is sought.
    fn found(&self, credential: &Credential<'_>, is_sought: impl Fn(&Page) -> bool) -> Vec<RevocationId> {
        let mut found = Vec::new();
        for (_, key) in credential.targets {
            for key in [*key, key.in_app(credential.app)] {
                let ids = self.by_key.get(&key.0).into_iter().flatten().rev();
                let sought =
                    ids.take(LOOKED_AT).filter(|id| self.pages.get(id).is_some_and(&is_sought)).take(MOST_AT_ONCE);
                for id in sought {
                    if !found.contains(id) {
                        found.push(*id);
                    }
                }
            }
        }
        found
    }

    fn close(&mut self, id: RevocationId) {
        let Some(page) = self.pages.remove(&id) else { return };
        self.order.remove(&(page.place, id));
        self.dirty.remove(&id);
        self.counted.remove(&id);
        self.tallies = self.tallies.saturating_sub(page.record.elsewhere.len());
        self.prints = self.prints.saturating_sub(page.record.prints());
        for key in page.cover.anchors() {
            forget(&mut self.by_key, key.0, id);
        }
        for person in page.record.people.prints() {
            forget(&mut self.by_person, *person, id);
        }
    }
}

fn forget<K: std::hash::Hash + Eq>(index: &mut HashMap<K, Vec<RevocationId>>, key: K, id: RevocationId) {
    if let std::collections::hash_map::Entry::Occupied(mut ids) = index.entry(key) {
        ids.get_mut().retain(|known| *known != id);
        if ids.get().is_empty() {
            ids.remove();
        }
    }
}
