//! One configured SSF relation to a transmitter: how its events arrive, whose keys count, and when it was last heard.

mod poll;
mod take;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::http::Request;
use ::http::header::ACCEPT;
use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

pub(crate) use self::take::{Signals, Unserved};
use crate::event::poll::Trouble;
use crate::event::{Event, SecurityEvent, StreamStatus};
use crate::http::{Cached, Client, Fetched};
use crate::identity::Issuer;
use crate::jose::Verified;
use crate::keys::{Failure, KeyCache, Locate};
use crate::policy::{self, Rate, Rated};
use crate::revocation::Revocation;
use crate::secret::Secret;
use crate::time::{Clock, Timestamp};

/// Bytes of a transmitter's metadata. Real ones have two thousand.
const MAX_METADATA: usize = 64 * 1024;
/// How long metadata are good: they change when a transmitter moves.
const METADATA_GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

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
        /// What it presents as bearer.
        token: Secret<String>,
    },
    /// We call the transmitter (RFC 8936).
    Poll {
        /// Where.
        url: Url,
        /// What we present as bearer.
        token: Secret<String>,
    },
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    settings: policy::Settings,
    delivery: Delivery,
    keys: KeyCache,
    client: Client,
    /// Whom it revoked within the last minute, where that has a bound.
    rate: Option<Mutex<Rate>>,
    /// Guards only itself; taken for a copy or an update, never held.
    state: Mutex<State>,
}

impl Stream {
    /// A stream that was not heard yet.
    pub fn new(settings: policy::Settings, delivery: Delivery, keys: KeyCache, client: Client) -> Self {
        let rate = settings.bounds.users_per_minute.map(|number| Mutex::new(Rate::new(number)));
        Self { settings, delivery, keys, client, rate, state: Mutex::default() }
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
    /// bearer token. Nobody pushes on a stream that is polled.
    pub fn admits(&self, authorization: &str) -> bool {
        let Delivery::Push { token: ours } = &self.delivery else { return false };
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

    /// Notes that an authentic event came.
    pub fn heard(&self, event: &SecurityEvent, now: Timestamp) {
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
    }

    /// Notes that a SET was refused.
    pub fn refused(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).refused += 1;
    }

    /// Notes how a poll went.
    fn polled(&self, trouble: Option<Trouble>, now: Timestamp) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.trouble = trouble;
        if trouble.is_none() {
            state.last_poll = Some(now);
        }
    }

    /// What it has told us about itself.
    pub fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a transmitter's keys are, by its metadata (SSF §7).
#[derive(Debug)]
pub struct Discovery {
    issuer: Issuer,
    url: Url,
    client: Client,
    found: Cached<Url, NotFound>,
}

/// Why a transmitter's metadata cannot be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum NotFound {
    #[error("the metadata were not asked for yet")]
    NotYet,
    #[error("the transmitter does not answer with its metadata")]
    Unreachable,
    #[error("the metadata are not those of the configured issuer")]
    OtherIssuer,
    #[error("the metadata have no usable `jwks_uri`")]
    NoKeys,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Option<Url>,
}

impl Discovery {
    /// Looks in the place that SSF §7.2.1 names: `/.well-known/ssf-configuration` between host and path of the issuer.
    pub fn new(issuer: &Issuer, client: Client, clock: Clock) -> Result<Self, url::ParseError> {
        let mut url = Url::parse(issuer.as_str())?;
        let path = format!("/.well-known/ssf-configuration{}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Self { issuer: issuer.clone(), url, client, found: Cached::new(clock, NotFound::NotYet) })
    }

    async fn fetch(&self) -> Result<Fetched<Url>, NotFound> {
        let request = Request::get(self.url.as_str())
            .header(ACCEPT, "application/json")
            .body(vec![])
            .map_err(|_| NotFound::Unreachable)?;
        let response = self.client.send(request, MAX_METADATA).await.map_err(|_| NotFound::Unreachable)?;
        if !response.status().is_success() {
            return Err(NotFound::Unreachable);
        }
        let metadata: Metadata = serde_json::from_slice(response.body()).map_err(|_| NotFound::NoKeys)?;
        // Byte for byte (SSF §7.2.4): another issuer's metadata would bring another issuer's keys.
        if metadata.issuer != self.issuer.as_str() {
            return Err(NotFound::OtherIssuer);
        }
        metadata.jwks_uri.map(|value| Fetched { value, good_for: METADATA_GOOD_FOR }).ok_or(NotFound::NoKeys)
    }
}

#[async_trait]
impl Locate for Discovery {
    async fn jwks_uri(&self) -> Option<Url> {
        match self.found.current(self.fetch()).await {
            Ok(url) => Some((*url).clone()),
            Err(error) => {
                tracing::warn!(issuer = %self.issuer, %error, "a transmitter's keys cannot be found");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_stand_between_host_and_path_of_the_issuer() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let settings = crate::http::Settings::default();
        for (issuer, expected) in [
            ("https://tr.example.com", "https://tr.example.com/.well-known/ssf-configuration"),
            ("https://tr.example.com/", "https://tr.example.com/.well-known/ssf-configuration"),
            ("https://tr.example.com/issuer1", "https://tr.example.com/.well-known/ssf-configuration/issuer1"),
        ] {
            let client = Client::new(&settings).expect("client");
            let clock = Clock::manual(Timestamp::ZERO);
            let discovery = Discovery::new(&Issuer::parse(issuer).expect("issuer"), client, clock).expect("url");
            assert_eq!(discovery.url.as_str(), expected);
        }
    }
}
