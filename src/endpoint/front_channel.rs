//! Front-channel logout: the IdP's sign-out page has the browser fetch this, in a frame (OIDC Front-Channel Logout §2).
//!
//! Nothing proves who asks: whoever knows a `sid` can end that session, and only that one. So it is off unless the config
//! has it, takes only what nobody guesses, never says whether it was known, and has a bound.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::signal::{later, spoken_for};
use super::{Call, Endpoints, answer, expired};
use crate::idp::Idp;
use crate::policy;
use crate::session;

/// What a frame of the IdP's is, and an image or a script of somebody's page is not. Older browsers do not say.
const FRAMES: [&str; 3] = ["iframe", "frame", "document"];

impl Endpoints {
    /// `/oauth2/frontchannel-logout/{idp}?iss=&sid=`: an empty page, whatever came of it; 429 at the bound.
    pub(super) async fn front_channel(&self, name: &str, call: &Call<'_>) -> Response<Bytes> {
        let Some(idp) = self.0.idps.get(name).filter(|idp| idp.takes_front_channel_logouts()) else {
            return answer::empty(StatusCode::NOT_FOUND);
        };
        let now = self.0.clock.now();
        let asked = asked(call.query(), idp.issuer().as_str()).filter(|_| is_frame(call.headers()));
        let Some(revocation) = asked.and_then(|sid| policy::front_channel(&sid, &spoken_for(idp), now)) else {
            self.0.metrics.signal_rejected("front_channel");
            return framed(answer::empty(StatusCode::OK), idp);
        };
        let mut response = if !idp.takes_one_more_front_channel_logout() {
            self.0.metrics.signal_rejected("too_many");
            let mut response = answer::empty(StatusCode::TOO_MANY_REQUESTS);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        } else if self.0.intake.accept(vec![revocation.clone()]).await.is_err() {
            later()
        } else {
            answer::empty(StatusCode::OK)
        };
        // At the bound, too: this browser's own cookie is nobody else's.
        let shown = self.evidence(call.headers(), call.app).session().cloned();
        if let Some(session) = shown
            && revocation.whom.targets().iter().any(|target| {
                let hashers = self.0.ring.hashers();
                hashers.iter().any(|hasher| session.targets.contains(&(target.kind, hasher.key(target))))
            })
        {
            let gone: Vec<_> = session::cookie_names().map(|name| expired(&name)).collect();
            answer::set_cookies(&mut response, &gone);
        }
        framed(response, idp)
    }
}

/// The `sid` that a query asks to end. Each parameter stands once at most (a second one is somebody's trick), and `iss`
/// names this IdP where it is there (Entra leaves it out: the path says it).
fn asked(query: &str, issuer: &str) -> Option<String> {
    let mut found = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if ["iss", "sid"].contains(&name.as_ref()) && found.insert(name, value).is_some() {
            return None;
        }
    }
    let of_another = found.get("iss").is_some_and(|iss| iss != issuer);
    if of_another { None } else { found.remove("sid").map(std::borrow::Cow::into_owned) }
}

/// Whether the browser fetches it for a frame, or does not say for what.
fn is_frame(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_none_or(|to| to.to_str().is_ok_and(|to| FRAMES.contains(&to)))
}

/// Only pages of the IdP show it in a frame.
fn framed(mut response: Response<Bytes>, idp: &Idp) -> Response<Bytes> {
    let origin = url::Url::parse(idp.issuer().as_str()).map(|url| url.origin().ascii_serialization());
    let policy = format!("default-src 'none'; frame-ancestors {}", origin.as_deref().unwrap_or("'none'"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_one_session_of_this_idp_or_for_none() {
        let issuer = "https://idp.example.com";
        for (query, expected) in [
            ("iss=https%3A%2F%2Fidp.example.com&sid=abc", Some("abc")),
            ("sid=abc", Some("abc")),
            ("sid=a%2Bc&lang=en", Some("a+c")),
            ("iss=https%3A%2F%2Fidp.example.com%2F&sid=abc", None),
            ("iss=&sid=abc", None),
            ("sid=abc&sid=abc", None),
            ("iss=https%3A%2F%2Fidp.example.com&iss=x&sid=abc", None),
            ("iss=https%3A%2F%2Fidp.example.com", None),
            ("SID=abc", None),
            ("", None),
        ] {
            assert_eq!(asked(query, issuer).as_deref(), expected, "`{query}`");
        }
    }

    #[test]
    fn what_a_browser_says_is_no_frame_is_none() {
        for (said, expected) in [
            (None, true),
            (Some("iframe"), true),
            (Some("document"), true),
            (Some("image"), false),
            (Some("empty"), false),
        ] {
            let headers =
                said.map(|said| (http::HeaderName::from_static("sec-fetch-dest"), HeaderValue::from_static(said)));
            assert_eq!(is_frame(&headers.into_iter().collect()), expected, "{said:?}");
        }
    }
}
