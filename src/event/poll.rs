//! Poll delivery (RFC 8936) without its I/O: what to ask next, what an answer means, what is acknowledged, how long to
//! wait.
//!
//! A SET is acknowledged once it has come to its end here: in force *and* durable (law 2), or refused for good. One that
//! could not be kept is not mentioned, so the transmitter sends it again. What was told in a request that failed is told
//! again; the transmitter may send a SET again too, and it is acknowledged again: a revocation twice is a revocation
//! (law 1).
//!
//! No transmitter makes this ask more than ten times in a second, whatever it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::reject::{Answer, Code};
use crate::backoff::{Backoff, retry_after};

/// How long an answer may be held back by a transmitter that has nothing to say, and a little more.
pub const PATIENCE: Duration = Duration::from_secs(65);
/// How long an answer to a question may take that is not to be held back.
pub const HASTE: Duration = Duration::from_secs(10);
/// Bytes of an answer: as many SETs as are asked for, each as large as a pushed one may be.
pub const MAX_ANSWER: usize = MAX_EVENTS * MAX_SET;

/// SETs in one answer.
const MAX_EVENTS: usize = 64;
/// The same where others stand in their way.
const MOST_EVENTS: usize = 512;
/// Bytes of one SET.
const MAX_SET: usize = 64 * 1024;
/// Between the beginnings of two requests.
const SPACING: Duration = Duration::from_millis(100);
/// The same where the last answer came at once and brought nothing new: the transmitter does not hold answers back, or
/// does not mind what it was told.
const IDLE: Duration = Duration::from_secs(1);
/// The delays after failures.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const MOST_DELAY: Duration = Duration::from_secs(30);
/// The longest delay where events come but cannot be kept: they are in force all the same, so the next must come, too.
const MOST_NOT_KEPT: Duration = Duration::from_secs(5);
/// The longest that a transmitter may tell us to stay away (`Retry-After`): so long no signal comes.
const MOST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Failures in a row after which a transmitter that calls our requests wrong is told nothing, in case that was wrong.
const SPEECHLESS: u32 = 3;
/// Answers in a row that were held back for too long, after which none may be held back.
const TOO_LONG: u32 = 2;

/// One poll request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its body (RFC 8936 §2.2).
    pub body: Value,
    /// It reports errors: their language must be named (RFC 8936 §2.6).
    pub has_errors: bool,
    /// How long the answer may take.
    pub patience: Duration,
}

/// What came of a request.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Heard<'a> {
    /// An HTTP answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its `Retry-After`, as it was sent.
        retry_after: Option<&'a str>,
        /// Its body.
        body: &'a [u8],
    },
    /// An answer that is larger than [`MAX_ANSWER`].
    TooLarge,
    /// No answer within the request's patience.
    Late,
    /// No connection, or it broke.
    Unreachable,
}

impl std::fmt::Debug for Heard<'_> {
    /// A body names people: it is not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answer { status, body, .. } => write!(f, "Answer({status}, {} bytes)", body.len()),
            Self::TooLarge => f.write_str("TooLarge"),
            Self::Late => f.write_str("Late"),
            Self::Unreachable => f.write_str("Unreachable"),
        }
    }
}

/// A SET to be judged.
#[derive(Clone, PartialEq, Eq)]
pub struct Set {
    /// What the transmitter calls it; it must be its `jti`.
    pub jti: String,
    /// The SET, compact.
    pub compact: String,
}

impl std::fmt::Debug for Set {
    /// A SET names people: only its name is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Set({})", self.jti)
    }
}

/// What a SET came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In force and durable.
    Taken,
    /// Refused, for good.
    Refused(Answer),
    /// It could not be judged or kept: it must come again.
    Later,
}

/// Why polling does not go as it should.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// 401 or 403: nothing gets better by itself.
    #[error(
        "the transmitter refuses our token ({0}): check `poll_token`, or what `manage` presents, and what that is allowed"
    )]
    Denied(u16),
    /// Another status that is no success.
    #[error("the transmitter answers {0}")]
    Status(u16),
    /// No connection.
    #[error("the transmitter cannot be reached")]
    Unreachable,
    /// No answer in time.
    #[error("the transmitter does not answer in time")]
    Late,
    /// An answer that is none.
    #[error("the transmitter's answer is not what RFC 8936 says")]
    Unreadable,
    /// An answer that is too large, however few SETs were asked for.
    #[error("the transmitter's answer is too large")]
    TooLarge,
    /// SETs came and could not be judged or kept; why is said elsewhere.
    #[error("events came that cannot be judged or written down at the moment")]
    NotKept,
}

