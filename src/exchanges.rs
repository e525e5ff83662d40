//! What is in flight: every request and stream, with what it takes to end it.
//!
//! A revocation looks at all of them, at a trace of 32 bytes each that stands in the table itself. No index per target
//! would pay that back: each exchange would have to enter itself under every target of the person and leave again, on
//! the hot path.

mod cut;
mod ended;
mod look;
mod survey;
mod trace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;

pub use self::cut::Cut;
pub use self::ended::Ended;
use self::ended::cancel;
pub use self::look::{Runs, RunsOn};
pub use self::survey::{Seen, Survey};
use self::trace::Trace;
use crate::evidence::{Imprint, Sort};
use crate::identity::{AppKey, TargetKey, TargetKind};
use crate::lineage::Lineage;
use crate::revocation::{Credential, RevocationSet, Standing};
use crate::time::Timestamp;

/// What the gateway lets in.
#[derive(Copy, Clone, Debug)]
pub struct Settings {
    /// Exchanges in flight at the most. At the bound nothing more enters; the caller answers 503.
    pub max: usize,
}

impl Default for Settings {
    /// Far above what one machine's sockets allow in practice, and 50 MB of entries.
    fn default() -> Self {
        Self { max: 200_000 }
    }
}

/// What an exchange is, for the counts of what was cut.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A request and its answer.
    Request,
    /// An upgraded connection (RFC 6455).
    WebSocket,
    /// Server-sent events.
    EventStream,
    /// An answer with a long body.
    Download,
    /// A request with a long body.
    Upload,
}

impl Kind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Self; 5] = [Self::Request, Self::WebSocket, Self::EventStream, Self::Download, Self::Upload];

    /// The word for the `kind` label of metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::WebSocket => "websocket",
            Self::EventStream => "sse",
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }

    fn from_code(code: u8) -> Self {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code).unwrap_or(Self::Request)
    }
}

/// One credential that an exchange runs on, kept so that it can be judged again.
#[derive(Clone, Debug)]
pub struct Held {
    /// Every handle of the person behind it, hashed.
    pub targets: Arc<[(TargetKind, TargetKey)]>,
    /// When the IdP made the assertion it grew from.
    pub asserted_at: Timestamp,
    /// When the person last proved who they are; `None` proves nothing.
    pub auth_time: Option<Timestamp>,
    /// What tells it from others.
    pub imprint: Imprint,
}

impl From<Lineage> for Held {
    fn from(lineage: Lineage) -> Self {
        let imprint = Imprint::of_session(Sort::Session, lineage.session.0);
        Self { targets: lineage.targets, asserted_at: lineage.asserted_at, auth_time: lineage.auth_time, imprint }
    }
}

impl Held {
    /// The credential, as it is shown to the set in the app of that key.
    pub fn in_app(&self, app: AppKey) -> Credential<'_> {
        Credential { targets: &self.targets, asserted_at: self.asserted_at, auth_time: self.auth_time, app }
    }
}

/// A request or stream that is about to begin.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Every credential in its evidence: one that is revoked ends it (law 5). None for what needs no sign-in.
    pub credentials: Vec<Held>,
    /// The app, as the set knows it.
    pub app: AppKey,
    /// The app, as people know it.
    pub app_name: Arc<str>,
    /// What it is, as far as its beginning tells.
    pub kind: Kind,
    /// When the first of its credentials reaches its end by itself; it does not go on beyond that. `None` for what needs
    /// no sign-in. A limit for idle sessions is no such end: a stream that lives is use.
    pub ends_at: Option<Timestamp>,
}

impl Exchange {
    /// How all credentials together stand.
    fn judge(&self, set: &RevocationSet) -> Standing {
        self.credentials.iter().fold(Standing::default(), |all, held| all.and(set.judge(&held.in_app(self.app))))
    }

    /// True if any credential has one of `keys`, in this app or in all.
    fn shares(&self, keys: &[TargetKey]) -> bool {
        let mut own = self.credentials.iter().flat_map(|held| held.targets.iter());
        own.any(|(_, key)| keys.iter().any(|k| k == key || *k == key.in_app(self.app)))
    }
}

