//! A value that is fetched from afar and kept: fetched by one caller at a time, seldom, and served stale rather than not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::time::{Clock, Timestamp};

/// Between two fetches, whatever callers want: what strangers send us must not become traffic at somebody else's.
pub(crate) const PAUSE: Duration = Duration::from_secs(30);
/// Between two fetches while there is nothing to serve, and after one whose caller went away.
const SHORT_PAUSE: Duration = Duration::from_secs(2);
/// How long a value is served after its time. Longer, and a key that its owner withdrew would never die.
const STALE_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A fetched value and how long it is good.
#[derive(Debug)]
pub(crate) struct Fetched<T> {
    pub(crate) value: T,
    pub(crate) good_for: Duration,
}

/// The cache of one value. Fetching is left to the caller of each method, so that this can be tested without I/O.
#[derive(Debug)]
pub(crate) struct Cached<T, E> {
    clock: Clock,
    /// What is said while the first fetch has not come to an end.
    nothing_yet: E,
    /// Guards what is known; held for a look or a change, never across a fetch. Taken after `turn`, if both are.
    state: Mutex<State<T, E>>,
    /// Whose turn it is to fetch.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State<T, E> {
    value: Option<Arc<T>>,
    good_until: Timestamp,
    /// No fetch begins before.
    not_before: Timestamp,
    /// What the last fetch that came to an end said, if it failed.
    last_error: Option<E>,
    /// Fetches begun, and fetches that came to an end.
    begun: u64,
    ended: u64,
}

impl<T, E: Clone> Cached<T, E> {
    /// Nothing yet; `nothing_yet` is the error while the first fetch has not come to an end.
    pub(crate) fn new(clock: Clock, nothing_yet: E) -> Self {
        let state = State {
            value: None,
            good_until: Timestamp::ZERO,
            not_before: Timestamp::ZERO,
            last_error: None,
            begun: 0,
            ended: 0,
        };
        Self { clock, nothing_yet, state: Mutex::new(state), turn: tokio::sync::Mutex::default() }
    }

    /// How many fetches have begun.
    pub(crate) fn fetches(&self) -> u64 {
        self.state().begun
    }

    /// The value as far as it is known, with nothing fetched.
    pub(crate) fn known(&self) -> Option<Arc<T>> {
        self.servable(&self.state(), self.clock.now()).ok()
    }

    /// The value: the known one while it is good, else a fetched one, else the known one for a while longer.
    pub(crate) async fn current(&self, fetch: impl Future<Output = Result<Fetched<T>, E>>) -> Result<Arc<T>, E> {
        let (servable, good, ended) = {
            let state = self.state();
            let now = self.clock.now();
            (self.servable(&state, now), now < state.good_until, state.ended)
        };
        // One caller pays for the refresh; the others need not wait as long as there is something to serve.
        if good || (servable.is_ok() && self.is_fetching()) {
            return servable;
        }
        self.fetch_after(ended, fetch).await;
        self.servable(&self.state(), self.clock.now())
    }

    /// The value, fetched again because `seen` did not serve the caller: `Ok` with another value, or with the same if
    /// there is no newer; the error of the last fetch if that failed.
    pub(crate) async fn renewed(
        &self,
        seen: &Arc<T>,
        fetch: impl Future<Output = Result<Fetched<T>, E>>,
    ) -> Result<Arc<T>, E> {
        let ended = {
            let state = self.state();
            if state.value.as_ref().is_some_and(|value| !Arc::ptr_eq(value, seen)) {
                return self.servable(&state, self.clock.now());
            }
            state.ended
        };
        self.fetch_after(ended, fetch).await;
        let state = self.state();
        state.last_error.clone().map_or_else(|| self.servable(&state, self.clock.now()), Err)
    }

    /// Fetches, unless a fetch has come to an end since `ended`, or it is too early for another.
    async fn fetch_after(&self, ended: u64, fetch: impl Future<Output = Result<Fetched<T>, E>>) {
        if self.clock.now() < self.state().not_before && !self.is_fetching() {
            return;
        }
        let _turn = self.turn.lock().await;
        {
            let mut state = self.state();
            let now = self.clock.now();
            if state.ended != ended || now < state.not_before {
                return;
            }
            state.begun += 1;
            // Stands if the caller goes away before the end: then somebody else may try, but not at once.
            state.not_before = now.plus(SHORT_PAUSE);
        }
        let fetched = fetch.await;
        let mut state = self.state();
        let now = self.clock.now();
        state.ended += 1;
        match fetched {
            Ok(Fetched { value, good_for }) => {
                state.value = Some(Arc::new(value));
                state.good_until = now.plus(good_for);
                state.last_error = None;
                state.not_before = now.plus(PAUSE);
            }
            Err(error) => {
                state.last_error = Some(error);
                state.not_before = now.plus(if state.value.is_some() { PAUSE } else { SHORT_PAUSE });
            }
        }
    }

    fn is_fetching(&self) -> bool {
        self.turn.try_lock().is_err()
    }

    fn state(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn servable(&self, state: &State<T, E>, now: Timestamp) -> Result<Arc<T>, E> {
        let still = now < state.good_until.plus(STALE_LIMIT);
        match &state.value {
            Some(value) if still => Ok(Arc::clone(value)),
            Some(_) | None => Err(state.last_error.clone().unwrap_or_else(|| self.nothing_yet.clone())),
        }
    }
}
