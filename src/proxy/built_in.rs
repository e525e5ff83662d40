//! Apps that run in the gateway itself: what was let in to one is answered here instead of being forwarded.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session as Exchange;
use pingora::{Error, ErrorType, Result};

use super::exchange::current;
use super::{Ctx, Proxy, wire};
use crate::apps::CanonicalPath;
use crate::exchanges::Kind;
use crate::session::Session;

/// An app that runs in the gateway itself.
#[async_trait]
pub(crate) trait BuiltIn: Send + Sync {
    /// Answers somebody who was let in.
    async fn answer(&self, visit: Visit) -> Reply;

    /// Whether what is asked is done to its end, also where it ends the session that it was asked in.
    fn finishes(&self, method: &Method, path: &CanonicalPath) -> bool;
}

/// A request that was let in.
pub(crate) struct Visit {
    /// What is asked, with its whole body.
    pub(crate) request: Request<Bytes>,
    /// Its path, in the one form that was decided on.
    pub(crate) path: CanonicalPath,
    /// The session that it was let in on: who it is comes from here and from no header.
    pub(crate) session: Session,
}

/// The apps that run here, by name.
pub(crate) type BuiltIns = HashMap<String, Arc<dyn BuiltIn>>;

/// Pieces of an answer, as they come.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// What is answered.
pub(crate) enum Reply {
    /// All of it.
    Whole(Response<Bytes>),
    /// Server-sent events, for as long as there are any and the session lives.
    Events(Pieces),
}

impl Proxy {
    /// Answers a request that has its permit, if its app runs here; false if it is to be forwarded.
    pub(super) async fn within(&self, exchange: &mut Exchange, ctx: &mut Ctx) -> Result<bool> {
        let Some(app) = ctx.app.clone().filter(|app| app.built_in.is_some()) else { return Ok(false) };
        let built_in = self.built_ins.get(&app.name);
        let (Some(built_in), Some(forward)) = (built_in, &mut ctx.forward) else {
            return Error::e_explain(ErrorType::HTTPStatus(500), "a request without permit reached a built-in app");
        };
        let head = exchange.req_header();
        let path = CanonicalPath::parse(head.uri.path()).ok();
        // The permit names a person; what they do is done in the session that shows them.
        let (Some(path), Some(session)) = (path, forward.evidence.session().cloned()) else {
            return Error::e_explain(ErrorType::HTTPStatus(403), "a built-in app was asked without a session");
        };
        if built_in.finishes(&head.method, &path)
            && let Some(guard) = ctx.edition.endpoints.without_session(&forward.guard, &current())
        {
            forward.guard = guard;
        }
        let cookies = std::mem::take(&mut forward.cookies);
        let Some(body) = self.small_body(exchange).await? else {
            exchange.set_keepalive(None);
            let answer = ctx.edition.endpoints.body_too_large();
            return wire::answer(exchange, ctx, answer).await.map(|()| true);
        };
        let head = exchange.req_header();
        let mut request = Request::builder().method(head.method.clone()).uri(head.uri.clone());
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&head.headers);
        }
        let request = request
            .body(body)
            .map_err(|_| Error::explain(ErrorType::InvalidHTTPHeader, "a request that cannot be rebuilt"))?;
        match built_in.answer(Visit { request, path, session }).await {
            Reply::Whole(mut answer) => {
                for cookie in cookies {
                    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                        answer.headers_mut().append(header::SET_COOKIE, cookie);
                    }
                }
                wire::answer(exchange, ctx, answer).await?;
            }
            Reply::Events(pieces) => self.events(exchange, ctx, pieces).await?,
        }
        Ok(true)
    }

    /// Sends events until there are no more, nobody listens, the session is over (then this is dropped), or the gateway
    /// stops.
    async fn events(&self, exchange: &mut Exchange, ctx: &mut Ctx, mut pieces: Pieces) -> Result<()> {
        if let Some(forward) = &ctx.forward {
            forward.guard.set_kind(Kind::EventStream);
        }
        let mut head = ResponseHeader::build(StatusCode::OK, Some(4))?;
        head.insert_header(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")?;
        head.insert_header(header::CACHE_CONTROL, "no-store")?;
        head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        match exchange.req_header().version {
            http::Version::HTTP_11 => head.insert_header(header::TRANSFER_ENCODING, "chunked")?,
            http::Version::HTTP_10 => exchange.set_keepalive(None),
            _ => {}
        }
        ctx.answered = Some(StatusCode::OK);
        exchange.write_response_header(Box::new(head), false).await?;
        while let Some(piece) = pieces.next().await {
            exchange.write_response_body(Some(piece), false).await?;
            if self.drain.has_begun() {
                break;
            }
        }
        exchange.write_response_body(None, true).await
    }
}
