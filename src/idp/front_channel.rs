//! How many front-channel logouts of one IdP are taken.
//!
//! Anybody can ask for one, and each becomes a revocation that is kept for as long as a session may live: unbounded,
//! strangers would fill memory and disk. So a gateway takes [`BURST`] at once and [`PER_SECOND`] after that, whoever
//! asks; by client they would not be bounded at all, an address costs strangers nothing.

use std::sync::{Mutex, PoisonError};

use super::Idp;
use crate::time::Timestamp;

/// Logouts that are taken at once.
const BURST: u64 = 100;
/// Logouts that are taken each second when the burst is used up. In twelve hours, the usual life of a session, these are
/// 216,000 subjects: a few per cent of what the gateway has room for.
const PER_SECOND: u64 = 5;

/// What is left to take.
#[derive(Debug)]
pub(super) struct Allowance(Mutex<Left>);

#[derive(Debug)]
struct Left {
    logouts: u64,
    /// When it was last added to.
    since: Timestamp,
}

impl Default for Allowance {
    fn default() -> Self {
        Self(Mutex::new(Left { logouts: BURST, since: Timestamp::from_secs(0) }))
    }
}

impl Allowance {
    /// Takes one, if one is left.
    fn take(&self, now: Timestamp) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now > left.since {
            let earned = now.since(left.since).as_secs().saturating_mul(PER_SECOND);
            left.logouts = left.logouts.saturating_add(earned).min(BURST);
            left.since = now;
        }
        let taken = left.logouts > 0;
        left.logouts = left.logouts.saturating_sub(1);
        taken
    }
}

impl Idp {
    /// Whether browsers may bring its front-channel logouts.
    pub const fn takes_front_channel_logouts(&self) -> bool {
        self.settings.frontchannel_logout
    }

    /// Whether one more front-channel logout is taken now; it counts as taken.
    pub fn takes_one_more_front_channel_logout(&self) -> bool {
        self.front_channel.take(self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_a_few_each_second() {
        let at = |secs: u64| Timestamp::from_secs(1_700_000_000 + secs);
        let allowance = Allowance::default();
        let taken = |now: Timestamp| std::iter::repeat_with(|| allowance.take(now)).take_while(|taken| *taken).count();
        for (what, second, expected) in [
            ("the burst", 0, 100),
            ("nothing more in its second", 0, 0),
            ("a second later", 1, 5),
            ("four later", 5, 20),
            ("a clock that went back earns nothing", 3, 0),
            ("never more than the burst", 100_000, 100),
        ] {
            assert_eq!(taken(at(second)), expected, "{what}");
        }
    }
}
