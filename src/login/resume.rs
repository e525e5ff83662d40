//! The browser comes back from the IdP: which flow it belongs to, and what the IdP says.

use super::flow::{FlowState, Flows};
use crate::identity::Issuer;
use crate::secret::Secret;
use crate::time::Timestamp;

/// Bytes of an answer's query. Codes and states are a few hundred; some IdPs send codes of 2 KiB.
const MAX_QUERY: usize = 16 * 1024;

/// What came back.
#[derive(Debug)]
pub enum Resume {
    /// The IdP's answer to a flow of this browser.
    Answered(Answer),
    /// The answer to a flow of this browser that began too long ago.
    TooLate {
        /// The flow: where the person wanted to go.
        flow: FlowState,
        /// The `Set-Cookie` value that ends it.
        expire_cookie: Secret<String>,
    },
    /// This browser has no such flow: a tab that was answered already, cookies that were cleared, or a forgery.
    NoSuchFlow,
    /// Not an answer of an IdP: no `state`, a parameter twice, or far too long.
    Malformed,
}

/// The IdP's answer to one flow, not yet believed.
#[derive(Debug)]
pub struct Answer {
    flow: FlowState,
    /// The `iss` parameter (RFC 9207 §2).
    issuer: Option<String>,
    result: Result<Secret<String>, Denied>,
}

/// An answer that is believed: the code may be exchanged, once.
#[derive(Debug)]
pub struct Accepted {
    /// The flow that it answers.
    pub flow: FlowState,
    /// The authorization code.
    pub code: Secret<String>,
}

/// Why an answer leads to no code.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It comes from another issuer than the one that was asked: a mix-up (RFC 9207 §2.4).
    #[error("the answer names another issuer")]
    OtherIssuer,
    /// The IdP announces that it names itself, and this answer does not.
    #[error("the answer does not name its issuer")]
    IssuerMissing,
    /// Neither a code nor an error.
    #[error("the answer has no code")]
    NoCode,
    /// The IdP refused.
    #[error("the IdP refused: {0}")]
    Refused(Refusal),
}

/// Why the IdP refused (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6). Its own text is dropped: it is whatever the
/// author of a link wants people to read on our page.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `access_denied`: the person, or a rule at the IdP, said no.
    #[error("access is denied")]
    AccessDenied,
    /// `login_required`: nobody is signed in, and the IdP was not allowed to ask.
    #[error("a login is required")]
    LoginRequired,
    /// `interaction_required`, `consent_required`, `account_selection_required`: as above, for other questions.
    #[error("the person must be asked something")]
    InteractionRequired,
    /// `temporarily_unavailable`, `server_error`: try again later.
    #[error("the IdP has a fault at the moment")]
    Unavailable,
    /// Everything else: our registration at the IdP does not fit what we ask.
    #[error("the request does not suit the IdP")]
    Unsuitable,
}

impl Refusal {
    fn from_code(code: &str) -> Self {
        match code {
            "access_denied" => Self::AccessDenied,
            "login_required" => Self::LoginRequired,
            "interaction_required" | "consent_required" | "account_selection_required" => Self::InteractionRequired,
            "temporarily_unavailable" | "server_error" => Self::Unavailable,
            _ => Self::Unsuitable,
        }
    }
}

/// Finds the flow that `query` answers. Whoever gets an [`Answer`] sends its [`Answer::expire_cookie`] with the
/// response, whatever that is: a flow is answered once.
pub fn resume(query: &str, flows: &Flows, now: Timestamp) -> Resume {
    let Some(parameters) = Parameters::parse(query) else {
        return Resume::Malformed;
    };
    let Some(flow) = flows.find(&parameters.state) else {
        return Resume::NoSuchFlow;
    };
    if flow.is_over(now) {
        return Resume::TooLate { flow: flow.clone(), expire_cookie: flow.expire_cookie() };
    }
    let result = match (parameters.error, parameters.code) {
        (Some(error), _) => Err(Denied::Refused(Refusal::from_code(&error))),
        (None, Some(code)) if !code.expose().is_empty() => Ok(code),
        (None, _) => Err(Denied::NoCode),
    };
    Resume::Answered(Answer { flow: flow.clone(), issuer: parameters.issuer, result })
}

impl Answer {
    /// The flow that it answers; its code is had by [`Answer::accept`] only.
    pub const fn flow(&self) -> &FlowState {
        &self.flow
    }

    /// The `Set-Cookie` value that ends the flow.
    pub fn expire_cookie(&self) -> Secret<String> {
        self.flow.expire_cookie()
    }

    /// Believes the answer if it comes from `issuer`, the one that the flow asked (RFC 9207 §2.4): an `iss` that is
    /// there must be it, and it must be there if the IdP's metadata announce it (`must_be_named`).
    pub fn accept(self, issuer: &Issuer, must_be_named: bool) -> Result<Accepted, Denied> {
        match self.issuer {
            Some(named) if named != issuer.as_str() => return Err(Denied::OtherIssuer),
            None if must_be_named => return Err(Denied::IssuerMissing),
            Some(_) | None => {}
        }
        Ok(Accepted { flow: self.flow, code: self.result? })
    }
}

/// The parameters of an answer that we read.
struct Parameters {
    state: String,
    code: Option<Secret<String>>,
    error: Option<String>,
    issuer: Option<String>,
}

impl Parameters {
    /// `None` without `state`, or with one of the parameters given twice (RFC 6749 §3.1).
    fn parse(query: &str) -> Option<Self> {
        if query.len() > MAX_QUERY {
            return None;
        }
        let (mut state, mut code, mut error, mut issuer) = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "state" => &mut state,
                "code" => &mut code,
                "error" => &mut error,
                "iss" => &mut issuer,
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self { state: state?, code: code.map(Secret::new), error, issuer })
    }
}
