//! Whom a revocation meets, in numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::exchanges::{Kind, Seen, Survey};

/// Who had something in flight. Sessions are stored nowhere: who is signed in and had nothing in flight is not in these
/// counts, and is met all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Met {
    /// People, each once.
    pub people: usize,
    /// Sessions of this gateway, each once.
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
    /// Sessions of this gateway, each once.
    pub sessions: usize,
    /// Requests and streams, by kind; a kind that there is none of is not there.
    pub exchanges: BTreeMap<String, usize>,
}

impl From<&Survey> for Met {
    fn from(survey: &Survey) -> Self {
        let in_app = |(app, seen): (&std::sync::Arc<str>, &Seen)| MetInApp {
            app: app.to_string(),
            people: seen.people.len(),
            sessions: seen.sessions.len(),
            exchanges: Kind::ALL
                .into_iter()
                .map(|kind| (kind.word().to_owned(), seen.exchanges.of(kind)))
                .filter(|(_, number)| *number > 0)
                .collect(),
        };
        let total = survey.total();
        Self {
            people: total.people.len(),
            sessions: total.sessions.len(),
            exchanges: total.exchanges.total(),
            apps: survey.apps.iter().map(in_app).collect(),
        }
    }
}
