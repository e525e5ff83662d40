//! Asking the IdP about tokens that nobody else can read (RFC 7662).
//!
//! An answer, yes or no, is good for as long as the app allows, a minute at the most; so long a token lives on after the
//! IdP took it back without a signal to us. (A revocation that reaches *us* counts at once: what comes out of here is
//! judged by the revocation set at every request.) No answer is given from a cache that is older: if the IdP cannot be
//! asked, nobody can say.

mod answers;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::http::Request;
use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use aws_lc_rs::digest::{Context, SHA256};
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

pub use self::answers::LONGEST_ANSWER;
use self::answers::{Answer, Answers};
use super::authentication::authenticate;
use super::claims::Claims;
use super::discovery::Discovery;
use super::{Error, Part, Settings};
use crate::http::Client;
use crate::jose::object_without_duplicates;
use crate::secret::Secret;
use crate::time::Clock;

/// Bytes of an answer. Real ones have under 2 KiB, those with hundreds of groups under half of this.
const MAX_ANSWER: usize = 64 * 1024;
/// Calls under way at one IdP.
const CALLS: usize = 64;
/// How long a question waits for its turn, before it is said that nobody can say.
const PATIENCE: Duration = Duration::from_secs(1);

/// How an IdP is asked about tokens, where that differs from how it is used otherwise.
#[derive(Clone, Debug, Default)]
pub struct Introspection {
    /// Where; the IdP's metadata say so if this does not.
    pub endpoint: Option<Url>,
    /// As whom; as the client that signs people in if nobody is named.
    pub client: Option<IntrospectionClient>,
}

/// A client of its own for questions about tokens.
#[derive(Clone, Debug)]
pub struct IntrospectionClient {
    /// Its name at the IdP.
    pub id: String,
    /// Its secret there.
    pub secret: Secret<String>,
}

/// The IdP cannot be asked at the moment. Why is in the log.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Unavailable;

/// What names a question: a hash of the token and of whom it must be for.
type Key = [u8; 32];
/// One question under way, and what came of it.
type Flight = Arc<OnceCell<Result<Answer, Unavailable>>>;

/// Asks one IdP about tokens, each of them once however many requests bear it.
pub(super) struct Introspector {
    client: Client,
    clock: Clock,
    patience: Duration,
    /// Guards the answers; held for a look or a change, never across a call.
    answers: Mutex<Answers<Key>>,
    /// Guards the questions under way; held for a look or a change, never across a call.
    flights: Mutex<HashMap<Key, Flight>>,
    calls: Semaphore,
    /// The last call failed: that was said, and is not said again.
    failing: AtomicBool,
}

impl std::fmt::Debug for Introspector {
    /// What was said about tokens is personal: only how much there is of it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Introspector({} answers, {} under way)", self.answers().len(), lock(&self.flights).len())
    }
}

impl Introspector {
    pub(super) fn new(client: Client, clock: Clock) -> Self {
        Self::with(client, clock, CALLS, PATIENCE)
    }

    fn with(client: Client, clock: Clock, calls: usize, patience: Duration) -> Self {
        Self {
            client,
            clock,
            patience,
            answers: Mutex::default(),
            flights: Mutex::default(),
            calls: Semaphore::new(calls),
            failing: AtomicBool::new(false),
        }
    }

    /// What the IdP says about `token`, which must be for one of `audiences`, by an answer younger than `good_for`:
    /// its claims, or `None` where it is not active.
    pub(super) async fn ask(
        &self,
        settings: &Settings,
        discovery: &Discovery,
        token: &str,
        audiences: &[String],
        good_for: Duration,
    ) -> Result<Answer, Unavailable> {
        let key = key(token, audiences);
        if let Some(known) = self.known(&key, good_for) {
            return Ok(known);
        }
        let seat = self.board(key);
        let answer = seat.flight.get_or_init(async || {
            // Another flight may have landed while this one was boarded.
            if let Some(known) = self.known(&key, good_for) {
                return Ok(known);
            }
            let asked_at = self.clock.now();
            let answer = self.call(settings, discovery, token).await;
            self.say(settings, answer.as_ref().err());
            let (answer, bytes) = answer.map_err(|_: Trouble| Unavailable)?;
            self.answers().put(key, answer.clone(), bytes, asked_at);
            Ok(answer)
        });
        answer.await.clone()
    }

