//! `POST /v1/reload`: the config is read again.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Door, json};
use crate::time::Timestamp;

/// What came of reading the config again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReloadAnswer {
    /// `applied`, `unchanged`, `faulty`, `needs_restart` or `failed`. Only after `applied` another config runs.
    pub result: String,
    /// The config's file.
    pub file: String,
    /// How many configs have run since the start, the one that runs included.
    pub edition: u64,
    /// Since when that one runs: seconds since 1970.
    pub since: Timestamp,
    /// What is different, in the file, from the config that ran.
    pub changes: Vec<ConfigChange>,
    /// Which of that waits for a restart.
    pub needs_restart: Vec<String>,
    /// What is wrong with the file.
    pub faults: Vec<ConfigFault>,
    /// Why it failed, if nothing is wrong with the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Exchanges that were ended, for their app is there no longer.
    pub ended: usize,
}

/// A difference between two configs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigChange {
    /// The key, like `apps.wiki.allow.groups`. Values are not shown.
    pub key: String,
    /// What is different about it.
    pub what: String,
}

/// A mistake in the config's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFault {
    /// The line it stands on, from 1; absent for what is not in the file at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The key; empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub why: String,
}

/// Which config runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigStatus {
    /// The config's file.
    pub file: String,
    /// How many configs have run since the start, this one included.
    pub edition: u64,
    /// Since when this one runs: seconds since 1970.
    pub since: Timestamp,
    /// What came of the last reload, if the file was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<ReloadAnswer>,
    /// Files that the config names and that changed and could not be taken: the key, and why.
    pub stale_files: Vec<ConfigFault>,
}

impl ReloadAnswer {
    fn status(&self) -> StatusCode {
        match self.result.as_str() {
            "applied" | "unchanged" => StatusCode::OK,
            "needs_restart" => StatusCode::CONFLICT,
            "faulty" => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

pub(super) async fn reload(State(door): State<Door>) -> Response {
    let answer = door.gateway.reload().await;
    json(answer.status(), &answer)
}
