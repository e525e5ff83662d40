//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0 §2), which tells every client of the session.

use std::collections::HashMap;

use axum::extract::{RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::super::cookie;
use super::authorize::{COOKIE, parameters};
use super::{END_SESSION, Idp, views};

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
