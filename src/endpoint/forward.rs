//! Verdicts for other proxies: they ask before they serve, and do as they are told.
//!
//! | path | the original request stands in | allowed | to sign in | refused |
//! |---|---|---|---|---|
//! | `/oauth2/auth` | nothing: the host alone counts | 202 | 401 | 401 |
//! | `/oauth2/auth/nginx` | `X-Original-URL`, `X-Original-Method` | 200 | 401, `Location` for pages | 403 |
//! | `/oauth2/auth/traefik`, `/caddy`, `/haproxy` | `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` | 200 | 302 for pages, else 401 | 403 |
//! | `/oauth2/auth/envoy/…` | the request line, behind that prefix, and `Host` | 200 | 302 for pages, else 401 | 403 |
//!
//! Each family has a path of its own, so that no header of one is ever read as another's. What is said of the original
//! request is believed from configured proxies only.
//!
//! To all of them a 2xx means "let it in", so nothing here answers 2xx but a permit: gRPC, whose refusals travel under
//! status 200, is answered by status like everybody else.
//!
//! The other proxy's streams are not exchanges of ours: a revocation ends the next request, not the stream that runs.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use percent_encoding::percent_decode_str;

use super::{Ask, Endpoints, PREFIX, answer, owns};
use crate::apps::{Allow, App, CanonicalPath, Host};
use crate::decision::{self, Client, Decision, Login};
use crate::evidence::Evidence;
use crate::identity::Email;
use crate::page::Page;
use crate::secret::Secret;
use crate::session::Person;

/// Where verdicts are asked for, below [`PREFIX`].
const AUTH: &str = "/auth";

/// Names under which every allowed request is introduced: user, e-mail, groups, preferred user name.
const INTRODUCTION: [&str; 4] =
    ["x-auth-request-user", "x-auth-request-email", "x-auth-request-groups", "x-auth-request-preferred-username"];

/// A proxy that asks, by how it tells what it was asked.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Family {
    /// `auth_request`: takes 2xx, 401 and 403 and nothing else; the config relays single headers.
    Nginx,
    /// Those that send `X-Forwarded-*` and relay an answer that is not 2xx as it is.
    Forwarded,
    /// HTTP `ext_authz`: sends the original request line behind a prefix, and relays what is not 200.
    Envoy,
}

/// Why nothing is decided.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Doubt {
    /// The path names no family.
    Family,
    /// Whoever asks is no configured proxy.
    Stranger,
    /// What was asked originally is not said, said twice, or no request.
    Original,
    /// The original path is not in its one form. What is decided on must be what is served, and the other proxy
    /// serves the bytes that it got.
    Path,
    /// The original request is for one of our own paths: those are sent to us, not asked about.
    OwnPath,
    /// The host is nobody's.
    Host,
    /// The query narrows by a word that we do not know.
    Query,
}

impl Doubt {
    /// The word for metrics and the machine-readable answer.
    const fn word(self) -> &'static str {
        match self {
            Self::Family => "unknown_family",
            Self::Stranger => "untrusted_proxy",
            Self::Original => "bad_original_request",
            Self::Path => "bad_path",
            Self::OwnPath => "own_path",
            Self::Host => "unknown_host",
            Self::Query => "bad_query",
        }
    }
}

/// The request that the other proxy holds back while it asks.
#[derive(Debug, PartialEq, Eq)]
struct Original {
    method: Method,
    host: Host,
    path: CanonicalPath,
    /// The path and query.
    target: String,
}

/// True if a request with this target asks for a verdict. Read off the raw bytes, before anything is made canonical:
/// the path behind Envoy's prefix is the client's, and its dot segments must not reach another endpoint.
pub(crate) fn asks_for_verdict(raw_target: &[u8]) -> bool {
    below_auth(raw_target).is_some()
}

/// What stands behind `/oauth2/auth`: nothing, a query, or a path.
fn below_auth(raw_target: &[u8]) -> Option<&[u8]> {
    let rest = raw_target.strip_prefix(PREFIX.as_bytes())?.strip_prefix(AUTH.as_bytes())?;
    matches!(rest.first(), None | Some(b'?' | b'/')).then_some(rest)
}

