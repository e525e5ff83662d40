//! An IdP: discovery, authorization request, code exchange, sign-out.
//!
//! What an IdP says about itself is fetched when first needed and once a day. What it says about a person is believed
//! only as [`crate::jose::Verified`] claims: the token's text is verified here, by the verifier of all other tokens.

pub mod access;
mod authentication;
mod call;
mod check;
mod claims;
mod command;
mod discovery;
mod exchange;
mod front_channel;
mod global;
mod introspection;
mod part;
mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

pub use self::call::NotAdmitted;
pub use self::check::{Checked, Said};
pub use self::command::Commands;
use self::discovery::{Discovery, Metadata};
pub use self::global::{GlobalRevocation, Revoker};
use self::introspection::Introspector;
pub use self::introspection::{Introspection, IntrospectionClient, LONGEST_ANSWER};
pub use self::part::Part;
use self::replay::Proofs;
use crate::event::logout::{self, LogoutToken};
use crate::http::{self, Client};
use crate::identity::{Identity, Issuer};
use crate::jose::{Alg, Audience, Exp, Expectation, Reject, Verified};
use crate::keys::{Failure, KeyCache, Source};
use crate::login::{Accepted, Answer, Ask, Denied};
use crate::revalidation;
use crate::secret::Secret;
use crate::time::{Clock, Timestamp};

/// How one IdP is used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name in the config.
    pub name: String,
    /// The issuer, as its tokens and metadata name it.
    pub issuer: Issuer,
    /// Our name at the IdP.
    pub client_id: String,
    /// Our secret at the IdP; none for a public client.
    pub client_secret: Option<Secret<String>>,
    /// What is asked for, besides `openid`.
    pub scopes: Vec<String>,
    /// Where in a token the facts are that identify people.
    pub claims: ClaimNames,
    /// Other claims that are kept for access rules and headers.
    pub kept_claims: Vec<String>,
    /// How old a person's last proof may be for an ordinary login (`max_age`).
    pub max_age: Duration,
    /// Where the metadata are, if not at the well-known place.
    pub metadata_url: Option<Url>,
    /// What proves that a login is newer than a termination.
    pub prove_by: ProveBy,
    /// How far the IdP's clock may be off.
    pub skew: Duration,
    /// How it is asked about tokens, where that differs from the rest.
    pub introspection: Option<Introspection>,
    /// How it may ask for global token revocations; `None`: it may not.
    pub global_revocation: Option<GlobalRevocation>,
    /// How it may command; `None`: it may not.
    pub commands: Option<Commands>,
    /// Whether browsers may bring its front-channel logouts.
    pub frontchannel_logout: bool,
    /// How its sessions are checked, if it sends no signal.
    pub revalidate: Option<revalidation::Settings>,
}

/// Names of claims. A dot goes one level down (`realm_access.roles`), unless a claim has the whole name, dots included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// E-mail address. Of `email` itself, `email_verified` is honoured.
    pub email: String,
    /// Phone number. Of `phone_number` itself, `phone_number_verified` is honoured.
    pub phone: String,
    /// Groups: an array, or one text.
    pub groups: String,
    /// Device.
    pub device: String,
    /// Tenant.
    pub tenant: String,
    /// The name that the person types.
    pub preferred_username: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            email: "email".into(),
            phone: "phone_number".into(),
            groups: "groups".into(),
            device: "device_id".into(),
            tenant: "tenant".into(),
            preferred_username: "preferred_username".into(),
        }
    }
}

/// What proves that a login is newer than a termination (law 6).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum ProveBy {
    /// `auth_time`: when the person last proved who they are.
    #[default]
    AuthTime,
    /// `iat`: for an IdP that never says `auth_time` but does ask the person anew when it is sent `prompt=login`.
    IssuedAt,
}

/// What the IdP said about a person, verified.
#[derive(Clone)]
pub struct Assertion {
    /// The facts by which the person is known and can be revoked.
    pub identity: Identity,
    /// The configured other claims that were there; what is not an array has one value.
    pub kept_claims: BTreeMap<String, Vec<String>>,
    /// What to call the person on our pages (`name`).
    pub display_name: Option<String>,
    /// The ID token itself, which the IdP wants to see at sign-out (`id_token_hint`).
    pub id_token: Secret<String>,
    /// What the IdP can be asked with whether the session still stands.
    pub refresh_token: Option<Secret<String>>,
}

impl std::fmt::Debug for Assertion {
    /// Claims are personal: only who says so and when.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Assertion({}, {})", self.identity.issuer, self.identity.asserted_at)
    }
}

