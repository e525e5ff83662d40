//! What one request carries through the hooks.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::LONG_BODY;
use super::edition::Edition;
use super::leaving::Leaving;
use super::minted::Minted;
use crate::apps::App;
use crate::decision::{Client, Permit};
use crate::endpoint::{Derived, Tokens};
use crate::evidence::Evidence;
use crate::exchanges::{Guard, Kind};
use crate::time::Stopwatch;

/// What one request carries through the hooks.
pub(crate) struct Ctx {
    /// The config by which it is served, from its head to its end.
    pub(super) edition: Arc<Edition>,
    pub(super) started: Stopwatch,
    pub(super) client: Option<Client>,
    pub(super) app: Option<Arc<App>>,
    pub(super) forward: Option<Forward>,
    pub(super) body_seen: u64,
    pub(super) body_sent: u64,
    pub(super) answered: Option<StatusCode>,
    /// What is answered instead of what the app said.
    pub(super) instead: Option<Response<Bytes>>,
    /// Counts the request as in flight, to the end of its life.
    pub(super) _in_flight: crate::metrics::InFlight,
}

pub(super) struct Forward {
    pub(super) permit: Permit,
    /// In flight as long as this lives, also when the future of the request is dropped.
    pub(super) guard: Guard,
    /// `Set-Cookie` values that go out with the app's answer.
    pub(super) cookies: Vec<String>,
    /// The app's own cookies.
    pub(super) derived: Box<Derived>,
    /// The app's own tokens.
    pub(super) tokens: Box<Tokens>,
    /// Tokens that are expected in the answer.
    pub(super) minted: Option<Minted>,
    /// What it was let in on.
    pub(super) evidence: Box<Evidence>,
    /// Whether somebody signs out by it.
    pub(super) leaving: Leaving,
}

impl Ctx {
    pub(super) fn app_name(&self) -> &str {
        self.app.as_ref().map_or("", |app| app.name.as_str())
    }

    /// The session ended meanwhile.
    pub(super) fn is_cut(&self) -> bool {
        self.forward.as_ref().is_some_and(|forward| forward.guard.is_cut())
    }

    /// The gateway stops, and has waited long enough.
    pub(super) fn is_left(&self) -> bool {
        self.forward.as_ref().is_some_and(|forward| forward.guard.is_left())
    }

    /// What began as any request turns out to be long.
    pub(super) fn is_long(&self, bytes: u64, kind: Kind) {
        if let Some(forward) = self.forward.as_ref().filter(|f| bytes > LONG_BODY && f.guard.kind() == Kind::Request) {
            forward.guard.set_kind(kind);
        }
    }
}
