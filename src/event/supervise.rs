//! Whether a stream can be relied on, without the I/O that finds out: silence is not health (law 9).
//!
//! A stream lives while something shows it: an authentic event, best one that we asked for (SSF §8.1.4). Where nothing
//! can be asked for, a poll that went well, or the transmitter's word about its status, has to do; where there is not even
//! that, nothing is claimed. What was silent for too long, paused for too long, or deleted is *dark*: what it should have told
//! is not known, and apps do about that what their `when_blind` says. Dark ends with the next sign of life, not before.

mod owed;
mod words;

use std::collections::VecDeque;
use std::time::Duration;

pub use self::owed::Owed;
pub use self::words::{Health, Limits, Proof, Settings, Step, Verdict};
use super::StreamStatus;
use crate::backoff::Backoff;
use crate::time::Timestamp;

/// One stream under watch.
#[derive(Clone, Debug)]
pub struct Supervision {
    settings: Settings,
    proof: Proof,
    health: Health,
    since: Timestamp,
    /// Silence is counted from here: the start, or when the stream was made or enabled again.
    began: Timestamp,
    /// The last sign of life, and whether silence is counted from before it.
    sign: Option<Timestamp>,
    counts: bool,
    /// The transmitter has a stream of ours. Without management it is believed to.
    known: bool,
    gone: bool,
    stopped: Option<StreamStatus>,
    /// Somebody here stopped or deleted it: it is not to be undone by itself.
    on_purpose: bool,
    limits: Limits,
    dark: bool,
    /// Events were lost, or may have been: once it lives again, everything has to be re-established.
    lossy: bool,
    next_recheck: Timestamp,
    next_make: Timestamp,
    next_verify: Timestamp,
    next_status: Timestamp,
    next_resume: Timestamp,
    /// Failures in a row to make it.
    failures: u32,
    /// When it was last verified.
    verified_at: Option<Timestamp>,
    /// The states that were asked for, when, and whether they came.
    asked: VecDeque<(String, Timestamp, bool)>,
    lag: Option<Duration>,
}

impl Supervision {
    /// A stream that was not heard yet.
    pub fn new(settings: Settings, proof: Proof, now: Timestamp) -> Self {
        let health = if proof == Proof::Nothing { Health::Unsupervised } else { Health::Late };
        Self {
            settings,
            proof,
            health,
            since: now,
            began: now,
            sign: None,
            counts: false,
            known: !settings.managed,
            gone: false,
            stopped: None,
            on_purpose: false,
            limits: Limits::default(),
            dark: false,
            lossy: false,
            next_recheck: now,
            next_make: now,
            next_verify: now,
            next_status: now,
            next_resume: now,
            failures: 0,
            verified_at: None,
            asked: VecDeque::new(),
            lag: None,
        }
    }

    /// How it is, and since when.
    pub fn health(&self, now: Timestamp) -> (Health, Timestamp) {
        let health = self.health_at(now);
        (health, if health == self.health { self.since } else { now })
    }

    /// The last sign of life.
    pub const fn last_sign(&self) -> Option<Timestamp> {
        self.sign
    }

    /// How long the last verification event took, from asking for it.
    pub const fn lag(&self) -> Option<Duration> {
        self.lag
    }

    /// What it should have told is not known.
    pub const fn is_dark(&self) -> bool {
        self.dark
    }

    /// What the transmitter asks, and what shows that it lives.
    pub const fn terms(&self) -> (Limits, Proof) {
        (self.limits, self.proof)
    }

    /// An authentic event came, made then. One that is older than the bound shows that somebody kept it, not that the
    /// stream lives.
    pub fn heard(&mut self, issued_at: Timestamp, now: Timestamp) {
        if now.since(issued_at) < self.settings.blind_after {
            self.lives(now);
        }
    }

    /// A verification event came with that state; false if nobody asked for it (SSF §8.1.4.1). Without a state it is the
    /// transmitter's own, and fine. Where we cannot ask, somebody else may have.
    pub fn answered(&mut self, state: Option<&str>, now: Timestamp) -> bool {
        let Some(state) = state.filter(|_| self.settings.managed) else { return true };
        self.forget_old_states(now);
        let Some((_, asked_at, came)) = self.asked.iter_mut().find(|(asked, ..)| asked == state) else { return false };
        let asked_at = *asked_at;
        // The same one may come again; the first one counts.
        if !std::mem::replace(came, true) {
            self.lag = Some(now.since(asked_at));
            self.next_verify = asked_at.plus(self.verify_every());
        }
        true
    }

