//! From a config to an edition: what requests are served by.
//!
//! The first is made at the start. A later one takes over from the one before whatever its config says the same of (an IdP
//! with its keys and the proofs that were used, a stream with what is known of it, a pool with the health of its servers),
//! so that a reload that changes one app is felt by that app alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::lasting::Lasting;
use crate::apps::Apps;
use crate::config::{Config, IdpSettings, ServerSettings, StreamSettings};
use crate::endpoint::{self, Endpoints, Parts};
use crate::fleet::Lead;
use crate::http::Client;
use crate::idp::Idp;
use crate::keys::{KeyCache, Source};
use crate::policy;
use crate::proxy::{Bounds, Edition, Pool};
use crate::seal::KeyRing;
use crate::session;
use crate::stream::{Discovery, Manager, Stream};
use crate::time::Clock;

/// What of a config may be another one while the gateway runs.
pub(super) struct Swappable {
    pub(super) apps: Apps,
    pub(super) session: session::Settings,
    pub(super) streams: BTreeMap<String, StreamSettings>,
    pub(super) idps: HashMap<String, Arc<Idp>>,
    pub(super) ring: Arc<KeyRing>,
    pub(super) bounds: Bounds,
    pub(super) look: crate::page::Look,
}

/// What is asked of requests.
pub(super) fn bounds(server: &ServerSettings) -> Bounds {
    Bounds {
        max_header_bytes: server.max_header_bytes,
        client_timeout: server.timeouts.body_read,
        trusted_proxies: server.trusted_proxies.clone(),
    }
}

/// IdPs that were not talked to yet.
pub(super) fn idps(
    settings: impl IntoIterator<Item = (String, IdpSettings)>,
    client: &Client,
    clock: &Clock,
) -> HashMap<String, Arc<Idp>> {
    let idp = |(name, settings)| (name, Arc::new(Idp::new(settings, client.clone(), clock.clone())));
    settings.into_iter().map(idp).collect()
}

/// An IdP of other settings than `known`, which has its name, if there was one.
pub(super) fn new_idp(lasting: &Lasting, settings: IdpSettings, known: Option<&Arc<Idp>>) -> Idp {
    let idp = Idp::new(settings, lasting.client.clone(), lasting.clock.clone());
    match known {
        Some(known) => idp.following(known),
        None => idp,
    }
}

/// What each IdP and each stream comes to, by its key: what a change elsewhere in the config does to one is seen here.
#[derive(Debug)]
pub(super) struct Shapes(HashMap<String, String>);

impl Shapes {
    /// Secrets are not in it: that one is another is seen by its key, or its file.
    pub(super) fn of(config: &Config) -> Self {
        let idps = config.idps.iter().map(|(name, idp)| (format!("idps.{name}"), format!("{idp:?}")));
        let streams = config.streams.iter().map(|(name, stream)| (format!("streams.{name}"), format!("{stream:?}")));
        Self(idps.chain(streams).collect())
    }

    pub(super) fn get(&self, key: &str) -> Option<&String> {
        self.0.get(key)
    }
}

/// The edition of the start.
pub(super) fn first(lasting: &Lasting, of: Swappable) -> anyhow::Result<Edition> {
    let streams = of.streams.values().map(|settings| new_stream(lasting, settings.clone(), &of.idps));
    let streams = streams.collect::<anyhow::Result<Vec<_>>>()?;
    let pools = of.apps.with_servers().map(Pool::of).collect::<pingora::Result<Vec<_>>>()?;
    Ok(edition(lasting, of, streams, pools))
}

/// Everything put together.
pub(super) fn edition(
    lasting: &Lasting,
    of: Swappable,
    streams: impl IntoIterator<Item = Arc<Stream>>,
    pools: impl IntoIterator<Item = Pool>,
) -> Edition {
    let streams = streams.into_iter().map(|stream| (stream.settings().name.clone(), stream)).collect();
    let pools = pools.into_iter().map(|pool| (pool.app_name().to_owned(), pool)).collect();
    let parts = Parts {
        apps: of.apps,
        ring: of.ring,
        session: of.session,
        idps: of.idps,
        streams,
        checks: lasting.checks.clone(),
        sight: Arc::clone(&lasting.sight),
        enforcer: lasting.enforcer.clone(),
        outcomes: lasting.outcomes.clone(),
        intake: Arc::clone(&lasting.intake),
        fleet: lasting.fleet.clone(),
        audit: lasting.audit.clone(),
        metrics: Arc::clone(&lasting.metrics),
        names: Arc::clone(&lasting.names),
        look: of.look,
        recent: Arc::clone(&lasting.recent),
        clock: lasting.clock.clone(),
    };
    Edition { endpoints: Arc::new(Endpoints::new(parts)), pools, bounds: of.bounds }
}

/// A stream that was not heard yet.
pub(super) fn new_stream(
    lasting: &Lasting,
    settings: StreamSettings,
    idps: &HashMap<String, Arc<Idp>>,
) -> anyhow::Result<Arc<Stream>> {
    let lead = lasting.fleet.as_ref().map_or_else(Lead::alone, |fleet| fleet.lead(&settings.name));
    Ok(Arc::new(stream(settings, idps, &lasting.client, &lasting.clock)?.led_by(lead)))
}

fn stream(
    settings: StreamSettings,
    idps: &HashMap<String, Arc<Idp>>,
    client: &Client,
    clock: &Clock,
) -> anyhow::Result<Stream> {
    let discovery = Discovery::new(&settings.issuer, settings.metadata_url, client.clone(), clock.clone())?;
    let discovery = Arc::new(discovery);
    let source = match settings.jwks_uri {
        Some(url) => Source::Fixed(url),
        None => Source::Discovered(Arc::<Discovery>::clone(&discovery)),
    };
    let manager = settings.manage.map(|manage| {
        let (issuer, audiences) = (settings.issuer.clone(), settings.audience.clone());
        Manager::new(manage, issuer, audiences, Arc::clone(&discovery), client.clone(), clock.clone())
    });
    let keys = KeyCache::new(client.clone(), source, clock.clone());
    let policy = policy::Settings {
        name: settings.name,
        issuer: settings.issuer,
        audiences: settings.audience,
        algs: crate::jose::Alg::ALL.to_vec(),
        speaks_for: settings
            .speaks_for
            .iter()
            .filter_map(|name| idps.get(name))
            .map(|idp| endpoint::spoken_for(idp))
            .collect(),
        widest: settings.widest,
        bounds: settings.bounds,
        rules: settings.rules,
        allowed_events: settings.allowed_events,
        scim_external_id: settings.scim_external_id,
        critical_members: settings.critical_members,
        quirks: settings.preset.quirks(),
        subject_issuers: settings
            .subject_issuers
            .iter()
            .flat_map(|(named, meant)| meant.iter().map(move |idp| (named, idp)))
            .filter_map(|(named, idp)| Some((named.clone(), idps.get(idp)?)))
            .map(|(named, idp)| policy::IssuerAlias { named, issuer: endpoint::spoken_for(idp).issuer })
            .collect(),
    };
    let stream = Stream::new(policy, settings.delivery, keys, client.clone(), manager, settings.watch, clock.now());
    Ok(stream.described_by(discovery))
}