impl Endpoints {
    /// The verdict on the request that `head` asks about. `trusted`: whoever asks is a configured proxy.
    pub(crate) fn verdict(&self, head: &Parts, raw_target: &[u8], trusted: bool) -> Response<Bytes> {
        let rest = below_auth(raw_target).and_then(|rest| std::str::from_utf8(rest).ok());
        match rest {
            Some(rest) if rest.is_empty() || rest.starts_with('?') => self.plain(head, query_of(rest)),
            Some(rest) => match original(rest, head, trusted) {
                Ok((family, original, narrowed)) => self.typed(family, &original, &narrowed, head),
                Err(doubt) => self.doubted(doubt),
            },
            None => self.doubted(Doubt::Family),
        }
    }

    /// `/oauth2/auth`: whoever shows a session of the host's app that admits them, whatever the path.
    fn plain(&self, head: &Parts, query: &str) -> Response<Bytes> {
        let app = host_of(head).and_then(|host| self.0.apps.any_of(&host));
        let (Some(app), Some(narrowed)) = (app, narrowed(query)) else {
            return answer::empty(StatusCode::UNAUTHORIZED);
        };
        let evidence = self.evidence(&head.headers, app);
        let admitted = evidence.session().filter(|session| {
            self.0.enforcer.judge(&session.credential(app.key)).is_clear()
                && app.allow.admits(&session.person)
                && narrowed.admits(&session.person)
        });
        let response = admitted.and_then(|session| {
            let mut response = answer::empty(StatusCode::ACCEPTED);
            introduce(&mut response, Some(&session.person), &INTRODUCTION)?;
            answer::set_cookies(&mut response, &self.renewed_cookies(&evidence, app, None));
            Some(response)
        });
        response.unwrap_or_else(|| answer::empty(StatusCode::UNAUTHORIZED))
    }

    /// The typed endpoints: the same decision as for a request of our own, told as the family can take it.
    fn typed(&self, family: Family, original: &Original, narrowed: &Allow, head: &Parts) -> Response<Bytes> {
        let Some(app) = self.0.apps.find(&original.host, &original.path) else { return self.doubted(Doubt::Host) };
        let client = client(&original.method, head);
        let (path, target) = (&original.path, original.target.as_str());
        let ask = Ask { headers: &head.headers, method: &original.method, path, client, target };
        let evidence = self.evidence(&head.headers, app);
        let standing = evidence.session().map(|s| self.0.enforcer.judge(&s.credential(app.key))).unwrap_or_default();
        let origin = head.headers.get(header::ORIGIN).map(|o| o.to_str().unwrap_or("unreadable"));
        let decision = decision::decide(&decision::Request { client, path, origin }, app, &evidence, standing);
        tracing::debug!(app = app.name, method = %ask.method, path = %path, decision = decision.word(), "decided for a proxy");
        match decision {
            Decision::Forward(permit) => {
                let person = permit.person();
                if person.is_some_and(|person| !narrowed.admits(person)) {
                    return self.refuse(family, decision::Refusal::NotAllowed.word(), app, person, client);
                }
                self.allowed(family, app, person, &evidence)
            }
            Decision::Login(login) => {
                if login.cause.is_revocation() {
                    self.0.metrics.request_blocked(login.cause.word());
                    self.record_refusal(&ask, app, &evidence, standing);
                }
                self.to_sign_in(family, &login, app, &ask)
            }
            Decision::Refuse(refusal) => {
                self.refuse(family, refusal.word(), app, evidence.session().map(|s| &s.person), client)
            }
        }
    }

    /// 200, with who it is under our names and under those that the app knows.
    fn allowed(&self, family: Family, app: &App, person: Option<&Person>, evidence: &Evidence) -> Response<Bytes> {
        let mut response = answer::empty(StatusCode::OK);
        let profile = app.headers.names();
        let told = introduce(&mut response, person, &INTRODUCTION)
            .and_then(|()| profile.map_or(Some(()), |names| introduce(&mut response, person, &names)));
        if told.is_none() {
            return self.doubted(Doubt::Original);
        }
        answer::set_cookies(&mut response, &self.renewed_cookies(evidence, app, Some(family)));
        response
    }

