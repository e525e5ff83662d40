//! What the IdP remembers: people, clients, sessions, codes and tokens. No I/O; time comes in as an argument.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::super::random_id;
use super::{Client, Knobs, Person};
use crate::jose::Signer;
use crate::time::Timestamp;

/// Everything that changes.
pub(super) struct State {
    pub(super) signer: Signer,
    pub(super) retired: Vec<Value>,
    pub(super) people: Vec<Person>,
    pub(super) clients: Vec<Client>,
    pub(super) knobs: Knobs,
    pub(super) requests: HashMap<String, u64>,
    pub(super) held: HashMap<String, (Arc<Notify>, watch::Receiver<()>)>,
    pub(super) issued: u64,
    sessions: Vec<(Cookie, Session)>,
    grants: HashMap<String, Grant>,
    tokens: HashMap<String, Grant>,
    refreshes: HashMap<String, Grant>,
    hints: HashMap<Vec<u8>, Hint>,
}

type Cookie = String;

/// A session at the IdP.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    /// Its public name (`sid`).
    pub sid: String,
    /// Whose it is.
    pub user: String,
    /// When the person last signed in.
    pub auth_time: Timestamp,
    /// When it began.
    pub began: Timestamp,
    /// The clients that got an ID token in it.
    pub clients: BTreeSet<String>,
}

/// What a code stands for, and later the access token.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) code_challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) user: String,
    pub(super) sid: String,
    pub(super) auth_time: Timestamp,
    pub(super) until: Timestamp,
    /// The access token that the code was exchanged for; a second exchange takes it back (RFC 6749 §4.1.2).
    pub(super) spent_on: Option<String>,
}

/// Which session an ID token belongs to, remembered so that any token of ours serves as a hint, even an expired one.
#[derive(Clone, Debug)]
pub(super) struct Hint {
    pub(super) client_id: String,
    pub(super) sid: String,
}

impl State {
    pub(super) fn new(signer: Signer) -> Self {
        Self {
            signer,
            retired: Vec::new(),
            people: people(),
            clients: Vec::new(),
            knobs: Knobs::default(),
            requests: HashMap::new(),
            held: HashMap::new(),
            issued: 0,
            sessions: Vec::new(),
            grants: HashMap::new(),
            tokens: HashMap::new(),
            refreshes: HashMap::new(),
            hints: HashMap::new(),
        }
    }

