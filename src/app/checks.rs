//! The checks of sessions whose IdP sends no signal: what they work with, and that they run.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::services::until;
use crate::checks::{Checks, Parts};
use crate::idp::Idp;
use crate::ledger::{Grants, OpenError};
use crate::revalidation::Settings;

/// The checks of every IdP whose config asks for them, by its name. The file of grants is there only if somebody needs it.
pub(super) fn all(
    ledger: &Path,
    idps: &HashMap<String, Arc<Idp>>,
    parts: impl Fn(Arc<Idp>, Settings, Option<Grants>) -> Parts,
) -> Result<HashMap<String, Arc<Checks>>, OpenError> {
    let asked = || idps.values().filter_map(|idp| Some((idp, idp.revalidation()?)));
    let background: Vec<_> =
        asked().filter(|(_, settings)| settings.in_background()).map(|(idp, _)| idp.name()).collect();
    let (grants, mut kept) = if background.is_empty() {
        (None, Vec::new())
    } else {
        let (grants, kept) = Grants::beside(ledger, &background)?;
        (Some(grants), kept)
    };
    let mut checks = HashMap::new();
    for (idp, settings) in asked() {
        let (own, others) = kept.into_iter().partition(|(name, _)| name == idp.name());
        kept = others;
        let own: Vec<_> = own;
        if !own.is_empty() {
            tracing::info!(idp = idp.name(), sessions = own.len(), "sessions go on to be checked");
        }
        let grants = grants.clone().filter(|_| settings.in_background());
        let parts = parts(Arc::clone(idp), settings.clone(), grants);
        let of_idp = Checks::new(parts, own.into_iter().map(|(_, kept)| kept));
        checks.insert(idp.name().to_owned(), Arc::new(of_idp));
    }
    Ok(checks)
}

/// Checks the sessions of one IdP.
pub(super) struct Checking {
    pub(super) checks: Arc<Checks>,
}

#[async_trait]
impl BackgroundService for Checking {
    async fn start(&self, shutdown: ShutdownWatch) {
        // What is left behind in the middle is in doubt, and known to be.
        until(shutdown, self.checks.run()).await;
    }
}
