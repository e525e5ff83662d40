//! How many people one sender may revoke in a minute (law 7). What goes beyond is not lost: it awaits approval.

use std::collections::HashMap;
use std::time::Duration;

use crate::revocation::{Revocation, Whom};
use crate::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

/// Whom one sender has revoked within the last minute. Never more than it may, so that this is its bound, too.
#[derive(Debug)]
pub struct Rate {
    per_minute: usize,
    recent: HashMap<Whom, Timestamp>,
}

/// Revocations, by whether they stay within a rate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rated {
    /// To be put in force.
    pub within: Vec<Revocation>,
    /// To await approval.
    pub beyond: Vec<Revocation>,
}

impl Rate {
    /// So many people in a minute.
    pub fn new(per_minute: usize) -> Self {
        Self { per_minute, recent: HashMap::new() }
    }

    /// Tells `revocations` that stay within the rate from those that do not. The same people again within a minute count
    /// once: an IdP that says by three events that one person is over has revoked one.
    pub fn rate(&mut self, revocations: Vec<Revocation>, now: Timestamp) -> Rated {
        self.recent.retain(|_, at| now.since(*at) < MINUTE);
        let mut rated = Rated::default();
        for revocation in revocations {
            if self.recent.contains_key(&revocation.whom) {
                rated.within.push(revocation);
            } else if self.recent.len() < self.per_minute {
                self.recent.insert(revocation.whom.clone(), now);
                rated.within.push(revocation);
            } else {
                rated.beyond.push(revocation);
            }
        }
        rated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Issuer, Target, TargetKind};
    use crate::revocation::{Mode, Origin, Reach};

    fn of(user: &str) -> Revocation {
        let issuer = Issuer::parse("https://idp.example.com").expect("issuer");
        Revocation {
            whom: Whom::all_of(vec![Target::new(&issuer, TargetKind::User, user).expect("target")]).expect("whom"),
            reach: Reach::All,
            mode: Mode::Terminate,
            cut_off: Timestamp::ZERO,
            origin: Origin::Operator,
            reason: None,
            said: Default::default(),
            received_at: Timestamp::ZERO,
        }
    }

    #[test]
    fn beyond_the_rate_nothing_is_in_force_and_nothing_is_lost() {
        let mut rate = Rate::new(2);
        for (second, users, within) in [
            (0, &["ann"][..], 1),
            (10, &["ann", "bob", "eve"], 2),
            (20, &["eve", "ann"], 1),
            (59, &["eve"], 0),
            // Ann's minute is over.
            (60, &["eve"], 1),
            (61, &["ann"], 0),
            (70, &["ann", "bob"], 1),
            (1_000, &["ann", "bob", "eve", "ben"], 2),
        ] {
            let all: Vec<_> = users.iter().map(|user| of(user)).collect();
            let rated = rate.rate(all.clone(), Timestamp::from_secs(1_000 + second));
            assert_eq!(rated.within.len(), within, "second {second}: {users:?}");
            assert_eq!(rated.within.len() + rated.beyond.len(), users.len(), "second {second}");
            assert!(all.iter().all(|one| rated.within.contains(one) || rated.beyond.contains(one)));
        }
    }
}
