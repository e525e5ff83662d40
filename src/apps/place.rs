//! Where an app makes tokens, and where it takes them back in a body.

use std::time::Duration;

use super::CanonicalPath;

/// What is known of the tokens that an app makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minting {
    /// Where it makes and takes them.
    pub places: Vec<Place>,
    /// Request headers besides `Authorization` that bear them, in lower case.
    pub headers: Vec<String>,
    /// How long a token is good, counted from the assertion that it grew from, however often it is refreshed.
    pub max_age: Duration,
}

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which paths.
    pub path: Pattern,
    /// What is sealed in an answer.
    pub response: Vec<Field>,
    /// What is opened in the body of a request.
    pub request: Vec<Field>,
}

/// Where in a message a token stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// In a JSON body, at this pointer (RFC 6901), one name per step, unescaped.
    Pointer(Vec<String>),
    /// In a form, under this name.
    Form(String),
    /// In the address that an answer redirects to, as the query parameter of this name.
    Redirect(String),
}

impl Field {
    /// Reads `/access_token` (JSON pointer), `access_token` (form field) or `?code` (parameter of a redirect).
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |name: &str| {
            let fits = !name.is_empty() && name.len() <= 100;
            (fits && !name.contains(['/', '?', '&', '=', ' '])).then(|| name.to_owned())
        };
        match text.strip_prefix('?') {
            Some(name) => plain(name).map(Self::Redirect),
            None if text.starts_with('/') => {
                let steps = text.split('/').skip(1).map(unescape).collect::<Option<Vec<_>>>()?;
                (steps.len() <= MAX_STEPS).then_some(Self::Pointer(steps))
            }
            None => plain(text).map(Self::Form),
        }
    }
}

impl std::fmt::Display for Field {
    /// As it is written in the config.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pointer(steps) => {
                steps.iter().try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
            }
            Self::Form(name) => f.write_str(name),
            Self::Redirect(name) => write!(f, "?{name}"),
        }
    }
}

/// Steps of a pointer. Nobody's token lies deeper.
const MAX_STEPS: usize = 16;

/// One step of a pointer (RFC 6901 §3): `~1` is a slash, `~0` a tilde.
fn unescape(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        match part.chars().next() {
            Some('0') => out.push('~'),
            Some('1') => out.push('/'),
            Some(_) | None => return None,
        }
        out.push_str(part.get(1..)?);
    }
    Some(out)
}

/// Paths, segment by segment; `*` stands for any one segment. Read as loosely as an app might read them (case, path
/// parameters, a slash at the end): what is overlooked here goes out unsealed, and never comes back as a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<String>);

impl Pattern {
    /// The pattern; `None` where the text is no canonical path.
    pub fn parse(text: &str) -> Option<Self> {
        let path = CanonicalPath::parse(text).ok()?;
        let same = path.as_str() == text && !text.contains(';');
        same.then(|| Self(segments(text).map(str::to_ascii_lowercase).collect()))
    }

    /// Whether `path` is one of these.
    pub fn matches(&self, path: &CanonicalPath) -> bool {
        let mut given = segments(path.as_str());
        let all = self
            .0
            .iter()
            .all(|wanted| given.next().is_some_and(|segment| wanted == "*" || segment.eq_ignore_ascii_case(wanted)));
        all && given.next().is_none()
    }
}

/// The segments of a path that name something, without parameters.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.split(';').next()).filter(|name| !name.is_empty())
}

impl Minting {
    /// The places that `path` is one of.
    pub fn at<'a>(&'a self, path: &'a CanonicalPath) -> impl Iterator<Item = &'a Place> {
        self.places.iter().filter(|place| place.path.matches(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_pointer_a_form_field_or_a_parameter() {
        let pointer = |steps: &[&str]| Some(Field::Pointer(steps.iter().map(|s| (*s).to_owned()).collect()));
        for (text, expected) in [
            ("/token", pointer(&["token"])),
            ("/data/0/token", pointer(&["data", "0", "token"])),
            ("/a~1b/~0c", pointer(&["a/b", "~c"])),
            ("/", pointer(&[""])),
            ("/a~2", None),
            ("/a~", None),
            ("refresh_token", Some(Field::Form("refresh_token".into()))),
            ("?code", Some(Field::Redirect("code".into()))),
            ("", None),
            ("?", None),
            ("a b", None),
            ("?a&b", None),
        ] {
            assert_eq!(Field::parse(text), expected, "`{text}`");
            assert!(expected.is_none_or(|field| field.to_string() == text), "`{text}` is shown as it is written");
        }
        assert_eq!(Field::parse(&"/a".repeat(MAX_STEPS + 1)), None);
    }

    #[test]
    fn a_pattern_names_paths_in_every_spelling_that_an_app_may_read_alike() {
        let users = Pattern::parse("/api/users/*/tokens").expect("pattern");
        for (path, expected) in [
            ("/api/users/ann/tokens", true),
            ("/API/Users/ann/Tokens/", true),
            ("/api;x/users/ann;y=1/tokens;z", true),
            ("/api/users/tokens", false),
            ("/api/users/ann/tokens/7", false),
            ("/", false),
        ] {
            assert_eq!(users.matches(&CanonicalPath::parse(path).expect("path")), expected, "`{path}`");
        }
        for bad in ["api", "/a/../b", "/a//b", "/a;b", ""] {
            assert_eq!(Pattern::parse(bad), None, "`{bad}`");
        }
    }
}
