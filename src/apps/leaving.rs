//! Where people sign out of an app by its own button.

use http::Method;

use super::{CanonicalPath, Prefix};

/// Requests by which people sign out of an app: `/logout`, `POST /logout`, `/doku.php?do=logout`.
///
/// Read to the letter. A spelling that is overlooked ends the app's own session only, as without any of this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutPath {
    /// By which method; none means any.
    method: Option<Method>,
    path: CanonicalPath,
    /// A query parameter that must be there, with its value, both decoded.
    parameter: Option<(String, String)>,
}

impl LogoutPath {
    /// Reads `[METHOD ]/path[?name=value]`; `None` for anything else, also for a path that is not in its one form.
    pub fn parse(text: &str) -> Option<Self> {
        let (method, target) = match text.split_once(' ') {
            Some((method, target)) => (Some(known(method)?), target),
            None => (None, text),
        };
        let (written, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let path = CanonicalPath::parse(written).ok().filter(|path| path.as_str() == written)?;
        let parameter = match query {
            None => None,
            Some(query) => {
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                let one = pairs.next().filter(|(name, value)| !name.is_empty() && !value.is_empty())?;
                if pairs.next().is_some() {
                    return None;
                }
                Some((one.0.into_owned(), one.1.into_owned()))
            }
        };
        Some(Self { method, path, parameter })
    }

    /// Whether a request is one of these.
    pub fn is(&self, method: &Method, path: &CanonicalPath, query: Option<&str>) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.path == *path
            && self.parameter.as_ref().is_none_or(|(name, value)| {
                form_urlencoded::parse(query.unwrap_or_default().as_bytes()).any(|(n, v)| n == *name && v == *value)
            })
    }

    /// Whether it lies in the app that lives below `prefix`.
    pub fn is_below(&self, prefix: &Prefix) -> bool {
        self.path.is_below(prefix)
    }
}

fn known(method: &str) -> Option<Method> {
    [Method::GET, Method::POST, Method::PUT, Method::DELETE].into_iter().find(|known| known.as_str() == method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_signs_out_by_path_and_by_what_else_was_written() {
        let path = |text| CanonicalPath::parse(text).expect("path");
        for (written, method, asked, query, expected) in [
            ("/logout", Method::GET, "/logout", None, true),
            ("/logout", Method::POST, "/logout", Some("x=1"), true),
            ("/logout", Method::GET, "/logout/", None, false),
            ("/logout", Method::GET, "/Logout", None, false),
            ("/logout", Method::GET, "/logout/now", None, false),
            ("POST /logout", Method::POST, "/logout", None, true),
            ("POST /logout", Method::GET, "/logout", None, false),
            ("/doku.php?do=logout", Method::GET, "/doku.php", Some("id=start&do=logout&sectok=1"), true),
            ("/doku.php?do=logout", Method::GET, "/doku.php", Some("do=%6Cogout"), true),
            ("/doku.php?do=logout", Method::GET, "/doku.php", Some("do=show&x=do=logout"), false),
            ("/doku.php?do=logout", Method::GET, "/doku.php", None, false),
            ("GET /a/?sign=out", Method::GET, "/a/", Some("sign=out"), true),
        ] {
            let read = LogoutPath::parse(written).expect(written);
            assert_eq!(read.is(&method, &path(asked), query), expected, "`{written}`: {method} {asked} {query:?}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            "logout",
            "https://a.example/logout",
            "/a/../logout",
            "//logout",
            "/log out",
            "post /logout",
            "PATCH /logout",
            "POST  /logout",
            "/logout?",
            "/logout?do",
            "/logout?=x",
            "/logout?a=b&c=d",
            "/logout#top",
        ] {
            assert_eq!(LogoutPath::parse(text), None, "`{text}`");
        }
    }
}
