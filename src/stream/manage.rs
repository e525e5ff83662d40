//! Stream management as a receiver (SSF §8.1): the calls, and what their answers mean. What is asked and what is believed
//! is decided by [`event::stream_config`](crate::event::stream_config).

mod words;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ::http::{Method as Verb, Request, Response};
use serde_json::Value;
use tokio::sync::watch;
use url::Url;

pub use self::words::{Settings, Subjects, Trouble};
use super::authorization::{NoToken, Tokens};
use super::discovery::Discovery;
use crate::event::StreamStatus;
use crate::event::stream_config::{
    self, Configuration, Expected, Likeness, MAX_ANSWER, Metadata, Method, Places, Unusable,
};
use crate::event::subjects::Change;
use crate::http::{Client, Error, bearer};
use crate::identity::Issuer;
use crate::secret::Secret;
use crate::time::Clock;

/// A stream that is there.
#[derive(Clone, Debug)]
pub struct Made {
    /// How the transmitter has it.
    pub stream: Arc<Configuration>,
    /// It was made just now.
    pub anew: bool,
}

/// Whether a stream may be made, asked at the last moment.
pub(super) type May<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// The management of one stream.
#[derive(Debug)]
pub(crate) struct Manager {
    settings: Settings,
    issuer: Issuer,
    audiences: Vec<String>,
    places: Places,
    discovery: Arc<Discovery>,
    tokens: Tokens,
    client: Client,
    /// The stream, once it was found or made.
    stream: watch::Sender<Option<Arc<Configuration>>>,
    /// What another gateway says that it is called at the transmitter.
    called: Mutex<Option<String>>,
}

impl Manager {
    pub(crate) fn new(
        settings: Settings,
        issuer: Issuer,
        audiences: Vec<String>,
        discovery: Arc<Discovery>,
        client: Client,
        clock: Clock,
    ) -> Self {
        let places = Places::new(&issuer, settings.hosts.clone());
        let tokens = Tokens::new(settings.credential.clone(), client.clone(), clock);
        let (stream, called) = (watch::Sender::new(None), Mutex::default());
        Self { settings, issuer, audiences, places, discovery, tokens, client, stream, called }
    }

    /// The stream, as it was last seen.
    pub(super) fn stream(&self) -> Option<Arc<Configuration>> {
        self.stream.borrow().clone()
    }

    /// Whether this gateway or another has found it.
    pub(super) fn is_there(&self) -> bool {
        self.stream().is_some() || self.called().is_some()
    }

    /// Another gateway says that it is called so. True if that is another stream than this gateway knew.
    pub(super) fn is_called(&self, stream_id: String) -> bool {
        let differs = self.stream().is_some_and(|known| known.stream_id != stream_id);
        if differs {
            self.stream.send_replace(None);
        }
        *self.called() = Some(stream_id);
        differs
    }

