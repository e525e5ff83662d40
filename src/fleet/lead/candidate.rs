//! When the engine is asked who leads, and until when its answer holds, without the asking. Moments are spans since the
//! gateway's start.

use std::time::Duration;

use super::Role;
use crate::fleet::Fence;

/// Questions in a term. Whoever has waited sees within one of them that the leader's word has stopped, and takes over
/// within another: with the term itself, that is less than two terms.
const IN_A_TERM: u32 = 4;
/// Terms in which one who could not do what it led leaves it to others.
const REST: u32 = 2;

/// A gateway that would lead.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    term: Duration,
    /// It leads until then.
    held: Option<(Fence, Duration)>,
    /// Another leads, or would have, until then.
    theirs: Duration,
    next: Duration,
    /// It leaves it to others until then.
    rests: Duration,
    /// Since when what it leads has not gone well once.
    failing: Option<Duration>,
    gives_back: bool,
}

impl Candidate {
    /// One that has not asked yet: for a term it is believed that another leads.
    pub(super) const fn new(term: Duration, now: Duration) -> Self {
        let theirs = now.saturating_add(term);
        Self { term, held: None, theirs, next: now, rests: now, failing: None, gives_back: false }
    }

    /// When the engine is to be asked.
    pub(super) const fn next(&self) -> Duration {
        self.next
    }

    /// What it answered to a question that was begun at that moment; an error says nothing. `random` keeps gateways apart.
    pub(super) fn answered(&mut self, began: Duration, answer: Result<Option<Fence>, ()>, now: Duration, random: u32) {
        let pause = self.term / IN_A_TERM;
        match answer {
            // It was under way when this gateway stood back.
            _ if now < self.rests => return,
            Ok(Some(fence)) => {
                self.held = Some((fence, began.saturating_add(self.term)));
                self.next = began.saturating_add(pause);
            }
            Ok(None) => {
                (self.held, self.failing) = (None, None);
                self.theirs = began.saturating_add(self.term);
                self.next = now.saturating_add(pause).saturating_sub(pause.mul_f64(f64::from(random % 256) / 1_024.0));
            }
            Err(()) => self.next = now.saturating_add(pause / 2),
        }
        self.next = self.next.max(now);
    }

    /// Who leads.
    pub(super) fn role(&self, now: Duration) -> Role {
        match self.held {
            Some((fence, until)) if now < until => Role::Leader(fence),
            Some(_) | None if now < self.theirs => Role::Follower,
            Some(_) | None => Role::Unled,
        }
    }

    /// What this gateway leads went well, or did not. Where it does not for a term, another may be able to: then the lease
    /// is to be given back.
    pub(super) fn went(&mut self, well: bool, now: Duration) {
        if well || !matches!(self.role(now), Role::Leader(_)) {
            self.failing = None;
            return;
        }
        let since = *self.failing.get_or_insert(now);
        if now.saturating_sub(since) < self.term {
            return;
        }
        self.stands_back(now.saturating_add(self.term * REST));
    }

    fn stands_back(&mut self, until: Duration) {
        (self.held, self.failing, self.gives_back) = (None, None, true);
        (self.rests, self.next) = (until, until);
        self.theirs = until.saturating_add(self.term / IN_A_TERM);
    }

    /// It ends.
    pub(super) fn ends(&mut self) {
        self.stands_back(Duration::MAX);
    }

