//! Proofs that were used: none is taken twice (RFC 9449 §11.1).
//!
//! Each gateway remembers for itself, and no longer than it runs: until a proof is a minute old, a copy of it passes once
//! at another gateway. It is worth the one request that it was made for.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

use crate::dpop::Proof;
use crate::time::Timestamp;

/// Proofs that are remembered, each for the two minutes at the most that it would be good: some 800 requests a second,
/// for a good dozen megabytes. At the bound proofs are refused, not forgotten.
const MOST: usize = 100_000;
/// Proofs of one key that are remembered: nobody fills the memory alone.
const MOST_OF_A_KEY: usize = MOST / 4;

/// A text, as it is remembered: 128 bits of its SHA-256.
type Name = [u8; 16];

/// Why a proof is not taken.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was used before.
    Replayed,
    /// There is no room to remember it.
    Full,
}

impl Seen {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Full => "too_many_proofs",
        }
    }
}

/// The proofs that were used and would still be good.
pub(super) struct Proofs {
    most: usize,
    most_of_a_key: usize,
    /// Guards what is remembered; held for one entry.
    used: Mutex<Used>,
}

/// INVARIANT: both hold the same proofs.
#[derive(Default)]
struct Used {
    /// By key and `jti`, until when.
    by_key: HashMap<Name, HashMap<Name, Timestamp>>,
    /// In the order in which they end.
    by_end: BTreeSet<(Timestamp, Name, Name)>,
}

impl std::fmt::Debug for Proofs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Proofs({})", used.by_end.len())
    }
}

impl Default for Proofs {
    fn default() -> Self {
        Self::with_room_for(MOST, MOST_OF_A_KEY)
    }
}

impl Proofs {
    fn with_room_for(most: usize, most_of_a_key: usize) -> Self {
        Self { most, most_of_a_key, used: Mutex::default() }
    }

    /// Takes note that `proof` is used now. Only for a proof that holds, by the key of a good token: strangers fill
    /// nothing here.
    pub(super) fn first_use(&self, proof: &Proof, now: Timestamp) -> Result<(), Seen> {
        self.first_use_of(proof.thumbprint(), proof.jti(), proof.good_until(), now)
    }

    /// The same for whatever else counts once: `jti` of `key`, which would be good until `good_until`.
    pub(super) fn first_use_of(&self, key: &str, jti: &str, good_until: Timestamp, now: Timestamp) -> Result<(), Seen> {
        let (key, jti) = (name(key), name(jti));
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.forget_before(now);
        let of_key = used.by_key.get(&key);
        if of_key.is_some_and(|of_key| of_key.contains_key(&jti)) {
            return Err(Seen::Replayed);
        }
        if used.by_end.len() >= self.most || of_key.is_some_and(|of_key| of_key.len() >= self.most_of_a_key) {
            return Err(Seen::Full);
        }
        used.by_end.insert((good_until, key, jti));
        used.by_key.entry(key).or_default().insert(jti, good_until);
        Ok(())
    }

    /// Takes back a use that came to nothing.
    pub(super) fn not_used(&self, key: &str, jti: &str) {
        let (key, jti) = (name(key), name(jti));
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(good_until) = used.by_key.get(&key).and_then(|of_key| of_key.get(&jti)).copied() {
            used.forget(good_until, key, jti);
        }
    }
}

impl Used {
    fn forget_before(&mut self, now: Timestamp) {
        while let Some((end, key, jti)) = self.by_end.first().copied().filter(|(end, ..)| *end < now) {
            self.forget(end, key, jti);
        }
    }

