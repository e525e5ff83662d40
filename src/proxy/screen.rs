//! The first look at a request: is it one that every program reads the same way? Anything else is refused before a
//! decision is made, and the app never sees it.

use http::{Method, StatusCode, header, request::Parts};

use crate::apps::{BadPath, CanonicalPath, Host};
use crate::decision::Client;

/// A request that can be decided on.
#[derive(Debug)]
pub(super) struct Screened {
    pub(super) host: Host,
    pub(super) path: CanonicalPath,
    pub(super) client: Client,
    /// The declared length of the body, if it is declared.
    pub(super) length: Option<u64>,
}

/// Why a request is refused unread.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Unclear {
    /// No host, several hosts, or none that is a name.
    Host,
    /// A method that no app needs through a gateway (TRACE), or that is none.
    Method,
    /// See [`BadPath`].
    Path(BadPath),
    /// The header block is larger than the bound.
    HeaderBlock,
    /// The length of the body is said in two ways, or in one that is read in two.
    Length,
}

impl Unclear {
    /// The status that says so.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Path(_) | Self::Length => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::HeaderBlock => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }

    /// What is wrong, in words for the person who sent it.
    pub(super) fn sentence(self) -> String {
        match self {
            Self::Host => "It does not name one host.".to_owned(),
            Self::Method => "Its method is not allowed here.".to_owned(),
            Self::Path(why) => format!("Its address is not clear: {why}."),
            Self::HeaderBlock => {
                "Its headers are too large. Deleting the cookies of this site usually helps.".to_owned()
            }
            Self::Length => "It says the length of its body in two ways.".to_owned(),
        }
    }

    /// The word for metrics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Host => "bad_host",
            Self::Method => "bad_method",
            Self::Path(_) => "bad_path",
            Self::HeaderBlock => "header_block",
            Self::Length => "bad_length",
        }
    }
}

/// Looks at a request's head. `raw_path` is the path as it came, without query.
pub(super) fn screen(parts: &Parts, raw_path: &[u8], max_header_bytes: usize) -> Result<Screened, Unclear> {
    let block: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if block > max_header_bytes {
        return Err(Unclear::HeaderBlock);
    }
    if !is_known(&parts.method) {
        return Err(Unclear::Method);
    }
    let raw = std::str::from_utf8(raw_path).map_err(|_| Unclear::Path(BadPath::Character))?;
    // A raw `#` is no part of any request target (RFC 9112 §3.2); what follows it would be dropped by some readers.
    let raw = raw.split('?').next().unwrap_or_default();
    let (authority, raw) = absolute(raw).map_or((None, raw), |(authority, path)| (Some(authority), path));
    let host = host(parts, authority)?;
    let path = CanonicalPath::parse(raw).map_err(Unclear::Path)?;
    Ok(Screened { host, path, client: Client::of(&parts.method, &parts.headers), length: length(parts)? })
}

/// The methods that are forwarded: those of HTTP and WebDAV. CONNECT and TRACE make a proxy do something else.
fn is_known(method: &Method) -> bool {
    const MORE: [&str; 16] = [
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "REPORT",
        "SEARCH",
        "ACL",
        "MKCALENDAR",
        "CHECKIN",
        "CHECKOUT",
        "BIND",
        "UNBIND",
        "QUERY",
    ];
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE | Method::OPTIONS | Method::PATCH
    ) || MORE.contains(&method.as_str())
}

/// The authority and the path of a target in absolute form, which every server must take (RFC 9112 §3.2.2).
fn absolute(raw: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = raw.split_once("://")?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    match rest.find('/') {
        Some(at) => rest.split_at_checked(at),
        None => Some((rest, "/")),
    }
}

/// The one host that the request names, in `Host`, in an absolute target, and on HTTP/2 in `:authority`.
fn host(parts: &Parts, absolute: Option<&str>) -> Result<Host, Unclear> {
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (field, None) => field.map(|f| f.to_str().map_err(|_| Unclear::Host)).transpose()?,
        (_, Some(_)) => return Err(Unclear::Host),
    };
    let named = [absolute, parts.uri.authority().map(http::uri::Authority::as_str), field];
    let mut hosts = named.into_iter().flatten().map(|text| Host::parse(text).ok_or(Unclear::Host));
    let first = hosts.next().ok_or(Unclear::Host)??;
    for other in hosts {
        if other? != first {
            return Err(Unclear::Host);
        }
    }
    Ok(first)
}

