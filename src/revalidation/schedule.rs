//! Which session is asked about next, and not before when: pure, on a clock of milliseconds that never goes back.
//!
//! Two promises. No more calls begin within any second than are allowed, and they do not come in bursts. And as long as half of what is allowed suffices
//! for all sessions, each is asked about at least once per interval: the first time after any part of it, so that many that
//! signed in together come apart, and then a little early each time, so that whoever has to wait for their turn still
//! comes in time.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// The span in which calls are counted.
const SECOND: u64 = 1_000;
/// How late a call may begin without those behind it beginning later, too.
const SLACK: u64 = 100;

/// Who is asked about when. A key that was taken is not due again before it is put back.
#[derive(Debug)]
pub struct Schedule<K> {
    /// In milliseconds.
    every: u64,
    per_second: usize,
    due: BTreeSet<(u64, K)>,
    /// INVARIANT: the same pairs as in `due`.
    when: HashMap<K, u64>,
    /// When the last calls began, oldest first; as many as may begin in one second.
    begun: VecDeque<u64>,
    /// When the next call may begin, for the sake of an even pace.
    slot: u64,
    /// Nothing begins before that.
    pause: u64,
}

impl<K: Copy + Ord + Hash> Schedule<K> {
    /// Nobody is asked about yet.
    pub fn new(every: Duration, per_second: usize) -> Self {
        Self {
            every: millis(every).max(1),
            per_second: per_second.max(1),
            due: BTreeSet::new(),
            when: HashMap::new(),
            begun: VecDeque::new(),
            slot: 0,
            pause: 0,
        }
    }

    /// Puts in `key`, last asked about `ago`. `random` spreads those that come together.
    pub fn add(&mut self, key: K, ago: Duration, now: u64, random: u32) {
        let first = share(self.every, random) / 10 * 9;
        self.put(key, now.saturating_add(first.saturating_sub(millis(ago))));
    }

    /// Puts back `key`, just asked about, for the next time.
    pub fn again(&mut self, key: K, now: u64, random: u32) {
        let early = self.every / 10 + share(self.every / 10, random);
        self.put(key, now.saturating_add(self.every - early));
    }

    /// Puts back `key`, to be asked about that much later.
    pub fn later(&mut self, key: K, delay: Duration, now: u64) {
        self.put(key, now.saturating_add(millis(delay)));
    }

    /// Takes out `key`.
    pub fn remove(&mut self, key: &K) {
        if let Some(when) = self.when.remove(key) {
            self.due.remove(&(when, *key));
        }
    }

    /// Lets nothing begin for that long.
    pub fn pause(&mut self, span: Duration, now: u64) {
        self.pause = self.pause.max(now.saturating_add(millis(span)));
    }

