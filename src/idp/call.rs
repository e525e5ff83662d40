//! Calls that the IdP signs for an endpoint of ours: whom they are addressed to, and that each counts once.

use super::replay::{Proofs, Seen};
use crate::identity::Issuer;
use crate::jose::Reject;
use crate::keys::Failure;
use crate::time::Timestamp;

/// Why a caller is not admitted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The secret is not the right one.
    #[error("the token is not the one that was agreed")]
    Stranger,
    /// The token is not what it must be.
    #[error("{0}")]
    Token(Reject),
    /// The token was used before.
    #[error("the token was used before")]
    Replayed,
    /// Nobody can say: the IdP's keys cannot be had at the moment.
    #[error("the identity provider's keys cannot be had")]
    Unavailable,
}

impl From<Failure> for NotAdmitted {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(reject) => Self::Token(reject),
            Failure::Unavailable => Self::Unavailable,
        }
    }
}

impl From<Reject> for NotAdmitted {
    fn from(reject: Reject) -> Self {
        Self::Token(reject)
    }
}

/// What tokens may name as the endpoint, one is enough: what is configured, else its URL `here`.
pub(super) const fn endpoints<'a>(configured: &'a [String], here: &'a [String]) -> &'a [String] {
    if configured.is_empty() { here } else { configured }
}

/// Takes note that a token of that issuer and id was used.
pub(super) fn use_up(
    used: &Proofs,
    (issuer, jti): (&Issuer, &str),
    good_until: Timestamp,
    now: Timestamp,
) -> Result<(), NotAdmitted> {
    match used.first_use_of(issuer.as_str(), jti, good_until, now) {
        Err(Seen::Replayed) => Err(NotAdmitted::Replayed),
        // Only the IdP itself fills this memory, and a kill signal must not be lost for want of it: what could come of it is
        // that somebody who caught a token in its few minutes uses it a second time.
        Ok(()) | Err(Seen::Full) => Ok(()),
    }
}
