//! What the calls of an IdP about its people have in common: why one is not served, and who hears of it.

use http::StatusCode;
use serde_json::{Value, json};

use super::Endpoints;
use crate::audit::Way;
use crate::intake::NotDurable;

/// Why a call is refused.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// As the caller's specification names it.
    pub(super) error: &'static str,
    /// The word for metrics.
    pub(super) word: &'static str,
    pub(super) why: String,
    pub(super) jti: Option<String>,
}

/// Why there is no answer with success.
pub(super) enum Unserved {
    Refused(Refusal),
    /// It cannot be judged or kept at the moment: the caller must come again.
    Later,
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        error: &'static str,
        word: &'static str,
        why: &dyn std::fmt::Display,
    ) -> Self {
        Self { status, error, word, why: why.to_string(), jti: None }
    }

    /// The body of the answer (RFC 6749 §5.2).
    pub(super) fn json(&self) -> Value {
        json!({ "error": self.error, "error_description": self.why })
    }
}

impl From<Refusal> for Unserved {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<NotDurable> for Unserved {
    fn from(_: NotDurable) -> Self {
        Self::Later
    }
}

impl Endpoints {
    /// Counts and writes down that a call of `idp` was refused.
    pub(super) fn refuses_call(&self, source: &'static str, idp: &str, refusal: &Refusal) {
        self.0.audit.signal_rejected(Way::of_idp(source, idp, refusal.jti.clone()), refusal.word, &refusal.why);
    }
}
