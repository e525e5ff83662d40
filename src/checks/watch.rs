//! Who is checked, when, and how it went: everything that changes while checks run.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::ledger::Kept;
use crate::revalidation::Schedule;
use crate::session::SessionId;
use crate::time::Timestamp;

/// What there is to say about the checks of one IdP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Sessions that are checked in the background.
    pub live: usize,
    /// Of these, the ones that the IdP did not speak for within the interval.
    pub overdue: usize,
    /// Answers with a verdict since the start.
    pub checked: u64,
    /// Of these, refusals.
    pub refused: u64,
    /// When a verdict last came.
    pub last_verdict_at: Option<Timestamp>,
    /// Why none comes at the moment.
    pub trouble: Option<String>,
}

/// A session that is checked.
#[derive(Copy, Clone, Debug)]
pub(super) struct Live {
    pub(super) checked_at: Timestamp,
    pub(super) seen_at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) in_doubt: bool,
    /// Checks without verdict since the last one with.
    pub(super) failures: u32,
}

#[derive(Debug)]
pub(super) struct Watch {
    live: HashMap<SessionId, Live>,
    schedule: Schedule<SessionId>,
    /// Used, and not written down yet.
    used: HashSet<SessionId>,
    /// What was said already.
    said: HashSet<&'static str>,
    state: State,
}

impl Watch {
    pub(super) fn new(every: Duration, calls_per_second: usize) -> Self {
        Self {
            live: HashMap::new(),
            schedule: Schedule::new(every, calls_per_second),
            used: HashSet::new(),
            said: HashSet::new(),
            state: State::default(),
        }
    }

    pub(super) fn add(&mut self, kept: Kept, ago: Duration, now: u64, random: u32) {
        let Kept { session, checked_at, seen_at, ends_at, in_doubt } = kept;
        self.live.insert(session, Live { checked_at, seen_at, ends_at, in_doubt, failures: 0 });
        self.schedule.add(session, ago, now, random);
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    pub(super) fn live(&self, session: SessionId) -> Option<Live> {
        self.live.get(&session).copied()
    }

    pub(super) fn take(&mut self, now: u64) -> Option<SessionId> {
        self.schedule.take(now)
    }

    pub(super) fn wait(&self, now: u64) -> Option<Duration> {
        self.schedule.wait(now)
    }

    pub(super) fn pause(&mut self, span: Duration, now: u64) {
        self.schedule.pause(span, now);
    }

    pub(super) fn again(&mut self, session: SessionId, live: Live, now: u64, random: u32) {
        if self.update(session, live) {
            self.schedule.again(session, now, random);
        }
    }

    pub(super) fn later(&mut self, session: SessionId, live: Live, delay: Duration, now: u64) {
        if self.update(session, live) {
            self.schedule.later(session, delay, now);
        }
    }

    /// What a check found out. When the session was used is known better here.
    fn update(&mut self, session: SessionId, live: Live) -> bool {
        let Some(known) = self.live.get_mut(&session) else { return false };
        *known = Live { seen_at: known.seen_at.max(live.seen_at), ..live };
        true
    }

    pub(super) fn forget(&mut self, session: SessionId) {
        self.live.remove(&session);
        self.used.remove(&session);
        self.schedule.remove(&session);
    }

    /// Notes use, not more often than `often`.
    pub(super) fn seen(&mut self, session: SessionId, now: Timestamp, often: Duration) {
        if let Some(live) = self.live.get_mut(&session)
            && now.since(live.seen_at) >= often
        {
            live.seen_at = now;
            self.used.insert(session);
        }
    }

    /// What was used since this was last asked.
    pub(super) fn used(&mut self) -> Vec<(SessionId, Timestamp)> {
        let used = std::mem::take(&mut self.used);
        used.into_iter().filter_map(|session| Some((session, self.live.get(&session)?.seen_at))).collect()
    }

    /// Notes how a call went; true if that is news.
    pub(super) fn answered(&mut self, trouble: Option<String>, refused: bool, now: Timestamp) -> bool {
        if trouble.is_none() {
            self.state.checked += 1;
            self.state.refused += u64::from(refused);
            self.state.last_verdict_at = Some(now);
        }
        let news = trouble != self.state.trouble;
        self.state.trouble = trouble;
        news
    }

    /// True the first time.
    pub(super) fn is_news(&mut self, what: &'static str) -> bool {
        self.said.insert(what)
    }

    pub(super) fn state(&self, now: Timestamp, every: Duration) -> State {
        let overdue = self.live.values().filter(|live| now.since(live.checked_at) > every).count();
        State { live: self.live.len(), overdue, ..self.state.clone() }
    }
}