/// Why there is no assertion. No variant carries anything of a token, a code or a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Not to be had at the moment: try again later.
    #[error("the IdP's {part} cannot be had at the moment")]
    Unreachable {
        /// What was called.
        part: Part,
        /// The status that came back, if one did.
        status: Option<u16>,
        /// Why no answer came back.
        #[source]
        cause: Option<Arc<http::Error>>,
    },
    /// It answers, but not as the protocol says.
    #[error("the answer of the IdP's {0} cannot be used")]
    Unusable(Part),
    /// The metadata name another issuer (OpenID Connect Discovery §4.3).
    #[error("the IdP's metadata name another issuer")]
    WrongIssuer,
    /// An endpoint in the metadata is not https (or this machine, where the issuer is).
    #[error("the IdP's metadata name an endpoint that must not be called")]
    BadEndpoint,
    /// The IdP accepts none of the ways in which we can show that we are its client.
    #[error("the IdP accepts no client authentication that we have")]
    NoClientAuthentication,
    /// Nobody says where to ask about tokens.
    #[error("the IdP's metadata name no introspection endpoint; set `introspection.endpoint`")]
    NoIntrospection,
    /// The login belongs to another IdP of the config.
    #[error("the login belongs to another IdP")]
    NotOurs,
    /// The browser came back without a code that is believed.
    #[error("{0}")]
    Denied(#[from] Denied),
    /// The code is used up, too old, or not ours (`invalid_grant`, RFC 6749 §5.2): begin again.
    #[error("the IdP refused the code")]
    CodeRefused,
    /// The IdP refused us, not the person: our registration there is wrong (`invalid_client` and the like).
    #[error("the IdP refused this client")]
    ClientRefused,
    /// The ID token is not what it must be.
    #[error("the ID token is refused: {0}")]
    Token(#[from] Reject),
    /// The userinfo endpoint speaks of somebody else (OpenID Connect Core §5.3.2).
    #[error("the userinfo endpoint speaks of somebody else")]
    OtherSubject,
}

impl Error {
    /// True if the same may well succeed later, without anybody changing anything.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Unusable(_)
            | Self::WrongIssuer
            | Self::BadEndpoint
            | Self::NoClientAuthentication
            | Self::NoIntrospection
            | Self::NotOurs
            | Self::Denied(_)
            | Self::CodeRefused
            | Self::ClientRefused
            | Self::Token(_)
            | Self::OtherSubject => false,
        }
    }

    /// No answer from `part`.
    fn from_http(part: Part, error: http::Error) -> Self {
        if error.is_transient() {
            Self::Unreachable { part, status: None, cause: Some(Arc::new(error)) }
        } else {
            Self::Unusable(part)
        }
    }

    /// An answer from `part` with a status that is not the good one.
    const fn from_status(part: Part, status: u16) -> Self {
        match status {
            408 | 429 | 500.. => Self::Unreachable { part, status: Some(status), cause: None },
            _ => Self::Unusable(part),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(reject) => Self::Token(reject),
            Failure::Unavailable => Self::Unreachable { part: Part::Keys, status: None, cause: None },
        }
    }
}

/// One IdP.
#[derive(Debug)]
pub struct Idp {
    settings: Settings,
    client: Client,
    clock: Clock,
    discovery: Arc<Discovery>,
    keys: KeyCache,
    introspector: Introspector,
    /// Proofs of possession that were used.
    proofs: Arc<Proofs>,
    revokers: global::Revokers,
    /// Commands that were done.
    commanded: Arc<Proofs>,
    front_channel: Arc<front_channel::Allowance>,
}

impl Idp {
    /// An IdP that was not talked to yet.
    pub fn new(settings: Settings, client: Client, clock: Clock) -> Self {
        let discovery = Arc::new(Discovery::new(&settings, client.clone(), clock.clone()));
        let source = Source::Discovered(Arc::<Discovery>::clone(&discovery));
        let keys = KeyCache::new(client.clone(), source, clock.clone());
        let introspector = Introspector::new(client.clone(), clock.clone());
        let revokers = global::Revokers::new(settings.global_revocation.as_ref(), &client, &clock);
        let front_channel = Arc::default();
        let (proofs, commanded) = (Arc::default(), Arc::default());
        Self { settings, client, clock, discovery, keys, introspector, proofs, revokers, commanded, front_channel }
    }

    /// The same, in the place of `before`: what counts once and was used there stays used.
    pub fn following(self, before: &Self) -> Self {
        let (proofs, commanded) = (Arc::clone(&before.proofs), Arc::clone(&before.commanded));
        let front_channel = Arc::clone(&before.front_channel);
        let revokers = self.revokers.following(&before.revokers);
        Self { proofs, commanded, front_channel, revokers, ..self }
    }

    /// The name in the config.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The issuer.
    pub const fn issuer(&self) -> &Issuer {
        &self.settings.issuer
    }

