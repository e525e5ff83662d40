//! What is still to be told: messages in order, each tried until it is taken or given up. Pure; the spans are arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backoff::Backoff;
use crate::revocation::RevocationId;

/// A message, as it is kept. The claims never change: whoever gets it twice gets the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) id: RevocationId,
    pub(super) claims: Value,
}

#[derive(Clone, Debug)]
struct Waiting {
    message: Message,
    /// Times that the receiver said no to this very message.
    refused: u32,
    /// It is on its way.
    is_out: bool,
}

/// What came of a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It was taken.
    Taken,
    /// The receiver said no, with that status.
    Refused(u16),
    /// The receiver is not well, and may have said for how long.
    NotNow(Option<Duration>),
}

/// What is to be done then.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It is forgotten: taken.
    Done,
    /// It is forgotten: refused too often.
    GivenUp,
    /// It is tried again.
    Again,
}

/// Messages that wait, by their number.
#[derive(Debug)]
pub(super) struct Outbox {
    most: usize,
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
    /// Rounds in a row in which the receiver was not well, or refused.
    failures: u32,
    retry_after: Option<Duration>,
}

/// Times that a receiver may refuse one message before it is given up. It refuses others as well, most likely: a wrong
/// token or audience is put right within that time.
const MOST_REFUSALS: u32 = 10;
/// The delays after failures: with [`MOST_REFUSALS`] about half an hour.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const MOST_DELAY: Duration = Duration::from_secs(300);
/// The longest that a receiver may tell us to stay away.
const MOST_RETRY_AFTER: Duration = Duration::from_secs(600);
/// Messages on their way at once.
const AT_ONCE: usize = 8;

impl Outbox {
    /// An empty one, of at most `most` messages.
    pub(super) fn new(most: usize) -> Self {
        Self { most, waiting: BTreeMap::new(), next: 0, failures: 0, retry_after: None }
    }

    /// Messages that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The number for one more message; `None` if there is no room.
    pub(super) fn number(&mut self) -> Option<u64> {
        if self.waiting.len() >= self.most {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// Puts a message in, once it is on disk.
    pub(super) fn put(&mut self, number: u64, message: Message) {
        self.next = self.next.max(number.saturating_add(1));
        self.waiting.insert(number, Waiting { message, refused: 0, is_out: false });
    }

    /// The messages to be sent now, the oldest first.
    pub(super) fn take(&mut self) -> Vec<(u64, Message)> {
        let waiting = self.waiting.iter_mut().filter(|(_, one)| !one.is_out).take(AT_ONCE);
        waiting
            .map(|(number, one)| {
                one.is_out = true;
                (*number, one.message.clone())
            })
            .collect()
    }

    /// What came of a message that was taken out.
    pub(super) fn came(&mut self, number: u64, came: Came) -> Then {
        let Some(one) = self.waiting.get_mut(&number) else { return Then::Done };
        one.is_out = false;
        match came {
            Came::Taken => {
                self.waiting.remove(&number);
                Then::Done
            }
            Came::NotNow(span) => {
                self.retry_after = self.retry_after.max(span);
                Then::Again
            }
            Came::Refused(_) => {
                one.refused += 1;
                if one.refused < MOST_REFUSALS {
                    return Then::Again;
                }
                self.waiting.remove(&number);
                Then::GivenUp
            }
        }
    }

    /// How long to wait before the next round; nothing after one in which everything was taken.
    pub(super) fn rest(&mut self, all_taken: bool, random: u32) -> Duration {
        self.failures = if all_taken { 0 } else { self.failures.saturating_add(1) };
        let asked = self.retry_after.take().map_or(Duration::ZERO, |span| span.min(MOST_RETRY_AFTER));
        Backoff::new(FIRST_DELAY, MOST_DELAY)
            .map_or(MOST_DELAY, |backoff| backoff.jitter(self.failures, random))
            .max(asked)
    }

    /// Forgets what is about these; says which messages.
    pub(super) fn forget(&mut self, ids: &[RevocationId]) -> Vec<u64> {
        let over: Vec<_> =
            self.waiting.iter().filter(|(_, one)| ids.contains(&one.message.id)).map(|(number, _)| *number).collect();
        for number in &over {
            self.waiting.remove(number);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u128) -> Message {
        Message { id: RevocationId(id), claims: Value::Null }
    }

    fn outbox(most: usize, messages: u128) -> Outbox {
        let mut outbox = Outbox::new(most);
        for id in 0..messages {
            let number = outbox.number().expect("room");
            outbox.put(number, message(id));
        }
        outbox
    }

    #[test]
    fn the_oldest_go_first_and_none_twice_at_once() {
        let mut outbox = outbox(100, 20);
        let first: Vec<_> = outbox.take().into_iter().map(|(number, _)| number).collect();
        assert_eq!(first, (0..8).collect::<Vec<_>>());
        assert_eq!(outbox.take().first().map(|(number, _)| *number), Some(8));
        assert_eq!(outbox.came(0, Came::NotNow(None)), Then::Again);
        assert_eq!(outbox.came(1, Came::Taken), Then::Done);
        assert_eq!(outbox.take().first().map(|(number, _)| *number), Some(0), "what failed comes before what is newer");
        assert_eq!(outbox.len(), 19);
    }

    #[test]
    fn one_message_that_is_refused_is_given_up_and_stands_in_nobodys_way() {
        let mut outbox = outbox(100, 2);
        for round in 1..=MOST_REFUSALS {
            for (number, _) in outbox.take() {
                let then = if number == 0 { outbox.came(0, Came::Refused(400)) } else { outbox.came(1, Came::Taken) };
                let expected = match (number, round) {
                    (0, MOST_REFUSALS) => Then::GivenUp,
                    (0, _) => Then::Again,
                    _ => Then::Done,
                };
                assert_eq!(then, expected, "message {number} in round {round}");
            }
        }
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn a_receiver_that_is_down_costs_no_message_and_is_asked_less_and_less() {
        let mut outbox = outbox(100, 1);
        let mut last = Duration::ZERO;
        for _ in 0..50 {
            for (number, _) in outbox.take() {
                assert_eq!(outbox.came(number, Came::NotNow(None)), Then::Again);
            }
            let rest = outbox.rest(false, u32::MAX);
            assert!(rest >= last && rest <= MOST_DELAY, "{rest:?} after {last:?}");
            last = rest;
        }
        assert_eq!((outbox.len(), last), (1, MOST_DELAY));
        outbox.came(0, Came::NotNow(Some(Duration::from_secs(7_200))));
        assert_eq!(outbox.rest(false, 0), MOST_RETRY_AFTER, "and stays away as it is told, within reason");
        assert_eq!(outbox.rest(true, 0), Duration::ZERO);
    }

    #[test]
    fn it_has_a_bound_and_goes_on_with_the_numbers_that_it_was_left_with() {
        let mut outbox = outbox(3, 3);
        assert_eq!(outbox.number(), None);
        assert_eq!(outbox.forget(&[RevocationId(1)]), [1]);
        assert_eq!(outbox.number(), Some(3));
        outbox.put(40, message(9));
        assert_eq!(outbox.number(), None);
        outbox.came(40, Came::Taken);
        assert_eq!(outbox.number(), Some(41), "no number comes twice");
    }
}
