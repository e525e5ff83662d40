//! Why a request gets what it gets: the same `find` and `decide` that requests meet, asked by somebody who wonders.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};

use crate::apps::{self, Access, Allow, App, Apps, CanonicalPath, Host, WhenBlind};
use crate::decision::{Client, Decision, Refusal, Request, decide};
use crate::evidence::{Bearer, Evidence, Imprint, Maker, Shown};
use crate::lineage::Lineage;
use crate::login::Proof;
use crate::revocation::Standing;
use crate::seal::KeyRing;
use crate::session::{self, Person, Session, SessionId};
use crate::time::Timestamp;

/// What is asked.
#[derive(Copy, Clone, Debug)]
pub struct Asked<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// Its URL, as the gateway would see it.
    pub url: &'a str,
    /// Groups that the person is in.
    pub groups: &'a [String],
    /// Their address.
    pub email: Option<&'a str>,
    /// Further claims of theirs.
    pub claims: &'a [(String, String)],
}

/// What it is answered from.
pub struct Known<'a> {
    /// The apps.
    pub apps: &'a Apps,
    /// The keys of sessions.
    pub ring: &'a KeyRing,
    /// How long sessions live.
    pub session: &'a session::Settings,
    /// The names of the streams that speak for the people of an IdP.
    pub streams: &'a (dyn Fn(&str) -> Vec<String> + Sync),
}

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

/// The answer: rows of what and how; and where the request leads, if an app decides about it.
#[derive(Clone, Debug, Default)]
pub struct Explained {
    /// What, and how it is.
    pub rows: Vec<[String; 2]>,
    /// The app and the path that are decided about.
    pub app: Option<(Arc<App>, CanonicalPath)>,
}

/// Says which app a request is for, what its path asks for, and what various senders of it would get. `None` if the URL is
/// none.
pub fn explain(known: &Known<'_>, asked: &Asked<'_>) -> Option<Explained> {
    let (host, raw_path) = split(asked.url)?;
    let only = |rows| Some(Explained { rows, app: None });
    let path = match CanonicalPath::parse(raw_path) {
        Ok(path) => path,
        Err(bad) => return only(vec![row("request", &format!("refused: {bad}"))]),
    };
    let Some(app) = known.apps.find(&host, &path) else {
        let mut places: Vec<_> = known.apps.iter().map(|app| (app.name.as_str(), app.place())).collect();
        places.sort();
        let places: Vec<_> = places.into_iter().map(|(_, place)| place).collect();
        let text = format!("nobody's: no app is at this host and path; there are {}", places.join(", "));
        return only(vec![row("request", &text)]);
    };
    let mut rows = vec![row("app", &format!("{} ({})", app.name, app.place()))];
    let changed = if path.as_str() == raw_path { "" } else { "  (its one form; decided and forwarded)" };
    rows.push(row("path", &format!("{path}{changed}")));
    if OWN.iter().any(|own| path.as_str() == *own || path.as_str().starts_with(&format!("{own}/"))) {
        rows.push(row("answer", "the gateway's own endpoint; the app never sees it"));
        return only(rows);
    }
    rows.extend(reasons(known, app, &path));
    rows.extend(leaves(app, asked, &path));
    for (who, evidence) in [("nobody", Evidence::default())].into_iter().chain(person(known, app, &path, asked)) {
        rows.extend(answers(who, asked.method, app, &path, &evidence));
    }
    Some(Explained { rows, app: Some((Arc::clone(app), path)) })
}

/// Host and path of a URL, the path byte for byte: a URL parser would tidy up what the gateway must see.
fn split(url: &str) -> Option<(Host, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let (authority, rest) = rest.split_at_checked(rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
    let (path, _) = rest.split_at_checked(rest.find(['?', '#']).unwrap_or(rest.len()))?;
    Some((Host::parse(authority)?, if path.is_empty() { "/" } else { path }))
}

/// Which rules hold for the path.
fn reasons(known: &Known<'_>, app: &App, path: &CanonicalPath) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    for rule in &app.rules {
        if path.may_be_below(&rule.path) {
            let loosely = if path.is_below(&rule.path) { "" } else { " (in a loose reading)" };
            rows.push(row("rule", &format!("{}{loosely}: {}", rule.path.as_str(), rule.access.words(&rule.allow))));
        }
    }
    let verdict = match app.asks(path) {
        apps::Asked::Public => "everybody gets in".to_owned(),
        apps::Asked::Person { by, allows } => {
            let all: Vec<_> = allows.into_iter().filter(|a| **a != Allow::default()).map(Allow::to_string).collect();
            let wanted = match by {
                Access::Bearer => "a token",
                Access::Either => "a login or a token",
                Access::Login | Access::Public => "a login",
            };
            let joint = if all.is_empty() { "" } else { " and " };
            format!("asks for {wanted}{joint}{}", all.join("; and "))
        }
    };
    rows.push(row("access", &verdict));
    rows.extend(when_blind(known, app, path));
    for place in app.minting.iter().flat_map(|minting| minting.at(path)) {
        for (what, fields) in [("sealed in the answer", &place.response), ("opened in the request", &place.request)] {
            let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
            if !fields.is_empty() {
                rows.push(row("tokens", &format!("{what}: {}", fields.join(", "))));
            }
        }
    }
    rows
}

