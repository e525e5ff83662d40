//! The fleet by PostgreSQL: letters are rows of a table, and whoever follows them reads on from where they are.
//!
//! **Nothing is skipped.** Appends take turns by an advisory lock that ends with their transaction, so that positions
//! become visible in their order: a reader at position 7 knows that nothing will ever come before it. An append is one
//! message of the simple protocol, which the server has as a whole before it begins: a gateway that dies or is cut off in
//! the middle never holds the lock. Readers take no lock and do not care about other people's transactions.
//!
//! **A quiet server is not a healthy one.** `NOTIFY` is only a hint: whoever follows also looks every second. Each look,
//! as every other call, ends within [`Settings::deadline`], so that a server that is there and says nothing is noticed
//! within a second and the deadline.
//!
//! **Another server.** Of several [`Settings::hosts`] the first that takes writes is used. A server that was promoted, or
//! put back from a backup, may lack what was acknowledged before, and give the same positions to other letters. PostgreSQL
//! gives it another timeline, and that is a part of [`Extent::epoch`]: the gateways take it for another log, read it from
//! the beginning and tell again what is in force; letters that are there already are not kept twice. Where the timeline
//! is the same (somebody put a file system's snapshot back) a log that is shorter than it was gives itself another epoch.
//! Every new connection is checked against what [`Engine::open`] found last, and every look at the log says which one it
//! is: what goes on at another ends with [`Trouble::Gone`].
//!
//! **Leases** end by the server's clock. One that is set forward ends them early, by as much.
//!
//! A gateway has two connections; behind PgBouncer they need its session mode.

mod errors;
mod follow;
mod layout;
mod session;
mod settings;
mod sql;
mod tls;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_postgres_rustls::MakeRustlsConnect;

use self::layout::Epoch;
use self::session::Session;
pub use self::settings::{Allow, Host, Schema, Settings, Tls};
use super::{Engine, Extent, Fence, Following, GatewayId, Letter, Position, To, Trouble};
use crate::time::Stopwatch;

/// Letters in a PostgreSQL database.
pub struct Postgres {
    settings: Settings,
    connector: Option<MakeRustlsConnect>,
    /// The connection of everything but [`Engine::follow`]. The lock guards only the place.
    calls: Mutex<Option<Arc<Session>>>,
    /// Whoever connects holds this: the others take what that brings.
    door: tokio::sync::Mutex<()>,
    here: Arc<Here>,
}

/// What followers and appends of one gateway share.
#[derive(Debug)]
struct Here {
    /// What `open` found last, and then as much of it as was read.
    known: Mutex<Option<Extent>>,
    /// Rings when this gateway has appended something.
    appended: watch::Sender<()>,
    /// Who follows by this engine: they hear that bell and need no `NOTIFY`.
    followers: Mutex<Vec<GatewayId>>,
}

impl Postgres {
    /// An engine that is not connected yet. An error is of [`Settings::tls`].
    pub fn new(settings: Settings) -> Result<Self, Trouble> {
        let connector = settings.tls.as_ref().map(tls::connector).transpose()?;
        let here =
            Here { known: Mutex::new(None), appended: watch::Sender::new(()), followers: Mutex::new(Vec::new()) };
        Ok(Self {
            settings,
            connector,
            calls: Mutex::new(None),
            door: tokio::sync::Mutex::new(()),
            here: Arc::new(here),
        })
    }

    /// What somebody who may make schemas runs where the gateway may not; the gateway's user is named in it.
    pub fn sql_to_run(settings: &Settings) -> String {
        format!("{}\n{}", layout::making(&settings.schema), layout::granting(&settings.schema, &settings.user))
    }

    /// A new connection, to the same log as before.
    async fn connect(&self) -> Result<Session, Trouble> {
        let session = session::connect(&self.settings, self.connector.as_ref()).await?;
        if let Some(known) = self.here.known() {
            let found = layout::epoch(&session, &self.settings.schema).await?;
            if found.to_string() != known.epoch {
                return Err(Trouble::Gone);
            }
        }
        Ok(session)
    }

    /// The connection that there is, or a new one.
    async fn session(&self) -> Result<Arc<Session>, Trouble> {
        let there = || lock(&self.calls).clone().filter(|session| session.is_alive());
        if let Some(session) = there() {
            return Ok(session);
        }
        let _door = self.door.lock().await;
        if let Some(session) = there() {
            return Ok(session);
        }
        let session = Arc::new(self.connect().await?);
        *lock(&self.calls) = Some(Arc::clone(&session));
        Ok(session)
    }

    /// What the server answers to `sql`: the first column of the last row, if there is any. A connection on which an
    /// answer is still to come, because nobody waits for it any more, is not used again.
    async fn ask(&self, sql: &str) -> Result<(Option<String>, Arc<Session>), Trouble> {
        let session = self.session().await?;
        let mut call = Call { engine: self, session: &session, is_over: false };
        let answer = session.ask(sql).await;
        call.is_over = session.is_alive();
        drop(call);
        let text = answer?.and_then(|row| row.get(0).map(str::to_owned));
        Ok((text, session))
    }