    pub(super) fn person(&self, user: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.user == user)
    }

    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    pub(super) fn sessions(&self) -> Vec<Session> {
        self.sessions.iter().map(|(_, session)| session.clone()).collect()
    }

    pub(super) fn session(&self, cookie: &str) -> Option<&Session> {
        self.sessions.iter().find(|(known, _)| known == cookie).map(|(_, session)| session)
    }

    /// Signs `user` in. The same person in the same browser keeps the session: `auth_time` moves and nothing else.
    /// The cookie of the session, and the session.
    pub(super) fn sign_in(&mut self, cookie: Option<&str>, user: &str, now: Timestamp) -> (Cookie, Session) {
        if let Some((cookie, session)) =
            self.sessions.iter_mut().find(|(known, session)| cookie == Some(known) && session.user == user)
        {
            session.auth_time = now;
            return (cookie.clone(), session.clone());
        }
        self.sessions.retain(|(known, _)| cookie != Some(known));
        if self.sessions.len() >= MAX_REMEMBERED {
            self.sessions.remove(0);
        }
        let session =
            Session { sid: random_id(), user: user.to_owned(), auth_time: now, began: now, clients: BTreeSet::new() };
        let cookie = random_id();
        self.sessions.push((cookie.clone(), session.clone()));
        (cookie, session)
    }

    /// Ends the sessions that match, and every code and token of theirs. How many there were.
    pub(super) fn forget(&mut self, matches: impl Fn(&Session) -> bool) -> usize {
        let before = self.sessions.len();
        self.sessions.retain(|(_, session)| !matches(session));
        let alive: BTreeSet<_> = self.sessions.iter().map(|(_, session)| session.sid.clone()).collect();
        self.grants.retain(|_, grant| alive.contains(&grant.sid));
        self.tokens.retain(|_, grant| alive.contains(&grant.sid));
        self.refreshes.retain(|_, grant| alive.contains(&grant.sid));
        before - self.sessions.len()
    }

    /// A code for `grant`.
    pub(super) fn grant(&mut self, grant: Grant, now: Timestamp) -> String {
        self.grants.retain(|_, known| known.until.plus(SPENT_CODES_KNOWN_FOR) > now);
        if self.grants.len() >= MAX_REMEMBERED {
            self.grants.clear();
        }
        let code = random_id();
        self.grants.insert(code.clone(), grant);
        code
    }

    /// What `code` stands for, and the access token for it: once. A second time ends what the first one gave.
    pub(super) fn redeem(&mut self, code: &str, client_id: &str, now: Timestamp) -> Option<(Grant, String)> {
        let grant = self.grants.get_mut(code).filter(|grant| grant.client_id == client_id)?;
        if let Some(token) = &grant.spent_on {
            self.tokens.remove(token);
            return None;
        }
        if grant.until < now {
            return None;
        }
        let token = random_id();
        grant.spent_on = Some(token.clone());
        Some((grant.clone(), token))
    }

    /// Remembers that this was issued for `grant`.
    pub(super) fn remember(&mut self, grant: &Grant, access_token: String, id_token: &str, until: Timestamp) {
        for size in [self.tokens.len(), self.hints.len()] {
            if size >= MAX_REMEMBERED {
                self.tokens.clear();
                self.hints.clear();
            }
        }
        let hint = Hint { client_id: grant.client_id.clone(), sid: grant.sid.clone() };
        self.hints.insert(fingerprint(id_token), hint);
        self.tokens.insert(access_token, Grant { until, ..grant.clone() });
        if let Some((_, session)) = self.sessions.iter_mut().find(|(_, session)| session.sid == grant.sid) {
            session.clients.insert(grant.client_id.clone());
        }
        self.issued += 1;
    }

    /// A refresh token for `grant`, if they are given.
    pub(super) fn refresh_token(&mut self, grant: &Grant) -> Option<String> {
        let token = self.knobs.refresh_tokens.then(random_id)?;
        if self.refreshes.len() >= MAX_REMEMBERED {
            self.refreshes.clear();
        }
        self.refreshes.insert(token.clone(), grant.clone());
        Some(token)
    }

    /// What a refresh token stands for: once, and not for somebody whose account is disabled.
    pub(super) fn refresh(&mut self, token: &str, client_id: &str) -> Option<(Grant, String)> {
        let grant = self.refreshes.remove(token)?;
        let good = grant.client_id == client_id && !self.knobs.disabled.contains(&grant.user);
        good.then(|| (Grant { nonce: None, ..grant }, random_id()))
    }

    /// Whom an access token speaks for.
    pub(super) fn bearer(&self, token: &str, now: Timestamp) -> Option<&Grant> {
        self.tokens.get(token).filter(|grant| grant.until > now)
    }

    /// What an ID token of ours was for.
    pub(super) fn hint(&self, id_token: &str) -> Option<Hint> {
        self.hints.get(&fingerprint(id_token)).cloned()
    }
}

fn fingerprint(token: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, token.as_bytes()).as_ref().to_vec()
}

/// Who works here.
fn people() -> Vec<Person> {
    let person = |user: &str, name: &str, role: &str, groups: &[&str]| Person {
        user: user.to_owned(),
        subject: format!("00u-{user}"),
        name: name.to_owned(),
        role: role.to_owned(),
        email: format!("{user}@example.com"),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    };
    vec![
        person("ann", "Ann Lee", "Payroll", &["staff", "payroll"]),
        person("ben", "Ben Okafor", "Warehouse", &["staff"]),
        person("eve", "Eve Moreau", "Security admin", &["staff", "security"]),
    ]
}

/// Sessions, codes and tokens that are kept. Beyond it the oldest session goes, and codes and tokens start afresh.
const MAX_REMEMBERED: usize = 10_000;

/// How long a used code is still recognised as used.
const SPENT_CODES_KNOWN_FOR: Duration = Duration::from_secs(600);
