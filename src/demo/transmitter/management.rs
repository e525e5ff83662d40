//! The stream endpoints (SSF §8.1.1, §8.1.2, §8.1.4) for one push stream, under a bearer token.

use axum::Router;
use axum::extract::{FromRequestParts, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Receiver, SESSION_REVOKED, State, Status, Transmitter};
use crate::demo::random_id;
use crate::secret::Secret;

/// Push delivery (RFC 8935) as a delivery method.
pub(super) const PUSH: &str = "urn:ietf:rfc:8935";

pub(super) const STREAM: &str = "/ssf/stream";
pub(super) const STATUS: &str = "/ssf/status";
pub(super) const VERIFY: &str = "/ssf/verify";

/// The endpoints.
pub(super) fn router() -> Router<Transmitter> {
    Router::new()
        .route(STREAM, get(read).post(create).delete(delete))
        .route(STATUS, get(status).post(update_status))
        .route(VERIFY, post(verify))
}

/// Proof that the caller has the management token.
struct Manager;

impl FromRequestParts<Transmitter> for Manager {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, transmitter: &Transmitter) -> Result<Self, Response> {
        let presented = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|field| field.to_str().ok()?.strip_prefix("Bearer "))
            .is_some_and(|token| transmitter.0.management_token.matches(token));
        let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
        if presented { Ok(Self) } else { Err((StatusCode::UNAUTHORIZED, challenge).into_response()) }
    }
}

/// A request to create the stream (SSF §8.1.1.1).
#[derive(Deserialize)]
struct Wanted {
    delivery: Delivery,
}

#[derive(Deserialize)]
struct Delivery {
    method: String,
    endpoint_url: String,
    authorization_header: Option<String>,
}

#[derive(Deserialize)]
struct NewStatus {
    stream_id: String,
    status: Status,
}

#[derive(Deserialize)]
struct Verify {
    stream_id: String,
    state: Option<String>,
}

async fn create(_: Manager, Shared(transmitter): Shared<Transmitter>, Json(wanted): Json<Wanted>) -> Response {
    let Ok(url) = url::Url::parse(&wanted.delivery.endpoint_url) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if wanted.delivery.method != PUSH {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let mut state = transmitter.locked();
    if state.receiver.is_some() {
        return StatusCode::CONFLICT.into_response();
    }
    state.receiver = Some(Receiver {
        stream_id: random_id(),
        audience: url.origin().ascii_serialization(),
        push_url: wanted.delivery.endpoint_url,
        authorization: wanted.delivery.authorization_header.map(Secret::new),
    });
    state.status = Status::Enabled;
    (StatusCode::CREATED, described(&transmitter, &state)).into_response()
}

async fn read(_: Manager, Shared(transmitter): Shared<Transmitter>) -> Response {
    let state = transmitter.locked();
    match state.receiver {
        Some(_) => described(&transmitter, &state).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn delete(_: Manager, Shared(transmitter): Shared<Transmitter>) -> StatusCode {
    match transmitter.locked().receiver.take() {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

async fn status(_: Manager, Shared(transmitter): Shared<Transmitter>) -> Response {
    let state = transmitter.locked();
    match &state.receiver {
        Some(receiver) => Json(json!({ "stream_id": receiver.stream_id, "status": state.status })).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn update_status(_: Manager, Shared(transmitter): Shared<Transmitter>, Json(new): Json<NewStatus>) -> Response {
    let mut state = transmitter.locked();
    if state.stream_id() != Some(&new.stream_id) {
        return StatusCode::NOT_FOUND.into_response();
    }
    state.status = new.status;
    Json(json!({ "stream_id": new.stream_id, "status": new.status })).into_response()
}

/// 204 means that the event will be sent (SSF §8.1.4.2): it goes out on a connection of its own.
async fn verify(_: Manager, Shared(transmitter): Shared<Transmitter>, Json(asked): Json<Verify>) -> StatusCode {
    if transmitter.locked().stream_id() != Some(&asked.stream_id) {
        return StatusCode::NOT_FOUND;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the event must not wait for the answer, nor the answer for the event"
    )]
    tokio::spawn(async move { transmitter.verify(asked.state.as_deref()).await });
    StatusCode::NO_CONTENT
}

impl State {
    fn stream_id(&self) -> Option<&String> {
        self.receiver.as_ref().map(|receiver| &receiver.stream_id)
    }
}

/// The stream's configuration (SSF §8.1.1). The authorization field that we send is not shown.
fn described(transmitter: &Transmitter, state: &State) -> Json<Value> {
    let receiver = state.receiver.as_ref();
    Json(json!({
        "stream_id": state.stream_id(),
        "iss": transmitter.0.idp.issuer(),
        "aud": receiver.map(|receiver| &receiver.audience),
        "delivery": { "method": PUSH, "endpoint_url": receiver.map(|receiver| &receiver.push_url) },
        "events_supported": [SESSION_REVOKED],
        "events_requested": [SESSION_REVOKED],
        "events_delivered": [SESSION_REVOKED],
    }))
}