    /// Whom to ask about now, if anybody is due and another call may begin; the call counts as begun.
    pub fn take(&mut self, now: u64) -> Option<K> {
        if self.wait(now) != Some(Duration::ZERO) {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.when.remove(&key);
        let gap = SECOND / u64::try_from(self.per_second).unwrap_or(SECOND);
        self.slot = self.slot.max(now.saturating_sub(SLACK)).saturating_add(gap);
        self.begun.push_back(now);
        while self.begun.len() > self.per_second {
            self.begun.pop_front();
        }
        Some(key)
    }

    /// How long until somebody can be taken; `None` while nobody is there.
    pub fn wait(&self, now: u64) -> Option<Duration> {
        let (due, _) = self.due.first()?;
        let room = match self.begun.front() {
            Some(oldest) if self.begun.len() >= self.per_second => oldest.saturating_add(SECOND),
            Some(_) | None => 0,
        };
        Some(Duration::from_millis((*due).max(room).max(self.slot).max(self.pause).saturating_sub(now)))
    }

    fn put(&mut self, key: K, when: u64) {
        self.remove(&key);
        self.due.insert((when, key));
        self.when.insert(key, when);
    }
}

/// Milliseconds of a span.
fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The part of `whole` that chance gives.
fn share(whole: u64, random: u32) -> u64 {
    let part = u128::from(whole) * u128::from(random) / u128::from(u32::MAX);
    u64::try_from(part).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::tests::Xorshift;

    fn chance(random: &mut Xorshift) -> u32 {
        u32::try_from(random.below(u32::MAX as usize + 1)).expect("32 bits")
    }

    /// Runs a schedule as its engine does, with answers that take their time, and gives when each call began.
    fn run(every: u64, per_second: usize, sessions: u32, at_once: bool, spans: u64, seed: u64) -> Vec<(u64, u32)> {
        println!("seed {seed:#x}");
        let mut random = Xorshift(seed);
        let mut schedule = Schedule::new(Duration::from_millis(every), per_second);
        let (mut now, mut calls, mut under_way) = (0, Vec::new(), BTreeSet::new());
        for session in 0..sessions {
            let ago = if at_once { 0 } else { random.below(usize::try_from(every).expect("small")) as u64 };
            schedule.add(session, Duration::from_millis(ago), 0, chance(&mut random));
        }
        while now < spans * every {
            while let Some(session) = schedule.take(now) {
                calls.push((now, session));
                under_way.insert((now + 1 + random.below(50) as u64, session));
            }
            let wait = schedule.wait(now).map(|wait| now + u64::try_from(wait.as_millis()).expect("small"));
            let answer = under_way.first().map(|(at, _)| *at);
            now = wait.into_iter().chain(answer).min().expect("somebody is there").max(now);
            while under_way.first().is_some_and(|(at, _)| *at <= now) {
                let (_, session) = under_way.pop_first().expect("an answer");
                schedule.again(session, now, chance(&mut random));
            }
        }
        calls
    }

    /// The most calls that began within any second.
    fn busiest(calls: &[(u64, u32)]) -> usize {
        let within =
            |(i, (begin, _)): (usize, &(u64, u32))| calls[i..].iter().take_while(|c| c.0 < begin + 1_000).count();
        calls.iter().enumerate().map(within).max().unwrap_or(0)
    }

    #[test]
    fn no_second_has_more_calls_than_allowed_however_many_are_due() {
        for (every, per_second, sessions, at_once) in
            [(10_000, 3, 5_000, true), (10_000, 20, 1_000, true), (60_000, 1, 100, false), (2_000, 50, 40, true)]
        {
            for seed in [0x9e37_79b9, 0xdead_beef, 7] {
                let calls = run(every, per_second, sessions, at_once, 6, seed);
                assert!(busiest(&calls) <= per_second, "{sessions} sessions, {per_second} a second");
                assert!(calls.len() > 6, "something is asked");
            }
        }
    }

    #[test]
    fn each_session_is_asked_about_once_per_interval_while_half_of_the_calls_suffice() {
        for (every, per_second, sessions, at_once) in
            [(300_000, 20, 1_000, true), (300_000, 20, 3_000, true), (100_000, 20, 1_000, false), (60_000, 1, 30, true)]
        {
            for seed in [0x9e37_79b9, 0xdead_beef, 7] {
                let mut last: HashMap<u32, u64> = (0..sessions).map(|session| (session, 0)).collect();
                let spans = 10;
                for (at, session) in run(every, per_second, sessions, at_once, spans, seed) {
                    let before = last.insert(session, at).expect("a session");
                    assert!(at - before <= every, "{session} waited {} ms of {every}", at - before);
                }
                let end = spans * every;
                assert!(last.values().all(|at| end - at <= every), "somebody was forgotten");
            }
        }
    }

    #[test]
    fn many_that_signed_in_together_are_spread_over_the_interval() {
        let calls = run(300_000, 1_000, 1_000, true, 5, 0x9e37_79b9);
        let most = busiest(&calls);
        assert!(most <= 20, "{most} of a thousand in one second of three hundred");
        // Nor do they come in bursts where there are as many as may be.
        let calls = run(10_000, 40, 1_000, true, 5, 0x9e37_79b9);
        let within = |span: u64| {
            let begins =
                |(i, call): (usize, &(u64, u32))| calls[i..].iter().take_while(|c| c.0 < call.0 + span).count();
            calls.iter().enumerate().map(begins).max().unwrap_or(0)
        };
        assert!(within(100) <= 9, "{} in a tenth of a second", within(100));
    }

    #[test]
    fn who_is_under_way_is_not_due_and_a_pause_is_kept() {
        let mut schedule = Schedule::new(Duration::from_secs(10), 5);
        let all = u32::MAX;
        schedule.add('a', Duration::from_secs(60), 0, all);
        assert_eq!((schedule.take(0), schedule.take(0), schedule.wait(0)), (Some('a'), None, None));
        schedule.later('a', Duration::from_secs(2), 0);
        schedule.later('b', Duration::from_secs(1), 0);
        schedule.pause(Duration::from_secs(5), 0);
        schedule.pause(Duration::from_secs(1), 0);
        assert_eq!((schedule.take(4_999), schedule.wait(4_999)), (None, Some(Duration::from_millis(1))));
        assert_eq!((schedule.take(5_000), schedule.take(5_000), schedule.take(5_100)), (Some('b'), None, Some('a')));
        schedule.again('a', 5_100, all);
        schedule.remove(&'a');
        schedule.remove(&'z');
        assert_eq!(schedule.wait(5_100), None);
        // The earliest and the latest of the next time.
        for (random, expected) in [(0, 9_000), (all, 8_000)] {
            schedule.again('a', 0, random);
            assert_eq!(schedule.wait(0), Some(Duration::from_millis(expected)));
        }
    }
}
