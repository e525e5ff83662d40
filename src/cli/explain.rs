//! `portcullis explain`: the same `find` and `decide` that requests meet, asked from the command line.

use std::sync::Arc;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method};

use super::check::{admitted, asks, place, sorted};
use super::table::columns;
use super::{Exit, Explain, Outcome};
use crate::apps::{Access, App, Asked, CanonicalPath, Host, WhenBlind};
use crate::config::{Config, StreamSettings};
use crate::decision::{Client, Decision, Refusal, Request, decide};
use crate::evidence::{self, Bearer, Evidence, Imprint, Maker, Shown};
use crate::lineage::Lineage;
use crate::login::Proof;
use crate::revocation::Standing;
use crate::session::{Person, Session, SessionId};
use crate::time::{Clock, Timestamp};

/// Says which app a request is for, what its path asks for, and what various senders of it would get.
pub(super) fn explain(config: &Config, asked: &Explain) -> Outcome {
    let Ok(method) = Method::from_bytes(asked.method.to_ascii_uppercase().as_bytes()) else {
        return Outcome::not(Exit::Usage, format!("`{}` is no method", asked.method));
    };
    let Some((host, raw_path)) = split(&asked.url) else {
        return Outcome::not(Exit::Usage, format!("`{}` is no URL; write `https://host/path`", asked.url));
    };
    let path = match CanonicalPath::parse(raw_path) {
        Ok(path) => path,
        Err(bad) => return Outcome::done(columns(&[row("request", &format!("refused: {bad}"))])),
    };
    let Some(app) = config.apps.find(&host, &path) else {
        let known: Vec<_> = sorted(config).into_iter().map(place).collect();
        let text = format!("nobody's: no app is at this host and path; there are {}", known.join(", "));
        return Outcome::done(columns(&[row("request", &text)]));
    };
    let mut rows = vec![row("app", &format!("{} ({})", app.name, place(app)))];
    let changed = if path.as_str() == raw_path { "" } else { "  (its one form; decided and forwarded)" };
    rows.push(row("path", &format!("{path}{changed}")));
    if OWN.iter().any(|own| path.as_str() == *own || path.as_str().starts_with(&format!("{own}/"))) {
        rows.push(row("answer", "the gateway's own endpoint; the app never sees it"));
        return Outcome::done(columns(&rows));
    }
    rows.extend(reasons(config, app, &path));
    rows.extend(leaves(app, asked, &method, &path));
    for (who, evidence) in [("nobody", Evidence::default())].into_iter().chain(person(config, app, &path, asked)) {
        rows.extend(answers(who, &method, app, &path, &evidence));
    }
    match cookie(config, app, asked) {
        Ok(None) => {}
        Ok(Some((shown, evidence))) => {
            rows.push(row("cookie", &shown));
            rows.extend(answers("cookie", &method, app, &path, &evidence));
        }
        Err(complaint) => return Outcome::not(Exit::Failed, complaint),
    }
    let note = "\nRevocations are not looked at here: only the running gateway knows them.\n";
    Outcome::done(columns(&rows) + note)
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
fn reasons(config: &Config, app: &App, path: &CanonicalPath) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    for rule in &app.rules {
        if path.may_be_below(&rule.path) {
            let loosely = if path.is_below(&rule.path) { "" } else { " (in a loose reading)" };
            rows.push(row("rule", &format!("{}{loosely}: {}", rule.path.as_str(), asks(rule.access, &rule.allow))));
        }
    }
    let verdict = match app.asks(path) {
        Asked::Public => "everybody gets in".to_owned(),
        Asked::Person { by, allows } => {
            let all: Vec<_> = allows.into_iter().filter(|a| **a != Default::default()).map(admitted).collect();
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
    rows.extend(when_blind(config, app, path));
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
fn leaves(app: &App, asked: &Explain, method: &Method, path: &CanonicalPath) -> Option<[String; 2]> {
    let query = asked.url.split('#').next().and_then(|url| url.split_once('?')).map(|(_, query)| query);
    let leaves = app.logout_paths.iter().any(|logout| logout.is(method, path, query));
    leaves.then(|| row("leaves", "if the app takes it, the session here ends, too"))
}

/// What the path's app does while a stream is dark.
fn when_blind(config: &Config, app: &App, path: &CanonicalPath) -> Option<[String; 2]> {
    let spoken_for = |stream: &&StreamSettings| stream.speaks_for.contains(&app.idp);
    let streams: Vec<_> = config.streams.values().filter(spoken_for).map(|stream| stream.name.clone()).collect();
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

/// The person whom the command line describes, with a session that is good, or with a token where only a token will do.
fn person(config: &Config, app: &App, path: &CanonicalPath, asked: &Explain) -> Option<(&'static str, Evidence)> {
    if asked.groups.is_empty() && asked.email.is_none() && asked.claims.is_empty() {
        return None;
    }
    let now = Timestamp::ZERO;
    let session = Session {
        id: SessionId([0; 16]),
        idp: app.idp.clone(),
        issued_at: now,
        expires_at: now.plus(config.session.max_age),
        seen_at: now,
        asserted_at: now,
        auth_time: None,
        targets: [].into(),
        key: config.keys.newest(),
        person: Arc::new(Person {
            subject: String::new(),
            email: asked.email.as_ref().map(|email| email.as_str().to_owned()),
            preferred_username: None,
            groups: asked.groups.clone(),
            claims: asked.claims.clone(),
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

/// What the cookies in the file are, and what they show.
fn cookie(config: &Config, app: &App, asked: &Explain) -> Result<Option<(String, Evidence)>, String> {
    let Some(path) = &asked.cookie_file else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = text.trim();
    let value = text.strip_prefix("Cookie:").or_else(|| text.strip_prefix("cookie:")).unwrap_or(text).trim();
    let value = HeaderValue::from_str(value).map_err(|_| format!("{}: it is no `Cookie` header", path.display()))?;
    let headers = HeaderMap::from_iter([(COOKIE, value)]);
    let cookies = evidence::cookies(&headers);
    let found = evidence::collect(cookies.as_deref(), app, &config.keys, &config.session, Clock::System.now());
    let shown = match &found {
        Shown::Nothing => "it holds no session".to_owned(),
        Shown::Unusable(why) => format!("it holds no usable session: `{}`", why.word()),
        Shown::Session { session, .. } => {
            let who = session.person.email.as_ref().unwrap_or(&session.person.subject);
            format!(
                "a session of {who}, signed in at {} by {}, until {}",
                session.issued_at,
                session.idp,
                session.end(&config.session)
            )
        }
    };
    Ok(Some((shown, found.into())))
}

/// What a browser and a script that show `evidence` get.
fn answers(who: &str, method: &Method, app: &App, path: &CanonicalPath, evidence: &Evidence) -> Vec<[String; 2]> {
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
