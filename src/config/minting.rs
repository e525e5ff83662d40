//! `apps.NAME.derived`: which tokens the app makes, where they stand, and how long they are good.

use std::time::Duration;

use super::reader::{Reader, Why};
use super::values::duration;
use crate::apps::{Field, Minting, Pattern, Place};

/// A month: somebody's phone asks for a login as often as a careful bank does.
const MAX_AGE: Duration = Duration::from_secs(30 * 86_400);

/// What the app's table says of its tokens; `None` where nothing is known of any.
pub(super) fn minting(table: &Reader<'_>) -> Option<Minting> {
    let places = table.tables("derived", place);
    let headers = table.list("derived_headers", header).into_iter().map(|at| at.value).collect();
    let max_age = table.or("derived_max_age", duration, MAX_AGE);
    if !table.has("derived") {
        for key in ["derived_headers", "derived_max_age"] {
            if table.has(key) {
                table.fault(key, "it is about tokens that the app makes; say where in `derived`, or drop it");
            }
        }
        return None;
    }
    if table.is_empty_list("derived") {
        table.fault("derived", "the list is empty: no token would count; drop it or name a place");
    }
    Some(Minting { places, headers, max_age })
}

fn place(table: &Reader<'_>) -> Option<Place> {
    let path = table.require("path", pattern);
    let fields = |key| table.one_or_many(key, field).into_iter().map(|at| at.value).collect::<Vec<_>>();
    let (response, request) = (fields("response"), fields("request"));
    if request.iter().any(|field| matches!(field, Field::Redirect(_))) {
        table.fault("request", "a request has no redirect; write a JSON pointer (`/token`) or a form field (`token`)");
    }
    if !table.has("response") && !table.has("request") {
        table.fault("response", "it is missing; write `response = \"/token\"`, `request = \"refresh_token\"` or both");
    }
    Some(Place { path: path?.value, response, request })
}

fn pattern(text: &str) -> Result<Pattern, Why> {
    let why =
        || Why(format!("`{text}` is no path; write it as apps see it, `/api/login`, with `*` for any one segment"));
    Pattern::parse(text).ok_or_else(why)
}

fn field(text: &str) -> Result<Field, Why> {
    let why =
        "write a JSON pointer (`/access_token`), a form field (`access_token`) or a redirect's parameter (`?code`)";
    Field::parse(text).ok_or_else(|| Why(format!("`{text}` names no place for a token; {why}")))
}

fn header(text: &str) -> Result<String, Why> {
    let name = http::HeaderName::try_from(text).map_err(|_| Why(format!("`{text}` is no header name")))?;
    if [http::header::AUTHORIZATION, http::header::COOKIE].contains(&name) {
        return Err(Why(format!("`{text}` is looked at anyway; drop it")));
    }
    Ok(name.as_str().to_owned())
}
