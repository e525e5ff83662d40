//! What a transmitter says about itself, fetched when needed and kept for a day.

use std::sync::Arc;
use std::time::Duration;

use ::http::Request;
use ::http::header::ACCEPT;
use async_trait::async_trait;
use url::Url;

use crate::event::stream_config::{Metadata, Unusable};
use crate::http::{Cached, Client, Fetched};
use crate::identity::Issuer;
use crate::keys::Locate;
use crate::time::Clock;

/// Bytes of a transmitter's metadata. Real ones have two thousand.
const MAX_METADATA: usize = 64 * 1024;
/// How long metadata are good: they change when a transmitter moves.
const METADATA_GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Where they are, after the host or after the issuer.
const WELL_KNOWN: &str = "/.well-known/ssf-configuration";

/// The metadata of one transmitter.
#[derive(Debug)]
pub struct Discovery {
    issuer: Issuer,
    /// The places to look in, the one that SSF names first.
    places: Vec<Url>,
    client: Client,
    found: Cached<Metadata, NotFound>,
}

/// Why a transmitter's metadata cannot be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// Nobody has asked yet.
    #[error("the transmitter's metadata were not asked for yet")]
    NotYet,
    /// No answer, or none with success.
    #[error("the transmitter does not answer with its metadata; if they are elsewhere, set `metadata_url`")]
    Unreachable,
    /// They are no metadata of that issuer.
    #[error("the transmitter's metadata cannot be used: {0}")]
    Unusable(#[from] Unusable),
}

impl Discovery {
    /// Looks at `metadata_url`, else where SSF §7.2.1 says: between host and path of the issuer; else behind the whole issuer,
    /// where some have them (Keycloak, authentik).
    pub fn new(
        issuer: &Issuer,
        metadata_url: Option<Url>,
        client: Client,
        clock: Clock,
    ) -> Result<Self, url::ParseError> {
        let url = Url::parse(issuer.as_str())?;
        let path = url.path().trim_end_matches('/');
        let at = |path: String| {
            let mut place = url.clone();
            place.set_path(&path);
            place
        };
        let mut places = match metadata_url {
            Some(place) => vec![place],
            None => vec![at(format!("{WELL_KNOWN}{path}")), at(format!("{path}{WELL_KNOWN}"))],
        };
        places.dedup();
        Ok(Self { issuer: issuer.clone(), places, client, found: Cached::new(clock, NotFound::NotYet) })
    }

    /// The metadata: known, or fetched now.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, NotFound> {
        self.found.current(self.fetch()).await
    }

    /// The metadata, if they were fetched before.
    pub(super) fn known(&self) -> Option<Arc<Metadata>> {
        self.found.known()
    }

    async fn fetch(&self) -> Result<Fetched<Metadata>, NotFound> {
        for place in &self.places {
            let request = Request::get(place.as_str()).header(ACCEPT, "application/json").body(vec![]);
            let request = request.map_err(|_| NotFound::Unreachable)?;
            let answer = self.client.send(request, MAX_METADATA).await.map_err(|_| NotFound::Unreachable)?;
            match answer.status().as_u16() {
                200 => {
                    let value = Metadata::parse(answer.body(), &self.issuer)?;
                    return Ok(Fetched { value, good_for: METADATA_GOOD_FOR });
                }
                // Not here; perhaps there.
                400..=499 => {}
                _ => return Err(NotFound::Unreachable),
            }
        }
        Err(NotFound::Unreachable)
    }
}

#[async_trait]
impl Locate for Discovery {
    async fn jwks_uri(&self) -> Option<Url> {
        match self.metadata().await {
            Ok(metadata) if metadata.jwks_uri.is_some() => metadata.jwks_uri.clone(),
            Ok(_) => {
                tracing::warn!(issuer = %self.issuer, "a transmitter's metadata have no `jwks_uri`");
                None
            }
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
    use crate::time::Timestamp;

    #[test]
    fn the_metadata_stand_between_host_and_path_of_the_issuer_or_behind_it() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let settings = crate::http::Settings::default();
        let places = |issuer: &str, elsewhere: Option<Url>| {
            let client = Client::new(&settings).expect("client");
            let clock = Clock::manual(Timestamp::ZERO);
            let issuer = Issuer::parse(issuer).expect("issuer");
            let discovery = Discovery::new(&issuer, elsewhere, client, clock).expect("url");
            discovery.places.iter().map(Url::to_string).collect::<Vec<_>>()
        };
        let at_root = ["https://tr.example.com/.well-known/ssf-configuration"];
        for (issuer, expected) in [
            ("https://tr.example.com", &at_root[..]),
            ("https://tr.example.com/", &at_root),
            (
                "https://tr.example.com/issuer1",
                &[
                    "https://tr.example.com/.well-known/ssf-configuration/issuer1",
                    "https://tr.example.com/issuer1/.well-known/ssf-configuration",
                ],
            ),
        ] {
            assert_eq!(places(issuer, None), expected);
        }
        let elsewhere = Url::parse("https://tr.example.com/.well-known/risc-configuration").expect("url");
        assert_eq!(places("https://tr.example.com/a", Some(elsewhere.clone())), [elsewhere.to_string()]);
    }
}
