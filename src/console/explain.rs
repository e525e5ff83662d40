//! Why a request gets what it gets, as the running gateway would decide.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::json;

use super::answer::{json, problem};
use crate::endpoint::Parts;
use crate::explain::{Asked, Known, explain};

/// Groups that a question may name.
const GROUPS: usize = 50;

/// Answers `?url=…&method=…&email=…&group=…`.
pub(super) fn answer(parts: &Parts, query: &str) -> Response<Bytes> {
    let (mut url, mut method, mut email, mut groups) = (String::new(), Method::GET, None, Vec::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "url" => url = value.trim().to_owned(),
            "email" if !value.is_empty() => email = Some(value.trim().to_lowercase()),
            "group" if !value.is_empty() && groups.len() < GROUPS => groups.push(value.trim().to_owned()),
            "method" => match Method::from_bytes(value.to_ascii_uppercase().as_bytes()) {
                Ok(known) => method = known,
                Err(_) => return problem(StatusCode::BAD_REQUEST, &format!("`{value}` is no method")),
            },
            _ => {}
        }
    }
    let streams = |idp: &str| {
        let issuer = parts.idps.get(idp).map(|idp| idp.issuer());
        let speaks = |stream: &&std::sync::Arc<crate::stream::Stream>| {
            stream.settings().speaks_for.iter().any(|spoken| Some(&spoken.issuer) == issuer)
        };
        let mut names: Vec<_> =
            parts.streams.values().filter(speaks).map(|stream| stream.settings().name.clone()).collect();
        names.sort();
        names
    };
    let known = Known { apps: &parts.apps, ring: &parts.ring, session: &parts.session, streams: &streams };
    let asked = Asked { method: &method, url: &url, groups: &groups, email: email.as_deref(), claims: &[] };
    match explain(&known, &asked) {
        Some(explained) => json(StatusCode::OK, &json!({ "rows": explained.rows })),
        None => problem(StatusCode::BAD_REQUEST, &format!("`{url}` is no URL; write `https://host/path`")),
    }
}
