//! The connection to the servers, which async-nats makes again by itself, and what the servers said against us.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::{RequestError, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Context, ErrorCode, context};
use async_nats::{Client, ClientError, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex as AsyncMutex;

use super::{Credentials, Settings};
use crate::fleet::Trouble;

/// The one connection of an engine, made when it is first needed.
#[derive(Default)]
pub(super) struct Connections {
    /// Held while the first connection comes about; afterwards only for a moment.
    current: AsyncMutex<Option<Connection>>,
    refusals: Arc<Refusals>,
}

/// A connection. Clones are the same one.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) context: Context,
}

/// What servers refused, in their words.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<(u64, String)>);

/// Why a call to JetStream's API brought nothing.
pub(super) enum Failure {
    /// There was no answer.
    Trouble(Trouble),
    /// The answer is no.
    Answer(async_nats::jetstream::Error),
}

impl Connections {
    /// The connection, once it stands. Waits as long as it must: callers have a deadline.
    pub(super) async fn get(&self, settings: &Settings) -> Result<Connection, Trouble> {
        let connection = {
            let mut current = self.current.lock().await;
            match &*current {
                Some(connection) => connection.clone(),
                None => current.insert(self.connect(settings).await?).clone(),
            }
        };
        // What is written to a connection that is down waits there for the next one: nobody wants it then any more.
        while connection.client.connection_state() != State::Connected {
            tokio::time::sleep(LOOK).await;
        }
        Ok(connection)
    }

    /// What servers refused.
    pub(super) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    async fn connect(&self, settings: &Settings) -> Result<Connection, Trouble> {
        let addresses = settings.addresses()?;
        // A server that takes the connection and says nothing must leave time for the others.
        let each = settings.deadline / u32::try_from(addresses.len() + 1).unwrap_or(u32::MAX);
        let refusals = Arc::clone(&self.refusals);
        let options = credentials(ConnectOptions::new(), &settings.credentials)?
            .name("portcullis")
            .connection_timeout(each)
            .request_timeout(Some(settings.deadline))
            .ping_interval(PING)
            .subscription_capacity(SUBSCRIPTION)
            .reconnect_delay_callback(|attempts| if attempts <= 1 { Duration::ZERO } else { RECONNECT })
            .ignore_discovered_servers()
            .event_callback(move |event| {
                refusals.note(&event);
                std::future::ready(())
            });
        let client = tls(options, settings).connect(addresses).await.map_err(|error| refused(&error))?;
        let context = context::ContextBuilder::new()
            .timeout(settings.deadline)
            .ack_timeout(settings.deadline)
            .max_ack_inflight(IN_FLIGHT)
            .build(client.clone());
        Ok(Connection { client, context })
    }
}

impl Connection {
    /// Asks JetStream's API.
    pub(super) async fn ask<T: DeserializeOwned>(&self, subject: String, body: &impl Serialize) -> Result<T, Failure> {
        match self.context.request(subject, body).await {
            Ok(Response::Ok(answer)) => Ok(answer),
            Ok(Response::Err { error }) => Err(Failure::Answer(error)),
            Err(error) => Err(Failure::Trouble(unanswered(&error))),
        }
    }
}

impl Refusals {
    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The newest, if there is one since then.
    pub(super) fn since(&self, count: u64) -> Option<String> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (noted.0 > count).then(|| noted.1.clone())
    }

    fn note(&self, event: &Event) {
        let why = match event {
            Event::ServerError(ServerError::AuthorizationViolation) => "the credentials are not accepted".to_owned(),
            // `-ERR 'Permissions Violation for Publish to "…"'` is all that the protocol says of a call that is refused.
            Event::ServerError(ServerError::Other(text)) if is_refusal(text) => text.clone(),
            Event::ClientError(ClientError::Other(text)) if is_refusal(text) => text.clone(),
            _ => return,
        };
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = (noted.0.saturating_add(1), why);
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let error = match failure {
            Failure::Trouble(trouble) => return trouble,
            Failure::Answer(error) => error,
        };
        match error.error_code() {
            ErrorCode::STREAM_NOT_FOUND => Self::Gone,
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => Self::Unfit {
                what: "JetStream is not enabled at the server or for the account".to_owned(),
                remedy: "enable it (`jetstream { store_dir: … }`)".to_owned(),
            },
            ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED => Self::Unfit {
                what: format!("the servers have no room: {error}"),
                remedy: "give JetStream or the account more storage".to_owned(),
            },
            _ => Self::Away(error.to_string()),
        }
    }
}