    /// Whether that state was asked for and its event has come.
    pub fn has_come(&self, state: &str) -> bool {
        self.asked.iter().any(|(asked, _, came)| *came && asked == state)
    }

    /// A poll went as it should.
    pub fn polled(&mut self, now: Timestamp) {
        if self.proof == Proof::Polls {
            self.lives(now);
        }
    }

    /// The transmitter said what the stream's status is.
    pub fn told(&mut self, status: StreamStatus, now: Timestamp) {
        match status {
            StreamStatus::Enabled => {
                if self.stopped.take().is_some() {
                    // What another gateway was told may come late.
                    (self.began, self.counts, self.on_purpose) = (self.began.max(now), false, false);
                    self.next_verify = self.soonest(now);
                }
                if self.proof == Proof::Status {
                    self.lives(now);
                }
            }
            StreamStatus::Paused | StreamStatus::Disabled => {
                // Of a disabled stream nothing is kept (SSF §8.1.2).
                self.lossy |= status == StreamStatus::Disabled;
                self.stopped = Some(status);
            }
        }
    }

    /// Somebody here paused it, or deleted it.
    pub const fn stopped_on_purpose(&mut self) {
        self.on_purpose = true;
    }

    /// The transmitter has the stream; `anew` if it was made just now: what came before that it never told.
    pub fn made(&mut self, limits: Limits, proof: Proof, anew: bool, now: Timestamp) {
        if anew || self.gone {
            (self.began, self.counts, self.stopped) = (self.began.max(now), false, None);
        }
        self.lossy |= anew;
        // What somebody here stopped stays so until somebody here says otherwise.
        self.on_purpose &= self.stopped.is_some();
        (self.known, self.gone, self.failures) = (true, false, 0);
        (self.limits, self.proof) = (limits, proof);
        // A new stream has a new count.
        self.verified_at = self.verified_at.filter(|_| !anew);
        (self.next_verify, self.next_status) = (self.soonest(now), now);
    }

    /// Another gateway, which looks after it, knows that of it.
    pub fn hears_of(&mut self, limits: Limits, proof: Proof, now: Timestamp) {
        if self.known && !self.gone {
            (self.limits, self.proof) = (limits, proof);
        } else {
            self.made(limits, proof, false, now);
        }
    }

    /// Whether something may have been lost that was not made up for.
    pub const fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// What was lost before this gateway's time, others have made up for.
    pub const fn lost_only(&mut self, lossy: bool) {
        self.lossy = lossy;
    }

    /// This gateway looks after it from now on: it has to find it first, as it is by now.
    pub const fn takes_over(&mut self, now: Timestamp) {
        self.known = !self.settings.managed;
        (self.failures, self.next_make) = (0, now);
    }

    /// It could be neither found nor made.
    pub fn not_made(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let delay = Backoff::new(FIRST_DELAY, MOST_DELAY).map_or(MOST_DELAY, |delays| delays.base(self.failures));
        self.next_make = now.plus(delay);
    }

    /// The transmitter does not have it any more.
    pub fn gone(&mut self, now: Timestamp) {
        (self.gone, self.known, self.lossy) = (true, !self.settings.managed, true);
        self.next_make = now;
    }

    /// There is reason to look after it now.
    pub const fn suspect(&mut self, now: Timestamp) {
        self.next_status = now;
    }

    /// It could not be verified now: not before the next turn.
    pub fn not_verified(&mut self, now: Timestamp) {
        self.next_verify = now.plus(self.verify_every());
    }

    /// What is to be done now, one thing at a time; `state` makes up what nobody can guess.
    pub fn due(&mut self, now: Timestamp, state: impl FnOnce() -> Option<String>) -> Option<Step> {
        if !self.settings.managed {
            return None;
        }
        if !self.known {
            // What was deleted on purpose is not made; what was paused on purpose is found.
            let due = !(self.on_purpose && self.gone) && now >= self.next_make;
            if due {
                self.next_make = now.plus(FIRST_DELAY);
            }
            return due.then_some(Step::Make);
        }
        if self.stopped.is_some() && !self.on_purpose && now >= self.next_resume {
            self.next_resume = now.plus(self.verify_every());
            return Some(Step::Resume);
        }
        if now >= self.next_status {
            self.next_status = now.plus(self.status_every());
            return Some(Step::Status);
        }
        let may_verify = self.proof == Proof::Verification && self.stopped.is_none() && now >= self.next_verify;
        if may_verify { self.asks(now, state).map(Step::Verify) } else { None }
    }

