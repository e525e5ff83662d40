//! One configured SSF relation to a transmitter: who may push on it, whose keys count, and when it was last heard.

use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;

use crate::event::{Event, SecurityEvent, StreamStatus};
use crate::jose::Verified;
use crate::keys::{Failure, KeyCache};
use crate::policy;
use crate::secret::Secret;
use crate::time::Timestamp;

/// What a stream has told us about itself.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The last authentic event of any kind.
    pub last_event: Option<Timestamp>,
    /// The last verification event (SSF §8.1.4).
    pub last_verified: Option<Timestamp>,
    /// The last status that the transmitter announced (SSF §8.1.5).
    pub status: Option<StreamStatus>,
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    settings: policy::Settings,
    push_token: Secret<String>,
    keys: KeyCache,
    /// Guards only itself; taken for a copy or an update, never held.
    state: Mutex<State>,
}

impl Stream {
    /// A stream that was not heard yet.
    pub fn new(settings: policy::Settings, push_token: Secret<String>, keys: KeyCache) -> Self {
        Self { settings, push_token, keys, state: Mutex::default() }
    }

    /// What it may do.
    pub const fn settings(&self) -> &policy::Settings {
        &self.settings
    }

    /// Whether an `Authorization` value is the one that the transmitter was given (SSF §6.1.1): the whole value, or its
    /// bearer token.
    pub fn admits(&self, authorization: &str) -> bool {
        let bearer = authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        self.push_token.matches(authorization) || bearer.is_some_and(|(_, token)| self.push_token.matches(token.trim()))
    }

    /// Verifies a SET of this stream.
    pub async fn verify<C: DeserializeOwned>(&self, compact: &str) -> Result<Verified<C>, Failure> {
        self.keys.verify(compact, &self.settings.expectation()).await
    }

    /// Notes that an authentic event came.
    pub fn heard(&self, event: &SecurityEvent, now: Timestamp) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last_event = Some(now);
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
                Event::SessionRevoked(_) | Event::Unknown { .. } => {}
            }
        }
    }

    /// What it has told us about itself.
    pub fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
