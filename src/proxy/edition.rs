//! One reading of the config, as requests are served by it.
//!
//! An edition never changes: a reload makes a new one and puts it in the place of the old, whole. A request takes the one
//! that is there when its head has come and keeps it to its end: it is routed, judged, forwarded and answered by the same
//! config, whatever happens meanwhile. What must outlive any config (the revocation set, what is in flight, the ledger, the
//! learned names of cookies) is no part of an edition; each holds handles to the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{Cidr, Pool};
use crate::endpoint::Endpoints;

/// One reading of the config.
pub(crate) struct Edition {
    pub(crate) endpoints: Arc<Endpoints>,
    /// The servers of each app, by its name.
    pub(crate) pools: HashMap<String, Pool>,
    pub(crate) bounds: Bounds,
}

/// What is asked of requests and of who sends them.
pub(crate) struct Bounds {
    /// Bytes of a request's header block.
    pub(crate) max_header_bytes: usize,
    /// How long a client may neither send nor take a byte that it owes.
    pub(crate) client_timeout: Duration,
    /// Peers whose `X-Forwarded-For` is passed on.
    pub(crate) trusted_proxies: Vec<Cidr>,
}

/// The edition in force. Clones are handles to the same.
#[derive(Clone)]
pub(crate) struct Current(Arc<ArcSwap<Edition>>);

impl Current {
    pub(crate) fn new(first: Edition) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(first)))
    }

    /// The edition in force now; it stays whole for as long as somebody has it.
    pub(crate) fn load(&self) -> Arc<Edition> {
        self.0.load_full()
    }

    /// From now on `next` is in force.
    pub(crate) fn swap(&self, next: Edition) {
        self.0.store(Arc::new(next));
    }
}
