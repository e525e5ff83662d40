//! Derived credentials: what an app made during a session carries, sealed into it, the handles by which it can be revoked.
//!
//! Nothing is stored here: any gateway with the key ring can open a cookie and judge it. Only the *names* of cookies that
//! were seen `HttpOnly` are remembered, so that a value whose seal was stripped does not pass.
//!
//! What is decided where:
//!
//! - Under a session a cookie of a guarded name reaches the app only out of its seal, and only for the person who signed
//!   in. What was planted or collected before the sign-in stays outside.
//! - Without session (public paths) there is nobody to seal for: cookies pass as the app made them, and are sealed when
//!   the app sets them again under a session.
//! - A value that the app sets again keeps its first lineage: a newer sign-in never launders an older app session.
//! - A cookie that the gateway can no longer judge, because revocations as old as it are forgotten, is over.

mod cookies;
mod set_cookie;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

pub use self::cookies::{Fault, Kept, Received, Scene, receive};
pub use self::set_cookie::{Dressed, dress};
use crate::apps::App;
use crate::identity::{AppKey, Identity, TargetKey, TargetKind};
use crate::revocation::Credential;
use crate::seal::{KeyId, KeyRing, OpenError, Purpose};
use crate::session::{Reader, Session, SessionId, put_text};
use crate::time::Timestamp;

/// A sealed value of ours starts with this: whatever does is opened or removed, under any name.
const MARK: &str = "pcl1.";
/// The version of the layout inside the seal.
const VERSION: u8 = 1;
/// Names that are remembered per app. Beyond it a cookie is still sealed, but its stripped seal would pass.
const MAX_NAMES: usize = 256;

/// Where a derived credential comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Who: a hash of IdP and subject that outlives the keys of the ring. Only ever made here, or read out of a seal.
    person: u128,
    /// The session in which it was made.
    pub session: SessionId,
    /// When the assertion behind that session was made.
    pub asserted_at: Timestamp,
    /// When the person had last proved who they are.
    pub auth_time: Option<Timestamp>,
    /// Every handle it can be revoked by.
    pub targets: Arc<[(TargetKind, TargetKey)]>,
    /// The key of the ring that hashed them. INVARIANT: what carries them is sealed under this key and no other, so that
    /// it ends when the key leaves the ring.
    pub key: KeyId,
}

impl Lineage {
    /// The lineage of what is made during `session`.
    pub fn of(session: &Session) -> Self {
        Self {
            person: person(session),
            session: session.id,
            asserted_at: session.asserted_at,
            auth_time: session.auth_time,
            targets: Arc::clone(&session.targets),
            key: session.key,
        }
    }

    /// The lineage of an access token that the IdP of that configured name gave for whom `identity` says. No session of
    /// ours stands behind it, but it is revoked as one of the same person's is. It is read anew at every request, so its
    /// targets are hashed under the newest key only.
    pub fn of_access_token(idp: &str, identity: &Identity, ring: &KeyRing) -> Self {
        Self {
            person: named(idp, &identity.subject),
            session: SessionId([0; 16]),
            asserted_at: identity.asserted_at,
            auth_time: identity.auth_time,
            targets: identity.targets().iter().map(|t| (t.kind, ring.hasher().key(t))).collect(),
            key: ring.newest(),
        }
    }

    /// What the revocation set judges.
    pub fn credential(&self, app: AppKey) -> Credential<'_> {
        Credential { targets: &self.targets, asserted_at: self.asserted_at, auth_time: self.auth_time, app }
    }

    /// The same, for as long as a newer assertion of the same person stands beside it: what had to be re-established
    /// is, what was terminated stays so.
    #[must_use]
    pub fn reestablished_by(&self, session: &Session) -> Self {
        self.reestablished_at(session.asserted_at)
    }

    /// The same, for somebody of whom there is an assertion of that moment.
    #[must_use]
    pub fn reestablished_at(&self, moment: Timestamp) -> Self {
        Self {
            asserted_at: self.asserted_at.max(moment),
            auth_time: self.auth_time.map(|proof| proof.min(self.asserted_at)),
            ..self.clone()
        }
    }

    /// True if both come from sessions of one person.
    pub const fn is_of_the_same_person(&self, other: &Self) -> bool {
        self.person == other.person
    }

    /// The earliest moment that a revocation of it may lie behind.
    fn proven_at(&self) -> Timestamp {
        self.auth_time.unwrap_or(self.asserted_at).min(self.asserted_at)
    }
}

