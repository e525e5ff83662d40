//! The gateway's own session: what one sealed cookie says. There is no store; any gateway with the key ring can read it.
//!
//! The layout is fixed and read in place: a decision opens the seal and looks up the targets' keys, which were hashed
//! once, at login. Names and groups follow the part that every request needs.

use std::sync::Arc;
use std::time::Duration;

use crate::identity::{Identity, TargetKey, TargetKind};
use crate::revocation::Credential;
use crate::seal::{KeyId, KeyRing, OpenError, Purpose};
use crate::time::Timestamp;

/// The name of the session cookie; `__Host-` ties it to one host, TLS and the whole path (RFC 6265bis §4.1.3.2).
pub const COOKIE: &str = "__Host-portcullis";
/// Cookies of these prefixes are the gateway's own: no app sees them, no app may set them.
pub const OURS: [&str; 2] = [COOKIE, "__Secure-portcullis"];
/// Characters of value per cookie: browsers refuse cookies of more than 4096 bytes with name and attributes.
const CHUNK: usize = 3600;
/// Cookies that one session may need. Beyond it the sign-in is refused: header blocks have bounds everywhere.
const MAX_CHUNKS: usize = 5;

/// How long sessions live.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From sign-in to the end, whatever happens.
    pub max_age: Duration,
    /// From the last request to the end.
    pub idle: Duration,
}

/// The end of what nobody said an end of.
pub const NEVER: Timestamp = Timestamp::from_secs(u64::MAX);

/// What names one session at this gateway. New at every login, so that a planted cookie never becomes somebody's.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// What apps and access rules may know about the person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The person in the issuer's words.
    pub subject: String,
    /// The address, normalised.
    pub email: Option<String>,
    /// The name that the person types.
    pub preferred_username: Option<String>,
    /// Groups, as asserted.
    pub groups: Vec<String>,
    /// Further claims that access rules ask for, one entry per value.
    pub claims: Vec<(String, String)>,
}

impl Person {
    /// Writes it into a layout. `None` if a text or list is longer than the layout can hold.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        put_text(out, &self.subject)?;
        put_text(out, self.email.as_deref().unwrap_or_default())?;
        put_text(out, self.preferred_username.as_deref().unwrap_or_default())?;
        out.extend_from_slice(&u16::try_from(self.groups.len()).ok()?.to_be_bytes());
        for group in &self.groups {
            put_text(out, group)?;
        }
        out.extend_from_slice(&u16::try_from(self.claims.len()).ok()?.to_be_bytes());
        for (name, value) in &self.claims {
            put_text(out, name)?;
            put_text(out, value)?;
        }
        Some(())
    }

    /// Reads what [`Person::write`] wrote.
    pub(crate) fn read(at: &mut Reader<'_>) -> Option<Self> {
        let (subject, email, preferred_username) = (at.text()?, at.text()?, at.text()?);
        let mut groups = Vec::new();
        for _ in 0..at.count()? {
            groups.push(at.text()?);
        }
        let mut claims = Vec::new();
        for _ in 0..at.count()? {
            claims.push((at.text()?, at.text()?));
        }
        let given = |text: String| (!text.is_empty()).then_some(text);
        Some(Self { subject, email: given(email), preferred_username: given(preferred_username), groups, claims })
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id here.
    pub id: SessionId,
    /// The configured name of the IdP that signed the person in.
    pub idp: String,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When the IdP says that it ends (`session_expiry`); [`NEVER`] if it says nothing.
    pub expires_at: Timestamp,
    /// The last request that renewed it.
    pub seen_at: Timestamp,
    /// When the assertion was made.
    pub asserted_at: Timestamp,
    /// When the person last proved who they are.
    pub auth_time: Option<Timestamp>,
    /// Every handle it can be revoked by; shared with the exchanges that run on it.
    pub targets: Arc<[(TargetKind, TargetKey)]>,
    /// The key of the ring that hashed them. INVARIANT: the session is sealed under this key and no other, so that it
    /// ends when the key leaves the ring. Under another it would go on, with targets that no revocation meets.
    pub key: KeyId,
    /// Whom it is for; shared with the permits that let its requests through.
    pub person: Arc<Person>,
}

/// Why a session that opened is over.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// It reached its end.
    Expired,
    /// Nobody used it for too long.
    Idle,
}

