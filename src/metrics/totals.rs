//! What was counted since the start, over all labels, for people who watch.

use prometheus::IntCounterVec;
use prometheus::core::Collector as _;

use super::{Metrics, Recorded};

/// Reasons for which a request is not let through that are everyday: somebody has to sign in.
const EVERYDAY: [&str; 4] = ["login_required", "session_expired", "token_required", "revalidation_required"];

/// What was counted since the start.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests answered.
    pub requests: u64,
    /// Requests that were refused; who only had to sign in is not among them.
    pub refused: u64,
    /// Revocations put in force, those of the ledger's replay aside.
    pub revocations: u64,
    /// Exchanges that were ended.
    pub cut: u64,
}

impl Metrics {
    /// What was counted since the start.
    pub fn totals(&self) -> Totals {
        Totals {
            requests: sum(&self.requests, |_| true),
            refused: sum(&self.blocked, |reason| !EVERYDAY.contains(&reason)),
            revocations: sum(&self.revocations, |label| label != Recorded::Replayed.word()),
            cut: sum(&self.cut, |_| true),
        }
    }
}

/// The sum of those counters all of whose label values are wanted.
#[expect(clippy::cast_possible_truncation, reason = "a counter is a whole number that was given out as a float")]
fn sum(counters: &IntCounterVec, wanted: impl Fn(&str) -> bool) -> u64 {
    let families = counters.collect();
    let counted = families.iter().flat_map(|family| family.get_metric());
    let wanted = counted.filter(|metric| metric.get_label().iter().all(|label| wanted(label.value())));
    wanted.map(|metric| metric.get_counter().get_value() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::{Mode, Origin};

    #[test]
    fn what_is_everyday_and_what_was_replayed_is_not_counted() {
        let metrics = Metrics::new();
        for reason in ["login_required", "session_revoked", "session_revoked", "on_hold"] {
            metrics.request_blocked(reason);
        }
        metrics.revoked(&Origin::Operator, Mode::Hold, Recorded::Durable);
        metrics.revoked(&Origin::Operator, Mode::Terminate, Recorded::Heard);
        metrics.replayed("operator", Mode::Terminate, 7);
        assert_eq!(metrics.totals(), Totals { refused: 3, revocations: 2, ..Totals::default() });
    }
}