    /// Makes up a state and takes note that it is asked for.
    pub fn asks(&mut self, now: Timestamp, state: impl FnOnce() -> Option<String>) -> Option<String> {
        self.forget_old_states(now);
        // Until it comes it is asked for again soon; once it has come, no sooner than it must be.
        let again = PATIENCE.max(self.limits.min_verification_interval.unwrap_or_default());
        (self.next_verify, self.verified_at) = (now.plus(again), Some(now));
        let state = state()?;
        if self.asked.len() >= MOST_STATES {
            self.asked.pop_front();
        }
        self.asked.push_back((state.clone(), now, false));
        Some(state)
    }

    /// What has become of it by now.
    pub fn judge(&mut self, now: Timestamp) -> Verdict {
        let health = self.health_at(now);
        let change = (health != self.health).then_some((self.health, health));
        if change.is_some() {
            (self.health, self.since) = (health, now);
        }
        let was_dark = self.dark;
        self.dark = match health {
            Health::Live | Health::Unsupervised | Health::Late => false,
            Health::Blind | Health::Gone => true,
            Health::Paused => was_dark || now.since(self.since) >= self.blind_after(),
        };
        let reestablish = if self.dark {
            // What is polled and was only not heard comes late, but comes.
            self.lossy |= !(self.settings.polled && health == Health::Blind);
            let due = !was_dark || now >= self.next_recheck;
            if due {
                self.next_recheck = now.plus(self.settings.recheck_every);
            }
            due
        } else {
            health != Health::Late && !matches!(health, Health::Paused) && std::mem::take(&mut self.lossy)
        };
        Verdict { change, dark: self.dark, reestablish }
    }

    fn lives(&mut self, now: Timestamp) {
        // What another gateway saw may come late.
        if now < self.began {
            return;
        }
        (self.sign, self.counts) = (self.sign.max(Some(now)), true);
        // Where nobody deleted it knowingly, it is there.
        if !self.settings.managed {
            self.gone = false;
        }
    }

    fn health_at(&self, now: Timestamp) -> Health {
        if self.gone {
            return Health::Gone;
        }
        if self.stopped.is_some() {
            return Health::Paused;
        }
        if self.proof == Proof::Nothing {
            return Health::Unsupervised;
        }
        let sign = self.sign.filter(|_| self.counts);
        let silent = now.since(sign.unwrap_or(self.began));
        match sign {
            Some(_) if silent < self.late_after() => Health::Live,
            _ if self.dark || silent >= self.blind_after() => Health::Blind,
            Some(_) | None => Health::Late,
        }
    }

    /// How often it is verified: as often as wanted, if the transmitter lets us.
    fn verify_every(&self) -> Duration {
        self.settings.verify_every.max(self.limits.min_verification_interval.unwrap_or_default())
    }

    /// When the transmitter lets us verify it again.
    fn soonest(&self, now: Timestamp) -> Timestamp {
        let least = self.limits.min_verification_interval.unwrap_or_default();
        self.verified_at.map_or(now, |at| at.plus(least).max(now))
    }

    /// How often its status is asked: it counts as a sign of us, so well within the transmitter's patience.
    fn status_every(&self) -> Duration {
        let half = self.limits.inactivity_timeout.map_or(Duration::MAX, |timeout| timeout / 2);
        self.verify_every().min(half.saturating_sub(Duration::from_secs(1))).max(SHORTEST)
    }

    /// A sign of life is good for so long.
    fn late_after(&self) -> Duration {
        self.verify_every().saturating_add(PATIENCE)
    }

    /// Silence is darkness after so long: as configured, but two questions must have had their time.
    fn blind_after(&self) -> Duration {
        self.settings.blind_after.max(self.late_after().saturating_add(PATIENCE))
    }

    fn forget_old_states(&mut self, now: Timestamp) {
        self.asked.retain(|(_, asked_at, _)| now.since(*asked_at) < REMEMBERED);
    }
}

/// How long the answer to a question for a verification event may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a state that was asked for may come: a transmitter may have a queue before it.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
/// States that are remembered: one a minute.
const MOST_STATES: usize = 64;
/// Between two questions for the status, at the least.
const SHORTEST: Duration = Duration::from_secs(1);
/// The delays after failures to make the stream.
const FIRST_DELAY: Duration = Duration::from_secs(2);
const MOST_DELAY: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests;
