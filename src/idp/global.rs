//! Who may ask for global token revocations in the name of an IdP.

use url::Url;

use super::Idp;
use super::replay::{Proofs, Seen};
use crate::event::global::{self, Caller, CallerClaims};
use crate::http::Client;
use crate::identity::Issuer;
use crate::jose::{Alg, Reject};
use crate::keys::{Failure, KeyCache, Source};
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

/// Why a caller is not admitted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The secret is not the right one.
    #[error("the token is not the one that was agreed")]
    Stranger,
    /// The token is not what it must be.
    #[error("{0}")]
    Token(Reject),
    /// The token was used before.
    #[error("the token was used before")]
    Replayed,
    /// Nobody can say: the IdP's keys cannot be had at the moment.
    #[error("the identity provider's keys cannot be had")]
    Unavailable,
}

impl From<Failure> for NotAdmitted {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(reject) => Self::Token(reject),
            Failure::Unavailable => Self::Unavailable,
        }
    }
}

impl From<Reject> for NotAdmitted {
    fn from(reject: Reject) -> Self {
        Self::Token(reject)
    }
}

/// What the callers of one IdP need: keys of their own, where theirs differ, and the tokens that were used.
#[derive(Debug)]
pub(super) struct Revokers {
    keys: Option<KeyCache>,
    used: Proofs,
}

impl Revokers {
    pub(super) fn new(settings: Option<&GlobalRevocation>, client: &Client, clock: &Clock) -> Self {
        let keys = match settings.map(|settings| &settings.revoker) {
            Some(Revoker::Signer { jwks_uri: Some(url), .. }) => {
                Some(KeyCache::new(client.clone(), Source::Fixed(url.clone()), clock.clone()))
            }
            Some(Revoker::Signer { jwks_uri: None, .. } | Revoker::Holder(_)) | None => None,
        };
        Self { keys, used: Proofs::default() }
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
        let endpoints = if settings.audiences.is_empty() { here.as_slice() } else { settings.audiences.as_slice() };
        let keys = self.revokers.keys.as_ref().unwrap_or(&self.keys);
        let token = keys.verify::<CallerClaims>(bearer, &global::expectation(issuer, endpoints, &Alg::ALL)).await?;
        let caller = global::parse_caller(token, &self.settings.client_id)?;
        if let Caller::Signed { jti, good_until, .. } = &caller {
            match self.revokers.used.first_use_of(issuer.as_str(), jti, *good_until, self.clock.now()) {
                Err(Seen::Replayed) => return Err(NotAdmitted::Replayed),
                // Only the IdP itself fills this memory, and a kill signal must not be lost for want of it: what could
                // come of it is that somebody who caught a token in its few minutes uses it a second time.
                Ok(()) | Err(Seen::Full) => {}
            }
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
