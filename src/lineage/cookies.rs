//! On the way in: sealed cookies are opened and judged; what must not reach the app is taken out and expired.

use super::parts::{self, Found};
use super::{AppCookie, Lineage, MARK, Names};
use crate::apps::App;
use crate::revocation::{Credential, Standing};
use crate::seal::{KeyRing, OpenError};
use crate::session::OURS;
use crate::time::Timestamp;

/// For whom and what cookies are received.
#[derive(Copy, Clone, Debug)]
pub struct Scene<'a> {
    /// The app that the request is for.
    pub app: &'a App,
    /// What opens seals.
    pub ring: &'a KeyRing,
    /// Names that need a seal.
    pub names: &'a Names,
    /// What stands behind the request, if that counts: its session, else its token.
    pub behind: Option<&'a Lineage>,
    /// Nobody is asked to sign in here.
    pub public: bool,
    /// What was proven at or before this moment cannot be judged any more (law 10).
    pub horizon: Timestamp,
}

/// Why a cookie was taken out of a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It should be sealed and is not.
    NoSeal,
    /// Its seal does not open.
    Seal(OpenError),
    /// It is somebody else's than what stands behind the request.
    OtherPerson,
    /// It was terminated.
    Terminated,
    /// It must be re-established, and nothing stands for it that is newer or could be. It stays with the client.
    Withheld,
    /// It is older than what can be judged.
    TooOld,
}

impl Fault {
    /// The word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoSeal => "no_seal",
            Self::Seal(OpenError::Malformed) => "malformed",
            Self::Seal(OpenError::UnknownKey) => "unknown_key",
            Self::Seal(OpenError::Refused) => "broken_seal",
            Self::OtherPerson => "other_person",
            Self::Terminated => "terminated",
            Self::Withheld => "withheld",
            Self::TooOld => "too_old",
        }
    }

    /// True where a revocation is what speaks against it.
    pub const fn is_a_revocation(self) -> bool {
        matches!(self, Self::Terminated | Self::Withheld)
    }

    /// True where the seal itself is what is wrong.
    pub const fn is_of_the_seal(self) -> bool {
        matches!(self, Self::NoSeal | Self::Seal(_))
    }
}

/// A cookie that was opened and goes to the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// What was in the seal.
    pub cookie: AppCookie,
}

/// What became of a request's cookies.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// The `Cookie` field that the app gets instead, without the gateway's own; empty for none. `None` changes nothing.
    pub field: Option<Vec<u8>>,
    /// Cookies that were opened and go to the app.
    pub kept: Vec<Kept>,
    /// `Set-Cookie` values that expire what was taken out.
    pub expiries: Vec<String>,
    /// Why something was taken out, once per cookie.
    pub faults: Vec<Fault>,
    /// Cookies that opened and that a revocation covers.
    pub revoked: Vec<Kept>,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received").field("kept", &self.kept.len()).field("faults", &self.faults).finish_non_exhaustive()
    }
}

/// Looks at every cookie of a request. `judge` says how a credential stands.
pub fn receive(cookies: &[(&str, &str)], scene: &Scene<'_>, judge: impl Fn(&Credential<'_>) -> Standing) -> Received {
    let mut received = Received::default();
    let mut field = Vec::new();
    let mut changed = false;
    let (mut further, mut taken) = (Vec::new(), Vec::new());
    for (at, (name, value)) in cookies.iter().enumerate() {
        if OURS.iter().any(|ours| name.starts_with(ours)) {
            continue;
        }
        if !value.starts_with(MARK) {
            if scene.behind.is_some() && scene.names.guards(scene.app, name) {
                changed = true;
                received.remove(scene.app, name, Fault::NoSeal);
            } else {
                push(&mut field, name, value.as_bytes());
            }
            continue;
        }
        changed = true;
        let found = parts::find(cookies, at);
        let opened = match &found {
            Found::Further => {
                further.push((at, *name));
                continue;
            }
            Found::Broken => Err(OpenError::Malformed),
            Found::Whole => AppCookie::open(scene.ring, scene.app, name, value),
            Found::First(whole, _) => AppCookie::open(scene.ring, scene.app, name, whole),
        };
        let cookie = match opened {
            Ok(cookie) => cookie,
            Err(why) => {
                received.remove(scene.app, name, Fault::Seal(why));
                continue;
            }
        };
        let mut count = 1;
        if let Found::First(_, places) = &found {
            count = places.len();
            taken.extend_from_slice(places);
            scene.names.split(scene.app, name, count);
        }
        match scene.fault(&cookie, &judge) {
            Some(fault) => {
                received.refuse(scene.app, name, count, &cookie, fault);
                if fault.is_a_revocation() {
                    received.revoked.push(Kept { name: (*name).to_owned(), cookie });
                }
            }
            None => {
                push(&mut field, name, &cookie.value);
                received.kept.push(Kept { name: (*name).to_owned(), cookie });
            }
        }
    }
    for (_, name) in further.iter().filter(|(at, _)| !taken.contains(at)) {
        received.remove_part(scene.app, name);
    }
    received.field = changed.then_some(field);
    received
}