impl Session {
    /// A new session for `identity`, as of `now`. The gateway's own id becomes one more target: sign-out revokes it.
    pub fn begin(
        id: SessionId,
        idp: &str,
        identity: &Identity,
        claims: Vec<(String, String)>,
        ring: &KeyRing,
        now: Timestamp,
    ) -> Self {
        let own = crate::identity::Target::new(&identity.issuer, TargetKind::Gateway, &id.to_string());
        Self {
            id,
            idp: idp.to_owned(),
            issued_at: now,
            expires_at: identity.session_expiry.unwrap_or(NEVER),
            seen_at: now,
            asserted_at: identity.asserted_at,
            auth_time: identity.auth_time,
            targets: own.iter().chain(&identity.targets()).map(|t| (t.kind, ring.hasher().key(t))).collect(),
            key: ring.newest(),
            person: Arc::new(Person {
                subject: identity.subject.clone(),
                email: identity.email.as_ref().map(|e| e.as_str().to_owned()),
                preferred_username: identity.preferred_username.clone(),
                groups: identity.groups.clone(),
                claims,
            }),
        }
    }

    /// When it ends at the latest, whatever happens.
    pub fn end(&self, settings: &Settings) -> Timestamp {
        // The maximum is applied here and not at the beginning, so that shortening it in the config takes effect on live
        // sessions.
        self.expires_at.min(self.issued_at.plus(settings.max_age))
    }

    /// Whether it is over by itself. A clock that went backwards ends nothing.
    pub fn over(&self, settings: &Settings, now: Timestamp) -> Option<Over> {
        if now >= self.end(settings) {
            Some(Over::Expired)
        } else if now.since(self.seen_at) >= settings.idle {
            Some(Over::Idle)
        } else {
            None
        }
    }

    /// True if the cookie should be sealed again, to move the idle limit on. Not at every request: a tenth of the
    /// limit is exact enough, and a response without `Set-Cookie` is cheaper for everybody.
    pub fn wants_renewal(&self, settings: &Settings, now: Timestamp) -> bool {
        now.since(self.seen_at) >= settings.idle / 10
    }

    /// What the revocation set judges.
    pub fn credential(&self, app: crate::identity::AppKey) -> Credential<'_> {
        Credential { targets: &self.targets, asserted_at: self.asserted_at, auth_time: self.auth_time, app }
    }

    /// Seals the session into cookie values for `host`: one, or numbered chunks. `None` if it is too large for
    /// [`MAX_CHUNKS`], its key has left the ring, or the system has no randomness to give.
    pub fn seal(&self, ring: &KeyRing, host: &str) -> Option<Vec<(String, String)>> {
        let sealed = ring.seal_under(self.key, Purpose::Session, host, &self.encode()?)?;
        if sealed.len() <= CHUNK {
            return Some(vec![(COOKIE.to_owned(), sealed)]);
        }
        let chunks: Vec<_> = sealed
            .as_bytes()
            .chunks(CHUNK)
            .enumerate()
            .map(|(n, chunk)| (format!("{COOKIE}-{n}"), String::from_utf8_lossy(chunk).into_owned()))
            .collect();
        (chunks.len() <= MAX_CHUNKS).then_some(chunks)
    }

    /// Opens a sealed session made for `host`.
    pub fn open(ring: &KeyRing, host: &str, sealed: &str) -> Result<Self, OpenError> {
        let opened = ring.open(Purpose::Session, host, sealed)?;
        Self::decode(&opened.text, opened.key).ok_or(OpenError::Malformed)
    }

    /// The fixed layout. `None` if a text or list is longer than the layout can hold.
    fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(512);
        out.push(VERSION);
        out.extend_from_slice(&self.id.0);
        for time in
            [self.issued_at, self.expires_at, self.seen_at, self.asserted_at, self.auth_time.unwrap_or_default()]
        {
            out.extend_from_slice(&time.secs().to_be_bytes());
        }
        out.push(u8::try_from(self.targets.len()).ok()?);
        for (kind, key) in self.targets.iter() {
            out.push(*kind as u8);
            out.extend_from_slice(&key.0.to_be_bytes());
        }
        put_text(&mut out, &self.idp)?;
        self.person.write(&mut out)?;
        Some(out)
    }

    /// Reads the layout; `None` if it is of another version or ends early. Only sealed bytes come here.
    fn decode(bytes: &[u8], key: KeyId) -> Option<Self> {
        let mut at = Reader(bytes);
        if at.byte()? != VERSION {
            return None;
        }
        let id = SessionId(at.array()?);
        let [issued_at, expires_at, seen_at, asserted_at, auth_time] =
            [at.time()?, at.time()?, at.time()?, at.time()?, at.time()?];
        let count = at.byte()?;
        let mut targets = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let kind = TargetKind::from_code(at.byte()?)?;
            targets.push((kind, TargetKey(u128::from_be_bytes(at.array()?))));
        }
        let idp = at.text()?;
        let person = Person::read(&mut at)?;
        Some(Self {
            id,
            idp,
            issued_at,
            expires_at,
            seen_at,
            asserted_at,
            auth_time: (auth_time > Timestamp::ZERO).then_some(auth_time),
            targets: targets.into(),
            key,
            person: Arc::new(person),
        })
    }
}

