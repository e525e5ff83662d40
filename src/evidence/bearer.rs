//! The tokens that a request bears: which of them are the app's own, out of our seal, and which are the IdP's.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{BadToken, Bearer, Imprint, Maker, Sort};
use crate::apps::{Access, App, Field};
use crate::lineage::{self, AppToken, Fault, Media, is_sealed};
use crate::seal::KeyRing;
use crate::time::Timestamp;

/// With what tokens are read.
#[derive(Copy, Clone, Debug)]
pub struct Reading<'a> {
    /// The app that the request is for.
    pub app: &'a App,
    /// What opens seals.
    pub ring: &'a KeyRing,
    /// What was proven at or before this moment cannot be judged any more (law 10).
    pub horizon: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// How whoever bears an access token shows that it is theirs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// By having it (RFC 6750).
    Bearer,
    /// By a key (RFC 9449).
    Dpop,
}

/// What a request bears.
#[derive(Clone, Default)]
pub struct Borne {
    /// Tokens of the app's that were opened.
    pub bearers: Vec<Bearer>,
    /// What goes to the app instead of the headers that bore them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What goes to the app instead of the body, if tokens stood in it.
    pub body: Option<Vec<u8>>,
    /// An access token that only the IdP can speak for.
    pub access: Option<(Scheme, String)>,
    /// Why something that it bears is no token.
    pub bad: Option<BadToken>,
    /// Why seals did not open, for metrics.
    pub faults: Vec<&'static str>,
}

impl std::fmt::Debug for Borne {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Borne").field("bearers", &self.bearers.len()).field("bad", &self.bad).finish_non_exhaustive()
    }
}

/// Reads the headers of a request. `by` is what its path asks for.
pub fn in_headers(headers: &HeaderMap, by: Access, with: &Reading<'_>) -> Borne {
    let mut borne = Borne::default();
    let app = with.app;
    let takes = app.minting.is_some() || matches!(by, Access::Bearer | Access::Either);
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    match (fields.next(), fields.next()) {
        (None, _) => {}
        (Some(value), None) => borne.authorization(value, by, with),
        // RFC 9110 §5.3 allows one. Which of several an app would believe, nobody knows.
        (Some(_), Some(_)) if takes || headers.get_all(AUTHORIZATION).iter().any(has_mark) => borne.is_bad("doubled"),
        (Some(_), Some(_)) => {}
    }
    for name in app.minting.iter().flat_map(|minting| &minting.headers) {
        let mut values = headers.get_all(name).iter();
        let Some(first) = values.next() else { continue };
        let (Some(text), None) = (first.to_str().ok(), values.next()) else {
            borne.is_bad("doubled");
            continue;
        };
        if let (Some(value), Ok(name)) = (borne.open(text.trim(), with), HeaderName::try_from(name)) {
            borne.put(name, &value);
        }
    }
    borne
}

/// Reads the body of a request at a place where the app takes tokens. What is no body of its kind bears nothing: it goes
/// to the app as it is, with no seal opened.
pub fn in_body<'a>(
    borne: &mut Borne,
    content_type: &str,
    body: &[u8],
    fields: impl Iterator<Item = &'a Field>,
    with: &Reading<'_>,
) {
    let Some(media) = Media::of(content_type) else { return };
    borne.body = lineage::replace(media, body, fields, |text| (!text.is_empty()).then(|| borne.open(text, with))?);
}

impl Borne {
    fn authorization(&mut self, value: &HeaderValue, by: Access, with: &Reading<'_>) {
        let app = with.app;
        let Ok(text) = value.to_str() else {
            if app.minting.is_some() {
                self.is_bad("malformed");
            }
            return;
        };
        let text = text.trim();
        let (scheme, token) = match text.split_once(' ') {
            Some((scheme, token)) => (scheme, token.trim()),
            None if is_sealed(text) => ("", text),
            None => (text, ""),
        };
        let known = if scheme.eq_ignore_ascii_case("bearer") {
            Some(Scheme::Bearer)
        } else {
            scheme.eq_ignore_ascii_case("dpop").then_some(Scheme::Dpop)
        };
        if scheme.eq_ignore_ascii_case("basic") {
            self.basic(token, with);
        } else if is_sealed(token) {
            if let Some(value) = self.open(token, with) {
                let joint = if scheme.is_empty() { "" } else { " " };
                self.put(AUTHORIZATION, &format!("{scheme}{joint}{value}"));
            }
        } else if let (Some(known), Access::Bearer | Access::Either, true) = (known, by, app.bearer.is_some()) {
            self.access = Some((known, token.to_owned()));
        } else if known.is_some() && (app.minting.is_some() || matches!(by, Access::Bearer | Access::Either)) {
            // What should be sealed and is not never becomes valid.
            self.is_bad("no_seal");
        }
    }

    /// A token in the place of a password, or of a name (RFC 7617).
    fn basic(&mut self, encoded: &str, with: &Reading<'_>) {
        let Some(pair) = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else { return };
        let Some((name, password)) = pair.split_once(':') else { return };
        if !is_sealed(name) && !is_sealed(password) {
            return;
        }
        let mut open = |text: &str| if is_sealed(text) { self.open(text, with) } else { Some(text.to_owned()) };
        if let (Some(name), Some(password)) = (open(name), open(password)) {
            self.put(AUTHORIZATION, &format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))));
        }
    }

    /// What the app gave out for `text`; nothing for what does not count, and then the request is doubtful.
    fn open(&mut self, text: &str, with: &Reading<'_>) -> Option<String> {
        if !is_sealed(text) {
            self.is_bad("no_seal");
            return None;
        }
        let (Some(minting), opened) = (&with.app.minting, AppToken::open(with.ring, with.app, text)) else {
            self.is_bad("no_seal");
            return None;
        };
        let token = match opened {
            Ok(token) => token,
            Err(why) => {
                self.is_bad(Fault::Seal(why).word());
                return None;
            }
        };
        // The limit is applied again here, so that shortening it in the config takes effect on tokens that are out.
        let ends_at = token.ends_at.min(token.lineage.asserted_at.plus(minting.max_age));
        if with.now >= ends_at || token.lineage.proven_at() <= with.horizon {
            self.bad = self.bad.or(Some(BadToken::Token));
            return None;
        }
        let imprint = Imprint::of_token(Sort::AppToken, text);
        let person = Arc::clone(&token.person);
        let bearer = Bearer { maker: Maker::App, lineage: token.lineage, person, ends_at, imprint };
        self.bearers.push(bearer);
        Some(token.value)
    }

    fn put(&mut self, name: HeaderName, value: &str) {
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.push((name, value));
            }
            // The app gave it out in a body; it is no header text.
            Err(_) => self.is_bad("malformed"),
        }
    }

    fn is_bad(&mut self, why: &'static str) {
        self.bad = self.bad.or(Some(BadToken::Token));
        self.faults.push(why);
    }
}

/// True if a token that bears our mark stands in a header's value, whether it opens or not.
pub fn has_mark(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| text.split([' ', ',']).any(is_sealed))
}
