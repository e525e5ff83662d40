//! Whom a transmitter is asked to tell about (SSF §8.1.3), where it tells about nobody by itself: everybody who signs in,
//! until their last session here has reached its end.
//!
//! Sessions are stored nowhere, so their ends are remembered here as they were foreseen at sign-in, for as long as the
//! gateway runs: who signs out earlier is told about a while longer, and who was added before a restart is never removed. An
//! event too many names somebody without a session here, and harms nobody.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::identity::Issuer;
use crate::time::Timestamp;

/// A person, by issuer and `sub`.
pub type Subject = (Issuer, String);

/// What the transmitter is to be asked.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// To tell about somebody.
    Add(Subject),
    /// To tell about them no longer.
    Remove(Subject),
}

impl Change {
    /// Who it is about.
    pub const fn subject(&self) -> &Subject {
        match self {
            Self::Add(subject) | Self::Remove(subject) => subject,
        }
    }
}

impl std::fmt::Debug for Change {
    /// A name is nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Add(_) => "Add",
            Self::Remove(_) => "Remove",
        })
    }
}

/// There is no room for another person.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many people are signed in to tell a transmitter about all of them")]
pub struct Full;

#[derive(Clone, Debug)]
struct Person {
    /// When the last of their sessions ends.
    until: Timestamp,
    added: bool,
    failures: u32,
    /// When something is to be done about them. INVARIANT: under this moment they stand in `agenda`.
    at: Timestamp,
}

/// The people of one stream.
#[derive(Clone, Default)]
pub struct Subjects {
    people: HashMap<Subject, Person>,
    agenda: BTreeSet<(Timestamp, Subject)>,
}

impl std::fmt::Debug for Subjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subjects({})", self.people.len())
    }
}

impl Subjects {
    /// Somebody signed in; their session ends then.
    pub fn signed_in(&mut self, subject: Subject, until: Timestamp, now: Timestamp) -> Result<(), Full> {
        let known = self.people.get(&subject).cloned();
        if known.is_none() && self.people.len() >= MOST {
            return Err(Full);
        }
        let mut person = known.unwrap_or(Person { until, added: false, failures: 0, at: now });
        person.until = person.until.max(until);
        person.at = if person.added { person.until } else { now };
        self.put(subject, person);
        Ok(())
    }

    /// What is to be asked next.
    pub fn due(&self, now: Timestamp) -> Option<Change> {
        let (_, subject) = self.agenda.first().filter(|(at, _)| *at <= now)?;
        let person = self.people.get(subject)?;
        Some(if person.added { Change::Remove(subject.clone()) } else { Change::Add(subject.clone()) })
    }

    /// The transmitter took it.
    pub fn done(&mut self, change: &Change, now: Timestamp) {
        let Some(mut person) = self.people.get(change.subject()).cloned() else { return };
        match change {
            Change::Add(subject) => {
                (person.added, person.failures, person.at) = (true, 0, person.until);
                self.put(subject.clone(), person);
            }
            // They are back meanwhile.
            Change::Remove(subject) if person.until > now => {
                (person.added, person.failures, person.at) = (false, 0, now);
                self.put(subject.clone(), person);
            }
            Change::Remove(subject) => self.drop(subject),
        }
    }

    /// It was not taken. Another try comes later, as long as it is worth one; false if it was the last.
    pub fn failed(&mut self, change: &Change, again: bool, now: Timestamp) -> bool {
        let subject = change.subject();
        let Some(mut person) = self.people.get(subject).cloned() else { return false };
        person.failures = person.failures.saturating_add(1);
        let removal = matches!(change, Change::Remove(_));
        // Whoever is added too long harms nobody; whoever is not added gets another chance until their session ends.
        let over = if removal { person.failures >= MOST_FAILURES } else { person.until <= now };
        if !again || over {
            self.drop(subject);
            return false;
        }
        let delay = Backoff::new(FIRST_DELAY, MOST_DELAY).map_or(MOST_DELAY, |delays| delays.base(person.failures));
        person.at = now.plus(delay);
        self.put(subject.clone(), person);
        true
    }

    /// The stream was made anew: nobody is added there any more.
    pub fn begin_again(&mut self, now: Timestamp) {
        let people: Vec<_> = self.people.drain().collect();
        self.agenda.clear();
        for (subject, person) in people.into_iter().filter(|(_, person)| person.until > now) {
            self.put(subject, Person { added: false, failures: 0, at: now, ..person });
        }
    }

