//! One connection to the server that takes writes.

use std::future::poll_fn;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_postgres::config::{Config, SslMode};
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, SimpleQueryMessage, SimpleQueryRow};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Fence, Host, Settings, Trouble, lock};

/// A connection. Its reader and writer ends with it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) heard: Arc<Heard>,
    /// Which history of the database the server writes on.
    pub(super) timeline: u32,
    driver: AbortHandle,
}

/// What the server says without being asked.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Rings at a `NOTIFY`, and when the connection ends.
    pub(super) bell: Notify,
    /// The last warning.
    warning: Mutex<Option<String>>,
}

impl Session {
    /// Whether, as far as is known, the server is still at the other end.
    pub(super) fn is_alive(&self) -> bool {
        !self.client.is_closed() && lock(&self.heard.warning).is_none()
    }

    /// What the server answers to `sql`, of one or more statements in one transaction: the last row. Warnings count as
    /// errors: what the server says when it did not wait for its standbys is one.
    pub(super) async fn ask(&self, sql: &str) -> Result<Option<SimpleQueryRow>, Trouble> {
        let answer = self.client.simple_query(sql).await.map_err(|error| Trouble::from(&error))?;
        if let Some(warning) = lock(&self.heard.warning).clone() {
            return Err(Trouble::Away(format!("PostgreSQL warns: {warning}")));
        }
        Ok(last_row(answer))
    }

    /// The fence of a lease: a server that was promoted may count again from what it had, but on a later timeline.
    pub(super) const fn fence(&self, counter: u64) -> Fence {
        Fence((self.timeline as u64) << FENCE_COUNTER_BITS | counter & ((1 << FENCE_COUNTER_BITS) - 1))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn last_row(answer: Vec<SimpleQueryMessage>) -> Option<SimpleQueryRow> {
    let rows = answer.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.last()
}

/// Connects to the first server that takes writes. They are asked in turn; one that does not answer soon does not keep
/// the next from being asked.
pub(super) async fn connect(settings: &Settings, tls: Option<&MakeRustlsConnect>) -> Result<Session, Trouble> {
    let mut hosts = settings.hosts.iter();
    let mut attempts = FuturesUnordered::new();
    let mut troubles = Vec::new();
    loop {
        let more = hosts.next();
        attempts.extend(more.map(|host| async move { (host, connect_to(host, settings, tls).await) }));
        tokio::select! {
            attempt = attempts.next() => match attempt {
                Some((_, Ok(session))) => return Ok(session),
                Some((host, Err(trouble))) => troubles.push((host, trouble)),
                None => return Err(summary(&troubles)),
            },
            () = tokio::time::sleep(STAGGER), if more.is_some() => {}
        }
    }
}

async fn connect_to(host: &Host, settings: &Settings, tls: Option<&MakeRustlsConnect>) -> Result<Session, Trouble> {
    let mut config = Config::new();
    match host {
        Host::Tcp(name, port) => config.host(name).port(*port),
        Host::Socket(directory, port) => config.host_path::<&Path>(directory).port(*port),
    };
    config.user(&settings.user).dbname(&settings.database).application_name("portcullis");
    if let Some(password) = &settings.password {
        config.password(password.expose());
    }
    config.connect_timeout(settings.deadline).tcp_user_timeout(settings.deadline);
    config.keepalives_idle(settings.deadline).keepalives_interval(Duration::from_secs(1)).keepalives_retries(3);
    let trouble = |error| Trouble::from(&error);
    let (client, heard, driver) = match tls {
        // A socket in a directory is this machine, and PostgreSQL speaks no TLS there.
        Some(tls) if !matches!(host, Host::Socket(..)) => {
            let connected = config.ssl_mode(SslMode::Require).connect(tls.clone()).await;
            connected.map(drive).map_err(trouble)?
        }
        _ => config.ssl_mode(SslMode::Disable).connect(NoTls).await.map(drive).map_err(trouble)?,
    };
    let mut session = Session { client, heard, timeline: 0, driver };
    let answer = session.client.simple_query(&preparing(settings.deadline)).await.map_err(trouble)?;
    // What a server says to everybody who comes in (that the system's collations are newer) is about nothing asked here.
    *lock(&session.heard.warning) = None;
    let facts = last_row(answer);
    let fact = |n| facts.as_ref().and_then(|row| row.get(n)).unwrap_or_default();
    if fact(0) == "t" {
        return Err(Trouble::Away("it is a standby and takes no writes".to_owned()));
    }
    if fact(1) == "on" {
        return Err(Trouble::Away("it takes no writes (`default_transaction_read_only`)".to_owned()));
    }
    session.timeline = u32::from_str_radix(fact(2), 16).unwrap_or_default();
    Ok(session)
}

/// Reads and writes the connection, and keeps what the server says by itself.
fn drive<S, T>((client, mut connection): (Client, Connection<S, T>)) -> (Client, Arc<Heard>, AbortHandle)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let heard = Arc::new(Heard::default());
    let ears = Arc::clone(&heard);
    #[expect(clippy::disallowed_methods, reason = "it ends with its session, which aborts it")]
    let driver = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                AsyncMessage::Notification(_) => ears.bell.notify_one(),
                AsyncMessage::Notice(notice) if notice.parsed_severity() == Some(Severity::Warning) => {
                    *lock(&ears.warning) = Some(notice.message().to_owned());
                }
                _ => {}
            }
        }
        ears.bell.notify_one();
    });
    (client, heard, driver.abort_handle())
}

/// What every connection is told first, and asked: whether it is a standby, whether it is read-only, and its timeline.
fn preparing(deadline: Duration) -> String {
    let millis = deadline.as_millis().max(1);
    format!(
        "SET search_path = pg_catalog; SET client_min_messages = warning; SET standard_conforming_strings = on; \
         SET default_transaction_isolation = 'read committed'; \
         SET statement_timeout = {millis}; SET lock_timeout = {}; \
         SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; \
         SELECT set_config('synchronous_commit', 'on', false) \
           WHERE current_setting('synchronous_commit') <> 'remote_apply'; \
         SELECT pg_is_in_recovery(), current_setting('transaction_read_only'), \
           CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END",
        (millis / 2).max(1)
    )
}

/// All that went wrong at all of the servers. Only if no waiting helps at any of them, none helps.
fn summary(troubles: &[(&Host, Trouble)]) -> Trouble {
    if troubles.iter().all(|(_, trouble)| trouble.is_configuration())
        && let Some((_, trouble)) = troubles.first()
    {
        return trouble.clone();
    }
    let each = troubles.iter().map(|(host, trouble)| match trouble {
        Trouble::Away(why) => format!("{host}: {why}"),
        other => format!("{host}: {other}"),
    });
    Trouble::Away(each.collect::<Vec<_>>().join("; "))
}

/// How long a server may take before the next is asked as well: longer than a handshake across a continent.
const STAGGER: Duration = Duration::from_millis(400);
/// A lease changes hands a million times a day for three thousand years before this is not enough.
const FENCE_COUNTER_BITS: u32 = 40;