/// The gateway has as many exchanges in flight as it may.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many exchanges in flight")]
pub struct Full;

/// How many exchanges of each kind.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts([usize; Kind::ALL.len()]);

impl Counts {
    /// Of one kind.
    pub fn of(&self, kind: Kind) -> usize {
        self.0.get(kind as usize).copied().unwrap_or_default()
    }

    /// Of all kinds.
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }

    /// Both counts together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
        self
    }

    fn add(&mut self, kind: Kind) {
        if let Some(count) = self.0.get_mut(kind as usize) {
            *count += 1;
        }
    }
}

#[derive(Debug)]
struct Entry {
    exchange: Exchange,
    /// The code of a [`Kind`].
    kind: AtomicU8,
    cut: Cut,
}

impl Entry {
    fn kind(&self) -> Kind {
        Kind::from_code(self.kind.load(Ordering::Relaxed))
    }
}

/// An exchange in the table.
#[derive(Debug)]
struct Slot {
    /// Of every key of every credential, in all apps and in this one.
    trace: Trace,
    /// The exchange's own, where the walk that looks for it every second finds it without a jump through memory.
    ends_at: Option<Timestamp>,
    entry: Arc<Entry>,
}

#[derive(Debug)]
struct Shared {
    entries: DashMap<u64, Slot>,
    next: AtomicU64,
    /// Guards that exist. INVARIANT: never above `max` for longer than one call of `enter`.
    entered: AtomicUsize,
    max: usize,
}

/// All exchanges in flight. Clones are handles to the same ones.
#[derive(Clone, Debug)]
pub struct Exchanges(Arc<Shared>);

impl Exchanges {
    /// None in flight.
    pub fn new(settings: &Settings) -> Self {
        Self(Arc::new(Shared {
            entries: DashMap::new(),
            next: AtomicU64::new(0),
            entered: AtomicUsize::new(0),
            max: settings.max,
        }))
    }