    /// 302 where the family relays it and a browser shows a page; else 401 with the same address.
    fn to_sign_in(&self, family: Family, login: &Login, app: &App, ask: &Ask<'_>) -> Response<Bytes> {
        let url = self.start_url(app, Self::way_back(login, app, ask).as_str());
        let page = login.client == Client::Navigation;
        if page && family != Family::Nginx {
            let mut response = answer::redirect(&url, &[]);
            answer::forget(&mut response, login.cause);
            return response;
        }
        // Never the answer for gRPC: its status is 200.
        let mut response = answer::challenge(app, login.cause, Client::Fetch, &url);
        if let (true, Ok(location)) = (page, HeaderValue::from_str(&url)) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    /// 403, as a page where the family relays it and a browser shows it.
    fn refuse(
        &self,
        family: Family,
        word: &'static str,
        app: &App,
        person: Option<&Person>,
        client: Client,
    ) -> Response<Bytes> {
        self.0.metrics.request_blocked(word);
        let reader = match (family, client) {
            (Family::Forwarded | Family::Envoy, Client::Navigation) => Client::Navigation,
            _ => Client::Fetch,
        };
        let name = person.map(|person| person.email.as_deref().unwrap_or(&person.subject));
        answer::either(reader, StatusCode::FORBIDDEN, word, &Page::forbidden(&app.name, name, "/oauth2/sign_out"))
    }

    /// 403, and nothing was decided.
    fn doubted(&self, doubt: Doubt) -> Response<Bytes> {
        self.0.metrics.request_blocked(doubt.word());
        answer::json(StatusCode::FORBIDDEN, &serde_json::json!({ "error": doubt.word() }))
    }

    /// The cookies of a session whose idle limit moves on, as far as the family can pass them on: nginx relays one
    /// `Set-Cookie`, and half of a session is none.
    fn renewed_cookies(&self, evidence: &Evidence, app: &App, family: Option<Family>) -> Vec<Secret<String>> {
        let cookies = self.renewed(evidence, app);
        if cookies.len() > 1 && matches!(family, None | Some(Family::Nginx)) {
            return vec![];
        }
        cookies.into_iter().map(Secret::new).collect()
    }
}

/// What was asked originally, by whom, and whom the query narrows it to.
fn original(rest: &str, head: &Parts, trusted: bool) -> Result<(Family, Original, Allow), Doubt> {
    let word = rest.strip_prefix('/').unwrap_or_default();
    let end = word.find(['/', '?']).unwrap_or(word.len());
    let (word, behind) = word.split_at_checked(end).ok_or(Doubt::Family)?;
    let family = match word {
        "nginx" => Family::Nginx,
        "traefik" | "caddy" | "haproxy" => Family::Forwarded,
        "envoy" => Family::Envoy,
        _ => return Err(Doubt::Family),
    };
    if !trusted {
        return Err(Doubt::Stranger);
    }
    if family == Family::Envoy {
        // The query is the client's: nothing in it narrows, or widens, anything.
        let host = host_of(head).ok_or(Doubt::Original)?;
        return Ok((family, rebuilt(&head.method, host, behind)?, Allow::default()));
    }
    if !(behind.is_empty() || behind.starts_with('?')) {
        return Err(Doubt::Family);
    }
    let narrowed = narrowed(query_of(behind)).ok_or(Doubt::Query)?;
    let one = |name: &str| only(head, name).ok_or(Doubt::Original);
    let (method, scheme, host, target) = if family == Family::Nginx {
        let (scheme, behind) = one("x-original-url")?.split_once("://").ok_or(Doubt::Original)?;
        let (host, target) =
            behind.split_at_checked(behind.find('/').ok_or(Doubt::Original)?).ok_or(Doubt::Original)?;
        (one("x-original-method")?, scheme, host, target)
    } else {
        let [method, scheme] = [one("x-forwarded-method")?, one("x-forwarded-proto")?];
        (method, scheme, one("x-forwarded-host")?, one("x-forwarded-uri")?)
    };
    if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(Doubt::Original);
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Doubt::Original)?;
    let host = Host::parse(host).ok_or(Doubt::Original)?;
    Ok((family, rebuilt(&method, host, target)?, narrowed))
}