    /// One call, in its turn.
    async fn call(&self, settings: &Settings, discovery: &Discovery, token: &str) -> Result<(Answer, usize), Trouble> {
        let turn = tokio::time::timeout(self.patience, self.calls.acquire()).await;
        // The semaphore is never closed.
        let Ok(Ok(_turn)) = turn else { return Err(Trouble::Crowded) };
        let request = request(settings, discovery, token, "access_token").await?;
        let answer = self.client.send(request, MAX_ANSWER).await;
        let answer = answer.map_err(|error| Error::from_http(Part::Introspection, error))?;
        match answer.status().as_u16() {
            200 => {}
            // RFC 7662 §2.3: it is us whom it does not know, or who may not ask.
            400 | 401 | 403 => return Err(Error::ClientRefused.into()),
            status => return Err(Error::from_status(Part::Introspection, status).into()),
        }
        let unusable = Trouble::from(Error::Unusable(Part::Introspection));
        let Some(claims) = object_without_duplicates(answer.body()) else { return Err(unusable) };
        match claims.get("active") {
            Some(Value::Bool(true)) => Ok((Some(Arc::new(claims)), answer.body().len())),
            Some(Value::Bool(false)) => Ok((None, 0)),
            _ => Err(unusable),
        }
    }

    /// Says in the log that asking began to fail, or to work again; not at every token.
    fn say(&self, settings: &Settings, trouble: Option<&Trouble>) {
        let idp = settings.name.as_str();
        let before = self.failing.swap(trouble.is_some(), Ordering::Relaxed);
        match (before, trouble) {
            (false, Some(why)) => tracing::warn!(idp, %why, "the IdP cannot be asked about tokens"),
            (true, None) => tracing::info!(idp, "the IdP can be asked about tokens again"),
            (false, None) | (true, Some(_)) => {}
        }
    }

    fn known(&self, key: &Key, good_for: Duration) -> Option<Answer> {
        self.answers().get(key, good_for, self.clock.now())
    }

    fn board(&self, key: Key) -> Seat<'_> {
        Seat { flights: &self.flights, key, flight: Arc::clone(lock(&self.flights).entry(key).or_default()) }
    }

    fn answers(&self) -> MutexGuard<'_, Answers<Key>> {
        lock(&self.answers)
    }
}

/// A place in a question under way. The last one to leave takes the flight off the board.
struct Seat<'a> {
    flights: &'a Mutex<HashMap<Key, Flight>>,
    key: Key,
    flight: Flight,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut flights = lock(self.flights);
        // The board's own and this one; others come about only under this lock.
        if Arc::strong_count(&self.flight) <= 2 {
            flights.remove(&self.key);
        }
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("too many questions are under way")]
    Crowded,
    #[error("{0}")]
    Failed(#[from] Error),
}

/// RFC 7662 §2.1, with the client authentication of RFC 6749 §2.3.1. `kind` is what the token is, to our knowledge.
pub(super) async fn request(
    settings: &Settings,
    discovery: &Discovery,
    token: &str,
    kind: &str,
) -> Result<Request<Vec<u8>>, Error> {
    let own = settings.introspection.as_ref();
    let metadata = discovery.metadata().await?;
    let endpoint = own.and_then(|own| own.endpoint.as_ref()).or(metadata.introspection_endpoint.as_ref());
    let endpoint = endpoint.ok_or(Error::NoIntrospection)?;
    let (id, secret) = match own.and_then(|own| own.client.as_ref()) {
        Some(client) => (&client.id, &client.secret),
        None => (&settings.client_id, settings.client_secret.as_ref().ok_or(Error::NoClientAuthentication)?),
    };
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", token).append_pair("token_type_hint", kind);
    let mut request = Request::post(endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(basic) = authenticate(&mut form, metadata.introspection_authentication, id, Some(secret))? {
        request = request.header(AUTHORIZATION, basic);
    }
    request.body(form.finish().into_bytes()).map_err(|_| Error::NoIntrospection)
}

/// The same token is another question where it must be for somebody else.
fn key(token: &str, audiences: &[String]) -> Key {
    let mut hash = Context::new(&SHA256);
    for part in std::iter::once(token).chain(audiences.iter().map(String::as_str)) {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut key = Key::default();
    for (to, from) in key.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    key
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
