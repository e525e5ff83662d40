//! `idps.NAME.revalidate`: how sessions of an IdP that sends no signal are checked.

use std::time::Duration;

use super::reader::Reader;
use super::values::{one_of, scope, seconds};
use crate::revalidation::{By, Settings};

/// More often than that, and the IdP is asked all the time.
const SHORTEST: Duration = Duration::from_secs(2);
/// Less often than that is not worth the name.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Background checks that begin within any second, unless said otherwise.
const CALLS_PER_SECOND: usize = 20;
/// Sessions that are checked in the background, unless said otherwise.
const MAX_SESSIONS: usize = 100_000;

/// Off unless it is there.
pub(super) fn revalidate(table: &Reader<'_>) -> Option<Settings> {
    if !table.has("revalidate") {
        return None;
    }
    table.section("revalidate", |table| {
        let every = table.require("every", seconds).map(|at| at.value);
        if every.is_some_and(|every| !(SHORTEST..=LONGEST).contains(&every)) {
            table.fault("every", "it must be between `2s` and `24h`");
        }
        let ways = [("refresh", By::Refresh), ("silent", By::Silent), ("introspect", By::Introspect)];
        let by = table.require("by", one_of(&ways, &[])).map(|at| at.value);
        let calls_per_second = table.number("calls_per_second", 1..=1_000).unwrap_or(CALLS_PER_SECOND);
        let max_sessions = table.number("max_sessions", 1..=1_000_000).unwrap_or(MAX_SESSIONS);
        let patience = table.parse("patience", seconds).map(|at| at.value);
        let grace = table.parse("grace", seconds).map(|at| at.value);
        let consent = table.flag("consent", false);
        let scopes = if table.has("scopes") {
            table.list("scopes", scope).into_iter().map(|at| at.value).collect()
        } else {
            vec!["offline_access".to_owned()]
        };
        if by == Some(By::Silent) {
            for key in ["calls_per_second", "max_sessions", "patience", "consent", "scopes"] {
                if table.has(key) {
                    table.fault(key, "it is about checks in the background; drop it, or write `by = \"refresh\"`");
                }
            }
        }
        let (every, by) = (every?, by?);
        if patience.is_some_and(|patience| patience < every) {
            table.fault("patience", "it must not be shorter than `every`");
        }
        Some(Settings {
            every,
            by,
            calls_per_second,
            patience: patience.unwrap_or(every * 3),
            grace: grace.unwrap_or(every),
            max_sessions,
            scopes,
            consent,
        })
    })
}