    fn called(&self) -> MutexGuard<'_, Option<String>> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the stream is there.
    pub(super) async fn known(&self) -> Option<Arc<Configuration>> {
        let mut stream = self.stream.subscribe();
        // An error means that the gateway ends.
        stream.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// What is presented where the stream's events are fetched: another than `seen` if that was refused.
    pub(super) const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// What the transmitter says about itself.
    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, Trouble> {
        Ok(self.discovery.metadata().await?)
    }

    /// True if whoever signs in has to be added.
    pub(super) async fn adds_subjects(&self) -> bool {
        match self.settings.subjects {
            Subjects::All => false,
            Subjects::None => true,
            Subjects::Auto => self.metadata().await.is_ok_and(|metadata| metadata.tells_of_nobody),
        }
    }

    /// Finds the stream that is ours, or makes it; and brings it to what is wanted.
    pub(super) async fn ensure(&self, may: May<'_>) -> Result<Made, Trouble> {
        let wanted = &self.settings.wanted;
        let made = match &self.settings.stream_id {
            Some(stream_id) => self.adopt(self.read(stream_id).await?, may).await?,
            None => {
                // Transmitters that cannot list have none to show; somebody else's stream is not ours.
                let found = match self.list().await {
                    Ok(found) => found,
                    Err(
                        Trouble::Gone
                        | Trouble::NotAllowed(_)
                        | Trouble::Status(400)
                        | Trouble::Unusable(Unusable::Audience),
                    ) => Vec::new(),
                    Err(trouble) => return Err(trouble),
                };
                match found.into_iter().find(|stream| wanted.recognises(stream)) {
                    Some(stream) => self.adopt(stream, may).await?,
                    None => self.create_or_adopt(may).await?,
                }
            }
        };
        self.stream.send_replace(Some(Arc::clone(&made.stream)));
        Ok(made)
    }

    async fn create_or_adopt(&self, may: May<'_>) -> Result<Made, Trouble> {
        match self.create(may).await {
            // One stream for each receiver, and it is there already (SSF §8.1.1.1).
            Err(Trouble::Conflict) => {
                let found = self.list().await?.into_iter().next().ok_or(Trouble::Conflict)?;
                self.adopt(found, may).await
            }
            made => made,
        }
    }

    async fn create(&self, may: May<'_>) -> Result<Made, Trouble> {
        let endpoint = self.configuration_endpoint().await?;
        if !may() {
            return Err(Trouble::NotOurs);
        }
        let answer = self.call(Verb::POST, &endpoint, Some(self.settings.wanted.create())).await?;
        match answer.status().as_u16() {
            200 | 201 => {}
            409 => return Err(Trouble::Conflict),
            status => return Err(failed(status)),
        }
        let stream = Configuration::parse(answer.body(), None, self.expected())?;
        Ok(Made { stream: Arc::new(stream), anew: true })
    }

    /// Brings a stream that is there to what is wanted, as far as the transmitter lets us.
    async fn adopt(&self, stream: Configuration, may: May<'_>) -> Result<Made, Trouble> {
        let likeness = self.settings.wanted.compare(&stream);
        if likeness == Likeness::Same {
            return Ok(Made { stream: Arc::new(stream), anew: false });
        }
        let changed = match self.change(Verb::PATCH, &stream).await {
            Err(Trouble::NotAllowed(_)) => self.change(Verb::PUT, &stream).await,
            changed => changed,
        };
        match changed {
            Ok(stream) => Ok(Made { stream: Arc::new(stream), anew: false }),
            // As far as it shows it is right; a wrong secret would show at the first event.
            Err(Trouble::NotAllowed(_)) if likeness == Likeness::SecretUnknown => {
                Ok(Made { stream: Arc::new(stream), anew: false })
            }
            Err(Trouble::NotAllowed(_)) if !may() => Err(Trouble::NotOurs),
            Err(Trouble::NotAllowed(_)) => {
                tracing::warn!(issuer = %self.issuer, "a stream that cannot be changed is deleted and made anew");
                self.delete_named(&stream.stream_id).await?;
                self.create(may).await
            }
            Err(trouble) => Err(trouble),
        }
    }

    async fn change(&self, verb: Verb, stream: &Configuration) -> Result<Configuration, Trouble> {
        let endpoint = self.configuration_endpoint().await?;
        let answer = self.call(verb, &endpoint, Some(self.settings.wanted.change(stream))).await?;
        succeeded(&answer, &[200])?;
        Ok(Configuration::parse(answer.body(), Some(&stream.stream_id), self.expected())?)
    }

    async fn list(&self) -> Result<Vec<Configuration>, Trouble> {
        let endpoint = self.configuration_endpoint().await?;
        let answer = self.call(Verb::GET, &endpoint, None).await?;
        succeeded(&answer, &[200])?;
        Ok(Configuration::parse_list(answer.body(), self.expected())?)
    }

    async fn read(&self, stream_id: &str) -> Result<Configuration, Trouble> {
        let endpoint = of_stream(self.configuration_endpoint().await?, stream_id);
        let answer = self.call(Verb::GET, &endpoint, None).await?;
        succeeded(&answer, &[200])?;
        Ok(Configuration::parse(answer.body(), Some(stream_id), self.expected())?)
    }

    /// Reads the stream anew.
    pub(super) async fn read_again(&self) -> Result<Arc<Configuration>, Trouble> {
        let known = self.stream().ok_or(Trouble::NoStream)?;
        let stream = Arc::new(self.read(&known.stream_id).await?);
        self.stream.send_replace(Some(Arc::clone(&stream)));
        Ok(stream)
    }

    /// Deletes the stream (SSF §8.1.1.5).
    pub(super) async fn delete(&self) -> Result<(), Trouble> {
        let known = self.stream().ok_or(Trouble::NoStream)?;
        self.delete_named(&known.stream_id).await?;
        self.forget();
        Ok(())
    }

    async fn delete_named(&self, stream_id: &str) -> Result<(), Trouble> {
        let endpoint = of_stream(self.configuration_endpoint().await?, stream_id);
        let answer = self.call(Verb::DELETE, &endpoint, None).await?;
        match succeeded(&answer, &[200, 204]) {
            // What is not there need not be deleted.
            Err(Trouble::Gone) => Ok(()),
            deleted => deleted,
        }
    }

    /// The transmitter does not have the stream any more.
    pub(super) fn forget(&self) {
        self.stream.send_replace(None);
        *self.called() = None;
    }

    /// The stream's status (SSF §8.1.2.1).
    pub(super) async fn status(&self) -> Result<(StreamStatus, Option<String>), Trouble> {
        let known = self.stream().ok_or(Trouble::NoStream)?;
        let endpoint = self.endpoint("status_endpoint", |metadata| &metadata.status_endpoint).await?;
        let answer = self.call(Verb::GET, &of_stream(endpoint, &known.stream_id), None).await?;
        succeeded(&answer, &[200])?;
        Ok(stream_config::parse_status(answer.body(), &known.stream_id)?)
    }

    /// Sets it (SSF §8.1.2.2); says what it is then.
    pub(super) async fn set_status(&self, status: StreamStatus) -> Result<StreamStatus, Trouble> {
        let known = self.stream().ok_or(Trouble::NoStream)?;
        let endpoint = self.endpoint("status_endpoint", |metadata| &metadata.status_endpoint).await?;
        let body = stream_config::status(&known.stream_id, status);
        let answer = self.call(Verb::POST, &endpoint, Some(body)).await?;
        succeeded(&answer, &[200])?;
        Ok(stream_config::parse_status(answer.body(), &known.stream_id)?.0)
    }

    /// Asks for a verification event (SSF §8.1.4.2). Success means that it will be sent, nothing more.
    pub(super) async fn verify(&self, state: &str) -> Result<(), Trouble> {
        let known = self.stream().ok_or(Trouble::NoStream)?;
        let endpoint = self.endpoint("verification_endpoint", |metadata| &metadata.verification_endpoint).await?;
        let body = stream_config::verification(&known.stream_id, state);
        let answer = self.call(Verb::POST, &endpoint, Some(body)).await?;
        succeeded(&answer, &[200, 202, 204])
    }

    /// Adds or removes somebody (SSF §8.1.3). Success is no guarantee: a transmitter need not say whom it knows.
    pub(super) async fn tell(&self, change: &Change) -> Result<(), Trouble> {
        let known = self.stream().map(|stream| stream.stream_id.clone());
        let stream_id = known.or_else(|| self.called().clone()).ok_or(Trouble::NoStream)?;
        let endpoint = match change {
            Change::Add(_) => self.endpoint("add_subject_endpoint", |metadata| &metadata.add_subject_endpoint).await?,
            Change::Remove(_) => {
                self.endpoint("remove_subject_endpoint", |metadata| &metadata.remove_subject_endpoint).await?
            }
        };
        let (issuer, sub) = change.subject();
        let body = stream_config::subject(&stream_id, issuer, sub);
        let answer = self.call(Verb::POST, &endpoint, Some(body)).await?;
        succeeded(&answer, &[200, 204])
    }

    async fn configuration_endpoint(&self) -> Result<Url, Trouble> {
        self.endpoint("configuration_endpoint", |metadata| &metadata.configuration_endpoint).await
    }

    /// An endpoint that our token may be sent to.
    async fn endpoint(&self, name: &'static str, of: impl FnOnce(&Metadata) -> &Option<Url>) -> Result<Url, Trouble> {
        let metadata = self.metadata().await?;
        let endpoint = of(&metadata).clone().ok_or(Trouble::NotOffered(name))?;
        if self.places.allow(&endpoint) { Ok(endpoint) } else { Err(Unusable::Place.into()) }
    }

    fn expected(&self) -> Expected<'_> {
        let Self { issuer, audiences, places, .. } = self;
        Expected { issuer, audiences, method: self.settings.wanted.method, places }
    }

