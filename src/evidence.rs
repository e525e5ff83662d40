//! The credentials that a request carries, read once.
//!
//! Whatever is not whole is no credential: a cookie that is truncated, doubled, foreign or over is the same as none, and
//! a request without credential is nobody's.

mod bearer;
mod imprint;
mod root;

use std::ops::Range;
use std::sync::Arc;

use http::HeaderMap;
use http::header::COOKIE;

pub use self::bearer::{Borne, Reading, Scheme, has_mark, in_body, in_headers};
pub use self::imprint::{Imprint, Sort};
pub use self::root::{Root, oldest};
use crate::apps::App;
use crate::lineage::Lineage;
use crate::revalidation::Freshness;
use crate::seal::{KeyRing, OpenError};
use crate::session::{self, Over, Person, Session};
use crate::time::Timestamp;

/// Cookies of one request: as many as a browser keeps per site, so that no parts of ours push a person out. A request with
/// more is somebody's experiment.
pub const MAX_COOKIES: usize = 180;

/// Why cookies that look like a session are none.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// More cookies than [`MAX_COOKIES`], or bytes that are no cookie.
    Malformed,
    /// The parts of the session do not fit together.
    Scattered,
    /// The seal does not open.
    Seal(OpenError),
    /// It is a session with an IdP that this app does not use.
    OtherIdp,
    /// It is over by itself.
    Over(Over),
}

impl Unusable {
    /// The word for logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_cookie",
            Self::Scattered => "scattered_session",
            Self::Seal(OpenError::Malformed) => "no_seal",
            Self::Seal(OpenError::UnknownKey) => "unknown_key",
            Self::Seal(OpenError::Refused) => "broken_seal",
            Self::OtherIdp => "other_idp",
            Self::Over(Over::Expired) => "expired",
            Self::Over(Over::Idle) => "idle",
        }
    }
}

/// What a request's cookies show of who is behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    #[default]
    Nothing,
    /// Something that is no session.
    Unusable(Unusable),
    /// A session of this app's IdP that is not over by itself.
    Session {
        /// The session.
        session: Box<Session>,
        /// Its cookie should be sealed again: the idle limit moves on.
        renew: bool,
    },
}

/// Who made a token.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Maker {
    /// The app, during a session: the token was opened out of our seal.
    App,
    /// The IdP: an access token (RFC 9068, RFC 7662).
    Idp,
}

/// A token that a request bears (RFC 6750): read, verified and not over by itself; not yet judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Who made it.
    pub maker: Maker,
    /// Where it comes from, with every handle that it can be revoked by.
    pub lineage: Lineage,
    /// Whom it is for.
    pub person: Arc<Person>,
    /// When it ends at the latest.
    pub ends_at: Timestamp,
    /// What tells it from others.
    pub imprint: Imprint,
}

impl Bearer {
    /// What is judged of it. What the app made lives on, after a re-establishment, once its person has signed in again: in
    /// the session beside it or, at `returned_at`, anywhere else. What the IdP made says for itself when that was.
    pub fn judged(&self, session: Option<&Session>, returned_at: Option<Timestamp>) -> Lineage {
        let back = match self.maker {
            Maker::App => session.map(|session| session.asserted_at).max(returned_at),
            Maker::Idp => None,
        };
        back.map_or_else(|| self.lineage.clone(), |moment| self.lineage.reestablished_at(moment))
    }
}

/// What a request shows of who is behind it: everything of it must be clear (law 5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What its cookies show.
    pub shown: Shown,
    /// Every token that it bears.
    pub bearers: Vec<Bearer>,
    /// It bears something that is no token, or none any more.
    pub bad_token: Option<BadToken>,
    /// How long ago the IdP last spoke for its session, as far as that matters.
    pub freshness: Freshness,
}

/// What is wrong with what a request bears. Both are doubt, and deny.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// The token is none, over, or not for this app.
    Token,
    /// The token may be good; what should prove that it is its owner's is not (RFC 9449).
    Proof,
}

impl From<Shown> for Evidence {
    fn from(shown: Shown) -> Self {
        Self { shown, ..Self::default() }
    }
}

