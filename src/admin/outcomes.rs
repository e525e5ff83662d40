//! What revocations did, for operators and their tools.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use super::{Door, json, problem};
use crate::time::Timestamp;

/// Outcomes in one answer, at the most.
const MOST: usize = 1_000;
/// Outcomes in one answer, if nothing else is asked for.
const USUAL: usize = 100;

/// Which outcomes are asked for: `GET /v1/outcomes?since=…&all=true&limit=…`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct OutcomesAsked {
    /// Of revocations that arrived at this moment or later: seconds since 1970.
    pub since: Timestamp,
    /// Also of people's own sign-outs.
    pub all: bool,
    /// At the most so many.
    pub limit: usize,
}

impl OutcomesAsked {
    /// Reads a query; says what is wrong with it.
    pub(crate) fn read(query: &str) -> Result<Self, String> {
        let mut asked = Self { since: Timestamp::ZERO, all: false, limit: USUAL };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let wrong = |must: &str| format!("`{name}` must be {must}");
            match &*name {
                "since" => {
                    let secs = value.parse().map_err(|_| wrong("a moment in seconds since 1970"))?;
                    asked.since = Timestamp::from_secs(secs);
                }
                "all" => asked.all = value.parse().map_err(|_| wrong("`true` or `false`"))?,
                "limit" => {
                    let limit: usize = value.parse().map_err(|_| wrong("a number"))?;
                    asked.limit = limit.clamp(1, MOST);
                }
                _ => return Err(format!("there is no `{name}` to ask by; there are `since`, `all` and `limit`")),
            }
        }
        Ok(asked)
    }
}

pub(super) async fn outcomes(State(door): State<Door>, RawQuery(query): RawQuery) -> Response {
    match OutcomesAsked::read(query.as_deref().unwrap_or_default()) {
        Ok(asked) => json(StatusCode::OK, &door.gateway.outcomes(asked).await),
        Err(why) => problem(StatusCode::BAD_REQUEST, &why),
    }
}

pub(super) async fn outcome(State(door): State<Door>, Path(id): Path<String>) -> Response {
    match door.gateway.outcome(&id).await {
        Some(outcome) => json(StatusCode::OK, &outcome),
        None => problem(StatusCode::NOT_FOUND, "no outcome of that id is remembered, or several begin so"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_strictly() {
        let asked = |since, all, limit| Ok(OutcomesAsked { since: Timestamp::from_secs(since), all, limit });
        for (query, expected) in [
            ("", asked(0, false, 100)),
            ("since=7&all=true&limit=5", asked(7, true, 5)),
            ("limit=0", asked(0, false, 1)),
            ("limit=99999999", asked(0, false, 1_000)),
            ("since=1h", Err("`since` must be a moment in seconds since 1970".to_owned())),
            ("all=yes", Err("`all` must be `true` or `false`".to_owned())),
            ("id=7", Err("there is no `id` to ask by; there are `since`, `all` and `limit`".to_owned())),
        ] {
            assert_eq!(OutcomesAsked::read(query), expected, "`{query}`");
        }
    }
}
