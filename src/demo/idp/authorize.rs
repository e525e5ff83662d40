//! The authorization endpoint (OpenID Connect Core 1.0 §3.1.2), its sign-in page and the IdP's own cookie.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::{RawQuery, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::super::cookie;
use super::state::{Grant, Session, State};
use super::{AUTHORIZE, Client, Idp, PASSWORD, views};
use crate::secret::Secret;
use crate::time::Timestamp;

/// The IdP's own cookie.
pub(super) const COOKIE: &str = "op_session";

/// `GET /authorize`: a code at once if the person is signed in well enough, else the sign-in page.
pub(super) async fn ask(Shared(idp): Shared<Idp>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let query = query.unwrap_or_default();
    let (request, client) = match Request::parse(&query, &idp.locked()) {
        Ok(parsed) => parsed,
        Err(refusal) => return refusal.response(&idp),
    };
    let now = idp.clock().now();
    let mut state = idp.locked();
    let session = cookie(&headers, COOKIE).and_then(|cookie| state.session(&cookie).cloned());
    match session {
        Some(session) if state.knobs.frozen_auth_time || !request.wants_new_login(&session, now) => {
            let code = state.grant(request.grant(&session, now), now);
            drop(state);
            request.answer(&idp, &[("code", &code)])
        }
        _ if request.prompt == Prompt::None => {
            drop(state);
            request.answer(&idp, &[("error", "login_required")])
        }
        session => {
            drop(state);
            sign_in_page(&idp, &query, &request, &client, session.is_some(), None)
        }
    }
}

/// `POST /authorize`: the sign-in page's answer; the request itself is still in the query.
pub(super) async fn sign_in(
    Shared(idp): Shared<Idp>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> Response {
    if !idp.is_own_request(&headers) {
        return views::problem(StatusCode::FORBIDDEN, "This sign-in was sent by a page of another site.");
    }
    let query = query.unwrap_or_default();
    let (request, client) = match Request::parse(&query, &idp.locked()) {
        Ok(parsed) => parsed,
        Err(refusal) => return refusal.response(&idp),
    };
    let form = parameters(&body).unwrap_or_default();
    let typed = |name: &str| form.get(name).map_or("", String::as_str);
    let user = typed("user");
    let known = {
        let state = idp.locked();
        state.person(user).is_some() && !state.knobs.disabled.contains(user)
    };
    if !known || !Secret::new(PASSWORD.to_owned()).matches(typed("password")) {
        return sign_in_page(&idp, &query, &request, &client, false, Some("This name or password is not right."));
    }

    let now = idp.clock().now();
    let (cookie, code) = {
        let mut state = idp.locked();
        let (cookie, session) = state.sign_in(cookie(&headers, COOKIE).as_deref(), user, now);
        (cookie, state.grant(request.grant(&session, now), now))
    };
    let mut response = request.answer(&idp, &[("code", &code)]);
    if let Ok(field) = HeaderValue::from_str(&format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax")) {
        response.headers_mut().append(header::SET_COOKIE, field);
    }
    response
}

fn sign_in_page(
    idp: &Idp,
    query: &str,
    request: &Request,
    client: &Client,
    again: bool,
    problem: Option<&str>,
) -> Response {
    views::sign_in(&views::SignIn {
        action: &format!("{AUTHORIZE}?{query}"),
        client: &client.name,
        redirect_uri: &request.redirect_uri,
        people: &idp.people(),
        hint: request.login_hint.as_deref(),
        again: again || request.prompt == Prompt::Login,
        problem,
    })
}

/// What the client asks of the login.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Prompt {
    /// Nothing in particular.
    Any,
    /// No page may be shown.
    None,
    /// The person must sign in, whether signed in or not.
    Login,
}

/// A request that is in order.
#[derive(Debug)]
struct Request {
    client_id: String,
    redirect_uri: String,
    state: Option<String>,
    nonce: Option<String>,
    code_challenge: String,
    prompt: Prompt,
    max_age: Option<Duration>,
    login_hint: Option<String>,
}