    /// How many people are known.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// True if nobody is.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    fn put(&mut self, subject: Subject, person: Person) {
        let at = person.at;
        if let Some(before) = self.people.insert(subject.clone(), person) {
            self.agenda.remove(&(before.at, subject.clone()));
        }
        self.agenda.insert((at, subject));
    }

    fn drop(&mut self, subject: &Subject) {
        if let Some(person) = self.people.remove(subject) {
            self.agenda.remove(&(person.at, subject.clone()));
        }
    }
}

/// People that are remembered, some 300 bytes each. At the bound the next one is not added, and that is said.
const MOST: usize = 100_000;
/// Tries to remove somebody.
const MOST_FAILURES: u32 = 5;
/// The delays after failures.
const FIRST_DELAY: Duration = Duration::from_secs(2);
const MOST_DELAY: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(second)
    }

    fn ann() -> Subject {
        (Issuer::parse("https://idp.example.com").expect("issuer"), "ann".to_owned())
    }

    #[test]
    fn somebody_is_added_at_sign_in_and_removed_when_the_last_session_ends() {
        let mut subjects = Subjects::default();
        subjects.signed_in(ann(), at(100), at(10)).expect("room");
        assert_eq!(subjects.due(at(9)), None);
        let add = subjects.due(at(10)).expect("something");
        assert_eq!(add, Change::Add(ann()));
        subjects.done(&add, at(10));
        assert_eq!(subjects.due(at(99)), None);
        // A second session, which ends later.
        subjects.signed_in(ann(), at(200), at(50)).expect("room");
        assert_eq!(subjects.due(at(150)), None, "the first session's end is not the last one's");
        let remove = subjects.due(at(200)).expect("something");
        assert_eq!(remove, Change::Remove(ann()));
        subjects.done(&remove, at(200));
        assert!(subjects.is_empty());
    }

    #[test]
    fn what_fails_is_tried_again_later_and_not_for_ever() {
        let mut subjects = Subjects::default();
        subjects.signed_in(ann(), at(1_000), at(10)).expect("room");
        let add = Change::Add(ann());
        assert!(subjects.failed(&add, true, at(10)));
        assert_eq!((subjects.due(at(11)), subjects.due(at(12))), (None, Some(add.clone())));
        assert!(!subjects.failed(&add, true, at(1_000)), "the session is over, and so is the matter");
        assert!(subjects.is_empty());
        subjects.signed_in(ann(), at(2_000), at(1_001)).expect("room");
        assert!(!subjects.failed(&add, false, at(1_001)), "the transmitter does not want it");
        assert!(subjects.is_empty());
        subjects.signed_in(ann(), at(2_000), at(1_001)).expect("room");
        subjects.done(&add, at(1_001));
        let remove = Change::Remove(ann());
        let tries = (1..).find(|_| !subjects.failed(&remove, true, at(2_000)));
        assert_eq!(tries, Some(5));
    }

    #[test]
    fn a_stream_that_is_made_anew_is_told_about_everybody_again() {
        let mut subjects = Subjects::default();
        subjects.signed_in(ann(), at(100), at(10)).expect("room");
        subjects.done(&Change::Add(ann()), at(10));
        subjects.begin_again(at(20));
        assert_eq!(subjects.due(at(20)), Some(Change::Add(ann())));
        subjects.begin_again(at(100));
        assert!(subjects.is_empty(), "whose session is over is not told about");
    }

    #[test]
    fn who_comes_back_while_they_are_removed_is_added_again() {
        let mut subjects = Subjects::default();
        subjects.signed_in(ann(), at(100), at(10)).expect("room");
        subjects.done(&Change::Add(ann()), at(10));
        subjects.signed_in(ann(), at(300), at(100)).expect("room");
        subjects.done(&Change::Remove(ann()), at(101));
        assert_eq!(subjects.due(at(101)), Some(Change::Add(ann())));
    }

    #[test]
    fn at_the_bound_nobody_is_added_and_that_is_said() {
        let mut subjects = Subjects::default();
        for number in 0..MOST {
            subjects.signed_in((ann().0, number.to_string()), at(100), at(10)).expect("room");
        }
        assert_eq!(subjects.signed_in(ann(), at(100), at(10)), Err(Full));
        assert_eq!(subjects.signed_in((ann().0, "7".to_owned()), at(200), at(10)), Ok(()), "who is known has room");
        assert_eq!(subjects.len(), MOST);
    }
}
