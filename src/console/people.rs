//! What is known of one person: the session graph, as far as memory goes.
//!
//! There is no store of sessions to look into. What is shown comes from what is in flight at this moment and from the last
//! sign-ins at this gateway; the page says so.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

use super::answer::{json, problem};
use crate::endpoint::{Parts, SignIn};
use crate::evidence::{Imprint, Sort};
use crate::identity::{Target, TargetKey, TargetKind};
use crate::session::SessionId;
use crate::time::Timestamp;

/// Sign-ins and exchanges that are looked at, at the most.
const MOST: usize = 500;
/// Sign-ins in a list of the last ones.
const LAST: usize = 20;
/// Characters of what somebody is looked for by.
const LONGEST: usize = 320;

/// A session of somebody.
#[derive(Serialize)]
struct InSession {
    /// The first digits of its id here; absent if it was not signed in here lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Its id at the IdP, by which it can be revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_in_at: Option<Timestamp>,
    asserted_at: Timestamp,
    credentials: Vec<InCredential>,
    #[serde(skip)]
    key: Option<TargetKey>,
}

/// A credential that grew in it, with what runs on it.
#[derive(Serialize)]
struct InCredential {
    sort: &'static str,
    exchanges: Vec<InExchange>,
    #[serde(skip)]
    imprint: Imprint,
}

/// Exchanges of one kind in one app.
#[derive(Serialize)]
struct InExchange {
    app: String,
    kind: &'static str,
    count: usize,
}

/// What is known of whoever `who` names; without it, who signed in last.
pub(super) fn answer(parts: &Parts, query: &str) -> Response<Bytes> {
    let who = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "who").map(|(_, who)| who);
    let who = who.as_deref().unwrap_or_default().trim().to_owned();
    if who.chars().count() > LONGEST {
        return problem(StatusCode::BAD_REQUEST, "`who` is longer than any name");
    }
    if who.is_empty() {
        let last: Vec<_> = parts.recent.newest(LAST, |_| true).iter().map(sign_in).collect();
        return json(StatusCode::OK, &serde_json::json!({ "last": last }));
    }
    let kind = if who.contains('@') { TargetKind::Email } else { TargetKind::User };
    let mut targets: Vec<_> = parts.idps.values().filter_map(|idp| Target::new(idp.issuer(), kind, &who)).collect();
    targets.dedup();
    let is = |sign_in: &SignIn| match kind {
        TargetKind::Email => sign_in.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(&who)),
        _ => sign_in.user == who,
    };
    let signed_in = parts.recent.newest(MOST, is);
    let keys: Vec<_> =
        targets.iter().flat_map(|target| parts.ring.hashers().into_iter().map(|h| h.key(target))).collect();
    let runs = parts.enforcer.of(&keys, MOST);
    let mut sessions: Vec<InSession> = signed_in.iter().map(|one| session(parts, one)).collect();
    for run in &runs {
        for on in &run.credentials {
            let known = sessions.iter().position(|known| known.key == on.session && on.session.is_some());
            let at = known.unwrap_or_else(|| {
                let (id, sid, app, signed_in_at) = (None, None, None, None);
                let (asserted_at, key) = (on.asserted_at, on.session);
                sessions.push(InSession { id, sid, app, signed_in_at, asserted_at, credentials: Vec::new(), key });
                sessions.len() - 1
            });
            if let Some(session) = sessions.get_mut(at) {
                session.runs(on.imprint, &run.app, run.kind.word());
            }
        }
    }
    let mut apps: BTreeMap<&str, usize> = BTreeMap::new();
    for run in &runs {
        *apps.entry(&run.app).or_default() += 1;
    }
    json(
        StatusCode::OK,
        &serde_json::json!({
            "who": who,
            "by": kind.word(),
            "email": signed_in.iter().find_map(|one| one.email.clone()),
            "user": signed_in.first().map(|one| one.user.clone()),
            "on_hold": parts.enforcer.holds_any(&targets),
            "sessions": sessions,
            "exchanges": runs.len(),
            "apps": apps,
            "more": runs.len() >= MOST || signed_in.len() >= MOST,
        }),
    )
}

fn session(parts: &Parts, of: &SignIn) -> InSession {
    let key =
        parts.idps.get(&of.idp).and_then(|idp| Target::new(idp.issuer(), TargetKind::Gateway, &of.session.to_string()));
    InSession {
        id: Some(short(of.session)),
        sid: of.sid.clone(),
        app: Some(of.app.clone()),
        signed_in_at: Some(of.at),
        asserted_at: of.auth_time.unwrap_or(of.at),
        credentials: Vec::new(),
        key: key.map(|target| parts.ring.hasher().key(&target)),
    }
}

impl InSession {
    fn runs(&mut self, imprint: Imprint, app: &str, kind: &'static str) {
        let at = self.credentials.iter().position(|known| known.imprint == imprint).unwrap_or_else(|| {
            self.credentials.push(InCredential { sort: word(imprint.sort), exchanges: Vec::new(), imprint });
            self.credentials.len() - 1
        });
        let Some(credential) = self.credentials.get_mut(at) else { return };
        match credential.exchanges.iter_mut().find(|known| known.app == app && known.kind == kind) {
            Some(known) => known.count += 1,
            None => credential.exchanges.push(InExchange { app: app.to_owned(), kind, count: 1 }),
        }
    }
}

fn sign_in(of: &SignIn) -> serde_json::Value {
    serde_json::json!({
        "at": of.at, "app": of.app, "idp": of.idp, "user": of.user, "email": of.email, "session": short(of.session),
    })
}

/// As much of a session's id as the audit log shows.
fn short(id: SessionId) -> String {
    id.to_string().chars().take(8).collect()
}

const fn word(sort: Sort) -> &'static str {
    match sort {
        Sort::Session => "session",
        Sort::AppCookie => "app cookie",
        Sort::AppToken => "app token",
        Sort::AccessToken => "access token",
    }
}
