//! Who may ask for global token revocations in the name of an IdP.

use std::sync::Arc;

use url::Url;

use super::Idp;
use super::call::{self, NotAdmitted};
use super::replay::Proofs;
use crate::event::global::{self, Caller, CallerClaims};
use crate::http::Client;
use crate::identity::Issuer;
use crate::jose::Alg;
use crate::keys::{KeyCache, Source};
use crate::secret::Secret;
use crate::time::Clock;

/// How an IdP may ask for global token revocations.
#[derive(Clone, Debug)]
pub struct GlobalRevocation {
    /// How the caller shows who they are.
    pub revoker: Revoker,
    /// What the callers' tokens name as the endpoint, one is enough; none: the endpoint's URL at the app's own origin.
    pub audiences: Vec<String>,
}

/// How a caller shows who they are. One of both: what is not used is not a way in.
#[derive(Clone, Debug)]
pub enum Revoker {
    /// By a secret that is theirs alone: playbooks, which sign nothing.
    Holder(Secret<String>),
    /// By a token that the IdP signs for the call, as Okta does.
    Signer {
        /// What it calls itself there, if not the issuer of its ID tokens.
        issuer: Option<Issuer>,
        /// Where the keys are, if not those of its ID tokens.
        jwks_uri: Option<Url>,
    },
}

/// What the callers of one IdP need: keys of their own, where theirs differ, and the tokens that were used.
#[derive(Debug)]
pub(super) struct Revokers {
    keys: Option<KeyCache>,
    used: Arc<Proofs>,
}

impl Revokers {
    pub(super) fn new(settings: Option<&GlobalRevocation>, client: &Client, clock: &Clock) -> Self {
        let keys = match settings.map(|settings| &settings.revoker) {
            Some(Revoker::Signer { jwks_uri: Some(url), .. }) => {
                Some(KeyCache::new(client.clone(), Source::Fixed(url.clone()), clock.clone()))
            }
            Some(Revoker::Signer { jwks_uri: None, .. } | Revoker::Holder(_)) | None => None,
        };
        Self { keys, used: Arc::default() }
    }

    /// The same, with the tokens that were used before.
    pub(super) fn following(self, before: &Self) -> Self {
        Self { used: Arc::clone(&before.used), ..self }
    }
}

impl Idp {
    /// How it may ask for global token revocations, if it may.
    pub const fn global_revocation(&self) -> Option<&GlobalRevocation> {
        self.settings.global_revocation.as_ref()
    }

    /// What the IdP calls itself when it asks for global token revocations, if that differs.
    pub fn revoker_issuer(&self) -> Option<&Issuer> {
        match self.settings.global_revocation.as_ref().map(|settings| &settings.revoker) {
            Some(Revoker::Signer { issuer, .. }) => issuer.as_ref(),
            Some(Revoker::Holder(_)) | None => None,
        }
    }

    /// Who presents `bearer` at the endpoint of global token revocations, whose URL is `endpoint`. A token is used up by
    /// this; [`Idp::has_not_revoked`] takes it back.
    pub async fn revoker(
        &self,
        settings: &GlobalRevocation,
        bearer: &str,
        endpoint: &str,
    ) -> Result<Caller, NotAdmitted> {
        let issuer = match &settings.revoker {
            Revoker::Holder(secret) if secret.matches(bearer) => return Ok(Caller::Holder),
            Revoker::Holder(_) => return Err(NotAdmitted::Stranger),
            Revoker::Signer { issuer, .. } => issuer.as_ref().unwrap_or(&self.settings.issuer),
        };
        let here = [endpoint.to_owned()];
        let endpoints = call::endpoints(&settings.audiences, &here);
        let keys = self.revokers.keys.as_ref().unwrap_or(&self.keys);
        let token = keys.verify::<CallerClaims>(bearer, &global::expectation(issuer, endpoints, &Alg::ALL)).await?;
        let caller = global::parse_caller(token, &self.settings.client_id)?;
        if let Caller::Signed { jti, good_until, .. } = &caller {
            call::use_up(&self.revokers.used, (issuer, jti), *good_until, self.clock.now())?;
        }
        Ok(caller)
    }

    /// The caller is to come again, with the same token: nothing durable came of this time.
    pub fn has_not_revoked(&self, caller: &Caller) {
        if let Caller::Signed { jti, .. } = caller {
            let issuer = self.revoker_issuer().unwrap_or(&self.settings.issuer);
            self.revokers.used.not_used(issuer.as_str(), jti);
        }
    }
}
