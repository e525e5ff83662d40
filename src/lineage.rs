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
//! - Apps of one realm open each other's cookies, and nobody else's; each judges for itself.
//! - A value that is too large for one cookie travels in several. Whatever is not whole is not there.
//! - A cookie that the gateway can no longer judge, because revocations as old as it are forgotten, is over.

mod body;
mod cookies;
mod parts;
mod set_cookie;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

pub use self::body::{Media, replace, replace_in_address};
pub use self::cookies::{Fault, Kept, Received, Scene, receive};
pub use self::set_cookie::{Dressed, dress};
pub use self::token::{AppToken, is_sealed};
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
/// The same, of a cookie that the browser keeps apart per top-level site (CHIPS).
const PARTITIONED: u8 = 2;
/// Names that are remembered per realm. Beyond it a cookie is still sealed, but its stripped seal would pass.
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

    /// The same, for somebody of whom there is an assertion of that moment: what had to be re-established before it is,
    /// what was terminated stays so.
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
    pub fn proven_at(&self) -> Timestamp {
        self.auth_time.unwrap_or(self.asserted_at).min(self.asserted_at)
    }

    /// Writes it into a layout. `None` if it has more targets than the layout can hold.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        out.extend_from_slice(&self.person.to_be_bytes());
        out.extend_from_slice(&self.session.0);
        out.extend_from_slice(&self.asserted_at.secs().to_be_bytes());
        out.extend_from_slice(&self.auth_time.unwrap_or_default().secs().to_be_bytes());
        out.push(u8::try_from(self.targets.len()).ok()?);
        for (kind, key) in self.targets.iter() {
            out.push(*kind as u8);
            out.extend_from_slice(&key.0.to_be_bytes());
        }
        Some(())
    }

    /// Reads what [`Lineage::write`] wrote, out of a seal under `key`.
    pub(crate) fn read(at: &mut Reader<'_>, key: KeyId) -> Option<Self> {
        let person = u128::from_be_bytes(at.array()?);
        let session = SessionId(at.array()?);
        let (asserted_at, auth_time) = (at.time()?, at.time()?);
        let count = at.byte()?;
        let mut targets = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            targets.push((TargetKind::from_code(at.byte()?)?, TargetKey(u128::from_be_bytes(at.array()?))));
        }
        let auth_time = (auth_time > Timestamp::ZERO).then_some(auth_time);
        Some(Self { person, session, asserted_at, auth_time, targets: targets.into(), key })
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
    /// Whether it is `Partitioned`.
    partitioned: bool,
    /// What the app gave out, byte for byte.
    value: Vec<u8>,
}

impl std::fmt::Debug for AppCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppCookie").field("lineage", &self.lineage).field("path", &self.path).finish_non_exhaustive()
    }
}

impl AppCookie {
    /// Seals it as the cookie `name` of the realm of `app`. `None` if it has no layout, or the system no randomness to give.
    fn seal(&self, ring: &KeyRing, app: &App, name: &str) -> Option<String> {
        let lineage = &self.lineage;
        let mut out = Vec::with_capacity(256);
        out.push(if self.partitioned { PARTITIONED } else { VERSION });
        lineage.write(&mut out)?;
        put_text(&mut out, &self.path)?;
        put_text(&mut out, &self.domain)?;
        out.extend_from_slice(&self.value);
        ring.seal_under(lineage.key, Purpose::Cookie, &context(app, name), &out).map(|sealed| format!("{MARK}{sealed}"))
    }

    /// Opens what [`AppCookie::seal`] made for the same realm and name.
    fn open(ring: &KeyRing, app: &App, name: &str, value: &str) -> Result<Self, OpenError> {
        let sealed = value.strip_prefix(MARK).ok_or(OpenError::Malformed)?;
        let opened = ring.open(Purpose::Cookie, &context(app, name), sealed)?;
        Self::decode(&opened.text, opened.key).ok_or(OpenError::Malformed)
    }

    fn decode(bytes: &[u8], key: KeyId) -> Option<Self> {
        let mut at = Reader(bytes);
        let partitioned = match at.byte()? {
            VERSION => false,
            PARTITIONED => true,
            _ => return None,
        };
        let lineage = Lineage::read(&mut at, key)?;
        Some(Self { lineage, path: at.text()?, domain: at.text()?, partitioned, value: at.0.to_vec() })
    }
}

/// What a seal is bound to. No realm's name and no cookie's name has a line break.
fn context(app: &App, name: &str) -> String {
    [app.realm.as_str(), "\n", name].concat()
}

/// The names of cookies that apps were seen to hide from scripts.
#[derive(Debug, Default)]
pub struct Names {
    /// By realm. With each name the cookies that one value of it needed, at the most. Guards this alone; held for one look-up or one
    /// entry.
    by_realm: RwLock<HashMap<String, HashMap<String, usize>>>,
}

impl Names {
    /// Remembers `name`, unless the app's realm has used up its share.
    pub fn remember(&self, app: &App, name: &str) {
        if !self.guards(app, name) {
            self.note(app, name, 1);
        }
    }

    /// Whether a cookie of that name reaches `app` only out of a seal.
    pub fn guards(&self, app: &App, name: &str) -> bool {
        app.session_cookies.iter().any(|known| known == name) || self.known(app, name).is_some()
    }

    /// Remembers that a value of `name` was in that many cookies: those are to go when it is set anew.
    fn split(&self, app: &App, name: &str, parts: usize) {
        if parts > self.parts(app, name) {
            self.note(app, name, parts);
        }
    }

    /// In how many cookies a value of `name` may be with the browser, as far as is remembered.
    fn parts(&self, app: &App, name: &str) -> usize {
        self.known(app, name).unwrap_or(1)
    }

    /// Those that were learned for the realm of `app`, in order.
    pub fn of(&self, app: &App) -> Vec<String> {
        let by_realm = self.by_realm.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = by_realm.get(&app.realm).into_iter().flat_map(|names| names.keys().cloned()).collect();
        names.sort();
        names
    }

    fn known(&self, app: &App, name: &str) -> Option<usize> {
        let by_realm = self.by_realm.read().unwrap_or_else(PoisonError::into_inner);
        by_realm.get(&app.realm)?.get(name).copied()
    }

    fn note(&self, app: &App, name: &str, parts: usize) {
        let mut by_realm = self.by_realm.write().unwrap_or_else(PoisonError::into_inner);
        let names = by_realm.entry(app.realm.clone()).or_default();
        if let Some(known) = names.get_mut(name) {
            *known = parts.max(*known);
        } else if names.len() < MAX_NAMES {
            names.insert(name.to_owned(), parts);
        }
    }
}

#[cfg(test)]
mod tests;
