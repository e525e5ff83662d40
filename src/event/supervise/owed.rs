//! What the gateway that leads should tell everybody, and what becomes of it if that one dies before it has.

use std::time::Duration;

use crate::time::Timestamp;

/// Doubts about what a dark stream did not tell. One gateway tells them for all.
#[derive(Clone, Debug, Default)]
pub struct Owed {
    since: Option<Timestamp>,
    told: Option<Timestamp>,
}

impl Owed {
    /// Another gateway told them.
    pub const fn others(&mut self, now: Timestamp) {
        (self.since, self.told) = (None, Some(now));
    }

    /// Whether this gateway has to tell them now. They are `due` at this moment, or were; it `acts` for the fleet, or
    /// follows. Within `patience` somebody acts.
    pub fn falls_to_us(&mut self, due: bool, acts: bool, patience: Duration, now: Timestamp) -> bool {
        if due && !acts && self.told.is_none_or(|told| now.since(told) >= patience) {
            self.since = Some(now);
        }
        // Who acted all that time saw no reason.
        self.since = self.since.filter(|since| now.since(*since) < patience);
        acts && (self.since.take().is_some() || due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_are_told_by_whoever_leads_or_comes_after_them_and_once() {
        enum Happens {
            Due,
            Nothing,
            Told,
        }
        use Happens::{Due, Nothing, Told};
        let at = |second: u64| Timestamp::from_secs(1_000 + second);
        let patience = Duration::from_secs(20);
        for (name, rows) in [
            ("the leader", vec![(0, Due, true, true), (1, Nothing, true, false)]),
            ("one that follows", vec![(0, Due, false, false), (0, Told, false, false), (5, Nothing, true, false)]),
            ("the leader was faster", vec![(0, Told, false, false), (1, Due, false, false), (9, Nothing, true, false)]),
            ("the leader died", vec![(0, Due, false, false), (9, Nothing, true, true), (10, Nothing, true, false)]),
            (
                "the leader saw no reason",
                vec![(0, Due, false, false), (20, Nothing, false, false), (21, Nothing, true, false)],
            ),
            ("the next time", vec![(0, Told, false, false), (20, Due, false, false), (21, Nothing, true, true)]),
            ("due while it takes over", vec![(0, Due, false, false), (1, Due, true, true), (2, Nothing, true, false)]),
        ] {
            let mut owed = Owed::default();
            for (second, happens, acts, falls) in rows {
                if matches!(happens, Told) {
                    owed.others(at(second));
                }
                let found = owed.falls_to_us(matches!(happens, Due), acts, patience, at(second));
                assert_eq!(found, falls, "{name} after {second} s");
            }
        }
    }
}