impl Scene<'_> {
    /// What speaks against a cookie that opened.
    fn fault(&self, cookie: &AppCookie, judge: impl Fn(&Credential<'_>) -> Standing) -> Option<Fault> {
        let lineage = &cookie.lineage;
        if let Some(behind) = self.behind {
            if !lineage.is_of_the_same_person(behind) {
                return Some(Fault::OtherPerson);
            }
            if lineage.session == behind.session && lineage.asserted_at == behind.asserted_at {
                // What stands behind it is judged, for all that grew from it then.
                return None;
            }
        }
        if lineage.proven_at() <= self.horizon {
            return Some(Fault::TooOld);
        }
        let standing = judge(&lineage.credential(self.app.key));
        if standing.is_dead() {
            Some(Fault::Terminated)
        } else if standing.reestablish.is_some() {
            // What that has not re-established, its person is asked for where somebody can be asked.
            let back = |behind: &Lineage| {
                let back = lineage.reestablished_at(behind.asserted_at);
                !self.public || judge(&back.credential(self.app.key)).is_clear()
            };
            (!self.behind.is_some_and(back)).then_some(Fault::Withheld)
        } else {
            None
        }
    }
}

impl Received {
    /// What the request runs on besides what stands `behind` it: the lineages of the cookies that go to the app. What grew
    /// from that stands and falls with it; an older one that had to be re-established is re-established by it.
    pub fn lineages(&self, behind: Option<&Lineage>) -> Vec<Lineage> {
        let mut seen: Vec<_> = behind.map(|behind| (behind.session, behind.asserted_at)).into_iter().collect();
        let mut found = Vec::new();
        for kept in &self.kept {
            let lineage = &kept.cookie.lineage;
            let origin = (lineage.session, lineage.asserted_at);
            if seen.contains(&origin) {
                continue;
            }
            seen.push(origin);
            found.push(behind.map_or_else(|| lineage.clone(), |behind| lineage.reestablished_at(behind.asserted_at)));
        }
        found
    }

    /// Takes out what did not open.
    fn remove(&mut self, app: &App, name: &str, fault: Fault) {
        self.faults.push(fault);
        // Nobody knows where the browser keeps it.
        self.expire(expiry(app, name, "/", "", false));
        if !name.starts_with("__Host-") && app.prefix.as_str() != "/" {
            self.expire(expiry(app, name, app.prefix.as_str(), "", false));
        }
    }

    /// Takes out what opened, in that many cookies, and must not pass.
    fn refuse(&mut self, app: &App, name: &str, count: usize, cookie: &AppCookie, fault: Fault) {
        self.faults.push(fault);
        if fault != Fault::Withheld {
            for number in 1..=count {
                self.expire(cookie.expiry(app, &parts::name_of(name, number)));
            }
        }
    }

    /// Takes out a part that nothing asks for. Where the cookie that it was of is smaller now, it is kept beside it.
    fn remove_part(&mut self, app: &App, name: &str) {
        let of = self.kept.iter().filter(|kept| parts::is_further(name, &kept.name));
        let expiries: Vec<_> = of.map(|kept| kept.cookie.expiry(app, name)).collect();
        if expiries.is_empty() {
            self.remove(app, name, Fault::Seal(OpenError::Malformed));
            return;
        }
        self.faults.push(Fault::Seal(OpenError::Malformed));
        for expiry in expiries {
            self.expire(expiry);
        }
    }

    fn expire(&mut self, expiry: String) {
        if !self.expiries.contains(&expiry) {
            self.expiries.push(expiry);
        }
    }
}

impl AppCookie {
    /// The `Set-Cookie` value that makes the browser forget what it keeps under that name beside this.
    fn expiry(&self, app: &App, name: &str) -> String {
        expiry(app, name, &self.path, &self.domain, self.partitioned)
    }
}

/// The `Set-Cookie` value that makes the browser forget.
fn expiry(app: &App, name: &str, path: &str, domain: &str, partitioned: bool) -> String {
    let domain = if domain.is_empty() { String::new() } else { format!("; Domain={domain}") };
    let secure = partitioned || app.origin.as_str().starts_with("https:") || name.starts_with("__");
    let secure = if secure { "; Secure" } else { "" };
    // Without the attribute it would be another cookie, of another jar.
    let partitioned = if partitioned { "; Partitioned" } else { "" };
    format!("{name}=; Path={path}{domain}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT{secure}{partitioned}")
}

/// Writes one pair of a `Cookie` field. A pair without a name keeps its `=` where the value would be read as a pair.
fn push(field: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !field.is_empty() {
        field.extend_from_slice(b"; ");
    }
    if !name.is_empty() || value.contains(&b'=') {
        field.extend_from_slice(name.as_bytes());
        field.push(b'=');
    }
    field.extend_from_slice(value);
}
