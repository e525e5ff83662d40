//! The app's own API tokens, for its phone app and for scripts: made in a session, and believed without one.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

use super::{Legacy, MAX_SESSIONS, no_store, session_id};
use crate::demo::random_id;

/// `POST /api/token`: an access and a refresh token for the session's user, or for whoever brings a refresh token in
/// the form field `refresh_token`.
pub(super) async fn mint(State(app): State<Legacy>, headers: HeaderMap, body: String) -> Response {
    let refresh = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "refresh_token");
    let user = match refresh {
        Some((_, token)) => app.user_of(REFRESH, &token),
        None => {
            let session = session_id(&headers).and_then(|id| app.locked().get(&id).cloned());
            session.map(|session| session.user.unwrap_or_default())
        }
    };
    let Some(user) = user else { return StatusCode::UNAUTHORIZED.into_response() };
    let (access, refresh) = (format!("{ACCESS}{}", random_id()), format!("{REFRESH}{}", random_id()));
    let mut tokens = app.tokens();
    if tokens.len() >= MAX_SESSIONS {
        tokens.clear();
    }
    tokens.extend([(access.clone(), user.clone()), (refresh.clone(), user)]);
    no_store(Json(json!({ "access_token": access, "refresh_token": refresh, "token_type": "Bearer" })))
}

/// `GET /api/payslips`: asks for a token and for nothing else.
pub(super) async fn payslips(State(app): State<Legacy>, headers: HeaderMap) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|field| field.to_str().ok()?.strip_prefix("Bearer "));
    match token.and_then(|token| app.user_of(ACCESS, token)) {
        Some(user) => no_store(Json(json!({ "user": user, "payslips": [{ "month": "2003-11", "net": 2731 }] }))),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

impl Legacy {
    /// Whose token this is, if it is one of the kind that begins so.
    fn user_of(&self, kind: &str, token: &str) -> Option<String> {
        self.tokens().get(token).filter(|_| token.starts_with(kind)).cloned()
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What access tokens begin with.
const ACCESS: &str = "pay_";

/// What refresh tokens begin with: one cannot be used as the other.
const REFRESH: &str = "payr_";

#[cfg(test)]
mod tests {
    use super::super::tests::{app, headers};
    use super::*;

    async fn tokens(response: Response) -> serde_json::Value {
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("body");
        serde_json::from_slice(&body).expect("JSON")
    }

    #[tokio::test]
    async fn a_token_made_in_a_session_is_believed_without_it_and_makes_more() {
        let app = app();
        let (id, ..) = app.visit(&headers(&[("x-forwarded-user", "ann")]));
        let cookie = format!("LEGACYSESSID={id}");
        let first = tokens(mint(State(app.clone()), headers(&[("cookie", &cookie)]), String::new()).await).await;
        let refresh = format!("refresh_token={}", first["refresh_token"].as_str().expect("text"));
        let second = tokens(mint(State(app.clone()), HeaderMap::new(), refresh).await).await;
        for made in [&first, &second] {
            let field = format!("Bearer {}", made["access_token"].as_str().expect("text"));
            let answer = payslips(State(app.clone()), headers(&[("authorization", &field)])).await;
            assert_eq!(tokens(answer).await["user"], "ann");
            let field = format!("Bearer {}", made["refresh_token"].as_str().expect("text"));
            let answer = payslips(State(app.clone()), headers(&[("authorization", &field)])).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "a refresh token is no access token");
        }
    }

    #[tokio::test]
    async fn nobody_gets_or_uses_a_token_without_reason() {
        let app = app();
        for body in ["", "refresh_token=payr_guessed", "refresh_token="] {
            let answer = mint(State(app.clone()), HeaderMap::new(), body.to_owned()).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "`{body}`");
        }
        for field in ["Bearer pay_guessed", "Bearer ", "Basic pay_x"] {
            let answer = payslips(State(app.clone()), headers(&[("authorization", field)])).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "`{field}`");
        }
    }
}