/// A request that is not.
enum Refusal {
    /// It cannot be told to the client, because the client or its address is not known (RFC 6749 §4.1.2.1).
    Page(&'static str),
    /// It is told to the client.
    Client { redirect_uri: String, state: Option<String>, error: &'static str, description: &'static str },
}

impl Refusal {
    fn response(self, idp: &Idp) -> Response {
        match self {
            Self::Page(why) => views::problem(StatusCode::BAD_REQUEST, why),
            Self::Client { redirect_uri, state, error, description } => {
                let pairs = [("error", error), ("error_description", description)];
                redirect(idp, &redirect_uri, state.as_deref(), &pairs)
            }
        }
    }
}

impl Request {
    fn parse(query: &str, known: &State) -> Result<(Self, Client), Refusal> {
        let Some(mut given) = parameters(query) else {
            return Err(Refusal::Page("A parameter of the sign-in request was given twice."));
        };
        let Some(client) = given.get("client_id").and_then(|id| known.client(id)).cloned() else {
            return Err(Refusal::Page("The application that sent you here is not known."));
        };
        let Some(redirect_uri) = given.remove("redirect_uri").filter(|uri| client.redirect_uris.contains(uri)) else {
            return Err(Refusal::Page("The application wants to be answered at an address that it did not register."));
        };
        let state = given.remove("state");
        let refuse = |error, description| Refusal::Client {
            redirect_uri: redirect_uri.clone(),
            state: state.clone(),
            error,
            description,
        };

        if given.get("response_type").is_none_or(|kind| kind != "code") {
            return Err(refuse("unsupported_response_type", "only the code flow is there"));
        }
        if !given.get("scope").is_some_and(|scope| scope.split(' ').any(|word| word == "openid")) {
            return Err(refuse("invalid_scope", "openid is missing"));
        }
        let challenge = given.remove("code_challenge").filter(|text| text.len() == 43);
        let (Some(code_challenge), Some("S256")) = (challenge, given.get("code_challenge_method").map(String::as_str))
        else {
            return Err(refuse("invalid_request", "PKCE with S256 is required"));
        };
        let words: Vec<&str> = given.get("prompt").map_or("", String::as_str).split_whitespace().collect();
        let prompt = match words.as_slice() {
            ["none"] => Prompt::None,
            words if words.contains(&"none") => return Err(refuse("invalid_request", "none stands alone")),
            words if words.contains(&"login") || words.contains(&"select_account") => Prompt::Login,
            _ => Prompt::Any,
        };
        let max_age = match given.get("max_age").map(|text| text.parse().map(Duration::from_secs)) {
            Some(Err(_)) => return Err(refuse("invalid_request", "max_age is not a number")),
            Some(Ok(age)) => Some(age),
            None => None,
        };
        let (nonce, login_hint) = (given.remove("nonce"), given.remove("login_hint"));
        let client_id = client.id.clone();
        let request = Self { client_id, redirect_uri, state, nonce, code_challenge, prompt, max_age, login_hint };
        Ok((request, client))
    }

    /// True if the standing session is not good enough (OpenID Connect Core §3.1.2.1, `prompt` and `max_age`).
    fn wants_new_login(&self, session: &Session, now: Timestamp) -> bool {
        let too_old = |age: Duration| age.is_zero() || now.since(session.auth_time) > age;
        self.prompt == Prompt::Login || self.max_age.is_some_and(too_old)
    }

    fn grant(&self, session: &Session, now: Timestamp) -> Grant {
        Grant {
            client_id: self.client_id.clone(),
            redirect_uri: self.redirect_uri.clone(),
            code_challenge: self.code_challenge.clone(),
            nonce: self.nonce.clone(),
            user: session.user.clone(),
            sid: session.sid.clone(),
            auth_time: session.auth_time,
            until: now.plus(CODE_LIFE),
            spent_on: None,
        }
    }

    fn answer(&self, idp: &Idp, pairs: &[(&str, &str)]) -> Response {
        redirect(idp, &self.redirect_uri, self.state.as_deref(), pairs)
    }
}

/// Sends the browser back with these parameters, `state` and `iss` (RFC 9207 §2).
fn redirect(idp: &Idp, redirect_uri: &str, state: Option<&str>, pairs: &[(&str, &str)]) -> Response {
    let Ok(mut url) = url::Url::parse(redirect_uri) else {
        return views::problem(StatusCode::BAD_REQUEST, "The application's address is not a web address.");
    };
    url.query_pairs_mut().extend_pairs(pairs).extend_pairs(state.map(|state| ("state", state)));
    url.query_pairs_mut().append_pair("iss", idp.issuer().as_str());
    views::see_other(url.as_str())
}

/// The parameters of a query or form; `None` if one is given twice (RFC 6749 §3.1).
pub(super) fn parameters(text: &str) -> Option<HashMap<String, String>> {
    let mut all = HashMap::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        if all.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(all)
}

/// How long a code can be exchanged.
const CODE_LIFE: Duration = Duration::from_secs(60);
