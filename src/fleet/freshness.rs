//! How old what a gateway knows may be: told from its own heartbeats, by its own monotonic clock.
//!
//! A gateway sends itself a letter through the engine. When it comes back, everything that was in the log before it was sent
//! has arrived, too: the log has one order. So nobody's clock but the gateway's own matters, and a watch that is connected
//! but deaf shows at once.

use std::collections::VecDeque;
use std::time::Duration;

/// Heartbeats under way that are remembered. Of more than that, the oldest do not count any more.
const MOST: usize = 64;

/// Whether a gateway knows what the others know.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// It has not heard since its start. Up to then it may lack anything.
    CatchingUp,
    /// It knows everything that is at most as old as `stale_after`.
    Yes,
    /// It does not.
    Stale,
}

impl Fresh {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CatchingUp => "catching up",
            Self::Yes => "fresh",
            Self::Stale => "stale",
        }
    }
}

/// Watches heartbeats go and come. Moments are spans since the gateway's start.
#[derive(Debug)]
pub(super) struct Freshness {
    stale_after: Duration,
    catch_up_within: Duration,
    under_way: VecDeque<(u128, Duration)>,
    /// Everything from before this moment is known.
    as_of: Option<Duration>,
}

impl Freshness {
    pub(super) const fn new(stale_after: Duration, catch_up_within: Duration) -> Self {
        Self { stale_after, catch_up_within, under_way: VecDeque::new(), as_of: None }
    }

    /// A heartbeat is about to be sent.
    pub(super) fn sent(&mut self, nonce: u128, now: Duration) {
        if self.under_way.len() == MOST {
            self.under_way.pop_front();
        }
        self.under_way.push_back((nonce, now));
    }

    /// A heartbeat came. False if it is none of ours that is under way: an old one again, or one of an earlier life.
    pub(super) fn came(&mut self, nonce: u128) -> bool {
        let Some(at) = self.under_way.iter().position(|(known, _)| *known == nonce) else { return false };
        // What was sent before it came before it or never will.
        let Some((_, sent)) = self.under_way.drain(..=at).next_back() else { return false };
        self.as_of = self.as_of.max(Some(sent));
        true
    }

    /// How old the newest thing may be that is not known here; `None` before the first heartbeat came.
    pub(super) fn age(&self, now: Duration) -> Option<Duration> {
        self.as_of.map(|as_of| now.saturating_sub(as_of))
    }

    /// Whether the gateway knows what the others know.
    pub(super) fn at(&self, now: Duration) -> Fresh {
        match self.age(now) {
            Some(age) if age <= self.stale_after => Fresh::Yes,
            None if now <= self.catch_up_within => Fresh::CatchingUp,
            Some(_) | None => Fresh::Stale,
        }
    }

    /// True if the watch should have brought a heartbeat by now: it may be deaf, whatever it says itself.
    pub(super) fn is_overdue(&self, since: Duration, now: Duration, patience: Duration) -> bool {
        let heard = self.as_of.unwrap_or_default().max(since);
        self.under_way.front().is_some_and(|(_, sent)| now.saturating_sub((*sent).max(heard)) > patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn freshness() -> Freshness {
        Freshness::new(s(10), s(60))
    }

    #[test]
    fn what_counts_is_when_a_heartbeat_was_sent_not_when_it_came() {
        let mut it = freshness();
        it.sent(1, s(5));
        assert!(it.came(1));
        assert_eq!((it.at(s(15)), it.at(s(16))), (Fresh::Yes, Fresh::Stale));
        assert_eq!(it.age(s(12)), Some(s(7)));
        it.sent(2, s(20));
        assert_eq!(it.at(s(29)), Fresh::Stale, "under way is not there");
        assert!(it.came(2));
        assert_eq!(it.at(s(29)), Fresh::Yes, "it heals");
    }

    #[test]
    fn a_start_that_never_ends_is_staleness() {
        let mut it = freshness();
        assert_eq!((it.at(s(60)), it.at(s(61))), (Fresh::CatchingUp, Fresh::Stale));
        it.sent(1, s(70));
        assert!(it.came(1));
        assert_eq!(it.at(s(71)), Fresh::Yes);
    }

    #[test]
    fn a_heartbeat_counts_once_and_only_ours() {
        let mut it = freshness();
        it.sent(1, s(1));
        it.sent(2, s(2));
        assert!(!it.came(3), "somebody else's");
        assert!(it.came(2));
        assert!(!it.came(2), "again");
        assert!(!it.came(1), "one that was overtaken");
        assert_eq!(it.age(s(2)), Some(s(0)));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut it = freshness();
        for nonce in 0..1_000 {
            it.sent(nonce, s(1));
        }
        assert_eq!(it.under_way.len(), MOST);
        assert!(!it.came(0) && it.came(999));
        assert_eq!(it.under_way.len(), 0);
    }

    #[test]
    fn a_watch_that_brings_nothing_is_overdue() {
        let mut it = freshness();
        assert!(!it.is_overdue(s(0), s(100), s(3)), "nothing is under way");
        it.sent(1, s(100));
        assert!(!it.is_overdue(s(0), s(103), s(3)));
        assert!(it.is_overdue(s(0), s(104), s(3)));
        assert!(!it.is_overdue(s(102), s(104), s(3)), "the watch is a new one");
        assert!(it.is_overdue(s(102), s(106), s(3)));
    }
}