    async fn within_deadline<T>(&self, call: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let deadline = self.settings.deadline;
        tokio::time::timeout(deadline, call).await.unwrap_or_else(|_| Err(errors::no_answer(deadline)))
    }
}

#[async_trait]
impl Engine for Postgres {
    async fn open(&self) -> Result<Extent, Trouble> {
        self.within_deadline(async {
            // Before the log is asked: what is read meanwhile may be newer than the answer.
            let known = self.here.known();
            let session = session::connect(&self.settings, self.connector.as_ref()).await?;
            let extent = layout::open(&session, &self.settings, known.as_ref()).await?;
            self.here.opened(&extent);
            *lock(&self.calls) = Some(Arc::new(session));
            Ok(extent)
        })
        .await
    }

    async fn append(&self, letters: &[Letter]) -> Result<(), Trouble> {
        self.within_deadline(async {
            for some in sql::portions(letters) {
                let wakes = self.wakes(some);
                self.ask(&sql::append(&self.settings.schema, some, &wakes)?).await?;
            }
            self.here.appended.send_replace(());
            Ok(())
        })
        .await
    }

    async fn follow(&self, after: Position, me: GatewayId) -> Result<Following, Trouble> {
        let listed = self.here.list(me);
        self.within_deadline(async {
            let session = self.connect().await?;
            follow::start(session, &self.settings, after, me, listed).await
        })
        .await
    }

    async fn forget_older_than(&self, age: Duration) -> Result<(), Trouble> {
        let forget = sql::forget(&self.settings.schema, age);
        let for_one = sql::forget_for_one(&self.settings.schema, age.min(To::KEPT_FOR_ONE));
        let watch = Stopwatch::start();
        self.within_deadline(async {
            // What is not dropped this time is dropped the next.
            while watch.elapsed() < self.settings.deadline / 2 {
                self.ask(&for_one).await?;
                let (dropped, _) = self.ask(&forget).await?;
                // Nothing more is that old, or another gateway is at it.
                if dropped.is_none_or(|dropped| dropped == "0") {
                    break;
                }
            }
            Ok(())
        })
        .await
    }

    async fn lease(&self, name: &str, me: GatewayId, term: Duration) -> Result<Option<Fence>, Trouble> {
        self.within_deadline(async {
            let (fence, session) = self.ask(&sql::lease(&self.settings.schema, name, me, term)).await?;
            Ok(fence.and_then(|fence| fence.parse().ok()).map(|counter: u64| session.fence(counter)))
        })
        .await
    }

    async fn release(&self, name: &str, me: GatewayId) -> Result<(), Trouble> {
        self.within_deadline(self.ask(&sql::release(&self.settings.schema, name, me))).await.map(drop)
    }
}

impl Postgres {
    /// The channels of those who wait for one of `letters` at other gateways.
    fn wakes(&self, letters: &[Letter]) -> Vec<String> {
        let followers = lock(&self.here.followers);
        let mut wakes: Vec<_> = letters
            .iter()
            // A gateway's own heartbeats, which are most of what there is, must not wake every other.
            .filter(|letter| !matches!(letter.to, To::One(gateway) if followers.contains(&gateway)))
            .map(|letter| self.settings.schema.channel(letter.to))
            .collect();
        wakes.sort();
        wakes.dedup();
        wakes
    }
}

impl Here {
    fn known(&self) -> Option<Extent> {
        lock(&self.known).clone()
    }

    /// Positions of a log that is gone say nothing about this one.
    fn opened(&self, extent: &Extent) {
        let mut known = lock(&self.known);
        match &mut *known {
            Some(known) if known.epoch == extent.epoch => known.last = known.last.max(extent.last),
            known => *known = Some(extent.clone()),
        }
    }

    /// Notes how far the log of that epoch was read.
    fn read(&self, epoch: &Epoch, last: Position) {
        if let Some(known) = lock(&self.known).as_mut().filter(|known| epoch.to_string() == known.epoch) {
            known.last = known.last.max(last);
        }
    }

    fn list(self: &Arc<Self>, me: GatewayId) -> Listed {
        lock(&self.followers).push(me);
        Listed { here: Arc::clone(self), me }
    }
}

/// A follower, for as long as it follows.
#[derive(Debug)]
struct Listed {
    here: Arc<Here>,
    me: GatewayId,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut followers = lock(&self.here.followers);
        if let Some(at) = followers.iter().position(|follower| *follower == self.me) {
            followers.swap_remove(at);
        }
    }
}

/// A call that waits for its answer: one that is left before gives its connection up.
struct Call<'e> {
    engine: &'e Postgres,
    session: &'e Arc<Session>,
    is_over: bool,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut calls = lock(&self.engine.calls);
        if !self.is_over && calls.as_ref().is_some_and(|session| Arc::ptr_eq(session, self.session)) {
            *calls = None;
        }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What these locks guard is whole at any moment: a panic of another thread left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
