//! An issuer's keys, cached.
//!
//! Fetched when first needed, again when they are old or a token names a key that is not among them; but never more
//! often than every 30 seconds, whatever strangers send. If the issuer cannot be reached, the keys that are known go on.

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{ACCEPT, CACHE_CONTROL, HeaderMap};
use ::http::{Request, StatusCode};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use url::Url;

use crate::http::{Cached, Client, Fetched};
use crate::jose::{self, Expectation, Keys, Reject, Verified};
use crate::time::Clock;

/// Bytes of a key set. A hundred RSA keys with their certificates stay under half.
const MAX_KEY_SET: usize = 256 * 1024;
/// How long keys are good if their server does not say.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(10 * 60);
/// Bounds on what the server may say (`Cache-Control: max-age`).
const LEAST_MAX_AGE: Duration = Duration::from_secs(60);
const MOST_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Where an issuer's keys are.
#[derive(Clone)]
pub enum Source {
    /// At a configured place.
    Fixed(Url),
    /// Where the issuer's metadata say.
    Discovered(Arc<dyn Locate>),
}

/// Knows where keys are, or finds it out.
#[async_trait]
pub trait Locate: Send + Sync {
    /// The `jwks_uri`; `None` if it cannot be found out at the moment.
    async fn jwks_uri(&self) -> Option<Url>;
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(url) => write!(f, "Fixed({url})"),
            Self::Discovered(_) => f.write_str("Discovered"),
        }
    }
}

/// Why a token is not verified.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It is not what it must be.
    #[error("the token is refused: {0}")]
    Rejected(#[from] Reject),
    /// Nobody can say: the issuer's keys cannot be had at the moment.
    #[error("the issuer's keys cannot be had")]
    Unavailable,
}

/// No key set came of a fetch. Why is in the log of whoever looks after the issuer; callers can only wait.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct NoKeySet;

/// The keys of one issuer.
#[derive(Debug)]
pub struct KeyCache {
    client: Client,
    source: Source,
    clock: Clock,
    keys: Cached<Keys, NoKeySet>,
}

impl KeyCache {
    /// A cache that has nothing yet.
    pub fn new(client: Client, source: Source, clock: Clock) -> Self {
        let keys = Cached::new(clock.clone(), NoKeySet);
        Self { client, source, clock, keys }
    }

    /// Verifies a token of this issuer ([`jose::verify`]). A token under an unknown key makes the keys be fetched again,
    /// if that was not tried in the last 30 seconds.
    pub async fn verify<C: DeserializeOwned>(
        &self,
        compact: &str,
        expectation: &Expectation<'_>,
    ) -> Result<Verified<C>, Failure> {
        let keys = self.keys.current(self.fetch()).await.map_err(|NoKeySet| Failure::Unavailable)?;
        match jose::verify(compact, &keys, expectation, self.clock.now()) {
            Err(Reject::UnknownKey) => {}
            decided => return Ok(decided?),
        }
        // If the keys could not be fetched again, the unknown key may be a new one: that is not for us to refuse.
        let renewed = self.keys.renewed(&keys, self.fetch()).await.map_err(|NoKeySet| Failure::Unavailable)?;
        Ok(jose::verify(compact, &renewed, expectation, self.clock.now())?)
    }

    /// How many times the keys were asked for, for metrics.
    pub fn fetches(&self) -> u64 {
        self.keys.fetches()
    }

    async fn fetch(&self) -> Result<Fetched<Keys>, NoKeySet> {
        let url = match &self.source {
            Source::Fixed(url) => url.clone(),
            Source::Discovered(issuer) => issuer.jwks_uri().await.ok_or(NoKeySet)?,
        };
        let request = Request::get(url.as_str())
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .body(Vec::new())
            .map_err(|_| NoKeySet)?;
        let answer = self.client.send(request, MAX_KEY_SET).await.map_err(|_| NoKeySet)?;
        if answer.status() != StatusCode::OK {
            return Err(NoKeySet);
        }
        let value = Keys::parse(answer.body()).map_err(|_| NoKeySet)?;
        // An empty set replaced a good one in more than one botched rotation: nothing is gained by believing it.
        if value.is_empty() {
            return Err(NoKeySet);
        }
        Ok(Fetched { value, good_for: max_age(answer.headers()) })
    }
}

/// How long an answer is good (RFC 9111 §5.2.2.1), within our bounds.
fn max_age(headers: &HeaderMap) -> Duration {
    let directives: Vec<String> = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    if directives.iter().any(|d| d == "no-store" || d == "no-cache") {
        return LEAST_MAX_AGE;
    }
    let stated = directives.iter().find_map(|d| d.strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    stated.map_or(DEFAULT_MAX_AGE, Duration::from_secs).clamp(LEAST_MAX_AGE, MOST_MAX_AGE)
}

#[cfg(test)]
mod tests;
