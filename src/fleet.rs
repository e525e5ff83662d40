//! The fleet: what one gateway knows, all know.
//!
//! An [`Engine`] that others wrote carries [`Letter`]s between the gateways and keeps them for those that are away: NATS
//! JetStream or PostgreSQL. It is trusted with nothing but that: who can write to it and has not the key ring can neither
//! revoke nor read, and whatever it loses is still in the ledger of the gateway that told it.
//!
//! A gateway writes down first, then tells, then acknowledges. What it could not tell stays marked in its ledger and is told
//! once the engine is there again, in any order (law 1).

mod ask;
mod engine;
mod freshness;
pub mod jetstream;
mod lead;
mod link;
mod message;
mod peers;
pub mod postgres;
mod report;
mod sign;
mod speaker;
mod state;
mod teller;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};

use self::ask::Answer;
pub use self::ask::{InSight, Sight, added};
pub use self::engine::{Engine, Entry, Extent, Fence, Following, GatewayId, Letter, Position, To, Trouble};
pub use self::freshness::Fresh;
pub use self::lead::{Lead, Role};
pub use self::message::Illegible;
pub use self::peers::Peer;
use self::peers::Peers;
pub use self::report::{Prints, Tally};
pub use self::sign::{Sign, There};
pub use self::speaker::Asked;
pub use self::state::Standing;
use self::state::State;
pub use self::teller::NotTold;
use self::teller::Telling;
use crate::audit::Audit;
use crate::exchanges::Survey;
use crate::ledger::{Ledger, Membership, Place};
use crate::metrics::Metrics;
use crate::revocation::{Fact, Revocation};
use crate::seal::KeyRing;
use crate::time::{Clock, Stopwatch, Timestamp};

/// When a sender is told that a signal is accepted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Accept {
    /// Once the engine keeps it for every gateway; until then the sender is to send it again.
    #[default]
    Fleet,
    /// Once it is durable here; the others are told as soon as they can be.
    Local,
}

/// How a gateway lives in a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What people call this gateway.
    pub name: String,
    /// When a sender is told that a signal is accepted.
    pub accept: Accept,
    /// How long telling the others may take.
    pub tell_within: Duration,
    /// After how long without its own heartbeat a gateway is stale.
    pub stale_after: Duration,
    /// How long after its start a gateway may take to hear what it missed.
    pub catch_up_within: Duration,
    /// How often people go through their IdP again while it is stale.
    pub recheck_every: Duration,
    /// How long nobody may fetch the events of a stream after the gateway that did is gone.
    pub lead_for: Duration,
    /// How long letters are kept.
    pub keep_for: Duration,
}

/// A fact that stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it says.
    pub fact: Fact,
    /// Where it stands.
    pub at: Position,
}

/// What a gateway does with what it hears.
#[async_trait]
pub trait Hearer: Send + Sync {
    /// Puts what other gateways know in force, then writes it down together with `place`. An error means that it is in
    /// force but not on disk.
    async fn hear(&self, facts: Vec<Heard>, place: Place) -> Result<(), crate::ledger::AppendError>;

    /// What this gateway told stands there, in the log of that epoch.
    fn stands(&self, _told: Vec<Heard>, _epoch: &str) {}

    /// What this gateway counted of outcomes, where that has changed since the last call.
    fn tallies(&self) -> Vec<Tally> {
        Vec::new()
    }

    /// These are to be among the next tallies again: they could not be told.
    fn not_told(&self, _tallies: Vec<Tally>) {}

    /// Another gateway reports: perhaps what it counted, in any case how far it is.
    fn reported(&self, _from: GatewayId, _name: &str, _tallies: Vec<Tally>) {}

    /// What these would meet here.
    fn would_meet(&self, _revocations: &[Revocation]) -> Survey {
        Survey::default()
    }

    /// Another gateway saw `sign` of that stream then.
    fn sign(&self, stream: &str, sign: Sign, at: Timestamp);

    /// The gateway is as fresh as `to` from now on. Called again with [`Fresh::Stale`] twice whenever it is time to act on
    /// a staleness that lasts.
    async fn fresh(&self, from: Fresh, to: Fresh);
}

