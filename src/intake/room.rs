//! How much room there is for revocations, and what happens when there is none left.
//!
//! To forget a revocation for want of room would let somebody back in. So what is void or superseded goes first; if that
//! is not enough, nobody new signs in until there is room again, and every revocation is still taken and enforced.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::time::Timestamp;

/// How long nothing is looked for again once everything droppable was dropped: that costs a walk over all entries.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The bound of what is in force.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    is_none: AtomicBool,
    /// When droppable entries were last looked for, in seconds.
    looked: AtomicU64,
}

impl Room {
    /// Room for `most` entries.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, is_none: AtomicBool::new(false), looked: AtomicU64::new(0) }
    }

    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// True from the moment at which there was no room until there is some again.
    pub(super) fn is_none(&self) -> bool {
        self.is_none.load(Ordering::Relaxed)
    }

    /// Takes note that everything droppable was just dropped.
    pub(super) fn looked(&self, now: Timestamp) {
        self.looked.store(now.secs(), Ordering::Relaxed);
    }

    /// Compares `entries` with the bound; `drop_droppable` drops what may be dropped and says how many are left. The
    /// beginning and the end of it are said once each.
    pub(super) fn measure(&self, entries: usize, now: Timestamp, drop_droppable: impl FnOnce() -> usize) {
        let mut entries = entries;
        let looked = Timestamp::from_secs(self.looked.load(Ordering::Relaxed));
        if entries > self.most && now.since(looked) >= LOOK_AGAIN {
            self.looked(now);
            entries = drop_droppable();
        }
        let is_none = entries > self.most;
        match (self.is_none.swap(is_none, Ordering::Relaxed), is_none) {
            (false, true) => tracing::error!(
                entries,
                max_subjects = self.most,
                "more is revoked than `ledger.max_subjects` allows: nobody new can sign in until old revocations are \
                 void; every revocation is still taken and enforced"
            ),
            (true, false) => {
                tracing::info!(entries, max_subjects = self.most, "there is room again: people can sign in")
            }
            (true, true) | (false, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_795_463_999 + secs)
    }

    #[test]
    fn what_may_go_goes_first_and_is_not_looked_for_at_every_revocation() {
        let room = Room::new(10);
        let never = || -> usize { panic!("nothing is to be dropped") };
        room.measure(10, at(0), never);
        assert!(!room.is_none(), "exactly full is not over");
        room.measure(11, at(0), || 9);
        assert!(!room.is_none(), "what was dropped was enough");
        room.measure(11, at(1), never);
        assert!(room.is_none(), "it was looked for a second ago");
        room.measure(12, at(59), never);
        room.measure(12, at(60), || 11);
        assert!(room.is_none(), "what was dropped was not enough");
        room.measure(10, at(61), never);
        assert!(!room.is_none(), "there is room again");
    }
}
