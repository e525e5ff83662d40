//! Hears what other gateways tell, and notices when it does not.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::engine::{Entry, Following, Position, Trouble};
use super::freshness::Fresh;
use super::message::{self, Illegible, Message, Word};
use super::state::Log;
use super::{Heard, Hearer, Inner};
use crate::audit::Event;
use crate::backoff::{Backoff, chance};
use crate::ledger::{Again, Entry as Written, Place};
use crate::seal::unguessable_bits;

/// Pauses between two attempts to hear.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// How often the gateway looks whether it is fresh.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often it is noted up to where it has heard, where nothing else is written.
const NOTE_EVERY: Duration = Duration::from_secs(10);
/// What came in that long before the log was lost is told again by everybody who has it.
const DOUBTFUL: Duration = Duration::from_secs(600);
/// The gateway that keeps the log: that tells again what lasts, and lets go what is old.
const HOUSEKEEPER: &str = "housekeeper";
const KEEP_EVERY: Duration = Duration::from_secs(60);

impl Inner {
    /// Hears until the gateway ends.
    pub(super) async fn follow_on(&self, hearer: &dyn Hearer) {
        let mut failures = 0;
        loop {
            let Err(trouble) = self.hear_from_the_log(hearer, &mut failures).await;
            self.in_trouble(Some(trouble), failures == 0);
            failures += 1;
            let pause = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)
                .map_or(LONGEST_PAUSE, |backoff| backoff.jitter(failures, chance()));
            sleep(pause).await;
        }
    }

    fn in_trouble(&self, trouble: Option<Trouble>, first: bool) {
        let before = std::mem::replace(&mut self.state().trouble, trouble.clone());
        match trouble {
            Some(trouble) if trouble.is_configuration() && before.as_ref() != Some(&trouble) => {
                tracing::error!(%trouble, "other gateways cannot be heard until somebody changes something");
            }
            Some(trouble) if first => tracing::warn!(%trouble, "other gateways cannot be heard at the moment"),
            Some(_) => {}
            None if before.is_some() => tracing::info!("other gateways are heard again"),
            None => {}
        }
    }

    /// One time of hearing, from a look at the log to what ends it.
    async fn hear_from_the_log(
        &self,
        hearer: &dyn Hearer,
        failures: &mut u32,
    ) -> Result<std::convert::Infallible, Trouble> {
        let extent = self.engine.open().await?;
        let (log, from) = self.state().look_at(&extent);
        match log {
            Log::Same => {}
            Log::First => self.tell_again(Again::All),
            Log::Replaced => self.log_was_replaced(&extent.epoch).await,
        }
        let letters = self.engine.follow(from, self.me).await?;
        self.hear_on(letters, hearer, failures).await
    }

    async fn hear_on(
        &self,
        mut letters: Following,
        hearer: &dyn Hearer,
        failures: &mut u32,
    ) -> Result<std::convert::Infallible, Trouble> {
        let since = self.watch.elapsed();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut noted = (self.state().place.clone(), self.watch.elapsed());
        loop {
            tokio::select! {
                some = letters.next() => {
                    self.take(some.ok_or(Trouble::Gone)??, hearer).await?;
                    *failures = 0;
                    self.in_trouble(None, false);
                }
                _ = look.tick() => {
                    let now = self.watch.elapsed();
                    if self.state().freshness.is_overdue(since, now, self.patience()) {
                        return Err(Trouble::Away("its heartbeats do not come back".into()));
                    }
                    if now.saturating_sub(noted.1) > NOTE_EVERY {
                        noted = (self.note_place(noted.0).await, now);
                    }
                }
                () = self.doubt.notified() => return Err(Trouble::Gone),
            }
        }
    }

    /// How long a heartbeat may be under way before the watch is taken for deaf: well before the gateway is stale.
    fn patience(&self) -> Duration {
        self.settings.stale_after / 2
    }

    /// Takes letters that came: facts of others in force first, then what the heartbeats among them say.
    async fn take(&self, entries: Vec<Entry>, hearer: &dyn Hearer) -> Result<(), Trouble> {
        let Some(up_to) = entries.last().map(|entry| entry.position) else { return Ok(()) };
        let (mut facts, mut beats, mut own, mut passing) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            let at = entry.position;
            match message::read(&self.ring, entry.to, &entry.body) {
                // What this gateway told itself is in its ledger.
                Ok(Message { from, word }) if from == self.me => match word {
                    Word::Fact(fact) => own.push(Heard { fact, at }),
                    Word::Beat(nonce) => beats.push(nonce),
                    _ => {}
                },
                Ok(Message { from, word }) => match word {
                    Word::Fact(fact) => facts.push(Heard { fact, at }),
                    Word::Beat(_) => {}
                    word => passing.push((from, word)),
                },
                Err(why) => self.is_illegible(why, entry.position),
            }
        }
        let newest_fact = facts.iter().chain(&own).map(|heard| heard.at).max();
        if !own.is_empty() {
            let epoch = self.state().place.as_ref().map(|place| place.epoch.clone()).unwrap_or_default();
            hearer.stands(own, &epoch);
        }
        if !facts.is_empty() {
            let Some(place) = self.state().place_to_write(up_to) else { return Ok(()) };
            self.metrics.heard(facts.len());
            // Heard again from the last place on disk: no later place may be written before these are.
            let unwritten = |error| Trouble::Away(format!("what was heard cannot be written down: {error}"));
            hearer.hear(facts, place).await.map_err(unwritten)?;
        }
        for (from, word) in passing {
            self.hear_in_passing(from, word, hearer);
        }
        let mut state = self.state();
        state.heard(up_to);
        if let Some(newest) = newest_fact {
            state.newest_fact = state.newest_fact.max(newest);
            self.to_report.notify_one();
        }
        for nonce in beats {
            state.freshness.came(nonce);
        }
        Ok(())
    }

    fn is_illegible(&self, why: Illegible, at: Position) {
        self.metrics.illegible(why.word());
        let (aloud, so_far) = {
            let mut state = self.state();
            (state.illegible(why, at), state.illegible)
        };
        if aloud {
            tracing::error!(
                %why,
                position = at.0,
                so_far,
                "ALARM: a letter in the fleet's log says nothing to this gateway and changes nothing"
            );
            self.audit.record(Event::FleetAlarm { what: why.to_string() });
        }
    }

    /// Somebody took the log away, or it lost what was in it: what the gateways know goes into the new one.
    async fn log_was_replaced(&self, epoch: &str) {
        tracing::error!(
            epoch,
            "ALARM: the fleet's log is another one than before; what this gateway knows stays in force and is told again"
        );
        self.audit.record(Event::FleetAlarm { what: "the fleet's log was replaced".into() });
        self.metrics.log_replaced();
        // What the teller of everything may not have heard itself, whoever has it tells.
        self.tell_again(Again::Since(self.clock.now().minus(DOUBTFUL)));
        let lease = format!("restore-{epoch}");
        match self.engine.lease(&lease, self.me, DOUBTFUL).await {
            Ok(Some(_)) => self.tell_again(Again::All),
            Ok(None) => {}
            // Better told twice than not at all.
            Err(trouble) => {
                tracing::warn!(%trouble, "nobody knows who tells everything again: this gateway does");
                self.tell_again(Again::All);
            }
        }
    }

    /// Writes down up to where this gateway has heard, if that changed.
    async fn note_place(&self, noted: Option<Place>) -> Option<Place> {
        let now = {
            let state = self.state();
            state.place.as_ref().and_then(|place| state.place_to_write(Position(place.position)))
        };
        if now == noted {
            return noted;
        }
        let written = self.ledger.write(Written { place: now.clone(), ..Written::default() }).await;
        // A place that is too old only costs time after a restart.
        if written.is_ok() { now } else { noted }
    }

    /// Sends heartbeats until the gateway ends.
    pub(super) async fn beat_on(&self) {
        // Two may be lost before the watch is made anew, and that in time to be fresh again.
        let mut beat = interval((self.settings.stale_after / 6).max(Duration::from_millis(50)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let letter = unguessable_bits().and_then(|nonce| Some((nonce, message::beat(&self.ring, self.me, nonce)?)));
            let Some((nonce, letter)) = letter else { continue };
            self.state().freshness.sent(nonce, self.watch.elapsed());
            let sent = timeout(self.settings.stale_after, self.engine.append(&[letter])).await;
            if matches!(sent, Ok(Err(Trouble::Gone))) {
                self.doubt.notify_one();
            }
        }
    }

    /// Says when the gateway becomes stale or fresh, until it ends.
    pub(super) async fn watch_over(&self, hearer: &dyn Hearer) {
        let mut before = Fresh::CatchingUp;
        let mut acted = self.watch.elapsed();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let now = self.watch.elapsed();
            let (fresh, age, has_untold) = {
                let state = self.state();
                (state.fresh(now), state.freshness.age(now), state.has_untold)
            };
            self.metrics.fleet_is(fresh == Fresh::Stale, age, has_untold);
            let again = fresh == Fresh::Stale && now.saturating_sub(acted) >= self.settings.recheck_every;
            if fresh == before && !again {
                continue;
            }
            acted = now;
            let from = std::mem::replace(&mut before, fresh);
            if from != fresh {
                let trouble = self.state().trouble.clone();
                self.say(from, fresh, trouble);
            }
            hearer.fresh(from, fresh).await;
            self.state().acts_as = fresh;
        }
    }

    fn say(&self, from: Fresh, to: Fresh, trouble: Option<Trouble>) {
        let why = trouble.map(|trouble| trouble.to_string());
        match to {
            Fresh::Yes => tracing::info!("this gateway knows what the other gateways know"),
            Fresh::CatchingUp | Fresh::Stale => tracing::error!(
                why,
                "this gateway is STALE: what others accepted may be missing here; apps do as `when_blind` says"
            ),
        }
        self.audit.record(Event::FleetChanged { from: from.word(), to: to.word(), why });
    }

    /// Keeps the log in order, if no other gateway does: until this one ends.
    pub(super) async fn keep_house(&self) {
        // Long before anything leaves the log by its age.
        let tell_every = self.settings.keep_for / 3;
        let mut told_at: Option<Duration> = None;
        loop {
            sleep(KEEP_EVERY).await;
            let now = self.watch.elapsed();
            let mine = self.engine.lease(HOUSEKEEPER, self.me, KEEP_EVERY * 3).await;
            if self.state().fresh(now) != Fresh::Yes || !matches!(mine, Ok(Some(_))) {
                continue;
            }
            if told_at.is_none_or(|at| now.saturating_sub(at) >= tell_every) {
                told_at = Some(now);
                self.tell_again(Again::WhatLasts);
            }
            if let Err(trouble) = self.engine.forget_older_than(self.settings.keep_for).await {
                tracing::warn!(%trouble, "old letters could not be dropped from the fleet's log");
            }
        }
    }
}
