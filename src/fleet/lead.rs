//! Who does what only one gateway should do: fetch the events of a stream, ask its transmitter.
//!
//! The engine lends that to one gateway, for a term. A gateway leads for a term after it last *began* to ask with success,
//! by its own monotonic clock, so no two lead at the same time. While the engine is away nobody can tell who leads: then
//! everybody works as if they did. That does no harm: what comes in twice is in force once (law 1), and what cannot be told
//! to the others is not acknowledged. A stream that nobody fetches would be worse.
//!
//! Who leads and cannot do it for a term, while the engine is there, gives it back and leaves it to others for two.

mod candidate;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use self::candidate::Candidate;
use super::sign::{Sign, Throttle};
use super::{Fence, Fleet, message};
use crate::backoff::chance;
use crate::seal::{Purpose, unguessable, unguessable_bits};

/// How often it is looked whether another leads by now.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long giving a lease back may take.
const LAST_CALL: Duration = Duration::from_secs(2);

/// Who leads.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// There is no other gateway.
    Alone,
    /// This one, with what shows it.
    Leader(Fence),
    /// Another.
    Follower,
    /// Nobody can tell, for the engine is away: everybody works as if they led.
    Unled,
}

impl Role {
    /// Whether this gateway does what the leader does.
    pub const fn acts(self) -> bool {
        !matches!(self, Self::Follower)
    }

    /// Whether it does so because nobody else may.
    pub const fn is_sure(self) -> bool {
        matches!(self, Self::Alone | Self::Leader(_))
    }
}

/// Whether this gateway leads what has one name. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub struct Lead(Option<Arc<Among>>);

#[derive(Debug)]
struct Among {
    fleet: Fleet,
    name: String,
    /// A gateway has the lease for so long.
    term: Duration,
    candidate: Mutex<Candidate>,
    role: watch::Sender<Role>,
    throttle: Mutex<Throttle>,
    /// Who said last that they lead: their name, under what, and when that was heard.
    leader: Mutex<Option<(String, u64, Duration)>>,
}

impl Fleet {
    /// The lead of what is called `name` in the whole fleet.
    pub fn lead(&self, name: &str) -> Lead {
        // Half of it is the term, the rest is for noticing that nobody has it any more.
        let term = self.0.settings.lead_for / 2;
        Lead(Some(Arc::new(Among {
            fleet: self.clone(),
            name: name.to_owned(),
            term,
            candidate: Mutex::new(Candidate::new(term, self.0.watch.elapsed())),
            role: watch::Sender::new(Role::Follower),
            throttle: Mutex::default(),
            leader: Mutex::default(),
        })))
    }
}

impl Lead {
    /// The lead of a gateway that is alone.
    pub const fn alone() -> Self {
        Self(None)
    }

    /// Whether there may be other gateways.
    pub const fn is_of_fleet(&self) -> bool {
        self.0.is_some()
    }

    /// Who leads at this moment.
    pub fn role(&self) -> Role {
        self.0.as_ref().map_or(Role::Alone, |among| among.role_now())
    }

    /// Tries to lead, and to go on leading, for as long as the future is driven.
    pub async fn keep(&self) {
        let Some(among) = &self.0 else { return std::future::pending().await };
        among.fleet.0.metrics.leads(&among.name, false);
        tokio::join!(among.ask_on(), among.look_on());
    }

    /// Gives it back, so that another can have it at once. Not taken again.
    pub async fn release(&self) {
        let Some(among) = &self.0 else { return };
        among.candidate().ends();
        among.publish();
        among.give_back_if_wanted().await;
    }

    /// Waits until this gateway does what the leader does.
    pub async fn acts(&self) {
        self.becomes(true).await;
    }

    /// Waits until it does not.
    pub async fn acts_no_more(&self) {
        self.becomes(false).await;
    }

    async fn becomes(&self, acts: bool) {
        let Some(among) = &self.0 else {
            if !acts {
                std::future::pending::<()>().await;
            }
            return;
        };
        // An error means that the sender is gone, and it is ours.
        let _ = among.role.subscribe().wait_for(|role| role.acts() == acts).await;
    }

    /// What this gateway leads went well, or did not.
    pub fn went(&self, well: bool) {
        if let Some(among) = &self.0 {
            among.candidate().went(well, among.fleet.0.watch.elapsed());
        }
    }

    /// Tells the other gateways a sign, unless they were told the like just now.
    pub fn say(&self, sign: Sign) {
        let Some(among) = &self.0 else { return };
        let now = among.fleet.0.watch.elapsed();
        if lock(&among.throttle).lets(&sign, now) {
            among.fleet.say(&among.name, sign);
        }
    }