    /// Enters `exchange`, to be ended through `cut`, until the guard is dropped. Law 3: enter first, judge then.
    pub fn enter(&self, exchange: Exchange, cut: &Cut) -> Result<Guard, Full> {
        if self.0.entered.fetch_add(1, Ordering::Relaxed) >= self.0.max {
            self.0.entered.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let kind = AtomicU8::new(exchange.kind as u8);
        let trace = Trace::of(&exchange);
        let ends_at = exchange.ends_at;
        let entry = Arc::new(Entry { exchange, kind, cut: cut.clone() });
        self.0.entries.insert(id, Slot { trace, ends_at, entry: Arc::clone(&entry) });
        Ok(Guard { id, entry, exchanges: self.clone() })
    }

    /// Ends every exchange that has one of `keys` and is not clear in `set`, and counts those it ended.
    ///
    /// `keys` are those of the revocation just inserted ([`crate::revocation::rules`]); everybody else was judged by
    /// the same set already, when they entered.
    pub fn cut_covered(&self, keys: &[TargetKey], set: &RevocationSet) -> Counts {
        self.end_covered(keys, set).counts()
    }

    /// The same, and says which they were.
    pub fn end_covered(&self, keys: &[TargetKey], set: &RevocationSet) -> Ended {
        cancel(self.those(keys, |exchange| !exchange.judge(set).is_clear()))
    }

    /// Ends every exchange whose credentials reached their end by `now`, and counts those it ended.
    pub fn cut_over(&self, now: Timestamp) -> Counts {
        let over = self.0.entries.iter().filter(|slot| slot.ends_at.is_some_and(|end| end <= now));
        cancel(over.map(|slot| Arc::clone(&slot.entry)).collect()).counts()
    }

    /// What [`Exchanges::cut_covered`] would end, with nothing ended.
    pub fn survey_covered(&self, keys: &[TargetKey], set: &RevocationSet) -> Survey {
        self.survey(keys, |exchange| !exchange.judge(set).is_clear())
    }

    /// Ends every exchange of `app` for which somebody had to sign in, and counts those it ended.
    pub fn cut_in(&self, app: AppKey) -> Counts {
        let covered = |entry: &Entry| entry.exchange.app == app && !entry.exchange.credentials.is_empty();
        let all = self.0.entries.iter().filter(|slot| covered(&slot.entry));
        cancel(all.map(|slot| Arc::clone(&slot.entry)).collect()).counts()
    }

    /// Ends every exchange because the gateway stops, and counts those it ended.
    pub fn leave_all(&self) -> Counts {
        let mut counts = Counts::default();
        let all: Vec<_> = self.0.entries.iter().map(|slot| Arc::clone(&slot.entry)).collect();
        for entry in all.iter().filter(|entry| entry.cut.leave()) {
            counts.add(entry.kind());
        }
        counts
    }

    /// Whether any exchange has that key.
    pub fn runs_on(&self, key: TargetKey) -> bool {
        let sought = Trace::of_key(key);
        let mut slots = self.0.entries.iter();
        slots.any(|slot| slot.trace.contains(&sought) && slot.entry.exchange.shares(&[key]))
    }

    fn survey(&self, keys: &[TargetKey], wanted: impl Fn(&Exchange) -> bool) -> Survey {
        let mut survey = Survey::default();
        for entry in self.those(keys, wanted).iter().filter(|entry| !entry.cut.is_cancelled()) {
            survey.add(entry);
        }
        survey
    }

    /// Those who have one of `keys` and are `wanted`.
    fn those(&self, keys: &[TargetKey], wanted: impl Fn(&Exchange) -> bool) -> Vec<Arc<Entry>> {
        let sought: Vec<_> = keys.iter().map(|key| Trace::of_key(*key)).collect();
        // The walk locks every shard, empty ones too. That is what orders it after each `enter` that it does not see.
        self.0
            .entries
            .iter()
            .filter(|slot| sought.iter().any(|trace| slot.trace.contains(trace)))
            .filter(|slot| slot.entry.exchange.shares(keys) && wanted(&slot.entry.exchange))
            .map(|slot| Arc::clone(&slot.entry))
            .collect()
    }

    /// How many of each kind are in flight.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.0.entries.iter().for_each(|slot| counts.add(slot.entry.kind()));
        counts
    }

    /// Exchanges in flight.
    pub fn len(&self) -> usize {
        self.0.entered.load(Ordering::Relaxed)
    }

    /// True if nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One exchange is in flight for as long as this exists.
#[derive(Debug)]
#[must_use = "an exchange whose guard is dropped is no longer cut by any revocation"]
pub struct Guard {
    id: u64,
    entry: Arc<Entry>,
    exchanges: Exchanges,
}

impl Guard {
    /// Says what the exchange turned out to be.
    pub fn set_kind(&self, kind: Kind) {
        self.entry.kind.store(kind as u8, Ordering::Relaxed);
    }

    /// What the exchange is.
    pub fn kind(&self) -> Kind {
        self.entry.kind()
    }

    /// True once it is to end.
    pub fn is_cut(&self) -> bool {
        self.entry.cut.is_cancelled()
    }

    /// True if it is to end because the gateway stops.
    pub fn is_left(&self) -> bool {
        self.entry.cut.is_left()
    }

    /// What entered.
    pub fn exchange(&self) -> &Exchange {
        &self.entry.exchange
    }