    /// Our name at the IdP: the audience of its tokens for us.
    pub fn client_id(&self) -> &str {
        &self.settings.client_id
    }

    /// How its sessions are checked, if they are.
    pub const fn revalidation(&self) -> Option<&revalidation::Settings> {
        self.settings.revalidate.as_ref()
    }

    /// How old a person's last proof may be for an ordinary login.
    pub const fn max_age(&self) -> Duration {
        self.settings.max_age
    }

    /// Where the browser goes to log in (OpenID Connect Core §3.1.2.1).
    pub async fn authorization_url(&self, ask: &Ask, redirect_uri: &Url) -> Result<Url, Error> {
        let metadata = self.discovery.metadata().await?;
        exchange::authorization_url(&self.settings, &metadata, ask, redirect_uri)
    }

    /// Turns the answer that the browser brought back into an assertion: checks who it comes from, exchanges the code,
    /// verifies the ID token, and asks for the rest of the facts if they are not in it.
    pub async fn redeem(&self, answer: Answer, redirect_uri: &Url) -> Result<Assertion, Error> {
        if answer.flow().idp != self.settings.name {
            return Err(Error::NotOurs);
        }
        let metadata = self.discovery.metadata().await?;
        let Accepted { flow, code } = answer.accept(&self.settings.issuer, metadata.names_itself)?;
        let tokens =
            exchange::exchange(&self.settings, &self.client, &metadata, code, &flow.verifier(), redirect_uri).await?;
        let token = self.verify_id_token(tokens.id_token.expose(), Some(flow.nonce())).await?;
        let mut facts = claims::Facts::new(token.into_inner());
        if facts.is_short_of(&self.settings.claims)
            && let Some(endpoint) = &metadata.userinfo_endpoint
        {
            facts.add(exchange::userinfo(&self.client, endpoint, &tokens.access_token).await?)?;
        }
        let assertion = facts.into_assertion(&self.settings, tokens.id_token, self.clock.now())?;
        Ok(Assertion { refresh_token: tokens.refresh_token, ..assertion })
    }

    /// Verifies a logout token of this IdP for us, and says whom it signs out (OpenID Connect Back-Channel Logout §2.6).
    pub async fn verify_logout_token(&self, compact: &str) -> Result<LogoutToken, Failure> {
        let ours = std::slice::from_ref(&self.settings.client_id);
        let expectation = logout::expectation(&self.settings.issuer, ours, &Alg::ALL);
        let token = self.keys.verify(compact, &expectation).await?;
        Ok(logout::parse(token, self.clock.now())?)
    }

    /// How many times the IdP's keys were asked for, for metrics.
    pub fn key_fetches(&self) -> u64 {
        self.keys.fetches()
    }

    /// Where the browser goes to end its session at the IdP too (OpenID Connect RP-Initiated Logout §2). `None` if the
    /// IdP has no such place, or does not say so at the moment.
    pub async fn sign_out_url(
        &self,
        id_token_hint: Option<&Secret<String>>,
        post_logout_redirect_uri: &Url,
        state: Option<&str>,
    ) -> Option<Url> {
        let mut url = self.discovery.metadata().await.ok()?.end_session_endpoint.clone()?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(hint) = id_token_hint {
                query.append_pair("id_token_hint", hint.expose());
            }
            query.append_pair("client_id", &self.settings.client_id);
            query.append_pair("post_logout_redirect_uri", post_logout_redirect_uri.as_str());
            if let Some(state) = state {
                query.append_pair("state", state);
            }
        }
        Some(url)
    }

    /// Whether the IdP's metadata can be had, for readiness and status.
    pub async fn probe(&self) -> Result<(), Error> {
        self.discovery.metadata().await.map(|_: Arc<Metadata>| ())
    }

    /// OpenID Connect Core §3.1.3.7, with the audience as strict as IPSIE SL1 wants it. What a refresh brought answers no
    /// login and has no nonce (§12.2).
    async fn verify_id_token(&self, compact: &str, nonce: Option<&str>) -> Result<Verified<Map<String, Value>>, Error> {
        let expectation = Expectation {
            types: &["JWT"],
            type_required: false,
            algs: &Alg::ALL,
            issuer: &self.settings.issuer,
            audience: Audience::Single(&self.settings.client_id),
            skew: self.settings.skew,
            exp: Exp::Required,
        };
        let token: Verified<Map<String, Value>> = self.keys.verify(compact, &expectation).await?;
        claims::check_id_token(&token, nonce, &self.settings.client_id)?;
        Ok(token)
    }
}

/// The moment, or now if the IdP's clock is ahead: cut-offs are never later than now, and must cover it.
fn not_after(moment: Timestamp, now: Timestamp) -> Timestamp {
    moment.min(now)
}

#[cfg(test)]
mod tests;
