//! A token that an app made: it leaves sealed, and only what is sealed comes back.
//!
//! An opaque token is replaced by a seal around it. A JWT keeps its three segments, because clients look into them, and
//! gets the seal as a fourth: that is bound to the three and carries everything but them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Lineage, VERSION};
use crate::apps::App;
use crate::jose;
use crate::seal::{KeyRing, OpenError, Purpose};
use crate::session::{Person, Reader};
use crate::time::Timestamp;

/// What a sealed token, or its last segment, starts with. No base64url text of chance does: `_` at that place would need
/// the three letters before it, too, and then the seal does not open.
const MARK: &str = "pct1_";
/// Bytes of a token that is sealed. With its lineage it must fit into a header block.
const MAX_TOKEN: usize = 16 * 1024;

/// A token of an app, as it stands inside the seal.
#[derive(Clone, PartialEq, Eq)]
pub struct AppToken {
    /// Where it comes from: the session in which the first of its line was made.
    pub lineage: Lineage,
    /// Whom it is for.
    pub person: Arc<Person>,
    /// When it ends, whatever happens.
    pub ends_at: Timestamp,
    /// What the app gave out.
    pub value: String,
}

impl std::fmt::Debug for AppToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppToken")
            .field("lineage", &self.lineage)
            .field("ends_at", &self.ends_at)
            .finish_non_exhaustive()
    }
}

/// True for a token that bears our mark, whether it opens or not.
pub fn is_sealed(token: &str) -> bool {
    token.rsplit('.').next().is_some_and(|last| last.starts_with(MARK))
}

impl AppToken {
    /// Seals it for the realm of `app`. `None` if it is too large, or the system has no randomness to give.
    pub fn seal(&self, ring: &KeyRing, app: &App) -> Option<String> {
        if self.value.len() > MAX_TOKEN {
            return None;
        }
        let outside = if is_jwt(&self.value) { self.value.as_str() } else { "" };
        let mut out = Vec::with_capacity(512);
        out.push(VERSION);
        self.lineage.write(&mut out)?;
        out.extend_from_slice(&self.ends_at.secs().to_be_bytes());
        self.person.write(&mut out)?;
        if outside.is_empty() {
            out.extend_from_slice(self.value.as_bytes());
        }
        let sealed = ring.seal_under(self.lineage.key, Purpose::Token, &context(app, outside), &out)?;
        let joint = if outside.is_empty() { "" } else { "." };
        Some(format!("{outside}{joint}{MARK}{sealed}"))
    }

    /// Opens what [`AppToken::seal`] made for the same realm.
    pub fn open(ring: &KeyRing, app: &App, token: &str) -> Result<Self, OpenError> {
        let (outside, last) = token.rsplit_once('.').unwrap_or(("", token));
        let sealed = last.strip_prefix(MARK).ok_or(OpenError::Malformed)?;
        let opened = ring.open(Purpose::Token, &context(app, outside), sealed)?;
        let read = || {
            let mut at = Reader(&opened.text);
            if at.byte()? != VERSION {
                return None;
            }
            let lineage = Lineage::read(&mut at, opened.key)?;
            let (ends_at, person) = (at.time()?, Arc::new(Person::read(&mut at)?));
            let inside = std::str::from_utf8(at.0).ok()?;
            // Either stands inside or outside, never both.
            let value = match (outside, inside) {
                ("", inside) => inside,
                (outside, "") => outside,
                _ => return None,
            };
            Some(Self { lineage, person, ends_at, value: value.to_owned() })
        };
        read().ok_or(OpenError::Malformed)
    }
}

/// What a seal is bound to: who may read it, and what of the token stands outside.
fn context(app: &App, outside: &str) -> String {
    format!("{}\n{outside}", app.realm)
}

/// True for what a client would take for a JWT: three segments of base64url, the first a JSON object that names an
/// algorithm (RFC 7519 §7.2).
fn is_jwt(token: &str) -> bool {
    let mut segments = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return false;
    };
    let base64url = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    base64url(payload)
        && base64url(signature)
        && URL_SAFE_NO_PAD
            .decode(header)
            .ok()
            .and_then(|bytes| jose::object_without_duplicates(&bytes))
            .is_some_and(|header| header.contains_key("alg"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::tests::{NOW, WHO, ring, session};

    fn app(name: &str) -> App {
        crate::apps::tests::app(name, "https://wiki.example")
    }

    fn token(ring: &KeyRing, value: &str) -> AppToken {
        let session = session(ring, WHO[0], NOW);
        AppToken { lineage: Lineage::of(&session), person: session.person, ends_at: NOW, value: value.to_owned() }
    }

    /// `{"alg":"RS256"}`, `{}`, `sig`.
    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";

    #[test]
    fn a_token_comes_back_as_it_went_out() {
        let ring = ring();
        for value in ["x", "ghp_0123456789", "a.b", "a.b.c", "e30.e30.e30", "\u{e9} \"", JWT] {
            let token = token(&ring, value);
            let sealed = token.seal(&ring, &app("wiki")).expect("sealed");
            assert!(is_sealed(&sealed), "`{sealed}`");
            assert_eq!(sealed.starts_with(&format!("{JWT}.")), value == JWT, "`{sealed}`");
            // One letter may stand in any seal.
            assert!(value == "x" || sealed.contains(value) == (value == JWT), "`{sealed}`");
            assert_eq!(AppToken::open(&ring, &app("wiki"), &sealed), Ok(token), "`{value}`");
        }
        assert_eq!(token(&ring, &"x".repeat(MAX_TOKEN + 1)).seal(&ring, &app("wiki")), None);
    }

    #[test]
    fn a_seal_that_is_not_whole_or_of_another_app_is_no_token() {
        let (ours, others) = (ring(), ring());
        for value in ["opaque", JWT] {
            let sealed = token(&ours, value).seal(&ours, &app("wiki")).expect("sealed");
            let opened = |ring: &KeyRing, name: &str, text: &str| AppToken::open(ring, &app(name), text).is_ok();
            assert!(opened(&ours, "wiki", &sealed));
            assert!(!opened(&ours, "mail", &sealed), "another app's");
            assert!(!opened(&others, "wiki", &sealed), "another ring's");
            for cut in 1..sealed.len() {
                let (start, end) = sealed.split_at(cut);
                assert!(!opened(&ours, "wiki", start), "cut at {cut}");
                assert!(!opened(&ours, "wiki", end), "begun at {cut}");
            }
            assert!(!opened(&ours, "wiki", &format!("{sealed}{sealed}")), "doubled");
            assert!(!opened(&ours, "wiki", &format!("{sealed}.{sealed}")), "doubled");
            assert!(!opened(&ours, "wiki", &format!("{JWT}.x.{sealed}")), "another outside");
        }
        let sealed = token(&ours, JWT).seal(&ours, &app("wiki")).expect("sealed");
        let (_, last) = sealed.rsplit_once('.').expect("segments");
        let other = format!("eyJhbGciOiJSUzI1NiJ9.e31.c2ln.{last}");
        assert!(AppToken::open(&ours, &app("wiki"), &other).is_err(), "a seal moved to another JWT");
        assert!(AppToken::open(&ours, &app("wiki"), last).is_err(), "a seal without its JWT");
    }
}