    /// True once if the lease is to be given back.
    pub(super) fn gives_back(&mut self) -> bool {
        std::mem::take(&mut self.gives_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Duration = Duration::from_secs(8);

    #[derive(Copy, Clone, Debug)]
    enum Happens {
        Nothing,
        /// The engine says that it is ours; asked so many seconds before.
        Ours(u64),
        Theirs(u64),
        NoAnswer,
        Well,
        Badly,
    }

    /// A moment, what happens, who leads then, when the engine is asked next.
    type Row = (u64, Happens, Role, u64);

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn goes(name: &str, rows: &[Row]) -> Candidate {
        let mut it = Candidate::new(TERM, s(0));
        for (second, happens, role, next) in rows {
            let now = s(*second);
            match *happens {
                Happens::Nothing => {}
                Happens::Ours(before) => it.answered(s(second - before), Ok(Some(Fence(7))), now, 0),
                Happens::Theirs(before) => it.answered(s(second - before), Ok(None), now, 0),
                Happens::NoAnswer => it.answered(now, Err(()), now, 0),
                Happens::Well => it.went(true, now),
                Happens::Badly => it.went(false, now),
            }
            assert_eq!((it.role(now), it.next()), (*role, s(*next)), "{name}: {happens:?} after {second} s");
        }
        it
    }

    #[test]
    fn who_leads_and_until_when_is_known_at_every_moment() {
        use Happens::{NoAnswer, Nothing, Ours, Theirs};
        use Role::{Follower, Unled};
        let leads = Role::Leader(Fence(7));
        goes(
            "a leader that keeps it, and is cut off",
            &[
                (0, Nothing, Follower, 0),
                (1, Ours(1), leads, 2),
                (2, Ours(0), leads, 4),
                (4, NoAnswer, leads, 5),
                (9, Nothing, leads, 5),
                (10, Nothing, Unled, 5),
                (12, Ours(1), leads, 13),
            ],
        );
        goes(
            "what counts is when a question began",
            &[(7, Ours(7), leads, 7), (8, Nothing, Unled, 7), (9, Theirs(9), Unled, 11)],
        );
        goes(
            "another's, until nobody can tell",
            &[
                (0, Theirs(0), Follower, 2),
                (2, Theirs(0), Follower, 4),
                (4, NoAnswer, Follower, 5),
                (9, NoAnswer, Follower, 10),
                (10, Nothing, Unled, 10),
                (11, Theirs(0), Follower, 13),
            ],
        );
        goes(
            "no engine at the start",
            &[(0, NoAnswer, Follower, 1), (7, NoAnswer, Follower, 8), (8, NoAnswer, Unled, 9)],
        );
        goes("it went to another", &[(0, Ours(0), leads, 2), (2, Theirs(0), Follower, 4)]);
    }

    #[test]
    fn who_cannot_do_what_it_leads_gives_it_back_and_leaves_it_to_others_for_a_while() {
        use Happens::{Badly, Nothing, Ours, Theirs, Well};
        use Role::{Follower, Unled};
        let leads = Role::Leader(Fence(7));
        let mut it = goes(
            "cut off from the transmitter",
            &[
                (0, Ours(0), leads, 2),
                (1, Badly, leads, 2),
                (2, Ours(0), leads, 4),
                (6, Badly, leads, 4),
                (7, Well, leads, 4),
                (8, Badly, leads, 4),
                (8, Ours(0), leads, 10),
                (15, Badly, leads, 10),
                (15, Ours(0), leads, 17),
                (16, Badly, Follower, 32),
                (17, Ours(2), Follower, 32),
                (31, Theirs(0), Follower, 32),
                (32, Nothing, Follower, 32),
                (34, Nothing, Unled, 32),
                (34, Ours(0), leads, 36),
            ],
        );
        assert!(it.gives_back() && !it.gives_back(), "once");
        let mut it = goes("one that follows fails at nothing", &[(0, Theirs(0), Follower, 2), (9, Badly, Unled, 2)]);
        assert!(!it.gives_back());
        it.ends();
        assert!(it.gives_back() && it.role(s(1_000_000)) == Follower, "for ever");
    }

    #[test]
    fn gateways_that_follow_do_not_ask_all_at_once() {
        let next = |random| {
            let mut it = Candidate::new(TERM, s(0));
            it.answered(s(0), Ok(None), s(0), random);
            it.next()
        };
        assert!(next(0) == TERM / 4 && next(255) < next(0) && next(u32::MAX) > TERM / 8);
    }
}
