//! The request path on pingora. Each hook translates and calls; nothing is decided here.

mod built_in;
mod cidr;
mod ctx;
mod edition;
mod exchange;
mod frames;
mod headers;
mod interrupted;
mod kind;
mod leaving;
mod line;
mod minted;
mod screen;
mod upstream;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

pub(crate) use self::built_in::{BuiltIn, BuiltIns, Pieces, Reply, Visit};
pub use self::cidr::{Cidr, InvalidCidr};
use self::ctx::{Ctx, Forward};
pub(crate) use self::edition::{Bounds, Current, Edition};
pub(crate) use self::exchange::Cuttable;
use self::exchange::arrive;
#[doc(hidden)]
pub use self::frames::passes_alike;
use self::headers::Peer;
use self::kind::{LONG_BODY, kind};
use self::leaving::Leaving;
use self::line::Line;
pub(crate) use self::line::{Lines, Patience};
use self::minted::Minted;
use self::screen::{Screened, screen};
pub(crate) use self::upstream::{Balancer, Pool};
use crate::apps::{CanonicalPath, Field};
use crate::decision::Client;
use crate::drain::Drain;
use crate::endpoint::{self, Admission, Ask, Endpoints};
use crate::exchanges::Kind;
use crate::time::Stopwatch;

/// The proxy: pingora's hooks over our decisions.
pub(crate) struct Proxy {
    current: Current,
    /// Clients that are slow to ask.
    patience: Patience,
    /// Whether the gateway stops.
    drain: Drain,
    built_ins: BuiltIns,
}

impl Proxy {
    pub(crate) const fn new(current: Current, patience: Patience, drain: Drain, built_ins: BuiltIns) -> Self {
        Self { current, patience, drain, built_ins }
    }

    /// A gateway that stops asks its clients not to stay (`Connection: close`).
    fn stays_or_goes(&self, session: &mut Session) {
        if self.drain.has_begun() {
            session.set_keepalive(None);
        }
    }

    /// Writes an answer of ours, in the words of whoever asked.
    async fn answer(&self, session: &mut Session, ctx: &mut Ctx, response: Response<Bytes>) -> Result<()> {
        let response = ctx.edition.endpoints.dressed(response, &session.req_header().headers);
        wire::answer(session, ctx, response).await
    }

    fn peer(session: &Session, bounds: &Bounds) -> Peer {
        let address = session.client_addr().and_then(|a| a.as_inet()).map(|a| a.ip().to_canonical());
        let trusted = address.is_some_and(|a| bounds.trusted_proxies.iter().any(|range| range.contains(a)));
        Peer { address, trusted }
    }

