//! Logout: back-channel, and RP-initiated (OpenID Connect RP-Initiated Logout 1.0 §2), which tells every client of the
//! session.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::{RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::super::outbound::Delivery;
use super::super::{cookie, random_id};
use super::authorize::{COOKIE, parameters};
use super::{END_SESSION, Idp, LogoutOf, views};

impl Idp {
    /// A logout token for a client (OpenID Connect Back-Channel Logout 1.0 §2.4).
    pub fn logout_token(&self, about: &LogoutOf<'_>, client_id: &str) -> Option<String> {
        let now = self.0.clock.now();
        let (LogoutOf::User(user) | LogoutOf::Session(_, user)) = about;
        let mut claims = json!({
            "iss": self.issuer(), "aud": client_id, "iat": now, "exp": now.plus(LOGOUT_TOKEN_LIFE), "jti": random_id(),
            "sub": self.subject(user)?, "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        if let (LogoutOf::Session(sid, _), Some(members)) = (about, claims.as_object_mut()) {
            members.insert("sid".to_owned(), (*sid).into());
        }
        self.sign(Some("logout+jwt"), &claims)
    }

    /// Ends a session and tells every client that took part in it (Back-Channel Logout §2.5). What they answered.
    pub async fn log_out(&self, sid: &str) -> Vec<Delivery> {
        let Some(session) = self.sessions().into_iter().find(|session| session.sid == sid) else { return Vec::new() };
        self.forget(|known| known.sid == sid);
        let about = LogoutOf::Session(sid, &session.user);
        let calls = session.clients.iter().filter_map(|client_id| {
            let url = self.locked().client(client_id)?.backchannel_logout_uri.clone()?;
            let token = self.logout_token(&about, client_id)?;
            Some(async move {
                let body = form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &token).finish();
                self.0.outbound.post(&url, "application/x-www-form-urlencoded", None, &body).await
            })
        });
        futures_util::future::join_all(calls).await
    }
}

/// `GET /logout`: with an ID token of ours the session ends at once; without, the person is asked.
pub(super) async fn ask(Shared(idp): Shared<Idp>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let query = query.unwrap_or_default();
    let Some(given) = parameters(&query) else {
        return views::problem(StatusCode::BAD_REQUEST, "A parameter of the sign-out request was given twice.");
    };
    let hint = given.get("id_token_hint").and_then(|token| idp.locked().hint(token));
    let signed_in = cookie(&headers, COOKIE).and_then(|cookie| Some(idp.locked().session(&cookie)?.sid.clone()));
    match (hint, signed_in) {
        // A hint about another session than this browser's says nothing about what this person wants.
        (Some(hint), Some(sid)) if hint.sid != sid => views::confirm_sign_out(&format!("{END_SESSION}?{query}")),
        (Some(hint), _) => end(&idp, Some(&hint.sid), &given).await,
        (None, Some(_)) => views::confirm_sign_out(&format!("{END_SESSION}?{query}")),
        (None, None) => end(&idp, None, &given).await,
    }
}

/// `POST /logout`: the person said yes, or a client posted what it could have put into the query.
pub(super) async fn confirm(
    shared: Shared<Idp>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> Response {
    let idp = &shared.0;
    let confirmed = parameters(&body).is_some_and(|form| form.contains_key("confirm")) && idp.is_own_request(&headers);
    if !confirmed {
        return ask(shared, RawQuery(Some(body)), headers).await;
    }
    let given = parameters(&query.unwrap_or_default()).unwrap_or_default();
    let sid = cookie(&headers, COOKIE).and_then(|cookie| Some(idp.locked().session(&cookie)?.sid.clone()));
    end(idp, sid.as_deref(), &given).await
}

/// Ends the session, tells the clients, and goes where the client asked if it registered that address.
async fn end(idp: &Idp, sid: Option<&str>, given: &HashMap<String, String>) -> Response {
    let client_id = given
        .get("id_token_hint")
        .and_then(|token| Some(idp.locked().hint(token)?.client_id))
        .or_else(|| given.get("client_id").cloned());
    if let Some(sid) = sid {
        idp.log_out(sid).await;
    }
    let target = given.get("post_logout_redirect_uri").filter(|uri| {
        let state = idp.locked();
        client_id.and_then(|id| state.client(&id).cloned()).is_some_and(|c| c.post_logout_redirect_uris.contains(uri))
    });
    match target.and_then(|uri| url::Url::parse(uri).ok()) {
        Some(mut url) => {
            if let Some(state) = given.get("state") {
                url.query_pairs_mut().append_pair("state", state);
            }
            views::see_other(url.as_str())
        }
        None => views::signed_out(),
    }
}

/// Back-Channel Logout §4 recommends two minutes at most.
const LOGOUT_TOKEN_LIFE: Duration = Duration::from_secs(120);
