//! What runs of somebody, for people who look.

use std::sync::Arc;

use super::{Exchanges, Kind};
use crate::evidence::Imprint;
use crate::identity::{TargetKey, TargetKind};
use crate::time::Timestamp;

/// An exchange of somebody.
#[derive(Clone, Debug)]
pub struct Runs {
    /// In which app.
    pub app: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// When it ends by itself.
    pub ends_at: Option<Timestamp>,
    /// What it runs on.
    pub credentials: Vec<RunsOn>,
}

/// One credential of an exchange.
#[derive(Copy, Clone, Debug)]
pub struct RunsOn {
    /// What tells it from others.
    pub imprint: Imprint,
    /// The session that it grew in.
    pub session: Option<TargetKey>,
    /// When the IdP made the assertion it grew from.
    pub asserted_at: Timestamp,
}

impl Exchanges {
    /// What runs on a credential with one of `keys`, at most so many.
    pub fn of(&self, keys: &[TargetKey], most: usize) -> Vec<Runs> {
        let of = |entry: &Arc<super::Entry>| Runs {
            app: Arc::clone(&entry.exchange.app_name),
            kind: entry.kind(),
            ends_at: entry.exchange.ends_at,
            credentials: entry
                .exchange
                .credentials
                .iter()
                .map(|held| RunsOn {
                    imprint: held.imprint,
                    session: held.targets.iter().find(|(kind, _)| *kind == TargetKind::Gateway).map(|(_, key)| *key),
                    asserted_at: held.asserted_at,
                })
                .collect(),
        };
        self.those(keys, |_| true).iter().filter(|entry| !entry.cut.is_cancelled()).take(most).map(of).collect()
    }
}
