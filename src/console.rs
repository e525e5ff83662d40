//! The operators' console: a built-in app behind the gateway's own login.
//!
//! | what | answer |
//! |---|---|
//! | `GET /`, `/kill`, `/revocations`, `/people`, `/streams`, `/apps`, `/explain` | a page |
//! | `GET /static/…` | what the pages are made of |
//! | `GET /api/me` | who operates it, and how long they may still change something |
//! | `GET /api/now`, `/api/events` | how everything is, once, or again and again as server-sent events |
//! | `GET /api/outcomes`, `/api/outcomes/{id}`, `/api/holds`, `/api/approvals`, `/api/streams/{name}` | as the admin listener answers |
//! | `GET /api/apps`, `/api/people?who=…`, `/api/explain?url=…` | the same for pages only |
//! | `POST /api/revocations`, `/api/lifts`, `/api/approvals`, `/api/streams/{name}` | as the admin listener, with the operator's name in the audit log |
//!
//! Who operates it is who the gateway let in: the session comes with the permit, never out of a header. What changes
//! something takes a sign-in that is fresh, and comes from a page of the console: both are checked here, in [`mod@write`].
//! What is done is done by [`crate::admin::Gateway`], like everything that operators do.

mod answer;
mod apps;
mod assets;
mod explain;
mod live;
mod people;
mod series;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::json;

use self::answer::{json, problem};
use self::live::Live;
use self::write::Operator;
use crate::admin::{Gateway, OutcomesAsked};
use crate::apps::{App, CanonicalPath};
use crate::endpoint::Endpoints;
use crate::proxy::{BuiltIn, Current, Reply, Visit};

/// The console.
pub(crate) struct Console {
    app: Arc<App>,
    current: Current,
    gateway: Arc<dyn Gateway>,
    live: Live,
}

impl Console {
    pub(crate) fn new(app: Arc<App>, current: Current, gateway: Arc<dyn Gateway>) -> Self {
        Self { app, current, gateway, live: Live::default() }
    }

    /// The endpoints of the config in force.
    fn endpoints(&self) -> Arc<Endpoints> {
        Arc::clone(&self.current.load().endpoints)
    }

    /// Sees what happens, for as long as it runs.
    pub(crate) async fn keep(&self) {
        self.live.keep(self.endpoints().parts(), &*self.gateway).await;
    }

    async fn read(&self, visit: &Visit) -> Reply {
        let path = visit.path.as_str();
        if let Some(asset) = assets::find(path, &visit.session) {
            return Reply::Whole(asset);
        }
        let query = visit.request.uri().query().unwrap_or_default();
        let (what, name) = match path.strip_prefix("/api/").unwrap_or_default().split_once('/') {
            Some((what, name)) => (what, Some(name)),
            None => (path.strip_prefix("/api/").unwrap_or_default(), None),
        };
        Reply::Whole(match (what, name) {
            ("me", None) => self.me(visit),
            ("now", None) => self.now().await,
            ("events", None) => return self.events(),
            ("outcomes", None) => match OutcomesAsked::read(query) {
                Ok(asked) => json(StatusCode::OK, &self.gateway.outcomes(asked).await),
                Err(why) => problem(StatusCode::BAD_REQUEST, &why),
            },
            ("outcomes", Some(id)) => match self.gateway.outcome(id).await {
                Some(outcome) => json(StatusCode::OK, &outcome),
                None => problem(StatusCode::NOT_FOUND, "no outcome of that id is remembered"),
            },
            ("holds", None) => json(StatusCode::OK, &self.gateway.holds().await),
            ("approvals", None) => json(StatusCode::OK, &self.gateway.approvals().await),
            ("streams", Some(name)) => match self.gateway.stream(name, None).await {
                Ok(stream) => json(StatusCode::OK, &stream),
                Err(error) => answer::refused(error.told()),
            },
            ("apps", None) => json(StatusCode::OK, &apps::all(self.endpoints().parts())),
            ("people", None) => people::answer(self.endpoints().parts(), query),
            ("explain", None) => explain::answer(self.endpoints().parts(), query),
            _ => problem(StatusCode::NOT_FOUND, "there is nothing here"),
        })
    }

    /// Who operates the console.
    fn me(&self, visit: &Visit) -> Response<Bytes> {
        let operator = Operator::of(visit, &self.app);
        let person = &visit.session.person;
        json(
            StatusCode::OK,
            &json!({
                "user": person.subject,
                "email": person.email,
                "name": person.preferred_username,
                "groups": person.groups,
                "idp": visit.session.idp,
                "fresh_until": operator.fresh_until(),
                "now": self.endpoints().parts().clock.now(),
            }),
        )
    }

    /// How everything is, and was in the last quarter of an hour.
    async fn now(&self) -> Response<Bytes> {
        let status = self.gateway.status().await;
        let (series, minute) = self.live.series();
        let now = self.endpoints().parts().clock.now();
        json(StatusCode::OK, &json!({ "now": now, "status": status, "series": series, "minute": minute }))
    }

    fn events(&self) -> Reply {
        match self.live.watch() {
            Some(pieces) => Reply::Events(pieces),
            None => Reply::Whole(problem(StatusCode::SERVICE_UNAVAILABLE, "too many pages watch; close some")),
        }
    }
}

#[async_trait]
impl BuiltIn for Console {
    async fn answer(&self, visit: Visit) -> Reply {
        match *visit.request.method() {
            Method::GET | Method::HEAD => self.read(&visit).await,
            Method::POST => Reply::Whole(self.write(&visit).await),
            _ => Reply::Whole(problem(StatusCode::METHOD_NOT_ALLOWED, "not with this method")),
        }
    }

    /// An operator may end their own session, and what they asked for is done and written down all the same.
    fn finishes(&self, method: &Method, path: &CanonicalPath) -> bool {
        *method == Method::POST && !path.as_str().starts_with("/api/streams/")
    }
}
