//! The one place that writes answers of the gateway itself: pages for people, JSON for programs.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

use crate::apps::App;
use crate::decision::{Cause, Client, Login, TokenNeed};
use crate::jose::Alg;
use crate::login::Proof;
use crate::page::{self, Look, Page, Reader};
use crate::revocation::Explanation;
use crate::secret::Secret;
use crate::time::Timestamp;

/// After a termination the browser forgets what the app stored in it, and the service worker that would go on showing
/// cached pages. Not `"cookies"`: that clears the whole registrable domain, other apps included.
const CLEAR_SITE_DATA: &str = "\"cache\", \"storage\"";

/// A page. It is written where the answer goes out ([`written`]): only there it is known who reads it.
pub(super) fn page(status: StatusCode, page: &Page) -> Response<Bytes> {
    let mut response = of(status, "text/html; charset=utf-8", Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(page.policy()));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response.extensions_mut().insert(page.clone());
    response
}

/// `response` with its page, if it is one, in the words for that reader.
pub(super) fn written(mut response: Response<Bytes>, reader: &Reader, look: &Look) -> Response<Bytes> {
    let said = response.extensions_mut().remove::<Explanation>();
    let Some(page) = response.extensions_mut().remove::<Page>() else {
        return explained(response, said.as_ref(), reader, look);
    };
    *response.body_mut() = Bytes::from(page.html(reader, look));
    let headers = response.headers_mut();
    let language = HeaderValue::from_static(reader.language(look.language).tag());
    headers.insert(header::CONTENT_LANGUAGE, language);
    headers.append(header::VARY, HeaderValue::from_static("Accept-Language"));
    response
}

/// An answer to a program, with what `said` says to that reader.
fn explained(
    mut response: Response<Bytes>,
    said: Option<&Explanation>,
    reader: &Reader,
    look: &Look,
) -> Response<Bytes> {
    let language = reader.language(look.language);
    let Some((_, text)) = said.and_then(|said| page::said_to(said, reader, language)) else { return response };
    if let Ok(serde_json::Value::Object(mut body)) = serde_json::from_slice(response.body()) {
        body.insert("reason".to_owned(), json!(text));
        *response.body_mut() = Bytes::from(serde_json::Value::Object(body).to_string());
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Language"));
    }
    response
}

/// `response` with what is said to the person, for programs that show it.
pub(super) fn because(mut response: Response<Bytes>, said: Option<&Explanation>) -> Response<Bytes> {
    if let Some(said) = said {
        response.extensions_mut().insert(said.clone());
    }
    response
}

/// A JSON object.
pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Response<Bytes> {
    of(status, "application/json", Bytes::from(body.to_string()))
}

/// A page for a person, or a short JSON body with the same word for a program.
pub(super) fn either(client: Client, status: StatusCode, word: &str, html: &Page) -> Response<Bytes> {
    match client {
        Client::Navigation => page(status, html),
        Client::Fetch | Client::WebSocket => json(status, &json!({ "error": word })),
        Client::Grpc => grpc(if status == StatusCode::FORBIDDEN { 7 } else { 14 }, word),
    }
}

/// No body.
pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A redirect that turns every method into GET (RFC 9110 §15.4.4) and sets cookies on the way.
pub(super) fn redirect(location: &str, cookies: &[Secret<String>]) -> Response<Bytes> {
    let mut response = empty(StatusCode::FOUND);
    match HeaderValue::from_str(location) {
        Ok(location) => response.headers_mut().insert(header::LOCATION, location),
        Err(_) => return page(StatusCode::BAD_REQUEST, &Page::bad_request("The way to go on is no address.")),
    };
    set_cookies(&mut response, cookies);
    response
}