/// Whether people sign out of the app by it.
fn leaves(app: &App, asked: &Asked<'_>, path: &CanonicalPath) -> Option<[String; 2]> {
    let query = asked.url.split('#').next().and_then(|url| url.split_once('?')).map(|(_, query)| query);
    let leaves = app.logout_paths.iter().any(|logout| logout.is(asked.method, path, query));
    leaves.then(|| row("leaves", "if the app takes it, the session here ends, too"))
}

/// What the path's app does while a stream is dark.
fn when_blind(known: &Known<'_>, app: &App, path: &CanonicalPath) -> Option<[String; 2]> {
    let streams = (known.streams)(&app.idp);
    if streams.is_empty() || app.asks(path).by() == Access::Public {
        return None;
    }
    let request = Request { client: Client::Fetch, path, origin: None, blind: true };
    let text = match app.when_blind {
        WhenBlind::Serve => "it goes on as if nothing were".to_owned(),
        WhenBlind::Reestablish => format!("everybody goes through {} again, and again from time to time", app.idp),
        WhenBlind::Refuse => words(&decide(&request, app, &Evidence::default(), Standing::default()), app),
    };
    Some(row("blind", &format!("while the stream {} is dark: {text}", streams.join(" or "))))
}

/// The person whom the question describes, with a session that is good, or with a token where only a token will do.
fn person(known: &Known<'_>, app: &App, path: &CanonicalPath, asked: &Asked<'_>) -> Option<(&'static str, Evidence)> {
    if asked.groups.is_empty() && asked.email.is_none() && asked.claims.is_empty() {
        return None;
    }
    let now = Timestamp::ZERO;
    let session = Session {
        id: SessionId([0; 16]),
        idp: app.idp.clone(),
        issued_at: now,
        expires_at: now.plus(known.session.max_age),
        seen_at: now,
        asserted_at: now,
        auth_time: None,
        targets: [].into(),
        key: known.ring.newest(),
        person: Arc::new(Person {
            subject: String::new(),
            email: asked.email.map(str::to_owned),
            preferred_username: None,
            groups: asked.groups.to_vec(),
            claims: asked.claims.to_vec(),
        }),
    };
    if app.asks(path).by() == Access::Bearer {
        let (lineage, person) = (Lineage::of(&session), Arc::clone(&session.person));
        let bearer =
            Bearer { maker: Maker::Idp, lineage, person, ends_at: session.expires_at, imprint: Imprint::default() };
        return Some(("token", Evidence { bearers: vec![bearer], ..Evidence::default() }));
    }
    Some(("person", Shown::Session { session: Box::new(session), renew: false }.into()))
}

/// What a browser and a script that show `evidence` get.
pub fn answers(who: &str, method: &Method, app: &App, path: &CanonicalPath, evidence: &Evidence) -> Vec<[String; 2]> {
    let answer = |mode: &'static str| {
        let headers = HeaderMap::from_iter([("sec-fetch-mode".parse().ok()?, HeaderValue::from_static(mode))]);
        let request = Request { client: Client::of(method, &headers), path, origin: None, blind: false };
        Some(words(&decide(&request, app, evidence, Standing::default()), app))
    };
    let (page, script) = (answer("navigate").unwrap_or_default(), answer("cors").unwrap_or_default());
    if page == script {
        return vec![row(who, &page)];
    }
    vec![row(who, &format!("in a browser: {page}")), row("", &format!("by a script: {script}"))]
}

fn words(decision: &Decision, app: &App) -> String {
    match decision {
        Decision::Forward(permit) => match permit.person() {
            Some(_) => "forwarded, with the person's name".to_owned(),
            None => "forwarded, with nobody's name".to_owned(),
        },
        Decision::Login(login) if login.can_be_redirected() => {
            let proof = match login.proof {
                Proof::Any => "",
                Proof::NewerThan(_) => ", which must be proven new",
                Proof::Reassert(_) => ", which may be silent",
            };
            format!("to the sign-in at {}{proof} (`{}`)", app.idp, login.cause.word())
        }
        Decision::Login(login) => format!("401 `{}`", login.cause.word()),
        Decision::Refuse(refusal @ (Refusal::NotAllowed | Refusal::ForeignOrigin | Refusal::OnHold)) => {
            format!("403 `{}`", refusal.word())
        }
        Decision::Refuse(refusal @ Refusal::Blind) => format!("503 `{}`", refusal.word()),
        Decision::Refuse(refusal @ Refusal::MixedCredentials) => format!("400 `{}`", refusal.word()),
    }
}

fn row(left: &str, right: &str) -> [String; 2] {
    [left.to_owned(), right.to_owned()]
}

/// Below these the gateway answers itself, on every host.
const OWN: [&str; 1] = ["/oauth2"];
