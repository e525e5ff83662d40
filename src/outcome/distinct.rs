//! How many different things were seen, up to a bound: a million replays of one cookie are one credential.

use serde::{Deserialize, Serialize};

use crate::fleet::Prints;

/// Different things that one set tells apart. Beyond it the answer is "that many or more".
pub const MOST: usize = 1_024;

/// A small set of 64-bit prints. Two things in 2^64 share one; at this size that is nobody's concern.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Distinct {
    /// INVARIANT: sorted, each once, at most [`MOST`].
    prints: Vec<u64>,
    /// There were more than are remembered.
    more: bool,
}

impl Distinct {
    /// Takes note of a print; true if it is a new one. With no `room` left anywhere it is only noted that there are more.
    pub(super) fn insert(&mut self, print: u64, room: bool) -> bool {
        match self.prints.binary_search(&print) {
            Ok(_) => false,
            Err(at) if room && self.prints.len() < MOST => {
                self.prints.insert(at, print);
                true
            }
            Err(_) => {
                self.more = true;
                false
            }
        }
    }

    /// True for a print that is remembered.
    pub(super) fn contains(&self, print: u64) -> bool {
        self.prints.binary_search(&print).is_ok()
    }

    /// How many are remembered.
    pub(super) const fn count(&self) -> usize {
        self.prints.len()
    }

    /// True if there were more than are remembered.
    pub(super) const fn has_more(&self) -> bool {
        self.more
    }

    /// What other gateways are told of them.
    pub(super) fn travelling(&self) -> Prints {
        Prints::of(&self.prints, self.more)
    }

    /// The prints themselves.
    pub(super) fn prints(&self) -> &[u64] {
        &self.prints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_counts_once_and_the_bound_is_said() {
        let mut seen = Distinct::default();
        for n in 0..MOST as u64 {
            assert!(seen.insert(n * 7, true) && !seen.insert(n * 7, true));
        }
        assert_eq!((seen.count(), seen.has_more()), (MOST, false));
        assert!(!seen.insert(1, true));
        assert_eq!((seen.count(), seen.has_more()), (MOST, true));
        assert!(seen.contains(7) && !seen.contains(1));
    }

    #[test]
    fn without_room_it_is_only_known_that_there_are_some() {
        let mut seen = Distinct::default();
        assert!(!seen.insert(1, false));
        assert_eq!((seen.count(), seen.has_more()), (0, true));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut seen = Distinct::default();
        for print in [u64::MAX, 0, 1 << 60] {
            seen.insert(print, true);
        }
        let text = serde_json::to_string(&seen).expect("json");
        assert_eq!(serde_json::from_str::<Distinct>(&text).expect("json"), seen);
    }
}
