//! What gateways say in passing: reports of how far they are and what they counted, questions and their answers. None of it is
//! needed to know what is in force, and none of it is told again.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ask::{Answer, Ask, Sight};
use super::engine::GatewayId;
use super::freshness::Fresh;
use super::message::{self, Passing, Word};
use super::peers::{Peer, intervals};
use super::report::Report;
use super::{Fleet, Hearer, Inner, lock};
use crate::ledger::{Entry as Written, Note, Shelf};
use crate::revocation::Revocation;
use crate::seal::unguessable_bits;
use crate::time::Timestamp;

/// Questions of others that may wait for an answer.
pub(super) const QUESTIONS: usize = 16;
/// Between two answers: whoever asks all the time gets some.
const ANSWER_EVERY: Duration = Duration::from_millis(50);
/// Older questions are not answered: nobody waits for that. Clocks may differ by as much.
const OLD: Duration = Duration::from_secs(30);
/// How long the others are waited for.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Questions of this gateway at once.
const ASKING: usize = 32;
/// Answers that may wait to be looked at.
const ANSWERS: usize = 1_024;
/// How often it is noted who the others are, where nobody new came.
const NOTE_EVERY: Duration = Duration::from_secs(600);

/// A question, and who asks.
pub(super) type Question = (GatewayId, Ask);

/// What the other gateways answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// What each would meet, by its name.
    pub answers: Vec<(String, Sight)>,
    /// Who did not answer in time.
    pub silent: Vec<String>,
}

/// Who waits for answers, until nobody does.
struct Asking<'a>(&'a Inner, u64);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        lock(&self.0.asking).remove(&self.1);
    }
}

impl Fleet {
    /// The other gateways, by name.
    pub fn peers(&self) -> Vec<Peer> {
        self.0.list_peers()
    }

    /// What was kept of the other gateways before this one started.
    pub fn remembers(&self, kept: Vec<(String, String)>) {
        let now = self.0.clock.now();
        let mut peers = lock(&self.0.peers);
        for (id, text) in kept {
            if let (Ok(id), Some(report)) = (u128::from_str_radix(&id, 16), Report::read(text.as_bytes())) {
                peers.remember(GatewayId(id), report, now);
            }
        }
    }

    /// This gateway has counted something: the others will hear of it soon.
    pub fn has_counted(&self) {
        self.0.to_report.notify_one();
    }

    /// Asks every other gateway what `revocations` would meet there. Ends when all that can be heard have answered, or soon.
    pub async fn would_meet(&self, revocations: &[Revocation]) -> Asked {
        let inner = &*self.0;
        let until = Instant::now() + PATIENCE;
        let (answered, mut answers) = mpsc::channel(ANSWERS);
        let asking = inner.ask(revocations, answered);
        let peers = inner.list_peers();
        let mut missing: HashSet<_> = peers.iter().filter(|peer| !peer.is_silent).map(|peer| peer.id).collect();
        let mut asked = Asked::default();
        let mut heard = HashSet::new();
        if let Some((_asking, letter)) = asking
            && let Ok(Ok(())) = timeout_at(until, inner.engine.append(&[letter])).await
        {
            while !missing.is_empty()
                && let Ok(Some((from, answer))) = timeout_at(until, answers.recv()).await
            {
                missing.remove(&from);
                if heard.insert(from) {
                    let name = peers.iter().find(|peer| peer.id == from).map(|peer| peer.name.clone());
                    asked.answers.push((name.unwrap_or_else(|| from.to_string()), answer.sight));
                }
            }
        }
        let silent = peers.into_iter().filter(|peer| !heard.contains(&peer.id));
        asked.silent = silent.map(|peer| peer.name).collect();
        asked.answers.sort_by(|(a, _), (b, _)| a.cmp(b));
        asked
    }
}

impl Inner {
    fn list_peers(&self) -> Vec<Peer> {
        lock(&self.peers).list(&self.settings.name, self.watch.elapsed())
    }

    /// The letter that asks, and what notes who waits.
    fn ask(
        &self,
        revocations: &[Revocation],
        answered: mpsc::Sender<(GatewayId, Answer)>,
    ) -> Option<(Asking<'_>, super::Letter)> {
        let id = by_chance()?;
        let mut revocations = revocations.to_vec();
        for revocation in &mut revocations {
            revocation.reason = None;
        }
        let ask = Ask { id, sent_at: self.clock.now(), revocations };
        let letter = message::passing(&self.ring, self.me, &Passing::Ask(ask))?;
        let mut asking = lock(&self.asking);
        if asking.len() >= ASKING {
            return None;
        }
        asking.insert(id, answered);
        drop(asking);
        Some((Asking(self, id), letter))
    }

