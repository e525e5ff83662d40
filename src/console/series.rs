//! The last quarter of an hour in numbers: what the console draws.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::metrics::Totals;
use crate::time::Timestamp;

/// How often is counted.
pub(super) const EVERY: Duration = Duration::from_secs(2);
/// Samples that are kept: a quarter of an hour. It is for seeing what happens, not what happened last week.
const KEPT: usize = 450;
/// Samples of one minute.
const MINUTE: usize = 30;

/// What happened between one look and the next.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Sample {
    /// When it was looked.
    pub(super) at: Timestamp,
    /// Exchanges in flight at that moment.
    pub(super) exchanges: usize,
    /// Requests answered since the look before.
    pub(super) requests: u64,
    /// Requests refused.
    pub(super) refused: u64,
    /// Revocations put in force.
    pub(super) revocations: u64,
    /// Exchanges ended.
    pub(super) cut: u64,
}

/// The samples, the oldest first. Bounded: the oldest goes.
#[derive(Debug, Default)]
pub(super) struct Series {
    samples: VecDeque<Sample>,
    before: Option<Totals>,
}

impl Series {
    /// Takes a look: what was counted so far, and what is in flight.
    pub(super) fn look(&mut self, at: Timestamp, totals: Totals, exchanges: usize) -> Sample {
        // The first look has nothing to compare with.
        let before = self.before.replace(totals).unwrap_or(totals);
        let sample = Sample {
            at,
            exchanges,
            requests: totals.requests.saturating_sub(before.requests),
            refused: totals.refused.saturating_sub(before.refused),
            revocations: totals.revocations.saturating_sub(before.revocations),
            cut: totals.cut.saturating_sub(before.cut),
        };
        if self.samples.len() >= KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        sample
    }

    /// All samples.
    pub(super) fn all(&self) -> Vec<Sample> {
        self.samples.iter().copied().collect()
    }

    /// What happened in the last minute, with what is in flight now.
    pub(super) fn minute(&self) -> Sample {
        self.samples.iter().rev().take(MINUTE).rev().fold(Sample::default(), |all, one| Sample {
            at: one.at,
            exchanges: one.exchanges,
            requests: all.requests + one.requests,
            refused: all.refused + one.refused,
            revocations: all.revocations + one.revocations,
            cut: all.cut + one.cut,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_what_happened_since_the_one_before_and_the_oldest_goes() {
        let mut series = Series::default();
        let totals = |revocations| Totals { revocations, ..Totals::default() };
        for (second, (count, expected)) in [(7, 0), (7, 0), (9, 2), (3, 0), (4, 1)].into_iter().enumerate() {
            let sample = series.look(Timestamp::from_secs(second as u64), totals(count), second);
            assert_eq!((sample.revocations, sample.exchanges), (expected, second));
        }
        assert_eq!(
            series.minute(),
            Sample { at: Timestamp::from_secs(4), exchanges: 4, revocations: 3, ..Sample::default() }
        );
        for second in 0..1_000 {
            series.look(Timestamp::from_secs(second), totals(second), 0);
        }
        assert_eq!((series.all().len(), series.minute().revocations), (KEPT, MINUTE as u64));
        assert_eq!(series.all().first().map(|one| one.at.secs()), Some(550));
    }
}
