//! One configured SSF relation to a transmitter: how its events arrive, whose keys count, and when it was last heard.

mod authorization;
mod discovery;
pub mod manage;
mod operate;
mod people;
mod poll;
mod sight;
mod signs;
mod supervision;
mod take;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use url::Url;

pub use self::authorization::{ClientProof, Credential, OauthClient};
pub use self::discovery::{Discovery, NotFound};
pub(crate) use self::manage::Manager;
pub use self::sight::{Cause, Sight};
pub(crate) use self::supervision::Watch;
use self::supervision::Watched;
pub(crate) use self::take::{Signals, Unserved};
use crate::event::poll::Trouble;
use crate::event::supervise::{self, Health, Proof};
use crate::event::{Event, SecurityEvent, StreamStatus};
use crate::fleet::{Lead, Sign};
use crate::http::Client;
use crate::jose::Verified;
use crate::keys::{Failure, KeyCache};
use crate::policy::{self, Rate, Rated};
use crate::revocation::Revocation;
use crate::secret::Secret;
use crate::time::Timestamp;

/// What a stream has told us about itself.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The last poll that went as it should, if the stream is polled.
    pub last_poll: Option<Timestamp>,
    /// Why polling does not go as it should at the moment.
    pub trouble: Option<Trouble>,
    /// The last authentic event of any kind.
    pub last_event: Option<Timestamp>,
    /// The last verification event (SSF §8.1.4).
    pub last_verified: Option<Timestamp>,
    /// The last status that the transmitter announced (SSF §8.1.5).
    pub status: Option<StreamStatus>,
    /// SETs taken since the start.
    pub accepted: u64,
    /// SETs refused since the start.
    pub refused: u64,
}

/// How events arrive.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// The transmitter calls us (RFC 8935).
    Push {
        /// What it presents as bearer; `None` where it has nothing to present, and its signature alone counts.
        token: Option<Secret<String>>,
    },
    /// We call the transmitter (RFC 8936).
    Poll {
        /// Where; `None` where the stream is managed and the transmitter says it.
        url: Option<Url>,
        /// What we present as bearer; `None` where the stream is managed, and what its management presents will do.
        token: Option<Secret<String>>,
    },
}

/// How a stream is, and how that is known.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Supervised {
    /// How it is.
    pub health: Health,
    /// Since when.
    pub since: Timestamp,
    /// The last sign of life.
    pub last_sign: Option<Timestamp>,
    /// How long the last verification event took.
    pub lag: Option<Duration>,
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    settings: policy::Settings,
    delivery: Delivery,
    keys: KeyCache,
    client: Client,
    manager: Option<Manager>,
    /// What the transmitter says about itself, where that is asked for.
    described: Option<Arc<Discovery>>,
    watched: Watched,
    /// Which gateway polls and asks.
    lead: Lead,
    /// Whom it revoked within the last minute, where that has a bound.
    rate: Option<Mutex<Rate>>,
    /// Guards only itself; taken for a copy or an update, never held.
    state: Mutex<State>,
}

impl Stream {
    /// A stream that was not heard yet.
    pub(crate) fn new(
        settings: policy::Settings,
        delivery: Delivery,
        keys: KeyCache,
        client: Client,
        manager: Option<Manager>,
        watch: supervise::Settings,
        now: Timestamp,
    ) -> Self {
        // What a managed stream has to show for itself is known once it is found.
        let proof = match &delivery {
            _ if watch.managed => Proof::Verification,
            Delivery::Poll { .. } => Proof::Polls,
            Delivery::Push { .. } => Proof::Nothing,
        };
        let watched = Watched::new(watch, proof, now);
        let rate = settings.bounds.users_per_minute.map(|number| Mutex::new(Rate::new(number)));
        let (lead, described) = (Lead::alone(), None);
        Self { settings, delivery, keys, client, manager, described, watched, lead, rate, state: Mutex::default() }
    }

    /// The same stream; its transmitter describes itself there.
    pub(crate) fn described_by(self, discovery: Arc<Discovery>) -> Self {
        Self { described: Some(discovery), ..self }
    }

    /// The same stream, of a gateway that is one of several.
    pub(crate) fn led_by(self, lead: Lead) -> Self {
        Self { lead, ..self }
    }