/// The gateway's place in its fleet. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Fleet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    me: GatewayId,
    settings: Settings,
    engine: Arc<dyn Engine>,
    ring: Arc<KeyRing>,
    ledger: Ledger,
    audit: Audit,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// Since when this gateway runs: the clock of its freshness.
    watch: Stopwatch,
    state: Mutex<State>,
    telling: mpsc::Sender<Telling>,
    /// Signs on their way.
    saying: mpsc::Sender<Letter>,
    to_say: Mutex<Option<mpsc::Receiver<Letter>>>,
    /// Taken once, by whoever runs the fleet.
    waiting: Mutex<Option<mpsc::Receiver<Telling>>>,
    /// The ledger has records to tell that nobody waits for.
    untold: Notify,
    /// The log may be another one: look at it.
    doubt: Notify,
    /// The other gateways. No other lock is taken under this one.
    peers: Mutex<Peers>,
    /// The others should hear of this gateway soon.
    to_report: Notify,
    /// What is to be answered.
    asks: (mpsc::Sender<speaker::Question>, Mutex<Option<mpsc::Receiver<speaker::Question>>>),
    /// Who waits for answers, by the question.
    asking: Mutex<HashMap<u64, mpsc::Sender<(GatewayId, Answer)>>>,
    /// By chance: another life of this gateway has another one.
    life: u64,
}

/// What a fleet is made of.
#[derive(Debug)]
pub struct Parts {
    /// What carries letters.
    pub engine: Arc<dyn Engine>,
    /// Seals them.
    pub ring: Arc<KeyRing>,
    /// What this gateway knows.
    pub ledger: Ledger,
    /// Who it is there.
    pub membership: Membership,
    /// Where changes are noted.
    pub audit: Audit,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
}

/// Signals that may wait to be told at once. The sender of one more is told to send it again.
const QUEUE: usize = 4_096;

impl Fleet {
    /// A gateway that has not heard the others yet.
    pub fn new(settings: Settings, parts: Parts) -> Self {
        let Parts { engine, ring, ledger, membership, audit, metrics, clock } = parts;
        let (telling, waiting) = mpsc::channel(QUEUE);
        let (saying, to_say) = mpsc::channel(sign::WAITING);
        let state = State::new(&settings, membership.place);
        let (asks, to_answer) = mpsc::channel(speaker::QUESTIONS);
        let life = speaker::by_chance().unwrap_or_default();
        Self(Arc::new(Inner {
            me: GatewayId(membership.me),
            settings,
            engine,
            ring,
            ledger,
            audit,
            metrics,
            clock,
            watch: Stopwatch::start(),
            state: Mutex::new(state),
            telling,
            saying,
            to_say: Mutex::new(Some(to_say)),
            waiting: Mutex::new(Some(waiting)),
            untold: Notify::new(),
            doubt: Notify::new(),
            peers: Mutex::default(),
            to_report: Notify::new(),
            asks: (asks, Mutex::new(Some(to_answer))),
            asking: Mutex::default(),
            life,
        }))
    }

    /// Who this gateway is.
    pub fn me(&self) -> GatewayId {
        self.0.me
    }

    /// How it lives in the fleet.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.0.state().standing(self.0.watch.elapsed())
    }

    /// Whether it knows what the others know.
    pub fn fresh(&self) -> Fresh {
        self.0.state().fresh(self.0.watch.elapsed())
    }

    /// As how fresh it acts: what follows from its freshness follows a moment later.
    pub fn acts_as(&self) -> Fresh {
        self.0.state().acts_as
    }

    /// Lives in the fleet until the future is dropped: tells, hears, sends heartbeats.
    pub async fn run(&self, hearer: &dyn Hearer) {
        let (waiting, to_say) = (lock(&self.0.waiting).take(), lock(&self.0.to_say).take());
        let Some((waiting, to_say)) = waiting.zip(to_say) else { return };
        tokio::join!(
            self.0.tell_all(waiting),
            self.0.say_all(to_say),
            self.0.follow_on(hearer),
            self.0.beat_on(),
            self.0.watch_over(hearer),
            self.0.keep_house(),
            self.0.report_on(hearer),
            self.0.answer_on(hearer),
        );
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