/// The version of the layout. A cookie of another version is no session: its owner signs in again.
const VERSION: u8 = 1;

/// Writes a text with its length before it. `None` if it is longer than the layout can hold.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.extend_from_slice(&u16::try_from(text.len()).ok()?.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Some(())
}

/// Takes fields off the front of a layout.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn time(&mut self) -> Option<Timestamp> {
        self.array().map(|bytes| Timestamp::from_secs(u64::from_be_bytes(bytes)))
    }

    fn count(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let length = usize::from(self.count()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }
}

/// Puts the cookies of a request's session together: `Ok(None)` for none, `Err` for what no gateway sent (several of
/// one name, a gap, too many).
pub fn gather<'a>(
    cookies: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Option<std::borrow::Cow<'a, str>>, Scattered> {
    let mut whole: Option<&str> = None;
    let mut chunks: [Option<&str>; MAX_CHUNKS] = [None; MAX_CHUNKS];
    for (name, value) in cookies {
        let Some(rest) = name.strip_prefix(COOKIE) else { continue };
        let slot = if rest.is_empty() {
            &mut whole
        } else if let Some(number) = rest.strip_prefix('-').and_then(|n| n.parse::<usize>().ok()) {
            chunks.get_mut(number).ok_or(Scattered)?
        } else {
            continue; // another cookie of ours: a flow, the sign-out hint
        };
        if slot.replace(value).is_some() {
            return Err(Scattered);
        }
    }
    let present = chunks.iter().take_while(|chunk| chunk.is_some()).count();
    if chunks.iter().flatten().count() != present {
        return Err(Scattered);
    }
    match (whole, present) {
        (whole, 0) => Ok(whole.map(std::borrow::Cow::Borrowed)),
        (None, _) => Ok(Some(chunks.iter().flatten().copied().collect::<String>().into())),
        (Some(_), _) => Err(Scattered),
    }
}

/// The cookies of a session do not fit together.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Scattered;