/// Who a session is for, in 128 bits.
fn person(session: &Session) -> u128 {
    named(&session.idp, &session.person.subject)
}

/// Whom the IdP of that name calls `subject`, in 128 bits.
fn named(idp: &str, subject: &str) -> u128 {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    context.update(&(idp.len() as u64).to_be_bytes());
    context.update(idp.as_bytes());
    context.update(subject.as_bytes());
    context.finish().as_ref().iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

/// A cookie of an app, as it stands inside the seal.
#[derive(Clone, PartialEq, Eq)]
pub struct AppCookie {
    /// Where it comes from.
    pub lineage: Lineage,
    /// The `Path` under which the browser keeps it.
    path: String,
    /// The `Domain`, if the app named one.
    domain: String,
    /// What the app gave out, byte for byte.
    value: Vec<u8>,
}

impl std::fmt::Debug for AppCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppCookie").field("lineage", &self.lineage).field("path", &self.path).finish_non_exhaustive()
    }
}

impl AppCookie {
    /// Seals it as the cookie `name` of `app`. `None` if it has no layout, or the system no randomness to give.
    fn seal(&self, ring: &KeyRing, app: &App, name: &str) -> Option<String> {
        let lineage = &self.lineage;
        let mut out = Vec::with_capacity(256);
        out.push(VERSION);
        out.extend_from_slice(&lineage.person.to_be_bytes());
        out.extend_from_slice(&lineage.session.0);
        out.extend_from_slice(&lineage.asserted_at.secs().to_be_bytes());
        out.extend_from_slice(&lineage.auth_time.unwrap_or_default().secs().to_be_bytes());
        out.push(u8::try_from(lineage.targets.len()).ok()?);
        for (kind, key) in lineage.targets.iter() {
            out.push(*kind as u8);
            out.extend_from_slice(&key.0.to_be_bytes());
        }
        put_text(&mut out, &self.path)?;
        put_text(&mut out, &self.domain)?;
        out.extend_from_slice(&self.value);
        ring.seal_under(lineage.key, Purpose::Cookie, &context(app, name), &out).map(|sealed| format!("{MARK}{sealed}"))
    }

    /// Opens what [`AppCookie::seal`] made for the same app and name.
    fn open(ring: &KeyRing, app: &App, name: &str, value: &str) -> Result<Self, OpenError> {
        let sealed = value.strip_prefix(MARK).ok_or(OpenError::Malformed)?;
        let opened = ring.open(Purpose::Cookie, &context(app, name), sealed)?;
        Self::decode(&opened.text, opened.key).ok_or(OpenError::Malformed)
    }

    fn decode(bytes: &[u8], key: KeyId) -> Option<Self> {
        let mut at = Reader(bytes);
        if at.byte()? != VERSION {
            return None;
        }
        let person = u128::from_be_bytes(at.array()?);
        let session = SessionId(at.array()?);
        let (asserted_at, auth_time) = (at.time()?, at.time()?);
        let count = at.byte()?;
        let mut targets = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            targets.push((TargetKind::from_code(at.byte()?)?, TargetKey(u128::from_be_bytes(at.array()?))));
        }
        let auth_time = (auth_time > Timestamp::ZERO).then_some(auth_time);
        let lineage = Lineage { person, session, asserted_at, auth_time, targets: targets.into(), key };
        Some(Self { lineage, path: at.text()?, domain: at.text()?, value: at.0.to_vec() })
    }
}

/// What a seal is bound to. No app's name and no cookie's name has a line break.
fn context(app: &App, name: &str) -> String {
    format!("{}\n{name}", app.name)
}

/// The names of cookies that apps were seen to hide from scripts.
#[derive(Debug, Default)]
pub struct Names {
    /// Guards the names alone; held for one look-up or one entry.
    by_app: RwLock<HashMap<AppKey, HashSet<String>>>,
}

impl Names {
    /// Remembers `name`, unless the app has used up its share.
    pub fn remember(&self, app: &App, name: &str) {
        if self.guards(app, name) {
            return;
        }
        let mut by_app = self.by_app.write().unwrap_or_else(PoisonError::into_inner);
        let names = by_app.entry(app.key).or_default();
        if names.len() < MAX_NAMES {
            names.insert(name.to_owned());
        }
    }

    /// Whether a cookie of that name reaches `app` only out of a seal.
    pub fn guards(&self, app: &App, name: &str) -> bool {
        app.session_cookies.iter().any(|known| known == name)
            || self
                .by_app
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&app.key)
                .is_some_and(|names| names.contains(name))
    }
}

#[cfg(test)]
mod tests;
