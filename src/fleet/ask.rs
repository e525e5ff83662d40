//! What all gateways together would meet: one asks, each answers for itself.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::report::Prints;
use crate::exchanges::{Kind, Seen, Survey};
use crate::identity::TargetKey;
use crate::revocation::Revocation;
use crate::time::Timestamp;

/// People, or sessions, of one app that travel one by one. Of more it is only told how many there are.
const MOST_PRINTS: usize = 1_000;
/// Bytes of an answer in which people and sessions travel one by one.
const MOST_BYTES: usize = 128 * 1_024;

/// A question: what would these meet?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ask {
    /// By chance; the answer repeats it.
    pub(super) id: u64,
    /// When it was asked, by the asking gateway's clock.
    pub(super) sent_at: Timestamp,
    /// What would be put in force.
    pub(super) revocations: Vec<Revocation>,
}

/// The answer of one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The question's.
    pub(super) id: u64,
    /// What would be met there.
    pub(super) sight: Sight,
}

/// What would be met: of everything in flight, how much of it, of whom, in which apps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// In all apps together: a session that is used in two counts once.
    #[serde(default)]
    pub total: InSight,
    /// By the app's name.
    #[serde(default)]
    pub apps: BTreeMap<String, InSight>,
}

/// The same in one app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InSight {
    /// Exchanges, in the order of [`Kind::ALL`].
    #[serde(default)]
    pub exchanges: Vec<usize>,
    /// Sessions.
    #[serde(default)]
    pub sessions: Prints,
    /// People.
    #[serde(default)]
    pub people: Prints,
}

impl From<&Survey> for Sight {
    fn from(survey: &Survey) -> Self {
        let apps = survey.apps.iter().map(|(app, seen)| (app.to_string(), InSight::from(seen))).collect();
        Self { total: InSight::from(&survey.total()), apps }
    }
}

impl From<&Seen> for InSight {
    fn from(seen: &Seen) -> Self {
        let exchanges = Kind::ALL.iter().map(|kind| seen.exchanges.of(*kind)).collect();
        let prints = |keys: Vec<u64>| Prints { all: keys.len(), some: keys, or_more: false };
        let sessions = prints(seen.sessions.iter().copied().map(print).collect());
        Self { exchanges, sessions, people: prints(seen.people.iter().copied().map(print).collect()) }
    }
}

/// A key is a hash under a key: half of it tells apart as well.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
const fn print(key: TargetKey) -> u64 {
    key.0 as u64
}

impl InSight {
    /// How many exchanges of that kind.
    pub fn of(&self, kind: Kind) -> usize {
        self.exchanges.get(kind as usize).copied().unwrap_or_default()
    }

    #[must_use]
    fn and(self, other: Self) -> Self {
        Self {
            exchanges: added(&self.exchanges, &other.exchanges),
            sessions: self.sessions.and(other.sessions),
            people: self.people.and(other.people),
        }
    }

    fn only_counts_beyond(&mut self, most: usize) {
        for prints in [&mut self.sessions, &mut self.people] {
            if prints.some.len() > most {
                prints.some = vec![];
            }
        }
    }
}

/// Two lists of counts, kind by kind; what a newer gateway counts beyond ours stays.
pub fn added(some: &[usize], more: &[usize]) -> Vec<usize> {
    let of = |list: &[usize], at: usize| list.get(at).copied().unwrap_or_default();
    (0..some.len().max(more.len())).map(|at| of(some, at).saturating_add(of(more, at))).collect()
}

impl Sight {
    /// Both together. People who are seen in both count once, as long as they travelled one by one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.total = self.total.and(other.total);
        for (app, theirs) in other.apps {
            let ours = self.apps.remove(&app).unwrap_or_default();
            self.apps.insert(app, ours.and(theirs));
        }
        self
    }

    fn only_counts_beyond(&mut self, most: usize) {
        self.total.only_counts_beyond(most);
        self.apps.values_mut().for_each(|app| app.only_counts_beyond(most));
    }
}

impl Ask {
    /// The bytes of it.
    pub(super) fn write(&self) -> Vec<u8> {
        // Serialising plain structs into memory has no failing case.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads one.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        read(text)
    }
}

impl Answer {
    /// What one gateway says.
    pub(super) fn to(ask: &Ask, survey: &Survey) -> Self {
        let mut sight = Sight::from(survey);
        sight.only_counts_beyond(MOST_PRINTS);
        Self { id: ask.id, sight }
    }

    /// The bytes of it.
    pub(super) fn write(&self) -> Vec<u8> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        if text.len() <= MOST_BYTES {
            return text;
        }
        let mut short = self.clone();
        short.sight.only_counts_beyond(0);
        serde_json::to_vec(&short).unwrap_or_default()
    }

    /// Reads one.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        read(text)
    }
}

fn read<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(app: &str, people: &[u64], requests: usize) -> Sight {
        let prints = Prints { some: people.to_vec(), all: people.len(), or_more: false };
        let seen = InSight { exchanges: vec![requests], sessions: prints.clone(), people: prints };
        Sight { total: seen.clone(), apps: [(app.to_owned(), seen)].into() }
    }

    #[test]
    fn exchanges_are_added_and_whoever_is_seen_twice_counts_once() {
        let both = sight("wiki", &[1, 2], 3).and(sight("wiki", &[2, 3], 4)).and(sight("mail", &[1], 1));
        assert_eq!((both.total.of(Kind::Request), both.total.people.all, both.total.sessions.all), (8, 3, 3));
        let told: Vec<_> =
            both.apps.iter().map(|(app, seen)| (&**app, seen.of(Kind::Request), seen.people.all)).collect();
        assert_eq!(told, [("mail", 1, 1), ("wiki", 7, 3)]);
        let untold = Prints { all: 5_000, ..Prints::default() };
        let many = InSight { exchanges: vec![], sessions: untold.clone(), people: untold };
        let sum = sight("wiki", &[1], 1).and(Sight { total: many, ..Sight::default() });
        assert_eq!(sum.total.people.all, 5_001, "who did not travel one by one counts at each");
    }

    #[test]
    fn an_answer_has_a_bound_and_says_at_least_how_many() {
        let people: Vec<u64> = (0..900).map(|n| u64::MAX - n).collect();
        let apps: BTreeMap<_, _> = (0..100).map(|n| (format!("app-{n}"), sight("x", &people, 1).total)).collect();
        let answer = Answer { id: 7, sight: Sight { total: InSight::default(), apps } };
        let text = answer.write();
        assert!(text.len() <= MOST_BYTES, "{}", text.len());
        let read = Answer::read(&text).expect("readable");
        assert_eq!((read.id, read.sight.apps.len()), (7, 100));
        assert!(read.sight.apps.values().all(|seen| seen.people.all == 900 && seen.people.some.is_empty()));
        let small = Answer { id: 7, sight: sight("wiki", &[1], 1) };
        assert_eq!(Answer::read(&small.write()), Some(small));
        for nonsense in ["", "[]", "{}", r#"{"id":-1}"#] {
            assert_eq!(Answer::read(nonsense.as_bytes()), None, "{nonsense}");
            assert_eq!(Ask::read(nonsense.as_bytes()), None, "{nonsense}");
        }
    }
}