fn is_refusal(text: &str) -> bool {
    let text = text.to_lowercase();
    [AUTHORIZATION, "permissions violation", "authentication", "signing nonce"].iter().any(|word| text.contains(word))
}

fn credentials(options: ConnectOptions, credentials: &Credentials) -> Result<ConnectOptions, Trouble> {
    Ok(match credentials {
        Credentials::None => options,
        Credentials::File(content) => options.credentials(content.expose()).map_err(|_| Trouble::Unfit {
            what: "the credentials file holds no JWT with a seed".to_owned(),
            remedy: "make it with `nsc generate creds`".to_owned(),
        })?,
        Credentials::Nkey(seed) => options.nkey(seed.expose().clone()),
        Credentials::Token(token) => options.token(token.expose().clone()),
        Credentials::Password { user, password } => options.user_and_password(user.clone(), password.expose().clone()),
    })
}

fn tls(options: ConnectOptions, settings: &Settings) -> ConnectOptions {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, with the same.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    let tls = &settings.tls;
    let mut options = options.require_tls(tls.required);
    if let Some(ca_file) = &tls.ca_file {
        options = options.add_root_certificates(ca_file.clone());
    }
    if let Some((cert, key)) = &tls.identity {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    options
}

/// Why no connection came about.
fn refused(error: &ConnectError) -> Trouble {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            Trouble::Denied("the credentials are not accepted".to_owned())
        }
        ConnectErrorKind::Tls => Trouble::Denied(error.to_string()),
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => match tls_error(error) {
            Some(why) => Trouble::Denied(format!("no TLS: {why}")),
            None => Trouble::Away(error.to_string()),
        },
    }
}

/// What TLS has against the connection, if that is why there is none.
fn tls_error(error: &ConnectError) -> Option<String> {
    let mut cause = error.source();
    while let Some(found) = cause {
        if let Some(tls) = found.downcast_ref::<rustls::Error>() {
            return Some(tls.to_string());
        }
        let inner = found.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(tls.to_string());
        }
        cause = found.source();
    }
    None
}

fn unanswered(error: &RequestError) -> Trouble {
    Trouble::Away(match error.kind() {
        // Also while the servers choose a leader.
        RequestErrorKind::NoResponders => "no server answers for JetStream; is it enabled?".to_owned(),
        RequestErrorKind::TimedOut | RequestErrorKind::InvalidSubject | RequestErrorKind::Other => error.to_string(),
    })
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("refusals", &self.refusals).finish_non_exhaustive()
    }
}

/// Between two looks whether the connection stands again.
const LOOK: Duration = Duration::from_millis(20);
/// Between two attempts to connect again.
const RECONNECT: Duration = Duration::from_millis(250);
/// Between two pings. After the second without an answer another server is tried.
const PING: Duration = Duration::from_secs(2);
/// Messages that wait in a watch. The server stops for flow control after 32 MiB, with smaller letters than any of ours
/// that are fewer than this.
const SUBSCRIPTION: usize = 512 * 1_024;
/// Letters that may be on their way at once, of all calls together: so many that no two calls wait for each other.
const IN_FLIGHT: usize = 64 * 1_024;
/// How the client words that credentials were not accepted.
const AUTHORIZATION: &str = "authorization violation";
