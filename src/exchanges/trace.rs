//! What a walk over many exchanges looks at first.

use super::Exchange;
use crate::identity::TargetKey;

/// What keys leave behind in 256 bits, two bits each: whose trace lacks a key's bits does not have the key. Reading it
/// costs no jump through memory, which is what a walk over many exchanges would otherwise spend its time on.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trace([u64; 4]);

impl Trace {
    /// A key is a hash: any of its bytes will do as the number of a bit.
    pub(super) fn add(&mut self, key: TargetKey) {
        let [one, other, ..] = key.0.to_le_bytes();
        for bit in [one, other] {
            if let Some(word) = self.0.get_mut(usize::from(bit >> 6)) {
                *word |= 1 << (bit & 63);
            }
        }
    }

    pub(super) fn of(exchange: &Exchange) -> Self {
        let mut trace = Self::default();
        for (_, key) in exchange.credentials.iter().flat_map(|held| held.targets.iter()) {
            trace.add(*key);
            trace.add(key.in_app(exchange.app));
        }
        trace
    }

    pub(super) fn of_key(key: TargetKey) -> Self {
        let mut trace = Self::default();
        trace.add(key);
        trace
    }

    pub(super) fn contains(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(mine, theirs)| mine & theirs == theirs)
    }
}
