//! Beginning and resuming a login.
//!
//! [`begin`] makes the parameters of an authorization request and the cookie that remembers them; [`resume()`] finds
//! the flow that an answer belongs to; [`check_proof`] says whether the assertion that came of it proves enough.
//! Nothing is stored here: a flow lives in the browser, sealed.

mod flow;
mod proof;
mod resume;
mod return_path;

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use self::flow::{FlowState, Flows, LIFETIME, MAX_OUTSTANDING, is_flow_cookie};
pub use self::proof::{Proof, Shortfall, Verdict, Why, check_proof};
pub use self::resume::{Accepted, Answer, Denied, Refusal, Resume, resume};
pub use self::return_path::ReturnPath;
use crate::seal::KeyRing;
use crate::secret::Secret;
use crate::session::SessionId;
use crate::time::Timestamp;

/// Bytes of randomness that a flow is made of: 192 bits of state, 192 of nonce, 256 of PKCE verifier. In base64url
/// the nonce has 32 characters (IPSIE SL1 allows 64) and the verifier 43, the least that RFC 7636 §4.1 allows.
pub const RANDOM_LEN: usize = STATE_LEN + NONCE_LEN + VERIFIER_LEN;
const STATE_LEN: usize = 24;
const NONCE_LEN: usize = 24;
const VERIFIER_LEN: usize = 32;

/// A login that is to begin.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// The host that the browser talks to: the flow's cookie opens only there.
    pub host: &'a str,
    /// The configured name of the IdP to ask.
    pub idp: &'a str,
    /// The configured name of the app that it is for.
    pub app: &'a str,
    /// Where the browser goes afterwards.
    pub return_to: ReturnPath,
    /// What it must prove.
    pub proof: Proof,
    /// How old the person's last proof may be for an ordinary login (the IdP's setting).
    pub max_age: Duration,
    /// Who is expected, if known (OpenID Connect Core §3.1.2.1).
    pub login_hint: Option<&'a str>,
    /// The session that is only checked: the IdP may show no page, and what it says renews that session.
    pub renews: Option<SessionId>,
}

/// A login that has begun.
#[derive(Debug)]
pub struct Begun {
    /// What the flow's cookie says.
    pub flow: FlowState,
    /// `Set-Cookie` values: the flow's cookie first, then the end of those that must go for it.
    pub set_cookies: Vec<Secret<String>>,
    /// What the IdP is asked; [`crate::idp`] adds what it knows itself (client, scopes, redirect URI).
    pub ask: Ask,
}

/// The parameters of an authorization request that belong to one flow (OpenID Connect Core §3.1.2.1, RFC 7636 §4.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Ask {
    /// `state`
    pub state: String,
    /// `nonce`
    pub nonce: String,
    /// `code_challenge`, of the method S256.
    pub code_challenge: String,
    /// `prompt`
    pub prompt: Option<Prompt>,
    /// `max_age`, always sent: it also makes the IdP state `auth_time` (OpenID Connect Core §2).
    pub max_age: Duration,
    /// `login_hint`
    pub login_hint: Option<String>,
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("prompt", &self.prompt).field("max_age", &self.max_age).finish_non_exhaustive()
    }
}

/// How the IdP shall treat the person (`prompt`).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Ask for a proof, even of somebody who is signed in.
    Login,
    /// Show no page: say yes or no.
    Silent,
}

impl Prompt {
    /// The parameter's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Silent => "none",
        }
    }
}

/// Begins a login in a browser that has `flows` under way. `None` if the system has no randomness to seal with.
///
/// `random` must be fresh and unpredictable: it becomes state, nonce and PKCE verifier.
pub fn begin(
    start: Start<'_>,
    flows: &Flows,
    ring: &KeyRing,
    random: &[u8; RANDOM_LEN],
    now: Timestamp,
) -> Option<Begun> {
    let (state, rest) = random.split_at(STATE_LEN);
    let (nonce, verifier) = rest.split_at(NONCE_LEN);
    let flow = FlowState {
        state: URL_SAFE_NO_PAD.encode(state),
        nonce: URL_SAFE_NO_PAD.encode(nonce),
        verifier: URL_SAFE_NO_PAD.encode(verifier),
        idp: start.idp.to_owned(),
        app: start.app.to_owned(),
        return_to: start.return_to,
        proof: start.proof,
        renews: start.renews.map(|session| session.to_string()),
        begun_at: now,
    };
    let (prompt, max_age) = match flow.proof {
        Proof::NewerThan(_) => (Some(Prompt::Login), Duration::ZERO),
        // An assertion is made anew for every request: no more is needed.
        Proof::Any | Proof::Reassert(_) => (flow.renews.as_ref().map(|_| Prompt::Silent), start.max_age),
    };
    let ask = Ask {
        state: flow.state.clone(),
        nonce: flow.nonce.clone(),
        code_challenge: URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, flow.verifier.as_bytes())),
        prompt,
        max_age,
        login_hint: start.login_hint.map(str::to_owned),
    };
    let cookie = flow.set_cookie(ring, start.host)?;
    let set_cookies = std::iter::once(cookie).chain(flows.make_room(now)).collect();
    Some(Begun { flow, set_cookies, ask })
}

#[cfg(test)]
mod tests;
