//! A small OpenID provider, correct in what it does, and tunable in what real ones get wrong.
//!
//! Discovery, keys, the code flow with PKCE, userinfo, RP-initiated and back-channel logout. After `prompt=login` the
//! `sid` stays and `auth_time` moves, as at real IdPs. Tests script it through [`Knobs`] and [`Idp::hold`].

mod authorize;
mod logout;
mod state;
mod token;
pub(super) mod views;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

pub use self::state::Session;
use self::state::State;
use super::outbound::Outbound;
use super::random_id;
use crate::identity::Issuer;
use crate::jose::Signer;
use crate::secret::Secret;
use crate::time::Clock;

/// The password of everybody.
pub const PASSWORD: &str = "demo";

/// The IdP. Clones are the same IdP.
#[derive(Clone)]
pub struct Idp(Arc<Inner>);

struct Inner {
    issuer: Issuer,
    clock: Clock,
    outbound: Outbound,
    /// Guards everything that changes; never held across an await.
    state: Mutex<State>,
}

/// Somebody who can sign in.
#[derive(Clone, Debug)]
pub struct Person {
    /// The name that is typed.
    pub user: String,
    /// The name that clients get (`sub`).
    pub subject: String,
    /// The name that is shown.
    pub name: String,
    /// What they do.
    pub role: String,
    /// The address.
    pub email: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// Its `client_secret`.
    pub secret: Secret<String>,
    /// What the sign-in page calls it.
    pub name: String,
    /// Where codes may be sent, compared byte for byte.
    pub redirect_uris: Vec<String>,
    /// Where people may be sent after a logout, compared byte for byte.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where logout tokens are sent.
    pub backchannel_logout_uri: Option<String>,
}

/// What a test may change about the IdP's manners. All off: the IdP is correct.
#[derive(Clone, Debug, Default)]
pub struct Knobs {
    /// Answers `prompt=login` and `max_age` from the standing session, with its old `auth_time`, without asking.
    pub frozen_auth_time: bool,
    /// Leaves `auth_time` out of ID tokens.
    pub omit_auth_time: bool,
    /// Gives ID tokens a `session_expiry` that much after the login.
    pub session_expiry: Option<Duration>,
    /// Claims that replace those of ID tokens and userinfo, per user; `null` removes one.
    pub extra_claims: HashMap<String, Map<String, Value>>,
    /// Gives refresh tokens, a new one at each use; one that was used is refused.
    pub refresh_tokens: bool,
    /// Users whose accounts are disabled: no refresh token of theirs is good, and they cannot sign in.
    pub disabled: BTreeSet<String>,
    /// What goes wrong at a path, such as `/token`.
    pub faults: HashMap<String, Fault>,
}

/// What goes wrong at an endpoint.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    /// Answers with this status and does nothing.
    pub status: Option<u16>,
    /// Answers that much later.
    pub delay: Option<Duration>,
}

/// Whom a logout token is about.
#[derive(Clone, Debug)]
pub enum LogoutOf<'a> {
    /// All sessions of this user.
    User(&'a str),
    /// This session (`sid`), of this user.
    Session(&'a str, &'a str),
}

