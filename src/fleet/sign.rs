//! Signs of life of a stream, which travel: what one gateway sees of it, all take into account. Nobody waits for them, and
//! one that is lost is lost: the next one comes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::engine::Letter;
use super::{Fleet, Inner, message};
use crate::event::StreamStatus;
use crate::event::supervise::{Limits, Proof};
use crate::time::Timestamp;

/// What one gateway saw of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sign {
    /// The gateway of that name leads it, under that fence, and knows that of it.
    Leads {
        /// The gateway.
        name: String,
        /// Later leaders have greater ones.
        fence: u64,
        /// What is known of a managed stream.
        there: Option<There>,
    },
    /// It was found at the transmitter, or made anew.
    Made {
        /// What is known of it.
        there: There,
        /// What came before was never told on it.
        anew: bool,
    },
    /// The transmitter does not have it any more.
    Gone,
    /// An authentic event came, made then.
    Heard {
        /// When it was made.
        issued_at: Timestamp,
    },
    /// A verification event came with that state.
    Answered {
        /// What a gateway asked with.
        state: String,
        /// When the event was made.
        issued_at: Timestamp,
    },
    /// A poll went as it should.
    Polled,
    /// The transmitter said what its status is.
    Told(StreamStatus),
    /// An operator stopped it, or deleted it.
    Stopped(Option<StreamStatus>),
}

/// A managed stream, as far as every gateway has to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct There {
    /// Its name at the transmitter.
    pub stream_id: String,
    /// What the transmitter asks.
    pub limits: Limits,
    /// What shows that it lives.
    pub proof: Proof,
}

/// A sign, of which stream, and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) stream: String,
    pub(super) at: Timestamp,
    pub(super) sign: Sign,
}

/// Between two signs of one kind that say the same.
const SPARING: Duration = Duration::from_secs(3);
/// Signs that may wait to be told. What is more is not told.
pub(super) const WAITING: usize = 256;
/// How often a sign is tried to be told.
const TRIES: u32 = 4;
/// Before the next try.
const PAUSE: Duration = Duration::from_millis(300);

/// Keeps away what was said just now.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    heard: Option<Duration>,
    polled: Option<Duration>,
    answered: Option<(String, Duration)>,
    told: Option<(StreamStatus, Duration)>,
}

impl Throttle {
    /// Whether `sign` is to be told now.
    pub(super) fn lets(&mut self, sign: &Sign, now: Duration) -> bool {
        let spared = |at: Duration| now.saturating_sub(at) < SPARING;
        match sign {
            Sign::Heard { .. } if self.heard.is_some_and(spared) => return false,
            Sign::Heard { .. } => self.heard = Some(now),
            Sign::Polled if self.polled.is_some_and(spared) => return false,
            Sign::Polled => self.polled = Some(now),
            Sign::Answered { state, .. } => match &self.answered {
                Some((known, at)) if known == state && spared(*at) => return false,
                Some(_) | None => self.answered = Some((state.clone(), now)),
            },
            Sign::Told(status) => match self.told {
                Some((known, at)) if known == *status && spared(at) => return false,
                Some(_) | None => self.told = Some((*status, now)),
            },
            Sign::Leads { .. } | Sign::Made { .. } | Sign::Gone | Sign::Stopped(_) => {}
        }
        true
    }
}

impl Fleet {
    /// Tells the other gateways what was seen of that stream, soon. Waits for nothing.
    pub(super) fn say(&self, stream: &str, sign: Sign) {
        let Inner { me, ring, clock, saying, .. } = &*self.0;
        let seen = Seen { stream: stream.to_owned(), at: clock.now(), sign };
        if let Some(letter) = message::sign(ring, *me, &seen) {
            // Where too many wait the engine is away, and nothing could be told.
            let _ = saying.try_send(letter);
        }
    }
}

impl Inner {
    /// Tells signs until the gateway ends.
    pub(super) async fn say_all(&self, mut waiting: mpsc::Receiver<Letter>) {
        let mut letters = Vec::new();
        while waiting.recv_many(&mut letters, WAITING).await > 0 {
            for each in 1..=TRIES {
                let told = timeout(self.settings.tell_within, self.engine.append(&letters)).await;
                if matches!(told, Ok(Ok(()))) {
                    break;
                }
                sleep(PAUSE * each).await;
            }
            letters.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_the_same_is_told_every_few_seconds_and_what_is_new_at_once() {
        let answered = |state: &str| Sign::Answered { state: state.into(), issued_at: Timestamp::ZERO };
        let heard = |at| Sign::Heard { issued_at: Timestamp::from_secs(at) };
        let mut throttle = Throttle::default();
        for (millis, sign, told) in [
            (0, heard(1), true),
            (2_999, heard(2), false),
            (2_999, Sign::Polled, true),
            (3_000, heard(3), true),
            (3_000, answered("a"), true),
            (3_001, answered("a"), false),
            (3_001, answered("b"), true),
            (6_001, answered("b"), true),
            (6_001, Sign::Told(StreamStatus::Enabled), true),
            (6_001, Sign::Told(StreamStatus::Enabled), false),
            (6_001, Sign::Told(StreamStatus::Paused), true),
            (6_001, Sign::Gone, true),
            (6_001, Sign::Gone, true),
            (6_001, Sign::Polled, true),
        ] {
            assert_eq!(throttle.lets(&sign, Duration::from_millis(millis)), told, "{sign:?} after {millis} ms");
        }
    }
}
