//! Where a browser goes after its login: a path of the same app, and nothing that any reader could take for more.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use url::Url;

/// Bytes of a return path. It travels in a cookie, sealed and in base64url, next to the rest of the flow.
const MAX_LEN: usize = 2048;
/// How often a path is decoded before it is believed: some servers decode twice, and one more for the doubt.
const READINGS: usize = 4;
/// The gateway's own endpoints: going back to one of them would sign out, or start over.
const OWN_PREFIX: &str = "/oauth2";

/// A path and query of one app, as it stands in a `Location` header. INVARIANT: starts with exactly one slash, and a
/// browser that stands on the app resolves it to the app's own origin, however often it is percent-decoded.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReturnPath(String);

impl ReturnPath {
    /// The app's front page.
    pub fn front_page() -> Self {
        Self("/".to_owned())
    }

    /// The path that `text` (an `rd` parameter, a request target) names on the app at `origin`; the front page for
    /// everything that is not clearly a place on that app. The text is read as a browser reads it (WHATWG URL).
    pub fn parse(text: &str, origin: &Url) -> Self {
        resolve(text, origin).map_or_else(Self::front_page, Self)
    }

    /// The path and query.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ReturnPath {
    /// The path alone: a query may carry what must not be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.split('?').next().unwrap_or_default())
    }
}

fn resolve(text: &str, origin: &Url) -> Option<String> {
    if text.len() > MAX_LEN || text.chars().any(|c| c.is_control() || c == '\\') {
        return None;
    }
    let url = if text.starts_with('/') {
        one_slash(text)?;
        origin.join(text).ok()?
    } else {
        // Scheme and `//` spelt out: `https:evil.com` means different things with and without a base.
        text.split_once("://").filter(|(scheme, _)| scheme.eq_ignore_ascii_case(origin.scheme()))?;
        Url::parse(text).ok()?
    };
    let path = on_the_app(&url, origin)?;
    every_reading_stays(path, origin)?;
    let target = url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    (target.len() <= MAX_LEN).then_some(target)
}

/// The path of `url`, if it is a page of the app: same origin, nobody's name in it, one slash in front.
fn on_the_app<'a>(url: &'a Url, origin: &Url) -> Option<&'a str> {
    let plain = url.username().is_empty() && url.password().is_none();
    let path = url.path();
    (plain && url.origin() == origin.origin()).then(|| one_slash(path))??;
    let inside_own = path
        .get(..OWN_PREFIX.len())
        .filter(|head| head.eq_ignore_ascii_case(OWN_PREFIX))
        .and_then(|_| path.get(OWN_PREFIX.len()..))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (!inside_own).then_some(path)
}

/// Something starting with exactly one slash: two make a host of what follows, and blanks are dropped by some readers.
fn one_slash(path: &str) -> Option<()> {
    let next = path.strip_prefix('/')?.chars().next();
    next.is_none_or(|c| c != '/' && !c.is_whitespace()).then_some(())
}