    /// How the exchange stands in `set` now.
    pub fn judge(&self, set: &RevocationSet) -> Standing {
        self.entry.exchange.judge(set)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.exchanges.0.entries.remove(&self.id);
        self.exchanges.0.entered.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(user: u128) -> Exchange {
        let held = Held {
            targets: Arc::new([(TargetKind::User, TargetKey(user))]),
            asserted_at: Timestamp::from_secs(1),
            auth_time: None,
            imprint: Imprint::default(),
        };
        Exchange {
            credentials: vec![held],
            app: AppKey::of("wiki"),
            app_name: "wiki".into(),
            kind: Kind::Request,
            ends_at: None,
        }
    }

    #[test]
    fn leaving_scope_is_leaving() {
        let exchanges = Exchanges::new(&Settings::default());
        let guard = exchanges.enter(exchange(1), &Cut::new()).expect("room");
        assert_eq!(exchanges.len(), 1);
        drop(guard);
        assert!(exchanges.is_empty());
        assert!(exchanges.0.entries.is_empty());
    }

    #[test]
    fn at_the_bound_nothing_enters_until_something_leaves() {
        let exchanges = Exchanges::new(&Settings { max: 2 });
        let first = exchanges.enter(exchange(1), &Cut::new()).expect("room");
        let _second = exchanges.enter(exchange(2), &Cut::new()).expect("room");
        assert_eq!(exchanges.enter(exchange(3), &Cut::new()).map(|_| ()), Err(Full));
        assert_eq!(exchanges.len(), 2, "a refusal takes no room");
        drop(first);
        assert!(exchanges.enter(exchange(3), &Cut::new()).is_ok());
    }

    #[test]
    fn an_exchange_goes_on_to_the_end_of_its_credentials_and_not_beyond() {
        let exchanges = Exchanges::new(&Settings::default());
        let end = Timestamp::from_secs(100);
        let (ends, never) = (Cut::new(), Cut::new());
        let ending = Exchange { kind: Kind::WebSocket, ends_at: Some(end), ..exchange(1) };
        let _ends = exchanges.enter(ending, &ends).expect("room");
        let _never = exchanges.enter(exchange(1), &never).expect("room");
        assert_eq!(exchanges.cut_over(Timestamp::from_secs(99)).total(), 0);
        assert!(!ends.is_cancelled());
        assert_eq!(exchanges.cut_over(end).of(Kind::WebSocket), 1);
        assert!(ends.is_cancelled() && !never.is_cancelled());
        assert_eq!(exchanges.cut_over(end).total(), 0, "what is over is counted once");
    }

    #[test]
    fn a_gateway_that_stops_ends_them_all_and_says_that_nothing_is_wrong_with_them() {
        let exchanges = Exchanges::new(&Settings::default());
        let (revoked, running) = (Cut::new(), Cut::new());
        let _revoked = exchanges.enter(exchange(1), &revoked).expect("room");
        let websocket = Exchange { kind: Kind::WebSocket, ..exchange(2) };
        let guard = exchanges.enter(websocket, &running).expect("room");
        assert!(revoked.cancel());
        assert_eq!(exchanges.leave_all().of(Kind::WebSocket), 1);
        assert!(guard.is_cut() && guard.is_left());
        assert!(!revoked.is_left(), "what was revoked stays so");
        assert!(!running.cancel(), "it is over already");
        assert_eq!(exchanges.leave_all().total(), 0, "what is over is counted once");
    }

    #[test]
    fn an_exchange_may_turn_out_to_be_something_else() {
        let exchanges = Exchanges::new(&Settings::default());
        let guard = exchanges.enter(exchange(1), &Cut::new()).expect("room");
        for kind in Kind::ALL {
            guard.set_kind(kind);
            assert_eq!(guard.kind(), kind);
        }
    }

    #[tokio::test]
    async fn a_cut_wakes_who_waited_before_and_who_asks_later() {
        let cut = Cut::new();
        let mut early = std::pin::pin!(cut.cancelled());
        assert!(futures_util::poll!(early.as_mut()).is_pending());
        assert!(cut.clone().cancel());
        assert!(futures_util::poll!(early.as_mut()).is_ready());
        cut.cancelled().await;
        assert!(cut.is_cancelled());
        assert!(!cut.cancel(), "only the first call ends it");
    }

    #[test]
    fn no_wake_up_is_lost_between_threads() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("runtime");
        for _ in 0..2_000 {
            let cut = Cut::new();
            let waiter = runtime.spawn({
                let cut = cut.clone();
                async move { cut.cancelled().await }
            });
            cut.cancel();
            runtime.block_on(waiter).expect("the waiter wakes up");
        }
    }
}
