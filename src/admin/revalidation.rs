//! How sessions of an IdP that sends no signal are checked, as `portcullis status` shows it.

use serde::{Deserialize, Serialize};

use crate::checks::State;
use crate::revalidation::Settings;
use crate::time::Timestamp;

/// How the checks of one IdP's sessions go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevalidationStatus {
    /// How it is asked.
    pub by: String,
    /// How often, in seconds.
    pub every: u64,
    /// Sessions that are checked in the background.
    pub sessions: usize,
    /// Of these, the ones that the IdP did not speak for in time.
    pub overdue: usize,
    /// Verdicts since the start.
    pub checked: u64,
    /// Of these, refusals.
    pub refused: u64,
    /// When the last verdict came.
    #[serde(default)]
    pub last_verdict_at: Option<Timestamp>,
    /// Why none comes at the moment.
    #[serde(default)]
    pub trouble: Option<String>,
}

impl RevalidationStatus {
    /// What is known of checks of that kind.
    pub fn of(settings: &Settings, state: State) -> Self {
        Self {
            by: settings.by.word().to_owned(),
            every: settings.every.as_secs(),
            sessions: state.live,
            overdue: state.overdue,
            checked: state.checked,
            refused: state.refused,
            last_verdict_at: state.last_verdict_at,
            trouble: state.trouble,
        }
    }

    /// In one line, for people.
    pub fn line(&self) -> String {
        let Self { by, every, sessions, overdue, checked, refused, .. } = self;
        if by == crate::revalidation::By::Silent.word() {
            return format!("checked with the browser, every {every} s");
        }
        let last = self.last_verdict_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let trouble = self.trouble.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        format!(
            "checked by {by} every {every} s: {sessions} sessions, {overdue} overdue, {checked} verdicts, {refused} \
             refusals, the last at {last}{trouble}"
        )
    }
}
