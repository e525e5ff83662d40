//! What the laws say of a request, read aloud over a list of all that ever happened (DESIGN §2, §3).

use portcullis::identity::TargetKind;
use portcullis::revocation::{Mode, Standing};

use super::words::{Fact, Shown, Signal};

/// One thing that happened, in the order in which the gateway learned of it.
#[derive(Clone, Debug)]
pub(crate) enum Happened {
    /// Something is over.
    Revoked(Signal),
    /// Somebody signed in after something had to be re-established.
    Returned(Fact, u64),
}

/// What somebody is let in on: the sign-in that it grew from, and later ones that count for it.
#[derive(Clone, Debug)]
pub(crate) struct Basis {
    pub(crate) root: Shown,
    pub(crate) newer: Vec<u64>,
}

/// An app, as far as a law asks.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) host: &'static str,
    pub(crate) realm: &'static str,
}

/// A session of the gateway's.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) root: Shown,
    pub(crate) host: &'static str,
    pub(crate) end: u64,
    /// When the IdP's own session ends, if it says so.
    pub(crate) said: Option<u64>,
}

/// A cookie or a token that an app made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) name: String,
    /// Of a cookie.
    pub(crate) value: String,
    pub(crate) realm: &'static str,
    pub(crate) root: Shown,
    /// Of a token.
    pub(crate) end: u64,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) place: Place,
    pub(crate) public: bool,
    pub(crate) session: Option<Signed>,
    pub(crate) tokens: Vec<Made>,
    pub(crate) cookies: Vec<Made>,
}

/// What has to come of it.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) word: &'static str,
    pub(crate) standing: Standing,
    /// Cookies that reach the app.
    pub(crate) kept: Vec<String>,
    /// What it runs on.
    pub(crate) held: Vec<Basis>,
    /// When that ends by itself.
    pub(crate) end: Option<u64>,
    /// What a token grows from that is made now, and its end: a token of a token is the oldest one's child.
    pub(crate) parent: Option<Made>,
}

/// Whose it is.
pub(crate) fn user(root: &Shown) -> Fact {
    *root.facts.iter().find(|fact| fact.kind == TargetKind::User).expect("a user")
}

/// The session of the gateway's that it is.
fn own(root: &Shown) -> Fact {
    *root.facts.iter().find(|fact| fact.kind == TargetKind::Gateway).expect("a session")
}

/// The earliest moment that a revocation of it may lie behind.
fn oldest(root: &Shown) -> u64 {
    root.auth_time.unwrap_or(root.asserted_at).min(root.asserted_at)
}

/// Laws 1, 6 and 8 for everything that happened. A newer assertion re-establishes, and never undoes a termination.
pub(crate) fn stands(happened: &[Happened], basis: &Basis, app: &str) -> Standing {
    happened.iter().fold(Standing::default(), |all, event| match event {
        Happened::Revoked(signal) => {
            let lifted = signal.mode == Mode::Reestablish && basis.newer.iter().any(|at| *at > signal.cut_off);
            if lifted { all } else { all.and(signal.standing(&basis.root, app)) }
        }
        Happened::Returned(..) => all,
    })
}

/// True once anything had to be re-established.
pub(crate) fn asks(happened: &[Happened]) -> bool {
    happened.iter().any(|event| matches!(event, Happened::Revoked(signal) if signal.mode == Mode::Reestablish))
}

fn returns(happened: &[Happened], who: Fact) -> impl Iterator<Item = u64> {
    happened.iter().filter_map(move |event| match event {
        Happened::Returned(user, at) => (*user == who).then_some(*at),
        Happened::Revoked(_) => None,
    })
}

impl Asked {
    /// What the laws say, at that moment. What was proven at or before `horizon` is honoured no longer (law 10).
    pub(crate) fn verdict(&self, happened: &[Happened], now: u64, horizon: u64, minting: u64) -> Verdict {
        let app = self.place.name;
        let alive = self.session.as_ref().filter(|session| session.host == self.place.host && now < session.end);
        let alone = |root: &Shown| Basis { root: root.clone(), newer: vec![] };
        // On public paths nobody is asked for anything: only a session that is clear says whose the request is.
        let session = alive.filter(|s| !self.public || stands(happened, &alone(&s.root), app).is_clear());
        let judged = if self.public { None } else { session };

        let good = |token: &&Made| token.realm == self.place.realm && now < token.end && oldest(&token.root) > horizon;
        let tokens: Vec<_> = self.tokens.iter().filter(good).collect();
        let people = session.map(|s| user(&s.root)).into_iter().chain(tokens.iter().map(|token| user(&token.root)));
        let people: Vec<_> = people.collect();

        let mut held: Vec<_> = judged.map(|session| alone(&session.root)).into_iter().collect();
        for token in &tokens {
            let beside = judged.map(|session| session.root.asserted_at);
            let newer = beside.into_iter().chain(returns(happened, user(&token.root))).collect();
            held.push(Basis { root: token.root.clone(), newer });
        }
        let mut kept = vec![];
        for cookie in &self.cookies {
            let made_here = session.is_some_and(|session| own(&session.root) == own(&cookie.root));
            let theirs = people.first().is_none_or(|person| *person == user(&cookie.root));
            if cookie.realm != self.place.realm || !theirs || (!made_here && oldest(&cookie.root) <= horizon) {
                continue;
            }
            // What stands behind the request is the session; without one, the token and what is known of its person.
            let newer: Vec<_> = match (session, tokens.first()) {
                (Some(session), _) => vec![session.root.asserted_at],
                (None, Some(token)) => returns(happened, user(&token.root)).chain([token.root.asserted_at]).collect(),
                (None, None) => vec![],
            };
            let basis = Basis { root: cookie.root.clone(), newer };
            let standing = stands(happened, &basis, app);
            if !made_here {
                // What was terminated never reaches an app again. What has to be re-established makes a person sign in
                // who can be asked, and else stays where it is.
                let withheld = standing.reestablish.is_some() && judged.is_none() && tokens.is_empty();
                if standing.terminated.is_some() || withheld {
                    continue;
                }
            }
            kept.push(cookie.name.clone());
            if !(made_here && judged.is_some()) {
                held.push(if self.public { alone(&cookie.root) } else { basis });
            }
        }

        let standing = held.iter().fold(Standing::default(), |all, basis| all.and(stands(happened, basis, app)));
        let word = if self.public {
            "forward"
        } else if standing.terminated.is_some() {
            "session_revoked"
        } else if standing.reestablish.is_some() {
            "reestablish_required"
        } else if tokens.len() < self.tokens.len() {
            "invalid_token"
        } else if people.iter().any(|person| *person != people[0]) {
            "mixed_credentials"
        } else if !people.is_empty() {
            "forward"
        } else {
            match &self.session {
                None => "login_required",
                Some(session) if session.host != self.place.host => "session_unusable",
                Some(_) => "session_expired",
            }
        };
        let end = judged.map(|s| s.end).into_iter().chain(tokens.iter().map(|token| token.end)).min();
        let of_session = |session: &Signed| {
            // What the IdP said of its end; our own limit is none of its children's.
            let said = session.said.unwrap_or(u64::MAX);
            let end = said.min(session.root.asserted_at + minting);
            Made { name: String::new(), value: String::new(), realm: self.place.realm, root: session.root.clone(), end }
        };
        let parent = tokens.iter().min_by_key(|token| oldest(&token.root)).map(|token| (*token).clone());
        let parent = parent.or_else(|| session.map(of_session));
        Verdict { word, standing, kept, held, end, parent }
    }
}
