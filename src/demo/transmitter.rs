//! The IdP's side of a stream: an SSF transmitter that pushes signed SETs over HTTP (RFC 8935).
//!
//! An operator ends sessions at the security desk or with one command; the transmitter tells the receiver, and reports
//! what it answered and how long that took.

mod desk;
mod management;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::idp::{Idp, Session};
use super::outbound::Delivery;
use super::random_id;
use crate::secret::Secret;
use crate::time::Timestamp;

/// The CAEP event of an ended session (CAEP §3.1).
pub const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// The SSF event that proves a stream works (SSF §8.1.4).
pub const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";

/// The transmitter. Clones are the same transmitter.
#[derive(Clone, Debug)]
pub struct Transmitter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    idp: Idp,
    management_token: Secret<String>,
    /// Guards the stream and the record of what was sent; never held across an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    receiver: Option<Receiver>,
    status: Status,
    sent: VecDeque<Sent>,
}

/// Whether the stream delivers (SSF §8.1.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Events are sent.
    Enabled,
    /// Events are not sent.
    Paused,
    /// Events are not sent, and not kept.
    Disabled,
}

/// Where SETs go: the one stream.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// The stream's name.
    pub stream_id: String,
    /// Where SETs are posted.
    pub push_url: String,
    /// The `Authorization` field that goes with them.
    pub authorization: Option<Secret<String>>,
    /// Their `aud`.
    pub audience: String,
}

/// Whose sessions end, and why.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Order {
    /// Whose.
    pub user: String,
    /// Only this session (`sid`); all of the user's without it.
    pub session: Option<String>,
    /// What the person is told.
    pub reason: Option<String>,
    /// Only tell the receiver, and keep the session at the IdP, as some IdPs do.
    #[serde(default)]
    pub keep: bool,
}

/// What became of an order.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    /// When it was given.
    pub at: Timestamp,
    /// What was said, in words.
    pub what: String,
    /// How many sessions ended at the IdP.
    pub ended_here: usize,
    /// The SET's name; `None` if no SET was sent.
    pub jti: Option<String>,
    /// The receiver's answer; `None` if no SET was sent.
    pub delivery: Option<Delivery>,
}

impl Transmitter {
    /// The transmitter of `idp`, without a stream. Its stream endpoints want `management_token`.
    pub fn new(idp: Idp, management_token: Secret<String>) -> Self {
        let state = State { receiver: None, status: Status::Enabled, sent: VecDeque::new() };
        Self(Arc::new(Inner { idp, management_token, state: Mutex::new(state) }))
    }

