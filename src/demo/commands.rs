//! The IdP's commands to the gateway (OpenID Provider Commands), for who types them.

use axum::Router;
use axum::extract::{Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;

use super::idp::Idp;
use super::outbound::Delivery;
use super::random_id;

/// A command, as it is typed.
#[derive(Clone, Debug, Deserialize)]
struct Command {
    /// About whom.
    user: String,
    /// Which, in the draft's words: `invalidate`, `suspend`, `reactivate`, …
    command: String,
}

/// Seconds for which a command token is good.
const LIFE: u64 = 60;

/// Who commands, and whom.
#[derive(Clone)]
struct Desk {
    idp: Idp,
    client_id: String,
    /// Where the client takes commands (`command_endpoint`).
    endpoint: String,
}

/// The endpoints, to stand beside those of the IdP.
pub(super) fn router(idp: Idp, client_id: String, endpoint: String) -> Router {
    Router::new().route("/admin/command", post(command)).with_state(Desk { idp, client_id, endpoint })
}

impl Desk {
    /// Sends a command. `None` if there is no such user.
    async fn send(&self, order: &Command) -> Option<Delivery> {
        let (idp, now) = (&self.idp, self.idp.clock().now());
        let claims = json!({
            "iss": idp.issuer(), "aud": self.endpoint, "client_id": self.client_id, "iat": now, "exp": now.secs() + LIFE,
            "jti": random_id(), "command": order.command, "tenant": "demo", "sub": idp.subject(&order.user)?,
        });
        let token = idp.sign(Some("command+jwt"), &claims)?;
        let body = form_urlencoded::Serializer::new(String::new()).append_pair("command_token", &token).finish();
        Some(idp.outbound().post(&self.endpoint, "application/x-www-form-urlencoded", None, &body).await)
    }
}

/// `POST /admin/command?user=ann&command=suspend`. Pages of other sites cannot send it.
async fn command(Shared(desk): Shared<Desk>, Query(order): Query<Command>, headers: HeaderMap) -> Response {
    if !desk.idp.is_own_request(&headers) {
        return (StatusCode::FORBIDDEN, "this was sent by a page of another site\n").into_response();
    }
    let Some(delivery) = desk.send(&order).await else {
        return (StatusCode::NOT_FOUND, "nobody of this name\n").into_response();
    };
    // A line of its own for each fact: this is read in a terminal.
    let text = serde_json::to_string_pretty(&delivery).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response()
}
