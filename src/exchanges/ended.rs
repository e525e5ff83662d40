//! Ending exchanges, and what they were.

use std::sync::Arc;

use super::{Counts, Entry, Exchange};

/// Ends `entries`, which were collected before: whatever a waker does, it does it while no shard is locked.
pub(super) fn cancel(mut entries: Vec<Arc<Entry>>) -> Ended {
    let mut counts = Counts::default();
    entries.retain(|entry| {
        let first = entry.cut.cancel();
        if first {
            counts.add(entry.kind());
        }
        first
    });
    Ended { counts, entries }
}

/// Exchanges that were ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    counts: Counts,
    entries: Vec<Arc<Entry>>,
}

impl Ended {
    /// How many of each kind.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// What had entered.
    pub fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.entries.iter().map(|entry| &entry.exchange)
    }
}