/// Holds `path` to the same rules after each further decoding, because apps and intermediaries decode again.
fn every_reading_stays(path: &str, origin: &Url) -> Option<()> {
    let mut text = path.to_owned();
    for _ in 0..READINGS {
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if decoded == text {
            return Some(());
        }
        if decoded.chars().any(|c| c.is_control() || c == '\\') {
            return None;
        }
        one_slash(&decoded)?;
        on_the_app(&origin.join(&decoded).ok()?, origin)?;
        text = decoded;
    }
    // Still not at rest: nobody writes such a path in earnest.
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> Url {
        Url::parse("https://app.example.com").expect("url")
    }

    fn parsed(text: &str) -> String {
        ReturnPath::parse(text, &app()).as_str().to_owned()
    }

    /// What a browser makes of the answer: the URL in its address bar afterwards.
    fn lands_on(text: &str) -> Url {
        app().join(&parsed(text)).expect("resolves")
    }

    #[test]
    fn a_place_on_the_app_is_kept() {
        for (text, expected) in [
            ("/", "/"),
            ("/wiki", "/wiki"),
            ("/wiki/", "/wiki/"),
            ("/wiki?id=start&do=edit", "/wiki?id=start&do=edit"),
            ("/wiki?next=https://evil.com/", "/wiki?next=https://evil.com/"),
            ("/wiki?x=//evil.com", "/wiki?x=//evil.com"),
            ("/wiki?text=one%0Atwo", "/wiki?text=one%0Atwo"),
            ("/wiki#part", "/wiki"),
            ("/a/./b/../c", "/a/c"),
            ("/a//b", "/a//b"),
            ("/a%20b/c%2Fd", "/a%20b/c%2Fd"),
            ("/100%25", "/100%25"),
            ("/Über", "/%C3%9Cber"),
            ("/@user/repo", "/@user/repo"),
            ("/a:b@c", "/a:b@c"),
            ("/proxy/https://other.example.com/x", "/proxy/https://other.example.com/x"),
            ("/oauth2x/page", "/oauth2x/page"),
            ("/docs/oauth2/start", "/docs/oauth2/start"),
            ("?", "/"),
            ("https://app.example.com", "/"),
            ("https://app.example.com/", "/"),
            ("https://app.example.com/wiki?a=b#c", "/wiki?a=b"),
            ("https://app.example.com:443/wiki", "/wiki"),
            ("HTTPS://APP.example.COM/wiki", "/wiki"),
        ] {
            assert_eq!(parsed(text), expected, "`{text}`");
        }
    }

    #[test]
    fn whatever_could_lead_elsewhere_goes_to_the_front_page() {
        let long = format!("/{}", "a".repeat(MAX_LEN));
        let grown = format!("/{}", "ü".repeat(MAX_LEN / 3));
        for text in [
            // no path of the app
            "",
            " ",
            "wiki",
            "wiki/page",
            ".",
            "..",
            "./x",
            "../x",
            "#part",
            "?a=b",
            "*",
            // other origins, spelt out
            "http://evil.com",
            "https://evil.com",
            "https://evil.com/",
            "https://evil.com/https://app.example.com/",
            "https://evil.com?x=https://app.example.com/",
            "https://evil.com#https://app.example.com/",
            "http://app.example.com/",
            "https://app.example.com:8443/",
            "https://app.example.com.evil.com/",
            "https://evil-app.example.com/",
            "https://evilapp.example.com/",
            "https://example.com/",
            "https://sub.app.example.com/",
            "https://app.example.com./",
            "ftp://app.example.com/",
            "ws://app.example.com/",
            // names before the host
            "https://app.example.com@evil.com/",
            "https://app.example.com:443@evil.com/",
            "https://app.example.com%40evil.com/",
            "https://app.example.com%2f@evil.com/",
            "https://user@app.example.com/",
            "https://user:password@app.example.com/",
            "https://:@evil.com/",
            // no scheme, some scheme, half a scheme
            "//evil.com",
            "//evil.com/",
            "///evil.com",
            "////evil.com",
            "/////evil.com",
            "//app.example.com/",
            "//evil.com%2f@app.example.com/",
            "//evil%E3%80%82com",
            "//google\u{3002}com",
            "https:evil.com",
            "https:/evil.com",
            "https:///evil.com",
            "http:evil.com",
            "https:app.example.com",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "javascript://app.example.com/%0aalert(1)",
            "java\tscript:alert(1)",
            "data:text/html,<script>alert(1)</script>",
            "vbscript:x",
            "blob:https://app.example.com/x",
            "view-source:https://app.example.com/",
            "about:blank",
            "mailto:a@app.example.com",
            // backslashes that browsers read as slashes
            "/\\evil.com",
            "\\/evil.com",
            "\\\\evil.com",
            "/\\/evil.com",
            "//\\evil.com",
            "\\evil.com",
            "https:\\\\evil.com",
            "https://app.example.com\\@evil.com",
            "https://evil.com\\.app.example.com",
            "/x\\..\\..\\evil.com",
            "/%5cevil.com",
            "/%5Cevil.com",
            "/%5c%5cevil.com",
            "/%255cevil.com",
            "/x/%5cevil.com",
            // characters that browsers drop, and blanks that others trim
            "/\tevil.com",
            "/\t/evil.com",
            "/\n/evil.com",
            "/\r\n/evil.com",
            "\t//evil.com",
            " //evil.com",
            "/\u{0}/evil.com",
            "/\u{b}/evil.com",
            "/\u{7f}/evil.com",
            "/ /evil.com",
            "/\u{a0}/evil.com",
            "/\u{3000}/evil.com",
            "/\u{85}/evil.com",
            "/%09/evil.com",
            "/%0a/evil.com",
            "/%0D%0ALocation:%20https://evil.com",
            "/%0d/evil.com",
            "/%20/evil.com",
            "/%20evil.com",
            "/%2509/evil.com",
            "/%250a/evil.com",
            "/%00/evil.com",
            "/%C2%A0/evil.com",
            "/%E3%80%80/evil.com",
            "/x%0d%0aSet-Cookie:a=b",
            "https://app.example.com/\r\nSet-Cookie: a=b",
            // slashes that appear later
            "/%2fevil.com",
            "/%2Fevil.com",
            "/%2f%2fevil.com",
            "/%252fevil.com",
            "/%25252fevil.com",
            "/.//evil.com",
            "/..//evil.com",
            "/./..//evil.com",
            "/x/..//evil.com",
            "/x/../..//evil.com",
            "/%2e//evil.com",
            "/%2e%2e//evil.com",
            "/x/%2e%2e//evil.com",
            "/x/..%2f/evil.com",
            "/x%2f..%2f%2fevil.com",
            "/%252e%252e%252f%252fevil.com",
            "https://app.example.com//evil.com",
            "https://app.example.com/.//evil.com",
            "https://app.example.com/%2fevil.com",
            "https://app.example.com/\\evil.com",
            // ever more layers
            "/%25252525252525252fevil.com",
            // ourselves
            "/oauth2",
            "/oauth2/",
            "/oauth2/sign_out",
            "/oauth2/start?rd=/",
            "/oauth2/callback?code=x",
            "/OAuth2/sign_out",
            "/x/../oauth2/sign_out",
            "/./oauth2/sign_out",
            "/%6fauth2/sign_out",
            "/oauth2%2fsign_out",
            "/x/%2e%2e/oauth2/sign_out",
            "https://app.example.com/oauth2/sign_out",
            // more than a cookie holds
            &long,
            &grown,
        ] {
            assert_eq!(parsed(text), "/", "`{text}`");
        }
    }

    #[test]
    fn every_answer_lands_on_the_app_and_is_its_own_answer() {
        let alphabet = [
            "/",
            "\\",
            ".",
            "..",
            "%2f",
            "%5c",
            "%09",
            "%2e",
            "%25",
            ":",
            "@",
            "?",
            "#",
            " ",
            "\t",
            "evil.com",
            "https",
            "app.example.com",
            "oauth2",
            "a",
            "ü",
        ];
        // All texts of up to three such pieces, plain and after a slash.
        let mut texts = vec![String::new(), "/".to_owned()];
        let mut last = texts.clone();
        for _ in 0..3 {
            last = last.iter().flat_map(|t| alphabet.iter().map(move |piece| format!("{t}{piece}"))).collect();
            texts.extend(last.iter().cloned());
        }
        for text in texts {
            let landed = lands_on(&text);
            assert_eq!(landed.origin(), app().origin(), "`{text}`");
            let answer = parsed(&text);
            assert!(answer.starts_with('/') && !answer.starts_with("//"), "`{text}` gave `{answer}`");
            assert!(!landed.path().starts_with("/oauth2/"), "`{text}` gave `{answer}`");
            assert_eq!(parsed(&answer), answer, "`{text}`");
        }
    }

    #[test]
    fn an_app_on_loopback_has_its_port_in_its_origin() {
        let app = Url::parse("http://localhost:8080").expect("url");
        for (text, expected) in [
            ("http://localhost:8080/x", "/x"),
            ("http://localhost:8081/x", "/"),
            ("https://localhost:8080/x", "/"),
            ("http://localhost/x", "/"),
            ("/x", "/x"),
        ] {
            assert_eq!(ReturnPath::parse(text, &app).as_str(), expected, "`{text}`");
        }
    }
}
