//! What the IdP said about tokens, for a while. Pure.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::Claims;
use crate::time::Timestamp;

/// Answers that are kept. Beyond it the oldest goes: its token is asked about again, which costs a call and nothing
/// else. Whoever sends thousands of invented tokens a second can bring that about; the bound on calls stays.
const MOST: usize = 10_000;
/// Bytes of answers that are kept, as they were sent; in memory they are some times that.
const MOST_BYTES: usize = 8 << 20;
/// No app uses an answer longer than this: so long a token lives on that the IdP took back without a signal.
pub const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// The claims of a token; `None` for one that is not active.
pub(super) type Answer = Option<Arc<Claims>>;

/// The answers that are kept.
pub(super) struct Answers<K> {
    most: usize,
    most_bytes: usize,
    by_key: HashMap<K, Known>,
    /// INVARIANT: the serial of each answer that is kept, and nothing else. The oldest comes first.
    by_age: BTreeMap<u64, K>,
    bytes: usize,
    next: u64,
}

struct Known {
    serial: u64,
    answer: Answer,
    bytes: usize,
    asked_at: Timestamp,
}

impl<K> Default for Answers<K> {
    fn default() -> Self {
        Self::with_room_for(MOST, MOST_BYTES)
    }
}

impl<K> Answers<K> {
    fn with_room_for(most: usize, most_bytes: usize) -> Self {
        Self { most, most_bytes, by_key: HashMap::new(), by_age: BTreeMap::new(), bytes: 0, next: 0 }
    }
}

impl<K: Copy + Eq + Hash> Answers<K> {
    /// The answer, if it was asked for less than `good_for` ago. One from the future is of a clock that went back.
    pub(super) fn get(&self, key: &K, good_for: Duration, now: Timestamp) -> Option<Answer> {
        let known = self.by_key.get(key)?;
        let good = known.asked_at <= now && now.since(known.asked_at) < good_for;
        good.then(|| known.answer.clone())
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Keeps an answer of that many bytes, in the place of an older one about the same.
    pub(super) fn put(&mut self, key: K, answer: Answer, bytes: usize, asked_at: Timestamp) {
        self.drop_one(&key);
        while let Some((_, oldest)) = self.by_age.first_key_value() {
            let oldest = *oldest;
            let over = self.by_key.get(&oldest).is_none_or(|known| asked_at.since(known.asked_at) >= LONGEST_ANSWER);
            if !over && self.by_key.len() < self.most && self.bytes + bytes <= self.most_bytes {
                break;
            }
            self.drop_one(&oldest);
        }
        let serial = self.next;
        self.next += 1;
        self.by_age.insert(serial, key);
        self.by_key.insert(key, Known { serial, answer, bytes, asked_at });
        self.bytes += bytes;
    }

    fn drop_one(&mut self, key: &K) {
        if let Some(known) = self.by_key.remove(key) {
            self.by_age.remove(&known.serial);
            self.bytes -= known.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::jose::tests::Xorshift;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn yes() -> Answer {
        Some(Arc::new(Map::new()))
    }

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn an_answer_is_good_for_as_long_as_its_reader_says() {
        let mut answers = Answers::default();
        answers.put(1, yes(), 10, at(100));
        answers.put(2, None, 0, at(100));
        for (now, expected) in [(99, false), (100, true), (109, true), (110, false), (1000, false)] {
            assert_eq!(answers.get(&1, TEN, at(now)), expected.then(yes), "at {now}");
            assert_eq!(answers.get(&2, TEN, at(now)), expected.then_some(None), "at {now}");
        }
        assert_eq!(answers.get(&1, Duration::from_secs(1), at(101)), None, "one in more of a hurry");
        answers.put(1, None, 0, at(110));
        assert_eq!(answers.get(&1, TEN, at(110)), Some(None), "a newer answer stands in the place of the older");
    }

    #[test]
    fn at_the_bound_the_oldest_goes() {
        let kept = |answers: &Answers<u32>| (0..9).filter(|key| answers.get(key, TEN, at(5)).is_some()).collect();
        let mut answers = Answers::with_room_for(3, 100);
        for key in 0..5 {
            answers.put(key, yes(), 10, at(5));
        }
        assert_eq!(kept(&answers), [2, 3, 4]);
        answers.put(3, yes(), 10, at(5));
        answers.put(5, yes(), 10, at(5));
        assert_eq!(kept(&answers), [3, 4, 5], "one that was asked again is young again");
        answers.put(6, yes(), 85, at(5));
        assert_eq!(kept(&answers), [5, 6], "bytes count too");
        answers.put(7, yes(), 1000, at(5));
        assert_eq!(kept(&answers), [7], "a large one alone is kept: it was asked for");
        answers.put(8, yes(), 10, at(5));
        assert_eq!((kept(&answers), answers.bytes), (vec![8], 10));
    }

    #[test]
    fn what_nobody_can_use_any_more_is_dropped_at_the_next_answer() {
        let mut answers = Answers::default();
        for key in 0..5 {
            answers.put(key, yes(), 10, at(100));
        }
        answers.put(9, yes(), 10, at(160));
        assert_eq!((answers.by_key.len(), answers.by_age.len(), answers.bytes), (1, 1, 10));
    }

    /// Against a list that is looked through from end to end, the oldest first.
    #[test]
    fn it_keeps_what_a_plain_list_keeps() {
        const SEED: u64 = 0x5eed_7662;
        println!("seed {SEED:#x}");
        let (most, most_bytes) = (20, 300);
        let (mut random, mut answers) = (Xorshift(SEED), Answers::with_room_for(most, most_bytes));
        let mut list: Vec<(usize, bool, usize, u64)> = Vec::new();
        let mut now = 1_000;
        for step in 0..20_000 {
            now += random.below(4) as u64 / 3;
            let (key, active, bytes) = (random.below(30), random.below(2) == 1, random.below(40));
            if random.below(2) == 0 {
                let asked_at = now - random.below(3) as u64;
                list.retain(|known| known.0 != key);
                while let Some((.., before)) = list.first() {
                    let sum: usize = list.iter().map(|known| known.2).sum();
                    if asked_at.saturating_sub(*before) < 60 && list.len() < most && sum + bytes <= most_bytes {
                        break;
                    }
                    list.remove(0);
                }
                list.push((key, active, bytes, asked_at));
                answers.put(key, active.then(Arc::default), bytes, at(asked_at));
            }
            let found = answers.get(&key, TEN, at(now)).map(|answer| answer.is_some());
            let expected = list.iter().find(|known| known.0 == key && now - known.3 < 10).map(|known| known.1);
            assert_eq!(found, expected, "step {step}");
            assert_eq!((answers.len(), answers.by_age.len()), (list.len(), list.len()), "step {step}");
        }
    }
}