    /// Decides on one request: a permit in `ctx`, or the answer.
    async fn admit(&self, session: &mut Session, ctx: &mut Ctx) -> Result<Option<Response<Bytes>>> {
        let edition = Arc::clone(&ctx.edition);
        let endpoints = &edition.endpoints;
        let request = session.req_header();
        if endpoint::asks_whether_ready(request.raw_path()) {
            arrive();
            return Ok(Some(endpoints.readiness(!self.drain.has_begun())));
        }
        if endpoint::asks_for_verdict(request.raw_path()) {
            arrive();
            // Whoever asks takes 2xx for a yes, and a failure towards gRPC has status 200.
            ctx.client = Some(Client::Fetch);
            let trusted = Self::peer(session, &edition.bounds).trusted;
            return Ok(Some(endpoints.verdict(request, request.raw_path(), trusted).await));
        }
        let screened = match screen(request, request.raw_path(), edition.bounds.max_header_bytes) {
            Ok(screened) => screened,
            Err(why) => return Ok(Some(endpoints.unclear(why.status(), why.word(), &why.sentence(), request))),
        };
        let Screened { host, path, client, length } = screened;
        ctx.client = Some(client);
        if endpoint::owns(&path) {
            return self.serve(session, endpoints, host, path).await.map(Some);
        }
        let Some(app) = endpoints.apps().find(&host, &path).cloned() else {
            return Ok(Some(endpoints.unknown_host(&host, client)));
        };
        ctx.app = Some(app.clone());
        let target = match session.req_header().uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.as_str().to_owned(),
        };
        let cut = arrive();
        let body = if Endpoints::takes_tokens_in_body(&app, &path) {
            // It is read before anything is decided, and still goes to the app.
            session.enable_retry_buffering();
            let Some(body) = self.small_body(session).await? else {
                session.set_keepalive(None);
                return Ok(Some(endpoints.body_too_large()));
            };
            Some(body)
        } else {
            None
        };
        let ask = Ask {
            headers: &session.req_header().headers,
            method: &session.req_header().method,
            path: &path,
            client,
            target: &target,
            body: body.as_deref(),
        };
        let admission = endpoints.admit(&ask, &app, &cut).await;
        match admission {
            Admission::Answer(response) => Ok(Some(response)),
            Admission::Forward { permit, guard, cookies, derived, tokens, evidence } => {
                if length.is_some_and(|length| length > app.max_body) {
                    return Ok(Some(endpoints.too_large(&app, client)));
                }
                let leaves = endpoints.leaves(&ask, &app, &evidence).is_some();
                let leaving = if leaves { Leaving::Asked } else { Leaving::No };
                // What was decided on is what is forwarded, byte for byte.
                if session.req_header().raw_path() != target.as_bytes() {
                    let uri = target
                        .parse()
                        .map_err(|_| Error::explain(ErrorType::InvalidHTTPHeader, "a path that is no URI"))?;
                    session.req_header_mut().set_uri(uri);
                }
                if client == Client::WebSocket {
                    guard.set_kind(Kind::WebSocket);
                } else if length.is_some_and(|length| length > LONG_BODY) {
                    guard.set_kind(Kind::Upload);
                }
                let minted = Minted::expected(&app, &tokens, &path);
                ctx.forward = Some(Forward { permit, guard, cookies, derived, tokens, minted, evidence, leaving });
                Ok(None)
            }
        }
    }

    /// Reads a body that is small or none of ours: `None` if it is larger. Signals and forms are small, and whoever takes
    /// longer for one than for a head is no sender of either.
    async fn small_body(&self, session: &mut Session) -> Result<Option<Bytes>> {
        // RFC 9110 §10.1.1: the client waits to be asked, and nobody else will ask before the body is there. HTTP/1.0 knows
        // no interim answer.
        let asks = session.req_header_mut().remove_header(&header::EXPECT).is_some();
        if asks && session.req_header().version == http::Version::HTTP_11 {
            session.write_continue_response().await?;
        }
        match tokio::time::timeout(self.patience.header_read, wire::small_body(session)).await {
            Ok(body) => body,
            Err(_) => {
                Error::e_explain(ErrorType::HTTPStatus(408), "a body took too long").map_err(|error| error.into_down())
            }
        }
    }

    /// Reads the body for one of our own endpoints, bounded, and calls it.
    async fn serve(
        &self,
        session: &mut Session,
        endpoints: &Endpoints,
        host: crate::apps::Host,
        path: CanonicalPath,
    ) -> Result<Response<Bytes>> {
        arrive();
        let Some(body) = self.small_body(session).await? else {
            session.set_keepalive(None);
            return Ok(endpoints.body_too_large());
        };
        let head = session.req_header();
        let mut request = http::Request::builder().method(head.method.clone()).uri(head.uri.clone());
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&head.headers);
        }
        let request = request
            .body(body)
            .map_err(|_| Error::explain(ErrorType::InvalidHTTPHeader, "a request that cannot be rebuilt"))?;
        Ok(endpoints.handle(&host, &path, request).await)
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        let edition = self.current.load();
        Ctx {
            started: Stopwatch::start(),
            client: None,
            app: None,
            forward: None,
            body_seen: 0,
            body_sent: 0,
            answered: None,
            instead: None,
            _in_flight: edition.endpoints.metrics().request_begins(),
            edition,
        }
    }

    /// None: answers go out as the app packed them.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        let timeout = ctx.edition.bounds.client_timeout;
        session.set_read_timeout(Some(timeout));
        session.set_write_timeout(Some(timeout));
        self.stays_or_goes(session);
        match self.admit(session, ctx).await? {
            None => self.within(session, ctx).await,
            Some(response) => self.answer(session, ctx, response).await.map(|()| true),
        }
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        ctx.body_seen += body.as_ref().map_or(0, |chunk| chunk.len() as u64);
        let limit = ctx.app.as_ref().map_or(0, |app| app.max_body);
        ctx.is_long(ctx.body_seen, Kind::Upload);
        // What flows through an upgraded connection is no request body.
        if !session.was_upgraded() && ctx.body_seen > limit {
            return Error::e_explain(ErrorType::HTTPStatus(413), "the request body is larger than the app allows");
        }
        if let Some(opened) = ctx.forward.as_ref().and_then(|forward| forward.tokens.body()) {
            // It was read whole before the decision, so this is the one time that the filter runs (once more for a retry).
            *body = Some(opened.clone());
        }
        Ok(())
    }

    /// Law 4: no permit, no forward.
    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        match (&ctx.forward, ctx.app.as_ref().and_then(|app| ctx.edition.pools.get(&app.name))) {
            (Some(_), Some(pool)) => pool.next().map(Box::new),
            _ => Error::e_explain(ErrorType::HTTPStatus(500), "a request without permit reached the upstream hook"),
        }
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        match (&ctx.forward, &ctx.app) {
            (Some(forward), Some(app)) => {
                let opened = forward.derived.field();
                headers::to_app(request, &forward.permit, app, &Self::peer(session, &ctx.edition.bounds), opened)?;
                headers::bear(request, &forward.tokens, forward.minted.as_ref().is_some_and(Minted::wants_body))
            }
            _ => Error::e_explain(ErrorType::HTTPStatus(500), "a request without permit reached the upstream hook"),
        }
    }

    async fn response_filter(&self, session: &mut Session, response: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
        self.stays_or_goes(session);
        if ctx.is_cut() {
            return Error::e_explain(ErrorType::HTTPStatus(401), "the session ended before the app answered");
        }
        let edition = Arc::clone(&ctx.edition);
        let endpoints = &edition.endpoints;
        leaving::heard(endpoints, response, ctx).await;
        let cookies = ctx.forward.as_ref().map(|forward| forward.cookies.as_slice()).unwrap_or_default();
        if let (Some(forward), Some(app)) = (&ctx.forward, &ctx.app) {
            let dress = |field: &[u8]| endpoints.dress(app, &forward.derived, field);
            headers::sealed(response, forward.derived.expiries(), dress)?;
        }
        headers::to_client(response, cookies)?;
        leaving::answered(response, ctx)?;
        if let (Some(Forward { minted: Some(minted), tokens, .. }), Some(app)) = (&mut ctx.forward, &ctx.app) {
            let bare = session.req_header().method == http::Method::HEAD;
            minted.begins(response, bare, |fields: &[Field], location: &str| {
                endpoints.seal_redirect(app, tokens, fields, location)
            })?;
        }
        if let Some(forward) = &ctx.forward {
            forward.guard.set_kind(kind(response, forward.guard.kind()));
        }
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            // An idle WebSocket is no slow client.
            session.set_read_timeout(None);
            session.set_write_timeout(None);
            if let Some(line) = Line::current() {
                line.upgrade();
            }
        }
        if session.req_header().version == http::Version::HTTP_10
            && response.headers.contains_key(header::TRANSFER_ENCODING)
        {
            // HTTP/1.0 has no chunks: the end of the connection ends the body.
            response.remove_header(&header::TRANSFER_ENCODING);
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        ctx.body_sent += body.as_ref().map_or(0, |chunk| chunk.len() as u64);
        ctx.is_long(ctx.body_sent, Kind::Download);
        leaving::goes_on(ctx)?;
        if let (Some(Forward { minted: Some(minted), tokens, .. }), Some(app)) = (&mut ctx.forward, &ctx.app) {
            let endpoints = &ctx.edition.endpoints;
            let seal = |fields: &[Field], media, body: &[u8]| endpoints.seal_body(app, tokens, fields, media, body);
            if let Err(unread) = minted.passes(body, end, seal) {
                endpoints.not_sealed(app, unread.word());
            }
        }
        Ok(None)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
        let status = wire::status_of(error);
        let response = if session.response_written().is_some() {
            None
        } else if let Some(instead) = ctx.instead.take() {
            Some(instead)
        } else if ctx.is_cut() {
            Line::current().and_then(|line| {
                line.answer();
                interrupted::answer(session, ctx)
            })
        } else {
            let client = ctx.client.unwrap_or(Client::Fetch);
            let status = (status != 0).then(|| StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY));
            status.map(|status| ctx.edition.endpoints.failed(status, ctx.app.as_deref(), client))
        };
        if let Some(response) = response {
            session.set_keepalive(None);
            // The connection may be the thing that failed; there is nobody left to tell.
            let _ = self.answer(session, ctx, response).await;
        }
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Ctx) {
        let status = session.response_written().map(|r| r.status).or(ctx.answered);
        if let (Some(error), true) = (error, !ctx.is_cut() && status.is_none_or(|s| s.is_server_error())) {
            tracing::warn!(app = ctx.app_name(), error = %error.etype().as_str(), "a request failed");
        }
        let status = status.map_or(0, |status| status.as_u16());
        ctx.edition.endpoints.metrics().request_ends(ctx.app_name(), status, ctx.started.elapsed());
    }

    /// Marks the connection as one that has served a request: its next head may take its time to begin.
    fn persist_connection_context(
        &self,
        _session: &Session,
        _ctx: &Ctx,
    ) -> Option<Box<dyn std::any::Any + Send + Sync>> {
        Some(Box::new(()))
    }

    /// Errors are logged once, by [`Proxy::logging`], without the request's target.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        true
    }
}