/// The request of these parts, if every program reads it the same way.
fn rebuilt(method: &Method, host: Host, target: &str) -> Result<Original, Doubt> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Doubt::Original);
    }
    let raw = target.split('?').next().unwrap_or_default();
    let path = CanonicalPath::parse(raw).map_err(|_| Doubt::Path)?;
    // Escapes may be written in several ways. Segments that come and go are another path to some reader, and we
    // cannot put the one form in the place of what is served.
    if !percent_decode_str(raw).eq(percent_decode_str(path.as_str())) {
        return Err(Doubt::Path);
    }
    if owns(&path) {
        return Err(Doubt::OwnPath);
    }
    let target = match target.split_once('?') {
        Some((_, query)) => format!("{path}?{query}"),
        None => path.as_str().to_owned(),
    };
    Ok(Original { method: method.clone(), host, path, target })
}

/// The kind of client behind the other proxy. Hop-by-hop headers (`Upgrade`) are not always passed on with the
/// question; a WebSocket handshake has a header that is.
fn client(method: &Method, head: &Parts) -> Client {
    if head.headers.contains_key(header::SEC_WEBSOCKET_KEY) {
        Client::WebSocket
    } else {
        Client::of(method, &head.headers)
    }
}

/// Whom `allowed_groups`, `allowed_emails` and `allowed_email_domains` narrow the verdict to (comma separated). A word
/// of that kind that we do not know, or one without value, would widen it: `None`.
fn narrowed(query: &str) -> Option<Allow> {
    let mut allow = Allow::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let mut values = value.split(',').map(str::trim).filter(|value| !value.is_empty()).peekable();
        let list = match name.as_ref() {
            "allowed_groups" => &mut allow.groups,
            "allowed_emails" => {
                values.peek()?;
                for value in values {
                    allow.emails.push(Email::parse(value)?.as_str().to_owned());
                }
                continue;
            }
            "allowed_email_domains" => &mut allow.email_domains,
            other if other.starts_with("allowed") => return None,
            _ => continue,
        };
        values.peek()?;
        list.extend(values.map(|value| if name == "allowed_groups" { value.to_owned() } else { value.to_lowercase() }));
    }
    Some(allow)
}

/// Writes who it is under `names`: user, e-mail, groups, preferred user name. What is not known is written empty, so
/// that a proxy which only overwrites cannot pass on what the client wrote there. `None` if it is no header text.
fn introduce(response: &mut Response<Bytes>, person: Option<&Person>, names: &[&'static str; 4]) -> Option<()> {
    let name = person.and_then(|p| p.preferred_username.as_deref());
    let subject = person.map(|p| p.subject.as_str());
    // As the app is told when we forward ourselves: some profiles show the name where there is one.
    let user = if names.first().is_some_and(|n| n.contains("remote")) { name.or(subject) } else { subject };
    let groups = person.map(|p| p.groups.join(","));
    let values = [user, person.and_then(|p| p.email.as_deref()), groups.as_deref(), name];
    for (header, value) in names.iter().zip(values) {
        let value = HeaderValue::from_bytes(value.unwrap_or_default().as_bytes()).ok()?;
        response.headers_mut().insert(HeaderName::from_static(header), value);
    }
    Some(())
}

/// The one value of a header; `None` if there is none, or more than one.
fn only<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    let mut values = head.headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    value.to_str().ok()
}

/// The one host that the question itself names.
fn host_of(head: &Parts) -> Option<Host> {
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let field = head.headers.contains_key(header::HOST).then(|| only(head, header::HOST.as_str()));
    match (authority, field) {
        (Some(authority), None) => Host::parse(authority),
        (None, Some(field)) => Host::parse(field?),
        (Some(authority), Some(field)) => {
            Host::parse(field?).filter(|host| Host::parse(authority).as_ref() == Some(host))
        }
        (None, None) => None,
    }
}

fn query_of(rest: &str) -> &str {
    rest.strip_prefix('?').unwrap_or_default()
}

#[cfg(test)]
mod tests;