impl Evidence {
    /// The session, if there is one.
    pub fn session(&self) -> Option<&Session> {
        match &self.shown {
            Shown::Session { session, .. } => Some(session),
            Shown::Nothing | Shown::Unusable(_) => None,
        }
    }

    /// True if everything in it is one person's.
    pub fn is_of_one_person(&self) -> bool {
        let Some((first, others)) = self.bearers.split_first() else { return true };
        others.iter().all(|other| other.lineage.is_of_the_same_person(&first.lineage))
            && self.session().is_none_or(|session| Lineage::of(session).is_of_the_same_person(&first.lineage))
    }

    /// Whom it shows; of several the session knows best.
    pub fn person(&self) -> Option<&Arc<Person>> {
        self.session().map(|session| &session.person).or_else(|| self.bearers.first().map(|bearer| &bearer.person))
    }
}

/// All cookies of a request, in order, over all its `Cookie` fields (HTTP/2 splits them, RFC 9113 §8.2.3).
/// `None` if there are too many or a field is not text.
pub fn cookies(headers: &HeaderMap) -> Option<Vec<(&str, &str)>> {
    let mut found = Vec::new();
    for field in headers.get_all(COOKIE) {
        let text = field.to_str().ok()?;
        for pair in pairs(text.as_bytes()).filter_map(|pair| text.get(pair)) {
            if found.len() == MAX_COOKIES {
                return None;
            }
            let equals = pair.bytes().position(|byte| byte == b'=');
            let (name, value) =
                equals.and_then(|at| Some((pair.get(..at)?, pair.get(at + 1..)?))).unwrap_or(("", pair));
            found.push((name.trim_ascii_end(), value.trim_ascii_start()));
        }
    }
    Some(found)
}

/// Where in a `Cookie` field each cookie stands, without the blanks around it. What is empty is none.
pub fn pairs(field: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let ends = memchr::memchr_iter(b';', field).chain([field.len()]);
    let parts = ends.scan(0, |next, end| Some(std::mem::replace(next, end + 1)..end));
    let trimmed = |part: Range<usize>| {
        let text = field.get(part.clone())?;
        let blanks = text.len() - text.trim_ascii_start().len();
        Some(part.start + blanks..part.start + blanks + text.trim_ascii().len())
    };
    parts.filter_map(trimmed).filter(|pair| !pair.is_empty())
}

/// Collects what the [`cookies`] of a request for `app` show.
pub fn collect(
    cookies: Option<&[(&str, &str)]>,
    app: &App,
    ring: &KeyRing,
    settings: &session::Settings,
    now: Timestamp,
) -> Shown {
    match session(cookies, app, ring, settings, now) {
        Ok(None) => Shown::Nothing,
        Ok(Some((session, renew))) => Shown::Session { session: Box::new(session), renew },
        Err(why) => Shown::Unusable(why),
    }
}