    /// What it may do, by the config and by what its transmitter says must be understood (SSF §3.6), as far as that is known.
    fn authority(&self) -> Cow<'_, policy::Settings> {
        let metadata = self.described.as_ref().and_then(|described| described.known());
        match metadata.filter(|metadata| !metadata.critical_subject_members.is_empty()) {
            None => Cow::Borrowed(&self.settings),
            Some(metadata) => {
                let mut settings = self.settings.clone();
                settings.critical_members.extend(metadata.critical_subject_members.iter().cloned());
                Cow::Owned(settings)
            }
        }
    }

    /// How its events arrive.
    pub const fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// What it may do.
    pub const fn settings(&self) -> &policy::Settings {
        &self.settings
    }

    /// Whether an `Authorization` value is the one that the transmitter was given (SSF §6.1.1): the whole value, or its
    /// bearer token. One that was given none need not present anything. Nobody pushes on a stream that is polled.
    pub fn admits(&self, authorization: Option<&str>) -> bool {
        let Delivery::Push { token: ours } = &self.delivery else { return false };
        let Some(ours) = ours else { return true };
        let Some(authorization) = authorization else { return false };
        let bearer = authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        ours.matches(authorization) || bearer.is_some_and(|(_, token)| ours.matches(token.trim()))
    }

    /// Tells what the stream may put in force by itself from what has to be approved.
    fn rated(&self, revocations: Vec<Revocation>, now: Timestamp) -> Rated {
        match &self.rate {
            Some(rate) => rate.lock().unwrap_or_else(PoisonError::into_inner).rate(revocations, now),
            None => Rated { within: revocations, beyond: Vec::new() },
        }
    }

    /// Verifies a SET of this stream.
    pub async fn verify<C: DeserializeOwned>(&self, compact: &str) -> Result<Verified<C>, Failure> {
        self.keys.verify(compact, &self.settings.expectation()).await
    }

    /// Notes that an authentic event came; false for a verification event with a state that nobody asked for.
    pub fn heard(&self, event: &SecurityEvent, now: Timestamp) -> bool {
        // Where another gateway asked, the answer may land here.
        if !self.watched.heard(event, now, |state| self.lead.is_mark(state)) {
            return false;
        }
        self.says(event);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last_event = Some(now);
        state.accepted += 1;
        for each in &event.events {
            match each {
                Event::Verification { .. } => state.last_verified = Some(now),
                Event::StreamUpdated { status, reason } => {
                    state.status = Some(*status);
                    let (stream, reason) = (&self.settings.name, reason.as_deref().unwrap_or("none given"));
                    match status {
                        StreamStatus::Enabled => tracing::info!(stream, reason, "the transmitter enabled the stream"),
                        StreamStatus::Paused | StreamStatus::Disabled => tracing::error!(
                            stream,
                            status = status.word(),
                            reason,
                            "the transmitter stopped the stream: no signal comes until it is enabled again"
                        ),
                    }
                }
                Event::Happened(_) => {}
            }
        }
        true
    }

    /// Notes that a SET was refused.
    pub fn refused(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).refused += 1;
    }

    /// Notes how a poll went.
    fn polled(&self, trouble: Option<Trouble>, now: Timestamp) {
        self.lead.went(trouble.is_none());
        match trouble {
            None => {
                self.watched.machine().polled(now);
                self.lead.say(Sign::Polled);
            }
            // The place is gone, and perhaps the stream with it.
            Some(Trouble::Status(404 | 410)) => self.watched.machine().suspect(now),
            Some(_) => {}
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.trouble = trouble;
        if trouble.is_none() {
            state.last_poll = Some(now);
        }
    }

    /// Another gateway polls.
    fn polls_no_more(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble = None;
    }

    /// What it has told us about itself.
    pub fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is.
    pub fn supervised(&self, now: Timestamp) -> Supervised {
        let machine = self.watched.machine();
        let (health, since) = machine.health(now);
        Supervised { health, since, last_sign: machine.last_sign(), lag: machine.lag() }
    }

    /// Why its management does not go as it should at the moment.
    pub fn management_trouble(&self) -> Option<manage::Trouble> {
        self.watched.trouble()
    }

    /// Whether the gateway manages it.
    pub const fn is_managed(&self) -> bool {
        self.manager.is_some()
    }
}