/// Adds `Set-Cookie` fields.
pub(super) fn set_cookies(response: &mut Response<Bytes>, cookies: &[Secret<String>]) {
    for cookie in cookies {
        if let Ok(mut value) = HeaderValue::from_str(cookie.expose()) {
            value.set_sensitive(true);
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
}

/// Tells a program to sign in, and where a person can.
pub(super) fn challenge(app: &App, login: &Login, login_url: &str, now: Timestamp) -> Response<Bytes> {
    let cause = login.cause;
    let mut response = match login.client {
        Client::Grpc => return grpc(16, cause.word()),
        Client::Navigation | Client::Fetch | Client::WebSocket => {
            json(StatusCode::UNAUTHORIZED, &json!({ "error": cause.word(), "login_url": login_url }))
        }
    };
    let challenge = match login.token {
        None => session_challenge(app, cause),
        Some(need) => bearer_challenge(app, need, login.proof, now),
    };
    challenged(&mut response, &challenge);
    forget(&mut response, cause);
    response
}

/// What a browser is told. RFC 9110 §11.6.1 asks for a challenge with every 401; no registered scheme means "our cookie".
pub(super) fn session_challenge(app: &App, cause: Cause) -> String {
    format!("Session realm=\"{}\", error=\"{}\"", app.name, cause.word())
}

/// Adds a challenge.
pub(super) fn challenged(response: &mut Response<Bytes>, challenge: &str) {
    if let Ok(value) = HeaderValue::from_str(challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
}

/// What a client is told that works with tokens (RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3).
fn bearer_challenge(app: &App, need: TokenNeed, proof: Proof, now: Timestamp) -> String {
    let told = match (need, proof) {
        (TokenNeed::Token, _) => None,
        (TokenNeed::Proof, _) => Some(("invalid_dpop_proof", "The proof of possession does not hold", None)),
        (TokenNeed::FreshLogin, Proof::NewerThan(cut_off) | Proof::Reassert(cut_off)) => {
            // A sign-in in the second of the cut-off counts as older (law 1).
            let max_age = now.since(cut_off).as_secs().saturating_sub(1);
            Some(("insufficient_user_authentication", "The person has to sign in again", Some(max_age)))
        }
        (TokenNeed::Other | TokenNeed::FreshLogin, _) => {
            Some(("invalid_token", "The token is revoked, over or none of ours", None))
        }
    };
    let by_key = need == TokenNeed::Proof || app.bearer.as_ref().is_some_and(|rules| rules.dpop);
    let mut challenge = format!("{} realm=\"{}\"", if by_key { "DPoP" } else { "Bearer" }, app.name);
    if let Some((error, description, max_age)) = told {
        challenge.push_str(&format!(", error=\"{error}\", error_description=\"{description}\""));
        if let Some(max_age) = max_age {
            challenge.push_str(&format!(", max_age=\"{max_age}\""));
        }
    }
    if by_key {
        challenge.push_str(&format!(", algs=\"{}\"", Alg::ALL.map(Alg::name).join(" ")));
    }
    challenge
}

/// Tells whoever bears a token that it is good, and not for this (RFC 6750 §3.1).
pub(super) fn insufficient_scope(app: &App, response: &mut Response<Bytes>) {
    let challenge = format!("Bearer realm=\"{}\", error=\"insufficient_scope\"", app.name);
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
}

/// Makes the browser forget what the app stored, where the session was terminated.
pub(super) fn forget(response: &mut Response<Bytes>, cause: Cause) {
    if cause == Cause::Terminated {
        response.headers_mut().insert("clear-site-data", HeaderValue::from_static(CLEAR_SITE_DATA));
    }
}

/// A gRPC answer without messages: status in the headers, HTTP status 200 (gRPC over HTTP/2, Trailers-Only).
fn grpc(status: u8, message: &str) -> Response<Bytes> {
    let mut response = of(StatusCode::OK, "application/grpc", Bytes::new());
    response.headers_mut().insert("grpc-status", HeaderValue::from(u16::from(status)));
    if let Ok(message) = HeaderValue::from_str(message) {
        response.headers_mut().insert("grpc-message", message);
    }
    response
}

fn of(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = empty(status);
    *response.body_mut() = body;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What pages load: `name` below our own path for such files.
pub(super) fn file(name: &str, method: &Method, look: &Look) -> Response<Bytes> {
    let mut response = match (name, &look.logo) {
        _ if !matches!(*method, Method::GET | Method::HEAD) => return empty(StatusCode::METHOD_NOT_ALLOWED),
        ("page.css", _) => of(StatusCode::OK, "text/css; charset=utf-8", Bytes::from(look.style())),
        ("logo", Some(logo)) => of(StatusCode::OK, logo.media_type, Bytes::copy_from_slice(&logo.bytes)),
        _ => return empty(StatusCode::NOT_FOUND),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    // A drawing that is opened by itself is a document; its scripts do not run.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