/// The receiver's side of one polled stream. Use it in turns: [`request`](Self::request), [`heard`](Self::heard),
/// [`settle`](Self::settle) for each SET, [`rest`](Self::rest).
#[derive(Clone, Debug)]
pub struct Poll {
    /// To be told: these were taken.
    acks: BTreeSet<String>,
    /// To be told: these were refused, and why.
    refusals: BTreeMap<String, Answer>,
    /// What the last answer that was not empty brought.
    seen: BTreeSet<String>,
    /// SETs to ask for.
    events: usize,
    /// Failures in a row.
    failures: u32,
    /// Answers in a row that were held back for too long.
    too_long: u32,
    /// The last request went well.
    proven: bool,
    /// The request under way lets the transmitter hold the answer back.
    waits: bool,
    /// The last answer had something new, or was held back: the next may be asked for at once.
    worthwhile: bool,
    /// How long the transmitter asked us to stay away.
    retry_after: Option<Duration>,
    trouble: Option<Trouble>,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            acks: BTreeSet::new(),
            refusals: BTreeMap::new(),
            seen: BTreeSet::new(),
            events: MAX_EVENTS,
            failures: 0,
            too_long: 0,
            proven: false,
            waits: false,
            worthwhile: false,
            retry_after: None,
            trouble: None,
        }
    }
}

impl Poll {
    /// What to ask. The first question, and the first after trouble, is to be answered at once: so it is known soon
    /// whether the stream works.
    pub fn request(&mut self) -> Request {
        self.waits = self.proven && self.too_long < TOO_LONG;
        let mut body = Map::new();
        body.insert("maxEvents".to_owned(), json!(self.events));
        body.insert("returnImmediately".to_owned(), json!(!self.waits));
        if !self.acks.is_empty() {
            body.insert("ack".to_owned(), json!(self.acks));
        }
        let has_errors = !self.refusals.is_empty();
        if has_errors {
            let errors: Map<_, _> = self.refusals.iter().map(|(jti, why)| (jti.clone(), why.json())).collect();
            body.insert("setErrs".to_owned(), Value::Object(errors));
        }
        Request { body: Value::Object(body), has_errors, patience: if self.waits { PATIENCE } else { HASTE } }
    }

    /// What came of the request, after `took`: the SETs to be judged, not more than were asked for.
    pub fn heard(&mut self, what: Heard<'_>, took: Duration) -> Vec<Set> {
        (self.worthwhile, self.retry_after) = (false, None);
        let found = match what {
            // Some transmitters say "nothing" without a body.
            Heard::Answer { status: 204, .. } => Ok(Found::default()),
            Heard::Answer { status: 200, body, .. } => Found::parse(body, self.events).ok_or(Trouble::Unreadable),
            Heard::Answer { status, retry_after: told, .. } => {
                self.retry_after = told.and_then(retry_after);
                Err(if matches!(status, 401 | 403) { Trouble::Denied(status) } else { Trouble::Status(status) })
            }
            Heard::TooLarge => Err(Trouble::TooLarge),
            Heard::Late => {
                // A connection that does not come about takes less.
                self.too_long = self.too_long.saturating_add(u32::from(self.waits && took > HASTE));
                Err(Trouble::Late)
            }
            Heard::Unreachable => Err(Trouble::Unreachable),
        };
        match found {
            Ok(found) => self.understood(found, took),
            Err(trouble) => {
                self.failed(trouble);
                Vec::new()
            }
        }
    }