impl Idp {
    /// Takes the address, which makes the issuer. Nobody is served before the [`router`](Self::router) is.
    pub async fn bind(listen: SocketAddr, clock: Clock) -> anyhow::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on `{listen}`"))?;
        let issuer = Issuer::parse(&format!("http://{}", listener.local_addr()?)).context("no loopback address")?;
        let signer = Signer::generate("key-1").context("no key could be made")?;
        let outbound = Outbound::new()?;
        let inner = Inner { issuer, clock, outbound, state: Mutex::new(State::new(signer)) };
        Ok((Self(Arc::new(inner)), listener))
    }

    /// Its endpoints.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route(JWKS, get(jwks))
            .route(AUTHORIZE, get(authorize::ask).post(authorize::sign_in))
            .route(TOKEN, post(token::exchange))
            .route(USERINFO, get(token::userinfo).post(token::userinfo))
            .route(END_SESSION, get(logout::ask).post(logout::confirm))
            .route("/static/idp.css", get(views::style))
            .route("/", get(async || axum::response::Redirect::to("/desk")))
            .layer(middleware::from_fn_with_state(self.clone(), misbehave))
            .with_state(self.clone())
    }

    /// Its name.
    pub fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    /// Who can sign in.
    pub fn people(&self) -> Vec<Person> {
        self.locked().people.clone()
    }

    /// Adds somebody who can sign in.
    pub fn add_person(&self, person: Person) {
        self.locked().people.push(person);
    }

    /// Registers a client; one of the same id is replaced.
    pub fn register(&self, client: Client) {
        let mut state = self.locked();
        state.clients.retain(|known| known.id != client.id);
        state.clients.push(client);
    }

    /// Changes its manners.
    pub fn tune(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.locked().knobs);
    }

    /// Signs with a new key from now on. The old one stays published, as at real IdPs.
    pub fn rotate_keys(&self) {
        let mut state = self.locked();
        let kid = format!("key-{}", state.retired.len() + 2);
        if let Some(signer) = Signer::generate(&kid) {
            let old = std::mem::replace(&mut state.signer, signer);
            state.retired.push(old.jwks());
        }
    }

    /// Publishes further keys beside its own: of a transmitter that signs with them, or such as nobody should accept.
    pub fn publish(&self, jwks: Value) {
        self.locked().retired.push(jwks);
    }

    /// How many ID tokens were issued.
    pub fn issued(&self) -> u64 {
        self.locked().issued
    }

    /// How many requests came to `path`.
    pub fn requests(&self, path: &str) -> u64 {
        self.locked().requests.get(path).copied().unwrap_or(0)
    }

    /// The sessions that stand, oldest first.
    pub fn sessions(&self) -> Vec<Session> {
        self.locked().sessions()
    }

    /// Lets requests to `path` wait until the returned value is dropped.
    pub fn hold(&self, path: &str) -> Hold {
        let (release, released) = watch::channel(());
        let arrived = Arc::new(Notify::new());
        self.locked().held.insert(path.to_owned(), (Arc::clone(&arrived), released));
        Hold { idp: self.clone(), path: path.to_owned(), arrived, _release: release }
    }

    /// Any token, signed with the current key.
    pub fn sign(&self, typ: Option<&str>, claims: &Value) -> Option<String> {
        self.locked().signer.sign(typ, claims)
    }

    /// Exactly these texts, signed with the current key: a sender that lies is made of them.
    pub fn sign_texts(&self, header: &str, payload: &str) -> Option<String> {
        self.locked().signer.sign_texts(header, payload)
    }

    /// A SET (RFC 8417) of these claims; `iss`, `iat` and `jti` are filled in if they are not there.
    pub fn set(&self, claims: &Value) -> Option<String> {
        let mut all = json!({ "iss": self.issuer(), "iat": self.0.clock.now(), "jti": random_id() });
        merge(&mut all, claims.as_object()?);
        self.sign(Some("secevent+jwt"), &all)
    }

    /// The `sub` of a user.
    pub fn subject(&self, user: &str) -> Option<String> {
        Some(self.locked().person(user)?.subject.clone())
    }

    /// Ends sessions without telling any client.
    pub fn forget(&self, matches: impl Fn(&Session) -> bool) -> usize {
        self.locked().forget(matches)
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(super) fn outbound(&self) -> &Outbound {
        &self.0.outbound
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True unless a page of another site sent this: the host is ours, and so is the origin if there is one.
    pub(super) fn is_own_request(&self, headers: &HeaderMap) -> bool {
        let ours = self.issuer().as_str();
        let authority = ours.strip_prefix("http://").unwrap_or(ours);
        headers.get(header::HOST).is_some_and(|host| host == authority)
            && headers.get(header::ORIGIN).is_none_or(|origin| origin == ours)
    }
}

impl fmt::Debug for Idp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Idp").field(self.issuer()).finish()
    }
}

/// Requests to one path wait while this lives.
#[derive(Debug)]
pub struct Hold {
    idp: Idp,
    path: String,
    arrived: Arc<Notify>,
    _release: watch::Sender<()>,
}

impl Hold {
    /// Waits until a request is waiting.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.idp.locked().held.remove(&self.path);
    }
}

/// Counts the request, and does to it what a test asked for.
async fn misbehave(Shared(idp): Shared<Idp>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (fault, held) = {
        let mut state = idp.locked();
        *state.requests.entry(path.clone()).or_default() += 1;
        (state.knobs.faults.get(&path).cloned().unwrap_or_default(), state.held.get(&path).cloned())
    };
    if let Some((arrived, mut released)) = held {
        arrived.notify_one();
        // The only change ever is that the sender goes.
        let _released = released.changed().await;
    }
    if let Some(delay) = fault.delay {
        tokio::time::sleep(delay).await;
    }
    match fault.status.map(StatusCode::from_u16) {
        Some(status) => status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response(),
        None => next.run(request).await,
    }
}

/// OpenID Connect Discovery 1.0 §3.
async fn discovery(Shared(idp): Shared<Idp>) -> Json<Value> {
    let issuer = idp.issuer();
    let at = |path: &str| format!("{issuer}{path}");
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": at(AUTHORIZE),
        "token_endpoint": at(TOKEN),
        "userinfo_endpoint": at(USERINFO),
        "jwks_uri": at(JWKS),
        "end_session_endpoint": at(END_SESSION),
        "scopes_supported": ["openid", "profile", "email", "groups"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login"],
        "claims_supported": ["sub", "iss", "aud", "iat", "exp", "auth_time", "nonce", "sid", "name", "email",
            "email_verified", "groups", "preferred_username", "session_expiry"],
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))
}

/// The public keys: the one that signs, then those that did.
async fn jwks(Shared(idp): Shared<Idp>) -> Response {
    let state = idp.locked();
    let sets = std::iter::once(state.signer.jwks()).chain(state.retired.iter().cloned());
    let keys: Vec<Value> =
        sets.filter_map(|mut set| set.get_mut("keys")?.as_array_mut().map(std::mem::take)).flatten().collect();
    ([(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))], Json(json!({ "keys": keys })))
        .into_response()
}

/// Members of `extra` replace those of `claims`; `null` removes one.
fn merge(claims: &mut Value, extra: &Map<String, Value>) {
    let Some(members) = claims.as_object_mut() else { return };
    for (name, value) in extra {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
}

const JWKS: &str = "/jwks";
const AUTHORIZE: &str = "/authorize";
const TOKEN: &str = "/token";
const USERINFO: &str = "/userinfo";
const END_SESSION: &str = "/logout";
