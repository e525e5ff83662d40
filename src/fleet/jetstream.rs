//! The engine NATS JetStream: one stream holds the letters, and who has which lease.
//!
//! | subject | what |
//! |---|---|
//! | `STREAM.all` | letters for everyone |
//! | `STREAM.to.ID` | letters for one gateway; they are dropped after an hour |
//! | `STREAM.lease.NAME` | who has a lease |

mod connection;
mod lease;
mod log;
mod monitor;
mod watch;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::ServerAddr;
use async_trait::async_trait;
use futures_util::StreamExt as _;

use self::connection::Connections;
use self::lease::Sightings;
use super::{Engine, Extent, Fence, Following, GatewayId, Letter, Position, Trouble};
use crate::http::Client;
use crate::secret::Secret;

/// How the servers are reached, and what the stream must be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The servers, `nats://HOST:PORT` or `tls://HOST:PORT`; no others are used, whatever these tell of.
    pub servers: Vec<String>,
    /// The stream's name, which its subjects begin with.
    pub stream: String,
    /// How many servers keep each letter.
    pub replicas: usize,
    /// What the gateway shows.
    pub credentials: Credentials,
    /// How connections are protected.
    pub tls: Tls,
    /// How long a call may take.
    pub deadline: Duration,
    /// How long letters are kept: as long as the longest-lived credential, and a margin. Zero is for ever.
    pub max_age: Duration,
    /// What is allowed although letters can be lost by it.
    pub allow: Allow,
    /// The servers' monitoring addresses, at which each is asked whether it flushes what it acknowledges.
    pub monitoring: Vec<String>,
}

/// What a gateway shows to the servers.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Nothing, or its certificate.
    None,
    /// What stands in a `.creds` file: a user's JWT and its seed.
    File(Secret<String>),
    /// The seed of an nkey.
    Nkey(Secret<String>),
    /// A token.
    Token(Secret<String>),
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret<String>,
    },
}

/// How connections are protected. The files are read again for each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// No connection without it, whatever the server says.
    pub required: bool,
    /// The authorities that the servers' certificates must come from; else those of the system.
    pub ca_file: Option<PathBuf>,
    /// The certificate and the key that the gateway shows.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What is allowed although letters can be lost by it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// The stream is in the servers' memory.
    pub memory_storage: bool,
    /// It is on fewer servers than three, or than were asked for.
    pub few_replicas: bool,
    /// Servers acknowledge what is not yet on their disks.
    pub lazy_sync: bool,
}

/// The engine. It connects when it is first needed, and again by itself.
pub struct Jetstream {
    settings: Settings,
    connections: Connections,
    /// Asks the monitoring addresses.
    http: Client,
    /// The epoch that `open` saw last.
    epoch: Mutex<Option<String>>,
    /// When others were seen to have a lease.
    sightings: Sightings,
    /// It was said that nobody checked whether the servers flush.
    said_unchecked: AtomicBool,
}

impl Jetstream {
    /// An engine that has not connected yet. `http` asks the monitoring addresses, if there are any.
    pub fn new(settings: Settings, http: Client) -> Self {
        Self {
            connections: Connections::default(),
            http,
            epoch: Mutex::default(),
            sightings: Sightings::default(),
            said_unchecked: AtomicBool::new(false),
            settings,
        }
    }

    /// What `work` yields, within the deadline. What fails after the servers refused something, failed because of that.
    async fn within_deadline<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let refusals = self.connections.refusals().count();
        let done = tokio::time::timeout(self.settings.deadline, work).await;
        match done.unwrap_or_else(|_| Err(Trouble::Away(format!("no answer within {:?}", self.settings.deadline)))) {
            Err(Trouble::Away(why)) => Err(match self.connections.refusals().since(refusals) {
                Some(refusal) => Trouble::Denied(refusal),
                None => Trouble::Away(why),
            }),
            done => done,
        }
    }

    fn known_epoch(&self) -> Option<String> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn know_epoch(&self, epoch: &str) {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = Some(epoch.to_owned());
    }
}

#[async_trait]
impl Engine for Jetstream {
    async fn open(&self) -> Result<Extent, Trouble> {
        self.within_deadline(async {
            let connection = self.connections.get(&self.settings).await?;
            let ((), info) = tokio::try_join!(self.check_servers(), self.stand(&connection))?;
            let extent = log::extent(&info);
            self.know_epoch(&extent.epoch);
            Ok(extent)
        })
        .await
    }

    async fn append(&self, letters: &[Letter]) -> Result<(), Trouble> {
        self.within_deadline(async {
            let connection = self.connections.get(&self.settings).await?;
            log::append(&connection, &self.settings, letters).await
        })
        .await
    }

    async fn follow(&self, after: Position, me: GatewayId) -> Result<Following, Trouble> {
        self.within_deadline(async {
            let connection = self.connections.get(&self.settings).await?;
            let watch = watch::begin(connection, &self.settings, self.known_epoch(), after, me).await?;
            Ok(watch.batches().boxed())
        })
        .await
    }

    async fn forget_older_than(&self, _age: Duration) -> Result<(), Trouble> {
        // The stream does it: `max_age`.
        Ok(())
    }

    async fn lease(&self, name: &str, me: GatewayId, term: Duration) -> Result<Option<Fence>, Trouble> {
        self.within_deadline(async {
            let connection = self.connections.get(&self.settings).await?;
            lease::take(&connection, &self.settings.stream, &self.sightings, name, me, term).await
        })
        .await
    }

    async fn release(&self, name: &str, me: GatewayId) -> Result<(), Trouble> {
        self.within_deadline(async {
            let connection = self.connections.get(&self.settings).await?;
            lease::release(&connection, &self.settings.stream, name, me).await
        })
        .await
    }
}

impl fmt::Debug for Jetstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jetstream").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Settings {
    /// The servers as the client wants them.
    fn addresses(&self) -> Result<Vec<ServerAddr>, Trouble> {
        self.servers.iter().map(|server| address(server)).collect()
    }
}

/// A server's address.
fn address(server: &str) -> Result<ServerAddr, Trouble> {
    server.parse().map_err(|_| Trouble::Unfit {
        what: format!("`{server}` is no address of a NATS server"),
        remedy: "write `nats://HOST:PORT` or `tls://HOST:PORT`".to_owned(),
    })
}