    fn understood(&mut self, found: Found, took: Duration) -> Vec<Set> {
        // An answer is proof that what was told with the question arrived.
        self.acks.clear();
        self.refusals.clear();
        let news = found.sets.iter().any(|(jti, _)| !self.seen.contains(jti));
        // Behind as many as were asked for there may be more. If they are the same again and again, because they cannot be
        // kept here or the transmitter does not mind what it is told, the others are not to wait behind them.
        let full = found.sets.len() >= self.events;
        self.events = match (full, news) {
            (true, true) => self.events.max(MAX_EVENTS),
            (true, false) => (self.events * 2).clamp(MAX_EVENTS, MOST_EVENTS),
            (false, _) => MAX_EVENTS,
        };
        if !found.sets.is_empty() {
            self.seen = found.sets.iter().map(|(jti, _)| jti.clone()).collect();
        }
        self.worthwhile = news || took >= IDLE || !self.proven;
        if self.waits {
            self.too_long = 0;
        }
        (self.proven, self.trouble) = (true, None);
        let mut sets = Vec::with_capacity(found.sets.len());
        for (jti, compact) in found.sets {
            match compact {
                Some(compact) => sets.push(Set { jti, compact }),
                None => self.settle(jti, Outcome::Refused(Answer::new(Code::InvalidRequest, "it is no SET"))),
            }
        }
        sets
    }

    fn failed(&mut self, trouble: Trouble) {
        self.failures = self.failures.saturating_add(1);
        (self.proven, self.trouble) = (false, Some(trouble));
        match trouble {
            // Half as many are half as large; the rest comes later.
            Trouble::TooLarge => self.events = (self.events / 2).max(1),
            // If it is our words that are wrong they would be wrong for ever. Untold, the SETs come again.
            Trouble::Status(400 | 413 | 422) if self.failures >= SPEECHLESS => {
                self.acks.clear();
                self.refusals.clear();
            }
            Trouble::Denied(_)
            | Trouble::Status(_)
            | Trouble::Unreachable
            | Trouble::Late
            | Trouble::Unreadable
            | Trouble::NotKept => {}
        }
    }

    /// What came of a SET.
    pub fn settle(&mut self, jti: String, outcome: Outcome) {
        match outcome {
            Outcome::Taken => {
                self.acks.insert(jti);
            }
            Outcome::Refused(answer) => {
                self.refusals.insert(jti, answer);
            }
            // One failure, however many SETs share it.
            Outcome::Later if self.trouble == Some(Trouble::NotKept) => {}
            Outcome::Later => self.failed(Trouble::NotKept),
        }
    }

    /// How long to wait before the next request, `spent` after the last one began. `random` keeps gateways apart.
    pub fn rest(&mut self, spent: Duration, random: u32) -> Duration {
        if let Some(trouble) = self.trouble {
            let told = self.retry_after.unwrap_or_default().min(MOST_RETRY_AFTER);
            let delay = delays().map_or(MOST_DELAY, |delays| delays.jitter(self.failures, random)).max(told);
            return if trouble == Trouble::NotKept { delay.min(MOST_NOT_KEPT) } else { delay };
        }
        // Only now: SETs that cannot be kept are failures in a row, although each answer was good.
        self.failures = 0;
        let apart = if self.worthwhile { SPACING } else { IDLE };
        apart.saturating_sub(spent)
    }

    /// What is wrong at the moment.
    pub const fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }
}

fn delays() -> Option<Backoff> {
    Backoff::new(FIRST_DELAY, MOST_DELAY).ok()
}

/// What an answer holds (RFC 8936 §2.3). Whether more is there (`moreAvailable`) need not be read: something new is
/// reason enough to ask at once, and nothing new is none.
#[derive(Debug, Default)]
struct Found {
    /// By name; `None` where something else than a text stands for the SET.
    sets: Vec<(String, Option<String>)>,
}

impl Found {
    /// Reads an answer; of more SETs than `most`, the first. Those that are left come again.
    fn parse(body: &[u8], most: usize) -> Option<Self> {
        let Value::Object(mut answer) = serde_json::from_slice(body).ok()? else { return None };
        let sets = match answer.remove("sets") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(sets)) => sets,
            Some(_) => return None,
        };
        let text = |value| if let Value::String(text) = value { Some(text) } else { None };
        Some(Self { sets: sets.into_iter().take(most).map(|(jti, set)| (jti, text(set))).collect() })
    }
}

#[cfg(test)]
mod tests;
