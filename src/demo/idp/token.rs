//! The token endpoint (OpenID Connect Core 1.0 §3.1.3) and userinfo (§5.3).

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::digest;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::authorize::parameters;
use super::state::{Grant, State};
use super::{Client, Idp, merge};
use crate::identity::Issuer;
use crate::time::Timestamp;

/// `POST /token`: a code becomes an ID token, once; a refresh token another.
pub(super) async fn exchange(Shared(idp): Shared<Idp>, headers: HeaderMap, body: String) -> Response {
    let Some(form) = parameters(&body) else { return refuse(StatusCode::BAD_REQUEST, "invalid_request") };
    let given = |name: &str| form.get(name).map_or("", String::as_str);
    let now = idp.clock().now();
    let mut state = idp.locked();
    let Some(client) = authenticate(&state, &headers, &form) else {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    let found = match given("grant_type") {
        "authorization_code" => state.redeem(given("code"), &client.id, now).filter(|(grant, _)| {
            grant.redirect_uri == given("redirect_uri") && grant.code_challenge == challenge_of(given("code_verifier"))
        }),
        "refresh_token" => state.refresh(given("refresh_token"), &client.id),
        _ => return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
    };
    let Some((grant, access_token)) = found else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let id_token = claims(&state, idp.issuer(), &grant, Some(now)).and_then(|claims| state.signer.sign(None, &claims));
    let Some(id_token) = id_token else { return refuse(StatusCode::INTERNAL_SERVER_ERROR, "server_error") };
    state.remember(&grant, access_token.clone(), &id_token, now.plus(TOKEN_LIFE));
    let mut answer = json!({
        "access_token": access_token, "token_type": "Bearer", "expires_in": TOKEN_LIFE.as_secs(), "id_token": id_token,
    });
    if let (Some(token), Some(members)) = (state.refresh_token(&grant), answer.as_object_mut()) {
        members.insert("refresh_token".to_owned(), token.into());
    }
    no_store(Json(answer))
}

/// `GET /userinfo`: the claims about the person, without those about the login.
pub(super) async fn userinfo(Shared(idp): Shared<Idp>, headers: HeaderMap) -> Response {
    let state = idp.locked();
    let claims = headers
        .get(header::AUTHORIZATION)
        .and_then(|field| field.to_str().ok()?.strip_prefix("Bearer "))
        .and_then(|token| state.bearer(token, idp.clock().now()))
        .and_then(|grant| claims(&state, idp.issuer(), grant, None));
    match claims {
        Some(claims) => no_store(Json(claims)),
        None => {
            let field = (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
            (StatusCode::UNAUTHORIZED, [field]).into_response()
        }
    }
}

/// What is said about the person; with a time of issue also what is said about the login (ID token).
fn claims(state: &State, issuer: &Issuer, grant: &Grant, issued: Option<Timestamp>) -> Option<Value> {
    let person = state.person(&grant.user)?;
    let mut claims = json!({
        "sub": person.subject, "name": person.name, "preferred_username": person.user,
        "email": person.email, "email_verified": true, "groups": person.groups,
    });
    if let Some(now) = issued {
        let expiry = state.knobs.session_expiry.map(|span| grant.auth_time.plus(span));
        let about_login = json!({
            "iss": issuer, "aud": grant.client_id, "iat": now, "exp": now.plus(TOKEN_LIFE), "sid": grant.sid,
            "nonce": grant.nonce, "amr": ["pwd"], "session_expiry": expiry,
            "auth_time": (!state.knobs.omit_auth_time).then_some(grant.auth_time),
        });
        merge(&mut claims, about_login.as_object()?);
    }
    if let Some(extra) = state.knobs.extra_claims.get(&grant.user) {
        merge(&mut claims, extra);
    }
    Some(claims)
}

/// The client, by HTTP Basic or by the form (RFC 6749 §2.3.1), not by both.
fn authenticate(state: &State, headers: &HeaderMap, form: &HashMap<String, String>) -> Option<Client> {
    let in_form = form.get("client_secret").zip(form.get("client_id"));
    let (id, secret) = match (headers.get(header::AUTHORIZATION), in_form) {
        (Some(field), None) => {
            let bytes = STANDARD.decode(field.to_str().ok()?.strip_prefix("Basic ")?).ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let (id, secret) = text.split_once(':')?;
            (decoded(id)?, decoded(secret)?)
        }
        (None, Some((secret, id))) => (id.clone(), secret.clone()),
        _ => return None,
    };
    state.client(&id).filter(|client| client.secret.matches(&secret)).cloned()
}

/// One form-encoded value.
fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8().ok().map(String::from)
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
pub(super) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// An error of RFC 6749 §5.2.
fn refuse(status: StatusCode, error: &str) -> Response {
    let mut response = no_store((status, Json(json!({ "error": error }))));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    }
    response
}

fn no_store(body: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// How long ID tokens and access tokens are good for.
const TOKEN_LIFE: Duration = Duration::from_secs(300);