    fn forget(&mut self, end: Timestamp, key: Name, jti: Name) {
        self.by_end.remove(&(end, key, jti));
        if let Some(of_key) = self.by_key.get_mut(&key) {
            of_key.remove(&jti);
            if of_key.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }
}

fn name(text: &str) -> Name {
    let mut name = Name::default();
    for (to, from) in name.iter_mut().zip(digest(&SHA256, text.as_bytes()).as_ref()) {
        *to = *from;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dpop::tests::bare;
    use crate::jose::tests::Xorshift;

    const NOW: u64 = 1_800_000_000;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_proof_is_taken_once_while_it_would_be_good() {
        let proofs = Proofs::default();
        for (name, key, jti, good_until, now, expected) in [
            ("the first", "ann", "j1", NOW + 60, NOW, Ok(())),
            ("again", "ann", "j1", NOW + 60, NOW, Err(Seen::Replayed)),
            ("again, at its end", "ann", "j1", NOW + 60, NOW + 60, Err(Seen::Replayed)),
            ("the same name, made anew", "ann", "j1", NOW + 90, NOW + 30, Err(Seen::Replayed)),
            ("another name", "ann", "j2", NOW + 60, NOW, Ok(())),
            ("another key", "ben", "j1", NOW + 60, NOW, Ok(())),
            ("the same name, when the first is over", "ann", "j1", NOW + 121, NOW + 61, Ok(())),
        ] {
            assert_eq!(proofs.first_use(&bare(key, jti, at(good_until)), at(now)), expected, "{name}");
        }
        assert_eq!(format!("{proofs:?}"), "Proofs(1)", "what is over is forgotten");
    }

    #[test]
    fn a_use_that_came_to_nothing_is_taken_back() {
        let (proofs, end) = (Proofs::with_room_for(1, 1), at(NOW + 60));
        assert_eq!(proofs.first_use_of("corp", "j1", end, at(NOW)), Ok(()));
        proofs.not_used("corp", "j2");
        assert_eq!(proofs.first_use_of("corp", "j1", end, at(NOW)), Err(Seen::Replayed));
        proofs.not_used("corp", "j1");
        assert_eq!(format!("{proofs:?}"), "Proofs(0)");
        assert_eq!(proofs.first_use_of("corp", "j1", end, at(NOW)), Ok(()));
    }

    #[test]
    fn at_the_bound_a_proof_is_refused_and_none_forgotten() {
        let proofs = Proofs::with_room_for(3, 2);
        for (name, key, jti, expected) in [
            ("one of ann's", "ann", "j1", Ok(())),
            ("two of ann's", "ann", "j2", Ok(())),
            ("three of ann's", "ann", "j3", Err(Seen::Full)),
            ("one of ben's", "ben", "j1", Ok(())),
            ("two of ben's", "ben", "j2", Err(Seen::Full)),
            ("one that was used", "ann", "j1", Err(Seen::Replayed)),
        ] {
            assert_eq!(proofs.first_use(&bare(key, jti, at(NOW + 60)), at(NOW)), expected, "{name}");
        }
        let later = bare("ann", "j3", at(NOW + 121));
        assert_eq!(proofs.first_use(&later, at(NOW + 61)), Ok(()), "there is room again");
    }

    /// Against a list that is looked through from end to end.
    #[test]
    fn it_remembers_what_a_plain_list_remembers() {
        const SEED: u64 = 0x5eed_0d09;
        println!("seed {SEED:#x}");
        let (most, most_of_a_key) = (40, 15);
        let (mut random, proofs) = (Xorshift(SEED), Proofs::with_room_for(most, most_of_a_key));
        let mut list: Vec<(usize, usize, u64)> = Vec::new();
        let mut now = NOW;
        for step in 0..20_000 {
            now += random.below(3) as u64 / 2;
            let (key, jti, good_until) = (random.below(4), random.below(30), now + random.below(20) as u64);
            list.retain(|(.., end)| *end >= now);
            let expected = if list.iter().any(|known| (known.0, known.1) == (key, jti)) {
                Err(Seen::Replayed)
            } else if list.len() >= most || list.iter().filter(|known| known.0 == key).count() >= most_of_a_key {
                Err(Seen::Full)
            } else {
                list.push((key, jti, good_until));
                Ok(())
            };
            let proof = bare(&key.to_string(), &jti.to_string(), at(good_until));
            assert_eq!(proofs.first_use(&proof, at(now)), expected, "step {step}");
            assert_eq!(format!("{proofs:?}"), format!("Proofs({})", list.len()), "step {step}");
        }
    }
}