    /// One call; once more with another token where the first one is not accepted.
    async fn call(&self, verb: Verb, url: &Url, body: Option<Value>) -> Result<Response<Vec<u8>>, Trouble> {
        let token = self.tokens.token(url).await?;
        let answer = self.once(&verb, url, body.as_ref(), &token).await?;
        match self.tokens.instead_of(&token, url, &answer).await? {
            None => Ok(answer),
            Some(other) => self.once(&verb, url, body.as_ref(), &other).await,
        }
    }

    async fn once(
        &self,
        verb: &Verb,
        url: &Url,
        body: Option<&Value>,
        token: &Secret<String>,
    ) -> Result<Response<Vec<u8>>, Trouble> {
        let bearer = bearer(token).ok_or(NoToken::Unpresentable)?;
        let mut request = Request::builder()
            .method(verb)
            .uri(url.as_str())
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, bearer);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(body).map_err(|_| Unusable::Place)?;
        self.client.send(request, MAX_ANSWER).await.map_err(|error| match error {
            Error::TooLarge => Unusable::Form.into(),
            Error::Deadline | Error::Connect(_) | Error::Broken(_) => Trouble::Unreachable,
            Error::NotHttps | Error::OffLimits | Error::NotUrl => Unusable::Place.into(),
        })
    }

    /// How events are wanted.
    pub(super) const fn method(&self) -> Method {
        self.settings.wanted.method
    }
}

/// The endpoint, about that stream; what else its query says stays.
fn of_stream(mut endpoint: Url, stream_id: &str) -> Url {
    endpoint.query_pairs_mut().append_pair("stream_id", stream_id);
    endpoint
}

fn succeeded(answer: &Response<Vec<u8>>, successes: &[u16]) -> Result<(), Trouble> {
    let status = answer.status().as_u16();
    if successes.contains(&status) { Ok(()) } else { Err(failed(status)) }
}

/// What a status means that is no success.
const fn failed(status: u16) -> Trouble {
    match status {
        202 => Trouble::Pending,
        401 => Trouble::Unauthorized,
        403 => Trouble::Forbidden,
        404 | 410 => Trouble::Gone,
        405 | 501 => Trouble::NotAllowed(status),
        429 => Trouble::TooOften,
        status => Trouble::Status(status),
    }
}