    /// The name of the gateway that leads, as far as it is known.
    pub fn leader(&self) -> Option<String> {
        let among = self.0.as_ref()?;
        match among.role_now() {
            Role::Leader(_) => Some(among.fleet.settings().name.clone()),
            Role::Follower => {
                let now = among.fleet.0.watch.elapsed();
                let known = lock(&among.leader).clone()?;
                (now.saturating_sub(known.2) < among.fleet.settings().lead_for * 2).then_some(known.0)
            }
            Role::Unled | Role::Alone => None,
        }
    }

    /// Another says that it leads, under that fence. The word of one who did before does not count.
    pub fn heard_of(&self, name: &str, fence: u64) {
        let Some(among) = &self.0 else { return };
        let now = among.fleet.0.watch.elapsed();
        let mut leader = lock(&among.leader);
        let outdated = leader
            .as_ref()
            .is_some_and(|(_, known, at)| fence < *known && now.saturating_sub(*at) < among.fleet.settings().lead_for);
        if !outdated {
            *leader = Some((name.to_owned(), fence, now));
        }
    }

    /// How often it is said who leads.
    pub fn says_every(&self) -> Duration {
        self.0.as_ref().map_or(Duration::MAX, |among| among.term)
    }

    /// The name of this gateway in its fleet.
    pub fn me(&self) -> Option<&str> {
        self.0.as_ref().map(|among| among.fleet.settings().name.as_str())
    }

    /// A text that nobody can guess. Of a fleet, every gateway knows it for one that a gateway made for this lead.
    pub fn mark(&self) -> Option<String> {
        match &self.0 {
            None => unguessable(),
            Some(among) => {
                let bits = unguessable_bits()?.to_be_bytes();
                let sealed = among.fleet.0.ring.seal_bytes(Purpose::Fleet, &among.context(), &bits)?;
                Some(URL_SAFE_NO_PAD.encode(sealed))
            }
        }
    }

    /// Whether a gateway of this fleet made that text.
    pub fn is_mark(&self, text: &str) -> bool {
        let Some(among) = &self.0 else { return false };
        let sealed = URL_SAFE_NO_PAD.decode(text).ok().filter(|sealed| sealed.len() <= message::LONGEST_MARK);
        let opened = sealed.map(|sealed| among.fleet.0.ring.open_bytes(Purpose::Fleet, &among.context(), sealed));
        opened.is_some_and(|opened| opened.is_ok())
    }
}

impl Among {
    fn candidate(&self) -> MutexGuard<'_, Candidate> {
        lock(&self.candidate)
    }

    fn role_now(&self) -> Role {
        self.candidate().role(self.fleet.0.watch.elapsed())
    }

    fn lease(&self) -> String {
        format!("stream-{}", self.name)
    }

    fn context(&self) -> String {
        format!("mark of {}", self.name)
    }

    async fn ask_on(&self) {
        let inner = &self.fleet.0;
        loop {
            self.give_back_if_wanted().await;
            let began = inner.watch.elapsed();
            let pause = self.candidate().next().saturating_sub(began);
            if !pause.is_zero() {
                sleep(pause.min(LOOK_EVERY)).await;
                continue;
            }
            let asked = timeout(self.term, inner.engine.lease(&self.lease(), inner.me, self.term)).await;
            let answer = asked.map_err(drop).and_then(|answer| answer.map_err(drop));
            self.candidate().answered(began, answer, inner.watch.elapsed(), chance());
            self.publish();
        }
    }

    async fn look_on(&self) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            self.publish();
        }
    }

    async fn give_back_if_wanted(&self) {
        if self.candidate().gives_back() {
            let inner = &self.fleet.0;
            // Whoever waits for it has it after the term in any case.
            let _ = timeout(LAST_CALL, inner.engine.release(&self.lease(), inner.me)).await;
        }
    }

    /// Says it when another leads than before.
    fn publish(&self) {
        let role = self.role_now();
        let before = *self.role.borrow();
        if role == before {
            return;
        }
        self.role.send_replace(role);
        self.fleet.0.metrics.leads(&self.name, matches!(role, Role::Leader(_)));
        let stream = &self.name;
        match role {
            Role::Leader(_) if matches!(before, Role::Leader(_)) => {}
            Role::Leader(fence) => tracing::info!(stream, fence = fence.0, "this gateway leads the stream"),
            Role::Follower | Role::Alone => tracing::info!(stream, "this gateway does not lead the stream any more"),
            Role::Unled => tracing::warn!(
                stream,
                "nobody can tell which gateway leads the stream: every one works as if it did until the engine is back"
            ),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
