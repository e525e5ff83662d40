//! How long to wait before something that failed is tried again: longer each time, up to a bound, and never exactly.

use std::time::Duration;

use aws_lc_rs::rand;

/// Delays that double from `first` to `most`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
}

/// Delays of that kind would be none, or shrink.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the first delay must be longer than zero and not longer than the last")]
pub struct InvalidBackoff;

impl Backoff {
    /// Delays from `first`, doubled each time, to `most`.
    pub const fn new(first: Duration, most: Duration) -> Result<Self, InvalidBackoff> {
        if first.is_zero() || first.as_nanos() > most.as_nanos() {
            return Err(InvalidBackoff);
        }
        Ok(Self { first, most })
    }

    /// The delay after that many failures in a row, before chance has its say; none after none.
    pub fn base(&self, failures: u32) -> Duration {
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
                self.first.saturating_mul(factor).min(self.most)
            }
        }
    }

    /// The delay itself: between half of the base and all of it, as `random` says. Many that failed at the same moment
    /// do not come back at the same moment.
    pub fn jitter(&self, failures: u32, random: u32) -> Duration {
        let half = self.base(failures) / 2;
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

/// What keeps those apart who wait for the same. Without randomness they are not, and nothing worse.
pub fn chance() -> u32 {
    let mut bytes = [0; 4];
    if rand::fill(&mut bytes).is_ok() { u32::from_le_bytes(bytes) } else { u32::MAX }
}

/// Seconds of a `Retry-After` (RFC 9110 §10.2.3). A date is not read: whoever sends one is waited for like others.
pub fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    // More digits than a number has are a very long time.
    digits.then(|| Duration::from_secs(value.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::tests::Xorshift;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn delays_double_up_to_their_bound() {
        let backoff = Backoff::new(millis(1_000), millis(30_000)).expect("valid");
        for (failures, expected) in [
            (0, 0),
            (1, 1_000),
            (2, 2_000),
            (3, 4_000),
            (5, 16_000),
            (6, 30_000),
            (32, 30_000),
            (33, 30_000),
            (u32::MAX, 30_000),
        ] {
            assert_eq!(backoff.base(failures), millis(expected), "{failures}");
        }
    }

    #[test]
    fn delays_that_are_none_or_shrink_are_refused() {
        for (first, most, valid) in [(0, 0, false), (0, 10, false), (11, 10, false), (10, 10, true), (1, 10, true)] {
            assert_eq!(Backoff::new(millis(first), millis(most)).is_ok(), valid, "{first} to {most}");
        }
    }

    #[test]
    fn chance_takes_up_to_half_and_adds_nothing() {
        let seed = 0x2545_f491_4f6c_dd1d;
        println!("seed {seed:#x}");
        let mut random = Xorshift(seed);
        for _ in 0..10_000 {
            let first = millis(1 + random.below(5_000) as u64);
            let most = first + millis(random.below(100_000) as u64);
            let backoff = Backoff::new(first, most).expect("valid");
            let failures = u32::try_from(random.below(80)).expect("small");
            let chance = u32::try_from(random.below(u32::MAX as usize + 1)).expect("32 bits");
            // The naive way, step by step.
            let mut base = if failures == 0 { Duration::ZERO } else { first };
            for _ in 1..failures {
                base = (base * 2).min(most);
            }
            let delay = backoff.jitter(failures, chance);
            assert_eq!(backoff.base(failures), base);
            assert!(base / 2 <= delay && delay <= base, "{delay:?} of {base:?}");
            assert_eq!((backoff.jitter(failures, 0), backoff.jitter(failures, u32::MAX)), (base / 2, base / 2 * 2));
        }
    }
}