    /// Takes what another gateway said in passing.
    pub(super) fn hear_in_passing(&self, from: GatewayId, word: Word, hearer: &dyn Hearer) {
        let is_live = self.state().fresh(self.watch.elapsed()) == Fresh::Yes;
        match word {
            Word::Report(report) => {
                let lag = if is_live { Duration::ZERO } else { self.clock.now().since(report.sent_at) };
                let (is_new, is_news) = {
                    let mut peers = lock(&self.peers);
                    let is_new = !peers.knows(from, &report.name, &report.version);
                    (is_new, peers.heard(from, &report, self.watch.elapsed(), lag))
                };
                if is_news {
                    hearer.reported(from, &report.name, report.tallies);
                }
                if is_new && is_news {
                    self.to_report.notify_one();
                }
            }
            Word::Sign(seen) => hearer.sign(&seen.stream, seen.sign, seen.at),
            // Whoever catches up answers nobody: what it hears then was asked long ago.
            Word::Ask(ask) if is_live && is_recent(ask.sent_at, self.clock.now()) => {
                // Who asks for more than can be answered hears that there was no answer.
                let _ = self.asks.0.try_send((from, *ask));
            }
            Word::Answer(answer) => {
                let waits = lock(&self.asking).get(&answer.id).cloned();
                if let Some(waits) = waits {
                    let _ = waits.try_send((from, *answer));
                }
            }
            Word::Ask(_) | Word::Fact(_) | Word::Beat(_) | Word::Other => {}
        }
    }

    /// Answers others until the gateway ends.
    pub(super) async fn answer_on(&self, hearer: &dyn Hearer) {
        let Some(mut asks) = lock(&self.asks.1).take() else { return };
        while let Some((from, ask)) = asks.recv().await {
            let answer = Answer::to(&ask, &hearer.would_meet(&ask.revocations));
            if let Some(letter) = message::passing(&self.ring, self.me, &Passing::Answer(from, answer)) {
                // Nobody waits for longer.
                let _ = timeout(PATIENCE, self.engine.append(&[letter])).await;
            }
            sleep(ANSWER_EVERY).await;
        }
    }

    /// Reports until the gateway ends: soon after something happened, and now and then in any case.
    pub(super) async fn report_on(&self, hearer: &dyn Hearer) {
        let mut number = 0;
        let mut noted = Noted::default();
        loop {
            let (soon, at_ease) = intervals(lock(&self.peers).lively(self.watch.elapsed()));
            sleep(soon).await;
            let _either = timeout(at_ease.saturating_sub(soon), self.to_report.notified()).await;
            number += 1;
            let (text, rest) = self.report(number, at_ease, hearer.tallies()).write();
            let is_all = rest.is_empty();
            hearer.not_told(rest);
            let sent = message::passing(&self.ring, self.me, &Passing::Report(text.clone(), (self.life, number)));
            let told = match &sent {
                Some(letter) => {
                    let append = self.engine.append(std::slice::from_ref(letter));
                    matches!(timeout(self.settings.tell_within, append).await, Ok(Ok(())))
                }
                None => false,
            };
            if !told {
                hearer.not_told(Report::read(&text).map(|report| report.tallies).unwrap_or_default());
                // What waits is told with the next sign of presence; until then the engine may be back.
                sleep(soon).await;
            } else if !is_all {
                self.to_report.notify_one();
            }
            self.note_peers(&mut noted).await;
        }
    }

    fn report(&self, number: u64, every: Duration, tallies: Vec<super::Tally>) -> Report {
        let (place, fresh) = {
            let state = self.state();
            (state.applied(), state.fresh(self.watch.elapsed()))
        };
        let (epoch, applied) = place.map(|place| (place.epoch, place.position)).unwrap_or_default();
        Report {
            name: self.settings.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sent_at: self.clock.now(),
            age: (self.life, number),
            every: u64::try_from(every.as_millis()).unwrap_or(u64::MAX),
            epoch,
            applied,
            fresh: fresh.into(),
            tallies,
        }
    }

    /// Writes down who the others are, so that a restart knows who is silent.
    async fn note_peers(&self, noted: &mut Noted) {
        let now = self.watch.elapsed();
        let notes = {
            let peers = lock(&self.peers);
            let all: HashSet<_> = peers.kept().map(|(id, _)| id).collect();
            if all == noted.who && now.saturating_sub(noted.at) < NOTE_EVERY {
                return;
            }
            let gone = noted.who.difference(&all).map(|id| note(*id, None)).collect::<Vec<_>>();
            let there = peers.kept().map(|(id, report)| note(id, serde_json::to_string(report).ok()));
            let notes: Vec<_> = gone.into_iter().chain(there).collect();
            *noted = Noted { who: all, at: now };
            notes
        };
        if let Err(error) = self.ledger.write(Written { notes, ..Written::default() }).await {
            tracing::debug!(%error, "who the other gateways are could not be written down");
        }
    }
}

/// What stands in the ledger of the others.
#[derive(Default)]
struct Noted {
    who: HashSet<GatewayId>,
    at: Duration,
}

fn note(id: GatewayId, text: Option<String>) -> Note {
    Note { shelf: Shelf::Peers, key: id.to_string(), text }
}

/// A number that no other has.
pub(super) fn by_chance() -> Option<u64> {
    u64::try_from(unguessable_bits()? >> 64).ok()
}

fn is_recent(sent_at: Timestamp, now: Timestamp) -> bool {
    now.since(sent_at) <= OLD && sent_at.since(now) <= OLD
}
