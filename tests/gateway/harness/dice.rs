//! Chance that can be had again: every seed gives its own sequence.

use std::hash::{BuildHasher as _, Hasher as _};

/// SplitMix64.
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice of a new seed, which is printed: a failing test shows it.
    pub(crate) fn new() -> Self {
        Self::of(std::hash::RandomState::new().build_hasher().finish())
    }

    /// Dice of that seed.
    pub(crate) fn of(seed: u64) -> Self {
        println!("seed {seed}");
        Self(seed)
    }

    /// A number.
    pub(crate) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound.max(1) as u64).unwrap_or_default()
    }

    /// One of these.
    pub(crate) fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}