fn session(
    cookies: Option<&[(&str, &str)]>,
    app: &App,
    ring: &KeyRing,
    settings: &session::Settings,
    now: Timestamp,
) -> Result<Option<(Session, bool)>, Unusable> {
    let cookies = cookies.ok_or(Unusable::Malformed)?.iter().copied();
    let Some(sealed) = session::gather(cookies).map_err(|session::Scattered| Unusable::Scattered)? else {
        return Ok(None);
    };
    let session = Session::open(ring, app.origin.host().as_str(), &sealed).map_err(Unusable::Seal)?;
    if session.idp != app.idp {
        return Err(Unusable::OtherIdp);
    }
    if let Some(over) = session.over(settings, now) {
        return Err(Unusable::Over(over));
    }
    let renew = session.wants_renewal(settings, now);
    Ok(Some((session, renew)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::{Identity, Issuer};
    use crate::session::SessionId;

    const SETTINGS: session::Settings =
        session::Settings { max_age: Duration::from_secs(3600), idle: Duration::from_secs(600) };

    fn ring() -> KeyRing {
        let key = crate::seal::generate_key().expect("key");
        KeyRing::parse([key.expose().as_str()]).expect("ring").expect("one key")
    }

    fn sealed(ring: &KeyRing, idp: &str) -> String {
        let identity = Identity {
            issuer: Issuer::parse("https://idp.example.com").expect("issuer"),
            subject: "ann".into(),
            sid: None,
            email: None,
            phone: None,
            preferred_username: None,
            groups: vec![],
            tenant: None,
            device: None,
            asserted_at: Timestamp::from_secs(1000),
            auth_time: None,
            session_expiry: None,
        };
        let now = Timestamp::from_secs(1000);
        let session = Session::begin(SessionId([1; 16]), idp, &identity, vec![], ring, now);
        session.seal(ring, "wiki.example").expect("sealed").remove(0).1
    }

    fn look(ring: &KeyRing, fields: &[&str], now: u64) -> Shown {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, http::HeaderValue::from_bytes(field.as_bytes()).expect("value"));
        }
        let app = crate::apps::tests::app("wiki", "https://wiki.example");
        collect(cookies(&headers).as_deref(), &app, ring, &SETTINGS, Timestamp::from_secs(now))
    }

    #[test]
    fn only_a_whole_session_is_evidence() {
        let ring = ring();
        let name = session::COOKIE;
        let good = sealed(&ring, "corp");
        let cookie = format!("{name}={good}");
        let with_others = format!("a=b; {cookie}; c");
        let quoted = format!("{name}=\"{good}\"");
        let cut = cookie.get(..cookie.len() - 3).expect("ascii").to_owned();
        let other_idp = format!("{name}={}", sealed(&ring, "other"));
        let many = "a=b; ".repeat(MAX_COOKIES + 1);
        let over = Unusable::Over;
        for (what, fields, now, expected) in [
            ("nothing", vec![], 1000, Ok(false)),
            ("other cookies", vec!["a=b"], 1000, Ok(false)),
            ("a session", vec![cookie.as_str()], 1000, Ok(true)),
            ("among others", vec![with_others.as_str()], 1000, Ok(true)),
            ("split by HTTP/2", vec!["a=b", cookie.as_str()], 1000, Ok(true)),
            ("empty", vec!["__Host-portcullis="], 1000, Err(Unusable::Seal(OpenError::Malformed))),
            ("no value", vec!["__Host-portcullis"], 1000, Ok(false)),
            ("quoted", vec![quoted.as_str()], 1000, Err(Unusable::Seal(OpenError::Malformed))),
            ("cut short", vec![cut.as_str()], 1000, Err(Unusable::Seal(OpenError::Refused))),
            ("twice", vec![cookie.as_str(), cookie.as_str()], 1000, Err(Unusable::Scattered)),
            ("bytes", vec!["__Host-portcullis=\u{e9}"], 1000, Err(Unusable::Malformed)),
            ("too many", vec![many.as_str()], 1000, Err(Unusable::Malformed)),
            ("another IdP's", vec![other_idp.as_str()], 1000, Err(Unusable::OtherIdp)),
            ("idle", vec![cookie.as_str()], 1600, Err(over(Over::Idle))),
            ("expired", vec![cookie.as_str()], 9000, Err(over(Over::Expired))),
        ] {
            let found = match look(&ring, &fields, now) {
                Shown::Nothing => Ok(false),
                Shown::Session { .. } => Ok(true),
                Shown::Unusable(Unusable::Seal(OpenError::Malformed)) if what == "cut short" => {
                    Err(Unusable::Seal(OpenError::Refused)) // base64 of another length may fail to decode first
                }
                Shown::Unusable(why) => Err(why),
            };
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn a_used_session_asks_for_renewal_once_a_tenth_of_the_idle_limit() {
        let ring = ring();
        let cookie = format!("{}={}", session::COOKIE, sealed(&ring, "corp"));
        for (now, renew) in [(1000, false), (1059, false), (1060, true), (1599, true)] {
            match look(&ring, &[&cookie], now) {
                Shown::Session { renew: asked, .. } => assert_eq!(asked, renew, "at {now}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
