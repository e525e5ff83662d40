//! Whom a revocation meets, in numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::exchanges::Kind;
use crate::fleet::{InSight, Sight};

/// Who had something in flight. Sessions are stored nowhere: who is signed in and had nothing in flight is not in these
/// counts, and is met all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Met {
    /// People, each once.
    pub people: usize,
    /// Sessions, each once.
    pub sessions: usize,
    /// Requests and streams.
    pub exchanges: usize,
    /// The same in each app, by name; a session that is used in two counts in both.
    pub apps: Vec<MetInApp>,
}

/// Who had something in flight in one app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetInApp {
    /// The app.
    pub app: String,
    /// People, each once.
    pub people: usize,
    /// Sessions, each once.
    pub sessions: usize,
    /// Requests and streams, by kind; a kind that there is none of is not there.
    pub exchanges: BTreeMap<String, usize>,
}

/// Who had something in flight at one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetAtGateway {
    /// The gateway.
    pub gateway: String,
    /// Who.
    pub met: Met,
}

impl From<&Sight> for Met {
    /// What gateways see together.
    fn from(sight: &Sight) -> Self {
        let in_app = |(app, seen): (&String, &InSight)| MetInApp {
            app: app.clone(),
            people: seen.people.all,
            sessions: seen.sessions.all,
            exchanges: Kind::ALL
                .into_iter()
                .map(|kind| (kind.word().to_owned(), seen.of(kind)))
                .filter(|(_, number)| *number > 0)
                .collect(),
        };
        Self {
            people: sight.total.people.all,
            sessions: sight.total.sessions.all,
            exchanges: Kind::ALL.into_iter().map(|kind| sight.total.of(kind)).sum(),
            apps: sight.apps.iter().map(in_app).collect(),
        }
    }
}
