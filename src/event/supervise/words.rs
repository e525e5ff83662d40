//! The words of a watch over a stream: how it is, what shows it, what is done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How closely a stream is watched.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often it is asked to show that it lives.
    pub verify_every: Duration,
    /// Silent or paused for so long, it is dark.
    pub blind_after: Duration,
    /// While it is dark, everything is re-established again and again, so far apart.
    pub recheck_every: Duration,
    /// Events are polled: what was not acknowledged comes again, so that silence alone loses none.
    pub polled: bool,
    /// The gateway manages the stream: it can be asked, and made again.
    pub managed: bool,
}

/// What shows that a stream lives.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// Events, and we can ask for one.
    Verification,
    /// Events, and polls that go well.
    Polls,
    /// Events, and the transmitter's word.
    Status,
    /// Events; but a quiet day has none.
    Nothing,
}

/// How a stream is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It showed that it lives.
    Live,
    /// It should have shown it by now, or was not heard yet.
    Late,
    /// It was silent for too long.
    Blind,
    /// The transmitter says that it sends nothing.
    Paused,
    /// The transmitter does not have it.
    Gone,
    /// Nobody can tell: it is pushed, and nothing can be asked for.
    Unsupervised,
}

impl Health {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Live, Self::Late, Self::Blind, Self::Paused, Self::Gone, Self::Unsupervised];

    /// The word for logs, metrics and tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Late => "late",
            Self::Blind => "blind",
            Self::Paused => "paused",
            Self::Gone => "gone",
            Self::Unsupervised => "unsupervised",
        }
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Find the stream at the transmitter, or make it.
    Make,
    /// Ask for its status.
    Status,
    /// Ask the transmitter to send again.
    Resume,
    /// Ask for a verification event with this state.
    Verify(String),
}

/// What the transmitter asks of whoever watches the stream.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Verification must not be asked for more often.
    pub min_verification_interval: Option<Duration>,
    /// Without a sign of us for so long, it may be paused, disabled or deleted.
    pub inactivity_timeout: Option<Duration>,
}

/// What the passing of time, or what was heard, comes to.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// It is another than before: from, to.
    pub change: Option<(Health, Health)>,
    /// What it should have told is not known.
    pub dark: bool,
    /// Everything that was asserted until now has to go through the IdP again.
    pub reestablish: bool,
}
