//! Cut-offs by the key of one target: the bulk of the revocation set.
//!
//! 256 shards, each behind its own lock, so that an insert (or a shard that grows) never stops the readers of the
//! others. A slot has 25 bytes; between two growths 7/16 to 7/8 of the slots are taken, so a subject costs 29 to 57.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashMap;

use super::{Credential, Mode, Standing};
use crate::identity::TargetKey;
use crate::time::Timestamp;

/// Shards: enough that two writers seldom meet, few enough that an empty set is small.
const SHARDS: usize = 256;

/// The cut-offs of one subject. Seconds as `u32` (good until 2106): half the memory of the whole set.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CutOffs {
    terminate: u32,
    reestablish: u32,
}

impl CutOffs {
    pub(super) fn raise(&mut self, mode: Mode, cut_off: Timestamp) {
        let secs = u32::try_from(cut_off.secs()).unwrap_or(u32::MAX);
        let slot = match mode {
            Mode::Terminate | Mode::Hold => &mut self.terminate,
            Mode::Reestablish => &mut self.reestablish,
        };
        *slot = (*slot).max(secs);
    }

    /// Law 1 and law 6. A termination is passed only by a *proof* that is newer: the person's own authentication, not
    /// the assertion's date, so that a silent sign-on never launders a killed session. An equal second is older.
    pub(super) fn judge(self, credential: &Credential<'_>) -> Standing {
        let proven = credential.auth_time.unwrap_or(Timestamp::ZERO).min(credential.asserted_at);
        let cut = |secs: u32, proof: Timestamp| {
            let cut_off = Timestamp::from_secs(u64::from(secs));
            (secs > 0 && proof <= cut_off).then_some(cut_off)
        };
        Standing {
            terminated: cut(self.terminate, proven),
            reestablish: cut(self.reestablish, credential.asserted_at),
            held: None,
        }
    }

    /// When a newer assertion was asked for, if it was.
    pub(super) fn reestablish(self) -> Option<u32> {
        (self.reestablish > 0).then_some(self.reestablish)
    }

    pub(super) fn older_than(self, moment: Timestamp) -> bool {
        u64::from(self.terminate.max(self.reestablish)) < moment.secs()
    }

    /// True if whatever `other` covers is covered by these at least as long, mode by mode.
    pub(super) const fn cover(self, other: Self) -> bool {
        self.terminate >= other.terminate && self.reestablish >= other.reestablish
    }
}

/// A key in half the alignment: with it a slot has 24 bytes instead of 32.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Short {
    high: u64,
    low: u64,
}

impl Short {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are meant")]
    const fn of(key: TargetKey) -> Self {
        Self { high: (key.0 >> 64) as u64, low: key.0 as u64 }
    }

    const fn key(self) -> TargetKey {
        TargetKey(((self.high as u128) << 64) | self.low as u128)
    }
}

impl std::hash::Hash for Short {
    /// The key is a hash already; its high byte chose the shard.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

type Map = HashMap<Short, CutOffs, Passed>;

/// Cut-offs by key.
#[derive(Debug)]
pub(super) struct Shards {
    /// INVARIANT: the shard of a key is its top byte.
    shards: Vec<RwLock<Map>>,
    /// Asked at every revocation: 256 locks would be too many for that.
    len: AtomicUsize,
}

impl Default for Shards {
    fn default() -> Self {
        Self { shards: std::iter::repeat_with(RwLock::default).take(SHARDS).collect(), len: AtomicUsize::new(0) }
    }
}

impl Shards {
    /// Raises what stands under `key` to that cut-off.
    pub(super) fn raise(&self, key: TargetKey, mode: Mode, cut_off: Timestamp) {
        let mut shard = write(self.shard(key));
        let before = shard.len();
        shard.entry(Short::of(key)).or_default().raise(mode, cut_off);
        // Under the lock: whoever counts later never subtracts what was not added yet.
        self.len.fetch_add(shard.len() - before, Ordering::Relaxed);
    }

    /// What stands under `key`.
    pub(super) fn get(&self, key: TargetKey) -> Option<CutOffs> {
        read(self.shard(key)).get(&Short::of(key)).copied()
    }

    /// Drops all but those that are to be kept, and says how many it dropped. A shard that became nearly empty gives its
    /// memory back.
    pub(super) fn retain(&self, mut keep: impl FnMut(TargetKey, CutOffs) -> bool) -> usize {
        let mut dropped = 0;
        for shard in &self.shards {
            let mut shard = write(shard);
            let before = shard.len();
            shard.retain(|key, cut_offs| keep(key.key(), *cut_offs));
            let gone = before - shard.len();
            self.len.fetch_sub(gone, Ordering::Relaxed);
            dropped += gone;
            if shard.len() < shard.capacity() / 4 {
                shard.shrink_to_fit();
            }
        }
        dropped
    }

    /// Subjects in it.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    #[expect(clippy::indexing_slicing, reason = "a byte indexes 256 shards")]
    fn shard(&self, key: TargetKey) -> &RwLock<Map> {
        &self.shards[(key.0 >> 120) as usize]
    }
}

fn read(shard: &RwLock<Map>) -> RwLockReadGuard<'_, Map> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Map>) -> RwLockWriteGuard<'_, Map> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

/// A hasher for keys that are hashes already: it passes the low 64 bits on.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Passed;

impl std::hash::BuildHasher for Passed {
    type Hasher = PassedHasher;

    fn build_hasher(&self) -> PassedHasher {
        PassedHasher(0)
    }
}

#[derive(Debug)]
pub(super) struct PassedHasher(u64);

impl std::hash::Hasher for PassedHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}
