//! The answer to a request that ends before the app has given one.

use bytes::Bytes;
use http::{Response, StatusCode};
use pingora::proxy::Session;

use super::Ctx;
use crate::apps::CanonicalPath;
use crate::decision::Client;
use crate::endpoint::Ask;

/// The answer to a request that was cut before the app gave one.
pub(super) fn answer(session: &Session, ctx: &Ctx) -> Option<Response<Bytes>> {
    let endpoints = &ctx.edition.endpoints;
    if ctx.is_left() {
        let client = ctx.client.unwrap_or(Client::Fetch);
        return Some(endpoints.failed(StatusCode::SERVICE_UNAVAILABLE, ctx.app.as_deref(), client));
    }
    let head = session.req_header();
    let path = CanonicalPath::parse(head.uri.path()).ok()?;
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let client = ctx.client?;
    let ask = Ask { headers: &head.headers, method: &head.method, path: &path, client, target, body: None };
    let forward = ctx.forward.as_ref()?;
    Some(endpoints.interrupted(ctx.app.as_deref()?, &ask, &forward.evidence, &forward.guard))
}
