//! What was asked originally: each family's way of saying it, read strictly or not at all.

use http::request::Parts;
use http::{Method, header};
use percent_encoding::percent_decode_str;

use crate::apps::{Allow, CanonicalPath, Host};
use crate::endpoint::{PREFIX, owns};
use crate::identity::Email;

/// Where verdicts are asked for, below [`PREFIX`].
const AUTH: &str = "/auth";

/// A proxy that asks, by how it tells what it was asked.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `auth_request`: takes 2xx, 401 and 403 and nothing else; the config relays single headers.
    Nginx,
    /// Those that send `X-Forwarded-*` and relay an answer that is not 2xx as it is.
    Forwarded,
    /// HTTP `ext_authz`: sends the original request line behind a prefix, and relays what is not 200.
    Envoy,
}

/// Why nothing is decided.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
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
    pub(super) const fn word(self) -> &'static str {
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
pub(super) struct Original {
    pub(super) method: Method,
    pub(super) host: Host,
    pub(super) path: CanonicalPath,
    /// The path and query.
    pub(super) target: String,
}

/// True if a request with this target asks for a verdict. Read off the raw bytes, before anything is made canonical:
/// the path behind Envoy's prefix is the client's, and its dot segments must not reach another endpoint.
pub(crate) fn asks_for_verdict(raw_target: &[u8]) -> bool {
    below_auth(raw_target).is_some()
}

/// What stands behind `/oauth2/auth`: nothing, a query, or a path.
pub(super) fn below_auth(raw_target: &[u8]) -> Option<&[u8]> {
    let rest = raw_target.strip_prefix(PREFIX.as_bytes())?.strip_prefix(AUTH.as_bytes())?;
    matches!(rest.first(), None | Some(b'?' | b'/')).then_some(rest)
}

/// What was asked originally, by whom, and whom the query narrows it to.
pub(super) fn original(rest: &str, head: &Parts, trusted: bool) -> Result<(Family, Original, Allow), Doubt> {
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

/// Whether an original request is understood, for the fuzz targets.
#[doc(hidden)]
pub fn reads_original(rest: &str, head: &Parts) -> bool {
    original(rest, head, true).is_ok()
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

/// Whom `allowed_groups`, `allowed_emails` and `allowed_email_domains` narrow the verdict to (comma separated). A word
/// of that kind that we do not know, or one without value, would widen it: `None`.
pub(super) fn narrowed(query: &str) -> Option<Allow> {
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

/// The one value of a header; `None` if there is none, or more than one.
fn only<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    let mut values = head.headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    value.to_str().ok()
}

/// The one host that the question itself names.
pub(super) fn host_of(head: &Parts) -> Option<Host> {
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

pub(super) fn query_of(rest: &str) -> &str {
    rest.strip_prefix('?').unwrap_or_default()
}

#[cfg(test)]
mod tests;