/// The names of every cookie that a session may consist of, to expire those that the new one does not use.
pub fn cookie_names() -> impl Iterator<Item = String> {
    std::iter::once(COOKIE.to_owned()).chain((0..MAX_CHUNKS).map(|n| format!("{COOKIE}-{n}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Email, Issuer};

    fn ring() -> KeyRing {
        let key = crate::seal::generate_key().expect("key");
        KeyRing::parse([key.expose().as_str()]).expect("ring").expect("one key")
    }

    const SETTINGS: Settings = Settings { max_age: Duration::from_secs(3600), idle: Duration::from_secs(600) };

    fn identity(groups: usize) -> Identity {
        Identity {
            issuer: Issuer::parse("https://idp.example.com").expect("issuer"),
            subject: "ann".into(),
            sid: Some("s1".into()),
            email: Email::parse("ann@corp.example"),
            phone: None,
            preferred_username: Some("ann".into()),
            groups: (0..groups).map(|n| format!("group-{n}")).collect(),
            tenant: None,
            device: None,
            asserted_at: Timestamp::from_secs(1000),
            auth_time: Some(Timestamp::from_secs(990)),
            session_expiry: None,
        }
    }

    fn session(groups: usize, ring: &KeyRing) -> Session {
        let claims = vec![("department".to_owned(), "it".to_owned())];
        let now = Timestamp::from_secs(1001);
        Session::begin(SessionId([7; 16]), "corp", &identity(groups), claims, ring, now)
    }

    fn round_trip(ring: &KeyRing, session: &Session) -> Session {
        let cookies = session.seal(ring, "wiki.example.com").expect("sealed");
        let named = cookies.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let whole = gather(named).expect("fits").expect("present");
        Session::open(ring, "wiki.example.com", &whole).expect("opens")
    }

    #[test]
    fn a_session_comes_back_as_it_was_whole_or_in_chunks() {
        let ring = ring();
        for (groups, cookies) in [(0, 1), (3, 1), (400, 2), (1000, 5)] {
            let session = session(groups, &ring);
            assert_eq!(session.seal(&ring, "h").map(|c| c.len()), Some(cookies), "{groups} groups");
            assert_eq!(round_trip(&ring, &session), session, "{groups} groups");
        }
        assert_eq!(session(3000, &ring).seal(&ring, "h"), None, "more than the bound is refused");
    }

    #[test]
    fn a_session_opens_on_its_own_host_only() {
        let ring = ring();
        let cookies = session(0, &ring).seal(&ring, "wiki.example.com").expect("sealed");
        assert_eq!(Session::open(&ring, "mail.example.com", &cookies[0].1).err(), Some(OpenError::Refused));
    }

    #[test]
    fn cookies_that_do_not_fit_together_are_no_session() {
        let chunk = |n: usize| format!("{COOKIE}-{n}");
        let (zero, one, two, far) = (chunk(0), chunk(1), chunk(2), format!("{COOKIE}-999999999999"));
        for (name, cookies) in [
            ("twice the same", vec![(COOKIE, "a"), (COOKIE, "a")]),
            ("whole and chunk", vec![(COOKIE, "a"), (zero.as_str(), "b")]),
            ("a gap", vec![(zero.as_str(), "a"), (two.as_str(), "b")]),
            ("no first", vec![(one.as_str(), "a")]),
            ("beyond the bound", vec![(far.as_str(), "a")]),
        ] {
            // A number that no gateway wrote is another cookie if it does not parse, and refused if it does.
            let result = gather(cookies.into_iter());
            assert_eq!(result, Err(Scattered), "{name}");
        }
        assert_eq!(gather([("a", "b"), ("__Host-portcullis-flow-x", "c")].into_iter()), Ok(None));
    }

    #[test]
    fn a_session_ends_at_the_least_of_its_limits() {
        let ring = ring();
        let at = Timestamp::from_secs;
        let ordinary = session(0, &ring);
        assert_eq!(ordinary.over(&SETTINGS, at(1600)), None);
        assert_eq!(ordinary.over(&SETTINGS, at(1601)), Some(Over::Idle));
        assert_eq!(ordinary.over(&SETTINGS, at(4601)), Some(Over::Expired));
        assert_eq!(ordinary.over(&SETTINGS, at(0)), None, "a clock that went back ends nothing");
        let mut short = identity(0);
        short.session_expiry = Some(at(1100));
        let ceiling = Session::begin(SessionId([1; 16]), "corp", &short, vec![], &ring, at(1001));
        assert_eq!(ceiling.over(&SETTINGS, at(1099)), None);
        assert_eq!(ceiling.over(&SETTINGS, at(1100)), Some(Over::Expired));
        // A later word of the IdP's lengthens nothing here, and is not lost: it holds for the tokens that apps make.
        let long = Identity { session_expiry: Some(at(99_999)), ..identity(0) };
        let long = Session::begin(SessionId([1; 16]), "corp", &long, vec![], &ring, at(1001));
        assert_eq!((long.end(&SETTINGS), long.expires_at), (at(4601), at(99_999)));
        assert_eq!((ordinary.end(&SETTINGS), ordinary.expires_at), (at(4601), NEVER));
    }

    #[test]
    fn a_cut_or_foreign_layout_is_no_session() {
        let ring = ring();
        let bytes = session(2, &ring).encode().expect("layout");
        for length in 0..bytes.len() {
            assert_eq!(Session::decode(&bytes[..length], ring.newest()), None, "cut at {length}");
        }
        let mut other = bytes;
        other[0] = 99;
        assert_eq!(Session::decode(&other, ring.newest()), None);
    }
}
