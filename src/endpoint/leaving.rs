//! Signing out by the app's own button: the app hears it first, and then the session here is over, too.
//!
//! It is the app that says whether it was a sign-out: what it refuses (a form without its token, a method that it does not
//! take) ends nothing. Nor does what a page of another site asks for: that page could sign people out of the app before, and
//! shall not sign them out of everything now.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{Ask, Endpoints, PREFIX, answer, expired, sign_out};
use crate::apps::App;
use crate::decision::Client;
use crate::evidence::Evidence;
use crate::exchanges::{Cut, Exchange, Guard, Kind};
use crate::revocation::Origin;
use crate::secret::Secret;
use crate::session::{self, Session};

/// How long the app's answer to a sign-out may take: its session is over, and nothing else would end it.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl Endpoints {
    /// The session that ends if the app takes `ask` for a sign-out.
    pub(crate) fn leaves<'a>(&self, ask: &Ask<'_>, app: &App, evidence: &'a Evidence) -> Option<&'a Session> {
        let query = ask.target.split_once('?').map(|(_, query)| query);
        let site = ask.headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
        let asked = matches!(ask.client, Client::Navigation | Client::Fetch)
            && app.logout_paths.iter().any(|path| path.is(ask.method, ask.path, query))
            && site != Some("cross-site");
        evidence.session().filter(|_| asked)
    }

    /// Ends `session`, with everything that grew from it. In force here in any case.
    pub(crate) async fn leave(&self, session: &Session, app: &App) {
        self.end(session, app, Origin::AppLogout { app: app.name.clone() }).await;
    }

    /// Lets the exchange that asked to sign out go on for its last words, without the session that it ends. `None` where
    /// there is no room: then it ends with the session.
    pub(crate) fn without_session(&self, guard: &Guard, cut: &Cut) -> Option<Guard> {
        let exchange = Exchange {
            credentials: Vec::new(),
            kind: Kind::Request,
            ends_at: Some(self.0.clock.now().plus(LAST_WORDS)),
            ..guard.exchange().clone()
        };
        self.0.enforcer.admit(exchange, cut).ok().map(|(_, guard)| guard)
    }

    /// The `Set-Cookie` values that end the session in the browser, for an answer of the app's.
    pub(crate) fn left() -> Vec<String> {
        let gone = session::cookie_names().map(|name| expired(&name)).chain([sign_out::no_hint()]);
        gone.map(|cookie| cookie.expose().clone()).collect()
    }

    /// The answer to a person who signed out of the app: on to the IdP's sign-out, with the cookies that the app set.
    pub(crate) fn goes_on_to_sign_out(set: &HeaderMap) -> Response<Bytes> {
        let gone: Vec<Secret<String>> = session::cookie_names().map(|name| expired(&name)).collect();
        let mut response = answer::redirect(&format!("{PREFIX}/sign_out"), &gone);
        // RFC 9110 §15.4.4: whatever the method was, the next is a GET.
        *response.status_mut() = StatusCode::SEE_OTHER;
        for cookie in set.get_all(header::SET_COOKIE) {
            response.headers_mut().append(header::SET_COOKIE, HeaderValue::clone(cookie));
        }
        response
    }
}