fn length(parts: &Parts) -> Result<Option<u64>, Unclear> {
    let lengths: Vec<_> = parts.headers.get_all(header::CONTENT_LENGTH).iter().collect();
    let codings: Vec<_> = parts.headers.get_all(header::TRANSFER_ENCODING).iter().collect();
    match codings.as_slice() {
        [] => {}
        // Any other coding would be undone by some programs and passed on by others.
        [one] if lengths.is_empty() && one.as_bytes().eq_ignore_ascii_case(b"chunked") => return Ok(None),
        _ => return Err(Unclear::Length),
    }
    match lengths.as_slice() {
        [] => Ok(None),
        [one] => {
            let digits = one.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            digits.and_then(|text| text.parse().ok()).map(Some).ok_or(Unclear::Length)
        }
        _ => Err(Unclear::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).expect("request").into_parts().0
    }

    fn look(method: &str, uri: &str, raw: &str, headers: &[(&str, &str)]) -> Result<(String, String), Unclear> {
        screen(&parts(method, uri, headers), raw.as_bytes(), 1024)
            .map(|s| (s.host.as_str().to_owned(), s.path.as_str().to_owned()))
    }

    #[test]
    fn a_clear_request_has_one_host_one_path_and_one_length() {
        let host = ("host", "A.example:8080");
        let clear = |path: &str| Ok(("a.example".to_owned(), path.to_owned()));
        let large = "x".repeat(2000);
        for (name, method, uri, raw, headers, expected) in [
            ("plain", "GET", "/x?y=//z", "/x?y=//z", vec![host], clear("/x")),
            ("dots", "GET", "/a/../b", "/a/../b", vec![host], clear("/b")),
            ("HTTP/2", "GET", "https://a.example/x", "/x", vec![], clear("/x")),
            ("HTTP/2 with Host", "GET", "https://a.example/x", "/x", vec![host], clear("/x")),
            ("HTTP/2, other Host", "GET", "https://b.example/x", "/x", vec![host], Err(Unclear::Host)),
            ("absolute", "GET", "/x", "http://a.example/x?y", vec![host], clear("/x")),
            ("absolute, no path", "GET", "/", "HTTP://A.example:80?y", vec![host], clear("/")),
            ("absolute, other Host", "GET", "/x", "http://b.example/x", vec![host], Err(Unclear::Host)),
            ("absolute, no Host", "GET", "/x", "http:///x", vec![host], Err(Unclear::Host)),
            (
                "absolute, of another kind",
                "GET",
                "/x",
                "ftp://a.example/x",
                vec![host],
                Err(Unclear::Path(BadPath::NotAbsolute)),
            ),
            ("no host", "GET", "/x", "/x", vec![], Err(Unclear::Host)),
            ("empty host", "GET", "/x", "/x", vec![("host", "")], Err(Unclear::Host)),
            ("two hosts", "GET", "/x", "/x", vec![host, host], Err(Unclear::Host)),
            ("TRACE", "TRACE", "/x", "/x", vec![host], Err(Unclear::Method)),
            ("CONNECT", "CONNECT", "a.example:443", "", vec![host], Err(Unclear::Method)),
            ("invented", "HELLO", "/x", "/x", vec![host], Err(Unclear::Method)),
            ("WebDAV", "PROPFIND", "/x", "/x", vec![host], clear("/x")),
            ("star", "OPTIONS", "*", "*", vec![host], Err(Unclear::Path(BadPath::NotAbsolute))),
            ("fragment", "GET", "/x", "/x#/y", vec![host], Err(Unclear::Path(BadPath::Character))),
            ("encoded slash", "GET", "/a%2fb", "/a%2fb", vec![host], Err(Unclear::Path(BadPath::EncodedSeparator))),
            (
                "CL and TE",
                "POST",
                "/x",
                "/x",
                vec![host, ("content-length", "1"), ("transfer-encoding", "chunked")],
                Err(Unclear::Length),
            ),
            (
                "two CL",
                "POST",
                "/x",
                "/x",
                vec![host, ("content-length", "1"), ("content-length", "1")],
                Err(Unclear::Length),
            ),
            ("signed CL", "POST", "/x", "/x", vec![host, ("content-length", "+1")], Err(Unclear::Length)),
            ("chunked", "POST", "/x", "/x", vec![host, ("transfer-encoding", "Chunked")], clear("/x")),
            (
                "coded twice",
                "POST",
                "/x",
                "/x",
                vec![host, ("transfer-encoding", "gzip, chunked")],
                Err(Unclear::Length),
            ),
            (
                "two TE",
                "POST",
                "/x",
                "/x",
                vec![host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                Err(Unclear::Length),
            ),
            ("one CL", "POST", "/x", "/x", vec![host, ("content-length", "1")], clear("/x")),
            ("large", "GET", "/x", "/x", vec![host, ("cookie", large.as_str())], Err(Unclear::HeaderBlock)),
        ] {
            assert_eq!(look(method, uri, raw, &headers), expected, "{name}");
        }
    }
}
