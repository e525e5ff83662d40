//! What stays from the start to the end, whatever the config says meanwhile.
//!
//! The split is the whole of hot reload: what is here is never made twice, so nothing in force is undone and nothing is
//! counted double; what is in an [`Edition`](crate::proxy::Edition) is made anew for each config, or taken over from the one
//! before, and never changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::apps::Apps;
use crate::audit::Audit;
use crate::checks::Checks;
use crate::config::Config;
use crate::endpoint::Recent;
use crate::enforcer::Enforcer;
use crate::fleet::Fleet;
use crate::http::Client;
use crate::intake::Intake;
use crate::lineage::Names;
use crate::metrics::Metrics;
use crate::outcome::Outcomes;
use crate::seal::KeyRing;
use crate::stream::{Sight, Signals, Watch};
use crate::time::Clock;

/// What stays from the start to the end.
pub(super) struct Lasting {
    /// Every key under which revocations are in force. The ring of an edition has no other.
    pub(super) ring: Arc<KeyRing>,
    pub(super) client: Client,
    /// Revocations are kept for a credential that lives so long; no config that runs lets one live longer.
    pub(super) longest_life: Duration,
    /// The apps of the edition in force, for tasks that outlive it.
    pub(super) apps: ArcSwap<Apps>,
    /// The checks of sessions whose IdP sends no signal, by its name.
    pub(super) checks: HashMap<String, Arc<Checks>>,
    pub(super) sight: Arc<Sight>,
    /// Names of cookies that apps were seen to hide from scripts.
    pub(super) names: Arc<Names>,
    /// Who signed in lately.
    pub(super) recent: Arc<Recent>,
    pub(super) enforcer: Enforcer,
    pub(super) outcomes: Outcomes,
    pub(super) intake: Arc<Intake>,
    /// The other gateways, if there are any.
    pub(super) fleet: Option<Fleet>,
    pub(super) audit: Audit,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
}

impl Lasting {
    /// What signals go through.
    pub(super) fn signals(&self) -> Signals<'_> {
        Signals { intake: &self.intake, audit: &self.audit, metrics: &self.metrics, clock: &self.clock }
    }

    /// What the watch over streams acts on.
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch { signals: self.signals(), apps: &self.apps, enforcer: &self.enforcer, sight: &self.sight }
    }
}

/// No credential outlives a login that was as old as the IdP allows, plus a session from it, or a token that an app made in
/// that session (law 10).
pub(super) fn longest_life(config: &Config) -> Duration {
    let oldest_login = config.idps.values().map(|idp| idp.max_age).max().unwrap_or_default();
    let from_login = longest_token(config).unwrap_or_default().max(config.session.max_age);
    from_login.saturating_add(oldest_login)
}

/// How long tokens live that apps make.
pub(super) fn longest_token(config: &Config) -> Option<Duration> {
    config.apps.iter().filter_map(|app| app.minting.as_ref()).map(|minting| minting.max_age).max()
}