    /// Its endpoints, to stand beside those of the IdP.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/.well-known/ssf-configuration", get(configuration))
            .route("/admin/revoke", post(revoke))
            .route("/desk", get(desk::show))
            .route("/desk/revoke", post(desk::revoke))
            .route("/static/desk.js", get(desk::script))
            .merge(management::router())
            .with_state(self.clone())
    }

    /// Makes `receiver` the stream, enabled.
    pub fn send_to(&self, receiver: Receiver) {
        let mut state = self.locked();
        (state.receiver, state.status) = (Some(receiver), Status::Enabled);
    }

    /// Pauses, disables or enables the stream without a word to the receiver.
    pub fn set_status(&self, status: Status) {
        self.locked().status = status;
    }

    /// The last orders and deliveries, newest first.
    pub fn sent(&self) -> Vec<Sent> {
        self.locked().sent.iter().cloned().collect()
    }

    /// Ends the sessions of an order and pushes `session-revoked`. `None` if there is no such user.
    pub async fn revoke(&self, order: &Order) -> Option<Sent> {
        let idp = &self.0.idp;
        let subject = idp.subject(&order.user)?;
        let covered = |session: &Session| {
            session.user == order.user && order.session.as_ref().is_none_or(|sid| *sid == session.sid)
        };
        let ended_here = if order.keep { 0 } else { idp.forget(covered) };
        let user = json!({ "format": "iss_sub", "iss": idp.issuer(), "sub": subject });
        let (sub_id, what) = match &order.session {
            Some(sid) => {
                let session = json!({ "format": "opaque", "id": sid });
                let short: String = sid.chars().take(8).collect();
                let complex = json!({ "format": "complex", "user": user, "session": session });
                (complex, format!("session {short}… of {} revoked", order.user))
            }
            None => (user, format!("all sessions of {} revoked", order.user)),
        };
        let reason = order.reason.as_deref().unwrap_or("Ended by the security desk.");
        let event = json!({
            "event_timestamp": idp.clock().now(),
            "initiating_entity": "admin",
            "reason_admin": { "en": "Revoked at the security desk" },
            "reason_user": { "en": reason },
        });
        Some(self.push(what, ended_here, sub_id, SESSION_REVOKED, event).await)
    }

    /// Pushes a verification event (SSF §8.1.4.1), with the `state` that the receiver asked with, if it asked.
    pub async fn verify(&self, state: Option<&str>) -> Sent {
        let stream_id = self.locked().receiver.as_ref().map(|receiver| receiver.stream_id.clone());
        let sub_id = json!({ "format": "opaque", "id": stream_id });
        let event = state.map_or_else(|| json!({}), |state| json!({ "state": state }));
        self.push("stream verified".to_owned(), 0, sub_id, VERIFICATION, event).await
    }

    /// Signs one event, sends it to the receiver, and remembers what came of it.
    async fn push(&self, what: String, ended_here: usize, sub_id: Value, event_uri: &str, event: Value) -> Sent {
        let idp = &self.0.idp;
        let mut sent = Sent { at: idp.clock().now(), what, ended_here, jti: None, delivery: None };
        let receiver = {
            let state = self.locked();
            state.receiver.clone().filter(|_| state.status == Status::Enabled)
        };
        if let Some(receiver) = receiver {
            let jti = random_id();
            let events = Map::from_iter([(event_uri.to_owned(), event)]);
            let claims =
                json!({ "aud": receiver.audience, "jti": jti, "txn": random_id(), "sub_id": sub_id, "events": events });
            if let Some(set) = idp.set(&claims) {
                let authorization = receiver.authorization.as_ref();
                let delivery = idp.outbound().post(&receiver.push_url, "application/secevent+jwt", authorization, &set);
                sent.delivery = Some(delivery.await);
                sent.jti = Some(jti);
            }
        }
        let mut state = self.locked();
        state.sent.truncate(REMEMBERED - 1);
        state.sent.push_front(sent.clone());
        sent
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// SSF §7: what this transmitter offers and where.
async fn configuration(Shared(transmitter): Shared<Transmitter>) -> Json<Value> {
    let issuer = transmitter.0.idp.issuer();
    Json(json!({
        "spec_version": "1_0",
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/jwks"),
        "delivery_methods_supported": [management::PUSH],
        "configuration_endpoint": format!("{issuer}{}", management::STREAM),
        "status_endpoint": format!("{issuer}{}", management::STATUS),
        "verification_endpoint": format!("{issuer}{}", management::VERIFY),
        "authorization_schemes": [{ "spec_urn": "urn:ietf:rfc:6750" }],
        "default_subjects": "ALL",
    }))
}

/// `POST /admin/revoke?user=ann`: what an operator types. Pages of other sites cannot send it.
async fn revoke(Shared(transmitter): Shared<Transmitter>, Query(order): Query<Order>, headers: HeaderMap) -> Response {
    if !transmitter.0.idp.is_own_request(&headers) {
        return (StatusCode::FORBIDDEN, "this was sent by a page of another site\n").into_response();
    }
    match transmitter.revoke(&order).await {
        None => (StatusCode::NOT_FOUND, "nobody of this name\n").into_response(),
        Some(sent) => {
            let taken = sent.delivery.as_ref().is_some_and(Delivery::accepted);
            let status = if taken { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
            // A line of its own for each fact: this is read in a terminal.
            let text = serde_json::to_string_pretty(&sent).unwrap_or_default();
            (status, [(header::CONTENT_TYPE, "application/json")], text + "\n").into_response()
        }
    }
}

/// How many orders and deliveries the desk shows.
const REMEMBERED: usize = 20;
