//! One login under way, as its cookie carries it: one cookie per flow, so that tabs do not disturb each other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::proof::Proof;
use super::return_path::ReturnPath;
use crate::seal::{KeyRing, Purpose};
use crate::secret::Secret;
use crate::time::Timestamp;

/// How long a login may take. Long enough for a lost second factor, short enough that a forgotten tab is nothing.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Logins under way in one browser. One more, and the oldest is given up.
pub const MAX_OUTSTANDING: usize = 8;

/// `__Host-`: only this host can set it, over https, for no other host (RFC 6265bis §4.1.3.2).
const NAME_PREFIX: &str = "__Host-portcullis-flow-";
/// Characters of the state in the cookie's name: 48 bits, enough to tell eight flows apart.
const NAME_STATE_LEN: usize = 8;
/// Flow cookies of one request that are opened; a browser with more was filled by somebody, and the rest is expired.
const MAX_OPENED: usize = 4 * MAX_OUTSTANDING;

/// What must be known again when the browser comes back from the IdP.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowState {
    /// The `state` parameter (RFC 6749 §4.1.1): which flow an answer belongs to.
    pub(super) state: String,
    /// The `nonce` that the ID token must repeat (OpenID Connect Core §3.1.2.1).
    pub(super) nonce: String,
    /// The PKCE code verifier (RFC 7636 §4.1).
    pub(super) verifier: String,
    /// The configured name of the IdP that was asked.
    pub idp: String,
    /// The configured name of the app that the login is for.
    pub app: String,
    /// Where the browser goes afterwards.
    pub return_to: ReturnPath,
    /// What the login must prove.
    pub proof: Proof,
    /// The id of the session that it renews, if it is only a check of that: then no page may be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<String>,
    /// When it began.
    pub begun_at: Timestamp,
}

impl FlowState {
    /// The `nonce` that the ID token must repeat.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The PKCE code verifier.
    pub fn verifier(&self) -> Secret<String> {
        Secret::new(self.verifier.clone())
    }

    /// True once the flow has taken too long.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.begun_at) > LIFETIME
    }

    /// The name of its cookie. A state is longer than what is taken of it.
    pub(super) fn cookie_name(&self) -> String {
        NAME_PREFIX.chars().chain(self.state.chars().take(NAME_STATE_LEN)).collect()
    }

    /// The `Set-Cookie` value that keeps the flow in this browser. `SameSite=Lax`: the answer of the IdP is a
    /// top-level navigation from another site.
    pub(super) fn set_cookie(&self, ring: &KeyRing, host: &str) -> Option<Secret<String>> {
        let text = Secret::new(serde_json::to_string(self).ok()?);
        let sealed = ring.seal(Purpose::Flow, host, text.expose().as_bytes())?;
        Some(set_cookie(&self.cookie_name(), &sealed, LIFETIME))
    }

    /// The `Set-Cookie` value that ends the flow in this browser.
    pub(super) fn expire_cookie(&self) -> Secret<String> {
        expire(&self.cookie_name())
    }
}

impl std::fmt::Debug for FlowState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlowState")
            .field("idp", &self.idp)
            .field("app", &self.app)
            .field("return_to", &self.return_to)
            .field("proof", &self.proof)
            .field("begun_at", &self.begun_at)
            .finish_non_exhaustive()
    }
}

/// The flows of one browser, as the cookies of one request show them.
#[derive(Debug, Default)]
pub struct Flows {
    /// Flows that opened, in no order; some may be over.
    outstanding: Vec<FlowState>,
    /// Names of flow cookies that did not open: another key ring's, or damaged.
    unreadable: Vec<String>,
}

impl Flows {
    /// Reads the flow cookies among `cookies` (name, value) that belong to `host`; others are passed over.
    pub fn read<'a>(cookies: impl IntoIterator<Item = (&'a str, &'a str)>, ring: &KeyRing, host: &str) -> Self {
        let mut flows = Self::default();
        for (name, value) in cookies.into_iter().filter(|(name, _)| is_flow_cookie(name)) {
            let room = flows.outstanding.len() < MAX_OPENED;
            match room.then(|| open(name, value, ring, host)).flatten() {
                Some(flow) => flows.outstanding.push(flow),
                None => flows.unreadable.push(name.to_owned()),
            }
        }
        flows
    }

    /// The flow that an answer with that `state` belongs to.
    pub(super) fn find(&self, state: &str) -> Option<&FlowState> {
        self.outstanding.iter().find(|flow| flow.state == state)
    }

    /// `Set-Cookie` values that make room for one flow more: what did not open, what is over, the oldest.
    pub(super) fn make_room(&self, now: Timestamp) -> Vec<Secret<String>> {
        let (over, mut alive): (Vec<_>, Vec<_>) = self.outstanding.iter().partition(|flow| flow.is_over(now));
        alive.sort_by_key(|flow| std::cmp::Reverse(flow.begun_at));
        let names = over.into_iter().chain(alive.into_iter().skip(MAX_OUTSTANDING - 1)).map(FlowState::cookie_name);
        names.chain(self.unreadable.iter().cloned()).map(|name| expire(&name)).collect()
    }
}

/// True for the name of a flow cookie, of which there may be several in one browser.
pub fn is_flow_cookie(name: &str) -> bool {
    name.strip_prefix(NAME_PREFIX).is_some_and(|rest| {
        rest.len() == NAME_STATE_LEN && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

fn open(name: &str, value: &str, ring: &KeyRing, host: &str) -> Option<FlowState> {
    let opened = ring.open(Purpose::Flow, host, value).ok()?;
    let flow: FlowState = serde_json::from_slice(&opened.text).ok()?;
    // A cookie moved under another name would be expired under the wrong one.
    (flow.cookie_name() == name).then_some(flow)
}

fn expire(name: &str) -> Secret<String> {
    set_cookie(name, "", Duration::ZERO)
}

fn set_cookie(name: &str, value: &str, max_age: Duration) -> Secret<String> {
    Secret::new(format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}", max_age.as_secs()))
}
